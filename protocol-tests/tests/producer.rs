//! The producer against the in-memory broker in virtual time: acknowledged once, in order, whatever the brokers do.

mod producing;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena::broker::{Control, Verdict};
use milena::config::{Acks, ProducerConfig};
use milena::wire::messages::{InitProducerIdRequest, ProduceRequest};
use milena::{ErrorCode, ErrorKind, NewRecord, Recovery};
use producing::{Scene, numbers};

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn records_are_acknowledged_with_their_places_and_read_back_in_order() {
    let scene = Scene::new(3).await;
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    let topic = producer.topic("t").await.unwrap();
    assert_eq!((topic.name(), topic.partition_count()), ("t", 3));
    let mut deliveries = Vec::new();
    for n in 0..3_000u64 {
        let record =
            NewRecord { partition: Some((n % 3) as i32), value: Some(&n.to_be_bytes()), ..NewRecord::default() };
        deliveries.push(topic.enqueue(record).await.unwrap());
    }
    for (n, delivery) in (0u64..).zip(deliveries) {
        let metadata = delivery.await.unwrap();
        assert_eq!((metadata.partition, metadata.offset), ((n % 3) as i32, (n / 3) as i64));
    }
    for partition in 0..3 {
        let expected: Vec<u64> = (0..3_000).filter(|n| n % 3 == partition).collect();
        assert_eq!(numbers(&scene.read("t", partition as i32, 1_000).await), expected);
    }
    producer.close().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_record_is_acknowledged_after_its_linger_and_no_later() {
    let scene = Scene::new(1).await;
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    producer.send("t", NewRecord::value(b"first")).await.unwrap();
    let began = tokio::time::Instant::now();
    let metadata = producer.send("t", NewRecord::value(b"second")).await.unwrap();
    assert_eq!(metadata.offset, 1);
    assert!((5..50).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn lost_answers_moved_leaders_and_broken_connections_double_and_reorder_nothing() {
    let scene = Scene::new(3).await;
    let count = Arc::new(AtomicU32::new(0));
    let seen = Arc::clone(&count);
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        if !request.is::<ProduceRequest>() {
            return Verdict::Pass;
        }
        match seen.fetch_add(1, Ordering::Relaxed) % 7 {
            1 => Verdict::CloseAfter,
            3 => Verdict::CloseBefore,
            4 => Verdict::Delay(SECOND),
            5 => Verdict::Error(ErrorCode::NOT_LEADER_OR_FOLLOWER),
            6 => Verdict::Error(ErrorCode::NOT_ENOUGH_REPLICAS),
            _ => Verdict::Pass,
        }
    }))));
    let config = ProducerConfig { batch_size: 200, ..ProducerConfig::default() };
    let producer = scene.client.producer(config).unwrap();
    let topic = producer.topic("t").await.unwrap();
    for n in 0..600u64 {
        let record =
            NewRecord { partition: Some((n % 3) as i32), value: Some(&n.to_be_bytes()), ..NewRecord::default() };
        topic.enqueue(record).await.unwrap();
        if n % 50 == 49 {
            scene.move_leader((n % 3) as i32, (n / 50 % 3) as i32 + 1);
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }
    producer.flush().await.unwrap();
    scene.kafka.control(Control::Intercept(None));
    for partition in 0..3 {
        let expected: Vec<u64> = (0..600).filter(|n| n % 3 == partition).collect();
        assert_eq!(numbers(&scene.read("t", partition as i32, 200).await), expected);
    }
    assert!(count.load(Ordering::Relaxed) > 30);
}

#[tokio::test(start_paused = true)]
async fn enqueue_waits_for_space_and_every_record_arrives() {
    let scene = Scene::new(1).await;
    let config = ProducerConfig { buffer_memory: 64 << 10, linger: SECOND, ..ProducerConfig::default() };
    let producer = scene.client.producer(config).unwrap();
    let topic = producer.topic("t").await.unwrap();
    let value = vec![7; 1_000];
    for _ in 0..1_000 {
        topic.enqueue(NewRecord::value(&value)).await.unwrap();
    }
    producer.flush().await.unwrap();
    assert_eq!(scene.read("t", 0, 1_000).await.len(), 1_000);
}

