//! Closed batches to acknowledgements: which go out next, under which sequence, and what each answer means for them.

mod answers;
mod batch;
mod partition;
mod request;
#[cfg(test)]
mod tests;
mod verdict;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::delivery::Outcome;
use super::packer::Packer;
use super::partitioner::mix;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::{BrokerId, ProducerIdentity, TopicName, TopicPartition};
use batch::Ordinal;
use partition::Partition;

pub(super) use answers::Answer;
pub(super) use batch::Batch;
pub(super) use partition::Numbering;
pub(super) use request::ProduceRequest;
pub(super) use verdict::CONCURRENT_TRANSACTIONS_WAIT;

/// What the sender needs to know of the settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub numbering: Numbering,
    /// Empty without transactions; for messages.
    pub transactional_id: String,
    pub max_in_flight: usize,
    pub max_request_size: usize,
    pub retry_backoff: Duration,
    pub retry_backoff_max: Duration,
    pub seed: u64,
    /// Compresses the parts of a batch that had to be split.
    pub packer: Arc<Packer>,
}

/// What the sender has to say.
#[derive(Debug)]
pub(super) enum Event {
    /// A batch has come to its end; whoever holds its buffer resolves it.
    Done(Batch, Outcome),
    /// A batch was split: one more waits to be sent.
    Split {
        partition: usize,
        /// Bytes of memory the part holds.
        charged: usize,
        /// The flush of the whole.
        flush: u64,
    },
    /// A batch of this partition was sent for the first time, or ended without having been sent.
    Dequeued(usize),
    /// The leader of a partition of this topic has to be looked up again.
    Refresh(TopicName),
    /// A batch waits for its partition to be added to the transaction.
    NeedsPartition(usize),
    /// A batch may have reached its partition.
    Reached,
    /// So many records of this partition are written.
    Written(usize, u32),
    /// A batch failed: the transaction cannot be committed.
    TransactionFailed(Error),
}

#[derive(Debug, Default)]
struct Broker {
    is_connected: bool,
    in_flight: usize,
    /// Partitions with a batch that may be sent.
    ready: BTreeSet<usize>,
    /// Where the next request begins, so that every partition has its turn.
    cursor: usize,
    connect_after: Option<Instant>,
    is_connecting: bool,
    /// Why the last connection could not be made.
    refusal: Option<Error>,
}

#[derive(Debug)]
struct Sent {
    broker: BrokerId,
    /// Partition and ordinal of each batch.
    batches: Vec<(usize, Ordinal)>,
}

/// The sender of one producer.
#[derive(Debug)]
pub(super) struct Sender {
    settings: Settings,
    /// Identity of partitions that have none of their own yet.
    identity: Option<ProducerIdentity>,
    wants_identity: bool,
    partitions: Vec<Partition>,
    brokers: BTreeMap<BrokerId, Broker>,
    requests: BTreeMap<u64, Sent>,
    timers: BTreeSet<(Instant, usize)>,
    next_ordinal: u64,
    next_request: u64,
    draws: u64,
    has_unanswered: bool,
    events: VecDeque<Event>,
}

impl Sender {
    pub(super) fn new(settings: Settings) -> Self {
        Self {
            identity: None,
            wants_identity: settings.numbering == Numbering::Idempotent,
            partitions: Vec::new(),
            brokers: BTreeMap::new(),
            requests: BTreeMap::new(),
            timers: BTreeSet::new(),
            next_ordinal: 0,
            next_request: 0,
            draws: settings.seed,
            has_unanswered: false,
            events: VecDeque::new(),
            settings,
        }
    }

    /// A partition's number here, from 0 on.
    pub(super) fn add_partition(&mut self, tp: TopicPartition) -> usize {
        self.partitions.push(Partition::new(tp, self.identity));
        self.partitions.len() - 1
    }

    pub(super) fn partition(&self, p: usize) -> &TopicPartition {
        &self.partitions[p].tp
    }

    /// Who leads a partition now. A new leader is tried at once, without the rest of the backoff (KIP-951).
    pub(super) fn set_leader(&mut self, now: Instant, p: usize, leader: Option<BrokerId>) {
        let partition = &mut self.partitions[p];
        if partition.leader == leader {
            return;
        }
        if let Some(broker) = partition.leader.and_then(|old| self.brokers.get_mut(&old)) {
            broker.ready.remove(&p);
        }
        partition.leader = leader;
        partition.backoff_until = None;
        self.brokers.extend(leader.filter(|b| !self.brokers.contains_key(b)).map(|b| (b, Broker::default())));
        self.settle(now, p);
    }

