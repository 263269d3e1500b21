//! Commits prepared transactions in parallel, from any process: EndTxn needs nothing but the value.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::client::Client;
use crate::connection::BoxFuture;
use crate::connector::versioned::put_bytes;
use crate::connector::{Committer, Decoder, Outcome, Versioned};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::producer::{CommitOutcome, PreparedTransaction, commit_with_doubt};

/// A prepared transaction as a checkpoint keeps it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaCommittable(pub PreparedTransaction);

impl Versioned for KafkaCommittable {
    const VERSION: u8 = 1;

    /// The transaction's own encoding, which has a version and a checksum of its own.
    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, &self.0.encode());
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        PreparedTransaction::decode(from.bytes()?).map(KafkaCommittable)
    }
}

/// Ids of which an EndTxn of this process went unanswered: it may come late, and end what is open then if it has the
/// same epoch (TV1).
#[derive(Clone, Default, Debug)]
pub(super) struct Unanswered(Arc<Mutex<BTreeSet<String>>>);

impl Unanswered {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `id` is one of them.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.lock().contains(id)
    }

    /// The id has another epoch now, or will have before anything is written under it.
    pub(super) fn remove(&self, id: &str) {
        self.lock().remove(id);
    }
}

/// Commits on one cluster.
#[derive(Clone, Debug)]
pub struct KafkaCommitter {
    pub(super) client: Client,
    pub(super) unanswered: Unanswered,
}

impl Committer for KafkaCommitter {
    type Committable = KafkaCommittable;

    fn commit<'a>(&'a self, committables: &'a [KafkaCommittable]) -> BoxFuture<'a, Vec<Outcome>> {
        Box::pin(async move {
            let mut running = Vec::new();
            for KafkaCommittable(prepared) in committables {
                let (committer, prepared) = (self.clone(), prepared.clone());
                running.push(tokio::spawn(async move { committer.commit_one(&prepared).await }));
            }
            let mut outcomes = Vec::new();
            for task in running {
                outcomes.push(task.await.unwrap_or_else(|e| {
                    Outcome::Retry(Error::new(
                        Operation::Commit,
                        ErrorKind::Closed,
                        "",
                        format!("the commit ended: {e}"),
                    ))
                }));
            }
            outcomes
        })
    }
}

impl KafkaCommitter {
    async fn commit_one(&self, prepared: &PreparedTransaction) -> Outcome {
        let (result, is_in_doubt) = commit_with_doubt(self.client.cluster(), prepared).await;
        if is_in_doubt {
            self.unanswered.lock().insert(prepared.transactional_id.clone());
        }
        match result {
            Ok(CommitOutcome::Committed) => Outcome::Committed,
            Ok(CommitOutcome::AlreadyCommitted) => Outcome::AlreadyCommitted,
            Ok(CommitOutcome::Lost(how)) => {
                let id = prepared.transactional_id.clone();
                Outcome::Lost(Error::new(Operation::Commit, ErrorKind::LostTransaction, id, how))
            }
            Err(error) if error.is_retriable() => Outcome::Retry(error),
            Err(error) => Outcome::Refused(error),
        }
    }
}
