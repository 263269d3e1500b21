//! A prepared transaction as a value: any process may commit or abort it, any number of times, with one outcome.

use std::time::Duration;

use crate::cluster::Cluster;
use crate::error::Result;
use crate::types::{ProducerIdentity, TopicPartition, TransactionVersion};

/// All that EndTxn needs, from any process, at any later time. Serialise it with [`encode`](PreparedTransaction::encode).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PreparedTransaction {
    /// The transactional id.
    pub transactional_id: String,
    /// Producer id and epoch it was written with.
    pub producer: ProducerIdentity,
    /// The rules it was written under; decides EndTxn's version.
    pub transaction_version: TransactionVersion,
    /// When it was begun, in wall-clock milliseconds.
    pub started_at_ms: i64,
    /// After how long the broker aborts it, counted from its begin.
    pub timeout: Duration,
    /// How many records it holds, for messages.
    pub record_count: u64,
    /// The partitions it wrote to, for messages.
    pub partitions: Vec<TopicPartition>,
}

impl PreparedTransaction {
    /// The value as bytes, with a version in front.
    pub fn encode(&self) -> Vec<u8> {
        todo!()
    }

    /// Reads what [`encode`](Self::encode) wrote. Fails on damaged bytes or a version of a later release.
    pub fn decode(_bytes: &[u8]) -> Result<Self> {
        todo!()
    }
}

/// How a prepared transaction ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CommitOutcome {
    /// Committed by this call.
    Committed,
    /// It had been committed before.
    AlreadyCommitted,
    /// It is gone: timed out, fenced or aborted. The text says which, with id, partitions and record count.
    Lost(String),
}

/// Commits a prepared transaction. Idempotent: any process may call it again.
///
/// Retries until the coordinator has an answer or `default.api.timeout.ms` has passed; an ambiguous answer (fenced,
/// unknown id) is resolved by DescribeTransactions. EndTxn goes out at the version of the transaction's own rules.
pub async fn commit_prepared(_cluster: &Cluster, _prepared: &PreparedTransaction) -> Result<CommitOutcome> {
    todo!()
}

/// Aborts a prepared transaction. Idempotent. Fails if it was committed.
pub async fn abort_prepared(_cluster: &Cluster, _prepared: &PreparedTransaction) -> Result<()> {
    todo!()
}
