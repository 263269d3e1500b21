//! What a poll hands out: views of the fetched frame, checked batch by batch as they are walked.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::BytesMut;

use super::budget::Lease;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::record::Record;
use crate::types::{TopicId, TopicPartition};
use crate::wire::batch::{Batch, BatchFault, Records};

/// The first damaged offset an application came upon; shared between a partition's assignment and what was polled of it.
#[derive(Clone, Debug)]
pub(super) struct Damage(Arc<AtomicI64>);

impl Damage {
    /// None yet.
    pub(super) fn none() -> Damage {
        Damage(Arc::new(AtomicI64::new(i64::MAX)))
    }

    /// Base offset of the first damaged batch.
    pub(super) fn found(&self) -> Option<i64> {
        let offset = self.0.load(Ordering::Acquire);
        (offset != i64::MAX).then_some(offset)
    }

    fn report(&self, offset: i64) {
        self.0.fetch_min(offset, Ordering::AcqRel);
    }
}

/// A batch that cannot be read: topic, partition, offset and what is wrong.
pub(super) fn damaged(tp: &TopicPartition, fault: &BatchFault) -> Error {
    let detail = format!(
        "the batch at offset {} is damaged: {}; seek past it to go on without it",
        fault.base_offset, fault.reason
    );
    Error::new(Operation::Fetch, ErrorKind::Protocol, tp.to_string(), detail)
}

/// Records of one partition out of one fetch: views of the frame they arrived in. Its bytes leave the prefetch budget on drop.
///
/// Holding many of them holds the budget: the consumer fetches no further until some are dropped.
#[derive(Debug)]
pub struct PolledRecords {
    pub(super) tp: TopicPartition,
    pub(super) topic_id: TopicId,
    pub(super) position: i64,
    pub(super) next_offset: i64,
    pub(super) leader_epoch: i32,
    pub(super) batches: Vec<Batch>,
    pub(super) check_crcs: bool,
    pub(super) damage: Damage,
    pub(super) lease: Lease,
    /// Whether the bytes are its own.
    pub(super) is_detached: bool,
}

impl PolledRecords {
    /// Copies the records out of the frame they arrived in, which the other partitions' records would else keep alive
    /// unaccounted for as long as nobody polls these.
    pub(super) fn detach(&mut self) {
        if std::mem::replace(&mut self.is_detached, true) {
            return;
        }
        let mut bytes = BytesMut::with_capacity(self.lease.bytes());
        self.batches.iter().for_each(|batch| bytes.extend_from_slice(&batch.bytes));
        let mut bytes = bytes.freeze();
        for batch in &mut self.batches {
            batch.bytes = bytes.split_to(batch.bytes.len());
        }
    }

    /// The partition.
    pub fn partition(&self) -> &TopicPartition {
        &self.tp
    }

    /// The topic's id; zero on brokers before 2.8.
    pub fn topic_id(&self) -> TopicId {
        self.topic_id
    }

    /// The offset to go on from after these records: past control records, aborted ones and compaction gaps.
    pub fn next_offset(&self) -> i64 {
        self.next_offset
    }

    /// Leader epoch of the last batch; -1 if unknown.
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// Bytes of the batches, as fetched.
    pub fn wire_len(&self) -> usize {
        self.lease.bytes()
    }

    /// Whether no record is in it: the position moved past control or aborted records only.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// The records, decoded lazily (about 10 ns each). A damaged batch ends the walk with its error, which names
    /// topic, partition and offset; the partition then stops there until it is assigned or sought anew.
    pub fn iter(&self) -> PolledIter<'_> {
        self.iter_from(self.position)
    }

    /// As [`iter`](PolledRecords::iter), from the first record at or after `offset`: batches before it are not opened.
    pub fn iter_from(&self, offset: i64) -> PolledIter<'_> {
        let first = self.batches.partition_point(|batch| batch.header.last_offset() < offset);
        let batches = self.batches.get(first..).unwrap_or_default().iter();
        PolledIter { polled: self, batches, records: None, next_offset: offset.max(self.position) }
    }
}

/// Iterator over polled records.
#[derive(Debug)]
pub struct PolledIter<'a> {
    polled: &'a PolledRecords,
    batches: std::slice::Iter<'a, Batch>,
    records: Option<Records<'a>>,
    /// Records below it are passed over: a fetch begins with the batch the position is in.
    next_offset: i64,
}

impl<'a> PolledIter<'a> {
    fn open_batch(&mut self) -> Result<bool> {
        let Some(batch) = self.batches.next() else { return Ok(false) };
        if self.polled.check_crcs {
            batch.verify_crc().map_err(|fault| self.fail(&fault))?;
        }
        self.records = Some(batch.records());
        Ok(true)
    }

    #[cold]
    fn fail(&mut self, fault: &BatchFault) -> Error {
        self.polled.damage.report(fault.base_offset);
        self.records = None;
        self.batches = [].iter();
        damaged(&self.polled.tp, fault)
    }
}

impl<'a> Iterator for PolledIter<'a> {
    type Item = Result<Record<'a>>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(records) = &mut self.records {
                match records.next() {
                    Some(Ok(record)) if record.offset < self.next_offset => continue,
                    Some(Ok(record)) => {
                        self.next_offset = record.offset.saturating_add(1);
                        return Some(Ok(record));
                    }
                    Some(Err(fault)) => return Some(Err(self.fail(&fault))),
                    None => self.records = None,
                }
            }
            match self.open_batch() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl<'a> IntoIterator for &'a PolledRecords {
    type Item = Result<Record<'a>>;
    type IntoIter = PolledIter<'a>;

    fn into_iter(self) -> PolledIter<'a> {
        self.iter()
    }
}
