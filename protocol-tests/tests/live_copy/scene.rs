//! What every proof of the copy needs: input that never pauses, an eye on the output, and dice.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use milena::Client;
use milena::config::ConsumerConfig;
use milena::consumer::Polled;
use milena::{IsolationLevel, Position, TopicPartition};
use protocol_tests::live::{JavaSide, Listener, LiveKafka, SecuredKafka, Write};
use protocol_tests::milena_bin::{Milena, Scratch, milena};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Partitions of input and output.
pub(crate) const PARTITIONS: u32 = 4;

/// Records Java writes before it looks whether it may stop.
const CHUNK: u64 = 400;

/// `MILENA_SEED`, or a new one. It is printed: a test prints what it said only if it failed.
pub(crate) fn dice() -> StdRng {
    let named = std::env::var("MILENA_SEED").ok().map(|seed| seed.parse().expect("MILENA_SEED is a number"));
    let seed = named
        .unwrap_or_else(|| SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |age| age.subsec_nanos().into()));
    println!("MILENA_SEED={seed} replays the moments of this run");
    StdRng::seed_from_u64(seed)
}

/// Shown even if the test succeeds.
pub(crate) fn show(line: &str) {
    let _ = writeln!(std::io::stderr(), "\n{line}");
}

/// A number from the environment.
pub(crate) fn setting(name: &str, default: u32) -> u32 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap_or_else(|_| panic!("{name} is a number")))
}

/// A duration up to `ms` milliseconds.
pub(crate) fn up_to(dice: &mut StdRng, ms: u64) -> Duration {
    Duration::from_micros(dice.random_range(0..=ms * 1000))
}

/// Topics of one proof, and where its copies keep their checkpoints.
pub(crate) struct Scene<'a> {
    pub(crate) kafka: &'a LiveKafka,
    name: &'static str,
    scratch: Scratch,
    /// Where the copy connects to, and the settings that takes.
    brokers: String,
    reach: Vec<String>,
}

impl<'a> Scene<'a> {
    pub(crate) fn new(kafka: &'a LiveKafka, name: &'static str, replicas: u16) -> Self {
        for topic in ["in", "out"] {
            let topic = format!("{name}-{topic}");
            kafka.java().create_topic(&kafka.bootstrap(), &topic, PARTITIONS, replicas, &[]);
        }
        Scene { kafka, name, scratch: Scratch::new(name), brokers: kafka.bootstrap(), reach: Vec::new() }
    }

    /// The same on a secured broker, which the copy reaches by SASL inside TLS, telling all it does. Java goes on over the
    /// open listener.
    pub(crate) fn secured(secured: &'a SecuredKafka, name: &'static str, password: &str) -> Self {
        let mut scene = Self::new(&secured.kafka, name, 1);
        let authority = scene.scratch.path("ca.pem");
        std::fs::write(&authority, &secured.authority.certificate).expect("the scratch directory is writable");
        let properties = [
            "security.protocol=SASL_SSL".to_owned(),
            "sasl.mechanism=SCRAM-SHA-512".to_owned(),
            "sasl.username=alice".to_owned(),
            format!("sasl.password={password}"),
            format!("ssl.truststore.location={authority}"),
        ];
        scene.brokers = secured.address(Listener::SaslTls);
        scene.reach = properties.into_iter().flat_map(|property| ["-X".to_owned(), property]).collect();
        scene.reach.push("-vvv".into());
        scene
    }

    pub(crate) fn input(&self) -> String {
        format!("{}-in", self.name)
    }

    pub(crate) fn output(&self) -> String {
        format!("{}-out", self.name)
    }

    /// The checkpoint directory.
    pub(crate) fn directory(&self) -> String {
        self.scratch.path("checkpoints")
    }

