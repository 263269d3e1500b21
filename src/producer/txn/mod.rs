//! One transactional id's life: which request its coordinators get next, and what each answer means for it.

mod answers;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tokio::sync::oneshot;

use crate::error::{Error, ErrorCode, ErrorKind, Operation, Recovery, Result};
use crate::types::{OffsetAndMetadata, ProducerIdentity, TopicPartition, TransactionVersion};

/// How a transaction is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Commit,
    Abort,
    Prepare,
}

/// What a prepared transaction holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Contents {
    pub producer: ProducerIdentity,
    pub version: TransactionVersion,
    pub record_count: u64,
    pub partitions: Vec<TopicPartition>,
    /// Whether the id's next transaction needs InitProducerId first.
    pub needs_init: bool,
}

/// Offsets of one group.
pub(super) type Offsets = Vec<(TopicPartition, OffsetAndMetadata)>;
/// Learns the number of the transaction that was begun.
pub(super) type BeginReply = oneshot::Sender<Result<u64>>;
pub(super) type OffsetsReply = oneshot::Sender<Result<()>>;
pub(super) type EndReply = oneshot::Sender<Result<Option<Contents>>>;

/// A request to a coordinator. One is under way at a time, as in Java's client.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Job {
    /// Get a producer id: the first, or the next epoch of this one.
    Init(Option<ProducerIdentity>),
    /// Add partitions (TV1).
    AddPartitions(Vec<usize>),
    /// Add a group's offsets: AddOffsetsToTxn first under TV1.
    CommitOffsets(String, Offsets),
    /// EndTxn. Whether it is certain that the coordinator has the transaction.
    End { is_commit: bool, is_certain: bool },
}

/// What a job came to.
#[derive(Debug)]
pub(super) enum Answer {
    Init(Result<(ProducerIdentity, TransactionVersion)>),
    Added(Vec<usize>, Result<()>),
    Offsets(Result<()>),
    /// The identity of the next transaction under TV2, if the answer told it.
    Ended(Result<Option<ProducerIdentity>>),
}

#[derive(Debug)]
enum State {
    Idle,
    Open,
    Ending(End, EndReply),
    /// Aborted because it failed or was dropped; nobody waits, or somebody does.
    Aborting(Option<EndReply>),
    Prepared,
}

/// The state machine of one transactional id.
#[derive(Debug)]
pub(super) struct Txn {
    id: String,
    state: State,
    identity: ProducerIdentity,
    /// The identity of the transaction that was begun last.
    begun_as: ProducerIdentity,
    version: TransactionVersion,
    /// Whether the next transaction needs another epoch first.
    needs_init: bool,
    has_id: bool,
    /// Whether it is unknown how the last transaction ended. It has to be known before the next epoch: InitProducerId of
    /// an open transaction fences the epoch that it is asked to follow.
    is_unresolved: bool,
    number: u64,
    begin: Option<BeginReply>,
    is_busy: bool,
    /// Whether the coordinator has, or may have, this transaction.
    is_started: bool,
    is_maybe_started: bool,
    /// Whether the coordinator has ended it on its own.
    is_gone: bool,
    /// TV1: partitions to be added.
    pending: BTreeSet<usize>,
    offsets: VecDeque<(String, Offsets, OffsetsReply)>,
    offsets_under_way: Option<OffsetsReply>,
    /// Acknowledged records by partition.
    written: BTreeMap<TopicPartition, u64>,
    /// Whether some request of it may be applied late.
    has_unanswered: bool,
    /// Why it cannot be committed.
    failure: Option<Error>,
    /// Why nothing can be done any more.
    fatal: Option<Error>,
    opened: Option<u64>,
}

impl Txn {
    pub(super) fn new(id: String) -> Self {
        Self {
            id,
            state: State::Idle,
            identity: ProducerIdentity::NONE,
            begun_as: ProducerIdentity::NONE,
            version: TransactionVersion::V1,
            needs_init: true,
            has_id: false,
            is_unresolved: false,
            number: 0,
            begin: None,
            is_busy: false,
            is_started: false,
            is_maybe_started: false,
            is_gone: false,
            pending: BTreeSet::new(),
            offsets: VecDeque::new(),
            offsets_under_way: None,
            written: BTreeMap::new(),
            has_unanswered: false,
            failure: None,
            fatal: None,
            opened: None,
        }
    }

