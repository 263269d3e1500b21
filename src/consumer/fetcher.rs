//! The consumer's one state: every assigned partition, what each broker was asked, and what waits to be polled.
//!
//! Assigning and polling are here; what brokers are asked is in `lanes`, their answers in `answers`, positions in `locate`.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::Notify;

use super::Polled;
use super::budget::Budget;
use super::lanes::{Lane, LaneId};
use super::partition::{Item, Partition, Stage};
use super::polled::damaged;
use super::unpack::Unpacker;
use crate::cluster::{LeaderHint, Metadata};
use crate::config::{ClientConfig, ConsumerConfig};
use crate::error::{Error, Result};
use crate::types::{Position, TopicName, TopicPartition};
use crate::wire::batch::BatchFault;

/// The state machine of one consumer.
#[derive(Debug)]
pub(super) struct Fetcher {
    pub(super) config: ConsumerConfig,
    pub(super) client: ClientConfig,
    pub(super) rng: StdRng,
    pub(super) budget: Arc<Budget>,
    pub(super) unpacker: Arc<Unpacker>,
    /// Wakes the driver: something new is to be asked.
    pub(super) wake: Arc<Notify>,
    pub(super) partitions: BTreeMap<TopicPartition, Partition>,
    pub(super) lanes: BTreeMap<LaneId, Lane>,
    pub(super) metadata: Arc<Metadata>,
    /// Partitions with something to deliver, and the assignment it is of.
    ready: VecDeque<(TopicPartition, u64)>,
    assignments: u64,
    /// Topics whose metadata is to be asked for again.
    pub(super) stale: BTreeSet<TopicName>,
    /// Topics nobody has asked for yet.
    pub(super) unknown: BTreeSet<TopicName>,
    pub(super) hints: Vec<LeaderHint>,
    /// Whether some partition may have become fetchable since all were looked at.
    pub(super) is_dirty: bool,
    /// No wait ends before this time.
    pub(super) timer: Option<Instant>,
    /// Answers with records so far.
    pub(super) served: u64,
}

impl Fetcher {
    /// A consumer of nothing yet.
    pub(super) fn new(config: ConsumerConfig, client: ClientConfig, seed: u64, wake: Arc<Notify>) -> Fetcher {
        let budget = Budget::new(config.queued_max_bytes, wake.clone());
        let unpacker = Unpacker::new(config.max_decompressed_batch_bytes, budget.clone());
        Fetcher {
            config,
            client,
            rng: StdRng::seed_from_u64(seed),
            budget,
            unpacker,
            wake,
            partitions: BTreeMap::new(),
            lanes: BTreeMap::new(),
            metadata: Arc::default(),
            ready: VecDeque::new(),
            assignments: 0,
            stale: BTreeSet::new(),
            unknown: BTreeSet::new(),
            hints: Vec::new(),
            is_dirty: false,
            timer: None,
            served: 0,
        }
    }

    /// Adds or moves a partition. What was fetched of it before is dropped, what is still on its way is void.
    pub(super) fn assign(&mut self, tp: TopicPartition, at: Position) {
        self.assignments += 1;
        let mut partition = Partition::new(self.assignments, at);
        partition.is_paused = self.partitions.get(&tp).is_some_and(|old| old.is_paused);
        partition.follow(&tp, &self.metadata);
        match self.metadata.topics.get(&tp.topic) {
            Some(topic) => partition.topic_id = topic.topic_id,
            None => {
                self.unknown.insert(tp.topic.clone());
            }
        }
        self.partitions.insert(tp, partition);
        self.touch();
    }

    /// Takes a partition away, with what was fetched of it.
    pub(super) fn unassign(&mut self, tp: &TopicPartition) {
        self.partitions.remove(tp);
        self.touch();
    }

    /// Stops delivering a partition. What was fetched of it stays.
    pub(super) fn pause(&mut self, tp: &TopicPartition) {
        self.partitions.get_mut(tp).into_iter().for_each(Partition::pause);
    }

