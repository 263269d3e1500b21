//! Coordinators at work in the cluster: where they are, which markers they write, what a transaction adds to itself.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::api::Call;
use super::core::{Core, Timer};
use super::txn::{Marker, Next, State};
use crate::error::ErrorCode;
use crate::types::{TopicPartition, TransactionVersion};
use crate::wire::batch::Batch;
use crate::wire::messages::TransactionalId;

/// The topic that stands for groups' offsets in a transaction's list of partitions.
pub(super) const OFFSETS_TOPIC: &str = "__consumer_offsets";
const OFFSETS_PARTITIONS: i32 = 50;
const LEADERLESS_RETRY: Duration = Duration::from_millis(100);

/// Which kind of coordinator a key belongs to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum CoordinatorKind {
    /// Of a consumer group.
    Group,
    /// Of a transactional id.
    Transaction,
}

/// Coordinators that are not where their key's hash puts them, or not ready.
#[derive(Default, Debug)]
pub(super) struct Coordinators {
    pub(super) moved: BTreeMap<(CoordinatorKind, String), i32>,
    pub(super) loading: BTreeMap<(CoordinatorKind, String), Instant>,
}

/// The partition of the offsets topic that holds a group, by Java's hash of its name.
pub(super) fn offsets_partition(group: &str) -> TopicPartition {
    TopicPartition::new(OFFSETS_TOPIC, java_hash(group) % OFFSETS_PARTITIONS)
}

/// `String.hashCode` made positive as Kafka does it.
fn java_hash(text: &str) -> i32 {
    text.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit))) & i32::MAX
}

impl Core {
    /// The broker that coordinates `key`; kind 0 is a group, 1 a transactional id.
    pub(super) fn coordinator(&self, kind: i8, key: &str) -> Option<i32> {
        let kind = match kind {
            0 => CoordinatorKind::Group,
            1 => CoordinatorKind::Transaction,
            _ => return None,
        };
        let alive = self.alive();
        let moved = self.coordinators.moved.get(&(kind, key.to_owned())).copied();
        if let Some(broker) = moved.filter(|broker| alive.contains(broker)) {
            return Some(broker);
        }
        let ids: Vec<i32> = self.nodes.keys().copied().collect();
        let first = usize::try_from(java_hash(key) % OFFSETS_PARTITIONS).unwrap_or(0);
        let in_turn = (0..ids.len()).filter_map(|i| ids.get((first + i) % ids.len()));
        in_turn.copied().find(|broker| alive.contains(broker))
    }

    /// Whether the broker that was asked coordinates `key` and is ready to.
    pub(super) fn check_coordinator(&self, call: &Call, kind: CoordinatorKind, key: &str) -> Result<(), ErrorCode> {
        if self.coordinator(kind as i8, key) != Some(call.broker) {
            return Err(ErrorCode::NOT_COORDINATOR);
        }
        self.check_loaded(kind, key)
    }

    fn check_loaded(&self, kind: CoordinatorKind, key: &str) -> Result<(), ErrorCode> {
        let until = self.coordinators.loading.get(&(kind, key.to_owned()));
        let is_loading = until.is_some_and(|until| *until > self.now);
        if is_loading { Err(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS) } else { Ok(()) }
    }

