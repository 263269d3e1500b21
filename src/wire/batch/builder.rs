//! The open batch: every record is encoded once, where it will be sent from, and the header is patched at the end.

use crate::record::NewRecord;
use crate::types::{Compression, ProducerIdentity};
use crate::wire::codec::Compressor;

use super::encode::Measured;
use super::header::{self, LENGTH_PREFIX};
use super::{BATCH_HEADER_LEN, ProducerStamp};

/// The first buffer of a batch that was given none: ten thousand open partitions stay cheap.
const FIRST_BYTES: usize = 1024;

/// An open batch: records are encoded into one buffer as they come, the header is patched when it is sealed.
#[derive(Debug)]
pub struct BatchBuilder {
    /// As long as what may be written without growing; `len` bytes of it are the batch.
    buffer: Vec<u8>,
    len: usize,
    max_bytes: usize,
    record_count: u32,
    base_timestamp_ms: i64,
    max_timestamp_ms: i64,
    compression: Compression,
}

/// The batch has no room for the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchFull;

impl BatchBuilder {
    /// An empty batch that closes at `max_bytes`, header included, in `buffer` (its content dropped, its allocation
    /// reused and doubled up to `max_bytes` as records come).
    ///
    /// The first record is taken whatever its size; the caller has checked it against the largest request.
    pub fn new(mut buffer: Vec<u8>, max_bytes: usize) -> Self {
        // What the buffer holds is overwritten before it is sealed: clearing it would only write it twice.
        if buffer.len() < BATCH_HEADER_LEN {
            if buffer.capacity() < BATCH_HEADER_LEN {
                buffer.reserve_exact(FIRST_BYTES);
            }
            buffer.resize(BATCH_HEADER_LEN, 0);
        }
        Self {
            buffer,
            len: BATCH_HEADER_LEN,
            max_bytes,
            record_count: 0,
            base_timestamp_ms: -1,
            max_timestamp_ms: -1,
            compression: Compression::None,
        }
    }

    /// Encodes a record behind the others and returns its index in the batch.
    ///
    /// `timestamp_ms` is used where the record has none. Costs one copy of key and value, no allocation while the
    /// buffer has room. Fails without effect if the batch has no room, or if the record's length, its index or the
    /// batch's length would exceed `i32::MAX`, which no batch can carry.
    #[inline]
    pub fn append(&mut self, record: &NewRecord<'_>, timestamp_ms: i64) -> Result<u32, BatchFull> {
        let timestamp_ms = record.timestamp_ms.unwrap_or(timestamp_ms);
        let index = self.record_count;
        let base = if index == 0 { timestamp_ms } else { self.base_timestamp_ms };
        let measured = Measured::new(record, timestamp_ms.wrapping_sub(base), index);
        let end = self.end_of(measured.wire_len()).ok_or(BatchFull)?;
        if end > self.buffer.len() {
            self.grow(end);
        }
        measured.write(&mut self.buffer[self.len..end]);
        self.len = end;
        self.record_count = index + 1;
        self.base_timestamp_ms = base;
        self.max_timestamp_ms = if index == 0 { timestamp_ms } else { self.max_timestamp_ms.max(timestamp_ms) };
        Ok(index)
    }

    /// Compresses the records, after which no more can be appended.
    ///
    /// Leaves them as they are where their compressed form would not fit the buffer, which then has to hold no more
    /// than was appended: a batch never outgrows the memory that was set aside for it. Allocates nothing.
    pub fn compress(&mut self, compressor: &mut Compressor) {
        let records = self.buffer.get(BATCH_HEADER_LEN..self.len).unwrap_or_default();
        if records.is_empty() || self.compression != Compression::None {
            return;
        }
        let Some(packed) = compressor.compress(records) else { return };
        if BATCH_HEADER_LEN + packed.len() > self.buffer.capacity() {
            return;
        }
        self.buffer.truncate(BATCH_HEADER_LEN);
        self.buffer.extend_from_slice(packed);
        self.len = self.buffer.len();
        self.compression = compressor.codec();
        // Nothing but a first record is taken above the limit.
        self.max_bytes = 0;
    }

    /// Bytes at which it is full, header included.
    pub fn max_bytes(&self) -> usize {
        self.max_bytes
    }

    /// How its records are compressed by now.
    pub fn compression(&self) -> Compression {
        self.compression
    }

    /// Bytes so far, header included.
    pub fn wire_len(&self) -> usize {
        self.len
    }

    /// Bytes the buffer holds allocated.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        self.record_count
    }

    /// Whether no record is in it yet.
    pub fn is_empty(&self) -> bool {
        self.record_count() == 0
    }

    /// Patches header and checksum. The bytes never change afterwards.
    pub fn seal(self, stamp: ProducerStamp) -> Vec<u8> {
        let attributes = if stamp.is_transactional { header::TRANSACTIONAL } else { 0 };
        self.seal_as(stamp, attributes)
    }

    pub(super) fn seal_as(mut self, stamp: ProducerStamp, attributes: i16) -> Vec<u8> {
        self.buffer.truncate(self.len);
        let batch = &mut self.buffer[..];
        let attributes = attributes | self.compression.code();
        // `append` has kept the length and the count within i32.
        let length = (self.len - LENGTH_PREFIX) as i32;
        let last_offset_delta = self.record_count.saturating_sub(1) as i32;
        let ProducerIdentity { producer_id, producer_epoch } = stamp.producer;
        header::patch(batch, 0, 0i64.to_be_bytes());
        header::patch(batch, header::AT_LENGTH, length.to_be_bytes());
        header::patch(batch, header::AT_LEADER_EPOCH, (-1i32).to_be_bytes());
        header::patch(batch, header::AT_MAGIC, [2]);
        header::patch(batch, header::AT_ATTRIBUTES, attributes.to_be_bytes());
        header::patch(batch, header::AT_LAST_OFFSET_DELTA, last_offset_delta.to_be_bytes());
        header::patch(batch, header::AT_BASE_TIMESTAMP, self.base_timestamp_ms.to_be_bytes());
        header::patch(batch, header::AT_MAX_TIMESTAMP, self.max_timestamp_ms.to_be_bytes());
        header::patch(batch, header::AT_PRODUCER_ID, producer_id.to_be_bytes());
        header::patch(batch, header::AT_PRODUCER_EPOCH, producer_epoch.to_be_bytes());
        header::patch(batch, header::AT_BASE_SEQUENCE, stamp.base_sequence.to_be_bytes());
        header::patch(batch, header::AT_RECORD_COUNT, self.record_count.to_be_bytes());
        header::patch_crc(batch);
        self.buffer
    }

    /// Where a record of `wire_len` bytes would end, if it may come in.
    #[inline]
    fn end_of(&self, wire_len: Option<usize>) -> Option<usize> {
        let end = self.len.checked_add(wire_len?)?;
        let max = if self.record_count == 0 { i32::MAX as usize } else { self.max_bytes.min(i32::MAX as usize) };
        (end <= max && self.record_count < i32::MAX as u32).then_some(end)
    }

    /// Makes room up to `end` at least: twice what was open, first within the allocation, then by a larger one.
    #[cold]
    fn grow(&mut self, end: usize) {
        let doubled = self.buffer.len().saturating_mul(2).max(FIRST_BYTES);
        let open = if end <= self.buffer.capacity() {
            doubled.min(self.buffer.capacity())
        } else {
            doubled.max(self.buffer.capacity().saturating_mul(2)).min(self.max_bytes)
        };
        let open = open.max(end);
        self.buffer.reserve_exact(open - self.buffer.len());
        self.buffer.resize(open, 0);
    }
}
