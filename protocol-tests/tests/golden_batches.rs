//! The bytes of partitions as Kafka's own classes wrote them, read as Kafka's classes read them.

use bytes::Bytes;
use kafka_protocol::records::RecordBatchDecoder;
use milena::wire::batch::{Batch, BatchFault, Batches, Compression, ControlKind};
use milena::wire::codec::Decompressor;
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