    /// Sets the timers that follow from a transaction's move.
    pub(super) fn follow(&mut self, transactional_id: &str, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Began { generation, timeout_ms } => {
                let timeout = Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0));
                let transactional_id = transactional_id.to_owned();
                self.after(timeout, Timer::TransactionTimeout { transactional_id, generation });
            }
            Next::Markers { generation, partitions } => {
                for tp in partitions {
                    let delay = self.settings.marker_delay_of(&tp);
                    let transactional_id = transactional_id.to_owned();
                    self.after(delay, Timer::Marker(Marker { transactional_id, generation, tp }));
                }
            }
        }
    }

    /// Aborts and fences a transaction that is still open when its time is over.
    pub(super) fn transaction_expired(&mut self, transactional_id: &str, generation: u64) {
        let Some(transaction) = self.transactions.get(transactional_id) else { return };
        if transaction.generation != generation || transaction.state != State::Ongoing {
            return;
        }
        let next = self.transactions.fence(transactional_id, self.settings.transaction_version());
        self.follow(transactional_id, next);
    }

    /// Writes one marker; a partition without a leader gets it later.
    pub(super) fn write_marker(&mut self, marker: Marker) {
        let now_ms = self.now_ms();
        let Some(transaction) = self.transactions.get(&marker.transactional_id) else { return };
        if transaction.generation != marker.generation {
            return;
        }
        let (producer, version) = (transaction.producer, transaction.version);
        let is_commit = transaction.state == State::PrepareCommit;
        if &*marker.tp.topic == OFFSETS_TOPIC {
            self.groups.end_transaction(producer.producer_id, &marker.tp, is_commit);
        } else if let Some(partition) = self.topics.partition_mut(&marker.tp) {
            if partition.leader == -1 {
                return self.after(LEADERLESS_RETRY, Timer::Marker(marker));
            }
            let epoch = partition.leader_epoch;
            if let Err(code) = partition.log.append_marker(producer, version, is_commit, epoch, now_ms) {
                tracing::debug!(%code, partition = %marker.tp, "a marker was refused");
            }
            self.written(&marker.tp);
        }
        self.transactions.marked(&marker);
    }

    /// Makes sure that a transactional batch belongs to an open transaction (KIP-890).
    ///
    /// From Produce version 12 the partition is added to it; below it must have been added before. `true` says that
    /// the transaction begins on this partition with this batch under version 2.
    pub(super) fn enlist_batch(
        &mut self,
        transactional_id: Option<&TransactionalId>,
        batch: &Batch,
        tp: &TopicPartition,
        version: i16,
    ) -> Result<bool, ErrorCode> {
        let producer = batch.header.producer;
        if !batch.header.is_transactional() {
            return Ok(false);
        }
        let id = transactional_id.ok_or(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED)?;
        if self.topics.partition(tp).is_some_and(|partition| partition.log.producers().has_open(producer)) {
            return Ok(false);
        }
        let rules = if version >= 12 { TransactionVersion::V2 } else { TransactionVersion::V1 };
        if let Some(partition) = self.topics.partition_mut(tp)
            && (rules == TransactionVersion::V2 || self.settings.verify_partitions)
        {
            partition.log.producers_mut().verifying(&batch.header, rules);
        }
        self.enlist(id, producer, tp, rules).map_err(|code| for_clients(code, rules, version >= 11))?;
        Ok(rules == TransactionVersion::V2)
    }

    /// Adds a partition to a transaction (version 2) or checks that it is in it (version 1).
    pub(super) fn enlist(
        &mut self,
        id: &str,
        producer: crate::types::ProducerIdentity,
        tp: &TopicPartition,
        rules: TransactionVersion,
    ) -> Result<(), ErrorCode> {
        if rules == TransactionVersion::V1 && !self.settings.verify_partitions {
            return Ok(());
        }
        self.check_loaded(CoordinatorKind::Transaction, id)?;
        if rules == TransactionVersion::V1 {
            return self.transactions.verify(id, producer, tp);
        }
        let now_ms = self.now_ms();
        let next = self.transactions.add(id, producer, [tp.clone()], now_ms)?;
        self.follow(id, next);
        Ok(())
    }
}

/// What a leader tells a client of its coordinator's refusal, so that older clients retry what can be retried.
pub(super) fn for_clients(code: ErrorCode, rules: TransactionVersion, knows_abortable: bool) -> ErrorCode {
    match code {
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS | ErrorCode::COORDINATOR_NOT_AVAILABLE => {
            ErrorCode::NOT_ENOUGH_REPLICAS
        }
        ErrorCode::CONCURRENT_TRANSACTIONS if rules == TransactionVersion::V1 => ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::PRODUCER_FENCED => ErrorCode::INVALID_PRODUCER_EPOCH,
        ErrorCode::TRANSACTION_ABORTABLE if !knows_abortable => ErrorCode::INVALID_TXN_STATE,
        other => other,
    }
}
