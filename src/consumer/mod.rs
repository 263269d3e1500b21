//! Records in: fetched ahead under a byte budget, nothing fetched twice, positions that never move silently.

mod answers;
mod budget;
mod driver;
mod fetcher;
#[cfg(fuzzing)]
pub mod fuzzing;
mod isolation;
mod lanes;
mod locate;
mod partition;
mod polled;
mod request;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod unpack;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;

use crate::cluster::{self, Cluster};
use crate::config::ConsumerConfig;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::{OffsetAndMetadata, Position, TopicPartition};
use driver::{Lanes, Shared};
use fetcher::Fetcher;

pub use polled::{PolledIter, PolledRecords};

/// What a poll gives.
#[derive(Debug)]
pub enum Polled {
    /// Records of one partition, in order, contiguous with what was polled before.
    Records(PolledRecords),
    /// The partition has nothing more for now: its position is at the end a reader of this isolation level can see.
    CaughtUp(TopicPartition),
    /// The position was moved by policy, not by delivery: out of range, or a first position that was looked up anew.
    Moved {
        /// The partition.
        tp: TopicPartition,
        /// Where it was.
        from: i64,
        /// Where it is now.
        to: i64,
        /// Why, as `OFFSET_OUT_OF_RANGE`.
        reason: &'static str,
    },
}

/// A consumer of partitions it is told.
///
/// A task of its own fetches ahead, up to `queued.max.bytes`; it ends when the consumer is dropped.
#[derive(Debug)]
pub struct Consumer {
    cluster: Cluster,
    config: ConsumerConfig,
    shared: Arc<Shared>,
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.wake.notify_one();
    }
}

impl Consumer {
    /// A consumer on `cluster`; assign partitions to it next.
    pub fn new(cluster: Cluster, config: ConsumerConfig) -> Result<Consumer> {
        if let Some(group_id) = &config.group_id
            && group_id.is_empty()
        {
            return Err(Error::invalid("group.id", "a name that is not empty"));
        }
        let wake = Arc::new(Notify::new());
        let fetcher = Fetcher::new(config.clone(), cluster.config().clone(), cluster.next_seed(), wake.clone());
        let shared = Shared::new(fetcher, wake);
        tokio::spawn(driver::run(shared.clone(), cluster.clone(), Lanes::new(&cluster)));
        Ok(Consumer { cluster, config, shared })
    }

    /// Adds partitions, or moves those it has. Looks positions up in the background and fetches ahead at once.
    ///
    /// What was fetched of a moved partition is dropped; of the others nothing is.
    pub fn assign(&self, partitions: impl IntoIterator<Item = (TopicPartition, Position)>) {
        let mut state = self.shared.lock();
        partitions.into_iter().for_each(|(tp, at)| state.fetcher.assign(tp, at));
    }

    /// Takes partitions away, with what was fetched of them.
    pub fn unassign(&self, partitions: &[TopicPartition]) {
        let mut state = self.shared.lock();
        partitions.iter().for_each(|tp| state.fetcher.unassign(tp));
    }

    /// Moves a partition. The next poll of it begins there.
    pub fn seek(&self, tp: &TopicPartition, position: Position) {
        self.assign([(tp.clone(), position)]);
    }

    /// Stops delivering these partitions; what was fetched of them is kept.
    pub fn pause(&self, partitions: &[TopicPartition]) {
        let mut state = self.shared.lock();
        partitions.iter().for_each(|tp| state.fetcher.pause(tp));
    }

    /// Delivers them again.
    pub fn resume(&self, partitions: &[TopicPartition]) {
        let mut state = self.shared.lock();
        partitions.iter().for_each(|tp| state.fetcher.resume(tp));
    }

    /// The next records or event. Waits until there is one; safe to drop: nothing is lost.
    ///
    /// Fails on what policy does not cover (out of range with `auto.offset.reset=none`, a partition that is gone,
    /// authorization); the partition is then taken out until it is assigned again, the others go on.
    pub async fn poll(&mut self) -> Result<Polled> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`poll`](Consumer::poll), for hand-written futures. Touches only channels and wakers.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Polled>> {
        let mut state = self.shared.lock();
        if let Some(event) = state.fetcher.poll_event() {
            return Poll::Ready(event);
        }
        if state.is_stopped {
            let detail = "the consumer's task has ended; build a new consumer";
            return Poll::Ready(Err(Error::new(Operation::Fetch, ErrorKind::Closed, "", detail)));
        }
        state.wait(cx);
        Poll::Pending
    }

    /// The offset the next delivered records begin at or after; `None` while it is being looked up.
    pub fn position(&self, tp: &TopicPartition) -> Option<i64> {
        self.shared.lock().fetcher.position(tp)
    }

    /// Records between the position and the end a reader of this isolation level can see, as the last fetch told.
    pub fn lag(&self, tp: &TopicPartition) -> Option<i64> {
        self.shared.lock().fetcher.lag(tp)
    }

    /// The first offset of each partition.
    pub async fn beginning_offsets(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, i64>> {
        self.list_offsets(partitions, Position::Earliest).await
    }

    /// The end of each partition: the high watermark, or the last stable offset with read_committed.
    pub async fn end_offsets(&self, partitions: &[TopicPartition]) -> Result<BTreeMap<TopicPartition, i64>> {
        self.list_offsets(partitions, Position::Latest).await
    }

    /// The first offset at or after a time, or the end where there is none.
    pub async fn offsets_for_time(
        &self,
        partitions: &[TopicPartition],
        timestamp_ms: i64,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        self.list_offsets(partitions, Position::Timestamp(timestamp_ms)).await
    }

    async fn list_offsets(&self, partitions: &[TopicPartition], at: Position) -> Result<BTreeMap<TopicPartition, i64>> {
        let partitions: Vec<_> = partitions.iter().map(|tp| (tp.clone(), at)).collect();
        cluster::list_offsets(&self.cluster, self.config.isolation_level, &partitions).await
    }

    /// The group's committed offsets; partitions without one are left out. Waits while one is part of an open transaction.
    pub async fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>> {
        cluster::committed_offsets(&self.cluster, self.group_id()?, partitions).await
    }

    /// Commits offsets for the group, as a simple consumer (no membership).
    pub async fn commit(&self, offsets: &[(TopicPartition, OffsetAndMetadata)]) -> Result<()> {
        cluster::commit_offsets(&self.cluster, self.group_id()?, offsets).await
    }

    fn group_id(&self) -> Result<&str> {
        let missing = || Error::invalid("group.id", "is not set; offsets are committed for a group");
        self.config.group_id.as_deref().ok_or_else(missing)
    }
}
