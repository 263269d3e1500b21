//! A prepared transaction as bytes: a version in front, a CRC-32C behind, and nothing damaged is ever believed.

use std::sync::Arc;
use std::time::Duration;

use super::PreparedTransaction;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::{ProducerIdentity, TopicPartition, TransactionVersion};
use crate::wire::crc32c;

/// The only layout so far. Numbers are varints of seven bits a byte, low ones first, unless said otherwise:
///
/// version (1 byte), transaction version (1 byte: 1 or 2), producer id (8 bytes), producer epoch (2 bytes),
/// started at (8 bytes, ms), timeout (seconds, nanoseconds), record count, transactional id, then runs of partitions of
/// one topic until the last four bytes: topic, count, partitions (4 bytes each); last a CRC-32C of all before it.
/// Texts are a length and UTF-8. What has a fixed width is big-endian.
const LAYOUT: u8 = 1;

const CRC_BYTES: usize = 4;

pub(super) fn encode(prepared: &PreparedTransaction) -> Vec<u8> {
    let mut out = vec![LAYOUT, version_code(prepared.transaction_version)];
    out.extend_from_slice(&prepared.producer.producer_id.to_be_bytes());
    out.extend_from_slice(&prepared.producer.producer_epoch.to_be_bytes());
    out.extend_from_slice(&prepared.started_at_ms.to_be_bytes());
    put_number(&mut out, prepared.timeout.as_secs());
    put_number(&mut out, u64::from(prepared.timeout.subsec_nanos()));
    put_number(&mut out, prepared.record_count);
    put_text(&mut out, &prepared.transactional_id);
    for run in prepared.partitions.chunk_by(|a, b| a.topic == b.topic) {
        // `chunk_by` gives no empty runs.
        run.iter().take(1).for_each(|tp| put_text(&mut out, &tp.topic));
        put_number(&mut out, run.len() as u64);
        run.iter().for_each(|tp| out.extend_from_slice(&tp.partition.to_be_bytes()));
    }
    let crc = crc32c(&out);
    out.extend_from_slice(&crc.to_be_bytes());
    out
}

pub(super) fn decode(bytes: &[u8]) -> Result<PreparedTransaction> {
    let damaged = |why: &str| {
        let subject = "prepared transaction";
        Error::new(Operation::Checkpoint, ErrorKind::State, subject, format!("{why}, in {} bytes", bytes.len()))
    };
    match bytes.first() {
        Some(&LAYOUT) => {}
        Some(other) => {
            return Err(damaged(&format!("layout {other} is not known; layout {LAYOUT} is the newest here")));
        }
        None => return Err(damaged("nothing")),
    }
    let (body, crc) = bytes.split_last_chunk::<CRC_BYTES>().ok_or_else(|| damaged("cut short"))?;
    if crc32c(body) != u32::from_be_bytes(*crc) {
        return Err(damaged("the checksum does not match: the bytes were damaged or cut short"));
    }
    let mut reader = Reader(body.get(1..).unwrap_or_default());
    read(&mut reader).ok_or_else(|| damaged("the checksum matches but the content makes no sense"))
}

fn read(reader: &mut Reader<'_>) -> Option<PreparedTransaction> {
    let transaction_version = version_from(u8::from_be_bytes(reader.array()?))?;
    let producer_id = i64::from_be_bytes(reader.array()?);
    let producer_epoch = i16::from_be_bytes(reader.array()?);
    let started_at_ms = i64::from_be_bytes(reader.array()?);
    let (seconds, nanos) = (reader.number()?, reader.number()?);
    // More would be carried into the seconds, which may overflow.
    let nanos = u32::try_from(nanos).ok().filter(|n| *n < 1_000_000_000)?;
    let record_count = reader.number()?;
    let transactional_id = reader.text()?.to_owned();
    Some(PreparedTransaction {
        transactional_id,
        producer: ProducerIdentity { producer_id, producer_epoch },
        transaction_version,
        started_at_ms,
        timeout: Duration::new(seconds, nanos),
        record_count,
        partitions: partitions(reader)?,
    })
}

/// The partitions, whose number no count claims: the vector grows with the bytes that are there.
fn partitions(reader: &mut Reader<'_>) -> Option<Vec<TopicPartition>> {
    let mut partitions = Vec::new();
    while !reader.0.is_empty() {
        let topic: Arc<str> = Arc::from(reader.text()?);
        for _ in 0..reader.number()? {
            partitions.push(TopicPartition { topic: topic.clone(), partition: i32::from_be_bytes(reader.array()?) });
        }
    }
    Some(partitions)
}

fn version_code(version: TransactionVersion) -> u8 {
    match version {
        TransactionVersion::V1 => 1,
        TransactionVersion::V2 => 2,
    }
}

