//! Runs many seeds on all cores, and says of a red one how to see it again.

use std::ops::Range;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use super::plan::Plan;
use super::{Report, Workload, run};

/// The seeds of one test, by default or by wish of the person who runs it.
#[derive(Clone, Debug)]
pub struct Suite {
    workload: Workload,
    seeds: Range<u64>,
    is_replay: bool,
}

/// What to type to see a seed again, with its trace.
pub fn replay_command(workload: Workload, seed: u64) -> String {
    let test = format!("{workload:?}").to_lowercase();
    format!("MILENA_SEED={seed} cargo test -p protocol-tests --test simulation {test} -- --nocapture")
}

impl Suite {
    /// `seeds` of `workload`, unless `MILENA_SEED` or `MILENA_SEEDS` says otherwise.
    ///
    /// # Panics
    /// If one of them is set to something else than a number, or a range `a..b`.
    pub fn new(workload: Workload, seeds: Range<u64>) -> Self {
        if let Ok(one) = std::env::var("MILENA_SEED") {
            let seed = one.parse().unwrap_or_else(|_| panic!("MILENA_SEED={one}: it takes a number"));
            return Self { workload, seeds: seed..seed + 1, is_replay: true };
        }
        let Ok(range) = std::env::var("MILENA_SEEDS") else { return Self { workload, seeds, is_replay: false } };
        let ends = range.split_once("..").and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
        let (from, to) = ends.unwrap_or_else(|| panic!("MILENA_SEEDS={range}: it takes a range like 0..100"));
        Self { workload, seeds: from..to, is_replay: false }
    }

    /// Runs them all.
    ///
    /// # Panics
    /// If any of them broke a promise, naming each with the command that replays it.
    pub fn check(self) {
        if self.is_replay {
            return self.replay();
        }
        let next = AtomicU64::new(self.seeds.start);
        let red = Mutex::new(Vec::new());
        let operations = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(2, usize::from) {
                scope.spawn(|| {
                    while let Some(seed) = self.take(&next) {
                        let report = run_caught(self.workload, seed);
                        operations.fetch_add(report.operations as u64, Ordering::Relaxed);
                        if !report.findings.is_empty() {
                            red.lock().expect("no thread panics here").push((seed, report.findings));
                        }
                    }
                });
            }
        });
        let mut red = red.into_inner().expect("no thread panics here");
        red.sort();
        let (count, operations) = (self.seeds.end - self.seeds.start, operations.into_inner());
        println!("{:?}: {count} seeds, {operations} operations, {} red", self.workload, red.len());
        assert!(red.is_empty(), "{}", self.describe(&red));
    }

    fn take(&self, next: &AtomicU64) -> Option<u64> {
        let seed = next.fetch_add(1, Ordering::Relaxed);
        (seed < self.seeds.end).then_some(seed)
    }

    fn replay(&self) {
        let plan = Plan::new(self.seeds.start);
        println!("{plan}");
        let report = run(self.workload, plan, true);
        let Report { findings, hash, requests, operations, elapsed, lines } = &report;
        println!("{lines}");
        println!("{operations} operations, {requests} requests, {elapsed:?} of virtual time, trace {hash:016x}");
        assert!(findings.is_empty(), "seed {}:\n  {}", self.seeds.start, findings.join("\n  "));
    }

    fn describe(&self, red: &[(u64, Vec<String>)]) -> String {
        let mut text = format!("{} of {} seeds broke a promise:\n", red.len(), self.seeds.end - self.seeds.start);
        for (seed, findings) in red.iter().take(10) {
            let shown: Vec<String> =
                findings.iter().take(4).map(|finding| finding.chars().take(300).collect()).collect();
            text += &format!("seed {seed}:\n  {}\n  {}\n", shown.join("\n  "), replay_command(self.workload, *seed));
        }
        text
    }
}

/// A panic of the client is a finding, too, and must not hide which seed it was.
fn run_caught(workload: Workload, seed: u64) -> Report {
    std::panic::catch_unwind(|| run(workload, Plan::new(seed), false)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        let findings = vec![format!("S1: panic: {}", text.unwrap_or_default())];
        Report { findings, hash: 0, requests: 0, operations: 0, elapsed: Default::default(), lines: String::new() }
    })
}
