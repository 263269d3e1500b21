//! Everything the cluster sees and says, with virtual times, folded into one number: one seed, one number.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use milena::TopicPartition;
use milena::broker::{RequestInfo, Seen, Tap};
use milena::wire::batch::{Batch, Batches};
use milena::wire::messages::{ApiKey, ProduceRequest};
use tokio::time::Instant;

use super::late::Late;

/// A batch's name on the wire: producer id, epoch, partition, first sequence (P7).
type BatchName = (i64, i16, TopicPartition, i32);

/// The record of one run. Clones share it.
#[derive(Clone, Debug)]
pub(super) struct Trace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    start: Instant,
    hasher: DefaultHasher,
    requests: u64,
    /// Every line, if the run is to be read by a person.
    lines: Option<String>,
    contents: BTreeMap<BatchName, u64>,
    late: Late,
    faults: Vec<String>,
}

impl Trace {
    /// A trace that begins now. With `is_kept`, every line is kept for printing.
    pub(super) fn begin(transaction_version: i16, is_kept: bool) -> Self {
        Self(Arc::new(Mutex::new(State {
            start: Instant::now(),
            hasher: DefaultHasher::new(),
            requests: 0,
            lines: is_kept.then(String::new),
            contents: BTreeMap::new(),
            late: Late::new(transaction_version),
            faults: Vec::new(),
        })))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The tap that feeds it.
    pub(super) fn tap(&self) -> Tap {
        let trace = self.clone();
        Box::new(move |seen| trace.lock().see(seen))
    }

    /// Writes down something that happened on this side of the wire.
    pub(super) fn note(&self, text: impl FnOnce() -> String) {
        self.lock().note(text);
    }

    /// The number the run comes down to.
    pub(super) fn hash(&self) -> u64 {
        self.lock().hasher.finish()
    }

    /// How many requests reached the cluster.
    pub(super) fn requests(&self) -> u64 {
        self.lock().requests
    }

    /// What the wire itself showed to be wrong: P7, T5, and batches whose bytes changed after their checksum was made.
    pub(super) fn faults(&self) -> Vec<String> {
        self.lock().faults.clone()
    }

    /// All lines so far; empty if none are kept.
    pub(super) fn take_lines(&self) -> String {
        self.lock().lines.as_mut().map(std::mem::take).unwrap_or_default()
    }
}

impl State {
    fn see(&mut self, seen: Seen<'_>) {
        self.start.elapsed().hash(&mut self.hasher);
        match seen {
            Seen::Request(info) => {
                self.requests += 1;
                (info.broker, info.connection, info.header.correlation_id).hash(&mut self.hasher);
                (info.header.api_key, info.header.api_version).hash(&mut self.hasher);
                info.body.hash(&mut self.hasher);
                self.note(|| describe(info));
                self.check_batches(info);
                self.faults.extend(self.late.handle_request(info));
            }
            Seen::Response { broker, connection, api_key, frame, .. } => {
                (broker, connection, frame).hash(&mut self.hasher);
                self.late.handle_answer(connection, frame);
                self.note(|| format!("b{broker} {connection:?} < {} {} bytes", name_of(api_key), frame.len()));
            }
        }
    }

    fn note(&mut self, text: impl FnOnce() -> String) {
        let at = self.start.elapsed();
        if let Some(lines) = &mut self.lines {
            // Writing to a string does not fail.
            let _ = writeln!(lines, "{:>12.3} ms  {}", at.as_secs_f64() * 1e3, text());
        }
    }

    fn check_batches(&mut self, info: &RequestInfo<'_>) {
        for (tp, batch) in batches_of(info) {
            if let Err(fault) = batch.verify_crc() {
                self.faults.push(format!("P5: {tp}: {fault}"));
            }
            let header = &batch.header;
            if header.base_sequence < 0 {
                continue;
            }
            let producer = header.producer;
            let name = (producer.producer_id, producer.producer_epoch, tp, header.base_sequence);
            let mut hasher = DefaultHasher::new();
            // From the record count on: a batch's records, without what a broker or a restamp may change.
            (header.record_count, header.base_timestamp_ms, batch.bytes.get(57..)).hash(&mut hasher);
            let content = hasher.finish();
            if *self.contents.entry(name.clone()).or_insert(content) != content {
                self.faults.push(format!("P7: {name:?} names two sets of records"));
            }
        }
    }
}

/// The batches of a Produce request, with the partitions they go to.
pub(super) fn batches_of(info: &RequestInfo<'_>) -> Vec<(TopicPartition, Batch)> {
    let Some(Ok(request)) = info.decode::<ProduceRequest>() else { return Vec::new() };
    let mut found = Vec::new();
    for topic in request.topic_data {
        // From version 13 on, topics go by id; there is one topic per producer here, so the id tells them apart.
        let name = if topic.name.is_empty() { topic.topic_id.to_string() } else { topic.name.to_string() };
        for partition in topic.partition_data {
            let tp = TopicPartition::new(name.as_str(), partition.index);
            let batches = Batches::new(partition.records.unwrap_or_default());
            found.extend(batches.filter_map(Result::ok).map(|batch| (tp.clone(), batch)));
        }
    }
    found
}

fn name_of(api_key: i16) -> String {
    ApiKey::try_from(api_key).map_or_else(|()| api_key.to_string(), |key| format!("{key:?}"))
}

fn describe(info: &RequestInfo<'_>) -> String {
    let header = info.header;
    let mut text =
        format!("b{} {:?} > {} v{}", info.broker, info.connection, name_of(header.api_key), header.api_version);
    let _ = write!(text, " #{} {} bytes", header.correlation_id, info.body.len());
    for (tp, batch) in batches_of(info) {
        let (producer, sequence, count) =
            (batch.header.producer, batch.header.base_sequence, batch.header.record_count);
        let _ = write!(text, " [{tp} {}/{} seq {sequence} x{count}]", producer.producer_id, producer.producer_epoch);
    }
    text
}
