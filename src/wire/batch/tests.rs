//! What a batch promises: what went in comes out, and damage is seen.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use super::*;
use crate::record::{Header, NewRecord, Record, TimestampType};

pub(super) const STAMP: ProducerStamp = ProducerStamp {
    producer: ProducerIdentity { producer_id: 7, producer_epoch: 3 },
    base_sequence: 40,
    is_transactional: false,
};

/// A record that owns its bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Owned {
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub(super) timestamp_ms: i64,
}

impl Owned {
    pub(super) fn append_to(&self, builder: &mut BatchBuilder) -> Result<u32, BatchFull> {
        let headers: Vec<_> = self.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
        let record = NewRecord {
            key: self.key.as_deref(),
            value: self.value.as_deref(),
            headers: &headers,
            timestamp_ms: Some(self.timestamp_ms),
            partition: None,
        };
        let before = builder.wire_len();
        let index = builder.append(&record, 0)?;
        assert!(builder.wire_len() - before <= record_size_upper_bound(&record));
        Ok(index)
    }

    pub(super) fn of(record: Record<'_>) -> Self {
        Self {
            key: record.key.map(<[u8]>::to_vec),
            value: record.value.map(<[u8]>::to_vec),
            headers: record.headers.into_iter().map(|h| (h.key.to_vec(), h.value.map(<[u8]>::to_vec))).collect(),
            timestamp_ms: record.timestamp_ms,
        }
    }
}

pub(super) fn owned() -> impl Strategy<Value = Owned> {
    let bytes = || vec(any::<u8>(), 0..300);
    let headers = vec((vec(any::<u8>(), 0..6), option::of(vec(any::<u8>(), 0..40))), 0..4);
    let time = prop_oneof![any::<i64>(), 0..2_000_000_000_000i64, Just(-1)];
    (option::of(bytes()), option::of(bytes()), headers, time).prop_map(|(key, value, headers, timestamp_ms)| Owned {
        key,
        value,
        headers,
        timestamp_ms,
    })
}

pub(super) fn sealed(records: &[Owned]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new(), usize::MAX);
    for (i, record) in records.iter().enumerate() {
        assert_eq!(record.append_to(&mut builder), Ok(i as u32));
    }
    let len = builder.wire_len();
    let batch = builder.seal(STAMP);
    assert_eq!(batch.len(), len);
    batch
}

/// A few records of every shape.
pub(super) fn sample() -> Vec<u8> {
    let h = |k: &[u8], v: Option<&[u8]>| (k.to_vec(), v.map(<[u8]>::to_vec));
    sealed(&[
        Owned { key: Some(b"k".to_vec()), value: Some(b"hello".to_vec()), timestamp_ms: 1000, ..Owned::default() },
        Owned { value: Some(Vec::new()), timestamp_ms: 900, ..Owned::default() },
        Owned {
            key: Some(Vec::new()),
            headers: vec![h(b"a", Some(b"1")), h(b"a", None), h(b"\xff\xfe", Some(b""))],
            timestamp_ms: 1100,
            ..Owned::default()
        },
    ])
}

pub(super) fn only(bytes: Vec<u8>) -> Batch {
    let mut batches = Batches::new(Bytes::from(bytes));
    let batch = batches.next().expect("one batch").expect("a good batch");
    assert!(batches.next().is_none());
    batch
}

fn read(batch: &Batch) -> Result<Vec<Owned>, BatchFault> {
    batch.verify_crc()?;
    batch.records().map(|r| r.map(Owned::of)).collect()
}

/// Everything a reader may do with bytes it does not trust. The number of records it was given.
fn read_all(bytes: Bytes) -> usize {
    let len = bytes.len();
    let mut seen = 0;
    for (i, batch) in Batches::new(bytes).enumerate() {
        assert!(i <= len / BATCH_HEADER_LEN, "the walk goes on at least a header at a time");
        let Ok(batch) = batch else { continue };
        let (_, _, header) = (batch.verify_crc(), batch.control_kind(), batch.header);
        assert!(header.next_offset() > header.base_offset);
        for record in batch.records().flatten() {
            assert!((header.base_offset..=header.last_offset()).contains(&record.offset));
            assert_eq!(record.headers.into_iter().count(), record.headers.len());
            seen += 1;
        }
    }
    seen
}

