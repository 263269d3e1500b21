//! Requests on one socket: written in the order of submit, answered in that order, each resolved exactly once.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::throttle;
use crate::wire::frame::{RequestFrame, correlation_id};

/// Why a connection ended, or a single request on it failed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Cause {
    /// A request of this API had no answer at its deadline.
    Expired(i16),
    /// The socket failed or the peer closed it.
    Lost(String),
    /// The peer's bytes broke the protocol.
    Protocol(String),
    /// Nobody used it for as long as `connections.max.idle.ms`.
    Idle,
}

/// How a request ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// Its answer, with the response header.
    Answered(Bytes),
    /// The last byte of a request that nobody answers was handed to the socket.
    Written,
    /// No answer will be told. `maybe_applied` unless no byte of it was handed to the socket.
    Failed { cause: Cause, maybe_applied: bool },
}

/// The state of one connection's requests. `T` stands for whoever waits.
#[derive(Debug)]
pub(super) struct Mux<T> {
    next_correlation_id: i32,
    queue: VecDeque<Queued<T>>,
    /// Goes before all that is queued.
    first: Option<Queued<T>>,
    /// Whether what is queued waits for the connection's login to be renewed.
    is_held: bool,
    /// Taken for writing and not yet answered, oldest first.
    in_flight: VecDeque<Sent<T>>,
    /// Taken for writing, without an answer to come, and not yet written in full.
    unanswered: VecDeque<Sent<T>>,
    outcomes: VecDeque<(T, Outcome)>,
    /// Stream positions: bytes taken for writing, and of these the ones the socket may have.
    taken: u64,
    written: u64,
    muted_until: Option<Instant>,
    /// No deadline is earlier than this; it may be too early, never too late, so that answers cost no search.
    earliest_deadline: Option<Instant>,
    max_idle: Duration,
    last_used: Instant,
    closed: Option<Cause>,
}

#[derive(Debug)]
struct Queued<T> {
    frame: RequestFrame,
    deadline: Instant,
    expects_response: bool,
    waiter: T,
}

#[derive(Debug)]
struct Sent<T> {
    correlation_id: i32,
    api_key: i16,
    api_version: i16,
    start: u64,
    end: u64,
    deadline: Instant,
    waiter: T,
}

impl<T> Mux<T> {
    pub(super) fn new(now: Instant, max_idle: Duration) -> Self {
        Self {
            next_correlation_id: 1,
            queue: VecDeque::new(),
            first: None,
            is_held: false,
            in_flight: VecDeque::new(),
            unanswered: VecDeque::new(),
            outcomes: VecDeque::new(),
            taken: 0,
            written: 0,
            muted_until: None,
            earliest_deadline: None,
            max_idle,
            last_used: now,
            closed: None,
        }
    }

    /// Queues a request. On a closed connection it fails at once, definitely not applied.
    pub(super) fn submit(
        &mut self,
        now: Instant,
        frame: RequestFrame,
        deadline: Instant,
        expects_response: bool,
        waiter: T,
    ) {
        if let Some(cause) = self.closed.clone() {
            self.outcomes.push_back((waiter, Outcome::Failed { cause, maybe_applied: false }));
            return;
        }
        self.last_used = now;
        let deadline = deadline + self.silence(now);
        self.earliest_deadline = Some(self.earliest_deadline.map_or(deadline, |e| e.min(deadline)));
        self.queue.push_back(Queued { frame, deadline, expects_response, waiter });
    }

    /// Keeps what is queued back until [`release`](Mux::release); deadlines go on.
    pub(super) fn hold(&mut self) {
        self.is_held = true;
    }

    /// Lets the queue go on, in its order.
    pub(super) fn release(&mut self) {
        self.is_held = false;
    }

    /// A request of our own that goes before the queue. One at a time.
    pub(super) fn submit_first(&mut self, frame: RequestFrame, deadline: Instant, waiter: T) {
        self.earliest_deadline = Some(self.earliest_deadline.map_or(deadline, |e| e.min(deadline)));
        self.first = Some(Queued { frame, deadline, expects_response: true, waiter });
    }

    /// When a caller last used it.
    pub(super) fn last_used(&self) -> Instant {
        self.last_used
    }

    /// The broker wants silence for `throttle` (KIP-219). Time it spends muting us counts against no deadline.
    pub(super) fn mute(&mut self, now: Instant, throttle: Duration) {
        let extension = throttle.min(throttle::LONGEST).saturating_sub(self.silence(now));
        self.muted_until = Some(now + self.silence(now) + extension);
        for deadline in self.deadlines_mut() {
            *deadline += extension;
        }
    }

    /// The next request to write, its correlation id in place; `None` while muted, closed or without requests.
    pub(super) fn poll_transmit(&mut self, now: Instant) -> Option<RequestFrame> {
        if !self.silence(now).is_zero() {
            return None;
        }
        self.muted_until = None;
        let next = match self.first.take() {
            Some(first) => first,
            None if self.is_held => return None,
            None => self.queue.pop_front()?,
        };
        let Queued { mut frame, deadline, expects_response, waiter } = next;
        let correlation_id = self.next_correlation_id;
        // From 1 to the largest and around: a negative id would be legal but unusual to brokers.
        self.next_correlation_id = correlation_id.checked_add(1).unwrap_or(1);
        frame.set_correlation_id(correlation_id);
        let start = self.taken;
        self.taken += frame.wire_len() as u64;
        let (api_key, api_version) = (frame.api_key, frame.api_version);
        let sent = Sent { correlation_id, api_key, api_version, start, end: self.taken, deadline, waiter };
        if expects_response {
            self.in_flight.push_back(sent)
        } else {
            self.unanswered.push_back(sent)
        }
        Some(frame)
    }

