//! Workload: an exactly-once job copies a topic while it is killed again and again and started at another parallelism.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use milena::NewRecord;
use milena::config::{ClientConfig, ConsumerConfig, ProducerConfig};
use milena::connector::kafka::{Discovery, KafkaSink, KafkaSource, StartingOffsets};
use milena::runtime::{Job, JobHandle};
use tokio::task::JoinHandle;

use super::plan::Plan;
use super::random::Random;
use super::truth::{Fate, PartitionLog};
use super::world::{Process, World};
use super::{Report, truth};

const INPUT: &str = "input";
const OUTPUT: &str = "output";

/// How long the job may take for what is left once everything is well.
const PATIENCE: Duration = Duration::from_secs(90);

/// Settings of one run, drawn from its seed.
#[derive(Clone, Debug)]
struct Knobs {
    client: ClientConfig,
    records: u64,
    interval: Duration,
    kills: u64,
    batch_size: usize,
}

impl Knobs {
    fn new(random: &mut Random) -> Self {
        let client = ClientConfig {
            request_timeout: random.millis(2_500..5_000),
            default_api_timeout: random.millis(5_000..15_000),
            ..ClientConfig::default()
        };
        let interval = random.millis(50..1_500);
        let kills = random.pick(&[0, 1, 3, 6]);
        Self {
            client,
            records: random.within(100..500),
            interval,
            kills,
            batch_size: random.pick(&[1 << 10, 16 << 10]),
        }
    }
}

/// Runs the workload under `plan`.
pub(super) async fn run(plan: Plan, is_verbose: bool) -> Report {
    let mut random = Random::new(plan.seed, "copy");
    let knobs = Knobs::new(&mut random);
    let world = Arc::new(World::start(plan, &[INPUT, OUTPUT], &["copy/0#0", "copy/0#1", "copy/1#0"], is_verbose));
    world.trace.note(|| format!("-- {knobs:?}"));
    let directory = Directory::new(world.plan.seed);
    let feeder = tokio::spawn(feed(world.clone(), knobs.clone()));
    let mut copy =
        Copy { world: world.clone(), knobs: knobs.clone(), directory: directory.0.clone(), random, started: 0 };
    for _ in 0..knobs.kills {
        let until = copy.random.millis(100..4_000);
        // Whatever the job was doing, it ends here.
        let _ = tokio::time::timeout(until, copy.run()).await;
    }
    let last = tokio::spawn(async move { copy.run().await });
    feeder.await.expect("the feeder does not panic");
    world.healed().await;
    let findings = finish(&world, last).await;
    world.close_eyes();
    Report::of(&world, findings, usize::try_from(knobs.records).unwrap_or(0) * 2)
}

/// Waits for the job to be done, stops it and compares the topics.
async fn finish(world: &World, job: JoinHandle<()>) -> Vec<String> {
    let deadline = world.elapsed() + PATIENCE;
    let mut findings = Vec::new();
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (input, output) = logs(world).await;
        let count = |logs: &[PartitionLog]| logs.iter().map(|log| log.committed().count()).sum::<usize>();
        if count(&output) >= count(&input) {
            break;
        }
        if world.elapsed() > deadline {
            findings.push(format!(
                "C7: {} of {} records copied {PATIENCE:?} after healing",
                count(&output),
                count(&input)
            ));
            break;
        }
    }
    // One more epoch or two, in which nothing may be added.
    tokio::time::sleep(Duration::from_secs(10)).await;
    job.abort();
    let _ = job.await;
    let (input, output) = logs(world).await;
    findings.extend(compare(&input, &output));
    findings
}

async fn logs(world: &World) -> (Vec<PartitionLog>, Vec<PartitionLog>) {
    let Plan { partitions, brokers, .. } = world.plan;
    let input = truth::read(&world.cluster, INPUT, partitions, brokers).await;
    (input, truth::read(&world.cluster, OUTPUT, partitions, brokers).await)
}

