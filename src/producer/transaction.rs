//! Transactions as the user holds them: one at a time per producer, prepared, committed or aborted by value.

use std::fmt;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::budget::lock;
use super::driver::Command;
use super::sender::Numbering;
use super::txn::{Contents, End};
use super::{Handle, PreparedTransaction, Topic};
use crate::cluster::Cluster;
use crate::config::ProducerConfig;
use crate::error::{Error, Result};
use crate::types::{OffsetAndMetadata, ProducerIdentity, TopicPartition};

/// Longest transactional id a request can carry.
const MAX_ID_BYTES: usize = i16::MAX as usize;

/// A producer whose records become visible together or not at all.
pub struct TransactionalProducer {
    handle: Arc<Handle>,
    id: Arc<str>,
}

impl TransactionalProducer {
    /// Gets the producer id of `config.transactional_id`: fences every older producer of it and aborts what it left open.
    ///
    /// Fails with `Reconfigure` where `transaction.timeout.ms` is above the broker's `transaction.max.timeout.ms`,
    /// naming both. Waits up to `max.block.ms`. Safe to drop.
    pub async fn new(cluster: Cluster, config: ProducerConfig) -> Result<TransactionalProducer> {
        config.check(cluster.config())?;
        let id: Arc<str> = match config.transactional_id.as_deref() {
            Some(id) if (1..=MAX_ID_BYTES).contains(&id.len()) => Arc::from(id),
            _ => return Err(Error::invalid("transactional.id", "must be set, to a name of 1 to 32767 bytes")),
        };
        let handle = Handle::start(cluster, config, Numbering::Transactional, 0)?;
        // An empty transaction costs nothing, but there is none without a producer id.
        drop(Open::begin(handle.clone()).await?);
        Ok(TransactionalProducer { handle, id })
    }

    /// Its transactional id.
    pub fn transactional_id(&self) -> &str {
        &self.id
    }

    /// Its producer id and epoch, as of the last transaction that was begun or ended here.
    pub fn identity(&self) -> ProducerIdentity {
        *lock(&self.handle.shared.identity)
    }

    /// Whether an InitProducerId of this producer went unanswered.
    ///
    /// Kafka applies such a request whenever it arrives, also after its repetition was answered, and aborts what is open
    /// then (`TransactionCoordinator`: no epoch is compared while a transaction is ongoing). A commit fails and the
    /// records can be sent again; but what is prepared, and whose source has moved on, would be lost.
    pub fn has_late_init(&self) -> bool {
        self.handle.shared.has_late_init.load(Ordering::Relaxed)
    }

    /// Begins a transaction. Costs no request; a transaction left open by a dropped [`Transaction`] is aborted first.
    ///
    /// Under TV1 an unanswered request of the last transaction re-initialises the producer first (KIP-890). Safe to drop.
    pub async fn begin(&mut self) -> Result<Transaction<'_>> {
        Ok(Transaction { open: Open::begin(self.handle.clone()).await?, producer: PhantomData })
    }

    /// What [`Transaction::prepare`] gave was committed or aborted: the producer may begin again, as after
    /// [`PreparedProducer::ended`].
    pub fn prepared_ended(&mut self) {
        self.end_prepared(true);
    }

    fn end_prepared(&self, is_in_doubt: bool) {
        // The driver handles it before the next begin: both come through one channel.
        let _ = self.handle.commands.send(Command::PreparedEnded { is_in_doubt });
    }

    /// As [`begin`](Self::begin), for callers that must store the open transaction: it owns the producer until its end.
    pub async fn into_transaction(self) -> Result<OwnedTransaction> {
        Ok(OwnedTransaction { open: Open::begin(self.handle.clone()).await?, producer: self })
    }
}

impl fmt::Debug for TransactionalProducer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProducerIdentity { producer_id, producer_epoch } = self.identity();
        write!(f, "TransactionalProducer({}, id {producer_id}, epoch {producer_epoch})", self.id)
    }
}

/// An open transaction; dropping it has the driver abort it.
struct Open {
    handle: Arc<Handle>,
    number: u64,
    is_ending: bool,
}

impl Open {
    async fn begin(handle: Arc<Handle>) -> Result<Open> {
        let number = handle.ask(Command::Begin).await?;
        Ok(Open { handle, number, is_ending: false })
    }

    async fn topic(&self, name: &str) -> Result<Topic> {
        self.handle.topic(name, self.number).await
    }

    async fn send_offsets(&self, group: &str, offsets: &[(TopicPartition, OffsetAndMetadata)]) -> Result<()> {
        if offsets.is_empty() {
            return Ok(());
        }
        if group.is_empty() || group.len() > MAX_ID_BYTES {
            return Err(Error::invalid("group.id", "must be a name of 1 to 32767 bytes"));
        }
        self.handle.ask(|reply| Command::Offsets(group.to_owned(), offsets.to_vec(), reply)).await
    }

    fn started_at_ms(&self) -> Option<i64> {
        Some(self.handle.shared.started_at_ms.load(Ordering::Relaxed)).filter(|ms| *ms != 0)
    }

    /// Ends it. From the first poll on it ends that way even if the wait is dropped.
    async fn end(mut self, end: End) -> Result<Option<Contents>> {
        self.is_ending = true;
        self.handle.ask(|reply| Command::End(end, reply)).await
    }

