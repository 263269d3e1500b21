//! What a poll hands out: views of the fetched frame, checked batch by batch as they are walked.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::BytesMut;

use super::budget::Lease;
use super::unpack::{Unpacked, Unpacker};
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
        "the batch at offset {} cannot be read: {}; seek past it to go on without it",
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
    /// What each batch was decompressed to; empty if none is compressed.
    pub(super) unpacked: Box<[OnceLock<Unpacked>]>,
    pub(super) unpacker: Arc<Unpacker>,
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

    /// The records, decoded lazily (about 10 ns each); those of a compressed batch once it was decompressed, which is when
    /// the walk first comes to it. What that takes is held until these records are dropped, and is at most
    /// `max.decompressed.batch.bytes`. A damaged batch ends the walk with its error, which names
    /// topic, partition and offset; the partition then stops there until it is assigned or sought anew.
    pub fn iter(&self) -> PolledIter<'_> {
        self.iter_from(self.position)
    }

    /// As [`iter`](PolledRecords::iter), from the first record at or after `offset`: batches before it are not opened.
    pub fn iter_from(&self, offset: i64) -> PolledIter<'_> {
        let next_batch = self.batches.partition_point(|batch| batch.header.last_offset() < offset);
        PolledIter { polled: self, next_batch, records: None, next_offset: offset.max(self.position) }
    }

    /// The records of a batch, decompressed the first time they are asked for.
    fn records<'a>(&'a self, index: usize, batch: &'a Batch) -> std::result::Result<Records<'a>, BatchFault> {
        let Some(cell) = self.unpacked.get(index).filter(|_| batch.is_compressed()) else {
            return Ok(batch.records());
        };
        if cell.get().is_none() {
            // Another thread may have come first; then this one's is dropped.
            drop(cell.set(self.unpacker.unpack(batch)?));
        }
        Ok(batch.records_in(cell.get().map_or(&[], Unpacked::bytes)))
    }
}

/// Iterator over polled records.
#[derive(Debug)]
pub struct PolledIter<'a> {
    polled: &'a PolledRecords,
    next_batch: usize,
    records: Option<Records<'a>>,
    /// Records below it are passed over: a fetch begins with the batch the position is in.
    next_offset: i64,
}

impl<'a> PolledIter<'a> {
    fn open_batch(&mut self) -> Result<bool> {
        let Some(batch) = self.polled.batches.get(self.next_batch) else { return Ok(false) };
        let checked = if self.polled.check_crcs { batch.verify_crc() } else { Ok(()) };
        let records = checked.and_then(|()| self.polled.records(self.next_batch, batch));
        self.records = Some(records.map_err(|fault| self.fail(&fault))?);
        self.next_batch += 1;
        Ok(true)
    }

    #[cold]
    fn fail(&mut self, fault: &BatchFault) -> Error {
        self.polled.damage.report(fault.base_offset);
        self.records = None;
        self.next_batch = usize::MAX;
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
