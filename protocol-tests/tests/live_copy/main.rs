//! `milena copy --guarantee exactly-once` on real Kafka, killed again and again: Java reads every input once, in order.
#![cfg(feature = "live-kafka")]

mod lost;
mod scene;

use std::time::{Duration, Instant};

use protocol_tests::live::{CopyReport, LiveKafka, Options, SecuredKafka};
use protocol_tests::milena_bin::Running;
use protocol_tests::security::{CANARY, assert_nothing_leaked};
use rand::RngExt;
use rand::rngs::StdRng;
use scene::{Feeder, Scene, Watcher, dice, setting, show, up_to};

/// No committed record for this long is a hang. A broker's failover takes 4 s at most.
const PATIENCE: Duration = Duration::from_secs(60);

const EVERY_100_MS: &[&str] = &["--checkpoint-interval", "100ms"];

fn start(scene: &Scene<'_>) -> Running {
    scene.copy(EVERY_100_MS).spawn()
}

fn must_run(copy: &mut Running) {
    assert!(copy.is_running(), "the copy ended by itself: {}", copy.stderr());
}

/// One copying process after another, each killed with -9.
struct Killing<'a> {
    scene: &'a Scene<'a>,
    watcher: Watcher,
    copy: Running,
    killed: Instant,
    /// From each kill to the first new committed record, the restart included.
    recoveries: Vec<Duration>,
}

impl<'a> Killing<'a> {
    fn new(scene: &'a Scene<'a>) -> Self {
        let (watcher, copy) = (Watcher::start(scene), start(scene));
        Killing { scene, watcher, copy, killed: Instant::now(), recoveries: Vec::new() }
    }

    /// Waits until the copy has made progress.
    fn wait_for_output(&mut self) {
        let copy = &mut self.copy;
        self.watcher.beyond(self.watcher.seen(), PATIENCE, || must_run(copy));
    }

    fn kill_and_restart(&mut self) {
        must_run(&mut self.copy);
        self.killed = Instant::now();
        self.copy.kill9();
        assert_nothing_leaked(&self.copy.stderr());
        self.copy = start(self.scene);
    }

    /// One cycle: output, a random while, the kill; in one cycle of four once more while it recovers.
    fn cycle(&mut self, dice: &mut StdRng) {
        self.wait_for_output();
        std::thread::sleep(up_to(dice, 300));
        self.kill_and_restart();
        if dice.random_range(0..4) == 0 {
            std::thread::sleep(up_to(dice, 200));
            self.kill_and_restart();
        }
        // What the killed process had committed becomes visible a few milliseconds later: that is not recovery.
        std::thread::sleep(Duration::from_millis(10));
        self.wait_for_output();
        self.recoveries.push(self.killed.elapsed());
    }

    /// Stops the input, waits for the last record, and lets Java judge everything.
    fn judge(mut self, feeder: Feeder) {
        let (total, copy) = (feeder.stop(), &mut self.copy);
        self.watcher.beyond(total - 1, PATIENCE, || must_run(copy));
        std::thread::sleep(Duration::from_secs(10).saturating_sub(self.killed.elapsed()));
        let (allowed, states) = (self.scene.ids(), self.scene.transactions());
        let is_well = |(id, is_open): &(String, bool)| !is_open && allowed.contains(id);
        assert!(states.len() >= 4 && states.iter().all(is_well), "ten seconds after the last restart: {states:?}");
        must_run(&mut self.copy);
        self.copy.signal("TERM");
        let copied = self.copy.wait();
        assert_nothing_leaked(&copied.stderr);
        assert_eq!(copied.ok(), "");
        let (java, at) = (self.scene.kafka.java(), self.scene.kafka.bootstrap());
        let report = java.verify_copy(&at, &self.scene.output(), total, scene::PARTITIONS);
        assert_eq!(report, CopyReport::exact(total.try_into().expect("fewer than that")));
        self.recoveries.sort_unstable();
        let [p50, max] = [self.recoveries.len() / 2, self.recoveries.len() - 1].map(|at| self.recoveries[at]);
        let kills = self.recoveries.len();
        show(&format!(
            "{}: {total} records once and in order, {} ids; {kills} times kill -9 to new committed output: p50 {p50:?}, longest {max:?}",
            self.scene.output(),
            states.len()
        ));
    }
}

/// `MILENA_CYCLES=300` makes it longer.
#[test]
fn killed_at_random_moments_every_record_is_there_once_and_in_order() {
    let mut dice = dice();
    let scene = Scene::new(LiveKafka::shared(), "killed", 1);
    let feeder = Feeder::start(&scene);
    let mut killing = Killing::new(&scene);
    for _ in 0..setting("MILENA_CYCLES", 30) {
        killing.cycle(&mut dice);
    }
    killing.judge(feeder);
}

/// The same behind TLS and SASL. `MILENA_SECURED_CYCLES` says how often.
#[test]
fn over_sasl_and_tls_every_record_is_there_once_and_in_order() {
    for version in ["4.4.0", "3.9.1"] {
        kill_secured(&SecuredKafka::start(version, CANARY), setting("MILENA_SECURED_CYCLES", 10));
    }
}

fn kill_secured(kafka: &SecuredKafka, cycles: u32) {
    let scene = Scene::secured(kafka, "killed-secured", CANARY);
    let (mut dice, feeder) = (dice(), Feeder::start(&scene));
    let mut killing = Killing::new(&scene);
    for _ in 0..cycles {
        killing.cycle(&mut dice);
    }
    killing.judge(feeder);
}

/// The copy as well as one broker of three is killed in every cycle. `MILENA_BROKER_CYCLES` says how often.
#[test]
fn with_brokers_killed_as_well_every_record_is_there_once_and_in_order() {
    let mut dice = dice();
    let kafka = LiveKafka::start(Options::three_nodes());
    let scene = Scene::new(&kafka, "brokers", 3);
    let feeder = Feeder::start(&scene);
    let mut killing = Killing::new(&scene);
    for _ in 0..setting("MILENA_BROKER_CYCLES", 10) {
        let node = dice.random_range(1..=3);
        killing.wait_for_output();
        std::thread::sleep(up_to(&mut dice, 300));
        kafka.kill9(node);
        std::thread::sleep(up_to(&mut dice, 1500));
        killing.cycle(&mut dice);
        kafka.restart(node);
        in_sync(&kafka, &scene);
    }
    killing.judge(feeder);
}

/// Two more nodes would be one too many: the next is killed when all replicas are there again.
fn in_sync(kafka: &LiveKafka, scene: &Scene<'_>) {
    let deadline = Instant::now() + PATIENCE;
    for topic in [scene.input(), scene.output(), "__transaction_state".into()] {
        while kafka.java().describe_topic(&kafka.bootstrap(), &topic).partitions.iter().any(|p| p.isr.len() < 3) {
            assert!(Instant::now() < deadline, "{topic} is not in sync again\n{}", kafka.log_tail());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}
