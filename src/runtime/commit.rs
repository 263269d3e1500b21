//! Committing an epoch: again and again until every committable is known to be committed or known to be lost.

use std::time::Duration;

use crate::connector::{Committer, Outcome};
use crate::error::Result;

/// What happens when a transaction that a checkpoint counts on is gone.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum OnLost {
    /// The job ends with an error that names its records.
    #[default]
    Fail,
    /// It is logged as an error and counted; the job goes on without its records.
    Skip,
}

/// Waits between tries: doubling from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(50);
const LAST_WAIT: Duration = Duration::from_secs(5);

/// Commits all, in parallel; gives how many were committed.
///
/// Unknown outcomes are tried again without end: giving up would be a guess about somebody's records. Fails on a lost
/// or refused one, after the others have been committed.
pub(super) async fn commit_all<C: Committer>(
    committer: &C,
    mut pending: Vec<C::Committable>,
    on_lost: OnLost,
) -> Result<usize> {
    let (mut committed, mut lost, mut refused, mut wait) = (0, None, None, FIRST_WAIT);
    while !pending.is_empty() {
        let outcomes = committer.commit(&pending).await;
        let mut again = Vec::new();
        for (committable, outcome) in pending.into_iter().zip(outcomes) {
            match outcome {
                Outcome::Committed | Outcome::AlreadyCommitted => committed += 1,
                Outcome::Retry(error) => {
                    tracing::warn!(%error, wait_ms = wait.as_millis() as u64, "commit not answered, trying again");
                    again.push(committable);
                }
                Outcome::Refused(error) => refused = refused.or(Some(error)),
                Outcome::Lost(error) => {
                    tracing::error!(%error, "transaction lost");
                    lost = lost.or(Some(error));
                }
            }
        }
        pending = again;
        if !pending.is_empty() {
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(LAST_WAIT);
        }
    }
    let lost = lost.filter(|_| on_lost == OnLost::Fail);
    lost.or(refused).map_or(Ok(committed), Err)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::BoxFuture;
    use crate::error::{Error, ErrorKind, Operation};
    use std::sync::Mutex;

    /// Answers each committable's tries from its own script.
    struct Scripted(Mutex<Vec<Vec<Outcome>>>);

    impl Committer for Scripted {
        type Committable = usize;

        fn commit<'a>(&'a self, committables: &'a [usize]) -> BoxFuture<'a, Vec<Outcome>> {
            let mut scripts = self.0.lock().unwrap();
            let outcomes = committables.iter().map(|&i| scripts[i].remove(0)).collect();
            Box::pin(async move { outcomes })
        }
    }

    fn error(kind: ErrorKind) -> Error {
        Error::new(Operation::Commit, kind, "etl/0#1", "12 records")
    }

    #[tokio::test(start_paused = true)]
    async fn unknown_outcomes_are_tried_until_they_are_known() {
        let retry = || Outcome::Retry(error(ErrorKind::Timeout));
        let scripts = vec![vec![retry(), retry(), Outcome::AlreadyCommitted], vec![Outcome::Committed]];
        let committer = Scripted(Mutex::new(scripts));
        assert_eq!(commit_all(&committer, vec![0, 1], OnLost::Fail).await.unwrap(), 2);
        assert!(committer.0.into_inner().unwrap().iter().all(Vec::is_empty), "every scripted try was made");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_transaction_fails_the_job_after_the_others_are_committed() {
        let lost = || Outcome::Lost(error(ErrorKind::LostTransaction));
        let retry = Outcome::Retry(error(ErrorKind::Timeout));
        let committer = Scripted(Mutex::new(vec![vec![lost()], vec![retry, Outcome::Committed]]));
        let e = commit_all(&committer, vec![0, 1], OnLost::Fail).await.unwrap_err();
        assert!(e.to_string().contains("etl/0#1") && e.to_string().contains("12 records"), "{e}");
        assert!(committer.0.lock().unwrap().iter().all(Vec::is_empty), "the other one was still committed");
        let skipping = Scripted(Mutex::new(vec![vec![lost()], vec![Outcome::Committed]]));
        assert_eq!(commit_all(&skipping, vec![0, 1], OnLost::Skip).await.unwrap(), 1);
    }
}