/// X1: each input once, in the order of its partition. X6: no transaction of a dead writer is open.
fn compare(input: &[PartitionLog], output: &[PartitionLog]) -> Vec<String> {
    let mut findings = Vec::new();
    let mut copies: BTreeMap<&[u8], u32> = BTreeMap::new();
    let origin: BTreeMap<&[u8], (usize, i64)> = input
        .iter()
        .enumerate()
        .flat_map(|(partition, log)| {
            log.committed().map(move |entry| (entry.value.as_slice(), (partition, entry.offset)))
        })
        .collect();
    for (partition, log) in output.iter().enumerate() {
        let mut last: BTreeMap<usize, i64> = BTreeMap::new();
        for entry in log.committed() {
            *copies.entry(&entry.value).or_default() += 1;
            let Some((from, offset)) = origin.get(entry.value.as_slice()) else {
                findings.push(format!("X1: output {partition}@{} is of no input", entry.offset));
                continue;
            };
            if last.insert(*from, *offset).is_some_and(|before| before >= *offset) {
                findings.push(format!("X1: input {from}@{offset} is out of order at {partition}@{}", entry.offset));
            }
        }
        if let Some(open) = log.entries.iter().find(|entry| entry.fate == Fate::Open) {
            findings.push(format!(
                "X6: a transaction of producer {} is open at {partition}@{}",
                open.producer_id, open.offset
            ));
        }
    }
    for (value, (partition, offset)) in &origin {
        let copies = copies.get(value).copied().unwrap_or(0);
        if copies != 1 {
            findings.push(format!("X1: input {partition}@{offset} was copied {copies} times"));
        }
    }
    findings
}

/// Writes the input, slowly, while the job runs.
async fn feed(world: Arc<World>, knobs: Knobs) {
    let mut random = Random::new(world.plan.seed, "feed");
    let process = loop {
        if let Ok(process) = world.process("feeder", ClientConfig::default()).await {
            break process;
        }
    };
    let producer = process.client.producer(ProducerConfig::default()).expect("settings that agree");
    let gap = world.plan.quiet_from() / u32::try_from(knobs.records).unwrap_or(1);
    let mut deliveries = tokio::task::JoinSet::new();
    for number in 0..knobs.records {
        let mut value = format!("{number}:").into_bytes();
        value.resize(value.len() + random.index(200), b'x');
        let partition = random.index(usize::try_from(world.plan.partitions).unwrap_or(1));
        let record = NewRecord::value(&value).with_partition(i32::try_from(partition).unwrap_or(0));
        if let Ok(delivery) = producer.enqueue(INPUT, record).await {
            deliveries.spawn(delivery);
        }
        if random.chance(0.2) {
            tokio::time::sleep(gap.mul_f64(random.within(0..1_000) as f64 / 100.0)).await;
        }
    }
    deliveries.join_all().await;
}

/// The job and its lives.
struct Copy {
    world: Arc<World>,
    knobs: Knobs,
    directory: PathBuf,
    random: Random,
    started: u32,
}

/// Dies with whoever holds it.
struct Life(Option<Process>);

impl Drop for Life {
    fn drop(&mut self) {
        self.0.take().into_iter().for_each(Process::kill);
    }
}

impl Copy {
    /// Runs the job, and again when it fails. Dropping this future kills it.
    async fn run(&mut self) {
        loop {
            if let Err(error) = self.live().await {
                self.world.trace.note(|| format!("the job ended: {error:?}"));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn live(&mut self) -> milena::Result<()> {
        self.started += 1;
        let process = self.world.process(&format!("job-{}", self.started), self.knobs.client.clone()).await?;
        let client = process.client.clone();
        let _life = Life(Some(process));
        let source = KafkaSource::topics(client.clone(), [INPUT])
            .config(self.reading())
            .start(StartingOffsets::Earliest)
            .commit_offsets_on_checkpoint(false)
            .discovery(Discovery::Once);
        let sink = KafkaSink::new(client, OUTPUT).config(self.writing()).exactly_once("copy");
        let job: JobHandle = Job::new("copy", source, sink)
            .parallelism(u32::try_from(self.random.index(3)).unwrap_or(0) + 1)
            .checkpoints(&self.directory, self.knobs.interval)
            .start()
            .await?;
        self.world.trace.note(|| "the job runs".into());
        job.wait().await
    }

    fn reading(&self) -> ConsumerConfig {
        ConsumerConfig {
            isolation_level: milena::IsolationLevel::ReadCommitted,
            max_partition_fetch_bytes: 2_000,
            ..ConsumerConfig::default()
        }
    }

    fn writing(&self) -> ProducerConfig {
        ProducerConfig {
            batch_size: self.knobs.batch_size,
            delivery_timeout: Duration::from_secs(20),
            ..ProducerConfig::default()
        }
    }
}

/// A directory of its own, gone when the run is over.
struct Directory(PathBuf);

impl Directory {
    fn new(seed: u64) -> Self {
        // Memory where there is some: power cuts are not what this is about.
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let thread = std::thread::current().id();
        let path = base.join(format!("milena-sim-{}-{thread:?}-{seed}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
