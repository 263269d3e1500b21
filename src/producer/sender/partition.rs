//! One partition's batches: in order, each sequence range used once, and which may be sent next.

use std::collections::VecDeque;
use std::time::Instant;

use super::batch::{Batch, NO_STAMP, Ordinal, next_sequence};
use crate::types::{BrokerId, ProducerIdentity, TopicPartition};
use crate::wire::batch::ProducerStamp;

/// What the broker remembers of one producer and partition: more in flight could not be told from duplicates.
const REMEMBERED_BATCHES: usize = 5;

/// Whether and how batches are numbered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::producer) enum Numbering {
    /// Not at all: retries may double and reorder.
    None,
    /// A sequence per partition; a gap is closed by a new epoch.
    Idempotent,
    /// As `Idempotent`, but a gap ends the transaction.
    Transactional,
}

#[derive(Debug)]
pub(super) struct Partition {
    pub tp: TopicPartition,
    pub leader: Option<BrokerId>,
    /// Waiting, by ordinal; batches to be sent again stand in front.
    pub queue: VecDeque<Batch>,
    /// Sent and not yet answered, by ordinal.
    pub in_flight: VecDeque<Batch>,
    pub identity: Option<ProducerIdentity>,
    pub next_sequence: i32,
    /// Whether the broker has acknowledged a batch of this producer id. One that has not accepts any sequence, so a
    /// second batch could slip in before a first that was refused: until then one at a time is in flight.
    pub is_known: bool,
    /// Some range of sequences was used in vain: nothing new goes out before the next epoch.
    pub needs_bump: bool,
    /// The next epoch must come with a new producer id.
    pub needs_new_id: bool,
    /// Whether the transaction (if there is one) has this partition.
    pub is_in_transaction: bool,
    pub backoff_until: Option<Instant>,
    pub failures: u32,
    /// The timer that is armed; never later than what is due.
    pub timer: Option<Instant>,
}

impl Partition {
    pub(super) fn new(tp: TopicPartition, identity: Option<ProducerIdentity>) -> Self {
        Self {
            tp,
            leader: None,
            queue: VecDeque::new(),
            in_flight: VecDeque::new(),
            identity,
            next_sequence: 0,
            is_known: false,
            needs_bump: false,
            needs_new_id: false,
            is_in_transaction: false,
            backoff_until: None,
            failures: 0,
            timer: None,
        }
    }

    /// Puts a batch where its ordinal belongs.
    pub(super) fn enqueue(&mut self, batch: Batch) {
        let at = self.queue.partition_point(|other| other.ordinal <= batch.ordinal);
        self.queue.insert(at, batch);
    }

    /// The place in the queue of the batch that may be sent now.
    pub(super) fn candidate(&self, now: Instant, numbering: Numbering, max_in_flight: usize) -> Option<usize> {
        if self.backoff_until.is_some_and(|until| now < until) || self.leader.is_none() {
            return None;
        }
        match numbering {
            Numbering::None => (self.in_flight.len() < max_in_flight && !self.queue.is_empty()).then_some(0),
            Numbering::Transactional if self.needs_bump || !self.is_in_transaction => None,
            _ if self.needs_bump => self.unresolved(),
            _ => self.numbered(self.window(numbering, max_in_flight)),
        }
    }

    /// How many of its batches may be in flight.
    pub(super) fn window(&self, numbering: Numbering, max_in_flight: usize) -> usize {
        match numbering {
            Numbering::None => max_in_flight,
            _ if self.is_known => max_in_flight.min(REMEMBERED_BATCHES),
            _ => 1,
        }
    }

    /// Its batches go out as this producer from now on, from sequence 0 unless nothing changes.
    pub(super) fn identify(&mut self, identity: ProducerIdentity) {
        if self.identity != Some(identity) {
            self.next_sequence = 0;
            self.is_known &= self.identity.is_some_and(|old| old.producer_id == identity.producer_id);
            self.identity = Some(identity);
        }
    }