    /// The copy, exactly once, with two writers, under ids of the scene's name.
    pub(crate) fn copy(&self, more: &[&str]) -> Milena {
        let (at, input, output, directory) = (&self.brokers, self.input(), self.output(), self.directory());
        milena(["copy", "-b", at, "--from", &input, "--to", &output, "--checkpoint-dir", &directory])
            .args(["--guarantee", "exactly-once", "--parallelism", "2", "--start", "earliest", "--keep-partitions"])
            .args(["--id-prefix", self.name])
            .args(&self.reach)
            .args(more)
    }

    /// The ids the copy may use, whatever happens: each of two writers has two slots, and 30 names to fall back on when a
    /// process dies in the middle of asking for one.
    pub(crate) fn ids(&self) -> BTreeSet<String> {
        (0..2)
            .flat_map(|writer| (0..32).map(move |n| (writer, n)))
            .map(|(w, n)| format!("{}/{w}#{n}", self.name))
            .collect()
    }

    /// State of each transaction of the copy, as Java's Admin lists them, by id.
    pub(crate) fn transactions(&self) -> Vec<(String, bool)> {
        let listed = self.kafka.java().transactions(&self.kafka.bootstrap(), &format!("{}/", self.name));
        let mut states: Vec<_> = listed.into_iter().map(|t| (t.transactional_id.clone(), t.is_open())).collect();
        states.sort();
        states
    }
}

/// Java writes the input, in order per partition, until told to stop.
pub(crate) struct Feeder {
    stop: Arc<AtomicBool>,
    written: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Feeder {
    pub(crate) fn start(scene: &Scene<'_>) -> Feeder {
        let (stop, written) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (at, topic) = (scene.kafka.bootstrap(), scene.input());
        let (stopped, count) = (Arc::clone(&stop), Arc::clone(&written));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                let first_sequence = count.load(Ordering::Relaxed) / u64::from(PARTITIONS);
                let write = Write { first_sequence, ..Write::records(CHUNK, PARTITIONS) };
                JavaSide::shared().write(&at, &topic, &write);
                count.fetch_add(CHUNK, Ordering::Relaxed);
            }
        });
        Feeder { stop, written, thread }
    }

    /// Records written, after the last one.
    pub(crate) fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("Java writes");
        self.written.load(Ordering::Relaxed)
    }
}

/// Counts the committed records of a topic as they come. A gauge for the pace of a test; Java is the judge.
pub(crate) struct Watcher {
    seen: Arc<AtomicU64>,
    _runtime: tokio::runtime::Runtime,
}

impl Watcher {
    pub(crate) fn start(scene: &Scene<'_>) -> Watcher {
        let seen = Arc::new(AtomicU64::new(0));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("threads can be had");
        runtime.spawn(count(scene.kafka.bootstrap(), scene.output(), Arc::clone(&seen)));
        Watcher { seen, _runtime: runtime }
    }

    pub(crate) fn seen(&self) -> u64 {
        self.seen.load(Ordering::Relaxed)
    }

    /// Waits until more than `count` records are committed.
    pub(crate) fn beyond(&self, count: u64, patience: Duration, mut goes_on: impl FnMut()) {
        let deadline = Instant::now() + patience;
        while self.seen() <= count {
            goes_on();
            assert!(Instant::now() < deadline, "{} committed, never more than {count}", self.seen());
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

async fn count(at: String, topic: String, seen: Arc<AtomicU64>) {
    let config = ConsumerConfig {
        isolation_level: IsolationLevel::ReadCommitted,
        fetch_max_wait: Duration::from_millis(50),
        ..ConsumerConfig::default()
    };
    let client = Client::connect(&at).await.expect("the cluster is up");
    let mut consumer = client.consumer(config).expect("the settings are good");
    let partitions =
        (0..).take(PARTITIONS as usize).map(|n| (TopicPartition::new(topic.as_str(), n), Position::Earliest));
    consumer.assign(partitions);
    loop {
        if let Polled::Records(records) = consumer.poll().await.expect("the gauge reads on") {
            let count = records.into_iter().count();
            seen.fetch_add(count as u64, Ordering::Relaxed);
        }
    }
}