    /// Takes a closed batch. Batches of one partition are sent in the order they are handed in.
    pub(super) fn push(&mut self, now: Instant, p: usize, mut batch: Batch) {
        batch.ordinal = Ordinal::whole(self.next_ordinal);
        self.next_ordinal += 1;
        let partition = &mut self.partitions[p];
        if self.settings.numbering == Numbering::Transactional && !partition.is_in_transaction {
            self.events.push_back(Event::NeedsPartition(p));
        }
        if partition.leader.is_none() {
            self.events.push_back(Event::Refresh(partition.tp.topic.clone()));
        }
        partition.enqueue(batch);
        self.settle(now, p);
    }

    /// Whether a batch closed now could be sent now: else it had better stay open and grow.
    pub(super) fn has_capacity(&self, p: usize) -> bool {
        let partition = &self.partitions[p];
        let broker = partition.leader.and_then(|leader| self.brokers.get(&leader));
        // To a broker that is not connected a batch goes all the same: it is why the connection is made.
        let is_free = broker.is_none_or(|b| !b.is_connected || b.in_flight < self.settings.max_in_flight);
        let window = partition.window(self.settings.numbering, self.settings.max_in_flight);
        is_free && !partition.needs_bump && partition.queue.is_empty() && partition.in_flight.len() < window
    }

    /// A broker that has to be connected to for something to be sent.
    pub(super) fn poll_connect(&mut self, now: Instant) -> Option<BrokerId> {
        let wants = |b: &Broker| {
            !b.is_connected && !b.is_connecting && !b.ready.is_empty() && b.connect_after.is_none_or(|at| at <= now)
        };
        let (id, broker) = self.brokers.iter_mut().find(|(_, broker)| wants(broker))?;
        broker.is_connecting = true;
        Some(*id)
    }

    /// The connection that [`poll_connect`](Self::poll_connect) asked for is there, or could not be made.
    pub(super) fn handle_connected(&mut self, now: Instant, id: BrokerId, result: Result<()>) {
        let wait = self.backoff(0);
        let broker = self.brokers.entry(id).or_default();
        broker.is_connecting = false;
        broker.is_connected = result.is_ok();
        broker.connect_after = result.is_err().then_some(now + wait);
        broker.refusal = result.err();
    }

    /// The connection is gone. Its requests are reported one by one with [`handle_unknown`](Self::handle_unknown).
    pub(super) fn handle_disconnected(&mut self, id: BrokerId) {
        self.brokers.entry(id).or_default().is_connected = false;
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let connects = self.brokers.values().filter(|b| !b.is_connected && !b.is_connecting && !b.ready.is_empty());
        let connect = connects.filter_map(|b| b.connect_after).min();
        self.timers.first().map(|(at, _)| *at).into_iter().chain(connect).min()
    }

