//! A record batch from its JSON: header and records as they are told, the length and the checksum computed.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::batch::DELETE_HORIZON;
use super::lines::{Fault, Line};
use crate::wire::codec::{Compression, Compressor};
use crate::wire::crc32c;
use crate::wire::json::from_base64;
use crate::wire::varint::varint;

/// The bits of the attributes.
const LOG_APPEND_TIME: i16 = 8;
const TRANSACTIONAL: i16 = 16;
const CONTROL: i16 = 32;

/// The batch. What is left out is as a producer without idempotence has it: no id, no epoch, no sequence, not compressed.
///
/// `base` and `last` default to the first and last record's offset, those to 0 and one more than the one before, and
/// `max_timestamp` to the largest there is. The base timestamp is that of the first record (-1 without one), as Kafka's writers have it,
/// or `delete_horizon_ms` where that is told.
pub(super) fn write(line: &Line) -> Result<Vec<u8>, Fault> {
    let records = records(line)?;
    let first = records.first();
    let base = integer(line, "base", first.map_or(0, |record| record.offset))?;
    let last = integer(line, "last", records.last().map_or(base, |record| record.offset))?;
    let largest = records.iter().map(|record| record.timestamp).max().unwrap_or(-1);
    let max_timestamp = integer(line, "max_timestamp", largest)?;
    let first_timestamp = first.map_or(-1, |record| record.timestamp);
    let base_timestamp = integer(line, "delete_horizon_ms", first_timestamp)?;
    let delta = last.checked_sub(base).and_then(|delta| i32::try_from(delta).ok());
    let delta = delta.filter(|delta| *delta >= 0 && base >= 0);
    let delta = delta.ok_or_else(|| fault("last", format!("offsets from {base} to {last} are none of a batch")))?;

    let mut body = Vec::new();
    for (index, record) in records.iter().enumerate() {
        record
            .write(&mut body, base..=last, base_timestamp)
            .map_err(|reason| fault(&format!("records[{index}]"), reason))?;
    }
    let body = compressed(codec(line)?, body)?;
    let mut checked = Vec::new();
    checked.extend_from_slice(&attributes(line)?.to_be_bytes());
    checked.extend_from_slice(&delta.to_be_bytes());
    checked.extend_from_slice(&base_timestamp.to_be_bytes());
    checked.extend_from_slice(&max_timestamp.to_be_bytes());
    checked.extend_from_slice(&integer::<i64>(line, "producer_id", -1)?.to_be_bytes());
    checked.extend_from_slice(&integer::<i16>(line, "producer_epoch", -1)?.to_be_bytes());
    checked.extend_from_slice(&integer::<i32>(line, "base_sequence", -1)?.to_be_bytes());
    checked.extend_from_slice(&length(records.len())?.to_be_bytes());
    checked.extend_from_slice(&body);

    let mut batch = base.to_be_bytes().to_vec();
    batch.extend_from_slice(&length(checked.len().saturating_add(9))?.to_be_bytes());
    batch.extend_from_slice(&integer::<i32>(line, "partition_leader_epoch", -1)?.to_be_bytes());
    batch.push(2);
    batch.extend_from_slice(&crc32c(&checked).to_be_bytes());
    batch.extend_from_slice(&checked);
    Ok(batch)
}

fn fault(field: &str, reason: String) -> Fault {
    Fault::Malformed { offset: 0, field: field.into(), reason }
}

fn length(len: usize) -> Result<i32, Fault> {
    i32::try_from(len).map_err(|_| fault("records", "more than a batch can hold".into()))
}

fn integer<T: TryFrom<i64>>(line: &Line, name: &str, default: T) -> Result<T, Fault> {
    match line.get(name) {
        None => Ok(default),
        Some(value) => {
            let number = value.as_i64().and_then(|number| T::try_from(number).ok());
            number.ok_or_else(|| fault(name, format!("{value} is no number that fits")))
        }
    }
}

fn flag(line: &Line, name: &str) -> Result<bool, Fault> {
    let value = line.get(name).unwrap_or(&Value::Bool(false));
    value.as_bool().ok_or_else(|| fault(name, format!("{value} is no boolean")))
}

fn codec(line: &Line) -> Result<Compression, Fault> {
    let name = line.get("compression").unwrap_or(&Value::Null);
    if name.is_null() {
        return Ok(Compression::None);
    }
    let found = Compression::ALL.into_iter().find(|codec| name.as_str() == Some(codec.name()));
    found.ok_or_else(|| fault("compression", format!("{name} is no codec that Kafka has")))
}