fn version_from(code: u8) -> Option<TransactionVersion> {
    [TransactionVersion::V1, TransactionVersion::V2].into_iter().find(|v| version_code(*v) == code)
}

fn put_number(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads forward; `None` when what is asked for is not there.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    /// A varint that fits 64 bits.
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array()?;
            let low = u64::from(byte & 0x7f);
            if (low << shift) >> shift != low {
                return None;
            }
            value |= low << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a str> {
        let len = usize::try_from(self.number()?).ok()?;
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        std::str::from_utf8(taken).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn sample() -> PreparedTransaction {
        PreparedTransaction {
            transactional_id: "etl/3#1".into(),
            producer: ProducerIdentity { producer_id: 4711, producer_epoch: 32766 },
            transaction_version: TransactionVersion::V2,
            started_at_ms: 1_795_000_000_123,
            timeout: Duration::from_millis(900_001),
            record_count: 300,
            partitions: vec![
                TopicPartition::new("out", 0),
                TopicPartition::new("out", 7),
                TopicPartition::new("log", 0),
                TopicPartition::new("out", 1),
            ],
        }
    }

    fn any_prepared() -> impl Strategy<Value = PreparedTransaction> {
        let topic = prop_oneof![Just("a".to_owned()), Just(String::new()), "\\PC{0,20}"];
        let partitions = prop::collection::vec((topic, any::<i32>()), 0..20);
        let timeout = (any::<u64>(), 0..1_000_000_000u32).prop_map(|(s, n)| Duration::new(s, n));
        (any::<String>(), any::<(i64, i16, bool, i64, u64)>(), timeout, partitions).prop_map(
            |(
                transactional_id,
                (producer_id, producer_epoch, is_v2, started_at_ms, record_count),
                timeout,
                partitions,
            )| {
                PreparedTransaction {
                    transactional_id,
                    producer: ProducerIdentity { producer_id, producer_epoch },
                    transaction_version: if is_v2 { TransactionVersion::V2 } else { TransactionVersion::V1 },
                    started_at_ms,
                    timeout,
                    record_count,
                    partitions: partitions.into_iter().map(|(t, p)| TopicPartition::new(t, p)).collect(),
                }
            },
        )
    }

    fn sealed(mut body: Vec<u8>) -> Vec<u8> {
        let crc = crc32c(&body);
        body.extend_from_slice(&crc.to_be_bytes());
        body
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(prepared in any_prepared()) {
            prop_assert_eq!(decode(&encode(&prepared)).unwrap(), prepared);
        }

        #[test]
        fn no_bytes_make_it_panic_even_with_a_good_checksum(body: Vec<u8>) {
            let _ = decode(&body);
            let _ = decode(&sealed([&[LAYOUT, 2], &body[..]].concat()));
        }
    }

    #[test]
    fn the_layout_is_what_its_comment_says() {
        let small = PreparedTransaction {
            transactional_id: "t".into(),
            timeout: Duration::from_secs(300),
            record_count: 3,
            started_at_ms: 1,
            partitions: vec![TopicPartition::new("x", 0), TopicPartition::new("x", 1)],
            ..sample()
        };
        let head = [1, 2, 0, 0, 0, 0, 0, 0, 0x12, 0x67, 0x7f, 0xfe, 0, 0, 0, 0, 0, 0, 0, 1];
        let tail = [0xac, 2, 0, 3, 1, b't', 1, b'x', 2, 0, 0, 0, 0, 0, 0, 0, 1];
        assert_eq!(encode(&small), sealed([&head[..], &tail[..]].concat()));
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = encode(&sample());
        for bit in 0..good.len() * 8 {
            let mut bytes = good.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(decode(&bytes).unwrap_err().kind(), ErrorKind::State, "bit {bit}");
        }
        for len in 0..good.len() {
            assert_eq!(decode(&good[..len]).unwrap_err().kind(), ErrorKind::State, "cut at {len}");
        }
        assert!(decode(&[&good[..], &[0]].concat()).is_err(), "a byte too many");
    }

    #[test]
    fn a_later_layout_is_named_and_not_called_damage() {
        let mut bytes = encode(&sample());
        bytes[0] = 2;
        let text = decode(&bytes).unwrap_err().to_string();
        assert!(text.contains("layout 2 is not known"), "{text}");
    }

    #[test]
    fn a_count_beyond_the_bytes_reserves_nothing() {
        let none = PreparedTransaction { partitions: Vec::new(), ..sample() };
        let mut body = encode(&none);
        body.truncate(body.len() - CRC_BYTES);
        put_text(&mut body, "out");
        put_number(&mut body, u64::MAX);
        assert!(decode(&sealed(body)).is_err());
    }
}