pub(super) fn reseal(batch: &mut [u8]) {
    header::patch_crc(batch);
}

#[test]
fn the_header_tells_what_was_sealed() {
    let batch = only(sample());
    let h = batch.header;
    assert_eq!((h.base_offset, h.last_offset(), h.next_offset(), h.record_count), (0, 2, 3, 3));
    assert_eq!((h.base_timestamp_ms, h.max_timestamp_ms), (1000, 1100));
    assert_eq!((h.producer, h.base_sequence, h.partition_leader_epoch), (STAMP.producer, 40, -1));
    assert_eq!((h.attributes, h.total_len()), (0, batch.bytes.len()));
    assert!(
        only(restamp(&batch.bytes, ProducerStamp { is_transactional: true, ..STAMP }).unwrap())
            .header
            .is_transactional()
    );
}

#[test]
fn a_full_batch_refuses_without_effect_and_the_first_record_always_fits() {
    let big = Owned { value: Some(vec![9; 500]), ..Owned::default() };
    let mut builder = BatchBuilder::new(Vec::with_capacity(64), 100);
    assert_eq!(big.append_to(&mut builder), Ok(0));
    let len = builder.wire_len();
    assert_eq!(Owned::default().append_to(&mut builder), Err(BatchFull));
    assert_eq!((builder.wire_len(), builder.record_count()), (len, 1));
    assert_eq!(read(&only(builder.seal(STAMP))).unwrap(), [big]);

    let mut builder = BatchBuilder::new(Vec::new(), BATCH_HEADER_LEN + 2 * 7);
    assert_eq!(Owned::default().append_to(&mut builder), Ok(0));
    assert_eq!(Owned::default().append_to(&mut builder), Ok(1), "max_bytes itself is inside");
    assert_eq!(Owned::default().append_to(&mut builder), Err(BatchFull));
}

#[test]
fn a_buffer_is_reused_whatever_it_held_and_doubles_up_to_its_limit() {
    let mut builder = BatchBuilder::new(vec![0xee; 4096], 20_000);
    assert_eq!(builder.capacity(), 4096);
    let record = Owned { value: Some(vec![1; 100]), ..Owned::default() };
    let mut seen = vec![builder.capacity()];
    while record.append_to(&mut builder).is_ok() {
        if seen.last() != Some(&builder.capacity()) {
            seen.push(builder.capacity());
        }
    }
    assert_eq!(seen, [4096, 8192, 16384, 20_000]);
    let count = builder.record_count() as usize;
    assert_eq!(read(&only(builder.seal(STAMP))).unwrap(), vec![record; count]);
}

#[test]
fn times_at_both_ends_of_what_there_is_round_trip() {
    let times = [i64::MAX, i64::MIN, -1, 0, i64::MAX];
    let records: Vec<_> = times.map(|timestamp_ms| Owned { timestamp_ms, ..Owned::default() }).to_vec();
    assert_eq!(read(&only(sealed(&records))).unwrap(), records);
}

#[test]
fn an_old_magic_is_named_and_ends_the_walk() {
    for magic in [0u8, 1, 3] {
        let mut bytes = sample();
        bytes[16] = magic;
        bytes.extend(sample());
        let mut batches = Batches::new(Bytes::from(bytes));
        let fault = batches.next().unwrap().unwrap_err();
        assert!(fault.reason.contains(&format!("magic {magic}")), "{fault}");
        assert!(batches.next().is_none());
    }
}

#[test]
fn a_compressed_batch_wants_a_decompressor_and_an_unknown_codec_is_named() {
    let faults = |bytes: Vec<u8>| -> Vec<String> {
        let (batch, mut decompressor) = (only(bytes), Decompressor::default());
        let without: Vec<_> = batch.records().map(|r| r.unwrap_err().reason).collect();
        without.into_iter().chain(batch.records_with(&mut decompressor).map(|r| r.unwrap_err().reason)).collect()
    };
    let mut bytes = sample();
    bytes[22] |= 4;
    let [without, with] = &faults(bytes)[..] else { panic!("one fault each") };
    assert_eq!(without, "compressed with zstd, and read without a decompressor");
    assert!(with.contains("not sound zstd") || with.contains("the feature `zstd`"), "{with}");
    for number in 5..=7 {
        let mut bytes = sample();
        bytes[22] |= number;
        let unknown = format!("compression {number}: not a codec Kafka has; a newer client may be needed");
        assert_eq!(faults(bytes), [unknown.clone(), unknown]);
    }
}

