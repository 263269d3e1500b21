//! The bytes of partitions as Kafka's own classes wrote them, read as Kafka's classes read them.

use bytes::{Bytes, BytesMut};
use kafka_protocol::records as theirs;
use kafka_protocol::records::{RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions};
use milena::wire::batch::{Batch, BatchFault, Batches, Compression, ControlKind};
use milena::wire::codec::Decompressor;
use milena::wire::crc32c;
use protocol_tests::golden::{self, GoldenBatches, described, described_parts, described_record};
use serde_json::Value;

fn records(batch: &Batch, decompressor: &mut Decompressor) -> Result<Vec<Value>, BatchFault> {
    batch.records_with(decompressor).map(|record| Ok(described_record(&record?))).collect()
}

fn read(golden: &GoldenBatches) -> Vec<Batch> {
    let batches = Batches::new(Bytes::copy_from_slice(&golden.bytes));
    batches.map(|batch| batch.unwrap_or_else(|fault| panic!("{}: {fault}", golden.name))).collect()
}

fn one(name: &str) -> Batch {
    let found = golden::batches().find(|golden| golden.name == name).expect(name);
    let mut batches = read(&found);
    assert_eq!(batches.len(), 1, "{name}");
    batches.remove(0)
}

fn is_legacy(golden: &GoldenBatches) -> bool {
    golden.name.starts_with("magic-")
}

#[test]
fn a_partition_s_batches_are_read_as_java_reads_them() {
    let (mut seen, mut decompressor) = (0, Decompressor::default());
    for golden in golden::batches().filter(|golden| !is_legacy(golden)) {
        let batches = read(&golden);
        assert_eq!(batches.len(), golden.batches.len(), "{}", golden.name);
        for (batch, expected) in batches.iter().zip(&golden.batches) {
            let ours = described(batch, &mut || records(batch, &mut decompressor))
                .unwrap_or_else(|e| panic!("{}: {e}", golden.name));
            assert!(&ours == expected, "{}:\n{ours}\n{expected}", golden.name);
            seen += 1;
        }
    }
    assert!(seen > 100, "{seen}");
}

#[test]
fn every_codec_is_there_in_every_shape() {
    let names: Vec<String> = golden::batches().map(|golden| golden.name).collect();
    for codec in ["none", "gzip", "snappy", "lz4", "zstd"] {
        for shape in
            ["plain", "headers", "incompressible", "transactional", "log-append-time", "compacted", "delete-horizon"]
        {
            assert!(names.contains(&format!("{codec}/{shape}")), "{codec}/{shape}");
        }
    }
    assert!(names.iter().filter(|name| name.starts_with("magic-")).count() >= 8);
}

#[test]
fn message_sets_of_magic_0_and_1_are_refused_by_name() {
    for golden in golden::batches().filter(is_legacy) {
        let mut batches = Batches::new(Bytes::copy_from_slice(&golden.bytes));
        let fault = batches.next().expect("something").expect_err("not a batch");
        assert_eq!(fault.base_offset, golden.batches[0]["last"], "{}", golden.name);
        assert!(
            fault.reason.starts_with(&format!("magic {}: ", golden.batches[0]["magic"])),
            "{}: {fault}",
            golden.name
        );
        assert!(batches.next().is_none(), "{}", golden.name);
    }
}

/// Key and value.
type Legacy<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

/// The keys and values of a message set of magic 0 or 1, whose records are not compressed.
fn legacy_records(mut set: &[u8], magic: usize) -> Vec<Legacy<'_>> {
    let mut records = Vec::new();
    // Offset, size, checksum, magic, attributes and, in magic 1, the timestamp.
    while let Some((_, body)) = set.split_at_checked(if magic == 0 { 18 } else { 26 }) {
        let (key, rest) = nullable(body);
        let (value, rest) = nullable(rest);
        records.push((key, value));
        set = rest;
    }
    records
}

fn nullable(bytes: &[u8]) -> (Option<&[u8]>, &[u8]) {
    let (length, rest) = bytes.split_first_chunk().expect("a length");
    match usize::try_from(i32::from_be_bytes(*length)) {
        Ok(length) => (Some(&rest[..length]), &rest[length..]),
        Err(_) => (None, rest),
    }
}

/// The sets themselves are refused, but their codecs are those of today; magic 0 has LZ4's header checksum wrong.
#[test]
fn what_brokers_compressed_in_magic_0_and_1_is_decompressed() {
    let mut decompressor = Decompressor::default();
    for golden in golden::batches().filter(is_legacy) {
        let (magic, codec) = golden.name.split_once('/').expect("a magic and a codec");
        let magic = if magic == "magic-0" { 0 } else { 1 };
        let codec = match codec.split('-').next() {
            Some("gzip") => Compression::Gzip,
            Some("snappy") => Compression::Snappy,
            Some("lz4") => Compression::Lz4,
            _ => continue,
        };
        let wrapper = legacy_records(&golden.bytes, magic)[0].1.expect("a set within");
        let set = decompressor.decompress(codec, wrapper).unwrap_or_else(|e| panic!("{}: {e}", golden.name));
        let read = legacy_records(set, magic).into_iter();
        let read = read.map(|(key, value)| described_parts((0, 0), key, value, std::iter::empty()));
        let expected = golden.batches[0]["records"].as_array().expect("records").iter().map(|record| {
            let mut record = record.clone();
            (record["offset"], record["timestamp"]) = (0.into(), 0.into());
            record
        });
        assert!(read.eq(expected), "{}", golden.name);
    }
}

