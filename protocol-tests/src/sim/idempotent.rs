//! Workload: idempotent producers append from several lanes while the cluster fails under them, and a reader follows.

use std::sync::Arc;
use std::time::Duration;

use milena::config::{ClientConfig, ProducerConfig};
use milena::producer::{Producer, Topic};
use milena::{NewRecord, Result};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::history::{History, Outcome, Row, Sent};
use super::plan::Plan;
use super::random::Random;
use super::tail::{self, Delivered};
use super::world::{Process, START_MS, World};
use super::{Report, abandon, check, truth};

const TOPIC: &str = "events";
/// Quiet time before the logs are looked at.
const AFTERMATH: Duration = Duration::from_secs(20);

/// Settings of one run, drawn from its seed.
#[derive(Clone, Debug)]
struct Knobs {
    client: ClientConfig,
    producer: ProducerConfig,
    producers: u64,
    lanes: u64,
    ops_per_lane: u64,
    largest_value: u64,
    /// How many producers of a hundred are killed at some moment.
    kills: f64,
}

impl Knobs {
    fn new(random: &mut Random) -> Self {
        let request_timeout = random.millis(800..5_000);
        let linger = random.pick(&[0, 0, 1, 5, 50]);
        let delivery = Duration::from_millis(linger) + request_timeout + random.millis(0..15_000);
        let client = ClientConfig { request_timeout, ..ClientConfig::default() };
        let producer = ProducerConfig {
            linger: Duration::from_millis(linger),
            batch_size: random.pick(&[1 << 10, 2 << 10, 4 << 10, 16 << 10, 64 << 10]),
            buffer_memory: random.pick(&[64 << 10, 256 << 10, 32 << 20]),
            max_in_flight_requests_per_connection: random.index(5) + 1,
            delivery_timeout: delivery,
            max_block: random.millis(500..30_000),
            ..ProducerConfig::default()
        };
        let (producers, lanes) = (random.within(1..4), random.within(1..4));
        let ops_per_lane = random.within(200..1_000) / (producers * lanes);
        let largest_value = random.pick(&[40, 100, 400, 4_000]);
        Self { client, producer, producers, lanes, ops_per_lane, largest_value, kills: random.pick(&[0.0, 0.0, 0.3]) }
    }

    /// P6: how long an answer may take.
    fn patience(&self) -> Duration {
        self.producer.delivery_timeout + self.client.request_timeout + Duration::from_secs(1)
    }
}

/// Runs the workload under `plan`.
pub(super) async fn run(plan: Plan, is_verbose: bool) -> Report {
    let mut random = Random::new(plan.seed, "idempotent");
    let knobs = Knobs::new(&mut random);
    let world = Arc::new(World::start(plan, &[TOPIC], &[], is_verbose));
    world.trace.note(|| format!("-- {knobs:?}"));
    let history = History::default();
    let delivered = Delivered::default();
    let has_reader = random.chance(0.5);
    let reader = has_reader.then(|| tokio::spawn(tail::follow(world.clone(), TOPIC, delivered.clone(), random)));
    let mut findings = Vec::new();
    let mut producers = JoinSet::new();
    for number in 0..knobs.producers {
        let process = world.process(&format!("producer-{number}"), knobs.client.clone()).await;
        let (seed, partitions) = (world.plan.seed, world.plan.partitions.unsigned_abs().into());
        let work = Work { number, knobs: knobs.clone(), history: history.clone(), seed, partitions };
        match process {
            Ok(process) => drop(producers.spawn(work.run(process, world.plan.quiet_from()))),
            // A client may fail to connect to a cluster that is down for longer than its patience.
            Err(error) => world.trace.note(|| format!("producer-{number} did not connect: {error}")),
        }
    }
    while let Some(done) = producers.join_next().await {
        findings.extend(done.expect("a workload does not panic"));
    }
    world.healed().await;
    // Requests may outlive their producers by the longest delay there is, and readers need a while.
    tokio::time::sleep(AFTERMATH).await;
    world.close_eyes();
    let logs = truth::read(&world.cluster, TOPIC, world.plan.partitions, world.plan.brokers).await;
    findings.extend(check::sends(&history.rows(), &logs, knobs.patience()));
    if let Some(reader) = reader {
        reader.abort();
        findings.extend(delivered.check(&logs));
    }
    Report::of(&world, findings, history.len())
}

/// One producer's work.
#[derive(Clone, Debug)]
struct Work {
    number: u64,
    knobs: Knobs,
    history: History,
    seed: u64,
    partitions: u64,
}

impl Work {
    fn lane_id(&self, lane: u64) -> usize {
        usize::try_from(self.number * 10 + lane).expect("few lanes")
    }

    async fn run(self, process: Process, quiet_from: Duration) -> Vec<String> {
        let mut random = Random::new(self.seed, &format!("producer-{}", self.number));
        let killed_at =
            random.chance(self.knobs.kills).then(|| quiet_from.mul_f64(random.within(1..100) as f64 / 100.0));
        let producer = process.client.producer(self.knobs.producer.clone()).expect("settings that agree");
        let all = self.clone().lanes(producer, quiet_from);
        let Some(killed_at) = killed_at else { return all.await };
        let rest = tokio::time::timeout(killed_at, all).await;
        process.kill();
        (0..self.knobs.lanes).for_each(|lane| self.history.killed(self.lane_id(lane)));
        rest.unwrap_or_default()
    }

