//! From open batches to the sender: when a batch has waited long enough, and when it had better grow instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::accumulator::{Open, Shared, TopicState};
use super::budget::lock;
use super::flushes::Flushes;
use super::sender::{Batch, Sender};
use crate::cluster::Metadata;
use crate::types::{TopicName, TopicPartition};

/// Which open batches are taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// Those whose linger has ended and that can be sent.
    Linger,
    /// All that can be sent, because memory is short and nothing else frees any.
    Hurry,
    /// All, because somebody flushes.
    Flush,
}

/// Takes batches from their slots and hands them to the sender.
pub(super) struct Collector {
    linger: Duration,
    delivery_timeout: Duration,
    /// By topic number and partition: the sender's number.
    numbers: Vec<Vec<usize>>,
    /// By the sender's number: where it is.
    places: Vec<(Arc<TopicState>, u32)>,
    /// Partitions with an open batch: since when.
    open_since: BTreeMap<usize, Instant>,
    /// When their linger ends.
    lingering: BTreeSet<(Instant, usize)>,
    /// Partitions whose linger has ended, until the sender has room.
    due: BTreeSet<usize>,
}

impl Collector {
    pub(super) fn new(linger: Duration, delivery_timeout: Duration) -> Self {
        Self {
            linger,
            delivery_timeout,
            numbers: Vec::new(),
            places: Vec::new(),
            open_since: BTreeMap::new(),
            lingering: BTreeSet::new(),
            due: BTreeSet::new(),
        }
    }

    /// The slot behind a number of the sender.
    pub(super) fn place(&self, p: usize) -> Option<(&TopicState, u32)> {
        self.places.get(p).map(|(topic, partition)| (&**topic, *partition))
    }

    /// One more batch of the partition waits to be sent.
    pub(super) fn count_queued(&self, p: usize) {
        if let Some((topic, partition)) = self.place(p)
            && let Some(slot) = topic.slot(partition)
        {
            topic.count_queued(slot, 1);
        }
    }

    /// The sender's number of a partition.
    pub(super) fn number(&self, topic: usize, partition: i32) -> Option<usize> {
        self.numbers.get(topic)?.get(usize::try_from(partition).ok()?).copied()
    }

    /// Learns topics, partitions and leaders; the topics whose leaders are unknown.
    pub(super) fn learn(&mut self, now: Instant, shared: &Shared, metadata: &Metadata, sender: &mut Sender) {
        let topics = lock(&shared.topics).clone();
        for topic in topics {
            let Some(known) = metadata.topics.get(&topic.name) else { continue };
            topic.grow(u32::try_from(known.partitions.len()).unwrap_or(u32::MAX));
            self.register(&topic, sender);
            for (partition, row) in (0u32..).zip(&known.partitions) {
                if let Some(slot) = topic.slot(partition) {
                    slot.has_leader.store(row.leader.is_some(), Ordering::Relaxed);
                }
                if let Some(p) = self.number(topic.number, partition as i32) {
                    sender.set_leader(now, p, row.leader);
                }
            }
        }
    }

    fn register(&mut self, topic: &Arc<TopicState>, sender: &mut Sender) {
        if self.numbers.len() <= topic.number {
            self.numbers.resize_with(topic.number + 1, Vec::new);
        }
        let numbers = &mut self.numbers[topic.number];
        for partition in numbers.len() as u32..topic.partition_count() {
            numbers.push(sender.add_partition(TopicPartition::new(TopicName::clone(&topic.name), partition as i32)));
            self.places.push((Arc::clone(topic), partition));
        }
    }

    /// Looks where appenders reported something, and where a linger has ended.
    pub(super) fn collect(
        &mut self,
        now: Instant,
        shared: &Shared,
        sender: &mut Sender,
        flushes: &mut Flushes,
        pace: Pace,
    ) {
        let news = std::mem::take(&mut *lock(&shared.news));
        for (topic, partition) in news {
            self.register(&topic, sender);
            if let Some(p) = self.number(topic.number, partition as i32) {
                let is_ripe = self.linger.is_zero() || pace == Pace::Hurry;
                let also_open = pace == Pace::Flush || (is_ripe && sender.has_capacity(p));
                self.take(now, p, also_open, sender, flushes);
            }
        }
        while let Some(&(at, p)) = self.lingering.first().filter(|(at, _)| *at <= now) {
            self.lingering.remove(&(at, p));
            self.due.insert(p);
        }
        let ripe: Vec<usize> = match pace {
            Pace::Flush => self.open_since.keys().copied().collect(),
            Pace::Hurry => self.open_since.keys().copied().filter(|p| sender.has_capacity(*p)).collect(),
            Pace::Linger => self.due.iter().copied().filter(|p| sender.has_capacity(*p)).collect(),
        };
        for p in ripe {
            self.take(now, p, true, sender, flushes);
        }
    }

    /// Passes every slot's lock and takes what is there: after the gate was closed, nothing comes behind it.
    pub(super) fn sweep(&mut self, now: Instant, sender: &mut Sender, flushes: &mut Flushes) {
        (0..self.places.len()).for_each(|p| self.take(now, p, true, sender, flushes));
    }

    /// Takes what a slot has closed, and its open batch too if told so.
    fn take(&mut self, now: Instant, p: usize, also_open: bool, sender: &mut Sender, flushes: &mut Flushes) {
        let Some((topic, partition)) = self.places.get(p) else { return };
        let (closed, is_open) = topic.collect(*partition, also_open);
        let since = self.open_since.get(&p).copied();
        let mut since_next = since.unwrap_or(now);
        let took_any = !closed.is_empty();
        for Open { builder, completion, charged } in closed {
            let mut batch = Batch::new(builder, completion, since_next + self.delivery_timeout);
            batch.charged = charged;
            batch.flush = flushes.enter();
            sender.push(now, p, batch);
            since_next = now;
        }
        if took_any && let Some(since) = self.open_since.remove(&p) {
            self.lingering.remove(&(since + self.linger, p));
            self.due.remove(&p);
        }
        if is_open && !self.open_since.contains_key(&p) {
            self.open_since.insert(p, now);
            self.lingering.insert((now + self.linger, p));
        }
    }

    /// When the next linger ends.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.lingering.first().map(|(at, _)| *at)
    }
}
