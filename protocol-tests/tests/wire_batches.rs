//! Batches beside Kafka's own classes (golden bytes) and the generated codec (differential): the same bytes both ways.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records as oracle;
use milena::wire::batch::{self, Batch, BatchBuilder, Batches, ControlKind, ProducerStamp};
use milena::{Header, NewRecord, ProducerIdentity, TimestampType};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// What the batches are and how they were made is in fixtures/README.md.
const GOLDEN: &str = include_str!("../../fixtures/batches/kafka-4.4.0.txt");

type OwnedHeader = (Vec<u8>, Option<Vec<u8>>);

#[derive(Clone, PartialEq, Eq, Debug)]
struct Owned {
    offset: i64,
    timestamp_ms: i64,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    headers: Vec<OwnedHeader>,
}

struct Golden {
    name: &'static str,
    bytes: Vec<u8>,
    /// The header's fields as Java prints them.
    header: String,
    records: Vec<Owned>,
}

fn golden() -> Vec<Golden> {
    let mut all: Vec<Golden> = Vec::new();
    for line in GOLDEN.lines() {
        let (what, rest) = line.split_once(' ').expect("a word and its fields");
        match what {
            "batch" => {
                let (name, bytes) = rest.split_once(' ').expect("a name and bytes");
                let bytes = unhex(bytes).expect("bytes");
                all.push(Golden { name, bytes, header: String::new(), records: Vec::new() });
            }
            "header" => all.last_mut().expect("a batch first").header = rest.to_string(),
            "record" => all.last_mut().expect("a batch first").records.push(golden_record(rest)),
            other => panic!("unknown line {other}"),
        }
    }
    all
}

fn golden_record(line: &str) -> Owned {
    let fields: Vec<_> = line.split(' ').collect();
    let headers = fields[4..].iter().map(|h| h.split_once('=').expect("a header")).collect::<Vec<_>>();
    Owned {
        offset: fields[0].parse().expect("an offset"),
        timestamp_ms: fields[1].parse().expect("a time"),
        key: unhex(fields[2]),
        value: unhex(fields[3]),
        headers: headers.into_iter().map(|(k, v)| (unhex(k).expect("a key"), unhex(v))).collect(),
    }
}

fn unhex(hex: &str) -> Option<Vec<u8>> {
    let digits = hex.strip_prefix('x')?;
    Some((0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).expect("hex")).collect())
}

fn only(bytes: &[u8]) -> Batch {
    let mut batches = Batches::new(Bytes::copy_from_slice(bytes));
    let batch = batches.next().expect("one batch").expect("a good batch");
    assert!(batches.next().is_none());
    batch.verify_crc().expect("the right checksum");
    batch
}

fn read(batch: &Batch) -> Vec<Owned> {
    let own = |b: &[u8]| b.to_vec();
    let records = batch.records().map(|r| r.expect("a sound record"));
    records
        .map(|r| Owned {
            offset: r.offset,
            timestamp_ms: r.timestamp_ms,
            key: r.key.map(own),
            value: r.value.map(own),
            headers: r.headers.into_iter().map(|h| (own(h.key), h.value.map(own))).collect(),
        })
        .collect()
}

fn write(records: &[Owned], stamp: ProducerStamp) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new(), usize::MAX);
    for record in records {
        let headers: Vec<_> =
            record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let key = record.key.as_deref();
        let new = NewRecord { key, value: record.value.as_deref(), headers: &headers, ..NewRecord::default() };
        builder.append(&new, record.timestamp_ms).expect("room");
    }
    builder.seal(stamp)
}

#[test]
fn java_s_batches_are_read_as_java_reads_them() {
    let all = golden();
    assert_eq!(all.len(), 11);
    for golden in all {
        let batch = only(&golden.bytes);
        let h = batch.header;
        let fields = format!(
            "{} {} {} {} {} {} {} {} {} {}",
            h.base_offset,
            h.last_offset(),
            h.partition_leader_epoch,
            h.timestamp_type() == TimestampType::CreateTime,
            h.max_timestamp_ms,
            h.producer.producer_id,
            h.producer.producer_epoch,
            h.base_sequence,
            h.is_transactional(),
            h.is_control()
        );
        assert_eq!(fields, golden.header, "{}", golden.name);
        assert_eq!(read(&batch), golden.records, "{}", golden.name);
    }
}

