//! What one partition knows of its producers: no sequence is written twice or out of order, no old epoch writes at all.
//!
//! The rules are those of Kafka's `ProducerStateEntry` and `ProducerAppendInfo` (4.4).

use std::collections::{BTreeMap, VecDeque};

use crate::error::ErrorCode;
use crate::types::{ProducerIdentity, TransactionVersion};
use crate::wire::batch::BatchHeader;

/// Batches of one producer that a leader remembers, to answer a retry with the offset of the first try.
const BATCHES_KEPT: usize = 5;

/// One batch as a producer's entry remembers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct KeptBatch {
    pub(super) first_sequence: i32,
    pub(super) last_sequence: i32,
    pub(super) base_offset: i64,
    pub(super) timestamp_ms: i64,
}

/// One producer id on one partition.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) epoch: i16,
    pub(super) coordinator_epoch: i32,
    pub(super) last_timestamp_ms: i64,
    pub(super) batches: VecDeque<KeptBatch>,
    /// First offset of the open transaction.
    pub(super) open_since: Option<i64>,
}

impl Entry {
    fn new() -> Self {
        Self { epoch: -1, coordinator_epoch: -1, last_timestamp_ms: -1, batches: VecDeque::new(), open_since: None }
    }

    /// Sequence of the last record; -1 if no batch of this epoch is known.
    pub(super) fn last_sequence(&self) -> i32 {
        self.batches.back().map_or(-1, |batch| batch.last_sequence)
    }

    fn enter_epoch(&mut self, epoch: i16) {
        if self.epoch != epoch {
            self.batches.clear();
            self.epoch = epoch;
        }
    }

    fn remember(&mut self, batch: KeptBatch) {
        if self.batches.len() == BATCHES_KEPT {
            self.batches.pop_front();
        }
        self.batches.push_back(batch);
        self.last_timestamp_ms = batch.timestamp_ms;
    }
}

/// What a leader is to do with a batch.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// Write it.
    Append,
    /// It was written before: answer with what was answered then.
    Duplicate(KeptBatch),
}

/// A transactional batch the coordinator is asked about, or refused: none of a later sequence may come before it.
#[derive(Clone, Copy, Debug)]
struct Verification {
    epoch: i16,
    lowest_sequence: i32,
    version: TransactionVersion,
}

/// Every producer of one partition.
#[derive(Clone, Default, Debug)]
pub(super) struct Producers {
    entries: BTreeMap<i64, Entry>,
    verifications: BTreeMap<i64, Verification>,
}

/// The sequence of the last record of a batch of `count` records from `first`; wraps from `i32::MAX` to 0.
pub(super) fn last_sequence(first: i32, count: i32) -> i32 {
    let last = i64::from(first) + i64::from(count) - 1;
    let wrapped = if last > i64::from(i32::MAX) { last - i64::from(i32::MAX) - 1 } else { last };
    i32::try_from(wrapped).unwrap_or(i32::MAX)
}

fn follows(last: i32, next: i32) -> bool {
    i64::from(next) == i64::from(last) + 1 || (next == 0 && last == i32::MAX)
}

impl Producers {
    /// The entry of `producer_id`.
    pub(super) fn get(&self, producer_id: i64) -> Option<&Entry> {
        self.entries.get(&producer_id)
    }

    /// Every producer with its entry.
    pub(super) fn iter(&self) -> impl Iterator<Item = (i64, &Entry)> {
        self.entries.iter().map(|(id, entry)| (*id, entry))
    }

    /// Whether this producer has a transaction open here under this very epoch.
    pub(super) fn has_open(&self, producer: ProducerIdentity) -> bool {
        self.get(producer.producer_id)
            .is_some_and(|entry| entry.open_since.is_some() && entry.epoch == producer.producer_epoch)
    }

    /// First offset of the oldest open transaction.
    pub(super) fn first_open(&self) -> Option<i64> {
        self.entries.values().filter_map(|entry| entry.open_since).min()
    }

    /// Notes that the coordinator is asked about a batch (Kafka's `VerificationStateEntry`).
    pub(super) fn verifying(&mut self, header: &BatchHeader, version: TransactionVersion) {
        let ProducerIdentity { producer_id, producer_epoch: epoch } = header.producer;
        let new = Verification { epoch, lowest_sequence: header.base_sequence, version };
        let known = self.verifications.entry(producer_id).or_insert(new);
        if epoch > known.epoch || (epoch == known.epoch && new.lowest_sequence < known.lowest_sequence) {
            (known.epoch, known.lowest_sequence) = (epoch, new.lowest_sequence);
        }
    }

