//! What changes under a running client of real Kafka: logins that expire, users and rights that go, certificates that roll.
#![cfg(feature = "live-kafka")]

mod load;
mod roll;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use milena::admin::NewTopic;
use milena::config::security::{
    OAuthBearer, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig, UnsecuredToken,
};
use milena::config::{ClientConfig, ProducerConfig};
use milena::consumer::Polled;
use milena::{Client, ErrorCode, NewRecord, Position, Recovery, TopicPartition};
use protocol_tests::live::{Listener, SecuredKafka};
use protocol_tests::security::{CANARY, assert_nothing_leaked, logged, traced};

use load::Load;

/// How long the load runs under logins that hold for two seconds.
const LOAD: Duration = Duration::from_secs(30);

const NEWEST: &str = "4.4.0";
/// What changes has to be told the same way by every Kafka.
const VERSIONS: [&str; 2] = [NEWEST, "3.9.1"];

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

pub(crate) async fn create(kafka: &SecuredKafka, topic: &str) {
    let client = Client::connect(&kafka.kafka.bootstrap()).await.unwrap();
    let wanted = NewTopic { name: topic.into(), partitions: 1, replication_factor: 1, configs: BTreeMap::new() };
    client.admin().create_topic(&wanted).await.unwrap();
}

pub(crate) async fn secured(version: &'static str) -> Arc<SecuredKafka> {
    Arc::new(tokio::task::spawn_blocking(|| SecuredKafka::start(version, CANARY)).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn logins_of_two_seconds_lose_and_double_nothing_under_load() {
    let _traced = traced();
    for version in VERSIONS {
        renew_under_load(secured(version).await).await;
    }
    assert_nothing_leaked("");
}

/// The connections stay: a client that is cut off and comes back would lose nothing either.
async fn renew_under_load(kafka: Arc<SecuredKafka>) {
    let plain = SaslMechanism::Plain { username: "alice".into(), password: Secret::new(CANARY) };
    let token = UnsecuredToken { subject: "alice".into(), lifetime: Duration::from_secs(3600) };
    let token = SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token));
    let mut loads = Vec::new();
    for (topic, sasl) in [("renewed-scram", scram(CANARY)), ("renewed-plain", plain), ("renewed-token", token)] {
        create(&kafka, topic).await;
        let client = Client::with_config(config(&kafka, Listener::Reauth, sasl)).await.unwrap();
        loads.push(Load::start(&client, topic));
    }
    let address = kafka.address(Listener::Reauth);
    let renewals = || count(&["logged in again"]);
    let before = renewals();
    tokio::time::sleep(LOAD).await;
    let (renewed, lost) = (renewals() - before, count(&[&address, "connection closed", "Lost"]));
    assert_eq!((lost, count(&[&address, "logging in again failed"])), (0, 0), "no connection was cut off");
    assert!(renewed >= 30, "{renewed} renewals of three clients in {LOAD:?}");
    for load in loads {
        let records = load.judge(&kafka).await;
        assert!(records > 10_000, "{records}");
        println!("{records} records over {LOAD:?} of logins that hold for 2 s");
    }
    println!("{renewed} renewals at {address}");
}

/// Lines of the log that hold all these words.
fn count(words: &[&str]) -> usize {
    logged().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_that_is_deleted_in_mid_run_is_told_so() {
    let _traced = traced();
    for version in VERSIONS {
        delete_alice(secured(version).await).await;
    }
    assert_nothing_leaked("");
}

async fn delete_alice(kafka: Arc<SecuredKafka>) {
    create(&kafka, "deleted").await;
    let mut config = config(&kafka, Listener::Reauth, scram(CANARY));
    config.request_timeout = Duration::from_secs(3);
    let client = Client::with_config(config.clone()).await.unwrap();
    // A record that cannot be delivered is given up after its time and not before, as in Java.
    let patience = ProducerConfig { delivery_timeout: Duration::from_secs(5), ..ProducerConfig::default() };
    let producer = client.producer(patience).unwrap();
    producer.send("deleted", NewRecord::value(b"before")).await.unwrap();
    let mut consumer = client.consumer(Default::default()).unwrap();
    consumer.assign([(TopicPartition::new("deleted", 0), Position::Earliest)]);
    assert!(matches!(consumer.poll().await.unwrap(), Polled::Records(_)));
    let tool = kafka.clone();
    tokio::task::spawn_blocking(move || tool.forget("alice")).await.unwrap();
    let (written, read) = (refused(&producer, "deleted").await, read_until_refused(&mut consumer).await);
    for error in [written, read] {
        let text = format!("{error:?} {error}");
        assert!(text.contains("SASL_AUTHENTICATION_FAILED") && text.contains("alice"), "{text}");
        assert_nothing_leaked(&text);
    }
    // Those who go on trying do so more and more seldom: an account is not locked by it.
    let address = config.bootstrap_servers[0].clone();
    let logins = || count(&[&address, "authentication was refused"]);
    let before = logins();
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(logins() - before <= 20, "{} logins in ten seconds", logins() - before);
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
    for version in VERSIONS {
        deny_topic(secured(version).await).await;
    }
    assert_nothing_leaked("");
}

async fn deny_topic(kafka: Arc<SecuredKafka>) {
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
    assert!(error.to_string().contains("forbidden"), "{error}");
    assert_nothing_leaked(&format!("{error} {error:?}"));
    let error = read_until_refused(&mut consumer).await;
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert!(
        error.to_string().contains("TOPIC_AUTHORIZATION_FAILED") && error.to_string().contains("forbidden"),
        "{error}"
    );
    assert_nothing_leaked(&format!("{error} {error:?}"));
}

/// Polls until the consumer is refused.
async fn read_until_refused(consumer: &mut milena::consumer::Consumer) -> milena::Error {
    let read = tokio::time::timeout(Duration::from_secs(30), async {
        loop {
            if let Err(error) = consumer.poll().await {
                return error;
            }
        }
    });
    read.await.expect("the consumer is refused too")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_to_a_group_or_transactional_id_that_is_taken_away_is_named() {
    let _traced = traced();
    for version in VERSIONS {
        deny_group_and_id(secured(version).await).await;
    }
    assert_nothing_leaked("");
}

async fn deny_group_and_id(kafka: Arc<SecuredKafka>) {
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
    let mut writer = client.transactional_producer(id.clone()).await.unwrap();
    write(&mut writer).await.expect("it is allowed");
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
    assert!(error.to_string().contains("readers"), "{error}");
    assert_nothing_leaked(&format!("{error} {error:?}"));
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    let error = loop {
        match write(&mut writer).await {
            Err(error) => break error,
            Ok(()) => assert!(started.elapsed() < Duration::from_secs(30), "never refused"),
        }
    };
    assert_eq!(error.code(), Some(ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED), "{error}");
    assert!(error.to_string().contains("writer"), "{error}");
    assert_nothing_leaked(&format!("{error} {error:?}"));
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    let error = client.transactional_producer(id).await.expect_err("it is refused");
    let text = format!("{error} {error:?}");
    assert!(text.contains("TRANSACTIONAL_ID_AUTHORIZATION_FAILED") && text.contains("writer"), "{text}");
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
}

/// One transaction of one record.
async fn write(producer: &mut milena::producer::TransactionalProducer) -> milena::Result<()> {
    let transaction = producer.begin().await?;
    let topic = transaction.topic("offsets").await?;
    topic.enqueue(NewRecord::value(b"x")).await?;
    transaction.commit().await
}