#[test]
fn a_header_key_that_is_not_utf_8_keeps_its_bytes() {
    let batch = one("shape/header-key-not-utf-8");
    let mut keys = Vec::new();
    for record in batch.records() {
        keys.extend(record.expect("a sound record").headers.into_iter().map(|header| header.key.to_vec()));
    }
    assert!(keys.contains(&b"\xffl\xc3(".to_vec()), "{keys:?}");
}

#[test]
fn control_batches_of_every_kind_say_their_kind() {
    let kinds = [
        ("abort", ControlKind::Abort),
        ("commit", ControlKind::Commit),
        ("leader-change", ControlKind::Other(2)),
        ("snapshot-header", ControlKind::Other(3)),
        ("snapshot-footer", ControlKind::Other(4)),
        ("kraft-version", ControlKind::Other(5)),
        ("voters", ControlKind::Other(6)),
        ("unknown-type", ControlKind::Other(99)),
        // Java reads a later version's type as it reads version 0's.
        ("later-version", ControlKind::Commit),
    ];
    for (name, kind) in kinds {
        let batch = one(&format!("control/{name}"));
        assert!(batch.header.is_control(), "{name}");
        assert_eq!(batch.control_kind(), Ok(kind), "{name}");
    }
}

/// Where kafka-protocol's record codec does not read what Java does. In each case Java is right, and we are with it.
const KAFKA_PROTOCOL_IS_WRONG: &[(&str, &str)] = &[
    ("none/headers", "a header given three times is kept once: Kafka's headers are a list, not a map"),
    ("none/transactional", "the same"),
    (
        "none/log-append-time",
        "the times are the producer's, which LogAppendTime replaces by that of the batch (KIP-32)",
    ),
    ("shape/header-key-not-utf-8", "the whole batch is refused, where Java reads all of it"),
];

/// The records of an uncompressed batch as kafka-protocol reads them, in the form of the fixture.
fn as_kafka_protocol_reads(bytes: &[u8]) -> Result<Vec<Value>, String> {
    let set = RecordBatchDecoder::decode(&mut Bytes::copy_from_slice(bytes)).map_err(|e| format!("{e:#}"))?;
    let read = set.records.iter().map(|record| {
        let headers = record.headers.iter().map(|(key, value)| (key.as_bytes(), value.as_deref()));
        let (key, value) = (record.key.as_deref(), record.value.as_deref());
        described_parts((record.offset, record.timestamp), key, value, headers)
    });
    Ok(read.collect())
}

