//! A cluster in memory, a client on it, and a look at what was written.
#![allow(dead_code)]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena::broker::{Control, MemoryCluster, Settings};
use milena::cluster::{Call, Target, Verdict};
use milena::config::{ClientConfig, ConsumerConfig};
use milena::connection::{BoxFuture, Dial, Environment, Stream};
use milena::consumer::Polled;
use milena::wire::StrBytes;
use milena::wire::messages::CreatePartitionsRequest;
use milena::wire::messages::create_partitions_request::CreatePartitionsTopic;
use milena::{Client, ErrorCode, IsolationLevel, Operation, Position, TopicPartition};

struct MemoryDial(MemoryCluster);

impl Dial for MemoryDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.0.connect(host, port)?) as Box<dyn Stream>) })
    }
}

pub(crate) struct Scene {
    pub(crate) kafka: MemoryCluster,
    pub(crate) client: Client,
}

impl Scene {
    /// A cluster of `brokers` with topic `t` of one partition a broker, led by it.
    pub(crate) async fn new(brokers: i32) -> Scene {
        Self::with(Settings::default().with_brokers(brokers)).await
    }

    pub(crate) async fn with(settings: Settings) -> Scene {
        let brokers = settings.brokers;
        let kafka = MemoryCluster::start(settings);
        let (name, configs) = ("t".to_owned(), BTreeMap::new());
        kafka.control(Control::CreateTopic { name, partitions: brokers, configs });
        (0..brokers).for_each(|p| kafka.control(Control::MoveLeader(TopicPartition::new("t", p), p + 1)));
        let client = client(&kafka).await;
        Scene { kafka, client }
    }

    pub(crate) fn move_leader(&self, partition: i32, to: i32) {
        self.kafka.control(Control::MoveLeader(TopicPartition::new("t", partition), to));
    }

    /// The values of the first `count` records of a partition, as a read_committed reader sees them.
    pub(crate) async fn read(&self, topic: &str, partition: i32, count: usize) -> Vec<Vec<u8>> {
        let read = self.read_until(topic, partition, |values| values.len() >= count);
        let values = tokio::time::timeout(Duration::from_secs(60), read).await.expect("records");
        assert_eq!(values.len(), count, "more than there should be");
        values
    }

    /// The values of all records of a partition up to its end.
    pub(crate) async fn read_all(&self, topic: &str, partition: i32) -> Vec<Vec<u8>> {
        self.read_until(topic, partition, |_| false).await
    }

    async fn read_until(&self, topic: &str, partition: i32, done: impl Fn(&[Vec<u8>]) -> bool) -> Vec<Vec<u8>> {
        let config = ConsumerConfig { isolation_level: IsolationLevel::ReadCommitted, ..ConsumerConfig::default() };
        let mut consumer = self.client.consumer(config).unwrap();
        consumer.assign([(TopicPartition::new(topic, partition), Position::Earliest)]);
        let mut values = Vec::new();
        while !done(&values) {
            match consumer.poll().await.unwrap() {
                Polled::Records(records) => {
                    values.extend(records.iter().map(|r| r.unwrap().value.unwrap_or_default().to_vec()));
                }
                Polled::CaughtUp(_) => break,
                Polled::Moved { .. } => {}
            }
        }
        values
    }

    /// Gives a topic more partitions and waits until the client knows.
    pub(crate) async fn grow(&self, topic: &str, count: i32) {
        let cluster = self.client.cluster();
        let name = StrBytes::from_string(topic.to_owned());
        let topics = vec![CreatePartitionsTopic::default().with_name(name.into()).with_count(count)];
        let request = CreatePartitionsRequest::default().with_topics(topics).with_timeout_ms(1_000);
        let call = Call {
            operation: Operation::Admin,
            target: Target::Controller,
            request: &request,
            max_version: i16::MAX,
            is_idempotent: false,
            timeout: Duration::from_secs(5),
            subject: topic,
        };
        let answer = cluster.call(call, |_| Verdict::Done).await.unwrap();
        assert_eq!(ErrorCode(answer.results[0].error_code), ErrorCode::NONE);
        cluster.refresh(&[topic.into()]);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// A client of its own on the cluster.
pub(crate) async fn client(kafka: &MemoryCluster) -> Client {
    client_with(kafka, ClientConfig::default()).await
}

/// The same with settings of its own.
pub(crate) async fn client_with(kafka: &MemoryCluster, config: ClientConfig) -> Client {
    let dial = Arc::new(MemoryDial(kafka.clone()));
    let environment = Environment { dial, wall_clock_ms: Arc::new(|| 1_700_000_000_000), seed: 7 };
    let config = ClientConfig { bootstrap_servers: vec![kafka.bootstrap()], ..config };
    Client::with_environment(config, environment).await.unwrap()
}

pub(crate) fn numbers(values: &[Vec<u8>]) -> Vec<u64> {
    values.iter().map(|value| u64::from_be_bytes(value[..8].try_into().unwrap())).collect()
}