#[tokio::test(start_paused = true)]
async fn try_enqueue_gives_none_when_full_and_poll_ready_says_when_to_go_on() {
    let scene = Scene::new(1).await;
    scene.kafka.control(Control::Intercept(Some(Box::new(|request| match request.is::<ProduceRequest>() {
        true => Verdict::Delay(SECOND),
        false => Verdict::Pass,
    }))));
    let config = ProducerConfig { buffer_memory: 64 << 10, max_block: SECOND / 10, ..ProducerConfig::default() };
    let producer = scene.client.producer(config).unwrap();
    let topic = producer.topic("t").await.unwrap();
    let value = vec![7; 1_000];
    let mut taken = 0;
    while topic.try_enqueue(NewRecord::value(&value)).unwrap().is_some() {
        taken += 1;
    }
    assert!((40..66).contains(&taken), "{taken} KB in 64 KiB");
    let error = topic.enqueue(NewRecord::value(&value)).await.unwrap_err();
    assert!(error.to_string().contains("max.block.ms (100)") && !error.maybe_applied(), "{error}");
    std::future::poll_fn(|cx| topic.poll_ready(cx)).await.unwrap();
    assert!(topic.try_enqueue(NewRecord::value(&value)).unwrap().is_some());
    producer.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_record_is_refused_before_it_is_buffered() {
    let scene = Scene::new(1).await;
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    let topic = producer.topic("t").await.unwrap();
    let error = topic.enqueue(NewRecord::value(&vec![0; 2 << 20])).await.unwrap_err();
    assert!(error.to_string().contains("max.request.size (1048576)"), "{error}");
    let error = topic.enqueue(NewRecord::value(b"x").with_partition(1)).await.unwrap_err();
    assert!(error.to_string().contains("t-1") && error.to_string().contains("has 1"), "{error}");
    let error = producer.send("missing", NewRecord::value(b"x")).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
    producer.close().await.unwrap();
    let error = topic.enqueue(NewRecord::value(b"x")).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Closed, Recovery::Recreate));
}

#[tokio::test(start_paused = true)]
async fn a_batch_above_the_topics_limit_is_split_and_a_record_above_it_fails_alone() {
    let scene = Scene::new(1).await;
    scene.kafka.configure(|settings| settings.message_max_bytes = 2_000);
    let config = ProducerConfig { linger: SECOND / 10, ..ProducerConfig::default() };
    let producer = scene.client.producer(config).unwrap();
    let topic = producer.topic("t").await.unwrap();
    let mut deliveries = Vec::new();
    for n in 0..30u64 {
        let size = if n == 20 { 3_000 } else { 300 };
        let mut value = n.to_be_bytes().to_vec();
        value.resize(size, 0);
        deliveries.push(topic.enqueue(NewRecord::value(&value)).await.unwrap());
    }
    let mut failed = Vec::new();
    for (n, delivery) in deliveries.into_iter().enumerate() {
        match delivery.await {
            Ok(metadata) => assert_eq!(metadata.offset, n as i64 - i64::from(n > 20)),
            Err(error) => failed.push((n, error)),
        }
    }
    assert_eq!(failed.len(), 1);
    let (n, error) = &failed[0];
    assert!(*n == 20 && error.to_string().contains("a value of 3000 bytes") && !error.maybe_applied(), "{error}");
    assert!(producer.flush().await.is_err(), "a flush tells of every loss");
    producer.flush().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn every_send_ends_within_the_delivery_timeout_and_says_whether_it_may_be_written() {
    let scene = Scene::new(1).await;
    let config = ProducerConfig { delivery_timeout: 40 * SECOND, ..ProducerConfig::default() };
    let producer = scene.client.producer(config).unwrap();
    producer.send("t", NewRecord::value(b"warm")).await.unwrap();
    scene.kafka.control(Control::Intercept(Some(Box::new(|request| match request.is::<ProduceRequest>() {
        true => Verdict::Drop,
        false => Verdict::Pass,
    }))));
    let began = tokio::time::Instant::now();
    let error = producer.send("t", NewRecord::value(b"lost")).await.unwrap_err();
    assert!(error.maybe_applied() && error.kind() == ErrorKind::Timeout, "{error}");
    assert!((40..41).contains(&began.elapsed().as_secs()), "{:?}", began.elapsed());
    scene.kafka.control(Control::Intercept(None));
    assert_eq!(producer.send("t", NewRecord::value(b"next")).await.unwrap().offset, 1);
    assert!(producer.flush().await.unwrap_err().maybe_applied());
}

#[tokio::test(start_paused = true)]
async fn a_producer_the_broker_forgot_goes_on() {
    let scene = Scene::new(1).await;
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    producer.send("t", NewRecord::value(b"0")).await.unwrap();
    for (n, code) in (1..).zip([ErrorCode::UNKNOWN_PRODUCER_ID, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER]) {
        let mut is_first = true;
        scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
            match request.is::<ProduceRequest>() && std::mem::take(&mut is_first) {
                true => Verdict::Error(code),
                false => Verdict::Pass,
            }
        }))));
        assert_eq!(producer.send("t", NewRecord::value(b"x")).await.unwrap().offset, n);
    }
}

