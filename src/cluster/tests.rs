//! A cluster of scripted brokers over in-memory streams and virtual time: who is asked what, when, and what comes of it.

mod recovery;
mod scene;

use std::sync::Mutex;

use super::*;
use crate::error::ErrorKind;
use crate::wire::messages::{self, ApiKey, InitProducerIdRequest, InitProducerIdResponse, MetadataRequest};
use scene::{
    Line, Question, Reply, abandoned_after, brokers, coordinator, initialised, reply, scene, topic, topics_asked,
};

const SECOND: Duration = Duration::from_secs(1);

/// Asks the coordinator of `txn` for a producer id.
async fn init(cluster: &Cluster, is_idempotent: bool, timeout: Duration) -> Result<InitProducerIdResponse> {
    let coordinator = Target::Coordinator(CoordinatorKind::Transaction, Arc::from("txn"));
    init_at(coordinator, cluster, is_idempotent, timeout).await
}

async fn init_at(
    target: Target,
    cluster: &Cluster,
    is_idempotent: bool,
    timeout: Duration,
) -> Result<InitProducerIdResponse> {
    let call = Call {
        operation: Operation::InitProducerId,
        target,
        request: &InitProducerIdRequest::default(),
        max_version: i16::MAX,
        is_idempotent,
        timeout,
        subject: "txn",
    };
    cluster.call(call, |response| Verdict::of(ErrorCode(response.error_code))).await
}

#[tokio::test(start_paused = true)]
async fn the_first_bootstrap_address_that_answers_teaches_the_brokers() {
    let scene = scene(|_| None);
    scene.refuse("dead:9092");
    let cluster = scene.connect_to(&["dead:9092", "boot:9092"]).await.unwrap();
    let metadata = cluster.metadata();
    assert_eq!(metadata.brokers.keys().copied().collect::<Vec<_>>(), [BrokerId(1), BrokerId(2)]);
    assert_eq!(metadata.controller, Some(BrokerId(1)));
}

