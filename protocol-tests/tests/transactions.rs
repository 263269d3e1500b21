//! Transactions against the in-memory broker in virtual time, under both versions of the rules: all or nothing.

mod producing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena::broker::{Control, Seen, Settings, Verdict};
use milena::config::ProducerConfig;
use milena::producer::{CommitOutcome, PreparedTransaction, TransactionalProducer};
use milena::wire::Request;
use milena::wire::messages::{
    AddPartitionsToTxnRequest, EndTxnRequest, FindCoordinatorRequest, InitProducerIdRequest, ProduceRequest,
    TxnOffsetCommitRequest,
};
use milena::{ErrorCode, NewRecord, OffsetAndMetadata, Recovery, Result, TopicPartition};
use producing::{Scene, numbers};

const SECOND: Duration = Duration::from_secs(1);

async fn scene(level: i16) -> Scene {
    Scene::with(Settings::default().with_brokers(3).with_transaction_version(level)).await
}

fn config(id: &str) -> ProducerConfig {
    ProducerConfig { transactional_id: Some(id.into()), ..ProducerConfig::default() }
}

async fn producer(scene: &Scene, id: &str) -> TransactionalProducer {
    scene.client.transactional_producer(config(id)).await.unwrap()
}

/// Writes the numbers of `range` to the three partitions in turn.
async fn write(topic: &milena::producer::Topic, range: std::ops::Range<u64>) -> Result<()> {
    for n in range {
        let record =
            NewRecord { partition: Some((n % 3) as i32), value: Some(&n.to_be_bytes()), ..NewRecord::default() };
        topic.enqueue(record).await?;
    }
    Ok(())
}

/// What a read_committed reader sees once the markers are written.
async fn visible(scene: &Scene) -> Vec<u64> {
    tokio::time::sleep(SECOND).await;
    let mut all = Vec::new();
    for partition in 0..3 {
        all.extend(numbers(&scene.read_all("t", partition).await));
    }
    all.sort_unstable();
    all
}

/// Counts requests of one API from here on.
fn count<Q: Request>(scene: &Scene) -> Arc<AtomicU32> {
    let count = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&count);
    scene.kafka.control(Control::Tap(Some(Box::new(move |what| {
        if let Seen::Request(request) = what
            && request.is::<Q>()
        {
            seen.fetch_add(1, Ordering::Relaxed);
        }
    }))));
    count
}

/// Gives the next request of one API this verdict, and every other its way.
fn once<Q: Request>(scene: &Scene, verdict: Verdict) {
    let mut is_first = true;
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        match request.is::<Q>() && std::mem::take(&mut is_first) {
            true => verdict,
            false => Verdict::Pass,
        }
    }))));
}

#[tokio::test(start_paused = true)]
async fn committed_records_are_visible_aborted_ones_never() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        for round in 0..6 {
            let transaction = producer.begin().await.unwrap();
            let topic = transaction.topic("t").await.unwrap();
            write(&topic, round * 30..round * 30 + 30).await.unwrap();
            if round % 2 == 0 {
                transaction.commit().await.unwrap()
            } else {
                transaction.abort().await.unwrap()
            }
            let error = topic.enqueue(NewRecord::value(b"late")).await.unwrap_err();
            assert!(!error.maybe_applied(), "{error}");
        }
        let expected: Vec<u64> = (0..180).filter(|n| n / 30 % 2 == 0).collect();
        assert_eq!(visible(&scene).await, expected, "transaction.version {level}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_epoch_moves_with_each_transaction_under_version_two_only() {
    for (level, moves) in [(1, 0), (2, 1)] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let before = producer.identity();
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        transaction.commit().await.unwrap();
        let after = producer.identity();
        assert_eq!(after.producer_id, before.producer_id);
        assert_eq!(after.producer_epoch, before.producer_epoch + moves);
    }
}

