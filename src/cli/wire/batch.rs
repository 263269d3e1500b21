//! `milena wire batch --lines`: a record batch as JSON, and back.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::batch_write;
use super::input::to_hex;
use super::lines::{Fault, Line, hex};
use crate::record::Record;
use crate::wire::batch::{Batch, BatchFault, Batches};

/// The content of the line's `hex`, or, where it has none, the hex of its content.
pub(super) fn answer(line: &mut Line) -> Result<(), Fault> {
    if line.get("hex").is_none_or(Value::is_null) {
        let bytes = batch_write::write(line)?;
        line.insert("hex".into(), to_hex(&bytes).into());
        return Ok(());
    }
    let content = content(&one_batch(hex(line)?)?)?;
    line.extend(content);
    Ok(())
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

fn content(batch: &Batch) -> Result<Line, Fault> {
    let header = &batch.header;
    let mut records = Vec::new();
    for (index, record) in batch.records().enumerate() {
        // Where a record begins is not told by a batch that was compressed: the fault is that of the batch's content.
        let record =
            record.map_err(|fault| at(crate::wire::batch::BATCH_HEADER_LEN, &format!("records[{index}]"), fault))?;
        records.push(record_value(&record));
    }
    let compression = header.compression().map(|codec| codec.to_string());
    let Value::Object(content) = json!({
        "base": header.base_offset,
        "last": header.last_offset(),
        "producer_id": header.producer.producer_id,
        "producer_epoch": header.producer.producer_epoch,
        "base_sequence": header.base_sequence,
        "transactional": header.is_transactional(),
        "control": header.is_control(),
        "compression": compression,
        "timestamp_type": header.timestamp_type().to_string(),
        "max_timestamp": header.max_timestamp_ms,
        "partition_leader_epoch": header.partition_leader_epoch,
        "crc_ok": batch.verify_crc().is_ok(),
        "records": records,
    }) else {
        return Ok(Line::new());
    };
    Ok(content)
}

fn record_value(record: &Record<'_>) -> Value {
    let base64 = |bytes: Option<&[u8]>| bytes.map(|bytes| STANDARD.encode(bytes));
    let header = |key: &[u8], value| json!([String::from_utf8_lossy(key), base64(value)]);
    json!({
        "offset": record.offset,
        "timestamp": record.timestamp_ms,
        "key_b64": base64(record.key),
        "value_b64": base64(record.value),
        "headers": record.headers.into_iter().map(|h| header(h.key, h.value)).collect::<Vec<_>>(),
    })
}
