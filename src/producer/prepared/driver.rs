//! Sends EndTxn and DescribeTransactions and waits, as [`Ending`] says, until the deadline.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};

use super::ending::{Described, Ending, Step, Wanted};
use super::{CommitOutcome, PreparedTransaction};
use crate::cluster::{Call, Cluster, CoordinatorKind, Lane, Target, Verdict, backoff, describe_transaction};
use crate::connection::deadline_in;
use crate::error::{ErrorCode, Result};
use crate::types::TransactionVersion;
use crate::wire::StrBytes;
use crate::wire::messages::{DescribeTransactionsRequest, EndTxnRequest, ProducerId, TransactionalId};

/// Commits a prepared transaction. Idempotent: any process may call it again.
///
/// Retries until the coordinator has an answer or `default.api.timeout.ms` has passed; an ambiguous answer (fenced,
/// unknown id) is resolved by DescribeTransactions. EndTxn goes out at the version of the transaction's own rules.
///
/// An error that says `maybe_applied` leaves open whether it is committed; if it is retriable, another call may tell.
/// Dropping the future leaves it open too: call it again. The id must not begin another transaction before: under
/// version 1 nothing tells two transactions of one epoch apart, and the next one would be committed in its place.
pub async fn commit_prepared(cluster: &Cluster, prepared: &PreparedTransaction) -> Result<CommitOutcome> {
    commit_with_doubt(cluster, prepared).await.0
}

/// As [`commit_prepared`]; beside the outcome, whether some EndTxn went unanswered and may still come.
pub async fn commit_with_doubt(cluster: &Cluster, prepared: &PreparedTransaction) -> (Result<CommitOutcome>, bool) {
    let mut ending = Ending::new(prepared, Wanted::Commit);
    let result = end(cluster, prepared, Wanted::Commit, &mut ending).await;
    (result, ending.is_doubtful())
}

/// Aborts a prepared transaction. Idempotent. Fails if it was committed.
///
/// A transaction that is gone already (timed out, fenced) counts as aborted. Otherwise as [`commit_prepared`].
pub async fn abort_prepared(cluster: &Cluster, prepared: &PreparedTransaction) -> Result<()> {
    let mut ending = Ending::new(prepared, Wanted::Abort);
    end(cluster, prepared, Wanted::Abort, &mut ending).await.map(drop)
}

async fn end(
    cluster: &Cluster,
    prepared: &PreparedTransaction,
    wanted: Wanted,
    ending: &mut Ending<'_>,
) -> Result<CommitOutcome> {
    let id = prepared.transactional_id.as_str();
    let deadline = deadline_in(cluster.config().default_api_timeout);
    let mut backoff = backoff(cluster);
    loop {
        let mut step = match end_txn(cluster, prepared, wanted, ending, deadline).await {
            Ok(code) => ending.handle_answer(code),
            Err(error) => ending.handle_unanswered(error),
        };
        if matches!(step, Step::Describe) {
            step = match timeout_at(deadline, describe(cluster, id)).await {
                Ok(Ok(described)) => ending.handle_described(&described, (cluster.environment().wall_clock_ms)()),
                Ok(Err(error)) => ending.handle_undescribed(error),
                Err(_) => return Err(ending.out_of_time()),
            };
        }
        match step {
            Step::Done(done) => return done,
            Step::Again { is_relocated: true } => cluster.forget_coordinator(CoordinatorKind::Transaction, id),
            Step::Again { is_relocated: false } | Step::Describe => {}
        }
        let wait = backoff.next_wait();
        if left(deadline) <= wait {
            return Err(ending.out_of_time());
        }
        sleep(wait).await;
    }
}

/// One EndTxn that was answered, whatever the answer. Retried only while nothing of it can have arrived.
async fn end_txn(
    cluster: &Cluster,
    prepared: &PreparedTransaction,
    wanted: Wanted,
    ending: &Ending<'_>,
    deadline: Instant,
) -> Result<ErrorCode> {
    let id = prepared.transactional_id.as_str();
    let request = EndTxnRequest::default()
        .with_transactional_id(TransactionalId(StrBytes::from_string(id.to_owned())))
        .with_producer_id(ProducerId(prepared.producer.producer_id))
        .with_producer_epoch(prepared.producer.producer_epoch)
        .with_committed(wanted == Wanted::Commit);
    let call = Call {
        operation: ending.operation(),
        target: coordinator(id),
        request: &request,
        max_version: end_txn_version(prepared.transaction_version),
        // A repeated EndTxn does no harm, but what answers the second tells less than what answered the first.
        is_idempotent: false,
        timeout: left(deadline),
        subject: id,
    };
    cluster.call(call, |_| Verdict::Done).await.map(|response| ErrorCode(response.error_code))
}

/// EndTxn v5 is what tells the broker that the transaction's epoch moves on with its end (KIP-890).
fn end_txn_version(version: TransactionVersion) -> i16 {
    match version {
        TransactionVersion::V1 => 4,
        TransactionVersion::V2 => 5,
    }
}

fn coordinator(id: &str) -> Target {
    Target::Coordinator(CoordinatorKind::Transaction, Arc::from(id))
}

async fn describe(cluster: &Cluster, id: &str) -> Result<Described> {
    if let Some(found) = describe_transaction(cluster, id).await? {
        return Ok(Described::As(found));
    }
    let broker = cluster.coordinator(CoordinatorKind::Transaction, id).await?;
    let connection = cluster.connection(broker, Lane::Coordination).await?;
    let can_say = connection.version_of::<DescribeTransactionsRequest>().is_ok();
    Ok(if can_say { Described::Unknown } else { Described::Unsaid })
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}