    /// Whether a client's batch may be written. `first_of_v2` says that its transaction (TV2) begins here with it.
    pub(super) fn admit(&self, header: &BatchHeader, first_of_v2: bool) -> Result<Admission, ErrorCode> {
        let unknown = Entry::new();
        let entry = self.get(header.producer.producer_id).unwrap_or(&unknown);
        let epoch = header.producer.producer_epoch;
        let last = last_sequence(header.base_sequence, header.record_count);
        if epoch == entry.epoch {
            let same = |kept: &&KeptBatch| kept.first_sequence == header.base_sequence && kept.last_sequence == last;
            if let Some(kept) = entry.batches.iter().find(same) {
                return Ok(Admission::Duplicate(*kept));
            }
        }
        if epoch < entry.epoch {
            return Err(ErrorCode::INVALID_PRODUCER_EPOCH);
        }
        let verification = self.verifications.get(&header.producer.producer_id);
        if verification.is_some_and(|verification| header.base_sequence > verification.lowest_sequence) {
            return Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER);
        }
        check_sequence(entry, epoch, header.base_sequence, first_of_v2)?;
        if entry.open_since.is_some() && !header.is_transactional() {
            return Err(ErrorCode::INVALID_TXN_STATE);
        }
        Ok(Admission::Append)
    }

    /// Remembers a batch that was written at `base_offset`.
    pub(super) fn written(&mut self, header: &BatchHeader, base_offset: i64) {
        let entry = self.entries.entry(header.producer.producer_id).or_insert_with(Entry::new);
        entry.enter_epoch(header.producer.producer_epoch);
        entry.remember(KeptBatch {
            first_sequence: header.base_sequence,
            last_sequence: last_sequence(header.base_sequence, header.record_count),
            base_offset,
            timestamp_ms: header.max_timestamp_ms,
        });
        if header.is_transactional() {
            entry.open_since.get_or_insert(base_offset);
            self.verifications.remove(&header.producer.producer_id);
        }
    }

    /// Whether a marker may be written.
    pub(super) fn admit_marker(
        &self,
        producer: ProducerIdentity,
        version: TransactionVersion,
    ) -> Result<(), ErrorCode> {
        let Some(entry) = self.get(producer.producer_id) else { return Ok(()) };
        let too_old = match version {
            TransactionVersion::V1 => producer.producer_epoch < entry.epoch,
            // The coordinator bumps the epoch before it writes markers; an equal epoch is a marker written twice.
            TransactionVersion::V2 => {
                producer.producer_epoch < entry.epoch
                    || (producer.producer_epoch == entry.epoch && entry.open_since.is_some())
            }
        };
        if too_old { Err(ErrorCode::INVALID_PRODUCER_EPOCH) } else { Ok(()) }
    }

    /// Ends the producer's transaction by a marker; first offset of what it ended, if there was one.
    pub(super) fn marked(&mut self, producer: ProducerIdentity, coordinator_epoch: i32, now_ms: i64) -> Option<i64> {
        let entry = self.entries.entry(producer.producer_id).or_insert_with(Entry::new);
        entry.enter_epoch(producer.producer_epoch);
        entry.coordinator_epoch = coordinator_epoch;
        entry.last_timestamp_ms = now_ms;
        // The marker of version 2 carries the next transaction's epoch, and that one may be under way.
        let is_of_next = |v: &Verification| v.version == TransactionVersion::V2 && v.epoch == producer.producer_epoch;
        if !self.verifications.get(&producer.producer_id).is_some_and(is_of_next) {
            self.verifications.remove(&producer.producer_id);
        }
        entry.open_since.take()
    }

    /// Forgets one producer, as expiry (`producer.id.expiration.ms`) does.
    pub(super) fn forget(&mut self, producer_id: i64) {
        self.entries.remove(&producer_id);
        self.verifications.remove(&producer_id);
    }
}

