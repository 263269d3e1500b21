//! `milena wire batch --lines`: a record batch as JSON, and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::batch_write;
use super::input::to_hex;
use super::lines::{Fault, Line, hex};
use crate::record::Record;
use crate::wire::batch::{BATCH_HEADER_LEN, Batch, BatchFault, Batches};
use crate::wire::codec::Decompressor;

/// The base timestamp is the time from which on compaction may drop the batch's markers and tombstones.
pub(super) const DELETE_HORIZON: i16 = 64;

/// The content of the line's `hex`, or, where it has none, the hex of its content.
///
/// Of a batch with a record that cannot be read, the content up to there, and the fault.
pub(super) fn answer(line: &mut Line) -> Result<(), Fault> {
    if line.get("hex").is_none_or(Value::is_null) {
        let bytes = batch_write::write(line)?;
        line.insert("hex".into(), to_hex(&bytes).into());
        return Ok(());
    }
    let batch = one_batch(hex(line)?)?;
    let (records, fault) = records(&batch);
    line.extend(content(&batch, records));
    fault.map_or(Ok(()), Err)
}

/// The batch that `bytes` are, and nothing else.
fn one_batch(bytes: Vec<u8>) -> Result<Batch, Fault> {
    let (len, mut batches) = (bytes.len(), Batches::new(Bytes::from(bytes)));
    let batch = match batches.next() {
        Some(batch) => batch.map_err(|fault| at(0, "", fault))?,
        None => return Err(malformed(len, "", format!("a batch that is cut off: {len} bytes"))),
    };
    match batch.header.total_len() {
        end if end < len => Err(malformed(end, "", format!("{} bytes behind the batch", len.saturating_sub(end)))),
        _ => Ok(batch),
    }
}

fn malformed(offset: usize, field: &str, reason: String) -> Fault {
    Fault::Malformed { offset, field: field.into(), reason }
}

fn at(offset: usize, field: &str, fault: BatchFault) -> Fault {
    malformed(offset, field, fault.reason)
}

/// The records, up to the first that cannot be read.
fn records(batch: &Batch) -> (Vec<Value>, Option<Fault>) {
    let mut values = Vec::new();
    let mut decompressor = Decompressor::default();
    for record in batch.records_with(&mut decompressor) {
        match record {
            Ok(record) => values.push(record_value(&record)),
            // Where a record begins is not known of a batch that was compressed: the offset is that of them all.
            Err(fault) => {
                let field = format!("records[{}]", values.len());
                return (values, Some(at(BATCH_HEADER_LEN, &field, fault)));
            }
        }
    }
    (values, None)
}

fn content(batch: &Batch, records: Vec<Value>) -> Line {
    let header = &batch.header;
    let mut content = Line::new();
    let mut put = |name: &str, value: Value| _ = content.insert(name.into(), value);
    put("base", header.base_offset.into());
    put("last", header.last_offset().into());
    put("producer_id", header.producer.producer_id.into());
    put("producer_epoch", header.producer.producer_epoch.into());
    put("base_sequence", header.base_sequence.into());
    put("transactional", header.is_transactional().into());
    put("control", header.is_control().into());
    put("compression", header.compression().map(|codec| codec.to_string()).into());
    put("timestamp_type", header.timestamp_type().to_string().into());
    put("max_timestamp", header.max_timestamp_ms.into());
    put("partition_leader_epoch", header.partition_leader_epoch.into());
    if header.attributes & DELETE_HORIZON != 0 {
        put("delete_horizon_ms", header.base_timestamp_ms.into());
    }
    put("crc_ok", batch.verify_crc().is_ok().into());
    put("records", records.into());
    content
}

fn record_value(record: &Record<'_>) -> Value {
    let base64 = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
    let header = |key: &[u8], value| match std::str::from_utf8(key) {
        Ok(key) => json!([key, base64(value)]),
        // As Java shows it, and as it is.
        Err(_) => json!([String::from_utf8_lossy(key), base64(value), base64(Some(key))]),
    };
    json!({
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key_b64": base64(record.key),
        "value_b64": base64(record.value),
        "headers": record.headers.into_iter().map(|h| header(h.key, h.value)).collect::<Vec<_>>(),
    })
}
