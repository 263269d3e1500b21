//! `milena wire log`: a broker's segment as Kafka's DumpLogSegments prints it, one batch in memory at a time.

use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;

use bytes::Bytes;

use super::super::{Failure, Outcome};
use super::args::LogOptions;
use super::batch::DELETE_HORIZON;
use crate::record::Record;
use crate::wire::batch::{Batch, BatchHeader, Batches, ControlKind};
use crate::wire::codec::Decompressor;
use crate::wire::json;

/// Base offset and length.
const PREFIX: usize = 12;
/// The largest batch that is read: more than any broker takes.
const MAX_BATCH: u64 = 1 << 30;

/// Prints every batch and its records. Fails at the first batch that cannot be read, and at the end if a checksum was
/// wrong or the tail is torn.
pub(super) fn run(options: &LogOptions) -> Outcome {
    let name = options.file.display();
    let file = File::open(&options.file).map_err(|e| Failure::Failed(format!("{name}: {e}")))?;
    let mut input = BufReader::with_capacity(1 << 16, file);
    let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    writeln!(out, "Dumping {name}")?;
    if let Some(line) = name_tells(&options.file) {
        writeln!(out, "{line}")?;
    }
    let (mut position, mut faults) = (0u64, None);
    let mut decompressor = Decompressor::default();
    let end = loop {
        let bytes = next_batch(&mut input)?;
        let len = bytes.len() as u64;
        match Batches::new(Bytes::from(bytes)).next() {
            Some(Ok(batch)) => faults = faults.or(print(&mut out, &batch, position, &mut decompressor)?),
            Some(Err(fault)) => break Some(format!("at byte {position}: {fault}")),
            None if len > 0 => break Some(torn(&mut out, &mut input, len, options)?),
            None => break None,
        }
        position = position.saturating_add(len);
    };
    out.flush()?;
    match end.or(faults) {
        Some(fault) => Err(Failure::Failed(format!("{name}: {fault}"))),
        None => Ok(()),
    }
}

/// What the name of a segment says of its first offset, or that of a snapshot of the metadata of where it ends.
fn name_tells(file: &Path) -> Option<String> {
    let stem = file.file_stem()?.to_str()?;
    match stem.split_once('-') {
        None => Some(format!("Log starting offset: {}", stem.parse::<i64>().ok()?)),
        Some((offset, epoch)) => {
            let (offset, epoch) = (offset.parse::<i64>().ok()?, epoch.parse::<i32>().ok()?);
            Some(format!("Snapshot end offset: {offset}, epoch: {epoch}"))
        }
    }
}