fn attributes(line: &Line) -> Result<i16, Fault> {
    let is_append_time = match line.get("timestamp_type").map(|value| value.as_str()) {
        None | Some(Some("CreateTime")) => false,
        Some(Some("LogAppendTime")) => true,
        Some(_) => return Err(fault("timestamp_type", "neither CreateTime nor LogAppendTime".into())),
    };
    let bits = [
        (is_append_time, LOG_APPEND_TIME),
        (flag(line, "transactional")?, TRANSACTIONAL),
        (flag(line, "control")?, CONTROL),
        (line.contains_key("delete_horizon_ms"), DELETE_HORIZON),
    ];
    let codec = codec(line)?.code();
    Ok(bits.iter().filter(|(is_set, _)| *is_set).fold(codec, |attributes, (_, bit)| attributes | bit))
}

/// At Kafka's own level; a batch without records has no compressed bytes either.
fn compressed(codec: Compression, body: Vec<u8>) -> Result<Vec<u8>, Fault> {
    if codec == Compression::None || body.is_empty() {
        return Ok(body);
    }
    let level = if codec == Compression::Zstd { 3 } else { -1 };
    let mut compressor = Compressor::new(codec, level).map_err(|e| fault("compression", e.to_string()))?;
    let bytes = compressor.compress(&body).ok_or_else(|| fault("records", "more than the codec can take".into()))?;
    Ok(bytes.to_vec())
}

struct Record {
    offset: i64,
    timestamp: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

fn records(line: &Line) -> Result<Vec<Record>, Fault> {
    let values = line.get("records").and_then(Value::as_array);
    let values = values.ok_or_else(|| Fault::NoRequest("neither hex nor records".into()))?;
    let mut next = line.get("base").and_then(Value::as_i64).unwrap_or(0);
    let mut records = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let record = Record::read(value, next).map_err(|reason| fault(&format!("records[{index}]"), reason))?;
        next = record.offset.saturating_add(1);
        records.push(record);
    }
    Ok(records)
}

impl Record {
    fn read(value: &Value, next_offset: i64) -> Result<Record, String> {
        let number = |name: &str, default: i64| match value.get(name) {
            None => Ok(default),
            Some(number) => number.as_i64().ok_or_else(|| format!("{name} is no number")),
        };
        let headers = match value.get("headers") {
            None => Vec::new(),
            Some(headers) => {
                headers.as_array().ok_or("headers are no array")?.iter().map(header).collect::<Result<_, _>>()?
            }
        };
        Ok(Record {
            offset: number("offset", next_offset)?,
            timestamp: number("timestamp", -1)?,
            key: bytes(value.get("key_b64")).map_err(|e| format!("key_b64: {e}"))?,
            value: bytes(value.get("value_b64")).map_err(|e| format!("value_b64: {e}"))?,
            headers,
        })
    }

    fn write(&self, out: &mut Vec<u8>, offsets: RangeInclusive<i64>, base_timestamp: i64) -> Result<(), String> {
        let Self { offset, .. } = self;
        if !offsets.contains(offset) {
            return Err(format!("offset {offset} in a batch from {} to {}", offsets.start(), offsets.end()));
        }
        // No record attribute is defined.
        let mut body = vec![0];
        body.extend(varint(self.timestamp.wrapping_sub(base_timestamp)));
        body.extend(varint(offset.wrapping_sub(*offsets.start())));
        nullable(&mut body, self.key.as_deref())?;
        nullable(&mut body, self.value.as_deref())?;
        body.extend(varint(i64::try_from(self.headers.len()).map_err(|e| e.to_string())?));
        for (key, value) in &self.headers {
            nullable(&mut body, Some(key))?;
            nullable(&mut body, value.as_deref())?;
        }
        nullable(out, Some(&body))
    }
}

/// `[key, value_b64]`, or `[key, value_b64, key_b64]`: then the key is what the last says.
fn header(value: &Value) -> Result<(Vec<u8>, Option<Vec<u8>>), String> {
    let (key, value) = match value.as_array().map(Vec::as_slice) {
        Some([Value::String(key), value]) => (Ok(key.as_bytes().to_vec()), value),
        Some([Value::String(_), value, key]) => (from_base64(key), value),
        _ => return Err("a header is no [key, value_b64]".into()),
    };
    let fault = |reason| format!("header: {reason}");
    Ok((key.map_err(fault)?, bytes(Some(value)).map_err(fault)?))
}

/// Base64, or null where there is nothing.
fn bytes(value: Option<&Value>) -> Result<Option<Vec<u8>>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(value) => from_base64(value).map(Some),
    }
}

fn nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) -> Result<(), String> {
    let Some(bytes) = bytes else {
        out.extend(varint(-1));
        return Ok(());
    };
    out.extend(varint(i32::try_from(bytes.len()).map_err(|_| "more than a record can hold")?.into()));
    out.extend_from_slice(bytes);
    Ok(())
}
