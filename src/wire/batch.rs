//! Record batches v2 (KIP-98): records encoded straight into their batch, and read back as views of the frame.

use bytes::Bytes;

use crate::record::{NewRecord, Record, TimestampType};
use crate::types::ProducerIdentity;

/// Bytes of a batch before its first record.
pub const BATCH_HEADER_LEN: usize = 61;

/// How a batch's records are compressed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy in xerial's framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

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
        match self.attributes & 7 {
            0 => Some(Compression::None),
            1 => Some(Compression::Gzip),
            2 => Some(Compression::Snappy),
            3 => Some(Compression::Lz4),
            4 => Some(Compression::Zstd),
            _ => None,
        }
    }

    /// Who wrote the timestamps.
    pub fn timestamp_type(&self) -> TimestampType {
        if self.attributes & 8 == 0 { TimestampType::CreateTime } else { TimestampType::LogAppendTime }
    }

    /// Whether it belongs to a transaction.
    pub fn is_transactional(&self) -> bool {
        self.attributes & 16 != 0
    }

    /// Whether it holds a marker instead of records.
    pub fn is_control(&self) -> bool {
        self.attributes & 32 != 0
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
        usize::try_from(self.batch_length).unwrap_or(0).saturating_add(12)
    }
}

/// What is wrong with a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchFault {
    /// Its base offset.
    pub base_offset: i64,
    /// What is wrong.
    pub reason: String,
}

/// Who a sealed batch says it is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerStamp {
    /// Producer id and epoch; [`ProducerIdentity::NONE`] without idempotence.
    pub producer: ProducerIdentity,
    /// Sequence of the first record; -1 without idempotence.
    pub base_sequence: i32,
    /// Whether it belongs to a transaction.
    pub is_transactional: bool,
}

/// An open batch: records are encoded into one buffer as they come, the header is patched when it is sealed.
#[derive(Debug)]
pub struct BatchBuilder {}

/// The batch has no room for the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BatchFull;

impl BatchBuilder {
    /// An empty batch that closes at `max_bytes`, header included, in `buffer` (cleared, its allocation reused).
    ///
    /// The first record is taken whatever its size; the caller has checked it against the largest request.
    pub fn new(_buffer: Vec<u8>, _max_bytes: usize) -> Self {
        todo!()
    }

    /// Encodes a record behind the others and returns its index in the batch.
    ///
    /// `timestamp_ms` is used where the record has none. Costs one copy of key and value, no allocation while the
    /// buffer has room. Fails without effect if the batch has no room.
    pub fn append(&mut self, _record: &NewRecord<'_>, _timestamp_ms: i64) -> Result<u32, BatchFull> {
        todo!()
    }

    /// Bytes so far, header included.
    pub fn wire_len(&self) -> usize {
        todo!()
    }

    /// Bytes the buffer holds allocated.
    pub fn capacity(&self) -> usize {
        todo!()
    }

    /// Records so far.
    pub fn record_count(&self) -> u32 {
        todo!()
    }

    /// Whether no record is in it yet.
    pub fn is_empty(&self) -> bool {
        self.record_count() == 0
    }

    /// Patches header and checksum. The bytes never change afterwards.
    pub fn seal(self, _stamp: ProducerStamp) -> Vec<u8> {
        todo!()
    }
}

/// The most a record can take in a batch, so that one which cannot fit is refused before it is buffered.
pub fn record_size_upper_bound(_record: &NewRecord<'_>) -> usize {
    todo!()
}

/// A copy of a sealed batch under another stamp, for a batch that is known not to have been written.
///
/// `None` if `batch` is not one whole batch.
pub fn restamp(_batch: &[u8], _stamp: ProducerStamp) -> Option<Vec<u8>> {
    todo!()
}

/// A copy of a sealed batch as a leader stores it: base offset, leader epoch and, with LogAppendTime, the time. For brokers.
///
/// `None` if `batch` is not one whole batch.
pub fn assign_offsets(
    _batch: &[u8],
    _base_offset: i64,
    _leader_epoch: i32,
    _log_append_time_ms: Option<i64>,
) -> Option<Vec<u8>> {
    todo!()
}

/// The kind of a control batch's marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlKind {
    /// The transaction was aborted.
    Abort,
    /// The transaction was committed.
    Commit,
    /// A marker of another kind (leader change, snapshot); readers skip it.
    Other(i16),
}

/// A control batch with one marker, as a transaction coordinator has the partition's leader write it. For brokers.
pub fn control_batch(
    _producer: ProducerIdentity,
    _kind: ControlKind,
    _coordinator_epoch: i32,
    _timestamp_ms: i64,
) -> Vec<u8> {
    todo!()
}

/// Walks the batches of a fetched partition. A partial batch at the end is legal and ends the walk.
#[derive(Clone, Debug)]
pub struct Batches {
    _data: Bytes,
}

impl Batches {
    /// The batches in `data`.
    pub fn new(data: Bytes) -> Self {
        Self { _data: data }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchFault>;

    /// The next whole batch; checks its header and length, not yet its checksum. After a fault the walk ends.
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}

/// One whole batch: its header and its bytes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The header.
    pub header: BatchHeader,
    /// All its bytes from the base offset on; a slice of the frame.
    pub bytes: Bytes,
}

impl Batch {
    /// Whether the checksum is right.
    pub fn verify_crc(&self) -> Result<(), BatchFault> {
        todo!()
    }

    /// Walks the records, which must not be compressed. A fault ends the walk.
    pub fn records(&self) -> Records<'_> {
        todo!()
    }

    /// The kind of a control batch.
    pub fn control_kind(&self) -> Result<ControlKind, BatchFault> {
        todo!()
    }
}

/// Lazy walk over the records of one batch, each a view of the frame.
#[derive(Debug)]
pub struct Records<'a> {
    _bytes: &'a [u8],
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BatchFault>;

    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