#[test]
fn log_append_time_is_every_record_s_time() {
    let bytes = assign_offsets(&sample(), 500, 9, Some(77_000)).unwrap();
    let batch = only(bytes);
    assert_eq!(batch.header.timestamp_type(), TimestampType::LogAppendTime);
    assert_eq!(batch.header.partition_leader_epoch, 9);
    let all: Vec<_> = batch.records().map(|r| r.unwrap()).map(|r| (r.offset, r.timestamp_ms)).collect();
    assert_eq!(all, [(500, 77_000), (501, 77_000), (502, 77_000)]);
    batch.verify_crc().unwrap();
}

#[test]
fn a_leader_s_offset_leaves_the_checksum_to_the_producer() {
    let mut damaged = sample();
    *damaged.last_mut().unwrap() ^= 1;
    let batch = only(assign_offsets(&damaged, 500, 9, None).unwrap());
    assert!(batch.verify_crc().is_err());
    let batch = only(assign_offsets(&sample(), 500, 9, None).unwrap());
    batch.verify_crc().unwrap();
}

#[test]
fn only_one_whole_batch_is_stamped() {
    let two = [sample(), sample()].concat();
    for bad in [&two[..], &two[..20], &two[..80], &[]] {
        assert_eq!(restamp(bad, STAMP), None);
        assert_eq!(assign_offsets(bad, 0, 0, None), None);
    }
}

#[test]
fn markers_say_their_kind() {
    for kind in [ControlKind::Abort, ControlKind::Commit, ControlKind::Other(5)] {
        let batch = only(control_batch(STAMP.producer, kind, 12, 5000));
        assert!(batch.header.is_control() && batch.header.is_transactional());
        assert_eq!(batch.control_kind(), Ok(kind));
        assert_eq!(read(&batch).unwrap()[0].value.as_deref(), Some(&[0, 0, 0, 0, 0, 12][..]));
    }
    assert!(only(sample()).control_kind().is_err());
}

#[test]
fn a_compacted_batch_keeps_its_range() {
    // Two of five records are left, in the middle; the header keeps its last offset.
    let mut bytes = sample();
    bytes[23..27].copy_from_slice(&4i32.to_be_bytes());
    reseal(&mut bytes);
    let batch = only(assign_offsets(&bytes, 100, 1, None).unwrap());
    let offsets: Vec<_> = batch.records().map(|r| r.unwrap().offset).collect();
    assert_eq!((offsets, batch.header.next_offset()), (vec![100, 101, 102], 105));

    // None is left.
    let mut bytes = sample()[..BATCH_HEADER_LEN].to_vec();
    bytes[8..12].copy_from_slice(&49i32.to_be_bytes());
    bytes[57..61].copy_from_slice(&0i32.to_be_bytes());
    bytes[22] |= 32;
    reseal(&mut bytes);
    let batch = only(bytes);
    assert_eq!((read(&batch), batch.header.next_offset()), (Ok(vec![]), 3));
    assert_eq!(batch.control_kind(), Ok(ControlKind::Other(-1)));
}

#[test]
fn a_header_that_leads_nowhere_is_a_fault() {
    let lies: [(usize, &[u8]); 6] = [
        (0, &(-5i64).to_be_bytes()),
        (0, &i64::MAX.to_be_bytes()),
        (8, &48i32.to_be_bytes()),
        (8, &(-1i32).to_be_bytes()),
        (23, &(-1i32).to_be_bytes()),
        (57, &(-1i32).to_be_bytes()),
    ];
    for (at, lie) in lies {
        let mut bytes = sample();
        bytes[at..at + lie.len()].copy_from_slice(lie);
        let all: Vec<_> = Batches::new(Bytes::from(bytes)).collect();
        assert!(matches!(&all[..], [Err(_)]), "{at} {lie:?}: {all:?}");
    }
}

