//! What holds of all bytes: no read passes the frame, and checksums and varints are those of a bit-by-bit reference.

use bytes::{BufMut, Bytes, BytesMut};
use milena::wire::api::api_by_number;
use milena::wire::batch::{BATCH_HEADER_LEN, BatchBuilder, Batches, Compression, ProducerStamp};
use milena::wire::codec::{Compressor, Decompressor};
use milena::wire::{Direction, guard, json};
use milena::{Header, NewRecord, ProducerIdentity};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use protocol_tests::golden;
use protocol_tests::hostile::{Chosen, Random, Seed, feed, layout, of_kind, tell_some};

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

/// `bytes` between others, and where they are.
fn between(around: u8, bytes: &[u8]) -> (Bytes, std::ops::Range<usize>) {
    let mut buffer = BytesMut::new();
    buffer.put_bytes(around, 64);
    buffer.extend_from_slice(bytes);
    buffer.put_bytes(around, 64);
    (buffer.freeze(), 64..64 + bytes.len())
}

/// What the whole batches of `data` hold, as text; a fault as well.
fn told(data: Bytes) -> Vec<String> {
    let mut decompressor = Decompressor::default();
    let batches = Batches::new(data).flat_map(|batch| {
        let Ok(batch) = batch else { return vec![format!("{batch:?}")] };
        let header = format!("{:?} {:?}", batch.header, batch.verify_crc());
        let records: Vec<_> = batch.records_with(&mut decompressor).map(|record| format!("{record:?}")).collect();
        [vec![header], records].concat()
    });
    batches.collect()
}

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

proptest! {
    /// Between other bytes a batch reads as it does alone; one more is a batch that is cut off, one less leaves none.
    #[test]
    fn no_read_of_a_batch_passes_its_end(records in vec(fields(), 1..6), around: u8, codec in 0..5usize) {
        let mut builder = BatchBuilder::new(Vec::new(), usize::MAX);
        for (key, value, headers, timestamp_ms) in &records {
            let headers: Vec<_> = headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
            let record = NewRecord { key: key.as_deref(), value: value.as_deref(), headers: &headers, ..NewRecord::default() };
            builder.append(&record, *timestamp_ms).expect("room");
        }
        if let Some(codec) = CODECS.get(codec) {
            builder.compress(&mut Compressor::new(*codec, 1).expect("every codec is built in"));
        }
        let batch = builder.seal(NOBODY);
        let alone = told(batch.clone().into());
        prop_assert_eq!(alone.len(), 1 + records.len());
        prop_assert!(alone.iter().all(|told| !told.contains("Err(")), "{:?}", alone);
        let (buffer, at) = between(around, &batch);
        prop_assert_eq!(&told(buffer.slice(at.clone())), &alone);
        prop_assert_eq!(&told(buffer.slice(at.start..at.end + 1)), &alone);
        prop_assert!(told(buffer.slice(at.start..at.end - 1)).is_empty());
    }

    /// Between other bytes what a codec wrote is read as it is alone; one more or one less is never taken for the same.
    #[test]
    fn no_read_of_compressed_bytes_passes_their_end(
        plain in vec(prop_oneof![3 => Just(7u8), 1 => any::<u8>()], 1..3000),
        around: u8,
    ) {
        let mut decompressor = Decompressor::default();
        for codec in CODECS {
            let mut compressor = Compressor::new(codec, 1).expect("every codec is built in");
            let (buffer, at) = between(around, compressor.compress(&plain).expect("it takes this much"));
            prop_assert_eq!(decompressor.decompress(codec, &buffer[at.clone()]).expect("sound"), &plain);
            prop_assert!(decompressor.decompress(codec, &buffer[at.start..at.end + 1]).is_err(), "{} {:02x}", codec, around);
            prop_assert!(decompressor.decompress(codec, &buffer[at.start..at.end - 1]).is_err(), "{} cut", codec);
        }
    }
}

proptest! {
    // Each case is a message of every version of every API.
    #![proptest_config(ProptestConfig::with_cases(8))]
    #[test]
    fn every_message_comes_back_and_lies_about_it_are_read_soundly_or_refused(seed: u64) {
        let (mut believed, mut refused) = (0, 0);
        for (key, name, direction, (oldest, newest)) in json::messages() {
            let is_typed = api_by_number(key).is_some();
            for version in oldest..=newest {
                let what = format!("{name} v{version} {direction:?}, seed {seed}");
                let value = json::sample(key, version, direction, seed).expect("a version of the table");
                let bytes = json::encode(key, version, direction, &value).expect("a value that fits");
                prop_assert_eq!(json::decode(key, version, direction, &bytes), Ok(value), "{}", &what);
                prop_assert_eq!(guard::check(key, version, direction, &bytes), Ok(()), "{}", &what);
                if !is_typed {
                    continue;
                }
                Chosen { key, version, direction, body: &bytes }.round_trip();
                let pieces = layout(key, version, direction, &bytes);
                let mut random = Random::of(seed, version as u64);
                for _ in 0..4 {
                    let mut lied = bytes.clone();
                    tell_some(&mut lied, &pieces, &mut random);
                    Chosen { key, version, direction, body: &lied }.round_trip();
                    match guard::check(key, version, direction, &lied) {
                        Ok(()) => believed += 1,
                        Err(_) => refused += 1,
                    }
                }
            }
        }
        prop_assert!(believed > 100 && refused > 100, "{} lies are believed, {} refused", believed, refused);
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
    }
}

#[test]
fn every_golden_message_survives_being_written_twice_and_read_by_both_readers() {
    for golden in golden::messages().filter(|golden| milena::wire::api::api_by_number(golden.key).is_some()) {
        let (key, version, direction) = (golden.key, golden.version, golden.direction);
        Chosen { key, version, direction, body: &golden.bytes }.round_trip();
    }
}
