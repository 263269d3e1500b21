//! Records in: fetched ahead under a byte budget, nothing fetched twice, positions that never move silently.

use std::collections::BTreeMap;
use std::task::{Context, Poll};

use crate::cluster::Cluster;
use crate::config::ConsumerConfig;
use crate::error::Result;
use crate::record::Record;
use crate::types::{OffsetAndMetadata, Position, TopicId, TopicPartition};

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

/// Records of one partition out of one fetch: views of the frame they arrived in. Its bytes leave the prefetch budget on drop.
#[derive(Debug)]
pub struct PolledRecords {}

impl PolledRecords {
    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        todo!()
    }

    /// The topic's id; zero on brokers before 2.8.
    pub fn topic_id(&self) -> TopicId {
        todo!()
    }

    /// The offset to go on from after these records: past control records, aborted ones and compaction gaps.
    pub fn next_offset(&self) -> i64 {
        todo!()
    }

    /// Leader epoch of the last batch; -1 if unknown.
    pub fn leader_epoch(&self) -> i32 {
        todo!()
    }

    /// Bytes of the batches, as fetched.
    pub fn wire_len(&self) -> usize {
        todo!()
    }

    /// Whether no record is in it: the position moved past control or aborted records only.
    pub fn is_empty(&self) -> bool {
        todo!()
    }

    /// The records, decoded lazily (about 10 ns each). A damaged batch ends the walk with its error, which names
    /// topic, partition and offset.
    pub fn iter(&self) -> PolledIter<'_> {
        todo!()
    }
}

/// Iterator over polled records.
#[derive(Debug)]
pub struct PolledIter<'a> {
    _records: &'a PolledRecords,
}

impl<'a> Iterator for PolledIter<'a> {
    type Item = Result<Record<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

impl<'a> IntoIterator for &'a PolledRecords {
    type Item = Result<Record<'a>>;
    type IntoIter = PolledIter<'a>;

    fn into_iter(self) -> PolledIter<'a> {
        self.iter()
    }
}

/// A consumer of partitions it is told.
#[derive(Debug)]
pub struct Consumer {}

impl Consumer {
    /// A consumer on `cluster`; assign partitions to it next.
    pub fn new(_cluster: Cluster, _config: ConsumerConfig) -> Result<Consumer> {
        todo!()
    }

    /// Adds partitions, or moves those it has. Looks positions up in the background and fetches ahead at once.
    ///
    /// What was fetched of a moved partition is dropped; of the others nothing is.
    pub fn assign(&self, _partitions: impl IntoIterator<Item = (TopicPartition, Position)>) {
        todo!()
    }

    /// Takes partitions away, with what was fetched of them.
    pub fn unassign(&self, _partitions: &[TopicPartition]) {
        todo!()
    }

    /// Moves a partition. The next poll of it begins there.
    pub fn seek(&self, tp: &TopicPartition, position: Position) {
        self.assign([(tp.clone(), position)]);
    }

    /// Stops delivering these partitions; what was fetched of them is kept.
    pub fn pause(&self, _partitions: &[TopicPartition]) {
        todo!()
    }

    /// Delivers them again.
    pub fn resume(&self, _partitions: &[TopicPartition]) {
        todo!()
    }

    /// The next records or event. Waits until there is one; safe to drop: nothing is lost.
    ///
    /// Fails on what policy does not cover (out of range with `auto.offset.reset=none`, a partition that is gone,
    /// authorization); the partition is then taken out until it is assigned again, the others go on.
    pub async fn poll(&mut self) -> Result<Polled> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// As [`poll`](Consumer::poll), for hand-written futures. Touches only channels and wakers.
    pub fn poll_next(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Polled>> {
        todo!()
    }

    /// The offset the next delivered records begin at or after; `None` while it is being looked up.
    pub fn position(&self, _tp: &TopicPartition) -> Option<i64> {
        todo!()
    }

    /// Records between the position and the end a reader of this isolation level can see, as the last fetch told.
    pub fn lag(&self, _tp: &TopicPartition) -> Option<i64> {
        todo!()
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

    async fn list_offsets(
        &self,
        _partitions: &[TopicPartition],
        _at: Position,
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        todo!()
    }

    /// The group's committed offsets; partitions without one are left out. Waits while one is part of an open transaction.
    pub async fn committed(
        &self,
        _partitions: &[TopicPartition],
    ) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>> {
        todo!()
    }

    /// Commits offsets for the group, as a simple consumer (no membership).
    pub async fn commit(&self, _offsets: &[(TopicPartition, OffsetAndMetadata)]) -> Result<()> {
        todo!()
    }
}
