//! The producer against real Kafka: Java's reader finds every record once, where it was acknowledged, and in order.
#![cfg(feature = "live-kafka")]

use std::collections::BTreeMap;
use std::time::Duration;

use milena::config::ProducerConfig;
use milena::producer::{CommitOutcome, Topic, TransactionalProducer};
use milena::{Client, Header, NewRecord, OffsetAndMetadata, Recovery, TopicPartition};
use protocol_tests::live::{LiveKafka, Options, ReadRecord};

async fn client(at: &str) -> Client {
    Client::connect(at).await.unwrap()
}

fn config(id: &str) -> ProducerConfig {
    ProducerConfig { transactional_id: Some(id.into()), ..ProducerConfig::default() }
}

async fn transactional(at: &str, id: &str) -> TransactionalProducer {
    client(at).await.transactional_producer(config(id)).await.unwrap()
}

/// The numbers in the values by partition, in offset order.
fn by_partition(records: &[ReadRecord]) -> BTreeMap<i32, Vec<u64>> {
    let mut read: BTreeMap<i32, Vec<u64>> = BTreeMap::new();
    for record in records {
        read.entry(record.partition).or_default().push(record.value_text().parse().unwrap());
    }
    read
}

async fn write(topic: &Topic, range: std::ops::Range<u64>) {
    for n in range {
        let value = n.to_string();
        let partition = Some((n % topic.partition_count() as u64) as i32);
        let record = NewRecord { partition, value: Some(value.as_bytes()), ..NewRecord::default() };
        topic.enqueue(record).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_records_are_where_java_reads_them() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "producer-many", 12, 1, &[]);
    let producer = client(&at).await.producer(ProducerConfig::default()).unwrap();
    let topic = producer.topic("producer-many").await.unwrap();
    let mut deliveries = Vec::new();
    for n in 0..100_000u64 {
        let (key, value) = (format!("key-{}", n % 1000), n.to_string());
        let headers = [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }];
        let record = NewRecord::value(value.as_bytes()).with_key(key.as_bytes()).with_headers(&headers);
        deliveries.push(topic.enqueue(record).await.unwrap());
    }
    producer.flush().await.unwrap();
    let mut acknowledged = BTreeMap::new();
    for (n, delivery) in (0u64..).zip(deliveries) {
        let metadata = delivery.await.unwrap();
        acknowledged.insert((metadata.partition, metadata.offset), n);
    }
    let read = java.read_committed(&at, "producer-many");
    assert_eq!(read.len(), 100_000);
    for record in &read {
        let n: u64 = record.value_text().parse().unwrap();
        assert_eq!(acknowledged.get(&(record.partition, record.offset)), Some(&n));
        assert_eq!(record.headers, [("h".to_owned(), Some(b"1".to_vec())), ("h".to_owned(), None)]);
    }
    for (partition, numbers) in by_partition(&read) {
        assert!(numbers.is_sorted(), "partition {partition} is out of order");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn transactions_are_all_or_nothing_under_both_versions_of_the_rules() {
    for (kafka, moves) in [(LiveKafka::shared(), 1), (LiveKafka::shared_tv1(), 0)] {
        let (java, at) = (kafka.java(), kafka.bootstrap());
        let name = format!("producer-transactions-{moves}");
        java.create_topic(&at, &name, 3, 1, &[]);
        let mut producer = transactional(&at, &name).await;
        let before = producer.identity();
        for round in 0..10u64 {
            let mut transaction = producer.begin().await.unwrap();
            let topic = transaction.topic(&name).await.unwrap();
            write(&topic, round * 300..round * 300 + 300).await;
            let position = OffsetAndMetadata { offset: round as i64, leader_epoch: -1, metadata: String::new() };
            transaction.send_offsets(&name, &[(TopicPartition::new(name.as_str(), 0), position)]).await.unwrap();
            match round % 3 {
                0 => transaction.abort().await.unwrap(),
                1 => transaction.commit().await.unwrap(),
                _ => drop(transaction),
            }
        }
        // The last one was aborted; one more begin ends whatever is left.
        producer.begin().await.unwrap().commit().await.unwrap();
        let after = producer.identity();
        assert_eq!(after.producer_epoch > before.producer_epoch, moves == 1, "{before:?} {after:?}");
        let mut seen: Vec<u64> = by_partition(&java.read_committed(&at, &name)).into_values().flatten().collect();
        seen.sort_unstable();
        let expected: Vec<u64> = (0..3000).filter(|n| n / 300 % 3 == 1).collect();
        assert_eq!(seen, expected);
        let committed = java.group_offsets(&at, &name);
        assert_eq!(committed[0].offset, 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_client_prepared_another_ends_and_the_producer_goes_on() {
    for (kafka, name) in
        [(LiveKafka::shared(), "producer-prepared-2"), (LiveKafka::shared_tv1(), "producer-prepared-1")]
    {
        let (java, at) = (kafka.java(), kafka.bootstrap());
        java.create_topic(&at, name, 3, 1, &[]);
        let other = client(&at).await;
        let mut producer = transactional(&at, name).await;
        for round in 0..9u64 {
            let transaction = producer.into_transaction().await.unwrap();
            write(&transaction.topic(name).await.unwrap(), round * 30..round * 30 + 30).await;
            let (parked, prepared) = transaction.prepare().await.unwrap();
            let prepared = prepared.unwrap();
            if round % 3 == 1 {
                other.abort_prepared(&prepared).await.unwrap();
            } else {
                assert_eq!(other.commit_prepared(&prepared).await.unwrap(), CommitOutcome::Committed);
            }
            producer = parked.ended();
        }
        let mut seen: Vec<u64> = by_partition(&java.read_committed(&at, name)).into_values().flatten().collect();
        seen.sort_unstable();
        let expected: Vec<u64> = (0..270).filter(|n| n / 30 % 3 != 1).collect();
        assert_eq!(seen, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fenced_producer_and_a_timeout_too_long_say_so() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "producer-fenced", 1, 1, &[]);
    let mut first = transactional(&at, "fenced").await;
    let transaction = first.begin().await.unwrap();
    write(&transaction.topic("producer-fenced").await.unwrap(), 0..10).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    let _second = transactional(&at, "fenced").await;
    let error = transaction.commit().await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Recreate, "{error}");
    assert_eq!(first.begin().await.unwrap_err().recovery(), Recovery::Recreate);
    assert_eq!(java.read_committed(&at, "producer-fenced").len(), 0);
    let config = ProducerConfig { transaction_timeout: Duration::from_secs(86_400), ..config("long") };
    let error = client(&at).await.transactional_producer(config).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert!(error.to_string().contains("transaction.max.timeout.ms (900000)"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_killed_among_three_loses_doubles_and_reorders_nothing() {
    let kafka = LiveKafka::start(Options::three_nodes());
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "producer-killed", 6, 3, &[("min.insync.replicas", "2")]);
    let producer = client(&at).await.producer(ProducerConfig::default()).unwrap();
    let topic = producer.topic("producer-killed").await.unwrap();
    for round in 0..6u64 {
        write(&topic, round * 20_000..round * 20_000 + 20_000).await;
        match round {
            1 => kafka.kill9(2),
            3 => kafka.restart(2),
            _ => {}
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    producer.flush().await.unwrap();
    for (partition, numbers) in by_partition(&java.read_committed(&at, "producer-killed")) {
        let expected: Vec<u64> = (0..120_000).filter(|n| n % 6 == partition as u64).collect();
        assert!(numbers == expected, "partition {partition}: {} of {} records", numbers.len(), expected.len());
    }
}
