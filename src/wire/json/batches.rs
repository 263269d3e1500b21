//! A records field as rows of a dump: every field of every batch, and one row for each record.

use std::fmt::Write;

use bytes::Bytes;

use super::super::batch::{BATCH_HEADER_LEN, Batch, BatchHeader, Batches, ControlKind};
use super::super::codec::Decompressor;
use super::dump::{Row, quoted};
use super::walk::Fault;
use crate::record::{Record, varint};

/// Gives the rows of `records`, which begin `start` bytes into the message; the first fault, if there is one.
pub(super) fn rows(records: &[u8], start: usize, path: &str, sink: &mut dyn FnMut(Row<'_>)) -> Option<Fault> {
    let mut rows = Rows { records, start, at: 0, path: String::new(), sink, fault: None };
    for (index, batch) in Batches::new(Bytes::copy_from_slice(records)).enumerate() {
        rows.path = format!("{path}[{index}]");
        match batch {
            Ok(batch) => rows.batch(&batch),
            Err(fault) => rows.fault(rows.at, fault.reason),
        }
    }
    if rows.fault.is_none() && rows.at < records.len() {
        rows.path = path.to_string();
        let left = records.len().saturating_sub(rows.at);
        rows.row(left, "", "partial", format!("{left} bytes of a batch that is cut off"));
    }
    rows.fault
}

struct Rows<'a> {
    records: &'a [u8],
    /// Where the records begin in the message.
    start: usize,
    /// Where the next row begins in the records.
    at: usize,
    /// The way to the batch.
    path: String,
    sink: &'a mut dyn FnMut(Row<'_>),
    fault: Option<Fault>,
}

impl Rows<'_> {
    /// The next `len` bytes, as `name` below the batch.
    fn row(&mut self, len: usize, name: &str, type_name: &'static str, value: String) {
        let end = self.at.saturating_add(len);
        let bytes = self.records.get(self.at..end).unwrap_or_default();
        let path = [&self.path, name].concat();
        (self.sink)(Row { offset: self.start.saturating_add(self.at), bytes, path, type_name, value });
        self.at = end;
    }

    fn fault(&mut self, at: usize, reason: String) {
        let offset = self.start.saturating_add(at);
        let path = self.path.clone();
        (self.sink)(Row { offset, bytes: &[], path: path.clone(), type_name: "fault", value: reason.clone() });
        self.fault.get_or_insert(Fault { offset, path, reason });
    }

    fn batch(&mut self, batch: &Batch) {
        let (start, header) = (self.at, &batch.header);
        self.header(header);
        if let Err(fault) = batch.verify_crc() {
            self.fault(start.saturating_add(17), fault.reason);
        }
        let mut decompressor = Decompressor::default();
        let mut lengths = self.records.get(start.saturating_add(BATCH_HEADER_LEN)..).unwrap_or_default();
        for (index, record) in batch.records_with(&mut decompressor).enumerate() {
            match record {
                Ok(record) => {
                    // A record that was compressed has no bytes of its own in the message.
                    let len = if batch.is_compressed() { 0 } else { record_len(&mut lengths) };
                    self.row(len, &format!(".records[{index}]"), "record", as_text(batch, &record));
                }
                Err(fault) => self.fault(self.at, fault.reason),
            }
        }
        self.at = start.saturating_add(header.total_len());
    }

    fn header(&mut self, header: &BatchHeader) {
        self.row(8, ".baseOffset", "int64", header.base_offset.to_string());
        self.row(4, ".batchLength", "int32", header.batch_length.to_string());
        self.row(4, ".partitionLeaderEpoch", "int32", header.partition_leader_epoch.to_string());
        self.row(1, ".magic", "int8", "2".into());
        self.row(4, ".crc", "uint32", header.crc.to_string());
        self.row(2, ".attributes", "int16", attributes(header));
        self.row(4, ".lastOffsetDelta", "int32", header.last_offset_delta.to_string());
        self.row(8, ".baseTimestamp", "int64", header.base_timestamp_ms.to_string());
        self.row(8, ".maxTimestamp", "int64", header.max_timestamp_ms.to_string());
        self.row(8, ".producerId", "int64", header.producer.producer_id.to_string());
        self.row(2, ".producerEpoch", "int16", header.producer.producer_epoch.to_string());
        self.row(4, ".baseSequence", "int32", header.base_sequence.to_string());
        self.row(4, ".recordCount", "int32", header.record_count.to_string());
    }
}

/// Bytes of the record `rest` begins with, its length included; `rest` moves behind it.
fn record_len(rest: &mut &[u8]) -> usize {
    let before = rest.len();
    let body = varint(rest).and_then(|len| usize::try_from(len).ok()).unwrap_or(0);
    *rest = rest.get(body..).unwrap_or_default();
    before.saturating_sub(rest.len())
}

fn attributes(header: &BatchHeader) -> String {
    let mut text = format!("{}: ", header.attributes);
    match header.compression() {
        Some(codec) => _ = write!(text, "{codec}"),
        None => text.push_str("unknown codec"),
    }
    _ = write!(text, ", {}", header.timestamp_type());
    for (is_so, name) in [
        (header.is_transactional(), ", transactional"),
        (header.is_control(), ", control"),
        (header.attributes & DELETE_HORIZON != 0, ", delete horizon"),
    ] {
        text.push_str(if is_so { name } else { "" });
    }
    text
}

/// The base timestamp is the time from which on compaction may drop the batch's markers and tombstones.
const DELETE_HORIZON: i16 = 64;

fn as_text(batch: &Batch, record: &Record<'_>) -> String {
    let mut text = format!("offset {} timestamp {}", record.offset, record.timestamp_ms);
    if batch.header.is_control() {
        text.push_str(&marker(batch, record));
        return text;
    }
    _ = write!(text, " key {} value {}", bytes(record.key), bytes(record.value));
    for header in record.headers {
        _ = write!(text, " header {}={}", bytes(Some(header.key)), bytes(header.value));
    }
    text
}

fn marker(batch: &Batch, record: &Record<'_>) -> String {
    let epoch = record.value.and_then(|value| value.get(2..)?.first_chunk()).map(|bytes| i32::from_be_bytes(*bytes));
    match (batch.control_kind(), epoch) {
        (Ok(ControlKind::Commit), Some(epoch)) => format!(" commit by coordinator epoch {epoch}"),
        (Ok(ControlKind::Abort), Some(epoch)) => format!(" abort by coordinator epoch {epoch}"),
        (Ok(kind), _) => format!(" control {kind:?} key {} value {}", bytes(record.key), bytes(record.value)),
        (Err(fault), _) => format!(" {}", fault.reason),
    }
}

/// Text in quotes, bytes that are no text in hex.
fn bytes(bytes: Option<&[u8]>) -> String {
    match bytes.map(|raw| (raw, std::str::from_utf8(raw))) {
        None => "null".into(),
        Some((_, Ok(text))) => quoted(text),
        Some((raw, Err(_))) => raw.iter().fold(String::from("0x"), |mut text, byte| {
            _ = write!(text, "{byte:02x}");
            text
        }),
    }
}
