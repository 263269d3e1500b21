//! The golden batches: the bytes of partitions, and what Kafka's classes read from them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use milena::wire::batch::{Batch, BatchFault};
use milena::{Record, TimestampType};
use serde_json::{Value, json};

use super::{gzip_lines, unhex};

// How they were made is in fixtures/README.md.
const BATCHES: &[u8] = include_bytes!("../../../fixtures/batches/codecs-4.4.0.jsonl.gz");

/// From this length on the fixture names a value instead of holding it.
const LONG_VALUE: usize = 20_000;
const DELETE_HORIZON: i16 = 64;

/// The bytes of one partition.
#[derive(Debug)]
pub struct GoldenBatches {
    /// As `lz4/compacted`.
    pub name: String,
    /// What a fetch would bring.
    pub bytes: Vec<u8>,
    /// What Kafka's classes read, one value per batch.
    pub batches: Vec<Value>,
}

/// Every one of them; each is parsed as it is asked for.
pub fn batches() -> impl Iterator<Item = GoldenBatches> {
    gzip_lines(BATCHES).map(|line| {
        let mut line: Value = serde_json::from_str(&line).expect("a JSON line");
        let batches = match line["batches"].take() {
            Value::Array(batches) => batches,
            other => panic!("batches are {other}"),
        };
        let text = |name: &str| line[name].as_str().expect(name);
        GoldenBatches { name: text("name").to_string(), bytes: unhex(text("hex")), batches }
    })
}

/// A batch as the fixture has it; with its `records`, unless its checksum is wrong.
pub fn described(
    batch: &Batch,
    records: &mut dyn FnMut() -> Result<Vec<Value>, BatchFault>,
) -> Result<Value, BatchFault> {
    let header = &batch.header;
    let crc_ok = batch.verify_crc().is_ok();
    let horizon = (header.attributes & DELETE_HORIZON != 0).then_some(header.base_timestamp_ms);
    Ok(json!({
        "magic": 2,
        "base": header.base_offset,
        "last": header.last_offset(),
        "producer_id": header.producer.producer_id,
        "producer_epoch": header.producer.producer_epoch,
        "base_sequence": header.base_sequence,
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "compression": header.compression().map(|codec| codec.to_string()),
        "timestamp_type": match header.timestamp_type() {
            TimestampType::CreateTime => "CreateTime",
            TimestampType::LogAppendTime => "LogAppendTime",
        },
        "max_timestamp": header.max_timestamp_ms,
        "partition_leader_epoch": header.partition_leader_epoch,
        "delete_horizon_ms": horizon,
        "crc_ok": crc_ok,
        "records": if crc_ok { records()? } else { Vec::new() },
    }))
}

/// A record as the fixture has it.
pub fn described_record(record: &Record<'_>) -> Value {
    let headers = record.headers.into_iter().map(|header| (header.key, header.value));
    described_parts((record.offset, record.timestamp_ms), record.key, record.value, headers)
}

/// What a record consists of (offset and timestamp first), as the fixture has it. A header key that is not UTF-8 is
/// shown as Java shows it.
pub fn described_parts<'a>(
    (offset, timestamp): (i64, i64),
    key: Option<&[u8]>,
    value: Option<&[u8]>,
    headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
) -> Value {
    let base64 = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
    let headers: Vec<Value> =
        headers.map(|(key, value)| json!([String::from_utf8_lossy(key), base64(value)])).collect();
    let key = base64(key);
    match value {
        Some(value) if value.len() >= LONG_VALUE => json!({
            "offset": offset, "timestamp": timestamp, "key_b64": key, "headers": headers,
            "value_made": made_of(value), "value_len": value.len(),
        }),
        value => json!({
            "offset": offset, "timestamp": timestamp, "key_b64": key, "headers": headers, "value_b64": base64(value),
        }),
    }
}

fn made_of(value: &[u8]) -> Option<&'static str> {
    if value.iter().all(|byte| *byte == 0) {
        return Some("zeros");
    }
    (value == incompressible(value.len())).then_some("lcg")
}

/// Bytes that no codec makes smaller, the same for the same length: those of the fixtures' generator.
pub fn incompressible(len: usize) -> Vec<u8> {
    let mut state = len as u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(|_| next()).collect()
}
