//! What holds of all bytes: no read passes the frame, and checksums and varints are those of a bit-by-bit reference.

use bytes::{BufMut, Bytes, BytesMut};
use milena::wire::Direction;
use milena::wire::batch::{BATCH_HEADER_LEN, BatchBuilder, Batches, ProducerStamp};
use milena::{Header, NewRecord, ProducerIdentity};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol_tests::golden;
use protocol_tests::hostile::{Chosen, Seed, Target, feed, of_kind};

const NOBODY: ProducerStamp =
    ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };

/// CRC-32C (RFC 3720, reflected polynomial 0x82f63b78), one bit at a time.
fn crc32c(bytes: &[u8]) -> u32 {
    let step = |crc: u32| if crc & 1 == 1 { crc >> 1 ^ 0x82f6_3b78 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), |crc, _| step(crc)))
}

/// A zigzag varint as Protocol Buffers define it, one group of seven bits at a time.
fn put_varint(out: &mut Vec<u8>, value: i64) {
    let zigzag = if value < 0 { (i128::from(value) * -2 - 1) as u64 } else { value as u64 * 2 };
    let groups: Vec<u8> = (0..10).map(|group| (zigzag >> (7 * group)) as u8 & 0x7f).collect();
    let last = groups.iter().rposition(|group| *group != 0).unwrap_or(0);
    out.extend(groups[..last].iter().map(|group| group | 0x80));
    out.push(groups[last]);
}

fn put_bytes(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    put_varint(out, bytes.map_or(-1, |bytes| bytes.len() as i64));
    out.extend_from_slice(bytes.unwrap_or_default());
}

type Fields = (Option<Vec<u8>>, Option<Vec<u8>>, Vec<(Vec<u8>, Option<Vec<u8>>)>, i64);

/// A record as KIP-98 describes it.
fn reference(offset_delta: i64, timestamp_delta: i64, (key, value, headers, _): &Fields) -> Vec<u8> {
    let mut body = vec![0];
    put_varint(&mut body, timestamp_delta);
    put_varint(&mut body, offset_delta);
    put_bytes(&mut body, key.as_deref());
    put_bytes(&mut body, value.as_deref());
    put_varint(&mut body, headers.len() as i64);
    for (key, value) in headers {
        put_bytes(&mut body, Some(key));
        put_bytes(&mut body, value.as_deref());
    }
    let mut record = Vec::new();
    put_varint(&mut record, body.len() as i64);
    record.extend(body);
    record
}

fn fields() -> impl Strategy<Value = Fields> {
    let bytes = || option::of(vec(any::<u8>(), 0..300));
    let headers = vec((vec(any::<u8>(), 0..20), bytes()), 0..4);
    (bytes(), bytes(), headers, -(1i64 << 40)..1 << 40)
}

fn seal(records: &[Fields]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new(), usize::MAX);
    for (key, value, headers, timestamp_ms) in records {
        let headers: Vec<_> = headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let record =
            NewRecord { key: key.as_deref(), value: value.as_deref(), headers: &headers, ..NewRecord::default() };
        builder.append(&record, *timestamp_ms).expect("room");
    }
    builder.seal(NOBODY).to_vec()
}

proptest! {
    #[test]
    fn records_and_their_checksum_are_those_of_the_reference(records in vec(fields(), 1..8)) {
        let batch = seal(&records);
        let base = records[0].3;
        let expected: Vec<u8> =
            (0..).zip(&records).flat_map(|(delta, record)| reference(delta, record.3 - base, record)).collect();
        prop_assert_eq!(&batch[BATCH_HEADER_LEN..], &expected[..]);
        let told = u32::from_be_bytes(batch[17..21].try_into().expect("four bytes"));
        prop_assert_eq!(told, crc32c(&batch[21..]));
    }

    #[test]
    fn one_flipped_bit_of_what_the_checksum_covers_is_found(records in vec(fields(), 1..4), at: prop::sample::Index, bit in 0..8u8) {
        let mut batch = seal(&records);
        let at = 21 + at.index(batch.len() - 21);
        batch[at] ^= 1 << bit;
        // Some counts are refused before the checksum is looked at.
        let read = Batches::new(batch.into()).next().expect("one batch");
        prop_assert!(read.and_then(|batch| batch.verify_crc()).is_err());
    }

    #[test]
    fn any_bytes_read_as_any_message_end_in_a_value_or_a_fault_within_them(api: u8, version: u8, body: Vec<u8>, answer: bool) {
        let direction = if answer { Direction::Response } else { Direction::Request };
        let data = [&[api, version][..], &body].concat();
        protocol_tests::hostile::chosen(direction, &data).expect("two bytes to choose by").round_trip();
    }
}

#[test]
fn the_reference_is_the_published_one() {
    assert_eq!(crc32c(b"123456789"), 0xe306_9283, "the check value of CRC-32C");
    for (value, bytes) in [(0, &[0][..]), (-1, &[1]), (63, &[0x7e]), (64, &[0x80, 1]), (-65, &[0x81, 1])] {
        let mut out = Vec::new();
        put_varint(&mut out, value);
        assert_eq!(out, bytes, "{value}");
    }
}

/// Between other bytes of the same buffer, a frame reads as it does alone, and one byte more is one too many.
#[test]
fn no_read_passes_the_end_of_the_frame() {
    for Seed { name, target, bytes, .. } in of_kind("typical").into_iter().chain(of_kind("nulls")) {
        for around in [0x00, 0x01, 0xff] {
            let mut buffer = BytesMut::new();
            buffer.put_bytes(around, 64);
            buffer.extend_from_slice(&bytes);
            buffer.put_bytes(around, 64);
            let buffer: Bytes = buffer.freeze();
            assert!(feed(target, buffer.slice(64..64 + bytes.len())), "{name} between {around:02x}");
            assert!(!feed(target, buffer.slice(64..65 + bytes.len())), "{name} with {around:02x} behind it");
        }
        assert_ne!(target, Target::Batches);
    }
}

#[test]
fn every_golden_message_survives_being_written_twice_and_read_by_both_readers() {
    for golden in golden::messages().filter(|golden| milena::wire::api::api_by_number(golden.key).is_some()) {
        let (key, version, direction) = (golden.key, golden.version, golden.direction);
        Chosen { key, version, direction, body: &golden.bytes }.round_trip();
    }
}
