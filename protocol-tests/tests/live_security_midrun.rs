//! What changes under a running client of real Kafka: logins that expire, users and rights that go, certificates that roll.
#![cfg(feature = "live-kafka")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use milena::admin::NewTopic;
use milena::config::security::{Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig};
use milena::config::{ClientConfig, ProducerConfig};
use milena::consumer::Polled;
use milena::{Client, ErrorCode, NewRecord, Position, Recovery, TopicPartition};
use protocol_tests::live::{Listener, SecuredKafka};
use protocol_tests::security::{CANARY, assert_nothing_leaked, traced};

/// How long the load runs under logins that hold for two seconds.
const LOAD: Duration = Duration::from_secs(30);

fn config(kafka: &SecuredKafka, listener: Listener, sasl: SaslMechanism) -> ClientConfig {
    let protocol = match listener {
        Listener::SaslTls => SecurityProtocol::SaslSsl,
        _ => SecurityProtocol::SaslPlaintext,
    };
    let roots = Roots::Pem(Pem::Text(Secret::new(kafka.authority.certificate.clone())));
    let security = Security { protocol, tls: TlsConfig::default().with_roots(roots), sasl: Some(sasl) };
    ClientConfig { bootstrap_servers: vec![kafka.address(listener)], security, ..ClientConfig::default() }
}

fn scram(password: &str) -> SaslMechanism {
    SaslMechanism::ScramSha256 { username: "alice".into(), password: Secret::new(password) }
}

async fn create(kafka: &SecuredKafka, topic: &str) {
    let client = Client::connect(&kafka.kafka.bootstrap()).await.unwrap();
    let wanted = NewTopic { name: topic.into(), partitions: 1, replication_factor: 1, configs: BTreeMap::new() };
    client.admin().create_topic(&wanted).await.unwrap();
}

