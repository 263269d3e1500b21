//! What comes back: an answer per batch, or none; each ends its batch, or puts it back in its place.

use std::time::{Duration, Instant};

use super::super::delivery::Outcome;
use super::partition::Numbering;
use super::verdict::{Verdict, is_refusal};
use super::{Batch, Event, Sender};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Recovery};

/// A broker's answer to one batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(in crate::producer) struct Answer {
    /// The partition, as the sender numbers it.
    pub partition: usize,
    pub code: ErrorCode,
    pub base_offset: i64,
    pub log_append_time_ms: i64,
    /// The broker's words about an error.
    pub message: String,
}

impl Sender {
    /// The broker answered a request. Partitions it did not ask for are ignored; one it left out is unknown.
    pub(in crate::producer) fn handle_response(&mut self, now: Instant, request: u64, mut answers: Vec<Answer>) {
        answers.sort_by_key(|answer| answer.partition);
        let Some(sent) = self.requests.remove(&request) else { return };
        if let Some(broker) = self.brokers.get_mut(&sent.broker) {
            broker.in_flight -= 1;
        }
        for (p, ordinal) in sent.batches {
            let at = answers.partition_point(|answer| answer.partition < p);
            let answer = answers.get(at).filter(|answer| answer.partition == p);
            let Some(batch) = self.partitions[p].land(ordinal) else {
                // It has expired. A late success changes nothing: its sequences are not used again.
                self.settle(now, p);
                continue;
            };
            match answer {
                Some(answer) => self.answered(now, p, batch, answer),
                None => {
                    self.has_unanswered = true;
                    let cause = Error::new(Operation::Produce, ErrorKind::Protocol, "", "the answer leaves it out");
                    self.retry(now, p, batch, true, None, cause);
                }
            }
            self.settle(now, p);
        }
    }

    /// A request that is never answered (`acks=0`) was written to the socket.
    pub(in crate::producer) fn handle_written(&mut self, now: Instant, request: u64) {
        let batches = self.requests.get(&request).map_or(Vec::new(), |sent| sent.batches.clone());
        let answer = |(partition, _)| Answer {
            partition,
            code: ErrorCode::NONE,
            base_offset: -1,
            log_append_time_ms: -1,
            message: String::new(),
        };
        self.handle_response(now, request, batches.into_iter().map(answer).collect());
    }

    /// A request ended without an answer: whether its batches were written is unknown if its bytes may have left.
    pub(in crate::producer) fn handle_unknown(&mut self, now: Instant, request: u64, error: &Error) {
        let Some(sent) = self.requests.remove(&request) else { return };
        if let Some(broker) = self.brokers.get_mut(&sent.broker) {
            broker.in_flight -= 1;
        }
        self.has_unanswered |= error.maybe_applied();
        self.events.extend(error.maybe_applied().then_some(Event::Reached));
        for (p, ordinal) in sent.batches {
            if let Some(batch) = self.partitions[p].land(ordinal) {
                if error.recovery() == Recovery::Retry || error.maybe_applied() {
                    self.retry(now, p, batch, error.maybe_applied(), None, error.clone());
                } else {
                    // Nothing left, and nothing would by trying again.
                    self.fail(p, batch, error.clone());
                }
            }
            self.settle(now, p);
        }
    }

    fn answered(&mut self, now: Instant, p: usize, mut batch: Batch, answer: &Answer) {
        let verdict = Verdict::of(answer.code);
        // A coordinator that is busy with the last transaction has not begun this one.
        if self.settings.numbering == Numbering::Transactional && answer.code != ErrorCode::CONCURRENT_TRANSACTIONS {
            self.events.push_back(Event::Reached);
        }
        let may_be_written = !is_refusal(answer.code);
        match verdict {
            Verdict::Written => self.written(p, batch, answer.base_offset, answer.log_append_time_ms),
            Verdict::Duplicate => self.written(p, batch, -1, -1),
            Verdict::Retry { is_misplaced, wait } => {
                if is_misplaced {
                    self.events.push_back(Event::Refresh(self.partitions[p].tp.topic.clone()));
                }
                let cause = self.refused(p, answer);
                self.retry(now, p, batch, may_be_written, wait, cause);
            }
            Verdict::OutOfOrder => self.out_of_order(now, p, batch, answer),
            Verdict::Forgotten | Verdict::Fenced if self.may_restamp(&batch) => {
                self.partitions[p].needs_bump = true;
                self.partitions[p].needs_new_id = true;
                let cause = self.refused(p, answer);
                self.retry(now, p, batch, false, None, cause);
            }
            Verdict::TooLarge => self.too_large(p, batch, answer),
            Verdict::Forgotten | Verdict::Fenced | Verdict::Fail => {
                batch.is_ambiguous |= may_be_written;
                let is_ambiguous = batch.is_ambiguous;
                self.partitions[p].needs_new_id |= verdict != Verdict::Fail;
                self.fail(p, batch, self.refused(p, answer).with_maybe_applied(is_ambiguous));
            }
        }
    }

