//! One partition's log: batches in offset order, and up to where each kind of reader may see them.

use std::collections::{BTreeMap, VecDeque};

use bytes::{Bytes, BytesMut};

use super::producer_state::{Admission, KeptBatch, Producers};
use crate::error::ErrorCode;
use crate::types::{IsolationLevel, ProducerIdentity, TransactionVersion};
use crate::wire::batch::{self, Batch, Batches, ControlKind};
use crate::wire::codec::Decompressor;

/// An aborted transaction, as readers of committed records need to know it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Aborted {
    pub(super) producer_id: i64,
    pub(super) first_offset: i64,
    /// Offset of the marker.
    pub(super) last_offset: i64,
}

/// Where a batch went.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Appended {
    pub(super) base_offset: i64,
    /// The offset behind the batch: what the high watermark must reach for acks=all.
    pub(super) next_offset: i64,
    /// The broker's timestamp under LogAppendTime (and a retried batch's newest one, as Kafka answers); else -1.
    pub(super) log_append_time_ms: i64,
}

/// What a reader gets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Slice {
    pub(super) records: Bytes,
    /// Transactions whose records in `records` were aborted.
    pub(super) aborted: Vec<Aborted>,
}

/// A record's timestamp, its offset and the epoch of the leader that wrote it.
pub(super) type Found = (i64, i64, i32);

/// One partition's log.
#[derive(Default, Debug)]
pub(super) struct Log {
    batches: VecDeque<Batch>,
    start: i64,
    end: i64,
    high_watermark: i64,
    /// First offset of each leader epoch.
    epochs: Vec<(i32, i64)>,
    producers: Producers,
    aborted: Vec<Aborted>,
    /// Transactions that ended above the high watermark: first offset to marker.
    unreplicated: BTreeMap<i64, i64>,
}

impl Log {
    /// First offset there is.
    pub(super) fn start(&self) -> i64 {
        self.start
    }

    /// The offset the next record gets.
    pub(super) fn end(&self) -> i64 {
        self.end
    }

    /// The offset up to which records are replicated.
    pub(super) fn high_watermark(&self) -> i64 {
        self.high_watermark
    }

    /// What is known of the partition's producers.
    pub(super) fn producers(&self) -> &Producers {
        &self.producers
    }

    /// What is known of the partition's producers, to forget some.
    pub(super) fn producers_mut(&mut self) -> &mut Producers {
        &mut self.producers
    }

    /// The offset up to which every transaction has ended.
    pub(super) fn last_stable_offset(&self) -> i64 {
        let ended = self.unreplicated.keys().next().copied();
        let open = self.producers.first_open();
        [ended, open, Some(self.high_watermark)].into_iter().flatten().min().unwrap_or(self.high_watermark)
    }

    /// The end for readers of this isolation.
    pub(super) fn limit(&self, isolation: IsolationLevel) -> i64 {
        match isolation {
            IsolationLevel::ReadUncommitted => self.high_watermark,
            IsolationLevel::ReadCommitted => self.last_stable_offset(),
        }
    }

    /// Begins a leader epoch at the log's end.
    pub(super) fn enter_epoch(&mut self, epoch: i32) {
        while self.epochs.last().is_some_and(|(_, start)| *start >= self.end) {
            self.epochs.pop();
        }
        self.epochs.push((epoch, self.end));
    }

    /// Writes a client's batch, or finds that it was written before.
    pub(super) fn append(
        &mut self,
        batch: &Batch,
        leader_epoch: i32,
        log_append_time_ms: Option<i64>,
        first_of_v2: bool,
    ) -> Result<Appended, ErrorCode> {
        if batch.header.producer.producer_id >= 0
            && let Admission::Duplicate(kept) = self.producers.admit(&batch.header, first_of_v2)?
        {
            return Ok(self.appended_before(&kept));
        }
        let base_offset = self.end;
        let stored = batch::assign_offsets(&batch.bytes, base_offset, leader_epoch, log_append_time_ms)
            .ok_or(ErrorCode::CORRUPT_MESSAGE)?;
        let stored = self.push(stored.into())?;
        if stored.producer.producer_id >= 0 {
            self.producers.written(&stored, base_offset);
        }
        Ok(Appended { base_offset, next_offset: self.end, log_append_time_ms: log_append_time_ms.unwrap_or(-1) })
    }

