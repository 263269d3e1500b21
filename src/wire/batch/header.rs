//! The fixed 61 bytes of a batch: read and checked without touching the records, patched in place.

use crate::record::TimestampType;
use crate::types::ProducerIdentity;

use crate::wire::crc32c;

use super::{BATCH_HEADER_LEN, BatchFault, Compression};

/// Bytes of the base offset and the length itself, which the length does not count.
pub(super) const LENGTH_PREFIX: usize = 12;
/// The smallest length a batch without records can have.
const MIN_LENGTH: i32 = (BATCH_HEADER_LEN - LENGTH_PREFIX) as i32;

pub(super) const AT_LENGTH: usize = 8;
pub(super) const AT_LEADER_EPOCH: usize = 12;
pub(super) const AT_MAGIC: usize = 16;
pub(super) const AT_CRC: usize = 17;
/// Where the checksummed bytes begin.
pub(super) const AT_ATTRIBUTES: usize = 21;
pub(super) const AT_LAST_OFFSET_DELTA: usize = 23;
pub(super) const AT_BASE_TIMESTAMP: usize = 27;
pub(super) const AT_MAX_TIMESTAMP: usize = 35;
pub(super) const AT_PRODUCER_ID: usize = 43;
pub(super) const AT_PRODUCER_EPOCH: usize = 51;
pub(super) const AT_BASE_SEQUENCE: usize = 53;
pub(super) const AT_RECORD_COUNT: usize = 57;

/// The bits of the attributes that say how the records are compressed.
pub(super) const COMPRESSION: i16 = 7;
pub(super) const LOG_APPEND_TIME: i16 = 8;
pub(super) const TRANSACTIONAL: i16 = 16;
pub(super) const CONTROL: i16 = 32;

/// The fixed part of a batch, read without touching its records.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchHeader {
    /// Offset of the first record as written; compaction may have removed it.
    pub base_offset: i64,
    /// Bytes after the length field.
    pub batch_length: i32,
    /// Epoch of the leader that wrote it (-1 from a producer).
    pub partition_leader_epoch: i32,
    /// CRC-32C of everything after the checksum.
    pub crc: u32,
    /// Compression, timestamp type, transactional, control and delete-horizon bits.
    pub attributes: i16,
    /// Last offset minus `base_offset`, kept by compaction.
    pub last_offset_delta: i32,
    /// Timestamp of the first record.
    pub base_timestamp_ms: i64,
    /// Largest timestamp, or the broker's with LogAppendTime.
    pub max_timestamp_ms: i64,
    /// Who wrote it; -1/-1 without idempotence.
    pub producer: ProducerIdentity,
    /// Sequence of the first record; -1 without idempotence.
    pub base_sequence: i32,
    /// Records in the batch; 0 after compaction removed them all.
    pub record_count: i32,
}

impl BatchHeader {
    /// How the records are compressed; `None` (the option) for a number Kafka does not define.
    pub fn compression(&self) -> Option<Compression> {
        Compression::of_code(self.attributes & COMPRESSION)
    }

    /// Who wrote the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & LOG_APPEND_TIME == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    /// Whether it holds a marker instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }

    /// Offset of the last record as written.
    pub fn last_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta))
    }

    /// The offset a reader goes on from.
    pub fn next_offset(&self) -> i64 {
        self.last_offset().saturating_add(1)
    }

    /// Bytes of the whole batch, offset and length fields included.
    pub fn total_len(&self) -> usize {
        usize::try_from(self.batch_length).unwrap_or(0).saturating_add(LENGTH_PREFIX)
    }

    /// The header of the batch `data` begins with; `None` if `data` ends before the batch does.
    ///
    /// A returned header has a length that fits `data`, and offsets and a count that lead a reader forward.
    pub(super) fn parse(data: &[u8]) -> Result<Option<BatchHeader>, BatchFault> {
        let (Some(base_offset), Some(length)) = (at(data, 0), at(data, AT_LENGTH)) else { return Ok(None) };
        let (base_offset, length) = (i64::from_be_bytes(base_offset), i32::from_be_bytes(length));
        let fault = |reason| Err(BatchFault { base_offset, reason });
        match data.get(AT_MAGIC) {
            None | Some(2) => {}
            Some(magic @ 0..=1) => {
                return fault(format!("magic {magic}: message sets from before Kafka 0.11 are not supported"));
            }
            Some(magic) => return fault(format!("magic {}: not a batch format Kafka has", *magic as i8)),
        }
        if length < MIN_LENGTH {
            return fault(format!("length {length} is less than the {MIN_LENGTH} bytes of its header"));
        }
        let whole = usize::try_from(length).ok().and_then(|l| data.get(..l.checked_add(LENGTH_PREFIX)?));
        let Some(header) = whole.and_then(Self::read) else { return Ok(None) };
        match header.nonsense() {
            Some(reason) => fault(reason),
            None => Ok(Some(header)),
        }
    }

    fn read(data: &[u8]) -> Option<BatchHeader> {
        Some(BatchHeader {
            base_offset: i64::from_be_bytes(at(data, 0)?),
            batch_length: i32::from_be_bytes(at(data, AT_LENGTH)?),
            partition_leader_epoch: i32::from_be_bytes(at(data, AT_LEADER_EPOCH)?),
            crc: u32::from_be_bytes(at(data, AT_CRC)?),
            attributes: i16::from_be_bytes(at(data, AT_ATTRIBUTES)?),
            last_offset_delta: i32::from_be_bytes(at(data, AT_LAST_OFFSET_DELTA)?),
            base_timestamp_ms: i64::from_be_bytes(at(data, AT_BASE_TIMESTAMP)?),
            max_timestamp_ms: i64::from_be_bytes(at(data, AT_MAX_TIMESTAMP)?),
            producer: ProducerIdentity {
                producer_id: i64::from_be_bytes(at(data, AT_PRODUCER_ID)?),
                producer_epoch: i16::from_be_bytes(at(data, AT_PRODUCER_EPOCH)?),
            },
            base_sequence: i32::from_be_bytes(at(data, AT_BASE_SEQUENCE)?),
            record_count: i32::from_be_bytes(at(data, AT_RECORD_COUNT)?),
        })
    }

    /// What would lead a reader backwards, in place, or past the last offset there can be.
    fn nonsense(&self) -> Option<String> {
        if self.base_offset < 0 || self.last_offset_delta < 0 || self.next_offset() <= self.last_offset() {
            return Some(format!("offsets from {} by {}", self.base_offset, self.last_offset_delta));
        }
        (self.record_count < 0).then(|| format!("record count {}", self.record_count))
    }
}

fn at<const N: usize>(data: &[u8], position: usize) -> Option<[u8; N]> {
    data.get(position..)?.first_chunk().copied()
}

/// Overwrites the bytes at `position`, which lie inside the header of a buffer known to hold one.
pub(super) fn patch<const N: usize>(batch: &mut [u8], position: usize, bytes: [u8; N]) {
    batch[position..position + N].copy_from_slice(&bytes);
}

/// Checksums everything behind the checksum, in a buffer known to hold a header.
pub(super) fn patch_crc(batch: &mut [u8]) {
    let crc = crc32c(&batch[AT_ATTRIBUTES..]);
    patch(batch, AT_CRC, crc.to_be_bytes());
}
