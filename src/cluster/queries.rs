//! Questions that several roles ask the cluster: offsets of partitions, offsets of groups, states of transactions.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Cluster;
use crate::error::Result;
use crate::types::{IsolationLevel, OffsetAndMetadata, Position, ProducerIdentity, TopicPartition};

/// A transactional id as its coordinator describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionDescription {
    /// The id.
    pub transactional_id: String,
    /// The coordinator's word for its state: `Empty`, `Ongoing`, `PrepareCommit`, `CompleteCommit`, ...
    pub state: String,
    /// Its producer id and epoch now.
    pub producer: ProducerIdentity,
    /// Its timeout.
    pub timeout: Duration,
    /// When the open transaction began, wall-clock milliseconds; -1 if none is open.
    pub started_at_ms: i64,
    /// Partitions of the open transaction.
    pub partitions: Vec<TopicPartition>,
}

/// Looks offsets up for many partitions: grouped by leader, retried while leaders move. `Committed` is not allowed here.
pub async fn list_offsets(
    _cluster: &Cluster,
    _isolation: IsolationLevel,
    _partitions: &[(TopicPartition, Position)],
) -> Result<BTreeMap<TopicPartition, i64>> {
    todo!()
}

/// A group's committed offsets, as [`Consumer::committed`].
pub async fn committed_offsets(
    _cluster: &Cluster,
    _group_id: &str,
    _partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>> {
    todo!()
}

/// Commits a group's offsets, as [`Consumer::commit`].
pub async fn commit_offsets(
    _cluster: &Cluster,
    _group_id: &str,
    _offsets: &[(TopicPartition, OffsetAndMetadata)],
) -> Result<()> {
    todo!()
}

/// Describes a transactional id, or `None` if its coordinator does not know it (or is too old to say: before 3.0).
pub async fn describe_transaction(
    _cluster: &Cluster,
    _transactional_id: &str,
) -> Result<Option<TransactionDescription>> {
    todo!()
}