    /// Goes on delivering a partition.
    pub(super) fn resume(&mut self, tp: &TopicPartition) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        partition.is_paused = false;
        if !partition.queue.is_empty() && !std::mem::replace(&mut partition.is_ready, true) {
            self.ready.push_back((tp.clone(), partition.assignment));
        }
        self.touch();
    }

    /// The next event, partitions taking turns.
    pub(super) fn poll_event(&mut self) -> Option<Result<Polled>> {
        while let Some((tp, assignment)) = self.ready.pop_front() {
            let Some(partition) = self.partitions.get_mut(&tp).filter(|p| p.assignment == assignment) else { continue };
            partition.is_ready = false;
            if partition.is_paused {
                continue;
            }
            if let Some(error) = stop_at_damage(&tp, partition) {
                return Some(Err(error));
            }
            let Some(item) = partition.pop() else { continue };
            if !partition.queue.is_empty() {
                partition.is_ready = true;
                self.ready.push_back((tp.clone(), assignment));
            }
            if std::mem::take(&mut partition.is_left_out) {
                self.touch();
            }
            return Some(event(tp, item));
        }
        None
    }

    /// Whether a poll would give something now.
    pub(super) fn is_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Where the next delivered records begin.
    pub(super) fn position(&self, tp: &TopicPartition) -> Option<i64> {
        self.partitions.get(tp)?.position
    }

    /// How far the position is from the end last told.
    pub(super) fn lag(&self, tp: &TopicPartition) -> Option<i64> {
        let partition = self.partitions.get(tp)?;
        Some(partition.end?.saturating_sub(partition.position?).max(0))
    }

    /// Something may have become fetchable: the driver has to look.
    pub(super) fn touch(&mut self) {
        if !std::mem::replace(&mut self.is_dirty, true) {
            self.wake.notify_one();
        }
    }

    /// Puts an item into a partition's queue and the partition in line.
    pub(super) fn push(&mut self, tp: &TopicPartition, item: Item) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        if partition.push(item) {
            self.ready.push_back((tp.clone(), partition.assignment));
        }
    }

    /// Ends a partition, after what was fetched of it, until it is assigned anew.
    pub(super) fn fail(&mut self, tp: &TopicPartition, error: Error) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        if partition.fail(error) {
            self.ready.push_back((tp.clone(), partition.assignment));
        }
    }

    /// Asks nothing for a partition until its backoff is over.
    pub(super) fn back_off(&mut self, tp: &TopicPartition, now: Instant) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        let attempt = partition.attempts;
        partition.attempts = attempt.saturating_add(1);
        let until = now + self.backoff(attempt);
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.not_before = Some(until);
        }
        self.wake_at(until);
    }

    /// The wait after `attempt` failures: doubling, with a fifth of jitter either way (KIP-580).
    pub(super) fn backoff(&mut self, attempt: u32) -> Duration {
        let first = self.client.retry_backoff;
        let wait = first.saturating_mul(1 << attempt.min(20)).min(self.client.retry_backoff_max.max(first));
        wait.mul_f64(self.rng.random_range(0.8..1.2))
    }

    /// Looks again at `at` at the latest.
    pub(super) fn wake_at(&mut self, at: Instant) {
        self.timer = Some(self.timer.map_or(at, |timer| timer.min(at)));
    }

    /// When the driver has to look again though nothing happened.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.timer
    }

    /// Ends the waits that are over and finds the next.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.timer.is_none_or(|at| at > now) {
            return;
        }
        for partition in self.partitions.values_mut() {
            partition.not_before = partition.not_before.filter(|at| *at > now);
            partition.preferred = partition.preferred.filter(|(_, until)| *until > now);
        }
        for lane in self.lanes.values_mut() {
            lane.expire(now);
        }
        let leases = self.partitions.values().filter_map(|p| p.preferred.map(|(_, until)| until));
        let waits = self.partitions.values().filter_map(|p| p.not_before);
        self.timer = leases.chain(waits).chain(self.lanes.values().filter_map(Lane::waits_until)).min();
        self.is_dirty = true;
    }
}

/// The partition's end, if the application has come upon a damaged batch of it.
fn stop_at_damage(tp: &TopicPartition, partition: &mut Partition) -> Option<Error> {
    let base_offset = partition.damage.found().filter(|_| !matches!(partition.stage, Stage::Failed))?;
    partition.clear();
    partition.stage = Stage::Failed;
    partition.position = Some(base_offset);
    Some(damaged(tp, &BatchFault { base_offset, reason: "polled before, and not sought past since".into() }))
}

fn event(tp: TopicPartition, item: Item) -> Result<Polled> {
    match item {
        Item::Records(records) => Ok(Polled::Records(records)),
        Item::CaughtUp => Ok(Polled::CaughtUp(tp)),
        Item::Moved { reset, to } => Ok(Polled::Moved { tp, from: reset.from, to, reason: reset.reason }),
        Item::Failed(error) => Err(error),
    }
}
