//! What a transaction coordinator says of one transactional id (KIP-664).

use std::sync::Arc;
use std::time::Duration;

use crate::cluster::{Call, Cluster, CoordinatorKind, Target, Verdict};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{ProducerIdentity, TopicPartition};
use crate::wire::StrBytes;
use crate::wire::messages::describe_transactions_response::TransactionState;
use crate::wire::messages::{DescribeTransactionsRequest, TransactionalId};

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

/// Describes a transactional id, or `None` if its coordinator does not know it (or is too old to say: before 3.0).
///
/// Retries while the coordinator moves or loads, up to `default.api.timeout.ms`. Safe to drop.
pub async fn describe_transaction(cluster: &Cluster, transactional_id: &str) -> Result<Option<TransactionDescription>> {
    let id = TransactionalId(StrBytes::from_string(transactional_id.to_owned()));
    let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![id]);
    let call = Call {
        operation: Operation::Admin,
        target: Target::Coordinator(CoordinatorKind::Transaction, Arc::from(transactional_id)),
        request: &request,
        max_version: i16::MAX,
        is_idempotent: true,
        timeout: cluster.config().default_api_timeout,
        subject: transactional_id,
    };
    let answered = cluster.call(call, |response| match response.transaction_states.first() {
        Some(state) if state.error_code == ErrorCode::TRANSACTIONAL_ID_NOT_FOUND.0 => Verdict::Done,
        Some(state) => Verdict::of(ErrorCode(state.error_code)),
        None => Verdict::Done,
    });
    match answered.await {
        Ok(response) => match response.transaction_states.first() {
            Some(state) if state.error_code == ErrorCode::TRANSACTIONAL_ID_NOT_FOUND.0 => Ok(None),
            Some(state) => Ok(Some(description(state))),
            None => {
                Err(Error::new(Operation::Admin, ErrorKind::Protocol, transactional_id, "an answer without states"))
            }
        },
        Err(error) if error.kind() == ErrorKind::Unsupported => Ok(None),
        Err(error) => Err(error),
    }
}

fn description(state: &TransactionState) -> TransactionDescription {
    let partitions = state.topics.iter().flat_map(|topic| {
        let name: Arc<str> = Arc::from(topic.topic.0.as_str());
        topic.partitions.iter().map(move |p| TopicPartition { topic: name.clone(), partition: *p })
    });
    TransactionDescription {
        transactional_id: state.transactional_id.0.to_string(),
        state: state.transaction_state.to_string(),
        producer: ProducerIdentity { producer_id: state.producer_id.0, producer_epoch: state.producer_epoch },
        timeout: Duration::from_millis(u64::try_from(state.transaction_timeout_ms).unwrap_or(0)),
        started_at_ms: state.transaction_start_time_ms,
        partitions: partitions.collect(),
    }
}