    /// Beside the value, whether the id needs InitProducerId before its next transaction.
    async fn prepare(self) -> Result<(Option<PreparedTransaction>, bool)> {
        let handle = Arc::clone(&self.handle);
        let contents = self.end(End::Prepare).await?;
        let needs_init = contents.as_ref().is_some_and(|contents| contents.needs_init);
        let prepared = contents.map(|contents| PreparedTransaction {
            transactional_id: handle.config.transactional_id.clone().unwrap_or_default(),
            producer: contents.producer,
            transaction_version: contents.version,
            started_at_ms: handle.shared.started_at_ms.load(Ordering::Relaxed),
            timeout: handle.config.transaction_timeout,
            record_count: contents.record_count,
            partitions: contents.partitions,
        });
        Ok((prepared, needs_init))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if !self.is_ending {
            // A driver that has ended has no transaction either.
            let _ = self.handle.commands.send(Command::Dropped);
        }
    }
}

/// An open transaction. Borrowing its producer, a second one at the same time does not compile. Dropping it aborts it.
pub struct Transaction<'p> {
    open: Open,
    producer: PhantomData<&'p mut TransactionalProducer>,
}

impl Transaction<'_> {
    /// A handle whose records belong to this transaction; it fails once the transaction has ended.
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        self.open.topic(name).await
    }

    /// Adds a group's offsets, so that they are committed with the records (KIP-447).
    ///
    /// A failure fails the transaction: its error says `AbortTransaction`, unless the producer is at its end.
    pub async fn send_offsets(
        &mut self,
        group_id: &str,
        offsets: &[(TopicPartition, OffsetAndMetadata)],
    ) -> Result<()> {
        self.open.send_offsets(group_id, offsets).await
    }

    /// Flushes and commits. An empty transaction costs no request.
    ///
    /// Fails if any record failed: then nothing is committed and the transaction is aborted in the background. An
    /// error that says `maybe_applied` leaves open whether it is committed; the next `begin` settles which.
    /// Once polled, it goes on even if the future is dropped.
    pub async fn commit(self) -> Result<()> {
        self.open.end(End::Commit).await.map(drop)
    }

    /// Drops what is buffered and aborts. Once polled, it goes on even if the future is dropped.
    pub async fn abort(self) -> Result<()> {
        self.open.end(End::Abort).await.map(drop)
    }

    /// Flushes and gives what any process needs to commit or abort it later; `None` if it is empty.
    ///
    /// Until [`TransactionalProducer::prepared_ended`] the producer refuses to begin another.
    pub async fn prepare(self) -> Result<Option<PreparedTransaction>> {
        self.open.prepare().await.map(|(prepared, _)| prepared)
    }
}

impl fmt::Debug for Transaction<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Transaction({})", self.open.number)
    }
}

/// An open transaction that owns its producer. Dropping it aborts the transaction and ends the producer.
pub struct OwnedTransaction {
    open: Open,
    producer: TransactionalProducer,
}

impl OwnedTransaction {
    /// The transactional id of its producer.
    pub fn transactional_id(&self) -> &str {
        self.producer.transactional_id()
    }

    /// As [`TransactionalProducer::has_late_init`].
    pub fn has_late_init(&self) -> bool {
        self.producer.has_late_init()
    }

    /// As [`Transaction::topic`].
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        self.open.topic(name).await
    }

    /// As [`Transaction::send_offsets`].
    pub async fn send_offsets(
        &mut self,
        group_id: &str,
        offsets: &[(TopicPartition, OffsetAndMetadata)],
    ) -> Result<()> {
        self.open.send_offsets(group_id, offsets).await
    }

    /// When the first record or offset of the transaction was added, in wall-clock milliseconds; `None` while it is empty.
    pub fn started_at_ms(&self) -> Option<i64> {
        self.open.started_at_ms()
    }

    /// Flushes and commits; the producer comes back either way. As [`Transaction::commit`].
    pub async fn commit(self) -> (TransactionalProducer, Result<()>) {
        let result = self.open.end(End::Commit).await.map(drop);
        (self.producer, result)
    }

    /// Aborts; the producer comes back either way.
    pub async fn abort(self) -> (TransactionalProducer, Result<()>) {
        let result = self.open.end(End::Abort).await.map(drop);
        (self.producer, result)
    }

    /// Flushes every record (each acknowledged) and parks the producer until the prepared transaction has ended.
    ///
    /// Fails if any record failed; the transaction is then aborted. Dropped before it resolves, the transaction stays
    /// as it is until its timeout, or until the id's next producer: nobody has the prepared value.
    pub async fn prepare(self) -> Result<(PreparedProducer, Option<PreparedTransaction>)> {
        let (prepared, needs_init) = self.open.prepare().await?;
        Ok((PreparedProducer { producer: self.producer, needs_init }, prepared))
    }
}

impl fmt::Debug for OwnedTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OwnedTransaction({}, {:?})", self.open.number, self.producer)
    }
}

/// A producer whose last transaction is prepared and not yet ended: it cannot begin another.
#[derive(Debug)]
pub struct PreparedProducer {
    producer: TransactionalProducer,
    needs_init: bool,
}

impl PreparedProducer {
    /// The prepared transaction was committed or aborted (or there was none): the producer may begin again.
    ///
    /// Under TV2 the next epoch follows from the prepared value (KIP-890). Under TV1 the epoch would stay, and an EndTxn
    /// that was sent twice because the first went unanswered could still come and end the next transaction half way: the
    /// next `begin` re-initialises first. Called too early, the next transaction would end the prepared one or be ended
    /// with it.
    pub fn ended(self) -> TransactionalProducer {
        self.producer.end_prepared(true);
        self.producer
    }

    /// As [`ended`](Self::ended), for whoever knows that every EndTxn of it was answered: under TV1 the epoch stays.
    pub(crate) fn ended_answered(self) -> TransactionalProducer {
        self.producer.end_prepared(false);
        self.producer
    }

    /// Whether the next `begin` sends InitProducerId however the transaction is ended. See
    /// [`TransactionalProducer::has_late_init`] for when that matters.
    pub fn needs_init(&self) -> bool {
        self.needs_init
    }
}
