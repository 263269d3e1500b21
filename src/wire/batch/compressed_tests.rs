//! What a compressed batch promises: the records of any codec come back, and damage costs no more than the limit.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::{Owned, STAMP, only, owned, reseal, sample};
use super::*;
use crate::wire::codec::{Compressor, Decompressor};

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn sealed(records: &[Owned], codec: Compression) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::with_capacity(1 << 20), 1 << 20);
    for record in records {
        record.append_to(&mut builder).unwrap();
    }
    builder.compress(&mut Compressor::new(codec, 6).unwrap());
    assert_eq!(Owned::default().append_to(&mut builder), Err(BatchFull), "closed once it is compressed");
    let len = builder.wire_len();
    let batch = builder.seal(STAMP);
    assert_eq!(batch.len(), len);
    batch
}

fn read(batch: &Batch) -> Result<Vec<Owned>, BatchFault> {
    batch.verify_crc()?;
    batch.records_with(&mut Decompressor::default()).map(|r| r.map(Owned::of)).collect()
}

fn many() -> Vec<Owned> {
    let record = |i| Owned { value: Some(format!("record number {i} of many").into_bytes()), ..Owned::default() };
    (0..1000).map(record).collect()
}

#[test]
fn a_compressed_batch_keeps_its_header_and_its_base_offset_of_zero() {
    for codec in CODECS {
        let batch = only(sealed(&many(), codec));
        let h = batch.header;
        assert_eq!((h.compression(), h.record_count, h.base_offset, h.last_offset()), (Some(codec), 1000, 0, 999));
        assert_eq!((h.producer, h.base_sequence, h.is_transactional()), (STAMP.producer, 40, false));
        assert!(batch.bytes.len() < 12_000, "{codec}: {}", batch.bytes.len());
        let stamp = ProducerStamp { is_transactional: true, base_sequence: 7, ..STAMP };
        let other = only(restamp(&batch.bytes, stamp).unwrap());
        assert_eq!((other.header.compression(), other.header.is_transactional()), (Some(codec), true));
        assert_eq!(read(&other).unwrap(), many());
    }
}

#[test]
fn records_that_would_outgrow_their_buffer_stay_as_they_are() {
    for codec in CODECS {
        let mut builder = BatchBuilder::new(Vec::with_capacity(BATCH_HEADER_LEN + 11), 1000);
        let record = Owned { value: Some(vec![1, 2, 3, 4]), ..Owned::default() };
        record.append_to(&mut builder).unwrap();
        assert_eq!(builder.capacity(), builder.wire_len());
        builder.compress(&mut Compressor::new(codec, 6).unwrap());
        assert_eq!(builder.compression(), Compression::None);
        assert_eq!(read(&only(builder.seal(STAMP))).unwrap(), [record], "{codec}");
    }
}

#[test]
fn the_count_and_the_lengths_inside_are_believed_no_more_than_outside() {
    for codec in CODECS {
        for (count, reason) in [(2, "bytes behind the last record"), (4, "bad length"), (i32::MAX, "bad length")] {
            let mut builder = BatchBuilder::new(vec![0; 4096], 4096);
            for _ in 0..3 {
                Owned::default().append_to(&mut builder).unwrap();
            }
            builder.compress(&mut Compressor::new(codec, 6).unwrap());
            let mut bytes = builder.seal(STAMP);
            bytes[57..61].copy_from_slice(&i32::to_be_bytes(count));
            reseal(&mut bytes);
            let (batch, mut decompressor) = (only(bytes), Decompressor::default());
            let faults: Vec<_> = batch.records_with(&mut decompressor).filter_map(Result::err).collect();
            assert!(matches!(&faults[..], [f] if f.reason.contains(reason)), "{codec} {count}: {faults:?}");
        }
    }
}

#[test]
fn a_batch_that_compaction_left_empty_is_not_decompressed() {
    let mut bytes = sample()[..BATCH_HEADER_LEN].to_vec();
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
    bytes[22] |= 4;
    reseal(&mut bytes);
    let batch = only(bytes);
    assert!(!batch.is_compressed());
    assert_eq!((read(&batch), batch.records().count()), (Ok(vec![]), 0));
}

#[test]
fn every_flipped_bit_under_a_right_checksum_costs_no_more_than_the_limit() {
    let (mut decompressor, mut plain) = (Decompressor::new(64 << 10), Plain::new());
    for codec in CODECS {
        let whole = sealed(&many()[..20], codec);
        for bit in BATCH_HEADER_LEN * 8..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            reseal(&mut bytes);
            let batch = Batches::new(Bytes::from(bytes)).next().unwrap().unwrap();
            if batch.decompress_into(&mut decompressor, &mut plain).is_ok() {
                assert!(batch.records_in(plain.bytes()).count() <= 21);
            }
            assert!(plain.capacity() <= 1 << 20);
        }
    }
}

proptest! {
    #[test]
    fn what_went_in_comes_out(records in vec(owned(), 1..20)) {
        let mut decompressor = Decompressor::default();
        for codec in CODECS {
            let batch = only(sealed(&records, codec));
            let back: Vec<_> = batch.records_with(&mut decompressor).map(|r| Owned::of(r.unwrap())).collect();
            prop_assert_eq!(&back, &records);
        }
    }
}