#[tokio::test(start_paused = true)]
async fn an_empty_transaction_costs_no_request() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let ends = count::<EndTxnRequest>(&scene);
        for _ in 0..3 {
            producer.begin().await.unwrap().commit().await.unwrap();
            producer.begin().await.unwrap().abort().await.unwrap();
            assert!(producer.begin().await.unwrap().prepare().await.unwrap().is_none());
            drop(producer.begin().await.unwrap());
        }
        assert_eq!(ends.load(Ordering::Relaxed), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dropped_transaction_is_aborted_before_the_next_begins() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let transaction = producer.begin().await.unwrap();
        let topic = transaction.topic("t").await.unwrap();
        write(&topic, 0..30).await.unwrap();
        tokio::time::sleep(SECOND).await;
        write(&topic, 30..40).await.unwrap();
        drop(transaction);
        let transaction = producer.begin().await.unwrap();
        assert!(write(&topic, 40..41).await.is_err(), "a handle of the last transaction");
        write(&transaction.topic("t").await.unwrap(), 50..53).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(visible(&scene).await, [50, 51, 52]);
    }
}

#[tokio::test(start_paused = true)]
async fn offsets_are_committed_with_the_records_or_not_at_all() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let tp = TopicPartition::new("t", 0);
        for (offset, commits) in [(5, true), (9, false)] {
            let mut transaction = producer.begin().await.unwrap();
            let position = OffsetAndMetadata { offset, leader_epoch: -1, metadata: "m".into() };
            transaction.send_offsets("g", &[(tp.clone(), position)]).await.unwrap();
            if commits {
                transaction.commit().await.unwrap()
            } else {
                transaction.abort().await.unwrap()
            }
            tokio::time::sleep(SECOND).await;
            let found =
                milena::cluster::committed_offsets(scene.client.cluster(), "g", std::slice::from_ref(&tp)).await;
            assert_eq!(found.unwrap()[&tp].offset, 5);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_client_commits_what_was_prepared_and_the_producer_goes_on() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let other = producing::client(&scene.kafka).await;
        let mut producer = producer(&scene, "a").await;
        for round in 0..3 {
            let transaction = producer.into_transaction().await.unwrap();
            assert_eq!(transaction.started_at_ms(), None);
            write(&transaction.topic("t").await.unwrap(), round * 30..round * 30 + 30).await.unwrap();
            assert_eq!(transaction.started_at_ms(), Some(1_700_000_000_000));
            let (parked, prepared) = transaction.prepare().await.unwrap();
            let prepared = PreparedTransaction::decode(&prepared.unwrap().encode()).unwrap();
            assert_eq!((prepared.record_count, prepared.partitions.len()), (30, 3));
            if round == 1 {
                other.abort_prepared(&prepared).await.unwrap();
            } else {
                assert_eq!(other.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed);
            }
            producer = parked.ended();
        }
        let expected: Vec<u64> = (0..90).filter(|n| n / 30 != 1).collect();
        assert_eq!(visible(&scene).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_prepared_transaction_keeps_the_next_from_beginning() {
    let scene = scene(2).await;
    let mut producer = producer(&scene, "a").await;
    let transaction = producer.begin().await.unwrap();
    write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
    let prepared = transaction.prepare().await.unwrap().unwrap();
    assert!(producer.begin().await.unwrap_err().to_string().contains("has not ended"));
    scene.client.commit_prepared(&prepared).await.unwrap();
    producer.prepared_ended();
    let transaction = producer.begin().await.unwrap();
    write(&transaction.topic("t").await.unwrap(), 3..6).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(visible(&scene).await, [0, 1, 2, 3, 4, 5]);
}

#[tokio::test(start_paused = true)]
async fn dropping_everything_after_prepare_leaves_the_transaction_to_whoever_has_its_value() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let transaction = producer(&scene, "a").await.into_transaction().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        let prepared = transaction.prepare().await.unwrap().1.unwrap();
        tokio::time::sleep(SECOND).await;
        assert_eq!(scene.client.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed);
        assert_eq!(visible(&scene).await, [0, 1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_producer_of_the_id_fences_the_first_for_good() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut first = producer(&scene, "a").await;
        let transaction = first.begin().await.unwrap();
        let topic = transaction.topic("t").await.unwrap();
        write(&topic, 0..3).await.unwrap();
        tokio::time::sleep(SECOND).await;
        let mut second = producer(&scene, "a").await;
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::Recreate, "{error}");
        let error = first.begin().await.unwrap_err();
        assert_eq!(error.recovery(), Recovery::Recreate, "{error}");
        let produced = count::<ProduceRequest>(&scene);
        assert!(write(&topic, 3..6).await.is_err());
        assert_eq!(produced.load(Ordering::Relaxed), 0, "a fenced producer wrote");
        let transaction = second.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 6..9).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(visible(&scene).await, [6, 7, 8]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_record_keeps_its_transaction_from_being_committed() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        once::<ProduceRequest>(&scene, Verdict::Error(ErrorCode::INVALID_RECORD));
        let transaction = producer.begin().await.unwrap();
        let topic = transaction.topic("t").await.unwrap();
        write(&topic, 0..30).await.unwrap();
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_RECORD));
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 30..33).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(visible(&scene).await, [30, 31, 32]);
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_of_every_kind_end_in_one_outcome() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let mut expected = Vec::new();
        for round in 0..12 {
            let verdict = if round % 2 == 0 { Verdict::CloseAfter } else { Verdict::CloseBefore };
            match round / 2 {
                0 => once::<ProduceRequest>(&scene, verdict),
                1 => once::<EndTxnRequest>(&scene, verdict),
                2 => once::<AddPartitionsToTxnRequest>(&scene, verdict),
                3 => once::<TxnOffsetCommitRequest>(&scene, verdict),
                4 => once::<EndTxnRequest>(&scene, Verdict::Error(ErrorCode::CONCURRENT_TRANSACTIONS)),
                _ => once::<ProduceRequest>(&scene, Verdict::Error(ErrorCode::CONCURRENT_TRANSACTIONS)),
            }
            let mut transaction = producer.begin().await.unwrap();
            write(&transaction.topic("t").await.unwrap(), round * 3..round * 3 + 3).await.unwrap();
            let position = OffsetAndMetadata { offset: round as i64, leader_epoch: -1, metadata: String::new() };
            transaction.send_offsets("g", &[(TopicPartition::new("t", 0), position)]).await.unwrap();
            transaction.commit().await.unwrap();
            expected.extend(round * 3..round * 3 + 3);
        }
        assert_eq!(visible(&scene).await, expected, "transaction.version {level}");
    }
}