    /// Whether a batch may go out under another identity: never inside a transaction, never if it may be written.
    fn may_restamp(&self, batch: &Batch) -> bool {
        self.settings.numbering == Numbering::Idempotent && !batch.is_ambiguous
    }

    fn written(&mut self, p: usize, batch: Batch, base_offset: i64, log_append_time_ms: i64) {
        let partition = &mut self.partitions[p];
        partition.failures = 0;
        partition.is_known = true;
        if self.settings.numbering == Numbering::Transactional {
            self.events.push_back(Event::Written(p, batch.records));
        }
        self.events.push_back(Event::Done(batch, Outcome::Written { base_offset, log_append_time_ms }));
    }

    /// The broker misses what came before. That is expected behind a batch that has to be sent again; for the first
    /// unresolved batch it means that the broker lost something, or that a range before it was used in vain.
    fn out_of_order(&mut self, now: Instant, p: usize, mut batch: Batch, answer: &Answer) {
        let partition = &mut self.partitions[p];
        let others = partition.in_flight.iter().chain(&partition.queue);
        let is_first = !others.filter(|other| other.stamp.is_some()).any(|other| other.ordinal < batch.ordinal);
        // A broker knows the last five batches, so one it does not know is not there, whatever became of its answers.
        batch.is_ambiguous = false;
        match self.settings.numbering {
            Numbering::Transactional if is_first => {
                let error = self.refused(p, answer).with_recovery(Recovery::AbortTransaction);
                self.fail(p, batch, error);
            }
            Numbering::None => self.fail(p, batch, self.refused(p, answer)),
            _ => {
                partition.needs_bump |= is_first;
                let cause = self.refused(p, answer);
                self.retry(now, p, batch, false, None, cause);
            }
        }
    }

    fn too_large(&mut self, p: usize, batch: Batch, answer: &Answer) {
        let Some(parts) = batch.split(&self.settings.packer) else {
            let detail = format!("{} is larger than max.message.bytes of the topic allows", batch.sizes());
            let is_ambiguous = batch.is_ambiguous;
            return self.fail(p, batch, self.refused(p, answer).with_detail(detail).with_maybe_applied(is_ambiguous));
        };
        let partition = &mut self.partitions[p];
        partition.needs_bump |= self.settings.numbering != Numbering::None;
        let refs = parts.iter().map(|(first, part)| (*first, part.completion.clone())).collect();
        for (_, part) in parts {
            self.events.push_back(Event::Split { partition: p, charged: part.charged, flush: part.flush });
            self.partitions[p].enqueue(part);
        }
        self.events.push_back(Event::Done(batch, Outcome::Split(refs)));
    }

    fn refused(&self, p: usize, answer: &Answer) -> Error {
        let error = Error::broker(Operation::Produce, answer.code, self.partitions[p].tp.to_string());
        let error = if answer.message.is_empty() { error } else { error.with_detail(answer.message.clone()) };
        let is_idempotent = self.settings.numbering == Numbering::Idempotent;
        match error.kind() {
            ErrorKind::Broker(ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::PRODUCER_FENCED) if !is_idempotent => {
                let id = &self.settings.transactional_id;
                error.with_detail(format!(
                    "the transaction of {id} has timed out, or another producer of that transactional id has taken over \
                     and fenced this one; give each job ids of its own"
                ))
            }
            ErrorKind::Broker(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED) => {
                let id = &self.settings.transactional_id;
                error.with_detail(format!("the user needs WRITE on the transactional id {id}"))
            }
            // The producer itself goes on under another epoch: the record may simply be sent again.
            ErrorKind::Broker(ErrorCode::UNKNOWN_PRODUCER_ID | ErrorCode::INVALID_PRODUCER_EPOCH) if is_idempotent => {
                error.with_recovery(Recovery::Retry)
            }
            _ => error,
        }
    }

    /// Puts a batch back in its place, to be sent again after a wait.
    fn retry(
        &mut self,
        now: Instant,
        p: usize,
        mut batch: Batch,
        may_be_written: bool,
        wait: Option<Duration>,
        cause: Error,
    ) {
        batch.cause = Some(cause);
        batch.is_ambiguous |= may_be_written;
        let failures = self.partitions[p].failures;
        let usual = self.backoff(failures);
        let partition = &mut self.partitions[p];
        partition.enqueue(batch);
        // Five batches that fail together are one failure.
        if partition.backoff_until.is_none_or(|until| until <= now) {
            partition.failures = failures.saturating_add(1);
            partition.backoff_until = Some(now + wait.map_or(usual, |wait| wait.min(usual)));
        }
    }
}
