//! How a job begins: what is pending is committed, leases are durable before their first use, everything else is fenced.

use std::path::Path;
use std::time::Duration;

use super::commit::{OnLost, commit_all};
use super::progress::Progress;
use crate::connector::checkpoint::{CheckpointStore, Manifest, Restored, decode_all, encode_all};
use crate::connector::{Epoch, Sink, Source};
use crate::error::{Error, ErrorKind, Operation, Result};

/// Where a job begins.
pub(super) struct Begin<S: Source, K: Sink> {
    /// Where checkpoints go; `None` for a job that keeps its position elsewhere.
    pub(super) store: Option<CheckpointStore>,
    /// The source's part of the checkpoint it begins from.
    pub(super) source: Option<(S::EnumState, Vec<S::Split>)>,
    /// A state for each writer.
    pub(super) writers: Vec<K::State>,
    /// The epoch whose records come next.
    pub(super) epoch: Epoch,
}

/// The settings a start needs.
pub(super) struct StartFrom<'a> {
    pub(super) job: &'a str,
    pub(super) directory: Option<&'a Path>,
    /// A savepoint to begin from where the directory holds no checkpoint yet.
    pub(super) savepoint: Option<&'a Path>,
    pub(super) interval: Duration,
    pub(super) parallelism: u32,
    pub(super) on_lost: OnLost,
}

/// Recovers from the newest checkpoint, or begins afresh. Nothing is read or written before this has succeeded.
pub(super) async fn start<S: Source, K: Sink>(
    from: StartFrom<'_>,
    source: &S,
    sink: &K,
    progress: &Progress,
) -> Result<Begin<S, K>> {
    check(&from, source, sink).await?;
    let (store, restored) = open(&from)?;
    let Some(restored) = restored else {
        let manifest = Manifest { job: from.job.to_owned(), ..Manifest::default() };
        return deal::<S, K>(&from, sink, store, manifest).await;
    };
    for damaged in &restored.passed_over {
        tracing::warn!(file = %damaged.display(), "damaged checkpoint passed over");
    }
    tracing::info!(job = from.job, epoch = restored.manifest.epoch, "restored");
    if !restored.is_finalized {
        let pending: Vec<K::Committable> = decode_all(&restored.manifest.committables)?;
        progress.add_commits(commit_all(&sink.committer(), pending, from.on_lost).await?);
        if let Some(store) = &store {
            store.finalize(Epoch(restored.manifest.epoch))?;
        }
    }
    deal::<S, K>(&from, sink, store, restored.manifest).await
}

/// Asks both ends at once, so that a person who mistyped two names learns of both.
async fn check<S: Source, K: Sink>(from: &StartFrom<'_>, source: &S, sink: &K) -> Result<()> {
    match tokio::join!(biased; source.check(), sink.check(from.interval)) {
        (Err(source), Err(sink)) => {
            let (recovery, detail) = (source.recovery(), format!("{source}; and {sink}"));
            Err(Error::new(Operation::Job, ErrorKind::State, from.job, detail).with_recovery(recovery))
        }
        (source, sink) => source.and(sink),
    }
}

fn open(from: &StartFrom<'_>) -> Result<(Option<CheckpointStore>, Option<Restored>)> {
    let Some(directory) = from.directory else { return Ok((None, None)) };
    let (store, mut restored) = CheckpointStore::open(directory, from.job)?;
    if let (None, Some(savepoint)) = (&restored, from.savepoint) {
        restored = CheckpointStore::open(savepoint, from.job)?.1;
    }
    Ok((Some(store), restored))
}

/// Deals the leases, makes them durable as a checkpoint of their own, and only then fences them; again with others where
/// some turn out not to be fit for use. What fencing left is durable, too, before the first record is written.
async fn deal<S: Source, K: Sink>(
    from: &StartFrom<'_>,
    sink: &K,
    store: Option<CheckpointStore>,
    restored: Manifest,
) -> Result<Begin<S, K>> {
    let source = restored.source::<S>()?;
    let mut writers = decode_all(&restored.writers)?;
    let mut leases = Manifest { committables: Vec::new(), ..restored };
    loop {
        writers = sink.deal(writers, from.parallelism);
        persist(store.as_ref(), &mut leases, encode_all(&writers))?;
        let fenced = sink.fence(&writers).await?;
        writers = fenced.states;
        if fenced.is_settled {
            break;
        }
    }
    let settled = encode_all(&writers);
    if leases.writers != settled {
        persist(store.as_ref(), &mut leases, settled)?;
    }
    Ok(Begin { store, source, writers, epoch: Epoch(leases.epoch).next() })
}

/// Makes the writers' states durable as the next checkpoint, which has nothing to commit.
fn persist(store: Option<&CheckpointStore>, leases: &mut Manifest, writers: Vec<Vec<u8>>) -> Result<()> {
    let epoch = Epoch(leases.epoch).next();
    (leases.epoch, leases.writers) = (epoch.0, writers);
    let Some(store) = store else { return Ok(()) };
    store.persist(leases)?;
    store.finalize(epoch)
}