#[test]
fn what_java_writes_we_write_to_the_byte() {
    for golden in golden().iter().filter(|g| !g.name.starts_with("compacted")) {
        let h = only(&golden.bytes).header;
        let is_append_time = h.timestamp_type() == TimestampType::LogAppendTime;
        let sealed = match golden.name {
            "commit" => batch::control_batch(h.producer, ControlKind::Commit, 31, h.max_timestamp_ms),
            "abort" => batch::control_batch(h.producer, ControlKind::Abort, 32, h.max_timestamp_ms),
            _ => {
                let (producer, base_sequence) = (h.producer, h.base_sequence);
                let stamp = ProducerStamp { producer, base_sequence, is_transactional: h.is_transactional() };
                write(&producer_s_records(golden), stamp)
            }
        };
        let time = is_append_time.then_some(h.max_timestamp_ms);
        let stored = batch::assign_offsets(&sealed, h.base_offset, h.partition_leader_epoch, time);
        assert_eq!(stored.as_deref(), Some(&golden.bytes[..]), "{}", golden.name);
    }
}

/// The records as their producer had them: LogAppendTime hides its times, which are those of the batch `plain`.
fn producer_s_records(batch: &Golden) -> Vec<Owned> {
    if batch.name != "log-append-time" {
        return batch.records.clone();
    }
    let plain = golden().into_iter().find(|g| g.name == "plain").expect("plain");
    plain.records
}

#[test]
fn java_s_markers_say_their_kind() {
    for golden in golden() {
        let kind = only(&golden.bytes).control_kind();
        match golden.name {
            "commit" => assert_eq!(kind, Ok(ControlKind::Commit)),
            "abort" => assert_eq!(kind, Ok(ControlKind::Abort)),
            _ => assert!(kind.is_err()),
        }
    }
}

/// Records the oracle can carry: it takes the least time as the base, and loses repeated and non-UTF-8 header keys.
fn records() -> impl Strategy<Value = Vec<Owned>> {
    let bytes = || option::of(vec(any::<u8>(), 0..200));
    let headers = vec(bytes(), 0..4)
        .prop_map(|values| values.into_iter().enumerate().map(|(i, v)| (format!("h{i}").into_bytes(), v)).collect());
    let record = (bytes(), bytes(), headers, 0..100_000i64);
    (vec(record, 1..12), -1..2_000_000_000_000i64).prop_map(|(records, base)| {
        let records = records.into_iter().enumerate();
        records
            .map(|(i, (key, value, headers, after))| Owned {
                offset: i as i64,
                timestamp_ms: base + if i == 0 { 0 } else { after },
                key,
                value,
                headers,
            })
            .collect()
    })
}

fn theirs(record: &Owned, stamp: ProducerStamp) -> oracle::Record {
    let utf8 = |key: &[u8]| StrBytes::from_string(String::from_utf8(key.to_vec()).expect("UTF-8"));
    let bytes = |b: &Vec<u8>| Bytes::copy_from_slice(b);
    oracle::Record {
        transactional: stamp.is_transactional,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: stamp.producer.producer_id,
        producer_epoch: stamp.producer.producer_epoch,
        timestamp_type: oracle::TimestampType::Creation,
        offset: record.offset,
        sequence: stamp.base_sequence + record.offset as i32,
        timestamp: record.timestamp_ms,
        key: record.key.as_ref().map(bytes),
        value: record.value.as_ref().map(bytes),
        headers: record.headers.iter().map(|(k, v)| (utf8(k), v.as_ref().map(bytes))).collect(),
    }
}

proptest! {
    #[test]
    fn the_generated_codec_agrees_both_ways(records in records(), id in 0..i64::MAX, epoch in 0..i16::MAX, is_transactional: bool) {
        let producer = ProducerIdentity { producer_id: id, producer_epoch: epoch };
        let stamp = ProducerStamp { producer, base_sequence: 100, is_transactional };
        let ours = write(&records, stamp);
        let their_records: Vec<_> = records.iter().map(|r| theirs(r, stamp)).collect();
        let mut encoded = BytesMut::new();
        let options = oracle::RecordEncodeOptions { version: 2, compression: oracle::Compression::None };
        oracle::RecordBatchEncoder::encode(&mut encoded, &their_records, &options).expect("encodes");
        prop_assert_eq!(&ours[..], &encoded[..]);
        let decoded = oracle::RecordBatchDecoder::decode(&mut Bytes::from(ours)).expect("decodes");
        prop_assert_eq!(decoded.records, their_records);
        prop_assert_eq!(read(&only(&encoded)), records);
    }
}
