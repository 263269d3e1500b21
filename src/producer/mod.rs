//! Records out: appended on the caller's thread, sent in batches, acknowledged per batch, in order and once.

mod prepared;
mod transaction;

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::cluster::Cluster;
use crate::config::ProducerConfig;
use crate::error::Result;
use crate::record::NewRecord;

pub use prepared::{CommitOutcome, PreparedTransaction, abort_prepared, commit_prepared};
pub use transaction::{OwnedTransaction, PreparedProducer, Transaction, TransactionalProducer};

/// Where an acknowledged record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordMetadata {
    /// The partition it was written to.
    pub partition: i32,
    /// Its offset there; -1 with `acks=0`, where the broker tells none.
    pub offset: i64,
    /// The broker's append time with LogAppendTime, else -1: the record kept its own.
    pub log_append_time_ms: i64,
}

/// A producer: cheap to clone, every clone appends to the same batches.
///
/// Dropping the last clone sends what is buffered in the background; call [`close`](Producer::close) to wait for it.
#[derive(Clone, Debug)]
pub struct Producer {}

impl Producer {
    /// A producer on `cluster`. With idempotence it learns its producer id in the background, before its first batch.
    ///
    /// Fails on contradicting settings. `config.transactional_id` must be `None`; see [`TransactionalProducer`].
    pub fn new(_cluster: Cluster, _config: ProducerConfig) -> Result<Producer> {
        todo!()
    }

    /// A handle to one topic, which keeps the look-up of its name off the hot path.
    ///
    /// Waits for its metadata up to `max.block.ms`; fails if the topic does not exist. Safe to drop.
    pub async fn topic(&self, _name: &str) -> Result<Topic> {
        todo!()
    }

    /// Appends a record and resolves when the broker has acknowledged it.
    ///
    /// An error that says `maybe_applied` may have been written; any other has not. Dropping the future after the
    /// append does not take the record back.
    pub async fn send(&self, topic: &str, record: NewRecord<'_>) -> Result<RecordMetadata> {
        self.enqueue(topic, record).await?.await
    }

    /// Appends a record, waiting only for space, and gives a handle to its delivery.
    pub async fn enqueue(&self, topic: &str, record: NewRecord<'_>) -> Result<Delivery> {
        self.topic(topic).await?.enqueue(record).await
    }

    /// Resolves when every record appended before the call has been acknowledged or has failed.
    ///
    /// Fails with the first failure of any record since the last flush, so that a caller who drops his handles still
    /// learns of every loss.
    pub async fn flush(&self) -> Result<()> {
        todo!()
    }

    /// Flushes, then refuses further records.
    pub async fn close(self) -> Result<()> {
        todo!()
    }
}

/// A handle to one topic of one producer.
#[derive(Clone, Debug)]
pub struct Topic {}

impl Topic {
    /// The topic's name.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// How many partitions it has, as far as is known now.
    pub fn partition_count(&self) -> i32 {
        todo!()
    }

    /// Appends a record, waiting for space if there is none (up to `max.block.ms`).
    ///
    /// Costs one copy of the record; no allocation, clock or channel per record. Fails without effect on a record too
    /// large for one request, a partition that does not exist, or a closed producer.
    pub async fn enqueue(&self, _record: NewRecord<'_>) -> Result<Delivery> {
        todo!()
    }

    /// As [`enqueue`](Topic::enqueue), but gives `None` where that would wait for space.
    pub fn try_enqueue(&self, _record: NewRecord<'_>) -> Result<Option<Delivery>> {
        todo!()
    }

    /// Resolves when `bytes` of space were free at one moment: after `try_enqueue` gave `None`.
    pub fn poll_ready(&self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        todo!()
    }
}

/// A record's delivery: its batch and its place in it. Dropping it does not take the record back.
#[derive(Clone, Debug)]
pub struct Delivery {}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    fn poll(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<Self::Output> {
        todo!()
    }
}
