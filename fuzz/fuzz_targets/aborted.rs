//! A log of transactions, read in pieces by a read_committed reader: it sees what its writer knows to be committed.
//!
//! Each byte is a step: who writes, commits or aborts, where a fetch ends, how the broker orders its list.
#![no_main]

use std::collections::BTreeMap;

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use milena::consumer::fuzzing::read_committed;
use milena::wire::batch::{BatchBuilder, ControlKind, ProducerStamp, assign_offsets, control_batch};
use milena::{NewRecord, ProducerIdentity};

/// A partition as its leader holds it, and what its writers know.
#[derive(Default)]
struct Log {
    /// First offset, the one behind the last, bytes.
    batches: Vec<(i64, i64, Bytes)>,
    committed: Vec<i64>,
    /// Producer, first offset, the marker's offset.
    aborted: Vec<(i64, i64, i64)>,
    open: BTreeMap<i64, Vec<i64>>,
    end: i64,
}

impl Log {
    fn append(&mut self, count: i64, bytes: &[u8]) {
        let stored = assign_offsets(bytes, self.end, 0, None).expect("a whole batch");
        self.batches.push((self.end, self.end + count, stored.into()));
        self.end += count;
    }

    fn write(&mut self, producer: i64, count: i64) {
        let is_transactional = producer >= 0;
        let mut builder = BatchBuilder::new(Vec::new(), usize::MAX);
        for _ in 0..count {
            builder.append(&NewRecord::value(b"v"), 7).expect("room");
        }
        let producer_epoch = if is_transactional { 0 } else { -1 };
        let producer_identity = ProducerIdentity { producer_id: producer, producer_epoch };
        let stamp = ProducerStamp { producer: producer_identity, base_sequence: -1, is_transactional };
        let offsets = self.end..self.end + count;
        match is_transactional {
            true => self.open.entry(producer).or_default().extend(offsets),
            false => self.committed.extend(offsets),
        }
        self.append(count, &builder.seal(stamp));
    }

    fn end(&mut self, producer: i64, kind: ControlKind) {
        let records = self.open.remove(&producer).unwrap_or_default();
        match records.first() {
            Some(first) if kind == ControlKind::Abort => self.aborted.push((producer, *first, self.end)),
            _ => self.committed.extend(records),
        }
        let identity = ProducerIdentity { producer_id: producer, producer_epoch: 0 };
        self.append(1, &control_batch(identity, kind, 0, 7));
    }

    /// No offset from here on is decided.
    fn stable(&self) -> i64 {
        self.open.values().filter_map(|records| records.first().copied()).min().unwrap_or(self.end)
    }

    /// At most `count` batches from `from` on, and the aborted transactions that reach into them, turned by `turn`.
    fn fetch(&self, from: i64, count: usize, turn: usize) -> (Bytes, Vec<(i64, i64)>) {
        let stable = self.stable();
        let within = self.batches.iter().filter(|(_, end, _)| *end > from && *end <= stable);
        let batches: Vec<_> = within.take(count).collect();
        let upper = batches.last().map_or(from, |(_, end, _)| *end);
        let touches = |(_, first, marker): &&(i64, i64, i64)| *first < upper && *marker >= from;
        let mut list: Vec<_> = self.aborted.iter().filter(touches).map(|(p, first, _)| (*p, *first)).collect();
        if !list.is_empty() {
            let by = turn % list.len();
            list.rotate_left(by);
        }
        (batches.iter().map(|(.., bytes)| bytes.to_vec()).collect::<Vec<_>>().concat().into(), list)
    }
}

fuzz_target!(|data: &[u8]| {
    let (steps, cuts) = data.split_at(data.len() / 2);
    let mut log = Log::default();
    for step in steps.iter().take(200) {
        let producer = i64::from(step >> 2 & 7);
        match step & 3 {
            0 | 1 => log.write(producer - 1, 1 + i64::from(step >> 5)),
            2 => log.end(producer, ControlKind::Abort),
            _ => log.end(producer, ControlKind::Commit),
        }
    }
    let stable = log.stable();
    let mut expected = log.committed.clone();
    expected.retain(|offset| *offset < stable);
    expected.sort_unstable();
    let (mut position, mut read) = (0, Vec::new());
    for cut in cuts.iter().copied().chain(std::iter::repeat(0xff)) {
        if position >= stable {
            break;
        }
        let (records, list) = log.fetch(position, 1 + usize::from(cut & 7), usize::from(cut >> 3));
        let (batches, next, fault) = read_committed(records, position, stable, &list);
        assert_eq!(fault, None);
        assert!(next > position, "a reader that does not move on");
        let offsets = batches.iter().flat_map(|batch| batch.records().map(|r| r.expect("sound").offset));
        read.extend(offsets.filter(|offset| *offset >= position));
        position = next;
    }
    assert_eq!(read, expected);
});