    /// Ends backoffs and fails batches whose delivery timeout has passed.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        while let Some(&(at, p)) = self.timers.first().filter(|(at, _)| *at <= now) {
            self.timers.remove(&(at, p));
            self.partitions[p].timer = None;
            let (queued, in_flight) = self.partitions[p].expire(now);
            for batch in queued {
                let may_be_written = batch.is_ambiguous;
                self.expire(p, batch, may_be_written);
            }
            for batch in in_flight {
                self.expire(p, batch, true);
            }
            self.settle(now, p);
        }
    }

    fn expire(&mut self, p: usize, batch: Batch, may_be_written: bool) {
        let detail = match self.partitions[p].leader {
            None => "delivery.timeout.ms has passed; the partition has no leader",
            Some(_) if batch.attempts == 0 => "delivery.timeout.ms has passed before it could be sent",
            Some(_) => "delivery.timeout.ms has passed without an acknowledgement",
        };
        let error = Error::new(Operation::Produce, ErrorKind::Timeout, self.partitions[p].tp.to_string(), detail);
        // A broker that lets us in no more tells more than how the last request to it ended.
        let refusal = self.partitions[p].leader.and_then(|leader| self.brokers.get(&leader)?.refusal.as_ref());
        let error = match (refusal, &batch.cause) {
            (Some(refusal), _) => error.with_recovery(refusal.recovery()).with_source(refusal.clone()),
            (None, Some(cause)) => error.with_source(cause.clone()),
            (None, None) => error,
        };
        self.fail(p, batch, error.with_maybe_applied(may_be_written));
    }

    /// What there is to do for others.
    pub(super) fn poll_event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    /// Whether a producer id has to be fetched now.
    pub(super) fn poll_identity(&mut self) -> bool {
        std::mem::take(&mut self.wants_identity)
    }

    /// The producer id that was fetched: for partitions that have none, and those that come.
    pub(super) fn handle_identity(&mut self, now: Instant, identity: ProducerIdentity) {
        self.identity = Some(identity);
        for p in 0..self.partitions.len() {
            if self.partitions[p].identity.is_none() {
                self.partitions[p].identify(identity);
                self.settle(now, p);
            }
        }
    }

    /// No producer id could be had: `error` for good, or try again where there is none.
    pub(super) fn handle_no_identity(&mut self, now: Instant, error: Option<Error>) {
        match error {
            Some(error) => self.fail_queued(now, &error),
            None => self.wants_identity = true,
        }
    }

    /// The identity of the next transaction. Every batch of the last one has ended; sequences go on unless it changed.
    pub(super) fn begin_transaction(&mut self, identity: ProducerIdentity, adds_itself: bool) {
        self.identity = Some(identity);
        self.has_unanswered = false;
        for partition in &mut self.partitions {
            partition.identify(identity);
            partition.needs_bump = false;
            // Under TV2 Produce itself adds the partition.
            partition.is_in_transaction = adds_itself;
        }
    }

    /// The partition belongs to the transaction now.
    pub(super) fn handle_partition_added(&mut self, now: Instant, p: usize) {
        self.partitions[p].is_in_transaction = true;
        self.settle(now, p);
    }

    /// Whether a request of this transaction ended without an answer, or left a gap in a partition's sequences: then
    /// under TV1 only a new epoch keeps it out of the next transaction (KIP-890).
    pub(super) fn has_unanswered(&self) -> bool {
        self.has_unanswered || self.partitions.iter().any(|partition| partition.needs_bump)
    }

    /// Fails every batch that is not in flight.
    pub(super) fn fail_queued(&mut self, now: Instant, error: &Error) {
        for p in 0..self.partitions.len() {
            for batch in std::mem::take(&mut self.partitions[p].queue) {
                let error = error.clone().with_maybe_applied(batch.is_ambiguous);
                self.fail(p, batch, error);
            }
            self.settle(now, p);
        }
    }

    /// Fails every batch there is.
    pub(super) fn fail_all(&mut self, now: Instant, error: &Error) {
        for p in 0..self.partitions.len() {
            for batch in std::mem::take(&mut self.partitions[p].in_flight) {
                self.fail(p, batch, error.clone().with_maybe_applied(true));
            }
        }
        self.fail_queued(now, error);
    }

    /// Whether an answer is outstanding, its batch expired or not.
    pub(super) fn has_requests(&self) -> bool {
        !self.requests.is_empty()
    }

    /// Ends a batch without success. The sequences it took are never used again under this epoch.
    fn fail(&mut self, p: usize, batch: Batch, error: Error) {
        let partition = &mut self.partitions[p];
        if batch.attempts == 0 {
            self.events.push_back(Event::Dequeued(p));
        }
        match self.settings.numbering {
            Numbering::None => {}
            Numbering::Idempotent => partition.needs_bump |= batch.stamp.is_some(),
            Numbering::Transactional => {
                partition.needs_bump |= batch.stamp.is_some();
                self.has_unanswered |= error.maybe_applied();
                self.events.extend(error.maybe_applied().then_some(Event::Reached));
                self.events.push_back(Event::TransactionFailed(error.clone()));
            }
        }
        self.events.push_back(Event::Done(batch, Outcome::Failed(error)));
    }

    /// After any change to a partition: begins its next epoch if it can, lists it as ready or not, arms its timer.
    fn settle(&mut self, now: Instant, p: usize) {
        let Settings { numbering, max_in_flight, .. } = self.settings;
        let partition = &mut self.partitions[p];
        if numbering == Numbering::Idempotent {
            self.wants_identity |= partition.bump();
        }
        let is_ready = partition.candidate(now, numbering, max_in_flight).is_some();
        if let Some(broker) = partition.leader.and_then(|leader| self.brokers.get_mut(&leader)) {
            if is_ready {
                broker.ready.insert(p)
            } else {
                broker.ready.remove(&p)
            };
        }
        let due = partition.due(now);
        if let Some(due) = due
            && partition.timer.is_none_or(|armed| due < armed)
        {
            partition.timer.map(|armed| self.timers.remove(&(armed, p)));
            partition.timer = Some(due);
            self.timers.insert((due, p));
        }
    }

    /// The wait after `failures` failures in a row, within a fifth of its nominal length.
    fn backoff(&mut self, failures: u32) -> Duration {
        let doubled = self.settings.retry_backoff.saturating_mul(1 << failures.min(20));
        self.draws = self.draws.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let jitter = 0.8 + 0.4 * (mix(self.draws) >> 11) as f64 / (1u64 << 53) as f64;
        doubled.min(self.settings.retry_backoff_max).mul_f64(jitter)
    }
}
