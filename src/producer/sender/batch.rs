//! A closed batch: stamped when it is first sent, its bytes unchanged from then on, resolved once.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::super::delivery::{Completion, Outcome};
use super::super::packer::{Packer, Ratio};
use crate::error::Error;
use crate::record::{Header, NewRecord, Record};
use crate::types::ProducerIdentity;
use crate::wire::batch::{BATCH_HEADER_LEN, BatchBuilder, Batches, ProducerStamp, restamp};
use crate::wire::codec::{Decompressor, Plain};

/// A batch that takes no more records.
#[derive(Debug)]
pub(in crate::producer) struct Batch {
    /// What its records wait for.
    pub completion: Arc<Completion>,
    /// Bytes of the budget it holds.
    pub charged: usize,
    /// The flush that was the next when it was closed.
    pub flush: u64,
    /// When it fails if it has not been acknowledged.
    pub deadline: Instant,
    pub records: u32,
    pub(super) ordinal: Ordinal,
    /// Who it says it is from, once it was sent; a batch that must be sent under another stamp has none.
    pub(super) stamp: Option<ProducerStamp>,
    /// Whether some attempt may have written it although no answer said so.
    pub(super) is_ambiguous: bool,
    pub(super) attempts: u32,
    /// Why the last attempt failed.
    pub(super) cause: Option<Error>,
    contents: Contents,
}

#[derive(Debug)]
enum Contents {
    Open(BatchBuilder),
    Sealed(Bytes),
}

/// A batch's place among those of its producer. Parts of a split batch share the place of the whole, in order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Ordinal {
    at: u128,
    width: u128,
}

impl Ordinal {
    pub(super) fn whole(number: u64) -> Self {
        Self { at: u128::from(number) << 64, width: 1 << 64 }
    }

    fn part(self, index: usize, count: usize) -> Self {
        let width = self.width / count.max(1) as u128;
        Self { at: self.at + width * index as u128, width }
    }
}

/// The range of sequences a batch took, which no other batch may take again.
pub(super) fn next_sequence(sequence: i32, records: u32) -> i32 {
    // From i32::MAX the sequence goes on at 0, as the broker expects.
    ((i64::from(sequence) + i64::from(records)) & i64::from(i32::MAX)) as i32
}

impl Batch {
    pub(in crate::producer) fn new(builder: BatchBuilder, completion: Arc<Completion>, deadline: Instant) -> Self {
        Self {
            completion,
            charged: 0,
            flush: 0,
            deadline,
            records: builder.record_count(),
            ordinal: Ordinal::whole(0),
            stamp: None,
            is_ambiguous: false,
            attempts: 0,
            cause: None,
            contents: Contents::Open(builder),
        }
    }

    /// Bytes on the wire.
    pub(super) fn wire_len(&self) -> usize {
        match &self.contents {
            Contents::Open(builder) => builder.wire_len(),
            Contents::Sealed(bytes) => bytes.len(),
        }
    }

    /// Its bytes under the stamp it has, or under `stamp` if it has none yet.
    pub(super) fn seal(&mut self, stamp: ProducerStamp) -> Bytes {
        if self.stamp.is_some()
            && let Contents::Sealed(bytes) = &self.contents
        {
            return bytes.clone();
        }
        self.stamp = Some(stamp);
        let empty = Contents::Sealed(Bytes::new());
        let sealed = match std::mem::replace(&mut self.contents, empty) {
            Contents::Open(builder) => Bytes::from(builder.seal(stamp)),
            // What we sealed ourselves is one whole batch.
            Contents::Sealed(bytes) => restamp(&bytes, stamp).map_or(bytes, Bytes::from),
        };
        self.contents = Contents::Sealed(sealed.clone());
        sealed
    }

    /// Ends it: its records learn the outcome, its buffer comes back if nobody else looks at it.
    pub(in crate::producer) fn resolve(self, outcome: Outcome) -> Option<Vec<u8>> {
        self.completion.resolve(outcome);
        match self.contents {
            Contents::Sealed(bytes) if bytes.is_unique() => Some(Vec::from(bytes)),
            _ => None,
        }
    }

    /// Key and value sizes of a lone record, for the message that says why it is refused.
    pub(super) fn sizes(&self) -> String {
        let Contents::Sealed(bytes) = &self.contents else { return String::new() };
        let batch = Batches::new(bytes.clone()).next().and_then(Result::ok);
        // What was compressed here may be decompressed here, whatever its size.
        let mut decompressor = Decompressor::new(usize::MAX);
        let sizes = batch
            .as_ref()
            .and_then(|b| b.records_with(&mut decompressor).next())
            .and_then(Result::ok)
            .map(|r| (r.key.map_or(0, <[u8]>::len), r.value.map_or(0, <[u8]>::len)));
        sizes.map_or(String::new(), |(key, value)| format!("a record with a key of {key} and a value of {value} bytes"))
    }

    /// The same records as several batches of about half its size, each with the index of its first record.
    ///
    /// The halves are of what the records take before they are compressed; each part is compressed like the whole.
    /// `None` if it holds one record only.
    pub(super) fn split(&self, packer: &Packer) -> Option<Vec<(u32, Batch)>> {
        let Contents::Sealed(bytes) = &self.contents else { return None };
        let batch = Batches::new(bytes.clone()).next()?.ok()?;
        let (mut decompressor, mut plain) = (Decompressor::new(usize::MAX), Plain::new());
        batch.decompress_into(&mut decompressor, &mut plain).ok()?;
        let limit = ((BATCH_HEADER_LEN + plain.bytes().len()) / 2).max(BATCH_HEADER_LEN);
        let mut parts: Vec<(u32, BatchBuilder)> = Vec::new();
        for (index, record) in (0u32..).zip(batch.records_in(plain.bytes())) {
            let record = record.ok()?;
            let is_placed = parts.last_mut().is_some_and(|(_, builder)| append(builder, &record).is_some());
            if !is_placed {
                let mut builder = BatchBuilder::new(Vec::new(), limit);
                append(&mut builder, &record)?;
                parts.push((index, builder));
            }
        }
        parts.iter_mut().for_each(|(_, builder)| packer.pack(builder, &Ratio::default()));
        let count = parts.len();
        let part = |(i, (first, builder))| (first, self.part(builder, self.ordinal.part(i, count)));
        (count > 1).then(|| parts.into_iter().enumerate().map(part).collect())
    }

    fn part(&self, builder: BatchBuilder, ordinal: Ordinal) -> Batch {
        let completion = Completion::new(self.completion.partition());
        let flush = self.flush;
        let charged = builder.capacity();
        Batch { charged, flush, ordinal, ..Batch::new(builder, completion, self.deadline) }
    }
}

fn append(builder: &mut BatchBuilder, record: &Record<'_>) -> Option<u32> {
    let headers: Vec<Header<'_>> = record.headers.into_iter().collect();
    let timestamp_ms = Some(record.timestamp_ms);
    let record = NewRecord { key: record.key, value: record.value, headers: &headers, timestamp_ms, partition: None };
    builder.append(&record, record.timestamp_ms.unwrap_or(-1)).ok()
}

/// The stamp of a producer without idempotence.
pub(super) const NO_STAMP: ProducerStamp =
    ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_from_the_largest_to_zero() {
        assert_eq!(next_sequence(0, 3), 3);
        assert_eq!(next_sequence(i32::MAX, 1), 0);
        assert_eq!(next_sequence(i32::MAX - 1, 5), 3);
    }
}
