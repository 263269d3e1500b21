//! What a read_committed reader of the output sees: every record once and in order, or not.

use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};

use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::super::Failure;
use super::{OUTPUT, PARTITIONS};
use crate::client::Client;
use crate::config::ConsumerConfig;
use crate::consumer::{Consumer, Polled};
use crate::error::Error;
use crate::types::{IsolationLevel, Position, TopicPartition};

/// Reads the output in a task of its own and counts.
pub(super) struct Verifier {
    expected: u64,
    seen: AtomicU64,
    doubled: AtomicU64,
    skipped: AtomicU64,
    foreign: AtomicU64,
    failed: OnceLock<Error>,
    changed: Notify,
}

impl Verifier {
    /// The counts, and the task that reads; it goes on until it is aborted.
    pub(super) fn start(client: &Client, expected: u64) -> Result<(Arc<Verifier>, JoinHandle<()>), Failure> {
        let config = ConsumerConfig { isolation_level: IsolationLevel::ReadCommitted, ..ConsumerConfig::default() };
        let consumer = client.consumer(config)?;
        consumer.assign((0..PARTITIONS).map(|p| (TopicPartition::new(OUTPUT, p), Position::Earliest)));
        let [seen, doubled, skipped, foreign] = [(); 4].map(|()| AtomicU64::new(0));
        let (failed, changed) = (OnceLock::new(), Notify::new());
        let verifier = Arc::new(Verifier { expected, seen, doubled, skipped, foreign, failed, changed });
        let reading = tokio::spawn(follow(Arc::clone(&verifier), consumer));
        Ok((verifier, reading))
    }

    /// Committed records seen so far.
    pub(super) fn seen(&self) -> u64 {
        self.seen.load(SeqCst)
    }

    /// Waits until more than `count` records have been seen.
    pub(super) async fn wait_beyond(&self, count: u64) -> Result<(), Failure> {
        loop {
            let changed = self.changed.notified();
            if let Some(error) = self.failed.get() {
                return Err(error.clone().into());
            }
            if self.seen() > count {
                return Ok(());
            }
            changed.await;
        }
    }

    pub(super) fn is_exact(&self) -> bool {
        self.lost() == 0 && self.doubled.load(SeqCst) == 0 && self.foreign.load(SeqCst) == 0
    }

    fn lost(&self) -> u64 {
        self.expected.saturating_sub(self.seen() - self.doubled.load(SeqCst)).max(self.skipped.load(SeqCst))
    }

    pub(super) fn summary(&self) -> String {
        let (doubled, foreign) = (self.doubled.load(SeqCst), self.foreign.load(SeqCst));
        format!(
            "{} of {} records seen; lost {}, duplicated {doubled}, foreign {foreign}",
            self.seen(),
            self.expected,
            self.lost()
        )
    }

    /// A record of a partition that expects number `next`; gives the number expected after it.
    fn check(&self, partition: i32, next: u64, value: &[u8]) -> u64 {
        match read_value(value) {
            Some((from, number)) if from == partition && number >= next => {
                self.skipped.fetch_add(number - next, SeqCst);
                self.seen.fetch_add(1, SeqCst);
                number + 1
            }
            Some((from, _)) if from == partition => {
                self.doubled.fetch_add(1, SeqCst);
                self.seen.fetch_add(1, SeqCst);
                next
            }
            _ => {
                self.foreign.fetch_add(1, SeqCst);
                next
            }
        }
    }
}

async fn follow(verifier: Arc<Verifier>, mut consumer: Consumer) {
    let mut next = [0; PARTITIONS as usize];
    loop {
        let outcome = consumer.poll().await.and_then(|polled| {
            let Polled::Records(records) = polled else { return Ok(()) };
            let partition = records.partition().partition;
            let Some(next) = next.get_mut(partition.unsigned_abs() as usize) else { return Ok(()) };
            for record in &records {
                *next = verifier.check(partition, *next, record?.value.unwrap_or_default());
            }
            Ok(())
        });
        let failed = outcome.is_err();
        if let Err(error) = outcome {
            let _ = verifier.failed.set(error);
        }
        verifier.changed.notify_waiters();
        if failed {
            return;
        }
    }
}

/// A value that says which record it is, filled up to `size`.
pub(super) fn write_value(value: &mut Vec<u8>, partition: i32, number: u64, size: usize) {
    value.clear();
    // Writing to a vector cannot fail.
    let _ = write!(value, "{partition}:{number} ");
    value.resize(size.max(value.len()), b'.');
}

fn read_value(value: &[u8]) -> Option<(i32, u64)> {
    let (name, _) = std::str::from_utf8(value).ok()?.split_once(' ')?;
    let (partition, number) = name.split_once(':')?;
    Some((partition.parse().ok()?, number.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verifier(expected: u64) -> Verifier {
        let [seen, doubled, skipped, foreign] = [(); 4].map(|()| AtomicU64::new(0));
        Verifier { expected, seen, doubled, skipped, foreign, failed: OnceLock::new(), changed: Notify::new() }
    }

    fn feed(verifier: &Verifier, numbers: &[u64]) {
        let (mut next, mut value) = (0, Vec::new());
        for number in numbers {
            write_value(&mut value, 3, *number, 100);
            next = verifier.check(3, next, &value);
        }
    }

    #[test]
    fn a_lost_a_doubled_and_a_foreign_record_are_each_told_apart() {
        let exact = verifier(3);
        feed(&exact, &[0, 1, 2]);
        assert!(exact.is_exact());
        let lost = verifier(3);
        feed(&lost, &[0, 2]);
        assert!(!lost.is_exact() && lost.summary().contains("lost 1, duplicated 0"), "{}", lost.summary());
        let doubled = verifier(3);
        feed(&doubled, &[0, 1, 1, 2]);
        assert!(!doubled.is_exact() && doubled.summary().contains("lost 0, duplicated 1"), "{}", doubled.summary());
        let foreign = verifier(1);
        feed(&foreign, &[0]);
        foreign.check(4, 0, b"3:0 ...");
        assert!(!foreign.is_exact());
    }
}