#[tokio::test(start_paused = true)]
async fn nobody_at_home_ends_after_ten_seconds_with_the_cause_of_each_address() {
    let scene = scene(|_| None);
    scene.refuse("a:1");
    scene.refuse("b:2");
    let began = Instant::now();
    let error = scene.connect_to(&["a:1", "b:2"]).await.unwrap_err();
    assert!(began.elapsed() <= 10 * SECOND && began.elapsed() > 8 * SECOND, "{:?}", began.elapsed());
    let text = error.to_string();
    assert!(text.contains("connect a:1: ") && text.contains("connect b:2: ") && text.contains("10s"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn what_no_retry_can_mend_ends_at_once() {
    let scene = scene(|_| Some(Reply::Frame(b"HTTP/1.1 400 Bad Request\r\n"[..].into())));
    let began = Instant::now();
    let error = scene.connect_to(&["boot:9092"]).await.unwrap_err();
    assert!(began.elapsed() < SECOND && error.to_string().contains("web server"), "{error}");
    let error = scene.connect_to(&["::1:9092"]).await.unwrap_err();
    assert!(error.to_string().contains("bootstrap.servers"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_does_not_exist_is_named_after_two_seconds() {
    let scene = scene(|q| {
        let unknown = || brokers(&[1, 2]).with_topics(vec![topic("nope", 3)]);
        (q.api == ApiKey::Metadata).then(|| reply::<MetadataRequest>(q, &unknown()))
    });
    let cluster = scene.connect().await;
    let began = Instant::now();
    let error = cluster.topics(&["nope".into()], 60 * SECOND).await.unwrap_err();
    assert!(began.elapsed() >= 2 * SECOND && began.elapsed() < 4 * SECOND, "{:?}", began.elapsed());
    assert_eq!((error.code(), error.is_retriable()), (Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), false));
    assert!(error.to_string().contains("topic nope") && error.to_string().contains("does not exist"), "{error}");
    let error = cluster.topics(&["nope".into()], SECOND).await.unwrap_err();
    assert_eq!(
        error.kind(),
        ErrorKind::Broker(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        "a shorter timeout too: {error}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_was_just_created_is_waited_for_and_then_known() {
    let scene = scene(|q| {
        let code = if q.nth < 3 { 3 } else { 0 };
        let told = || brokers(&[1, 2]).with_topics(vec![topic("new", code)]);
        (q.api == ApiKey::Metadata && q.nth > 0).then(|| reply::<MetadataRequest>(q, &told()))
    });
    let cluster = scene.connect().await;
    let metadata = cluster.topics(&["new".into()], 60 * SECOND).await.unwrap();
    assert_eq!(metadata.partition(&TopicPartition::new("new", 0)).unwrap().leader, Some(BrokerId(1)));
    let asked = scene.count_all(ApiKey::Metadata);
    cluster.topics(&["new".into()], 60 * SECOND).await.unwrap();
    assert_eq!(scene.count_all(ApiKey::Metadata), asked, "what is known is not asked again");
}

#[tokio::test(start_paused = true)]
async fn a_topic_nobody_may_see_fails_at_once() {
    let scene = scene(|q| {
        let told = || brokers(&[1, 2]).with_topics(vec![topic("secret", 29)]);
        (q.api == ApiKey::Metadata).then(|| reply::<MetadataRequest>(q, &told()))
    });
    let error = scene.connect().await.topics(&["secret".into()], 60 * SECOND).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    assert_eq!(scene.count_all(ApiKey::Metadata), 2);
}

#[tokio::test(start_paused = true)]
async fn callers_share_one_attempt_and_its_failure() {
    let scene = scene(|q| (q.address == "kafka-2:9092").then_some(Reply::Silence));
    let cluster = scene.connect().await;
    let (one, two) = (BrokerId(1), BrokerId(2));
    let (a, b) = tokio::join!(cluster.connection(one, Lane::Data), cluster.connection(one, Lane::Data));
    assert!(a.is_ok() && b.is_ok());
    assert_eq!(scene.count("kafka-1:9092", ApiKey::ApiVersions), 1);
    let began = Instant::now();
    let (a, b) = tokio::join!(cluster.connection(two, Lane::Data), cluster.connection(two, Lane::Data));
    assert!(a.is_err() && b.is_err());
    assert_eq!(began.elapsed(), 10 * SECOND, "the second did not wait for an attempt of its own");
    let meanwhile = |line: &&Line| line.1 == "kafka-2:9092" && line.0 < 10 * SECOND;
    assert_eq!(scene.trace.lock().unwrap().iter().filter(meanwhile).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_goes_away_while_dialling_lets_the_next_one_dial() {
    let scene = scene(|q| (q.address == "kafka-1:9092" && q.nth == 1).then_some(Reply::Silence));
    let cluster = scene.connect().await;
    let gone = tokio::time::timeout(SECOND, cluster.connection(BrokerId(1), Lane::Data));
    let (gone, next) = tokio::join!(gone, cluster.connection(BrokerId(1), Lane::Data));
    assert!(gone.is_err() && next.is_ok());
}

#[tokio::test(start_paused = true)]
async fn lanes_have_sockets_of_their_own_and_keep_them() {
    let scene = scene(|_| None);
    let cluster = scene.connect().await;
    for _ in 0..2 {
        for lane in [Lane::Data, Lane::Fetch(1), Lane::Fetch(2), Lane::Coordination] {
            cluster.connection(BrokerId(1), lane).await.unwrap();
        }
    }
    assert_eq!(scene.count("kafka-1:9092", ApiKey::ApiVersions), 4);
    cluster.release(Lane::Fetch(1));
    cluster.connection(BrokerId(1), Lane::Fetch(2)).await.unwrap();
    cluster.connection(BrokerId(1), Lane::Fetch(1)).await.unwrap();
    assert_eq!(scene.count("kafka-1:9092", ApiKey::ApiVersions), 5, "only what was released is opened anew");
}

#[tokio::test(start_paused = true)]
async fn attempts_to_reach_a_broker_are_spaced() {
    let scene = scene(|_| None);
    let cluster = scene.connect().await;
    scene.refuse("kafka-1:9092");
    let mut began = Instant::now();
    for nominal in [0, 50, 100, 200] {
        cluster.connection(BrokerId(1), Lane::Data).await.unwrap_err();
        let waited = u32::try_from(began.elapsed().as_millis()).unwrap();
        assert!(waited >= nominal * 4 / 5 && waited <= nominal * 6 / 5 + 1, "{waited} ms for {nominal} ms");
        began = Instant::now();
    }
    let error = cluster.connection(BrokerId(9), Lane::Data).await.unwrap_err();
    assert!(error.to_string().contains("broker 9") && error.is_retriable(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_that_moved_is_looked_up_again() {
    let scene = scene(|q| match q.api {
        ApiKey::FindCoordinator if q.nth == 0 => Some(coordinator(q, 2, 15)),
        ApiKey::FindCoordinator => Some(coordinator(q, if q.nth == 1 { 2 } else { 1 }, 0)),
        ApiKey::InitProducerId => Some(initialised(q, if q.address == "kafka-2:9092" { 16 } else { 0 })),
        _ => None,
    });
    let cluster = scene.connect().await;
    assert_eq!(init(&cluster, true, 30 * SECOND).await.unwrap().producer_id.0, 7);
    assert_eq!(scene.count_all(ApiKey::FindCoordinator), 3);
    assert_eq!(cluster.coordinator(CoordinatorKind::Transaction, "txn").await.unwrap(), BrokerId(1));
    assert_eq!(scene.count_all(ApiKey::FindCoordinator), 3, "it is remembered");
}

#[tokio::test(start_paused = true)]
async fn a_coordinator_the_metadata_does_not_know_yet_is_reached_by_the_answers_address() {
    let scene = scene(|q| (q.api == ApiKey::FindCoordinator).then(|| coordinator(q, 5, 0)));
    let cluster = scene.connect().await;
    init(&cluster, true, 30 * SECOND).await.unwrap();
    assert_eq!(scene.count("kafka-5:9092", ApiKey::InitProducerId), 1);
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_is_none_any_more_is_looked_up_again() {
    let scene = scene(|q| match q.api {
        ApiKey::Metadata if q.nth > 0 => {
            Some(reply::<MetadataRequest>(q, &brokers(&[1, 2]).with_controller_id(messages::BrokerId(2))))
        }
        ApiKey::InitProducerId if q.address == "kafka-1:9092" => Some(initialised(q, 41)),
        _ => None,
    });
    let cluster = scene.connect().await;
    init_at(Target::Controller, &cluster, true, 30 * SECOND).await.unwrap();
    let at = |address| scene.count(address, ApiKey::InitProducerId);
    assert_eq!((at("kafka-1:9092"), at("kafka-2:9092")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_asked_again_only_if_that_is_safe() {
    let lose_first = |q: &Question<'_>| (q.api == ApiKey::InitProducerId && q.nth == 0).then_some(Reply::Close);
    let safe = scene(lose_first);
    init(&safe.connect().await, true, 30 * SECOND).await.unwrap();
    assert_eq!(safe.count_all(ApiKey::InitProducerId), 2);

    let unsafe_ = scene(lose_first);
    let error = init(&unsafe_.connect().await, false, 30 * SECOND).await.unwrap_err();
    assert_eq!((error.kind(), error.maybe_applied()), (ErrorKind::Network, true));
    assert!(error.to_string().starts_with("init producer id txn"), "{error}");
    assert_eq!(unsafe_.count_all(ApiKey::InitProducerId), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_left_is_tried_again_even_if_it_is_not_idempotent() {
    let scene = scene(|_| None);
    let cluster = scene.connect().await;
    scene.refuse("kafka-2:9092");
    let refused = Arc::clone(&scene.refused);
    let mend = async {
        tokio::time::sleep(3 * SECOND).await;
        refused.lock().unwrap().clear();
    };
    let (done, ()) = tokio::join!(init(&cluster, false, 30 * SECOND), mend);
    done.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_leaves_doubt_at_the_calls_own_deadline() {
    for is_idempotent in [true, false] {
        let scene = scene(|q| (q.api == ApiKey::InitProducerId).then_some(Reply::Silence));
        let cluster = scene.connect().await;
        let began = Instant::now();
        let error = init(&cluster, is_idempotent, 5 * SECOND).await.unwrap_err();
        assert!(began.elapsed() <= 5 * SECOND, "{:?}", began.elapsed());
        assert_eq!((error.kind(), error.maybe_applied()), (ErrorKind::Timeout, true), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn doubt_of_an_earlier_attempt_outlives_a_later_refusal() {
    let scene = scene(|q| match (q.api, q.nth) {
        (ApiKey::InitProducerId, 0) => Some(Reply::Close),
        (ApiKey::InitProducerId, _) => Some(initialised(q, 53)),
        _ => None,
    });
    let error = init(&scene.connect().await, true, 30 * SECOND).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED));
    assert!(error.maybe_applied(), "the first attempt may have done it");
}

#[tokio::test(start_paused = true)]
async fn a_plain_refusal_leaves_no_doubt_and_a_timed_out_broker_does() {
    for (code, maybe_applied) in [(53, false), (-1, true)] {
        let scene = scene(move |q| (q.api == ApiKey::InitProducerId).then(|| initialised(q, code)));
        let error = init(&scene.connect().await, true, 30 * SECOND).await.unwrap_err();
        assert_eq!((error.code(), error.maybe_applied()), (Some(ErrorCode(code)), maybe_applied));
    }
}

#[tokio::test(start_paused = true)]
async fn brokers_that_are_all_gone_are_found_again_through_the_bootstrap_addresses() {
    let scene = scene(|q| {
        let moved = q.api == ApiKey::Metadata && q.nth > 0;
        moved.then(|| reply::<MetadataRequest>(q, &brokers(&[8]).with_topics(vec![topic("t", 0)])))
    });
    let cluster = scene.connect().await;
    scene.refuse("kafka-1:9092");
    scene.refuse("kafka-2:9092");
    let metadata = cluster.topics(&["t".into()], 10 * SECOND).await.unwrap();
    assert_eq!(metadata.brokers.keys().copied().collect::<Vec<_>>(), [BrokerId(8)]);
    cluster.connection(BrokerId(8), Lane::Data).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn brokers_that_accept_and_never_answer_do_not_keep_us_from_the_bootstrap_addresses() {
    let scene = scene(|q| match (q.api, q.address) {
        (ApiKey::Metadata, "boot:9092") => None,
        (ApiKey::Metadata, _) => Some(Reply::Silence),
        _ => None,
    });
    let cluster = scene.connect().await;
    let began = Instant::now();
    cluster.all_topics(60 * SECOND).await.unwrap();
    assert_eq!(began.elapsed(), 40 * SECOND, "a third of 60 s for each broker, then the bootstrap address");
}

#[tokio::test(start_paused = true)]
async fn refreshes_are_made_in_the_background_and_coalesced() {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let scene = scene(move |q| {
        if q.api == ApiKey::Metadata {
            log.lock().unwrap().push(topics_asked(q));
        }
        None
    });
    let cluster = scene.connect().await;
    for topic in ["b", "a", "b"] {
        cluster.refresh(&[topic.into()]);
    }
    let mut changes = cluster.watch();
    changes.changed().await;
    assert_eq!(*asked.lock().unwrap(), [Some(vec![]), Some(vec!["a".to_string(), "b".to_string()])]);
    assert_eq!(cluster.metadata().topic_errors.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn metadata_is_asked_again_at_its_age_and_after_failures() {
    let scene = scene(|q| (q.api == ApiKey::Metadata && q.nth == 1).then_some(Reply::Close));
    let cluster = scene.connect().await;
    tokio::time::sleep(301 * SECOND).await;
    let at = scene.trace.lock().unwrap().iter().filter(|l| l.2 == ApiKey::Metadata).map(|l| l.0).collect::<Vec<_>>();
    assert!(at.len() >= 3 && at[1] >= 300 * SECOND && at[2] <= 301 * SECOND, "{at:?}");
    drop(cluster);
}

#[tokio::test(start_paused = true)]
async fn all_topics_are_listed_but_only_used_ones_are_kept() {
    let scene = scene(|q| {
        let told = || brokers(&[1, 2]).with_topics(vec![topic("a", 0), topic("b", 0)]);
        (q.api == ApiKey::Metadata && topics_asked(q).is_none()).then(|| reply::<MetadataRequest>(q, &told()))
    });
    let cluster = scene.connect().await;
    assert_eq!(cluster.all_topics(SECOND).await.unwrap().topics.len(), 2);
    assert!(cluster.metadata().topics.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_ends_the_task_and_closes_every_connection() {
    let scene = scene(|_| None);
    let cluster = scene.connect().await;
    let connection = cluster.connection(BrokerId(1), Lane::Data).await.unwrap();
    let shared = Arc::downgrade(&cluster.shared);
    cluster.refresh(&[]);
    drop(cluster.clone());
    assert!(shared.upgrade().is_some());
    drop(cluster);
    tokio::task::yield_now().await;
    assert!(shared.upgrade().is_none(), "the background task is gone");
    assert!(!connection.is_closed(), "who holds a connection keeps it");
}

#[tokio::test(start_paused = true)]
async fn one_seed_gives_one_trace() {
    let run = async || {
        let scene = scene(|q| match (q.api, q.nth) {
            (ApiKey::InitProducerId, 0..4) => Some(initialised(q, 51)),
            (ApiKey::Metadata, 3..5) => Some(Reply::Close),
            _ => None,
        });
        let cluster = scene.connect().await;
        init(&cluster, true, 30 * SECOND).await.unwrap();
        for topic in ["a", "b", "c"] {
            cluster.topics(&[topic.into()], 3 * SECOND).await.unwrap_err();
        }
        std::mem::take(&mut *scene.trace.lock().unwrap())
    };
    let first = run().await;
    assert!(first.len() > 20);
    assert_eq!(first, run().await);
}

#[tokio::test(start_paused = true)]
async fn a_caller_may_go_away_at_any_poll_and_the_next_one_succeeds() {
    for polls in 0.. {
        let scene = scene(|q| {
            let told = || brokers(&[1, 2]).with_topics(vec![topic("t", 0)]);
            (q.api == ApiKey::Metadata && q.nth > 0).then(|| reply::<MetadataRequest>(q, &told()))
        });
        let cluster = scene.connect().await;
        let topics = ["t".into()];
        let work = || async {
            cluster.topics(&topics, 30 * SECOND).await.unwrap();
            init(&cluster, true, 30 * SECOND).await.unwrap();
            cluster.connection(BrokerId(1), Lane::Data).await.unwrap()
        };
        let is_done = abandoned_after(polls, work()).await.is_some();
        let connection = work().await;
        assert!(!connection.is_closed(), "after {polls} polls");
        if is_done {
            assert!(polls > 5, "it waited more than once");
            return;
        }
    }
}
