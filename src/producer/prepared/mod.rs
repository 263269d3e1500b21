//! A prepared transaction as a value: any process may commit or abort it, any number of times, with one outcome.

mod codec;
mod driver;
mod ending;
#[cfg(test)]
mod tests;

use std::time::Duration;

use crate::error::Result;
use crate::types::{ProducerIdentity, TopicPartition, TransactionVersion};

pub use driver::{abort_prepared, commit_prepared, commit_with_doubt};

/// How many partitions a message names before it only counts them.
const NAMED_PARTITIONS: usize = 8;

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
        codec::encode(self)
    }

    /// Reads what [`encode`](Self::encode) wrote. Fails on damaged bytes or a version of a later release.
    ///
    /// Allocates in proportion to `bytes`, whatever they claim.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        codec::decode(bytes)
    }

    /// Id, producer, size and age against timeout, in words for an error that a person reads at night.
    fn summary(&self, now_ms: i64) -> String {
        let Self { transactional_id, producer, record_count, partitions, .. } = self;
        let named: Vec<_> = partitions.iter().take(NAMED_PARTITIONS).map(TopicPartition::to_string).collect();
        let more = partitions.len().saturating_sub(named.len());
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let age = Duration::from_millis(u64::try_from(now_ms.saturating_sub(self.started_at_ms)).unwrap_or(0));
        let (id, epoch) = (producer.producer_id, producer.producer_epoch);
        format!(
            "transaction {transactional_id} (producer id {id}, epoch {epoch}) with {record_count} records in [{}{more}], \
             begun {age:?} ago with a timeout of {:?}",
            named.join(", "),
            self.timeout
        )
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