    pub(super) fn identity(&self) -> ProducerIdentity {
        self.identity
    }

    pub(super) fn version(&self) -> TransactionVersion {
        self.version
    }

    /// Why appending is refused: the transaction has failed, or the producer.
    pub(super) fn refusal(&self) -> Option<&Error> {
        self.fatal.as_ref().or(self.failure.as_ref())
    }

    /// Whether what was appended and not sent is to be dropped.
    pub(super) fn drops_records(&self) -> bool {
        self.refusal().is_some() || matches!(self.state, State::Aborting(_))
    }

    /// Whether records may be appended.
    pub(super) fn accepts(&self) -> bool {
        matches!(self.state, State::Open) && self.refusal().is_none()
    }

    /// Whether nothing is under way, so that the driver may end.
    pub(super) fn is_settled(&self) -> bool {
        !self.is_busy && (self.fatal.is_some() || matches!(self.state, State::Idle | State::Prepared))
    }

    /// Begins the next transaction, once the last has ended and there is an epoch for it.
    ///
    /// One whose beginning nobody waited for, or whose handle is gone, is aborted first.
    pub(super) fn handle_begin(&mut self, reply: BeginReply) {
        self.handle_dropped();
        match (&self.fatal, &self.state) {
            (Some(fatal), _) => drop(reply.send(Err(fatal.clone()))),
            (None, State::Prepared) => drop(reply.send(Err(self.still_prepared()))),
            (None, _) => self.begin = Some(reply),
        }
    }

    /// Adds offsets of a group.
    pub(super) fn handle_offsets(&mut self, group: String, offsets: Offsets, reply: OffsetsReply) {
        match (self.refusal().cloned(), &self.state) {
            (Some(error), _) => drop(reply.send(Err(error))),
            (None, State::Open) => self.offsets.push_back((group, offsets, reply)),
            _ => drop(reply.send(Err(self.ended()))),
        }
    }

    fn still_prepared(&self) -> Error {
        let detail = "its prepared transaction has not ended: end it, and say so, before the next begins";
        Error::new(Operation::AddToTransaction, ErrorKind::Invalid, self.id.as_str(), detail)
    }

    fn ended(&self) -> Error {
        Error::new(Operation::AddToTransaction, ErrorKind::Closed, self.id.as_str(), "the transaction has ended")
    }

    /// Ends the transaction. The driver has closed the gate before and taken every open batch.
    pub(super) fn handle_end(&mut self, end: End, reply: EndReply) {
        if let Some(fatal) = &self.fatal {
            let _ = reply.send(Err(fatal.clone()));
            return;
        }
        if !matches!(self.state, State::Open) {
            let _ = reply.send(Err(self.ended()));
            return;
        }
        self.state = match (end, self.failure.take()) {
            (End::Abort, _) => State::Aborting(Some(reply)),
            (_, Some(failure)) => {
                let _ = reply.send(Err(failure));
                State::Aborting(None)
            }
            (end, None) => State::Ending(end, reply),
        };
    }

    /// The handle of an open transaction was dropped.
    pub(super) fn handle_dropped(&mut self) {
        if matches!(self.state, State::Open) {
            self.failure = None;
            self.state = State::Aborting(None);
        }
    }

    /// Whoever has the prepared value has ended it: the next epoch follows from it (KIP-890).
    ///
    /// `is_in_doubt`: some EndTxn of it went unanswered.
    pub(super) fn handle_prepared_ended(&mut self, is_in_doubt: bool) {
        if !matches!(self.state, State::Prepared) {
            return;
        }
        self.state = State::Idle;
        if self.version == TransactionVersion::V2 {
            match self.next_epoch() {
                Some(producer_epoch) => self.identity.producer_epoch = producer_epoch,
                None => self.needs_init = true,
            }
        } else {
            // The epoch stays, so an EndTxn that comes late would end the next transaction.
            self.needs_init |= is_in_doubt;
        }
    }

