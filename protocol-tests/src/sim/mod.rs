//! Seeded simulation: the real client, the in-memory broker and virtual time; one seed is one run, and one trace.
//!
//! `MILENA_SEED=n` replays one seed and prints its trace; `MILENA_SEEDS=a..b` runs a range.

mod check;
mod copy;
mod history;
mod idempotent;
mod late;
mod moves;
mod network;
mod plan;
mod random;
mod runner;
mod slot;
mod tail;
mod trace;
mod transactions;
mod truth;
mod weather;
mod world;

use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

pub use plan::{Fault, Incident, Phase, Plan};
pub use runner::{Suite, replay_command};

use world::World;

/// What the client is made to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Workload {
    /// Idempotent producers.
    Idempotent,
    /// Transactional producers with a reader of committed records.
    Transactions,
    /// An exactly-once job that is killed and restarted.
    Copy,
}

/// How a run went.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Broken promises, each beginning with its number in the list of invariants. None is the goal.
    pub findings: Vec<String>,
    /// All that the cluster saw and said, with its times, as one number.
    pub hash: u64,
    /// How many requests reached the cluster.
    pub requests: u64,
    /// How many operations the workload did.
    pub operations: usize,
    /// How long it took in virtual time.
    pub elapsed: Duration,
    /// The trace, if the run was verbose.
    pub lines: String,
}

impl Report {
    fn of(world: &World, mut findings: Vec<String>, operations: usize) -> Self {
        let trace = &world.trace;
        findings.extend(trace.faults());
        let (hash, requests, lines) = (trace.hash(), trace.requests(), trace.take_lines());
        Self { findings, hash, requests, operations, elapsed: world.elapsed(), lines }
    }
}

/// Longest a run may take in virtual time before it counts as stuck.
const LONGEST: Duration = Duration::from_secs(1_200);

/// Runs one seed on this thread. The same arguments give the same report.
pub fn run(workload: Workload, plan: Plan, is_verbose: bool) -> Report {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.expect("a runtime without sockets needs nothing from the system");
    let all = async {
        match workload {
            Workload::Idempotent => idempotent::run(plan, is_verbose).await,
            Workload::Transactions => transactions::run(plan, is_verbose).await,
            Workload::Copy => copy::run(plan, is_verbose).await,
        }
    };
    let ended = runtime.block_on(async { tokio::time::timeout(LONGEST, all).await });
    ended.unwrap_or_else(|_| Report {
        findings: vec![format!("C7: the run is not over after {LONGEST:?} of virtual time")],
        hash: 0,
        requests: 0,
        operations: 0,
        elapsed: LONGEST,
        lines: String::new(),
    })
}

/// Polls `future` at most `polls` times and drops it; its result if it came to one.
async fn abandon<T>(future: impl Future<Output = T>, polls: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
        Poll::Ready(value) => Poll::Ready(Some(value)),
        Poll::Pending if left <= 1 => Poll::Ready(None),
        Poll::Pending => {
            left -= 1;
            Poll::Pending
        }
    })
    .await
}
