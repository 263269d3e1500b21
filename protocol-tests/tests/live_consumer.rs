//! The consumer against real Kafka: whatever Java's reader sees, ours sees, record for record, and nothing moves silently.
#![cfg(feature = "live-kafka")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use milena::config::{AutoOffsetReset, ConsumerConfig};
use milena::consumer::{Consumer, Polled, PolledRecords};
use milena::{Client, IsolationLevel, OffsetAndMetadata, Position, Record, TopicPartition};
use protocol_tests::live::{LiveKafka, Options, ReadRecord, Write};

fn partitions(topic: &str, count: i32) -> Vec<TopicPartition> {
    (0..count).map(|partition| TopicPartition::new(topic, partition)).collect()
}

async fn consumer(at: &str, config: ConsumerConfig) -> Consumer {
    Client::connect(at).await.unwrap().consumer(config).unwrap()
}

async fn poll(consumer: &mut Consumer) -> Polled {
    let polled = tokio::time::timeout(Duration::from_secs(60), consumer.poll()).await;
    polled.expect("an event within a minute").unwrap()
}

/// Polls until every partition has told its end.
async fn read_to_end(consumer: &mut Consumer, partitions: &[TopicPartition], mut each: impl FnMut(&PolledRecords)) {
    let mut left: BTreeSet<_> = partitions.iter().cloned().collect();
    while !left.is_empty() {
        match poll(consumer).await {
            Polled::Records(records) => each(&records),
            Polled::CaughtUp(tp) => {
                left.remove(&tp);
            }
            moved @ Polled::Moved { .. } => panic!("{moved:?}"),
        }
    }
}

fn as_java_sees(partition: i32, timestamp_type: &str, record: &Record<'_>) -> ReadRecord {
    let header = |h: milena::Header<'_>| (String::from_utf8(h.key.to_vec()).unwrap(), h.value.map(<[u8]>::to_vec));
    ReadRecord {
        partition,
        offset: record.offset,
        timestamp: record.timestamp_ms,
        timestamp_type: timestamp_type.into(),
        key: record.key.map(<[u8]>::to_vec),
        value: record.value.map(<[u8]>::to_vec),
        headers: record.headers.into_iter().map(header).collect(),
    }
}