#[tokio::test(start_paused = true)]
async fn without_permission_for_a_producer_id_every_record_fails_and_so_does_the_next() {
    let scene = Scene::new(1).await;
    scene.kafka.control(Control::Intercept(Some(Box::new(|request| match request.is::<InitProducerIdRequest>() {
        true => Verdict::Error(ErrorCode::CLUSTER_AUTHORIZATION_FAILED),
        false => Verdict::Pass,
    }))));
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    for _ in 0..2 {
        let error = producer.send("t", NewRecord::value(b"x")).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED));
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        tokio::time::sleep(SECOND).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_idempotence_and_with_fewer_acknowledgements_records_arrive_too() {
    let scene = Scene::new(1).await;
    for (acks, known) in [(Acks::Leader, true), (Acks::None, false)] {
        let config = ProducerConfig { acks, enable_idempotence: false, ..ProducerConfig::default() };
        let producer = scene.client.producer(config).unwrap();
        let metadata = producer.send("t", NewRecord::value(b"x")).await.unwrap();
        assert_eq!(metadata.offset >= 0, known);
        producer.close().await.unwrap();
    }
    assert_eq!(scene.read("t", 0, 2).await.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn records_without_a_key_reach_every_partition_and_one_key_reaches_one() {
    let scene = Scene::new(3).await;
    let config = ProducerConfig { batch_size: 1_000, ..ProducerConfig::default() };
    let producer = scene.client.producer(config).unwrap();
    let topic = producer.topic("t").await.unwrap();
    let value = [0; 100];
    let mut hits = [0; 3];
    for _ in 0..600 {
        let delivery = topic.enqueue(NewRecord::value(&value)).await.unwrap();
        hits[delivery.await.unwrap().partition as usize] += 1;
    }
    assert!(hits.iter().all(|n| (100..300).contains(n)), "{hits:?}");
    for _ in 0..10 {
        let record = NewRecord::value(&value).with_key(b"foobar");
        // murmur2("foobar") = -790332482, as Java has it.
        assert_eq!(producer.send("t", record).await.unwrap().partition, (-790_332_482i32 & i32::MAX) % 3);
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_every_handle_sends_what_is_buffered() {
    let scene = Scene::new(1).await;
    let producer = scene.client.producer(ProducerConfig { linger: 10 * SECOND, ..ProducerConfig::default() }).unwrap();
    let delivery = producer.enqueue("t", NewRecord::value(b"x")).await.unwrap();
    drop(producer);
    assert_eq!(tokio::time::timeout(5 * SECOND, delivery).await.expect("sent at once").unwrap().offset, 0);
}

#[tokio::test(start_paused = true)]
async fn partitions_added_later_are_used() {
    let scene = Scene::new(1).await;
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    let topic = producer.topic("t").await.unwrap();
    topic.enqueue(NewRecord::value(b"x")).await.unwrap().await.unwrap();
    scene.grow("t", 4).await;
    assert_eq!(topic.partition_count(), 4);
    let delivery = topic.enqueue(NewRecord::value(b"x").with_partition(3)).await.unwrap();
    assert_eq!(delivery.await.unwrap().partition, 3);
}