fn check_sequence(entry: &Entry, epoch: i16, first: i32, first_of_v2: bool) -> Result<(), ErrorCode> {
    let unknown = entry.epoch == -1;
    let in_order = if first_of_v2 && entry.batches.is_empty() && first != 0 {
        false
    } else if epoch != entry.epoch {
        first == 0 || unknown
    } else {
        // Every record of the producer may have been deleted: then any sequence is a beginning.
        unknown || follows(entry.last_sequence(), first)
    };
    if in_order { Ok(()) } else { Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, sequence: i32, count: i32) -> BatchHeader {
        BatchHeader {
            base_offset: 0,
            batch_length: 0,
            partition_leader_epoch: -1,
            crc: 0,
            attributes: 0,
            last_offset_delta: count - 1,
            base_timestamp_ms: 0,
            max_timestamp_ms: 7,
            producer: ProducerIdentity { producer_id: 1, producer_epoch: epoch },
            base_sequence: sequence,
            record_count: count,
        }
    }

    fn write(producers: &mut Producers, header: BatchHeader, offset: i64) {
        assert_eq!(producers.admit(&header, false), Ok(Admission::Append));
        producers.written(&header, offset);
    }

    #[test]
    fn a_retry_of_the_last_five_batches_gets_the_first_offset() {
        let mut producers = Producers::default();
        for n in 0..6 {
            write(&mut producers, batch(0, n * 10, 10), i64::from(n) * 10);
        }
        for n in 1..6 {
            let Ok(Admission::Duplicate(kept)) = producers.admit(&batch(0, n * 10, 10), false) else {
                panic!("batch {n} is remembered")
            };
            assert_eq!(kept.base_offset, i64::from(n) * 10);
        }
        let sixth_last = producers.admit(&batch(0, 0, 10), false);
        assert_eq!(sixth_last, Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
    }

    #[test]
    fn sequences_have_no_gap_and_wrap_to_zero() {
        let mut producers = Producers::default();
        // An unknown producer may begin anywhere: its records may have been deleted.
        write(&mut producers, batch(0, i32::MAX - 1, 2), 0);
        assert_eq!(producers.admit(&batch(0, 1, 1), false), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        write(&mut producers, batch(0, 0, 3), 2);
        assert_eq!(producers.admit(&batch(0, 4, 1), false), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        write(&mut producers, batch(0, 3, 1), 5);
    }

    #[test]
    fn a_batch_across_the_wrap_ends_behind_zero() {
        assert_eq!(last_sequence(i32::MAX, 1), i32::MAX);
        assert_eq!(last_sequence(i32::MAX, 3), 1);
        let mut producers = Producers::default();
        write(&mut producers, batch(0, i32::MAX, 3), 0);
        write(&mut producers, batch(0, 2, 1), 3);
    }

    #[test]
    fn a_new_epoch_begins_at_zero_and_fences_the_old_one() {
        let mut producers = Producers::default();
        write(&mut producers, batch(3, 0, 5), 0);
        assert_eq!(producers.admit(&batch(4, 5, 1), false), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        write(&mut producers, batch(4, 0, 1), 5);
        assert_eq!(producers.admit(&batch(3, 5, 1), false), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
        assert_eq!(producers.admit(&batch(3, 0, 5), false), Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    }

    #[test]
    fn a_plain_batch_inside_a_transaction_is_refused() {
        let mut producers = Producers::default();
        write(&mut producers, BatchHeader { attributes: 16, ..batch(0, 0, 1) }, 0);
        assert_eq!(producers.admit(&batch(0, 1, 1), false), Err(ErrorCode::INVALID_TXN_STATE));
        assert_eq!(producers.first_open(), Some(0));
    }

    #[test]
    fn nothing_overtakes_a_batch_the_coordinator_refused_until_a_marker() {
        let mut producers = Producers::default();
        write(&mut producers, BatchHeader { attributes: 16, ..batch(0, 0, 1) }, 0);
        producers.verifying(&BatchHeader { attributes: 16, ..batch(1, 0, 1) }, TransactionVersion::V1);
        assert_eq!(producers.admit(&batch(0, 1, 1), false), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        producers.marked(ProducerIdentity { producer_id: 1, producer_epoch: 0 }, 0, 9);
        assert_eq!(producers.admit(&batch(0, 1, 1), false), Ok(Admission::Append));
    }

    #[test]
    fn a_late_marker_of_version_2_does_not_end_the_next_transaction() {
        let mut producers = Producers::default();
        write(&mut producers, BatchHeader { attributes: 16, ..batch(0, 0, 1) }, 0);
        let bumped = ProducerIdentity { producer_id: 1, producer_epoch: 1 };
        assert_eq!(producers.admit_marker(bumped, TransactionVersion::V2), Ok(()));
        assert_eq!(producers.marked(bumped, 0, 9), Some(0));
        assert_eq!(producers.admit_marker(bumped, TransactionVersion::V2), Ok(()), "nothing is open: harmless");
        write(&mut producers, BatchHeader { attributes: 16, ..batch(1, 0, 1) }, 2);
        let late = producers.admit_marker(bumped, TransactionVersion::V2);
        assert_eq!(late, Err(ErrorCode::INVALID_PRODUCER_EPOCH));
    }

    #[test]
    fn a_marker_of_version_1_keeps_the_sequences() {
        let mut producers = Producers::default();
        write(&mut producers, BatchHeader { attributes: 16, ..batch(0, 0, 4) }, 0);
        let same = ProducerIdentity { producer_id: 1, producer_epoch: 0 };
        producers.marked(same, 0, 9);
        write(&mut producers, BatchHeader { attributes: 16, ..batch(0, 4, 1) }, 5);
    }

    #[test]
    fn a_transaction_of_version_2_begins_at_sequence_zero() {
        let mut producers = Producers::default();
        let header = BatchHeader { attributes: 16, ..batch(0, 7, 1) };
        assert_eq!(producers.admit(&header, true), Err(ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER));
        assert_eq!(producers.admit(&header, false), Ok(Admission::Append));
        producers.forget(1);
    }
}