    async fn lanes(self, producer: Producer, quiet_from: Duration) -> Vec<String> {
        let mut lanes = JoinSet::new();
        for lane in 0..self.knobs.lanes {
            let random = Random::new(self.seed, &format!("lane-{}-{lane}", self.number));
            let gap = quiet_from.as_micros() / u128::from(self.knobs.ops_per_lane.max(1));
            let gap = Duration::from_micros(u64::try_from(gap).unwrap_or(0));
            let lane = Lane { id: self.lane_id(lane), work: self.clone(), random, gap, findings: Vec::new() };
            lanes.spawn(lane.run(producer.clone()));
        }
        let mut findings = Vec::new();
        while let Some(done) = lanes.join_next().await {
            findings.extend(done.expect("a lane does not panic"));
        }
        let before = Instant::now();
        // Its result is the first failure, which the history knows already.
        let _ = producer.close().await;
        findings.extend(late("P6: close", before, self.knobs.patience()));
        findings
    }
}

fn late(what: &str, since: Instant, allowed: Duration) -> Option<String> {
    (since.elapsed() > allowed).then(|| format!("{what} took {:?}, allowed {allowed:?}", since.elapsed()))
}

/// One caller of a producer: what it appends, it appends in this order.
struct Lane {
    id: usize,
    work: Work,
    random: Random,
    gap: Duration,
    findings: Vec<String>,
}

impl Lane {
    async fn run(mut self, producer: Producer) -> Vec<String> {
        let Some(topic) = self.topic(&producer).await else { return self.findings };
        let mut deliveries = JoinSet::new();
        for _ in 0..self.work.knobs.ops_per_lane {
            self.pause().await;
            match self.random.index(40) {
                0 => self.begin_and_leave(&producer).await,
                1 => self.send(&producer).await,
                2 => drop(producer.flush().await),
                _ => self.enqueue(&topic, &mut deliveries).await,
            }
        }
        while deliveries.join_next().await.is_some() {}
        self.findings
    }

    /// The handle, asked for until the cluster is well enough to give it.
    async fn topic(&mut self, producer: &Producer) -> Option<Topic> {
        for _ in 0..60 {
            let before = Instant::now();
            let topic = producer.topic(TOPIC).await;
            self.findings.extend(late("P6: a topic handle", before, self.patience()));
            if let Ok(topic) = topic {
                return Some(topic);
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.findings.push("C7: no topic handle long after everything healed".into());
        None
    }

    fn patience(&self) -> Duration {
        self.work.knobs.producer.max_block + self.work.knobs.client.request_timeout + Duration::from_secs(1)
    }

    async fn pause(&mut self) {
        if self.random.chance(0.3) {
            let gap = u64::try_from(self.gap.as_micros()).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(self.random.within(0..gap * 6 + 1))).await;
        }
    }

    /// A record nobody else sends, and its row.
    fn record(&mut self) -> (Row, Sent) {
        let history = &self.work.history;
        let mut value = format!("{}.{}:", self.id, history.len()).into_bytes();
        let length = usize::try_from(self.random.within(0..self.work.knobs.largest_value)).unwrap_or(0);
        value.resize(value.len().max(length), b'x');
        let any = i32::try_from(self.random.within(0..self.work.partitions)).unwrap_or(0);
        let sent = Sent {
            producer: self.id,
            partition: self.random.chance(0.6).then_some(any),
            value,
            key: self
                .random
                .chance(0.5)
                .then(|| vec![b'k', b'0' + u8::try_from(self.random.within(0..8)).unwrap_or(0)]),
            timestamp_ms: START_MS + i64::try_from(self.random.within(0..100_000)).unwrap_or(0),
            transaction: None,
            sent_at: Instant::now(),
            took: None,
            outcome: Outcome::Pending,
        };
        (history.begin(sent.clone()), sent)
    }

    async fn enqueue(&mut self, topic: &Topic, deliveries: &mut JoinSet<()>) {
        let (row, sent) = self.record();
        let before = Instant::now();
        let accepted = topic.enqueue(record_of(&sent)).await;
        self.findings.extend(late("P6: enqueue", before, self.patience()));
        let history = self.work.history.clone();
        history.appended(row);
        match accepted {
            Ok(delivery) => drop(deliveries.spawn(async move { history.end(row, &delivery.await) })),
            Err(error) => history.end(row, &Err(error)),
        }
    }

    async fn send(&mut self, producer: &Producer) {
        let (row, sent) = self.record();
        let answer = producer.send(TOPIC, record_of(&sent)).await;
        // The call may have waited for space before its time began.
        if answer.is_err() {
            self.work.history.appended(row);
        }
        self.work.history.end(row, &answer);
    }

    /// Polls a send some times and drops it: the record may be written or not, once, in its order.
    async fn begin_and_leave(&mut self, producer: &Producer) {
        let (row, sent) = self.record();
        let polls = self.random.index(4) + 1;
        let answer: Option<Result<_>> = {
            let call = producer.send(TOPIC, record_of(&sent));
            abandon(call, polls).await
        };
        match answer {
            Some(answer) => self.work.history.end(row, &answer),
            None => self.work.history.settle(row, Outcome::Unknown),
        }
    }
}

fn record_of(sent: &Sent) -> NewRecord<'_> {
    NewRecord {
        key: sent.key.as_deref(),
        value: Some(&sent.value),
        headers: &[],
        timestamp_ms: Some(sent.timestamp_ms),
        partition: sent.partition,
    }
}