#[test]
fn kafka_protocol_s_records_are_java_s_but_for_its_known_mistakes() {
    let (mut agreed, mut wrong) = (0, Vec::new());
    for golden in golden::batches().filter(|golden| !is_legacy(golden)) {
        // It decompresses with C, so that only what is not compressed is compared.
        let [batch] = &golden.batches[..] else { continue };
        if batch["compression"] == "none" {
            match as_kafka_protocol_reads(&golden.bytes) {
                Ok(records) if batch["records"] == Value::Array(records.clone()) => agreed += 1,
                _ => wrong.push(golden.name),
            }
        }
    }
    assert_eq!(wrong, KAFKA_PROTOCOL_IS_WRONG.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert!(agreed > 10, "{agreed}");
}

/// The bytes of the golden partition of this name.
fn bytes_of(name: &str) -> Vec<u8> {
    golden::batches().find(|golden| golden.name == name).expect(name).bytes
}

fn theirs_read(bytes: &[u8]) -> Vec<theirs::Record> {
    RecordBatchDecoder::decode(&mut Bytes::copy_from_slice(bytes)).expect("a sound batch").records
}

/// The batches that kafka-protocol makes of `records`.
fn theirs_written(records: &[theirs::Record]) -> Vec<Batch> {
    let mut out = BytesMut::new();
    let options = RecordEncodeOptions { version: 2, compression: theirs::Compression::None };
    RecordBatchEncoder::encode(&mut out, records, &options).expect("it encodes");
    Batches::new(out.freeze()).map(|batch| batch.expect("a batch")).collect()
}

/// Java is right: a reader goes on behind the header's last offset, which compaction keeps. Of kafka-protocol's batch nobody
/// learns it, nor the largest time, so its reader asks for the same batch again for ever.
#[test]
fn only_the_header_s_last_offset_leads_past_a_compacted_tail() {
    for (name, last_seen) in [("none/compacted", Some(203)), ("none/compacted-empty", None)] {
        let records = theirs_read(&bytes_of(name));
        assert_eq!(records.last().map(|record| record.offset), last_seen, "{name}");
        let java = golden::batches().find(|golden| golden.name == name).expect(name).batches;
        assert_eq!(one(name).header.next_offset(), java[0]["last"].as_i64().expect("an offset") + 1, "{name}");
        assert_eq!(one(name).header.next_offset(), 206, "{name}");
    }
    assert_eq!(one("none/compacted-empty").header.max_timestamp_ms, 1_700_000_000_000);
}

/// What `work` comes to, where it does not panic over a sum.
fn unless_it_overflows<T>(work: impl FnOnce() -> T + std::panic::UnwindSafe) -> Option<T> {
    std::panic::catch_unwind(work).ok()
}

/// Java is right: its sums wrap, as the writer's differences did. kafka-protocol's panic where sums are checked, and where
/// they are not it hands out an offset below 0, which ours refuses with the batch.
#[test]
fn times_wrap_and_offsets_beyond_the_last_are_refused_where_plain_sums_panic() {
    let is_checked = cfg!(debug_assertions);
    let mut late = bytes_of("none/plain");
    late[27..35].copy_from_slice(&i64::MIN.to_be_bytes());
    let crc = crc32c(&late[21..]);
    late[17..21].copy_from_slice(&crc.to_be_bytes());
    let times = |batch: &Batch| batch.records().map(|record| record.expect("sound").timestamp_ms).collect::<Vec<_>>();
    let batch = Batches::new(late.clone().into()).next().expect("one").expect("a batch");
    // The second record is 600 ms before the first.
    assert_eq!(times(&batch)[..2], [i64::MIN, i64::MAX - 599]);
    let read = unless_it_overflows(|| theirs_read(&late));
    assert_eq!(read.map(|records| records[1].timestamp), (!is_checked).then_some(i64::MAX - 599));

    let mut beyond = bytes_of("none/plain");
    beyond[..8].copy_from_slice(&(i64::MAX - 2).to_be_bytes());
    let fault = Batches::new(beyond.clone().into()).next().expect("one").expect_err("offsets beyond the last");
    assert_eq!(fault.reason, format!("offsets from {} by 5", i64::MAX - 2));
    let read = unless_it_overflows(|| theirs_read(&beyond));
    assert_eq!(read.map(|records| records[5].offset), (!is_checked).then_some(i64::MIN + 2));
}

/// Java is right: the base timestamp is the first record's (KIP-98), so one pass writes a batch. kafka-protocol looks for the
/// least before it writes: the same times, in other bytes.
#[test]
fn the_base_timestamp_is_the_first_record_s_not_the_least() {
    let java = one("none/plain");
    assert_eq!(java.header.base_timestamp_ms, 1_000);
    let written = theirs_written(&theirs_read(&bytes_of("none/plain")));
    assert_eq!(written[0].header.base_timestamp_ms, -1, "the fourth record's");
    let mut decompressor = Decompressor::default();
    assert_eq!(records(&java, &mut decompressor), records(&written[0], &mut decompressor));
}

/// Java is right: who writes is the batch's own affair, and a sequence goes from the largest to 0 within a batch. kafka-protocol
/// has both in every record: it writes a batch for each change of either, and counts on below 0.
#[test]
fn a_sequence_wraps_to_0_within_one_batch() {
    let java = one("shape/sequence-wraps");
    assert_eq!((java.header.base_sequence, java.header.last_offset_delta), (i32::MAX - 2, 5));
    let mut records = theirs_read(&bytes_of("shape/sequence-wraps"));
    let sequences = |records: &[theirs::Record]| records.iter().map(|record| record.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(&records)[2..4], [i32::MAX, i32::MIN], "below 0, where a broker looks for 0");
    for record in &mut records[3..] {
        record.sequence &= i32::MAX;
    }
    let lens = |records: &[theirs::Record]| {
        theirs_written(records).iter().map(|batch| batch.header.record_count).collect::<Vec<_>>()
    };
    assert_eq!(lens(&records), [3, 3], "with the sequences that a broker has for them");
    let mut two_writers = theirs_read(&bytes_of("none/plain"));
    two_writers[4].producer_epoch = 7;
    assert_eq!(lens(&two_writers), [4, 1, 1]);
}

/// Java is right: the bit says whose the times are. kafka-protocol never writes it, so the broker's times become the producer's.
#[test]
fn log_append_time_is_not_lost_on_the_way_back() {
    let java = one("none/log-append-time");
    assert_eq!(java.header.timestamp_type(), milena::TimestampType::LogAppendTime);
    let read = theirs_read(&bytes_of("none/log-append-time"));
    assert!(read.iter().all(|record| record.timestamp_type == theirs::TimestampType::LogAppend));
    let written = theirs_written(&read);
    assert_eq!(written[0].header.timestamp_type(), milena::TimestampType::CreateTime);
}