    /// The epoch that follows the end of a transaction of version 2, unless there is none left.
    fn next_epoch(&self) -> Option<i16> {
        self.identity.producer_epoch.checked_add(1).filter(|epoch| *epoch < i16::MAX)
    }

    /// A batch waits for its partition to be in the transaction (TV1).
    pub(super) fn handle_partition(&mut self, partition: usize) {
        self.pending.insert(partition);
    }

    /// A batch may have reached its partition: under TV2 that begins the transaction at its coordinator.
    pub(super) fn handle_reached(&mut self) {
        self.is_maybe_started = true;
    }

    pub(super) fn handle_written(&mut self, partition: &TopicPartition, records: u32) {
        self.is_started = true;
        *self.written.entry(partition.clone()).or_default() += u64::from(records);
    }

    /// A batch, or a request of the transaction, has failed: it can only be aborted, or the producer is at its end.
    pub(super) fn handle_failed(&mut self, error: Error) {
        if is_fatal(&error) {
            return self.die(error);
        }
        // The coordinator has ended the transaction already: only a new epoch gets anywhere.
        if error.code() == Some(ErrorCode::INVALID_PRODUCER_EPOCH) && !matches!(self.state, State::Idle) {
            self.needs_init = true;
            self.is_gone = true;
        }
        let error = match error.recovery() {
            Recovery::Retry | Recovery::Recreate => error.with_recovery(Recovery::AbortTransaction),
            _ => error,
        };
        match std::mem::replace(&mut self.state, State::Idle) {
            State::Open => {
                self.state = State::Open;
                self.failure.get_or_insert(error);
            }
            State::Ending(_, reply) => {
                let _ = reply.send(Err(error));
                self.state = State::Aborting(None);
            }
            // What is dropped by an abort fails as well, and means nothing more.
            other => self.state = other,
        }
    }

    fn die(&mut self, error: Error) {
        let fatal = self.fatal.get_or_insert(error).clone();
        if let State::Ending(_, reply) | State::Aborting(Some(reply)) = std::mem::replace(&mut self.state, State::Idle)
        {
            let _ = reply.send(Err(fatal.clone()));
        }
        self.begin.take().into_iter().for_each(|reply| drop(reply.send(Err(fatal.clone()))));
        let waiting = self.offsets.drain(..).map(|(_, _, reply)| reply).chain(self.offsets_under_way.take());
        waiting.for_each(|reply| drop(reply.send(Err(fatal.clone()))));
    }

    /// The next request. `is_flushed`: no batch is unfinished and no Produce unanswered; `has_late`: one may come late.
    pub(super) fn poll_job(&mut self, is_flushed: bool, has_late: bool) -> Option<Job> {
        if self.is_busy || self.fatal.is_some() {
            return None;
        }
        let job = self.next_job(is_flushed, has_late);
        self.is_busy = job.is_some();
        job
    }

    fn next_job(&mut self, is_flushed: bool, has_late: bool) -> Option<Job> {
        if let State::Aborting(_) = self.state {
            return self.abort(is_flushed, has_late);
        }
        if let State::Idle = self.state {
            return self.start();
        }
        if self.failure.is_some() {
            self.fail_offsets();
            return None;
        }
        if !self.pending.is_empty() {
            self.is_maybe_started = true;
            return Some(Job::AddPartitions(std::mem::take(&mut self.pending).into_iter().collect()));
        }
        if let Some((group, offsets, reply)) = self.offsets.pop_front() {
            self.is_maybe_started = true;
            self.offsets_under_way = Some(reply);
            return Some(Job::CommitOffsets(group, offsets));
        }
        match self.state {
            State::Ending(End::Commit, _) if is_flushed && self.is_started => {
                Some(Job::End { is_commit: true, is_certain: true })
            }
            State::Ending(..) if is_flushed => self.end_without_request(has_late),
            _ => None,
        }
    }

