//! What each broker is asked next: at most one fetch in flight, none waiting for another broker, room taken first.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use super::budget::Lease;
use super::fetcher::Fetcher;
use super::partition::Partition;
use super::request;
use super::session::{Entry, Session};
use crate::cluster::Metadata;
use crate::error::{Error, ErrorCode, Operation};
use crate::types::{BrokerId, TopicPartition};
use crate::wire::messages::FetchRequest;

/// Fetches begin at this size: what fits a core's cache costs least per record.
const FETCH_BYTES: usize = 1024 * 1024;
/// A partition may always have this much, or a broker could not give a whole batch of usual size.
const PARTITION_FLOOR: usize = 64 * 1024;

/// How long a broker is left alone that did not wait for records as it was asked to.
const REST: Duration = Duration::from_millis(10);

/// One of the two ways to a broker.
///
/// A broker answers a connection's requests in order and holds one that finds no records. What becomes fetchable in that
/// time (sought, resumed, taken up by the application) goes by the second way and need not wait for the first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct LaneId {
    pub(super) broker: BrokerId,
    pub(super) is_second: bool,
}

impl LaneId {
    pub(super) fn first(broker: BrokerId) -> LaneId {
        LaneId { broker, is_second: false }
    }

    pub(super) fn second(broker: BrokerId) -> LaneId {
        LaneId { broker, is_second: true }
    }
}

/// What a broker's lane is doing.
#[derive(Debug)]
enum Phase {
    Idle,
    /// A fetch is being made or answered.
    Busy,
    /// There was no room for what it would fetch.
    Starved,
    /// It failed, and is asked again at this time.
    Waiting(Instant),
}

/// One broker, as fetches see it.
#[derive(Debug)]
pub(super) struct Lane {
    phase: Phase,
    pub(super) session: Session,
    /// Failures since the last answer.
    pub(super) attempts: u32,
    lease: Option<Lease>,
    /// Bytes of one fetch; grows while a long way to the broker would leave the application waiting.
    target: usize,
    asked_at: Option<Instant>,
    /// How long the broker was to wait for records.
    wait: Duration,
}

impl Default for Lane {
    fn default() -> Self {
        let (session, target) = (Session::default(), FETCH_BYTES);
        Lane { phase: Phase::Idle, session, attempts: 0, lease: None, target, asked_at: None, wait: Duration::ZERO }
    }
}

impl Lane {
    /// Ends the wait if it is over.
    pub(super) fn expire(&mut self, now: Instant) {
        if matches!(self.phase, Phase::Waiting(until) if until <= now) {
            self.phase = Phase::Idle;
        }
    }

    /// When its wait ends, if it waits.
    pub(super) fn waits_until(&self) -> Option<Instant> {
        match self.phase {
            Phase::Waiting(until) => Some(until),
            _ => None,
        }
    }

    /// Lets it be asked again at once.
    pub(super) fn release(&mut self) -> Option<Lease> {
        self.phase = Phase::Idle;
        self.asked_at = None;
        self.lease.take()
    }

    /// Whether it can be asked now.
    fn is_idle(&self) -> bool {
        matches!(self.phase, Phase::Idle)
    }

    /// Whether a request is with the broker, so that nothing can be added to it.
    fn is_asked(&self) -> bool {
        matches!(self.phase, Phase::Busy) && self.asked_at.is_some()
    }

    /// Lets it be asked again at `until`.
    pub(super) fn wait(&mut self, until: Instant) {
        self.phase = Phase::Waiting(until);
        (self.lease, self.asked_at) = (None, None);
    }

    /// As [`wait`](Self::wait), because it failed.
    pub(super) fn suspend(&mut self, until: Instant) {
        self.attempts = self.attempts.saturating_add(1);
        self.wait(until);
    }

