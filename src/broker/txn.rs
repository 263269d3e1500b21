//! The transaction coordinator: who may write under a transactional id, and how each transaction ends.
//!
//! The moves are those of Kafka's `TransactionCoordinator` and `TransactionMetadata` (4.4); nothing here does I/O, so
//! Kafka's pending transitions last no time, while its markers are as late as the settings say.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::ErrorCode;
use crate::types::{ProducerIdentity, TopicPartition, TransactionVersion};

/// Where a transaction stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    Empty,
    Ongoing,
    PrepareCommit,
    PrepareAbort,
    CompleteCommit,
    CompleteAbort,
}

impl State {
    /// Kafka's name.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Ongoing => "Ongoing",
            Self::PrepareCommit => "PrepareCommit",
            Self::PrepareAbort => "PrepareAbort",
            Self::CompleteCommit => "CompleteCommit",
            Self::CompleteAbort => "CompleteAbort",
        }
    }

    fn is_preparing(self) -> bool {
        matches!(self, Self::PrepareCommit | Self::PrepareAbort)
    }
}

/// A marker that is to be written.
#[derive(Clone, Debug)]
pub(super) struct Marker {
    pub(super) transactional_id: String,
    pub(super) generation: u64,
    pub(super) tp: TopicPartition,
}

/// What follows from a move of a transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Next {
    /// Nothing.
    Nothing,
    /// A transaction began; it times out after this many ms.
    Began { generation: u64, timeout_ms: i32 },
    /// These partitions are to get their markers.
    Markers { generation: u64, partitions: BTreeSet<TopicPartition> },
}

/// One transactional id.
#[derive(Clone, Debug)]
pub(super) struct Transaction {
    pub(super) producer: ProducerIdentity,
    previous_producer_id: i64,
    next_producer_id: Option<i64>,
    last_epoch: i16,
    pub(super) timeout_ms: i32,
    pub(super) state: State,
    pub(super) partitions: BTreeSet<TopicPartition>,
    pub(super) started_ms: i64,
    /// Rules the transaction is ended by.
    pub(super) version: TransactionVersion,
    /// Counts the transactions of this id, so that a timer knows its own.
    pub(super) generation: u64,
}

fn is_exhausted(epoch: i16) -> bool {
    epoch >= i16::MAX - 1
}

impl Transaction {
    fn new(producer_id: i64, timeout_ms: i32) -> Self {
        Self {
            producer: ProducerIdentity { producer_id, producer_epoch: -1 },
            previous_producer_id: -1,
            next_producer_id: None,
            last_epoch: -1,
            timeout_ms,
            state: State::Empty,
            partitions: BTreeSet::new(),
            started_ms: -1,
            version: TransactionVersion::V1,
            generation: 0,
        }
    }

