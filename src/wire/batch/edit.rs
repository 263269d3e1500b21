//! What others than the producer write: a batch under another stamp, as a leader stores it, and control markers.

use crate::record::NewRecord;
use crate::types::ProducerIdentity;

use super::header::{self, BatchHeader};
use super::{Batch, BatchBuilder, BatchFault, ProducerStamp};

/// Bytes of a marker batch: header, record, key and value.
const MARKER_BYTES: usize = 128;

/// A copy of a sealed batch under another stamp, for a batch that is known not to have been written.
///
/// `None` if `batch` is not one whole batch.
pub fn restamp(batch: &[u8], stamp: ProducerStamp) -> Option<Vec<u8>> {
    let header = one_whole(batch)?;
    let transactional = if stamp.is_transactional { header::TRANSACTIONAL } else { 0 };
    let attributes = header.attributes & !header::TRANSACTIONAL | transactional;
    let mut copy = batch.to_vec();
    header::patch(&mut copy, header::AT_ATTRIBUTES, attributes.to_be_bytes());
    header::patch(&mut copy, header::AT_PRODUCER_ID, stamp.producer.producer_id.to_be_bytes());
    header::patch(&mut copy, header::AT_PRODUCER_EPOCH, stamp.producer.producer_epoch.to_be_bytes());
    header::patch(&mut copy, header::AT_BASE_SEQUENCE, stamp.base_sequence.to_be_bytes());
    header::patch_crc(&mut copy);
    Some(copy)
}

/// A copy of a sealed batch as a leader stores it: base offset, leader epoch and, with LogAppendTime, the time. For brokers.
///
/// `None` if `batch` is not one whole batch. The checksum does not cover offset and epoch: it is computed anew only
/// with a time, so damage on the way is not covered up without one.
pub fn assign_offsets(
    batch: &[u8],
    base_offset: i64,
    leader_epoch: i32,
    log_append_time_ms: Option<i64>,
) -> Option<Vec<u8>> {
    let header = one_whole(batch)?;
    let mut copy = batch.to_vec();
    header::patch(&mut copy, 0, base_offset.to_be_bytes());
    header::patch(&mut copy, header::AT_LEADER_EPOCH, leader_epoch.to_be_bytes());
    if let Some(time) = log_append_time_ms {
        let attributes = header.attributes | header::LOG_APPEND_TIME;
        header::patch(&mut copy, header::AT_ATTRIBUTES, attributes.to_be_bytes());
        header::patch(&mut copy, header::AT_MAX_TIMESTAMP, time.to_be_bytes());
        header::patch_crc(&mut copy);
    }
    Some(copy)
}

fn one_whole(batch: &[u8]) -> Option<BatchHeader> {
    BatchHeader::parse(batch).ok().flatten().filter(|h| h.total_len() == batch.len())
}

/// The kind of a control batch's marker.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ControlKind {
    /// The transaction was aborted.
    Abort,
    /// The transaction was committed.
    Commit,
    /// A marker of another kind (leader change, snapshot); readers skip it. -1 if compaction removed the marker.
    Other(i16),
}

/// A control batch with one marker, as a transaction coordinator has the partition's leader write it. For brokers.
pub fn control_batch(
    producer: ProducerIdentity,
    kind: ControlKind,
    coordinator_epoch: i32,
    timestamp_ms: i64,
) -> Vec<u8> {
    let kind = match kind {
        ControlKind::Abort => 0i16,
        ControlKind::Commit => 1,
        ControlKind::Other(kind) => kind,
    };
    // Key: version 0 and the kind. Value: version 0 and the epoch (EndTransactionMarker).
    let key = [[0; 2], kind.to_be_bytes()].concat();
    let value = [&[0; 2][..], &coordinator_epoch.to_be_bytes()].concat();
    let mut builder = BatchBuilder::new(Vec::with_capacity(MARKER_BYTES), MARKER_BYTES);
    let appended = builder.append(&NewRecord::value(&value).with_key(&key), timestamp_ms);
    debug_assert_eq!(appended, Ok(0), "a batch always takes its first record");
    let stamp = ProducerStamp { producer, base_sequence: -1, is_transactional: true };
    builder.seal_as(stamp, header::TRANSACTIONAL | header::CONTROL)
}

impl Batch {
    /// The kind of a control batch. Fails if this is none, or if its marker cannot be read.
    pub fn control_kind(&self) -> Result<ControlKind, BatchFault> {
        if !self.header.is_control() {
            return Err(self.fault("not a control batch".into()));
        }
        let Some(marker) = self.records().next().transpose()? else { return Ok(ControlKind::Other(-1)) };
        let Some(&[version_high, _, high, low]) = marker.key.and_then(|key| key.first_chunk::<4>()) else {
            return Err(self.fault("control record without a kind".into()));
        };
        if version_high >= 0x80 {
            return Err(self.fault("control record of a negative version".into()));
        }
        Ok(match i16::from_be_bytes([high, low]) {
            0 => ControlKind::Abort,
            1 => ControlKind::Commit,
            other => ControlKind::Other(other),
        })
    }
}