    /// Fits the fetch size to the way: a full answer that took long should have been a larger one.
    ///
    /// An empty answer that did not wait as it was asked to gives the time at which the next may be asked for.
    pub(super) fn measure(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let took = now.saturating_duration_since(self.asked_at.take()?);
        let is_full = self.lease.as_ref().is_some_and(|lease| bytes >= lease.bytes() / 4 * 3);
        if is_full && took > Duration::from_millis(5) {
            self.target = self.target.saturating_mul(2).min(64 * FETCH_BYTES);
        } else if took < Duration::from_millis(2) {
            self.target = (self.target / 2).max(FETCH_BYTES);
        }
        (bytes == 0 && took < self.wait.min(REST)).then(|| now + REST)
    }
}

impl Fetcher {
    /// A lane that is to be asked now; room for its answer is taken. Connect to its broker, then [`ask`](Self::ask).
    pub(super) fn poll_lane(&mut self, now: Instant) -> Option<LaneId> {
        if !std::mem::take(&mut self.is_dirty) {
            return None;
        }
        let wanted = self.survey(now);
        let lanes = self.lanes.values().filter(|lane| matches!(lane.phase, Phase::Busy)).count() + wanted.len();
        let share = (self.budget.limit() / 2 / lanes.max(1)).max(1);
        for id in wanted {
            let most = usize::try_from(self.config.fetch_max_bytes).unwrap_or(FETCH_BYTES).max(1);
            let target = self.lanes.entry(id).or_default().target;
            let lease = self.budget.reserve(target.min(share).min(most)).or_else(|| self.last_resort(share.min(most)));
            let lane = self.lanes.entry(id).or_default();
            if lease.is_some() {
                (lane.lease, lane.phase) = (lease, Phase::Busy);
                self.is_dirty = true;
                return Some(id);
            }
            lane.phase = Phase::Starved;
        }
        None
    }

    /// Room was given back, or something else changed: looks at every partition again.
    pub(super) fn handle_wake(&mut self) {
        for lane in self.lanes.values_mut() {
            if matches!(lane.phase, Phase::Starved) {
                lane.phase = Phase::Idle;
            }
        }
        self.is_dirty = true;
    }

    /// Lanes that are free and have something we may fetch.
    fn survey(&mut self, now: Instant) -> BTreeSet<LaneId> {
        let allowance = self.allowance();
        let (mut wanted, mut lost) = (BTreeSet::new(), Vec::new());
        for (tp, partition) in &mut self.partitions {
            if !partition.is_fetchable(now) {
                continue;
            }
            match partition.source() {
                None => lost.push(tp.clone()),
                Some(_) if partition.queued_bytes > allowance / 2 => partition.is_left_out = true,
                Some(broker) => wanted.extend(free_lane(&self.lanes, broker)),
            }
        }
        lost.iter().for_each(|tp| self.handle_lost(tp, now));
        wanted
    }

    /// Bytes one partition may have waiting or on the way, so that one nobody polls cannot take the others' room.
    fn allowance(&self) -> usize {
        (self.budget.limit() / 2 / self.partitions.len().max(1)).max(PARTITION_FLOOR)
    }

    /// Room beyond the limit, if all that takes up the room are paused partitions: the others must go on.
    fn last_resort(&self, bytes: usize) -> Option<Lease> {
        let paused = self.partitions.values().filter(|p| p.is_paused);
        let parked: usize = paused.map(|p| p.queued_bytes).sum();
        (self.budget.used() <= parked).then(|| self.budget.force(bytes))
    }

    /// No leader is known: asks the metadata, and gives up on a partition that has not existed for long enough.
    fn handle_lost(&mut self, tp: &TopicPartition, now: Instant) {
        let code = missing(&self.metadata, tp);
        match code {
            Some(code) => self.handle_gone(tp, now, code),
            None => {
                self.stale.insert(tp.topic.clone());
                self.back_off(tp, now);
            }
        }
    }