/// The user was told that a transaction is aborted whose commit had only lost its answer.
#[tokio::test(start_paused = true)]
async fn a_commit_without_answer_stays_unknown_whatever_keeps_it_from_being_asked_again() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        let mut is_sent = false;
        scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
            if request.is::<EndTxnRequest>() {
                is_sent = true;
                return Verdict::CloseAfter;
            }
            match is_sent && request.is::<FindCoordinatorRequest>() {
                true => Verdict::Error(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED),
                false => Verdict::Pass,
            }
        }))));
        let error = transaction.commit().await.unwrap_err();
        assert!(error.maybe_applied(), "{error}");
        scene.kafka.control(Control::Intercept(None));
        assert_eq!(visible(&scene).await, [0, 1, 2], "transaction.version {level}");
    }
}

/// A coordinator that loses its office after it has appended the decision answers with these codes too.
#[tokio::test(start_paused = true)]
async fn a_coordinator_that_may_have_decided_leaves_the_commit_unknown() {
    for (code, is_unknown) in [
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, true),
        (ErrorCode::NOT_COORDINATOR, true),
        (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, false),
        (ErrorCode::CONCURRENT_TRANSACTIONS, false),
    ] {
        let scene = scene(2).await;
        let mut producer = producer(&scene, "a").await;
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        scene.kafka.control(Control::Intercept(Some(Box::new(move |request| match request.is::<EndTxnRequest>() {
            true => Verdict::Error(code),
            false => Verdict::Pass,
        }))));
        let error = transaction.commit().await.unwrap_err();
        assert_eq!(error.maybe_applied(), is_unknown, "{code}: {error}");
    }
}