    fn appended_before(&self, kept: &KeptBatch) -> Appended {
        Appended { base_offset: kept.base_offset, next_offset: self.end, log_append_time_ms: kept.timestamp_ms }
    }

    fn push(&mut self, bytes: Bytes) -> Result<batch::BatchHeader, ErrorCode> {
        let stored = Batches::new(bytes).next().and_then(Result::ok).ok_or(ErrorCode::CORRUPT_MESSAGE)?;
        let header = stored.header;
        self.end = header.next_offset();
        self.batches.push_back(stored);
        Ok(header)
    }

    /// Writes the marker that ends a transaction.
    pub(super) fn append_marker(
        &mut self,
        producer: ProducerIdentity,
        version: TransactionVersion,
        committed: bool,
        leader_epoch: i32,
        now_ms: i64,
    ) -> Result<i64, ErrorCode> {
        self.producers.admit_marker(producer, version)?;
        let kind = if committed { ControlKind::Commit } else { ControlKind::Abort };
        let marker = batch::control_batch(producer, kind, 0, now_ms);
        let offset = self.end;
        let stored =
            batch::assign_offsets(&marker, offset, leader_epoch, None).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
        self.push(stored.into())?;
        if let Some(first_offset) = self.producers.marked(producer, 0, now_ms) {
            self.unreplicated.insert(first_offset, offset);
            if !committed {
                let producer_id = producer.producer_id;
                self.aborted.push(Aborted { producer_id, first_offset, last_offset: offset });
            }
        }
        Ok(self.end)
    }

    /// Moves the high watermark up to `offset`; whether it moved.
    pub(super) fn replicate(&mut self, offset: i64) -> bool {
        let offset = offset.min(self.end);
        if offset <= self.high_watermark {
            return false;
        }
        self.high_watermark = offset;
        self.unreplicated.retain(|_, marker| *marker >= offset);
        true
    }

