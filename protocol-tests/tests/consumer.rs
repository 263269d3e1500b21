//! The consumer against the in-memory broker in virtual time: nothing lost, nothing fetched twice, nobody waits for another.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena::broker::{Control, MemoryCluster, Settings, Verdict};
use milena::cluster::Lane;
use milena::config::{ClientConfig, ConsumerConfig};
use milena::connection::{BoxFuture, Dial, Environment, Stream};
use milena::consumer::{Consumer, Polled};
use milena::wire::StrBytes;
use milena::wire::batch::{BatchBuilder, ProducerStamp};
use milena::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use milena::wire::messages::{FetchRequest, ProduceRequest};
use milena::{Client, NewRecord, Position, ProducerIdentity, TopicPartition};
use tokio::time::Instant;

struct MemoryDial(MemoryCluster);

impl Dial for MemoryDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.0.connect(host, port)?) as Box<dyn Stream>) })
    }
}

struct Scene {
    kafka: MemoryCluster,
    client: Client,
}

impl Scene {
    /// A cluster of `brokers` with topic `t` of one partition a broker, led by it.
    async fn new(brokers: i32) -> Scene {
        let kafka = MemoryCluster::start(Settings::default().with_brokers(brokers));
        let (name, configs) = ("t".to_owned(), BTreeMap::new());
        kafka.control(Control::CreateTopic { name, partitions: brokers, configs });
        (0..brokers).for_each(|p| kafka.control(Control::MoveLeader(tp(p), p + 1)));
        let dial = Arc::new(MemoryDial(kafka.clone()));
        let environment = Environment { dial, wall_clock_ms: Arc::new(|| 1_700_000_000_000), seed: 7 };
        let config = ClientConfig { bootstrap_servers: vec![kafka.bootstrap()], ..ClientConfig::default() };
        let client = Client::with_environment(config, environment).await.unwrap();
        Scene { kafka, client }
    }

    /// Appends `count` records in one batch; each says its own number.
    async fn write(&self, partition: i32, first: i64, count: i64) {
        let mut builder = BatchBuilder::new(Vec::new(), 1 << 20);
        for n in first..first + count {
            builder.append(&NewRecord::value(&n.to_be_bytes()), 1_700_000_000_000).unwrap();
        }
        let stamp = ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };
        let data = PartitionProduceData::default().with_index(partition).with_records(Some(builder.seal(stamp).into()));
        let name = StrBytes::from_static_str("t").into();
        let topic = TopicProduceData::default().with_name(name).with_partition_data(vec![data]);
        let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]);
        let metadata = self.client.cluster().topics(&["t".into()], Duration::from_secs(5)).await.unwrap();
        let leader = metadata.partition(&tp(partition)).unwrap().leader.unwrap();
        let connection = self.client.cluster().connection(leader, Lane::Data).await.unwrap();
        let answer = connection.call_at(9, &request, Duration::from_secs(5)).await.unwrap();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }

    fn consumer(&self, config: ConsumerConfig) -> Consumer {
        self.client.consumer(config).unwrap()
    }
}

fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

/// The numbers of the next records of any partition, with that partition; events between are passed over.
async fn next(consumer: &mut Consumer) -> (i32, Vec<i64>) {
    loop {
        let polled = tokio::time::timeout(Duration::from_secs(60), consumer.poll()).await.expect("records").unwrap();
        if let Polled::Records(records) = polled {
            let number = |value: Option<&[u8]>| i64::from_be_bytes(value.unwrap().try_into().unwrap());
            let numbers = records.iter().map(|r| number(r.unwrap().value)).collect();
            return (records.partition().partition, numbers);
        }
    }
}

/// Reads until `count` records of each partition are there.
async fn read(consumer: &mut Consumer, partitions: i32, count: usize) -> Vec<Vec<i64>> {
    let mut seen = vec![Vec::new(); partitions as usize];
    while seen.iter().any(|s| s.len() < count) {
        let (partition, numbers) = next(consumer).await;
        seen[partition as usize].extend(numbers);
    }
    seen
}