#[tokio::test(start_paused = true)]
async fn under_version_one_an_unanswered_request_costs_a_new_epoch_before_the_next_transaction() {
    let scene = scene(1).await;
    let mut producer = producer(&scene, "a").await;
    let epoch = producer.identity().producer_epoch;
    for (n, lossy) in (0u64..).zip([false, true, false]) {
        if lossy {
            once::<ProduceRequest>(&scene, Verdict::CloseAfter);
        }
        let inits = count::<InitProducerIdRequest>(&scene);
        let transaction = producer.begin().await.unwrap();
        assert_eq!(inits.load(Ordering::Relaxed) > 0, n == 2);
        write(&transaction.topic("t").await.unwrap(), n * 3..n * 3 + 3).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_eq!(producer.identity().producer_epoch, epoch + 1);
    assert_eq!(visible(&scene).await, (0..9).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn versions_stay_within_the_rules_of_the_transaction() {
    for (level, most) in [(1, (11, 4)), (2, (12, 5))] {
        let scene = scene(level).await;
        let versions = Arc::new(std::sync::Mutex::new((0, 0)));
        let seen = Arc::clone(&versions);
        scene.kafka.control(Control::Tap(Some(Box::new(move |what| {
            if let Seen::Request(request) = what {
                let mut seen = seen.lock().unwrap();
                seen.0 = if request.is::<ProduceRequest>() { request.header.api_version } else { seen.0 };
                seen.1 = if request.is::<EndTxnRequest>() { request.header.api_version } else { seen.1 };
            }
        }))));
        let mut producer = producer(&scene, "a").await;
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(*versions.lock().unwrap(), most);
    }
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_wait_is_dropped_goes_on() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let mut producer = producer(&scene, "a").await;
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        assert!(tokio::time::timeout(Duration::ZERO, transaction.commit()).await.is_err());
        let transaction = producer.begin().await.unwrap();
        transaction.abort().await.unwrap();
        assert_eq!(visible(&scene).await, [0, 1, 2]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transaction_timeout_above_the_brokers_limit_names_both_settings() {
    let scene = scene(2).await;
    let config = ProducerConfig { transaction_timeout: 3600 * SECOND, ..config("a") };
    let error = scene.client.transactional_producer(config).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    let message = error.to_string();
    assert!(message.contains("transaction.timeout.ms (3600000)"), "{message}");
    assert!(message.contains("transaction.max.timeout.ms (900000)"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_timed_out_is_not_committed() {
    for level in [1, 2] {
        let scene = scene(level).await;
        let config = ProducerConfig { transaction_timeout: 5 * SECOND, ..config("a") };
        let mut producer = scene.client.transactional_producer(config).await.unwrap();
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), 0..3).await.unwrap();
        tokio::time::sleep(30 * SECOND).await;
        let error = transaction.commit().await.unwrap_err();
        assert!(matches!(error.recovery(), Recovery::Recreate | Recovery::AbortTransaction), "{error}");
        assert_eq!(visible(&scene).await, [] as [u64; 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn epochs_used_up_bring_a_new_producer_id_and_lose_nothing() {
    let scene = scene(2).await;
    let mut producer = producer(&scene, "a").await;
    let id = producer.identity().producer_id;
    scene.kafka.control(Control::SetProducerEpoch("a".into(), i16::MAX - 3));
    drop(producer);
    producer = self::producer(&scene, "a").await;
    for n in 0..5 {
        let transaction = producer.begin().await.unwrap();
        write(&transaction.topic("t").await.unwrap(), n * 3..n * 3 + 3).await.unwrap();
        transaction.commit().await.unwrap();
    }
    assert_ne!(producer.identity().producer_id, id);
    assert_eq!(visible(&scene).await, (0..15).collect::<Vec<_>>());
}