/// Everything our reader sees of a topic, by partition in offset order.
async fn read_all(at: &str, topic: &str, count: i32, isolation_level: IsolationLevel, kind: &str) -> Vec<ReadRecord> {
    let mut consumer = consumer(at, ConsumerConfig { isolation_level, ..ConsumerConfig::default() }).await;
    let partitions = partitions(topic, count);
    consumer.assign(partitions.iter().map(|tp| (tp.clone(), Position::Earliest)));
    let mut read: BTreeMap<i32, Vec<ReadRecord>> = BTreeMap::new();
    read_to_end(&mut consumer, &partitions, |records| {
        let partition = records.partition().partition;
        let seen = read.entry(partition).or_default();
        seen.extend(records.iter().map(|r| as_java_sees(partition, kind, &r.unwrap())));
    })
    .await;
    for tp in &partitions {
        assert_eq!(consumer.lag(tp), Some(0), "{tp}");
    }
    read.into_values().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn committed_and_aborted_transactions_read_as_java_reads_them() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    for (topic, kind) in [("consumer-create", "CreateTime"), ("consumer-append", "LogAppendTime")] {
        java.create_topic(&at, topic, 3, 1, &[("message.timestamp.type", kind)]);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let at = &at;
                scope.spawn(move || {
                    let id = format!("{topic}-{writer}");
                    for round in 0..8u64 {
                        let transactional_id = (writer != 0).then_some(id.as_str());
                        let abort = writer != 0 && (round + writer) % 3 == 0;
                        let first_sequence = (writer * 100 + round) * 1000;
                        let write = Write { first_sequence, transactional_id, abort, ..Write::records(40, 3) };
                        java.write(at, topic, &write);
                    }
                });
            }
        });
        let committed = read_all(&at, topic, 3, IsolationLevel::ReadCommitted, kind).await;
        assert_eq!(committed, java.read_committed(&at, topic));
        let all = read_all(&at, topic, 3, IsolationLevel::ReadUncommitted, kind).await;
        assert_eq!(all, java.read_uncommitted(&at, topic));
        assert!(committed.len() < all.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_records_come_once_and_in_order() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "consumer-million", 12, 1, &[]);
    java.write(&at, "consumer-million", &Write::records(1_000_000, 12));
    let mut consumer = consumer(&at, ConsumerConfig::default()).await;
    let partitions = partitions("consumer-million", 12);
    let mut next = [0u64; 12];
    let began = std::time::Instant::now();
    consumer.assign(partitions.iter().map(|tp| (tp.clone(), Position::Earliest)));
    read_to_end(&mut consumer, &partitions, |records| {
        let partition = records.partition().partition as usize;
        for record in records {
            let record = record.unwrap();
            let value = record.value.unwrap();
            let text = value.split(|b| *b == b' ').next().unwrap();
            assert_eq!(text, format!("{partition}:{}", next[partition]).as_bytes());
            next[partition] += 1;
        }
    })
    .await;
    println!("1,000,000 records in {:?}", began.elapsed());
    assert_eq!(next.iter().sum::<u64>(), 1_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn seeks_times_commits_and_pauses_do_what_they_say() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "consumer-seek", 2, 1, &[]);
    java.write(&at, "consumer-seek", &Write::records(200, 2));
    let config = ConsumerConfig { group_id: Some("consumer-seek".into()), ..ConsumerConfig::default() };
    let mut consumer = consumer(&at, config).await;
    let [zero, one] = [0, 1].map(|partition| TopicPartition::new("consumer-seek", partition));
    let both = [zero.clone(), one.clone()];
    assert_eq!(consumer.beginning_offsets(&both).await.unwrap().into_values().collect::<Vec<_>>(), [0, 0]);
    assert_eq!(consumer.end_offsets(&both).await.unwrap().into_values().collect::<Vec<_>>(), [100, 100]);
    assert!(consumer.committed(&both).await.unwrap().is_empty());

    let commit = OffsetAndMetadata { offset: 42, leader_epoch: -1, metadata: "here".into() };
    consumer.commit(&[(zero.clone(), commit.clone())]).await.unwrap();
    assert_eq!(consumer.committed(&both).await.unwrap(), BTreeMap::from([(zero.clone(), commit)]));
    consumer.assign([(zero.clone(), Position::Committed)]);
    let Polled::Records(records) = poll(&mut consumer).await else { panic!("records") };
    assert_eq!(records.iter().next().unwrap().unwrap().offset, 42, "from within a batch");
    let timestamp = records.iter().nth(5).unwrap().unwrap().timestamp_ms;
    drop(records);
    let found = consumer.offsets_for_time(&both, timestamp).await.unwrap();
    assert!(found[&zero] <= 47 && found[&zero] >= 0, "{found:?}");

    consumer.assign([(one.clone(), Position::Offset(90))]);
    consumer.pause(std::slice::from_ref(&one));
    consumer.seek(&zero, Position::Offset(99));
    loop {
        match poll(&mut consumer).await {
            Polled::Records(records) => {
                assert_eq!(records.partition(), &zero);
                assert_eq!(records.iter().map(|r| r.unwrap().offset).collect::<Vec<_>>(), [99]);
            }
            Polled::CaughtUp(tp) => {
                assert_eq!(tp, zero);
                break;
            }
            moved => panic!("{moved:?}"),
        }
    }
    consumer.resume(std::slice::from_ref(&one));
    let Polled::Records(records) = poll(&mut consumer).await else { panic!("records") };
    assert_eq!((records.partition(), records.iter().count()), (&one, 10));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_position_past_the_end_is_an_error_or_an_event_by_policy() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "consumer-range", 1, 1, &[]);
    java.write(&at, "consumer-range", &Write::records(10, 1));
    let tp = TopicPartition::new("consumer-range", 0);
    let policy = |auto_offset_reset| ConsumerConfig { auto_offset_reset, ..ConsumerConfig::default() };

    let mut strict = consumer(&at, policy(AutoOffsetReset::None)).await;
    strict.assign([(tp.clone(), Position::Offset(500))]);
    let error = tokio::time::timeout(Duration::from_secs(30), strict.poll()).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("consumer-range-0") && error.to_string().contains("500"), "{error}");

    let mut lenient = consumer(&at, policy(AutoOffsetReset::Earliest)).await;
    lenient.assign([(tp, Position::Offset(500))]);
    match poll(&mut lenient).await {
        Polled::Moved { from: 500, to: 0, reason: "OFFSET_OUT_OF_RANGE", .. } => {}
        other => panic!("{other:?}"),
    }
    let Polled::Records(records) = poll(&mut lenient).await else { panic!("records") };
    assert_eq!(records.iter().count(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn reading_goes_on_when_the_leader_is_killed() {
    let kafka = LiveKafka::start(Options::three_nodes());
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "consumer-kill", 3, 3, &[("min.insync.replicas", "2")]);
    java.write(&at, "consumer-kill", &Write::records(300, 3));
    let mut consumer = consumer(&at, ConsumerConfig::default()).await;
    let partitions = partitions("consumer-kill", 3);
    consumer.assign(partitions.iter().map(|tp| (tp.clone(), Position::Earliest)));
    let mut next: BTreeMap<TopicPartition, i64> = BTreeMap::new();
    let mut count = |records: &PolledRecords| {
        let next = next.entry(records.partition().clone()).or_default();
        for record in records {
            assert_eq!(record.unwrap().offset, *next, "no gap and no repeat");
            *next += 1;
        }
    };
    read_to_end(&mut consumer, &partitions, &mut count).await;
    let leader = java.describe_topic(&at, "consumer-kill").partitions[0].leader;
    kafka.kill9(u16::try_from(leader).unwrap());
    java.write(&at, "consumer-kill", &Write { first_sequence: 100, ..Write::records(300, 3) });
    read_to_end(&mut consumer, &partitions, &mut count).await;
    assert_eq!(next.into_values().collect::<Vec<_>>(), [200, 200, 200]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recreated_topic_is_told_and_read_from_where_policy_says() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "consumer-again", 1, 1, &[]);
    java.write(&at, "consumer-again", &Write::records(100, 1));
    let config = ConsumerConfig { auto_offset_reset: AutoOffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut consumer = consumer(&at, config).await;
    let all = partitions("consumer-again", 1);
    consumer.assign([(all[0].clone(), Position::Earliest)]);
    read_to_end(&mut consumer, &all, |_| {}).await;
    java.delete_topic(&at, "consumer-again");
    java.create_topic(&at, "consumer-again", 1, 1, &[]);
    java.write(&at, "consumer-again", &Write::records(50, 1));
    match poll(&mut consumer).await {
        Polled::Moved { from: 100, to: 0, reason: "TOPIC_RECREATED", .. } => {}
        other => panic!("{other:?}"),
    }
    let mut count = 0;
    read_to_end(&mut consumer, &all, |records| count += records.iter().count()).await;
    assert_eq!(count, 50);
}