    /// The front batch. One that is sent again waits for all before it, so that order holds whatever becomes of them.
    fn numbered(&self, max_in_flight: usize) -> Option<usize> {
        let front = self.queue.front()?;
        let is_first = self.in_flight.front().is_none_or(|first| front.ordinal < first.ordinal);
        let may_go = match front.stamp {
            Some(_) => is_first,
            None => self.identity.is_some() && self.in_flight.len() < max_in_flight,
        };
        may_go.then_some(0)
    }

    /// Before a new epoch: the first batch that may have been written, alone and under its old stamp, to learn whether.
    fn unresolved(&self) -> Option<usize> {
        let is_unresolved = |batch: &Batch| batch.stamp.is_some() && batch.is_ambiguous;
        if self.in_flight.is_empty() { self.queue.iter().position(is_unresolved) } else { None }
    }

    /// Takes the batch at `index` out to be sent; its bytes are `batch.seal(stamp)`.
    pub(super) fn take(&mut self, index: usize, numbering: Numbering) -> Option<(Batch, ProducerStamp)> {
        let batch = self.queue.remove(index)?;
        if numbering == Numbering::None {
            return Some((batch, NO_STAMP));
        }
        if let Some(stamp) = batch.stamp {
            return Some((batch, stamp));
        }
        let stamp = ProducerStamp {
            producer: self.identity.unwrap_or(ProducerIdentity::NONE),
            base_sequence: self.next_sequence,
            is_transactional: numbering == Numbering::Transactional,
        };
        self.next_sequence = next_sequence(self.next_sequence, batch.records);
        Some((batch, stamp))
    }

    /// Puts a sent batch among those in flight.
    pub(super) fn fly(&mut self, batch: Batch) {
        let at = self.in_flight.partition_point(|other| other.ordinal <= batch.ordinal);
        self.in_flight.insert(at, batch);
    }

    /// Takes the batch back from flight; `None` if it has expired meanwhile.
    pub(super) fn land(&mut self, ordinal: Ordinal) -> Option<Batch> {
        let at = self.in_flight.iter().position(|batch| batch.ordinal == ordinal)?;
        self.in_flight.remove(at)
    }

    /// Begins the next epoch once it is known what became of every batch of the old one.
    ///
    /// Sequences start at 0 under it; what was not written is stamped anew, so that no range names two sets of records.
    /// Whether a new producer id is needed, as epochs are used up.
    pub(super) fn bump(&mut self) -> bool {
        if !self.needs_bump || !self.in_flight.is_empty() || self.unresolved().is_some() {
            return false;
        }
        self.needs_bump = false;
        self.next_sequence = 0;
        self.queue.iter_mut().for_each(|batch| batch.stamp = None);
        let id = self.identity.filter(|id| !self.needs_new_id && id.producer_epoch < i16::MAX - 1);
        self.needs_new_id = false;
        self.identity = id.map(|id| ProducerIdentity { producer_epoch: id.producer_epoch + 1, ..id });
        self.identity.is_none()
    }

    /// Takes out what is past its deadline: the queued, then those in flight.
    pub(super) fn expire(&mut self, now: Instant) -> (Vec<Batch>, Vec<Batch>) {
        let queued = self.queue.extract_if_due(now);
        let in_flight = self.in_flight.extract_if_due(now);
        (queued, in_flight)
    }

    /// When to look at it again.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        let backoff = self.backoff_until.filter(|until| now < *until && !self.queue.is_empty());
        let deadlines = self.queue.front().into_iter().chain(self.in_flight.front()).map(|batch| batch.deadline);
        backoff.into_iter().chain(deadlines).min()
    }
}

trait ExtractDue {
    fn extract_if_due(&mut self, now: Instant) -> Vec<Batch>;
}

impl ExtractDue for VecDeque<Batch> {
    fn extract_if_due(&mut self, now: Instant) -> Vec<Batch> {
        if !self.iter().any(|batch| batch.deadline <= now) {
            return Vec::new();
        }
        let (due, kept) = std::mem::take(self).into_iter().partition::<Vec<_>, _>(|batch| batch.deadline <= now);
        self.extend(kept);
        due
    }
}