    /// Deletes what is below `offset`; the high watermark bounds it (KIP-107).
    pub(super) fn delete_before(&mut self, offset: i64) -> Result<i64, ErrorCode> {
        let offset = if offset == -1 { self.high_watermark } else { offset };
        if offset < 0 || offset > self.high_watermark {
            return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        self.start = self.start.max(offset);
        while self.batches.front().is_some_and(|batch| batch.header.next_offset() <= self.start) {
            self.batches.pop_front();
        }
        self.aborted.retain(|aborted| aborted.last_offset >= self.start);
        Ok(self.start)
    }

    fn position(&self, offset: i64) -> usize {
        self.batches.partition_point(|batch| batch.header.next_offset() <= offset)
    }

    /// Bytes a reader at `offset` could have, looking no further than `enough`.
    pub(super) fn readable_bytes(&self, offset: i64, limit: i64, enough: usize) -> usize {
        let mut bytes = 0;
        for batch in self.batches.range(self.position(offset)..) {
            if batch.header.base_offset >= limit || bytes >= enough {
                break;
            }
            bytes += batch.bytes.len();
        }
        bytes
    }

    /// Records from `offset` on, below the isolation's end, in at most `max_bytes`.
    ///
    /// The last batch may be cut short, as Kafka cuts it; with `at_least_one` the first one comes whole whatever
    /// its size. `None` if the offset is outside the log.
    pub(super) fn read(&self, offset: i64, max_bytes: usize, iso: IsolationLevel, at_least_one: bool) -> Option<Slice> {
        if offset < self.start || offset > self.end {
            return None;
        }
        let limit = self.limit(iso);
        let mut pieces: Vec<Bytes> = Vec::new();
        let (mut bytes, mut upper) = (0usize, offset);
        for batch in self.batches.range(self.position(offset)..) {
            let room = max_bytes.saturating_sub(bytes);
            if batch.header.base_offset >= limit || (room == 0 && !(pieces.is_empty() && at_least_one)) {
                break;
            }
            let whole = batch.bytes.len() <= room || (pieces.is_empty() && at_least_one);
            let piece = if whole { batch.bytes.clone() } else { batch.bytes.slice(..room) };
            bytes += piece.len();
            pieces.push(piece);
            upper = batch.header.next_offset();
            if !whole {
                break;
            }
        }
        let aborted = match iso {
            IsolationLevel::ReadUncommitted => Vec::new(),
            IsolationLevel::ReadCommitted => self.aborted_between(offset, upper),
        };
        Some(Slice { records: joined(pieces), aborted })
    }

    fn aborted_between(&self, offset: i64, upper: i64) -> Vec<Aborted> {
        let touches = |aborted: &&Aborted| aborted.last_offset >= offset && aborted.first_offset < upper;
        self.aborted.iter().filter(touches).copied().collect()
    }

    /// The epoch of the leader that wrote `offset`, or that would write it.
    pub(super) fn epoch_at(&self, offset: i64) -> i32 {
        self.epochs.iter().rev().find(|(_, start)| *start <= offset).map_or(-1, |(epoch, _)| *epoch)
    }

    /// The largest epoch not above `epoch`, and where it ends; `(-1, -1)` if there is none (KIP-320).
    pub(super) fn end_of_epoch(&self, epoch: i32) -> (i32, i64) {
        let Some((last, _)) = self.epochs.last() else { return (-1, -1) };
        if epoch == *last {
            return (epoch, self.end);
        }
        if epoch > *last {
            return (-1, -1);
        }
        let at = self.epochs.partition_point(|(other, _)| *other <= epoch);
        let end = self.epochs.get(at).map_or(-1, |(_, start)| *start);
        // An epoch older than all we know ends where the first one began.
        let found = at.checked_sub(1).and_then(|i| self.epochs.get(i)).map_or(epoch, |(epoch, _)| *epoch);
        (found, end)
    }

    /// First record below `limit` whose timestamp is `timestamp_ms` or later.
    pub(super) fn find_timestamp(&self, timestamp_ms: i64, limit: i64) -> Option<Found> {
        let candidates = self.batches.iter().filter(|batch| batch.header.max_timestamp_ms >= timestamp_ms);
        for batch in candidates.take_while(|batch| batch.header.base_offset < limit) {
            if let Some(found) = self.first_in(batch, |timestamp| timestamp >= timestamp_ms)
                && found.1 < limit
            {
                return Some(found);
            }
        }
        None
    }

    /// The first record with the largest timestamp below `limit` (KIP-734).
    pub(super) fn max_timestamp(&self, limit: i64) -> Option<Found> {
        let visible = self.batches.iter().filter(|batch| batch.header.base_offset < limit);
        let data = visible.filter(|batch| !batch.header.is_control());
        let newest = data.clone().map(|batch| batch.header.max_timestamp_ms).max()?;
        let mut holders = data.filter(|batch| batch.header.max_timestamp_ms == newest);
        self.first_in(holders.next()?, |timestamp| timestamp >= newest)
    }

    fn first_in(&self, batch: &Batch, wanted: impl Fn(i64) -> bool) -> Option<Found> {
        let epoch = batch.header.partition_leader_epoch;
        let first = batch.header.base_offset.max(self.start);
        if !batch.header.compression().is_some_and(batch::Compression::is_compiled_in) {
            return Some((batch.header.max_timestamp_ms, first, epoch));
        }
        let mut decompressor = Decompressor::default();
        let records = batch.records_with(&mut decompressor).map_while(Result::ok);
        let found = records.filter(|record| record.offset >= self.start).find(|record| wanted(record.timestamp_ms))?;
        Some((found.timestamp_ms, found.offset, epoch))
    }
}

fn joined(pieces: Vec<Bytes>) -> Bytes {
    match <[Bytes; 1]>::try_from(pieces) {
        Ok([only]) => only,
        Err(pieces) => {
            let mut all = BytesMut::with_capacity(pieces.iter().map(Bytes::len).sum());
            pieces.iter().for_each(|piece| all.extend_from_slice(piece));
            all.freeze()
        }
    }
}
