//! Prepared transactions on the in-memory broker, where every answer to EndTxn can be lost.

use std::sync::Arc;
use std::time::Duration;

use milena::broker::{Control, CoordinatorKind, MemoryCluster, Settings, Verdict};
use milena::config::ClientConfig;
use milena::connection::{BoxFuture, Dial, Environment, Stream};
use milena::producer::CommitOutcome;
use milena::wire::messages::{ApiKey, DescribeTransactionsRequest, EndTxnRequest};
use milena::{Client, ErrorCode, TransactionVersion};
use tokio::time::Instant;

#[path = "prepared/stories.rs"]
mod stories;

use stories::{Teller, lost};

const MINUTE: Duration = Duration::from_secs(60);
const BOTH: [TransactionVersion; 2] = [TransactionVersion::V1, TransactionVersion::V2];

struct MemoryDial(MemoryCluster);

impl Dial for MemoryDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.0.connect(host, port)?) as Box<dyn Stream>) })
    }
}

fn settings(version: TransactionVersion) -> Settings {
    let level = if version == TransactionVersion::V1 { 1 } else { 2 };
    Settings::default().with_brokers(2).with_transaction_version(level)
}

async fn client(kafka: &MemoryCluster) -> Client {
    let dial = Arc::new(MemoryDial(kafka.clone()));
    let environment = Environment { dial, wall_clock_ms: Arc::new(|| 1_700_000_000_000), seed: 7 };
    let config = ClientConfig { bootstrap_servers: vec![kafka.bootstrap()], ..ClientConfig::default() };
    Client::with_environment(config, environment).await.unwrap()
}

/// A cluster and a client of it, and a transaction of one record.
async fn scene(version: TransactionVersion) -> (MemoryCluster, Teller) {
    let kafka = MemoryCluster::start(settings(version));
    let teller = Teller::new(&client(&kafka).await, "txn", version).await;
    (kafka, teller)
}

/// The next `count` EndTxn meet this verdict.
fn meet(kafka: &MemoryCluster, count: usize, verdict: Verdict) {
    let mut left = count;
    kafka.control(Control::Intercept(Some(Box::new(move |request| {
        if left == 0 || !request.is::<EndTxnRequest>() {
            return Verdict::Pass;
        }
        left -= 1;
        verdict
    }))));
}

#[tokio::test(start_paused = true)]
async fn every_story_ends_as_on_real_kafka() {
    for version in BOTH {
        let kafka = MemoryCluster::start(settings(version));
        stories::all(&client(&kafka).await, &client(&kafka).await, "memory", version).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_was_lost_is_found_done() {
    for version in BOTH {
        for verdict in [Verdict::CloseAfter, Verdict::CloseBefore, Verdict::Drop] {
            let (kafka, teller) = scene(version).await;
            let prepared = teller.prepared(10 * MINUTE).await;
            meet(&kafka, 1, verdict);
            let outcome = teller.client.commit_prepared(&prepared).await.unwrap();
            assert_eq!(outcome, CommitOutcome::Committed, "{verdict:?} under {version:?}");
            assert_eq!(teller.settled().await.0, "CompleteCommit");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn answers_that_may_pass_are_outlived() {
    for code in [
        ErrorCode::CONCURRENT_TRANSACTIONS,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::UNKNOWN_SERVER_ERROR,
    ] {
        let (kafka, teller) = scene(TransactionVersion::V2).await;
        let prepared = teller.prepared(MINUTE).await;
        meet(&kafka, 3, Verdict::Error(code));
        assert_eq!(teller.client.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed, "{code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_moved_is_found() {
    let (kafka, teller) = scene(TransactionVersion::V2).await;
    let prepared = teller.prepared(MINUTE).await;
    for broker in [1, 2, 1] {
        kafka.control(Control::MoveCoordinator(CoordinatorKind::Transaction, teller.id.clone(), broker));
        assert_eq!(teller.client.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_that_never_hears_ends_in_time_and_admits_that_it_may_be_done() {
    let (kafka, teller) = scene(TransactionVersion::V2).await;
    let prepared = teller.prepared(10 * MINUTE).await;
    for (verdict, maybe_applied) in [
        (Verdict::Drop, true),
        (Verdict::Error(ErrorCode::COORDINATOR_NOT_AVAILABLE), true),
        (Verdict::Error(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS), false),
    ] {
        meet(&kafka, usize::MAX, verdict);
        let began = Instant::now();
        let error = teller.client.commit_prepared(&prepared).await.unwrap_err();
        assert!(began.elapsed() <= MINUTE, "{verdict:?}: {:?}", began.elapsed());
        assert_eq!((error.is_retriable(), error.maybe_applied()), (true, maybe_applied), "{verdict:?}: {error}");
    }
    meet(&kafka, 0, Verdict::Pass);
    assert_eq!(teller.client.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed);
}

#[tokio::test(start_paused = true)]
async fn after_an_unheard_answer_a_fenced_transaction_is_not_called_lost() {
    let (kafka, teller) = scene(TransactionVersion::V1).await;
    let prepared = teller.prepared(MINUTE).await;
    teller.init(MINUTE).await;
    meet(&kafka, 1, Verdict::CloseBefore);
    let error = teller.client.commit_prepared(&prepared).await.unwrap_err();
    assert!(error.maybe_applied() && !error.is_retriable(), "{error}");
    assert!(error.to_string().contains("cannot be told"), "{error}");
    lost(teller.client.commit_prepared(&prepared).await);
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_cannot_describe_leaves_it_unknown() {
    let mut old = settings(TransactionVersion::V1);
    old.api_versions.retain(|range| range.key != ApiKey::DescribeTransactions as i16);
    let kafka = MemoryCluster::start(old);
    let teller = Teller::new(&client(&kafka).await, "txn", TransactionVersion::V1).await;
    let prepared = teller.prepared(MINUTE).await;
    teller.init(MINUTE).await;
    let error = teller.client.commit_prepared(&prepared).await.unwrap_err();
    assert!(error.maybe_applied() && error.to_string().contains("too old to describe"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_description_that_never_comes_does_not_hold_the_call() {
    let (kafka, teller) = scene(TransactionVersion::V2).await;
    let prepared = teller.prepared(MINUTE).await;
    teller.init(MINUTE).await;
    kafka.control(Control::Intercept(Some(Box::new(|request| {
        if request.is::<DescribeTransactionsRequest>() { Verdict::Drop } else { Verdict::Pass }
    }))));
    let began = Instant::now();
    let error = teller.client.commit_prepared(&prepared).await.unwrap_err();
    assert!(began.elapsed() <= MINUTE && error.is_retriable(), "{:?}: {error}", began.elapsed());
}