async fn secured() -> Arc<SecuredKafka> {
    Arc::new(tokio::task::spawn_blocking(|| SecuredKafka::start("4.4.0", CANARY)).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_two_seconds_lose_and_double_nothing_under_load() {
    let _traced = traced();
    let kafka = secured().await;
    create(&kafka, "renewed").await;
    let client = Client::with_config(config(&kafka, Listener::Reauth, scram(CANARY))).await.unwrap();
    let is_over = Arc::new(AtomicBool::new(false));
    let producing = tokio::spawn({
        let (client, is_over) = (client.clone(), is_over.clone());
        async move {
            let producer = client.producer(Default::default()).unwrap();
            let (mut sent, mut deliveries) = (0u64, Vec::new());
            while !is_over.load(Ordering::Relaxed) {
                for _ in 0..20 {
                    deliveries.push(producer.enqueue("renewed", NewRecord::value(&sent.to_be_bytes())).await.unwrap());
                    sent += 1;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            for delivery in deliveries {
                delivery.await.expect("no record fails");
            }
            sent
        }
    });
    let mut consumer = client.consumer(Default::default()).unwrap();
    consumer.assign([(TopicPartition::new("renewed", 0), Position::Earliest)]);
    let (started, mut next, mut sent) = (Instant::now(), 0u64, None);
    let mut producing = Some(producing);
    while sent != Some(next) {
        if let Polled::Records(records) = consumer.poll().await.expect("no poll fails") {
            for record in records.iter() {
                assert_eq!(record.unwrap().value, Some(&next.to_be_bytes()[..]), "every record once, in order");
                next += 1;
            }
        }
        if started.elapsed() > LOAD
            && let Some(producing) = producing.take()
        {
            is_over.store(true, Ordering::Relaxed);
            sent = Some(producing.await.unwrap());
        }
    }
    assert!(next > 10_000, "{next}");
    println!("{next} records over {:?} of logins that hold for 2 s", started.elapsed());
    assert_nothing_leaked("");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_deleted_in_mid_run_is_told_so() {
    let _traced = traced();
    let kafka = secured().await;
    create(&kafka, "deleted").await;
    let mut config = config(&kafka, Listener::Reauth, scram(CANARY));
    config.request_timeout = Duration::from_secs(3);
    let client = Client::with_config(config.clone()).await.unwrap();
    // A record that cannot be delivered is given up after its time and not before, as in Java.
    let patience = ProducerConfig { delivery_timeout: Duration::from_secs(5), ..ProducerConfig::default() };
    let producer = client.producer(patience).unwrap();
    producer.send("deleted", NewRecord::value(b"before")).await.unwrap();
    let tool = kafka.clone();
    tokio::task::spawn_blocking(move || tool.forget("alice")).await.unwrap();
    let error = refused(&producer, "deleted").await;
    let text = format!("{error:?} {error}");
    assert!(text.contains("SASL_AUTHENTICATION_FAILED"), "{text}");
    assert_nothing_leaked(&text);
    let error = Client::with_config(config).await.expect_err("the user is gone");
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert_nothing_leaked(&format!("{error} {error:?}"));
}

/// Sends until it is refused, which has to be within a few logins.
async fn refused(producer: &milena::producer::Producer, topic: &str) -> milena::Error {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(30) {
        if let Err(error) = producer.send(topic, NewRecord::value(b"after")).await {
            return error;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("never refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_is_taken_away_in_mid_run_is_named() {
    let _traced = traced();
    let kafka = secured().await;
    create(&kafka, "forbidden").await;
    let client = Client::with_config(config(&kafka, Listener::SaslTls, scram(CANARY))).await.unwrap();
    let producer = client.producer(Default::default()).unwrap();
    producer.send("forbidden", NewRecord::value(b"before")).await.unwrap();
    let mut consumer = client.consumer(Default::default()).unwrap();
    consumer.assign([(TopicPartition::new("forbidden", 0), Position::Earliest)]);
    assert!(matches!(consumer.poll().await.unwrap(), Polled::Records(_)));
    let tool = kafka.clone();
    tokio::task::spawn_blocking(move || tool.deny("alice", "TOPIC", "forbidden")).await.unwrap();
    let error = refused(&producer, "forbidden").await;
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED), "{error}");
    let read = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(error) = consumer.poll().await {
                return error;
            }
        }
    });
    let error = read.await.expect("the consumer is refused too");
    assert!(format!("{error} {error:?}").contains("TOPIC_AUTHORIZATION_FAILED"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_a_group_or_transactional_id_that_is_taken_away_is_named() {
    let kafka = secured().await;
    create(&kafka, "offsets").await;
    let client = Client::with_config(config(&kafka, Listener::Sasl, scram(CANARY))).await.unwrap();
    let offset = [(
        TopicPartition::new("offsets", 0),
        milena::OffsetAndMetadata { offset: 1, leader_epoch: -1, metadata: String::new() },
    )];
    let group = milena::config::ConsumerConfig { group_id: Some("readers".into()), ..Default::default() };
    let consumer = client.consumer(group).unwrap();
    consumer.commit(&offset).await.unwrap();
    let id = ProducerConfig { transactional_id: Some("writer".into()), ..Default::default() };
    drop(client.transactional_producer(id.clone()).await.unwrap());
    let tool = kafka.clone();
    let deny = move || {
        tool.deny("alice", "GROUP", "readers");
        tool.deny("alice", "TRANSACTIONAL_ID", "writer");
    };
    tokio::task::spawn_blocking(deny).await.unwrap();
    let started = Instant::now();
    let error = loop {
        match consumer.commit(&offset).await {
            Err(error) => break error,
            Ok(()) => assert!(started.elapsed() < Duration::from_secs(30), "never refused"),
        }
    };
    assert_eq!(error.code(), Some(ErrorCode::GROUP_AUTHORIZATION_FAILED), "{error}");
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    let error = client.transactional_producer(id).await.expect_err("it is refused");
    let text = format!("{error} {error:?}");
    assert!(text.contains("TRANSACTIONAL_ID_AUTHORIZATION_FAILED"), "{text}");
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
}