#[test]
fn records_fill_their_batch_and_their_own_length_exactly() {
    let lies: [(usize, u8, &str); 10] = [
        (60, 2, "bytes behind the last record"),
        (60, 4, "bad length"),
        (61, 0x7f, "negative length"),
        (61, 0x7e, "longer than its batch"),
        (61, 0, "empty"),
        (64, 8, "offset outside its batch"),
        (61, 40, "shorter than its length says"),
        (67, 14, "bad value length"),
        (67, 8, "bad header count"),
        (73, 2, "bad header key"),
    ];
    for (at, byte, reason) in lies {
        let mut bytes = sample();
        bytes[at] = byte;
        reseal(&mut bytes);
        let batch = only(bytes);
        let faults: Vec<_> = batch.records().filter_map(|r| r.err()).collect();
        assert!(matches!(&faults[..], [f] if f.reason.contains(reason)), "{at}: {faults:?}");
    }
}

#[test]
fn every_truncation_is_a_partial_tail() {
    let whole = sample();
    for len in 0..whole.len() {
        let bytes = [&whole[..], &whole[..len]].concat();
        let all: Vec<_> = Batches::new(Bytes::from(bytes)).collect();
        assert!(matches!(&all[..], [Ok(_)]), "{len}: {all:?}");
    }
}

#[test]
fn every_flipped_bit_under_the_checksum_is_seen() {
    let whole = sample();
    for bit in 0..whole.len() * 8 {
        let mut bytes = whole.clone();
        bytes[bit / 8] ^= 1 << (bit % 8);
        read_all(Bytes::from(bytes.clone()));
        let is_seen = match Batches::new(Bytes::from(bytes)).next() {
            None | Some(Err(_)) => true,
            Some(Ok(batch)) => batch.verify_crc().is_err(),
        };
        // Base offset and leader epoch are the leader's to write: no checksum covers them.
        let is_leaders = matches!(bit / 8, 0..8 | 12..16);
        assert!(is_seen || is_leaders, "bit {bit}");
    }
}

proptest! {
    #[test]
    fn what_went_in_comes_out(records in vec(owned(), 1..20)) {
        let batch = only(sealed(&records));
        prop_assert_eq!(batch.header.max_timestamp_ms, records.iter().map(|r| r.timestamp_ms).max().unwrap());
        prop_assert_eq!(read(&batch).unwrap(), records);
    }

    #[test]
    fn another_stamp_changes_the_stamp_alone(records in vec(owned(), 1..5), id: i64, epoch: i16, sequence: i32, tx: bool) {
        let producer = ProducerIdentity { producer_id: id, producer_epoch: epoch };
        let stamp = ProducerStamp { producer, base_sequence: sequence, is_transactional: tx };
        let original = sealed(&records);
        let batch = only(restamp(&original, stamp).unwrap());
        let h = batch.header;
        prop_assert_eq!((h.producer, h.base_sequence, h.is_transactional()), (producer, sequence, tx));
        prop_assert_eq!(read(&batch).unwrap(), records);
        prop_assert_eq!(restamp(&batch.bytes, STAMP).unwrap(), original);
    }

    #[test]
    fn no_bytes_panic(mut bytes in vec(any::<u8>(), 0..200), magic in 0..3u8, length in 40..150i32) {
        read_all(Bytes::from(bytes.clone()));
        if bytes.len() > 16 {
            bytes[8..12].copy_from_slice(&length.to_be_bytes());
            bytes[16] = magic;
            read_all(Bytes::from(bytes));
        }
    }

    #[test]
    fn no_damage_to_records_panics(records in vec(owned(), 1..4), damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4)) {
        let mut bytes = sealed(&records);
        for (at, byte) in damage {
            let at = BATCH_HEADER_LEN + at.index(bytes.len() - BATCH_HEADER_LEN);
            bytes[at] = byte;
        }
        prop_assert!(read_all(Bytes::from(bytes)) <= records.len());
    }
}