    /// Brokers say the partition does not exist. They also say so for a while after a restart, so it takes
    /// `default.api.timeout.ms` of it to be believed.
    pub(super) fn handle_gone(&mut self, tp: &TopicPartition, now: Instant, code: ErrorCode) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        let since = *partition.gone_since.get_or_insert(now);
        if now.saturating_duration_since(since) >= self.client.default_api_timeout {
            let detail = "it has not existed for default.api.timeout.ms; was the topic deleted?";
            return self.fail(tp, Error::broker(Operation::Fetch, code, tp.to_string()).with_detail(detail));
        }
        self.stale.insert(tp.topic.clone());
        self.back_off(tp, now);
    }

    /// The request for a lane that [`poll_lane`](Self::poll_lane) gave and whose broker is connected now, and its version.
    ///
    /// `None` if nothing is left to be asked; the lane is free again then.
    pub(super) fn ask(&mut self, id: LaneId, version: i16, now: Instant) -> Option<(i16, FetchRequest)> {
        let (entries, is_new) = self.wanted(id, now);
        let lane = self.lanes.get_mut(&id)?;
        if entries.is_empty() {
            lane.release();
            self.is_dirty = true;
            return None;
        }
        lane.asked_at = Some(now);
        let max_bytes = lane.lease.as_ref().map_or(0, Lease::bytes);
        // Nobody should wait for records to learn where the end is.
        let wait = if is_new { Duration::ZERO } else { self.config.fetch_max_wait };
        lane.wait = wait;
        let by_id = version >= 13 && entries.iter().all(|(_, entry)| entry.topic_id.is_known());
        let version = if by_id { version } else { version.min(12) };
        let ask = lane.session.next(entries, by_id);
        Some((version, request::fetch_request(version, ask, request::Limits { max_bytes, wait }, &self.config)))
    }

    /// What to ask of a broker, the least recently served first; and whether some of it was never asked for.
    fn wanted(&mut self, id: LaneId, now: Instant) -> (Vec<(TopicPartition, Entry)>, bool) {
        let allowance = self.allowance();
        let most = usize::try_from(self.config.max_partition_fetch_bytes).unwrap_or(0);
        let max_bytes = i32::try_from(most.min(allowance)).unwrap_or(i32::MAX);
        let (mut entries, mut is_new) = (Vec::new(), false);
        let of_broker = |p: &Partition| p.is_fetchable(now) && p.source() == Some(id.broker);
        for (tp, partition) in self.partitions.iter_mut().filter(|(_, p)| of_broker(p)) {
            if partition.queued_bytes > allowance / 2 {
                partition.is_left_out = true;
                continue;
            }
            partition.asked_by = Some(id);
            is_new |= !std::mem::replace(&mut partition.was_asked, true);
            entries.push((partition.served, tp.clone(), partition.entry(max_bytes)));
        }
        entries.sort_by_key(|(served, ..)| *served);
        (entries.into_iter().map(|(_, tp, entry)| (tp, entry)).collect(), is_new)
    }

    /// What a lane was asked for may be asked for again.
    pub(super) fn recall(&mut self, id: LaneId) {
        for partition in self.partitions.values_mut().filter(|p| p.asked_by == Some(id)) {
            partition.asked_by = None;
        }
    }
}

/// The lane to ask a broker by: the first, or the second while the first one's request is out.
fn free_lane(lanes: &BTreeMap<LaneId, Lane>, broker: BrokerId) -> Option<LaneId> {
    let (first, second) = (LaneId::first(broker), LaneId::second(broker));
    let is_idle = |id| lanes.get(&id).is_none_or(Lane::is_idle);
    if is_idle(first) {
        return Some(first);
    }
    let is_out = lanes.get(&first).is_some_and(Lane::is_asked);
    (is_out && is_idle(second)).then_some(second)
}

/// Why the metadata has no such partition, if it knows for sure.
fn missing(metadata: &Metadata, tp: &TopicPartition) -> Option<ErrorCode> {
    if metadata.partition(tp).is_some() {
        return None;
    }
    let is_too_few = metadata.topics.contains_key(&tp.topic);
    is_too_few.then_some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).or(metadata.topic_errors.get(&tp.topic).copied())
}
