//! TLS that breaks on connections in use: requests end with an error that may be tried again, and nothing arrives twice.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use milena::broker::{Control, MemoryCluster, Settings};
use milena::config::security::{Pem, Roots, Secret, Security, SecurityProtocol, TlsConfig};
use milena::config::{ClientConfig, ConsumerConfig, ProducerConfig};
use milena::connection::{Connection, Environment};
use milena::consumer::Polled;
use milena::wire::messages::MetadataRequest;
use milena::{BrokerId, Client, ErrorKind, NewRecord, Position, Recovery, Result, TopicPartition};
use protocol_tests::security::{Authority, Fault, FaultyDial, Validity};
use tokio::time::Instant;
use tokio_rustls::rustls::SupportedProtocolVersion;
use tokio_rustls::rustls::version::{TLS12, TLS13};

const PATIENCE: Duration = Duration::from_secs(5);

/// What happens to an answer, from which of its bytes on: the head of a record is five bytes long.
const BREAKS: [(usize, Fault); 8] = [
    (0, Fault::Close),
    (3, Fault::Close),
    (40, Fault::Close),
    (0, Fault::Stall),
    (0, Fault::Garbage),
    (0, Fault::Forged),
    (0, Fault::Flip),
    (12, Fault::Flip),
];

struct Scene {
    config: ClientConfig,
    dial: FaultyDial,
    _cluster: MemoryCluster,
}

impl Scene {
    /// A broker behind TLS with topic `t` of one partition.
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let cluster = MemoryCluster::start(Settings::default());
        let (name, configs) = ("t".to_owned(), BTreeMap::new());
        cluster.control(Control::CreateTopic { name, partitions: 1, configs });
        let authority = Authority::new("open");
        let shown = authority.server(&["127.0.0.1"], Validity::Now);
        let dial = FaultyDial::new(&cluster).behind_tls(&shown, version, None);
        let tls = TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(authority.certificate))));
        let security = Security { protocol: SecurityProtocol::Ssl, tls, ..Security::default() };
        let bootstrap_servers = vec![cluster.bootstrap()];
        let config = ClientConfig { security, bootstrap_servers, ..ClientConfig::default() };
        Self { config, dial, _cluster: cluster }
    }

    fn environment(&self) -> Environment {
        let dial = Arc::new(self.dial.clone());
        Environment { dial, wall_clock_ms: Arc::new(|| 1_700_000_000_000), seed: 7 }
    }

    async fn open(&self) -> Connection {
        let opened = Connection::open(&self.environment(), &self.config, BrokerId(1), "127.0.0.1", 9092).await;
        opened.expect("what is opened anew is well")
    }
}

async fn ask(connection: &Connection) -> Result<()> {
    connection.call(&MetadataRequest::default(), PATIENCE).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_request_on_a_connection_that_breaks_may_be_tried_again_and_may_have_been_applied() {
    for version in [&TLS12, &TLS13] {
        let scene = Scene::new(version);
        for (at, fault) in BREAKS {
            let place = format!("{fault:?} at byte {at}, {:?}", version.version);
            let connection = scene.open().await;
            ask(&connection).await.unwrap_or_else(|e| panic!("{place}: {e}"));
            scene.dial.break_open(at, fault);
            let began = Instant::now();
            let error = ask(&connection).await.expect_err(&place);
            let took = began.elapsed();
            let kind = if fault == Fault::Stall { ErrorKind::Timeout } else { ErrorKind::Network };
            assert_eq!((error.kind(), error.recovery()), (kind, Recovery::Retry), "{place}: {error}");
            assert!(error.maybe_applied(), "{place}: it was written: {error}");
            assert!(took == Duration::ZERO || fault == Fault::Stall && took <= PATIENCE, "{place}: {took:?}");
            assert!(connection.is_closed(), "{place}: nothing is read behind a break");
        }
    }
}

/// The numbers in the partition, up to its end.
async fn numbers(client: &Client) -> Vec<u64> {
    let mut consumer = client.consumer(ConsumerConfig::default()).unwrap();
    consumer.assign([(TopicPartition::new("t", 0), Position::Earliest)]);
    let mut numbers = Vec::new();
    loop {
        match consumer.poll().await.unwrap() {
            Polled::Records(records) => numbers.extend(records.iter().map(|record| {
                let value = record.unwrap().value.unwrap();
                u64::from_be_bytes(value[..8].try_into().unwrap())
            })),
            Polled::CaughtUp(_) => return numbers,
            Polled::Moved { .. } => {}
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_producer_sends_while_connections_break_arrives_once_and_in_order() {
    for version in [&TLS12, &TLS13] {
        let scene = Scene::new(version);
        let client = Client::with_environment(scene.config.clone(), scene.environment()).await.unwrap();
        let producer = client.producer(ProducerConfig { batch_size: 500, ..ProducerConfig::default() }).unwrap();
        let topic = producer.topic("t").await.unwrap();
        let mut deliveries = Vec::new();
        for (round, (at, fault)) in (0..3).flat_map(|_| BREAKS).enumerate() {
            for n in 0..50 {
                let value = (round as u64 * 50 + n).to_be_bytes();
                deliveries.push(topic.enqueue(NewRecord::value(&value)).await.unwrap());
            }
            let opened = scene.dial.said().len();
            scene.dial.break_open(at, fault);
            deliveries.pop().unwrap().await.unwrap_or_else(|e| panic!("{fault:?} at byte {at}: {e}"));
            assert!(scene.dial.said().len() > opened, "{fault:?} at byte {at} broke nothing");
        }
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        assert_eq!(numbers(&client).await, (0..3 * 8 * 50).collect::<Vec<u64>>());
    }
}
