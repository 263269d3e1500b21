//! Transactions as the user holds them: one at a time per producer, prepared, committed or aborted by value.

use std::marker::PhantomData;

use super::{PreparedTransaction, Topic};
use crate::cluster::Cluster;
use crate::config::ProducerConfig;
use crate::error::Result;
use crate::types::{OffsetAndMetadata, ProducerIdentity, TopicPartition};

/// A producer whose records become visible together or not at all.
#[derive(Debug)]
pub struct TransactionalProducer {}

impl TransactionalProducer {
    /// Gets the producer id of `config.transactional_id`: fences every older producer of it and aborts what it left open.
    ///
    /// Fails with `Reconfigure` where `transaction.timeout.ms` is above the broker's `transaction.max.timeout.ms`,
    /// naming both. Safe to drop.
    pub async fn new(_cluster: Cluster, _config: ProducerConfig) -> Result<TransactionalProducer> {
        todo!()
    }

    /// Its transactional id.
    pub fn transactional_id(&self) -> &str {
        todo!()
    }

    /// Its producer id and epoch.
    pub fn identity(&self) -> ProducerIdentity {
        todo!()
    }

    /// Begins a transaction. Costs no request; a transaction left open by a dropped [`Transaction`] is aborted first.
    ///
    /// Under TV1 an unanswered request of the last transaction re-initialises the producer first (KIP-890).
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        todo!()
    }

    /// As [`begin`](Self::begin), for callers that must store the open transaction: it owns the producer until its end.
    pub async fn into_transaction(self) -> Result<OwnedTransaction> {
        todo!()
    }
}

/// An open transaction. Borrowing its producer, a second one at the same time does not compile. Dropping it aborts it.
#[derive(Debug)]
pub struct Transaction<'p> {
    _producer: PhantomData<&'p mut TransactionalProducer>,
}

impl Transaction<'_> {
    /// A handle whose records belong to this transaction; it fails once the transaction has ended.
    pub async fn topic(&self, _name: &str) -> Result<Topic> {
        todo!()
    }

    /// Adds a group's offsets, so that they are committed with the records (KIP-447).
    pub async fn send_offsets(
        &mut self,
        _group_id: &str,
        _offsets: &[(TopicPartition, OffsetAndMetadata)],
    ) -> Result<()> {
        todo!()
    }

    /// Flushes and commits. An empty transaction costs no request.
    pub async fn commit(self) -> Result<()> {
        todo!()
    }

    /// Drops what is buffered and aborts.
    pub async fn abort(self) -> Result<()> {
        todo!()
    }

    /// Flushes and gives what any process needs to commit or abort it later; `None` if it is empty.
    pub async fn prepare(self) -> Result<Option<PreparedTransaction>> {
        todo!()
    }
}

/// An open transaction that owns its producer.
#[derive(Debug)]
pub struct OwnedTransaction {}

impl OwnedTransaction {
    /// As [`Transaction::topic`].
    pub async fn topic(&self, _name: &str) -> Result<Topic> {
        todo!()
    }

    /// As [`Transaction::send_offsets`].
    pub async fn send_offsets(
        &mut self,
        _group_id: &str,
        _offsets: &[(TopicPartition, OffsetAndMetadata)],
    ) -> Result<()> {
        todo!()
    }

    /// When the first record or offset of the transaction was added, in wall-clock milliseconds; `None` while it is empty.
    pub fn started_at_ms(&self) -> Option<i64> {
        todo!()
    }

    /// Flushes and commits; the producer comes back either way.
    pub async fn commit(self) -> (TransactionalProducer, Result<()>) {
        todo!()
    }

    /// Aborts; the producer comes back either way.
    pub async fn abort(self) -> (TransactionalProducer, Result<()>) {
        todo!()
    }

    /// Flushes every record (each acknowledged) and parks the producer until the prepared transaction has ended.
    pub async fn prepare(self) -> Result<(PreparedProducer, Option<PreparedTransaction>)> {
        todo!()
    }
}

/// A producer whose last transaction is prepared and not yet ended: it cannot begin another.
#[derive(Debug)]
pub struct PreparedProducer {}

impl PreparedProducer {
    /// The prepared transaction was committed or aborted (or there was none): the producer may begin again.
    ///
    /// The next epoch follows from the prepared value (KIP-890); where it does not, the producer re-initialises at its
    /// next `begin`.
    pub fn ended(self) -> TransactionalProducer {
        todo!()
    }
}