    /// In between: a new epoch if one is needed, then the transaction that somebody waits for.
    fn start(&mut self) -> Option<Job> {
        if self.begin.as_ref().is_some_and(oneshot::Sender::is_closed) {
            self.begin = None;
        }
        self.begin.as_ref()?;
        if self.is_unresolved {
            return Some(Job::End { is_commit: false, is_certain: false });
        }
        if self.needs_init {
            return Some(Job::Init(self.has_id.then_some(self.identity)));
        }
        self.number += 1;
        self.begun_as = self.identity;
        self.opened = Some(self.number);
        self.state = State::Open;
        None
    }

    /// The transaction that has to be opened now: its number, and who waits for it.
    pub(super) fn poll_opened(&mut self) -> Option<(u64, BeginReply)> {
        let number = self.opened.take()?;
        self.begin.take().map(|reply| (number, reply))
    }

    fn abort(&mut self, is_flushed: bool, has_late: bool) -> Option<Job> {
        self.fail_offsets();
        self.pending.clear();
        if !is_flushed {
            return None;
        }
        if (self.is_started || self.is_maybe_started) && !self.is_gone {
            return Some(Job::End { is_commit: false, is_certain: self.is_started });
        }
        self.finish(None, has_late);
        self.start()
    }

    fn fail_offsets(&mut self) {
        let error = self.failure.clone().unwrap_or_else(|| self.ended());
        self.offsets.drain(..).for_each(|(_, _, reply)| drop(reply.send(Err(error.clone()))));
    }

    /// A commit of nothing, or a prepare.
    fn end_without_request(&mut self, has_late: bool) -> Option<Job> {
        let contents = self.is_started.then(|| Contents {
            producer: self.identity,
            version: self.version,
            record_count: self.written.values().sum(),
            partitions: self.written.keys().cloned().collect(),
            needs_init: false,
        });
        let is_prepared = contents.is_some();
        self.finish(contents, has_late);
        if is_prepared {
            self.state = State::Prepared;
        }
        None
    }

    /// The transaction is over for this producer; who waits for its end learns of it.
    fn finish(&mut self, mut contents: Option<Contents>, has_late: bool) {
        // Where the epoch stays, a late request of this transaction would join the next (KIP-890), and sequences that were
        // used in vain would be missed.
        let moves_on = contents.is_some() && self.version == TransactionVersion::V2;
        let stays = self.identity == self.begun_as && !moves_on;
        self.needs_init |= stays && (has_late || self.has_unanswered);
        if let Some(contents) = &mut contents {
            let has_next = self.version == TransactionVersion::V1 || self.next_epoch().is_some();
            contents.needs_init = self.needs_init || !has_next;
        }
        if let State::Ending(_, reply) | State::Aborting(Some(reply)) = std::mem::replace(&mut self.state, State::Idle)
        {
            let _ = reply.send(Ok(contents));
        }
        self.reset();
    }

    fn reset(&mut self) {
        self.is_started = false;
        self.is_maybe_started = false;
        self.is_gone = false;
        self.has_unanswered = false;
        self.failure = None;
        self.pending.clear();
        self.written.clear();
    }
}

/// Whether the producer is at its end: another one has taken over, or it and its coordinator disagree.
///
/// A partition's leader that answers INVALID_PRODUCER_EPOCH leaves open which: a transaction that timed out has another
/// epoch too, and its producer may go on (KIP-588). The coordinator tells.
fn is_fatal(error: &Error) -> bool {
    match error.code() {
        Some(ErrorCode::INVALID_PRODUCER_EPOCH) => error.operation() != Operation::Produce,
        Some(
            ErrorCode::PRODUCER_FENCED
            | ErrorCode::INVALID_PRODUCER_ID_MAPPING
            | ErrorCode::INVALID_TXN_STATE
            | ErrorCode::TRANSACTION_COORDINATOR_FENCED
            | ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | ErrorCode::CLUSTER_AUTHORIZATION_FAILED,
        ) => true,
        _ => false,
    }
}