    /// The socket took `bytes` more of what [`poll_transmit`](Mux::poll_transmit) gave.
    pub(super) fn handle_written(&mut self, bytes: usize) {
        self.written = (self.written + bytes as u64).min(self.taken);
        while self.unanswered.front().is_some_and(|sent| sent.end <= self.written)
            && let Some(sent) = self.unanswered.pop_front()
        {
            self.outcomes.push_back((sent.waiter, Outcome::Written));
        }
    }

    /// A write failed: of what was offered to it any part may have left.
    pub(super) fn handle_write_failed(&mut self, reason: String) {
        self.written = self.taken;
        self.close(Cause::Lost(reason));
    }

    /// A whole frame arrived. It must answer the oldest request, or the connection closes.
    pub(super) fn handle_frame(&mut self, now: Instant, frame: Bytes) {
        match self.answered(&frame) {
            Ok(sent) => {
                if !self.is_held {
                    self.last_used = now;
                }
                let throttle = throttle::of_answer(sent.api_key, sent.api_version, &frame);
                if !throttle.is_zero() {
                    self.mute(now, throttle);
                }
                self.outcomes.push_back((sent.waiter, Outcome::Answered(frame)));
                if self.is_idle() {
                    self.earliest_deadline = None;
                }
            }
            Err(reason) => self.close(Cause::Protocol(reason)),
        }
    }

    fn answered(&mut self, frame: &Bytes) -> Result<Sent<T>, String> {
        let Some(id) = correlation_id(frame) else { return Err("a frame shorter than a correlation id".into()) };
        let Some(oldest) = self.in_flight.front() else {
            return Err(format!("an answer with correlation id {id} although no request waits for one"));
        };
        if oldest.correlation_id != id {
            let expected = oldest.correlation_id;
            return Err(format!("an answer with correlation id {id} where {expected} was next"));
        }
        if oldest.end > self.written {
            return Err(format!("an answer to request {id} before it was written"));
        }
        self.in_flight.pop_front().ok_or_else(String::new)
    }

    /// Time has passed: requests that were never written expire alone; a written one takes the connection with it,
    /// because a later answer could not be told from the delay of another.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.is_idle() && now >= self.last_used + self.max_idle {
            self.close(Cause::Idle);
        }
        if self.earliest_deadline.is_none_or(|earliest| earliest > now) {
            return;
        }
        let expired = self.in_flight.iter().chain(&self.unanswered).find(|sent| sent.deadline <= now);
        if let Some(api_key) = expired.map(|sent| sent.api_key) {
            self.close(Cause::Expired(api_key));
        }
        self.expire_queued(now);
        self.earliest_deadline = self.deadlines_mut().map(|deadline| *deadline).min();
    }

    fn expire_queued(&mut self, now: Instant) {
        let (expired, waiting) = std::mem::take(&mut self.queue).into_iter().partition(|q| q.deadline <= now);
        self.queue = waiting;
        let expired: VecDeque<Queued<T>> = expired;
        for Queued { frame, waiter, .. } in expired {
            let cause = Cause::Expired(frame.api_key);
            self.outcomes.push_back((waiter, Outcome::Failed { cause, maybe_applied: false }));
        }
    }

    /// Ends the connection: every request is resolved, and the first cause stays.
    pub(super) fn close(&mut self, cause: Cause) {
        if self.closed.is_some() {
            return;
        }
        let in_flight = std::mem::take(&mut self.in_flight).into_iter();
        for sent in in_flight.chain(std::mem::take(&mut self.unanswered)) {
            let maybe_applied = sent.start < self.written;
            self.outcomes.push_back((sent.waiter, Outcome::Failed { cause: cause.clone(), maybe_applied }));
        }
        let first = self.first.take().into_iter();
        for queued in first.chain(std::mem::take(&mut self.queue)) {
            self.outcomes.push_back((queued.waiter, Outcome::Failed { cause: cause.clone(), maybe_applied: false }));
        }
        self.closed = Some(cause);
    }

    /// The next request that ended.
    pub(super) fn poll_outcome(&mut self) -> Option<(T, Outcome)> {
        self.outcomes.pop_front()
    }

    /// When [`handle_timeout`](Mux::handle_timeout) or [`poll_transmit`](Mux::poll_transmit) has something to do
    /// without further input. Possibly too early.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        if self.closed.is_some() {
            return None;
        }
        if self.is_idle() {
            return Some(self.last_used + self.max_idle);
        }
        let is_silent = self.queue.is_empty() && self.first.is_none();
        let unmute = self.muted_until.filter(|_| !is_silent);
        self.earliest_deadline.into_iter().chain(unmute).min()
    }

    /// Why it is closed, if it is.
    pub(super) fn closed(&self) -> Option<&Cause> {
        self.closed.as_ref()
    }

    /// Whether no request waits for anything.
    pub(super) fn is_idle(&self) -> bool {
        self.first.is_none() && self.queue.is_empty() && self.in_flight.is_empty() && self.unanswered.is_empty()
    }

    /// How much longer nothing may be sent.
    fn silence(&self, now: Instant) -> Duration {
        self.muted_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn deadlines_mut(&mut self) -> impl Iterator<Item = &mut Instant> {
        let queued = self.first.iter_mut().chain(&mut self.queue).map(|q| &mut q.deadline);
        let sent = self.in_flight.iter_mut().chain(&mut self.unanswered).map(|s| &mut s.deadline);
        queued.chain(sent)
    }
}

#[cfg(test)]
mod tests;