#[tokio::test(start_paused = true)]
async fn every_record_comes_once_and_nothing_is_fetched_twice() {
    let scene = Scene::new(3).await;
    for partition in 0..3 {
        for batch in 0..50 {
            scene.write(partition, batch * 20, 20).await;
        }
    }
    let asked: Arc<Mutex<BTreeMap<i32, Vec<i64>>>> = Arc::default();
    let log = asked.clone();
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        if let Some(Ok(fetch)) = request.decode::<FetchRequest>() {
            for partition in fetch.topics.iter().flat_map(|t| &t.partitions) {
                log.lock().unwrap().entry(partition.partition).or_default().push(partition.fetch_offset);
            }
        }
        Verdict::Pass
    }))));
    let mut consumer = scene.consumer(ConsumerConfig { queued_max_bytes: 64 * 1024, ..ConsumerConfig::default() });
    consumer.assign((0..3).map(|p| (tp(p), Position::Earliest)));
    let seen = read(&mut consumer, 3, 1000).await;
    assert!(seen.iter().all(|s| *s == (0..1000).collect::<Vec<_>>()));
    for offsets in asked.lock().unwrap().values() {
        assert!(offsets.is_sorted(), "a fetch never goes back: {offsets:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_swallows_fetches_delays_no_other() {
    let scene = Scene::new(2).await;
    scene.write(0, 0, 10).await;
    scene.kafka.control(Control::Intercept(Some(Box::new(|request| {
        if request.broker == 1 && request.is::<FetchRequest>() { Verdict::Drop } else { Verdict::Pass }
    }))));
    let mut consumer = scene.consumer(ConsumerConfig::default());
    consumer.assign((0..2).map(|p| (tp(p), Position::Earliest)));
    let began = Instant::now();
    for batch in 0..20 {
        scene.write(1, batch * 10, 10).await;
        assert_eq!(next(&mut consumer).await, (1, (batch * 10..batch * 10 + 10).collect()));
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    scene.kafka.control(Control::Intercept(None));
    assert_eq!(next(&mut consumer).await, (0, (0..10).collect()), "once the swallowed request has expired");
}

#[tokio::test(start_paused = true)]
async fn a_seek_and_a_resume_do_not_wait_for_a_fetch_that_waits_for_records() {
    let scene = Scene::new(1).await;
    scene.write(0, 0, 10).await;
    let mut consumer = scene.consumer(ConsumerConfig::default());
    consumer.assign([(tp(0), Position::Earliest)]);
    assert_eq!(next(&mut consumer).await.1.len(), 10);
    tokio::time::sleep(Duration::from_millis(100)).await;
    let began = Instant::now();
    consumer.seek(&tp(0), Position::Offset(7));
    assert_eq!(next(&mut consumer).await, (0, vec![7, 8, 9]));
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn reading_follows_the_leader_without_a_gap() {
    let scene = Scene::new(3).await;
    let mut consumer = scene.consumer(ConsumerConfig::default());
    consumer.assign([(tp(0), Position::Earliest)]);
    for round in 0..6 {
        scene.write(0, round * 10, 10).await;
        assert_eq!(next(&mut consumer).await, (0, (round * 10..round * 10 + 10).collect()));
        scene.kafka.control(Control::MoveLeader(tp(0), (round as i32 + 1) % 3 + 1));
        scene.client.cluster().refresh(&["t".into()]);
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_consumer_asks_twice_a_second_at_most_and_a_dropped_one_never() {
    let scene = Scene::new(1).await;
    let fetches = Arc::new(AtomicUsize::new(0));
    let count = fetches.clone();
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        count.fetch_add(usize::from(request.is::<FetchRequest>()), Ordering::SeqCst);
        Verdict::Pass
    }))));
    let mut consumer = scene.consumer(ConsumerConfig::default());
    consumer.assign([(tp(0), Position::Earliest)]);
    assert!(tokio::time::timeout(Duration::from_secs(10), next(&mut consumer)).await.is_err());
    let idle = fetches.load(Ordering::SeqCst);
    assert!((10..=23).contains(&idle), "{idle} in ten seconds");
    drop(consumer);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let before = fetches.load(Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(fetches.load(Ordering::SeqCst), before);
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_is_dropped_loses_nothing() {
    let scene = Scene::new(1).await;
    let mut consumer = scene.consumer(ConsumerConfig::default());
    consumer.assign([(tp(0), Position::Earliest)]);
    let mut seen = Vec::new();
    for batch in 0..30 {
        let (mut written, dropped_after) = (std::pin::pin!(scene.write(0, batch * 10, 10)), batch % 5);
        for _ in 0..dropped_after {
            let mut poll = std::pin::pin!(consumer.poll());
            let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(poll.as_mut().poll(cx))).await;
            assert!(!matches!(polled, std::task::Poll::Ready(Ok(Polled::Records(_)))), "not written yet");
        }
        written.as_mut().await;
        seen.extend(next(&mut consumer).await.1);
    }
    assert_eq!(seen, (0..300).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn a_dropped_consumer_tells_every_broker_that_its_session_is_over() {
    let scene = Scene::new(2).await;
    let closed = Arc::new(Mutex::new(std::collections::BTreeSet::new()));
    let seen = closed.clone();
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        if let Some(Ok(fetch)) = request.decode::<FetchRequest>()
            && fetch.session_epoch == -1
            && fetch.session_id != 0
        {
            seen.lock().unwrap().insert(request.broker);
        }
        Verdict::Pass
    }))));
    scene.write(0, 0, 5).await;
    scene.write(1, 0, 5).await;
    let mut consumer = scene.consumer(ConsumerConfig::default());
    consumer.assign([(tp(0), Position::Earliest), (tp(1), Position::Earliest)]);
    for _ in 0..2 {
        next(&mut consumer).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(closed.lock().unwrap().is_empty(), "a session that is used stays");
    let began = Instant::now();
    drop(consumer);
    assert_eq!(began.elapsed(), Duration::ZERO);
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(closed.lock().unwrap().iter().copied().collect::<Vec<_>>(), [1, 2]);
}
