//! Nanoseconds a record costs to encode and to decode, beside the generated codec in the same run.
//!
//! `cargo bench --bench batch` prints, for each case, the best and the median of interleaved passes over 128 KiB batches.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::records::{Compression, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions};
use kafka_protocol::records::{Record as TheirRecord, TimestampType as TheirTimestampType};
use milena::wire::batch::{BatchBuilder, Batches, ProducerStamp};
use milena::{NewRecord, ProducerIdentity};

const MAX_BYTES: usize = 128 * 1024;
const BATCHES: usize = 40;
const PASSES: usize = 60;
const STAMP: ProducerStamp = ProducerStamp {
    producer: ProducerIdentity { producer_id: 1, producer_epoch: 0 },
    base_sequence: 0,
    is_transactional: false,
};

struct Load {
    name: &'static str,
    key: Option<&'static [u8]>,
    value: Vec<u8>,
    records: usize,
}

impl Load {
    fn new(name: &'static str, key: Option<&'static [u8]>, value: usize) -> Self {
        let mut load = Self { name, key, value: (0..value).map(|i| i as u8).collect(), records: 0 };
        let batch = load.encode(Vec::new());
        load.records = batches(&batch).next().expect("one batch").header.record_count as usize;
        load
    }

    fn encode(&self, buffer: Vec<u8>) -> Vec<u8> {
        let mut builder = BatchBuilder::new(buffer, MAX_BYTES);
        let mut now = 1_700_000_000_000;
        let mut record = NewRecord::value(&self.value);
        record.key = self.key;
        while builder.append(black_box(&record), now).is_ok() {
            now += i64::from(builder.record_count() & 63 == 0);
        }
        builder.seal(STAMP)
    }

    fn theirs(&self) -> Vec<TheirRecord> {
        (0..self.records as i64).map(|i| self.their_record(i)).collect()
    }

    fn their_record(&self, i: i64) -> TheirRecord {
        TheirRecord {
            transactional: false,
            control: false,
            delete_horizon: false,
            partition_leader_epoch: -1,
            producer_id: 1,
            producer_epoch: 0,
            timestamp_type: TheirTimestampType::Creation,
            offset: i,
            sequence: i as i32,
            timestamp: 1_700_000_000_000 + i / 64,
            key: self.key.map(Bytes::from_static),
            value: Some(Bytes::copy_from_slice(&self.value)),
            headers: Default::default(),
        }
    }
}

fn batches(bytes: &[u8]) -> impl Iterator<Item = milena::wire::batch::Batch> {
    Batches::new(Bytes::copy_from_slice(bytes)).map(|b| b.expect("our own batch is whole"))
}

fn their_encode(records: &[TheirRecord], out: &mut BytesMut) {
    out.clear();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    RecordBatchEncoder::encode(out, records, &options).expect("their own records");
}

fn our_decode(frame: &Bytes, check_crc: bool) -> usize {
    let mut sum = 0;
    for batch in Batches::new(frame.clone()) {
        let batch = batch.expect("whole");
        if check_crc {
            batch.verify_crc().expect("right");
        }
        for record in batch.records() {
            let record = record.expect("sound");
            sum += record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        }
    }
    sum
}

/// Key and value as reference-counted slices of the frame, with offset and time.
type OwnedRecord = (i64, i64, Option<Bytes>, Option<Bytes>);

/// Into a list that is used again, as a reader that hands batches on would.
fn our_records(frame: &Bytes, owned: &mut Vec<OwnedRecord>) -> usize {
    let mut count = 0;
    for batch in Batches::new(frame.clone()) {
        let batch = batch.expect("whole");
        batch.verify_crc().expect("right");
        let own = |bytes: Option<&[u8]>| bytes.map(|bytes| batch.bytes.slice_ref(bytes));
        let records = batch.records().map(|record| record.expect("sound"));
        owned.clear();
        owned.extend(records.map(|r| (r.offset, r.timestamp_ms, own(r.key), own(r.value))));
        count += black_box(&*owned).len();
    }
    count
}

type Case<'a> = (&'static str, Box<dyn FnMut() -> usize + 'a>);

/// Every case once a pass, in turn, so that a noisy moment hurts all alike.
fn measure(load: &Load, mut cases: Vec<Case<'_>>) {
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..PASSES {
        for ((_, run), times) in cases.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..BATCHES {
                black_box(run());
            }
            times.push(start.elapsed());
        }
    }
    for ((name, _), mut times) in cases.into_iter().zip(times) {
        times.sort();
        let ns = |t: Duration| t.as_nanos() as f64 / (BATCHES * load.records) as f64;
        println!("{:<24} {name:<40} {:>7.1} {:>7.1}", load.name, ns(times[0]), ns(times[PASSES / 2]));
    }
}

fn main() {
    println!("{:<24} {:<40} {:>7} {:>7}  ns/record", "load", "case", "best", "median");
    let key = Some(&b"user-042"[..]);
    for load in
        [Load::new("100 B", None, 100), Load::new("8 B key, 100 B", key, 100), Load::new("8 B key, 1 KiB", key, 1024)]
    {
        let theirs = load.theirs();
        let mut their_buffer = BytesMut::with_capacity(2 * MAX_BYTES);
        let mut their_other = BytesMut::with_capacity(2 * MAX_BYTES);
        let (mut buffer, mut owned) = (Vec::with_capacity(MAX_BYTES), Vec::new());
        let frame = Bytes::from(load.encode(Vec::new()));
        their_encode(&theirs, &mut their_buffer);
        assert_eq!(their_buffer[21..57], frame[21..57], "the same header");
        measure(
            &load,
            vec![
                (
                    "encode and seal",
                    Box::new(|| {
                        buffer = load.encode(std::mem::take(&mut buffer));
                        buffer.len()
                    }),
                ),
                (
                    "encode, kafka-protocol, prebuilt",
                    Box::new(|| {
                        their_encode(&theirs, &mut their_buffer);
                        their_buffer.len()
                    }),
                ),
                (
                    "encode, kafka-protocol, with records",
                    Box::new(|| {
                        their_encode(&load.theirs(), &mut their_other);
                        their_other.len()
                    }),
                ),
                ("decode", Box::new(|| our_decode(&frame, false))),
                ("decode, checksum verified", Box::new(|| our_decode(&frame, true))),
                ("decode to owned records", Box::new(|| our_records(&frame, &mut owned))),
                (
                    "decode, kafka-protocol",
                    Box::new(|| RecordBatchDecoder::decode(&mut frame.clone()).expect("whole").records.len()),
                ),
            ],
        );
        // By itself: what follows forty checksums on end runs at the lower clock that so much AVX-512 leaves behind.
        let checksum = || milena::wire::crc32c(&frame[21..]) as usize;
        measure(&load, vec![("checksum alone, all that sealing costs", Box::new(checksum))]);
    }
}
