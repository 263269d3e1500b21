//! Record batches by an implementation that is not ours (kafka-protocol's): built for requests, read back from answers.

use bytes::{Buf, Bytes, BytesMut};
use kafka_protocol::indexmap::IndexMap;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

/// The time of the first record of every batch.
pub(super) const TIME_MS: i64 = 1_700_000_000_000;

/// Who a batch says it is from.
#[derive(Clone, Copy, Debug)]
pub(super) struct From {
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) sequence: i32,
    pub(super) transactional: bool,
}

/// Nobody: no idempotence.
pub(super) const NOBODY: From = From { producer_id: -1, producer_epoch: -1, sequence: -1, transactional: false };

/// One uncompressed batch of `values`, timestamps `time_ms`, `time_ms` + 1, ...
pub(super) fn batch_at(time_ms: i64, from: From, values: &[&str]) -> Bytes {
    let records: Vec<_> = (0..).zip(values).map(|(at, value)| record(at, time_ms, from, value)).collect();
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(&mut out, &records, &options).expect("records can be encoded");
    out.freeze()
}

/// One uncompressed batch of `values`.
pub(super) fn batch(from: From, values: &[&str]) -> Bytes {
    batch_at(TIME_MS, from, values)
}

fn record(at: i32, time_ms: i64, from: From, value: &str) -> Record {
    Record {
        transactional: from.transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: from.producer_id,
        producer_epoch: from.producer_epoch,
        timestamp_type: TimestampType::Creation,
        offset: at.into(),
        sequence: if from.sequence < 0 { -1 } else { from.sequence.wrapping_add(at) },
        timestamp: time_ms + i64::from(at),
        key: None,
        value: Some(Bytes::copy_from_slice(value.as_bytes())),
        headers: IndexMap::new(),
    }
}

/// The batches in `bytes`, as text; the times of markers are left out.
pub(super) fn describe(bytes: &[u8], mut producer: impl FnMut(&str) -> String) -> String {
    let mut rest = bytes;
    let mut text = Vec::new();
    while let Some(length) = rest.get(8..12).and_then(|b| b.try_into().ok()).map(i32::from_be_bytes) {
        let length = usize::try_from(length).unwrap_or(usize::MAX).saturating_add(12);
        let Some(batch) = rest.get(..length) else {
            text.push(format!("(part of a batch: {} bytes)", rest.len()));
            break;
        };
        text.push(one(batch, &mut producer));
        rest.advance(length);
    }
    format!("[{}]", text.join(" "))
}

fn one(batch: &[u8], producer: &mut impl FnMut(&str) -> String) -> String {
    let info = RecordBatchDecoder::decode_batch_info(&mut Bytes::copy_from_slice(batch));
    let info = info.ok().and_then(|mut all| all.pop()).expect("a batch of a broker can be read");
    let records = RecordBatchDecoder::decode(&mut Bytes::copy_from_slice(batch)).expect("a batch can be read").records;
    let (id, epoch, sequence) = (producer(&info.producer_id.to_string()), info.producer_epoch, info.base_sequence);
    let kind = if info.transactional { " transactional" } else { "" };
    let leader_epoch = info.partition_leader_epoch;
    let records: Vec<_> = records.iter().map(|record| show(record, info.control)).collect();
    format!("<{id} epoch {epoch} sequence {sequence} leader epoch {leader_epoch}{kind}: {}>", records.join(" "))
}

fn show(record: &Record, is_control: bool) -> String {
    let value = record.value.as_deref().unwrap_or_default();
    if is_control {
        let kind = record.key.as_deref().and_then(|key| key.get(3)).copied();
        let kind = if kind == Some(1) { "COMMIT" } else { "ABORT" };
        return format!("{}={kind}", record.offset);
    }
    format!("{}={}@{}", record.offset, String::from_utf8_lossy(value), record.timestamp - TIME_MS)
}