    fn check(&self, producer: ProducerIdentity) -> Result<(), ErrorCode> {
        if self.producer.producer_id != producer.producer_id {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if self.producer.producer_epoch != producer.producer_epoch {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        if self.state.is_preparing() { Err(ErrorCode::CONCURRENT_TRANSACTIONS) } else { Ok(()) }
    }

    fn is_expected(&self, expected: ProducerIdentity) -> bool {
        self.producer.producer_epoch == -1
            || expected.producer_id == self.producer.producer_id
            || (expected.producer_id == self.previous_producer_id && is_exhausted(expected.producer_epoch))
    }

    fn rotate(&mut self, producer_id: i64, last_epoch: i16) {
        self.previous_producer_id = self.producer.producer_id;
        self.producer = ProducerIdentity { producer_id, producer_epoch: 0 };
        self.last_epoch = last_epoch;
    }

    /// Bumps the epoch for InitProducerId; a retry of the last bump gets the same epoch again (KIP-360).
    fn bump(&mut self, expected: Option<ProducerIdentity>) -> Result<(), ErrorCode> {
        let current = self.producer.producer_epoch;
        match expected.map(|expected| expected.producer_epoch) {
            None => self.last_epoch = -1,
            Some(epoch) if current == -1 || epoch == current => self.last_epoch = current,
            Some(epoch) if epoch == self.last_epoch => return Ok(()),
            Some(_) => return Err(ErrorCode::PRODUCER_FENCED),
        }
        self.producer.producer_epoch = current.checked_add(1).ok_or(ErrorCode::UNKNOWN_SERVER_ERROR)?;
        Ok(())
    }

    fn begin_end(&mut self, commit: bool, version: TransactionVersion, next_producer_id: Option<i64>) -> Next {
        self.state = if commit { State::PrepareCommit } else { State::PrepareAbort };
        self.version = version;
        if version == TransactionVersion::V2 {
            self.last_epoch = self.producer.producer_epoch;
            self.producer.producer_epoch = self.producer.producer_epoch.saturating_add(1);
            self.next_producer_id = next_producer_id;
        }
        if self.partitions.is_empty() {
            self.complete();
        }
        Next::Markers { generation: self.generation, partitions: self.partitions.clone() }
    }

    fn complete(&mut self) {
        self.state = if self.state == State::PrepareCommit { State::CompleteCommit } else { State::CompleteAbort };
        if let Some(next) = self.next_producer_id.take() {
            let last_epoch = self.last_epoch;
            self.rotate(next, last_epoch);
        }
    }

    /// What the client goes on with once the transaction has ended.
    fn after_end(&self) -> ProducerIdentity {
        self.next_producer_id.map_or(self.producer, |producer_id| ProducerIdentity { producer_id, producer_epoch: 0 })
    }
}

/// Every transactional id of the cluster.
#[derive(Debug)]
pub(super) struct Transactions {
    by_id: BTreeMap<String, Transaction>,
    next_producer_id: i64,
}

impl Default for Transactions {
    fn default() -> Self {
        Self { by_id: BTreeMap::new(), next_producer_id: 1000 }
    }
}

impl Transactions {
    /// The transaction of this id.
    pub(super) fn get(&self, id: &str) -> Option<&Transaction> {
        self.by_id.get(id)
    }

    /// The transaction of this id, to change it by hand.
    pub(super) fn get_mut(&mut self, id: &str) -> Option<&mut Transaction> {
        self.by_id.get_mut(id)
    }

    /// Every id with its transaction.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Transaction)> {
        self.by_id.iter().map(|(id, transaction)| (id.as_str(), transaction))
    }

    /// Forgets an id, as expiry (`transactional.id.expiration.ms`) does.
    pub(super) fn forget(&mut self, id: &str) {
        self.by_id.remove(id);
    }

    /// A producer id that nobody has.
    pub(super) fn new_producer_id(&mut self) -> i64 {
        self.next_producer_id += 1;
        self.next_producer_id - 1
    }

    /// InitProducerId of a transactional id. An open transaction is fenced and aborted first: the client asks again.
    pub(super) fn init(
        &mut self,
        id: &str,
        timeout_ms: i32,
        expected: Option<ProducerIdentity>,
        server: TransactionVersion,
    ) -> (Result<ProducerIdentity, ErrorCode>, Next) {
        let fresh = self.new_producer_id();
        let transaction = self.by_id.entry(id.to_owned()).or_insert_with(|| Transaction::new(fresh, timeout_ms));
        if expected.is_some_and(|expected| !transaction.is_expected(expected)) {
            return (Err(ErrorCode::PRODUCER_FENCED), Next::Nothing);
        }
        match transaction.state {
            State::PrepareCommit | State::PrepareAbort => (Err(ErrorCode::CONCURRENT_TRANSACTIONS), Next::Nothing),
            State::Ongoing => (Err(ErrorCode::CONCURRENT_TRANSACTIONS), self.fence(id, server)),
            State::Empty | State::CompleteCommit | State::CompleteAbort => {
                let current = transaction.producer.producer_epoch;
                let matches = expected.is_none_or(|expected| expected.producer_epoch == current);
                if is_exhausted(current) && matches {
                    let last_epoch = if expected.is_some() { current } else { -1 };
                    transaction.rotate(fresh, last_epoch);
                } else if let Err(code) = transaction.bump(expected) {
                    return (Err(code), Next::Nothing);
                }
                transaction.state = State::Empty;
                transaction.timeout_ms = timeout_ms;
                transaction.started_ms = -1;
                (Ok(transaction.producer), Next::Nothing)
            }
        }
    }

    /// Adds partitions to the producer's transaction, beginning it if need be.
    pub(super) fn add(
        &mut self,
        id: &str,
        producer: ProducerIdentity,
        partitions: impl IntoIterator<Item = TopicPartition>,
        now_ms: i64,
    ) -> Result<Next, ErrorCode> {
        let transaction = self.by_id.get_mut(id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.check(producer)?;
        let begins = transaction.state != State::Ongoing;
        if begins {
            transaction.state = State::Ongoing;
            transaction.started_ms = now_ms;
            transaction.generation += 1;
        }
        transaction.partitions.extend(partitions);
        let (generation, timeout_ms) = (transaction.generation, transaction.timeout_ms);
        Ok(if begins { Next::Began { generation, timeout_ms } } else { Next::Nothing })
    }

    /// Whether the partition is in the producer's transaction (KIP-890, part 1).
    pub(super) fn verify(&self, id: &str, producer: ProducerIdentity, tp: &TopicPartition) -> Result<(), ErrorCode> {
        let transaction = self.get(id).ok_or(ErrorCode::INVALID_PRODUCER_ID_MAPPING)?;
        transaction.check(producer)?;
        if transaction.partitions.contains(tp) { Ok(()) } else { Err(ErrorCode::TRANSACTION_ABORTABLE) }
    }

    /// EndTxn by a client that follows `version`.
    pub(super) fn end(
        &mut self,
        id: &str,
        producer: ProducerIdentity,
        commit: bool,
        version: TransactionVersion,
    ) -> (Result<ProducerIdentity, ErrorCode>, Next) {
        let fresh = self.new_producer_id();
        let Some(transaction) = self.by_id.get_mut(id) else {
            return (Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING), Next::Nothing);
        };
        let decision = match version {
            TransactionVersion::V1 => transaction.end_v1(producer, commit),
            TransactionVersion::V2 => transaction.end_v2(producer, commit),
        };
        match decision {
            Err(code) => (Err(code), Next::Nothing),
            Ok(End::Done) => (Ok(transaction.producer), Next::Nothing),
            Ok(End::Begin) => {
                let rotates = is_exhausted(transaction.producer.producer_epoch);
                let next = transaction.begin_end(commit, version, rotates.then_some(fresh));
                (Ok(transaction.after_end()), next)
            }
        }
    }

    /// Aborts an open transaction so that its producer can write no more.
    pub(super) fn fence(&mut self, id: &str, server: TransactionVersion) -> Next {
        let fresh = self.new_producer_id();
        let Some(transaction) = self.by_id.get_mut(id) else { return Next::Nothing };
        if server == TransactionVersion::V1 {
            transaction.producer.producer_epoch = transaction.producer.producer_epoch.saturating_add(1);
            transaction.last_epoch = -1;
        }
        // Version 2 bumps the epoch at every end, so that bump is the fence.
        let rotates = is_exhausted(transaction.producer.producer_epoch);
        transaction.begin_end(false, server, rotates.then_some(fresh))
    }

    /// Notes that a marker was written; the last one completes the transaction.
    pub(super) fn marked(&mut self, marker: &Marker) {
        let Some(transaction) = self.by_id.get_mut(&marker.transactional_id) else { return };
        transaction.partitions.remove(&marker.tp);
        if transaction.partitions.is_empty() && transaction.state.is_preparing() {
            transaction.complete();
        }
    }
}

/// What EndTxn comes to.
enum End {
    /// It has been done before.
    Done,
    /// The transaction begins to end.
    Begin,
}

impl Transaction {
    fn end_v1(&self, producer: ProducerIdentity, commit: bool) -> Result<End, ErrorCode> {
        if self.producer.producer_id != producer.producer_id {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        if self.producer.producer_epoch != producer.producer_epoch {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match (self.state, commit) {
            (State::Ongoing, _) => Ok(End::Begin),
            (State::CompleteCommit, true) | (State::CompleteAbort, false) => Ok(End::Done),
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            _ => Err(ErrorCode::INVALID_TXN_STATE),
        }
    }

    /// Under version 2 the epoch tells a retry (one behind) from the end of the next transaction (the same).
    fn end_v2(&self, producer: ProducerIdentity, commit: bool) -> Result<End, ErrorCode> {
        let (epoch, current) = (producer.producer_epoch, self.producer.producer_epoch);
        let is_overflow_retry =
            self.previous_producer_id == producer.producer_id && epoch == i16::MAX - 1 && current == 0;
        let is_bump_retry = i32::from(current) == i32::from(epoch) + 1;
        let is_retry = is_bump_retry || is_overflow_retry;
        if self.producer.producer_id != producer.producer_id && !is_overflow_retry {
            return Err(ErrorCode::INVALID_PRODUCER_ID_MAPPING);
        }
        let is_valid = match self.state {
            State::Empty | State::Ongoing => epoch == current,
            State::PrepareCommit | State::PrepareAbort => is_bump_retry,
            State::CompleteCommit | State::CompleteAbort => is_retry || epoch == current,
        };
        if !is_valid {
            return Err(ErrorCode::PRODUCER_FENCED);
        }
        match (self.state, commit) {
            (State::Ongoing, _) | (State::Empty, false) => Ok(End::Begin),
            (State::CompleteCommit, true) | (State::CompleteAbort, false) if is_retry => Ok(End::Done),
            (State::CompleteCommit | State::CompleteAbort, false) if !is_retry => Ok(End::Begin),
            (State::PrepareCommit, true) | (State::PrepareAbort, false) => Err(ErrorCode::CONCURRENT_TRANSACTIONS),
            _ => Err(ErrorCode::INVALID_TXN_STATE),
        }
    }
}
