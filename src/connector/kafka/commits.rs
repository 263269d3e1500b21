//! Group offsets of finished checkpoints: advisory, in the background, the newest superseding the rest.

use std::collections::BTreeMap;
use std::future::Future;
use std::task::{Context, Poll};

use tokio::sync::{mpsc, oneshot};

use super::split::KafkaSplit;
use crate::cluster::{Cluster, commit_offsets};
use crate::connector::Epoch;
use crate::types::OffsetAndMetadata;

/// Remembers positions per checkpoint and commits them once it is complete: never ahead of it (X3).
#[derive(Debug)]
pub(super) struct OffsetCommits {
    pending: BTreeMap<Epoch, Vec<KafkaSplit>>,
    /// `None` once closing.
    finalized: Option<mpsc::UnboundedSender<Vec<KafkaSplit>>>,
    done: oneshot::Receiver<()>,
}

impl OffsetCommits {
    /// Commits for `group_id`, by a task of its own that ends after the last commit.
    pub(super) fn new(cluster: Cluster, group_id: String) -> Self {
        let (finalized, positions) = mpsc::unbounded_channel();
        let (is_done, done) = oneshot::channel();
        tokio::spawn(async move {
            commit_all(&cluster, &group_id, positions).await;
            let _ = is_done.send(());
        });
        OffsetCommits { pending: BTreeMap::new(), finalized: Some(finalized), done }
    }

    pub(super) fn snapshot(&mut self, epoch: Epoch, splits: &[KafkaSplit]) {
        self.pending.insert(epoch, splits.to_vec());
    }

    pub(super) fn finalized(&mut self, epoch: Epoch) {
        let later = self.pending.split_off(&epoch.next());
        let complete = std::mem::replace(&mut self.pending, later);
        if let (Some((_, splits)), Some(finalized)) = (complete.into_iter().next_back(), &self.finalized) {
            let _ = finalized.send(splits);
        }
    }

    /// Ready when the last commit has been answered.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.finalized = None;
        std::pin::Pin::new(&mut self.done).poll(cx).map(|_| ())
    }
}

async fn commit_all(cluster: &Cluster, group_id: &str, mut positions: mpsc::UnboundedReceiver<Vec<KafkaSplit>>) {
    let mut last = BTreeMap::new();
    while let Some(mut splits) = positions.recv().await {
        while let Ok(newer) = positions.try_recv() {
            splits = newer;
        }
        let moved: Vec<_> =
            splits.into_iter().filter(|s| last.insert(s.tp.clone(), s.offset) != Some(s.offset)).collect();
        if moved.is_empty() {
            continue;
        }
        let offsets: Vec<_> = moved.into_iter().map(|split| (split.tp, at(split.offset))).collect();
        if let Err(error) = commit_offsets(cluster, group_id, &offsets).await {
            // Positions live in the checkpoint; the next one supersedes what failed.
            tracing::warn!(%error, group_id, "offsets of a finished checkpoint not committed");
            last.clear();
        }
    }
}

fn at(offset: i64) -> OffsetAndMetadata {
    OffsetAndMetadata { offset, leader_epoch: -1, metadata: String::new() }
}
