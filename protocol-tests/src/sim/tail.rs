//! A reader of committed records that follows the topic all along and writes down what it was given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use milena::config::{ClientConfig, ConsumerConfig};
use milena::consumer::{Consumer, Polled};
use milena::{ErrorKind, IsolationLevel, Position, TopicPartition};

use super::random::Random;
use super::truth::PartitionLog;
use super::world::{Process, World};

/// What was delivered, by partition, in order: offset and value.
#[derive(Clone, Default, Debug)]
pub(super) struct Delivered(Arc<Mutex<State>>);

#[derive(Default, Debug)]
struct State {
    records: BTreeMap<i32, Vec<(i64, Vec<u8>)>>,
    findings: Vec<String>,
}

impl Delivered {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many records came.
    pub(super) fn len(&self) -> usize {
        self.lock().records.values().map(Vec::len).sum()
    }

    /// T2, T4, C1, C2: what came is what is committed, all of it, once, in order.
    pub(super) fn check(&self, logs: &[PartitionLog]) -> Vec<String> {
        let state = self.lock();
        let mut findings = state.findings.clone();
        for (partition, log) in (0..).zip(logs) {
            let came = state.records.get(&partition).map_or(&[][..], Vec::as_slice);
            let due: Vec<(i64, &[u8])> = log.committed().map(|entry| (entry.offset, entry.value.as_slice())).collect();
            let agree = came.iter().zip(&due).take_while(|((o, v), (offset, value))| o == offset && v == value).count();
            if agree < came.len().max(due.len()) {
                let came = came.get(agree).map(|(offset, value)| (offset, String::from_utf8_lossy(value)));
                let due = due.get(agree).map(|(offset, value)| (offset, String::from_utf8_lossy(value)));
                findings.push(format!(
                    "T2/T4/C2: partition {partition}, record {agree}: got {came:?}, committed is {due:?}"
                ));
            }
        }
        findings
    }
}

/// A process that reads all of `topic`, from its first record on, until the task is aborted.
pub(super) async fn follow(world: Arc<World>, topic: &'static str, delivered: Delivered, random: Random) {
    // A silent connection must be given up before the logs are looked at.
    let config = ClientConfig { request_timeout: Duration::from_secs(3), ..ClientConfig::default() };
    loop {
        if let Ok(process) = world.process("reader", config.clone()).await {
            return Tail::new(&process, topic, world.plan.partitions, delivered, random).follow().await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A consumer at work.
struct Tail {
    consumer: Consumer,
    partitions: Vec<TopicPartition>,
    delivered: Delivered,
    random: Random,
}

impl Tail {
    /// A consumer that begins at the first record.
    fn new(process: &Process, topic: &str, partitions: i32, delivered: Delivered, mut random: Random) -> Self {
        let config = ConsumerConfig {
            isolation_level: IsolationLevel::ReadCommitted,
            fetch_max_wait: random.millis(1..500),
            max_partition_fetch_bytes: random.pick(&[200, 2_000, 1 << 20]),
            queued_max_bytes: random.pick(&[64 << 10, 16 << 20]),
            ..ConsumerConfig::default()
        };
        let consumer = process.client.consumer(config).expect("settings that agree");
        let partitions: Vec<_> = (0..partitions).map(|partition| TopicPartition::new(topic, partition)).collect();
        consumer.assign(partitions.iter().map(|tp| (tp.clone(), Position::Earliest)));
        Self { consumer, partitions, delivered, random }
    }

    /// Reads until dropped.
    async fn follow(mut self) {
        loop {
            // A poll that is given up loses nothing.
            let Ok(polled) = tokio::time::timeout(self.random.millis(1..2_000), self.consumer.poll()).await else {
                self.consumer.resume(&self.partitions);
                continue;
            };
            match polled {
                Ok(Polled::Records(polled)) => {
                    let partition = polled.partition().partition;
                    let mut state = self.delivered.lock();
                    let records = state.records.entry(partition).or_default();
                    let found = polled.iter().filter_map(Result::ok);
                    records.extend(found.map(|record| (record.offset, record.value.unwrap_or_default().to_vec())));
                }
                Ok(Polled::CaughtUp(_)) => {}
                Ok(Polled::Moved { tp, from, to, reason }) => {
                    self.delivered.lock().findings.push(format!("C6: {tp} moved from {from} to {to}: {reason}"));
                }
                Err(error) => self.resume_after(&error).await,
            }
            self.fidget().await;
        }
    }

    /// A failed partition is taken out until it is assigned again, where its reader is.
    async fn resume_after(&mut self, error: &milena::Error) {
        // Behind a request that vanished, the next answer breaks the protocol: that may be told.
        if !error.is_retriable() && error.kind() != ErrorKind::Protocol {
            self.delivered.lock().findings.push(format!("C6: a passing fault ended a partition: {error}"));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
        for tp in self.partitions.clone() {
            if self.consumer.position(&tp).is_none() {
                self.seek(&tp);
            }
        }
    }

    fn seek(&self, tp: &TopicPartition) {
        let last = self.delivered.lock().records.get(&tp.partition).and_then(|records| records.last().map(|(o, _)| *o));
        self.consumer.assign([(tp.clone(), last.map_or(Position::Earliest, |offset| Position::Offset(offset + 1)))]);
    }

    /// Sometimes waits, pauses a partition for a while, or seeks to where it is.
    async fn fidget(&mut self) {
        let tp = self.partitions[self.random.index(self.partitions.len())].clone();
        match self.random.index(60) {
            0 => tokio::time::sleep(self.random.millis(1..500)).await,
            1 => self.consumer.pause(&[tp]),
            2 | 3 => self.consumer.resume(&[tp]),
            4 => self.seek(&tp),
            _ => {}
        }
    }
}