/// The bytes of the next batch, or as many as there are; memory grows as they come, whatever the length claims.
fn next_batch(input: &mut impl Read) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    input.by_ref().take(PREFIX as u64).read_to_end(&mut bytes)?;
    let length = bytes.get(8..PREFIX).and_then(|length| <[u8; 4]>::try_from(length).ok()).map(i32::from_be_bytes);
    let rest = length.and_then(|length| u64::try_from(length).ok()).unwrap_or(0);
    if rest > MAX_BATCH {
        return Ok(bytes);
    }
    // The magic of a batch with a wrong length is told too.
    input.by_ref().take(rest.max(5)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Says how much is behind the last whole batch.
fn torn(out: &mut impl Write, input: &mut impl Read, read: u64, options: &LogOptions) -> Result<String, Failure> {
    let left = read.saturating_add(std::io::copy(input, &mut std::io::sink())?);
    let name = options.file.file_name().unwrap_or_default().display();
    writeln!(out, "Found {left} invalid bytes at the end of {name}")?;
    Ok(format!("{left} bytes at the end are no whole batch: the segment is torn"))
}

/// Prints one batch; what is wrong with it, if anything is.
fn print(
    out: &mut impl Write,
    batch: &Batch,
    position: u64,
    decompressor: &mut Decompressor,
) -> Result<Option<String>, Failure> {
    let crc = batch.verify_crc();
    print_header(out, &batch.header, position, crc.is_ok())?;
    let mut fault = crc.err();
    for record in batch.records_with(decompressor) {
        match record {
            Ok(record) => print_record(out, batch, &record)?,
            Err(broken) => {
                writeln!(out, "| {}", broken.reason)?;
                fault.get_or_insert(broken);
            }
        }
    }
    Ok(fault.map(|fault| format!("at byte {position}: {fault}")))
}

fn print_header(out: &mut impl Write, header: &BatchHeader, position: u64, is_valid: bool) -> std::io::Result<()> {
    write!(out, "baseOffset: {} lastOffset: {} ", header.base_offset, header.last_offset())?;
    let (first, count) = (header.base_sequence, header.last_offset_delta);
    write!(out, "count: {} baseSequence: {first} lastSequence: {} ", header.record_count, sequence(first, count))?;
    write!(out, "producerId: {} producerEpoch: {} ", header.producer.producer_id, header.producer.producer_epoch)?;
    write!(out, "partitionLeaderEpoch: {} ", header.partition_leader_epoch)?;
    write!(out, "isTransactional: {} isControl: {} ", header.is_transactional(), header.is_control())?;
    match header.attributes & DELETE_HORIZON {
        0 => write!(out, "deleteHorizonMs: OptionalLong.empty ")?,
        _ => write!(out, "deleteHorizonMs: OptionalLong[{}] ", header.base_timestamp_ms)?,
    }
    write!(out, "position: {position} {}: {} ", header.timestamp_type(), header.max_timestamp_ms)?;
    let codec = header.compression().map_or("unknown".into(), |codec| codec.to_string());
    write!(out, "size: {} magic: 2 compresscodec: {codec} ", header.total_len())?;
    writeln!(out, "crc: {} isvalid: {is_valid}", header.crc)
}

/// The sequence `delta` behind `base`, which wraps from the largest to 0; none behind none.
fn sequence(base: i32, delta: i32) -> i32 {
    match base {
        -1 => -1,
        base => base.wrapping_add(delta) & i32::MAX,
    }
}

fn print_record(out: &mut impl Write, batch: &Batch, record: &Record<'_>) -> std::io::Result<()> {
    let len = |bytes: Option<&[u8]>| bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX));
    let header = &batch.header;
    let delta = record.offset.saturating_sub(header.base_offset);
    let sequence = sequence(header.base_sequence, i32::try_from(delta).unwrap_or(i32::MAX));
    write!(out, "| offset: {} {}: {} ", record.offset, record.timestamp_type, record.timestamp_ms)?;
    write!(out, "keySize: {} valueSize: {} sequence: {sequence} headerKeys: [", len(record.key), len(record.value))?;
    for (index, header) in record.headers.into_iter().enumerate() {
        write!(out, "{}{}", if index == 0 { "" } else { "," }, String::from_utf8_lossy(header.key))?;
    }
    write!(out, "]")?;
    if header.is_control() {
        return writeln!(out, "{}", marker(batch, record));
    }
    for (name, bytes) in [("key", record.key), ("payload", record.value)] {
        if let Some(bytes) = bytes {
            write!(out, " {name}: {}", String::from_utf8_lossy(bytes))?;
        }
    }
    writeln!(out)
}

fn marker(batch: &Batch, record: &Record<'_>) -> String {
    let epoch = record.value.and_then(|value| value.get(2..)?.first_chunk()).map_or(-1, |at| i32::from_be_bytes(*at));
    match batch.control_kind() {
        Ok(ControlKind::Commit) => format!(" endTxnMarker: COMMIT coordinatorEpoch: {epoch}"),
        Ok(ControlKind::Abort) => format!(" endTxnMarker: ABORT coordinatorEpoch: {epoch}"),
        Ok(ControlKind::Other(kind)) => format!(" {}", control_record(kind, record.value.unwrap_or_default())),
        Err(fault) => format!(" {}", fault.reason),
    }
}

/// A control record that is no transaction marker: its name as Kafka prints it, and what it says or why it cannot be read.
fn control_record(kind: i16, value: &[u8]) -> String {
    let name = match kind {
        2 => "LeaderChange:",
        3 => "SnapshotHeader",
        4 => "SnapshotFooter",
        5 => "KRaftVersion",
        6 => "KRaftVoters",
        _ => return format!("controlType: UNKNOWN({kind})"),
    };
    match json::control_record(kind, value) {
        Ok(value) => format!("{name} {value}"),
        Err(reason) => format!("{name} {reason}"),
    }
}
