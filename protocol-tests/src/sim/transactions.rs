//! Workload: transactions that are committed, aborted, prepared, abandoned and fenced, with a reader behind them.

use std::sync::Arc;
use std::time::Duration;

use milena::config::{ClientConfig, ProducerConfig};
use tokio::task::JoinSet;

use super::history::History;
use super::moves::Moves;
use super::plan::Plan;
use super::random::Random;
use super::slot::Slot;
use super::tail::{self, Delivered};
use super::world::World;
use super::{Report, check, moves, truth};

/// The topic all transactions write to.
pub(super) const TOPIC: &str = "ledger";
const IDS: [&str; 4] = ["slot-0", "slot-1", "slot-2", "slot-3"];

/// What became of a transaction, as its owner was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    /// Committed.
    Committed,
    /// Definitely not committed, now or ever.
    Aborted,
    /// Either, but all of it.
    Unknown,
}

/// Settings of one run, drawn from its seed.
#[derive(Clone, Debug)]
pub(super) struct Knobs {
    pub(super) client: ClientConfig,
    pub(super) producer: ProducerConfig,
    pub(super) slots: usize,
    pub(super) transactions: u64,
    pub(super) most_records: u64,
}

impl Knobs {
    fn new(random: &mut Random) -> Self {
        let request_timeout = random.millis(800..3_000);
        let linger = Duration::from_millis(random.pick(&[0, 0, 1, 5]));
        let default_api_timeout = random.millis(5_000..20_000);
        let client = ClientConfig { request_timeout, default_api_timeout, ..ClientConfig::default() };
        let producer = ProducerConfig {
            linger,
            batch_size: random.pick(&[1 << 10, 4 << 10, 16 << 10]),
            max_in_flight_requests_per_connection: random.index(5) + 1,
            delivery_timeout: linger + request_timeout + random.millis(0..15_000),
            transaction_timeout: random.millis(3_000..40_000),
            ..ProducerConfig::default()
        };
        let slots = random.index(IDS.len()) + 1;
        let transactions = random.within(10..60) / slots as u64 + 1;
        Self { client, producer, slots, transactions, most_records: random.pick(&[4, 12, 40]) }
    }

    /// Long enough for the broker to end whatever was left open.
    fn aftermath(&self) -> Duration {
        self.producer.transaction_timeout + Duration::from_secs(15)
    }
}

/// Runs the workload under `plan`.
pub(super) async fn run(plan: Plan, is_verbose: bool) -> Report {
    let mut random = Random::new(plan.seed, "transactions");
    let knobs = Knobs::new(&mut random);
    let world = Arc::new(World::start(plan, &[TOPIC], &IDS[..knobs.slots], is_verbose));
    world.trace.note(|| format!("-- {knobs:?}"));
    let (history, moves, delivered) = (History::default(), Moves::default(), Delivered::default());
    let follower = tokio::spawn(tail::follow(world.clone(), TOPIC, delivered.clone(), random));
    let mut slots = JoinSet::new();
    for id in &IDS[..knobs.slots] {
        slots.spawn(Slot::new(id, world.clone(), knobs.clone(), history.clone(), moves.clone()).run());
    }
    let mut ends = Vec::new();
    let mut findings = Vec::new();
    while let Some(done) = slots.join_next().await {
        let (ended, found) = done.expect("a slot does not panic");
        ends.extend(ended);
        findings.extend(found);
    }
    world.healed().await;
    tokio::time::sleep(knobs.aftermath()).await;
    world.close_eyes();
    let logs = truth::read(&world.cluster, TOPIC, world.plan.partitions, world.plan.brokers).await;
    follower.abort();
    let rows = history.rows();
    let patience = knobs.producer.delivery_timeout + knobs.client.request_timeout + Duration::from_secs(1);
    findings.extend(check::sends(&rows, &logs, patience));
    findings.extend(check::transactions(&rows, &ends, &logs));
    for group in moves.groups() {
        let stands = truth::committed(&world.cluster, &group, &moves::position(), world.plan.brokers).await;
        findings.extend(moves.check(&group, stands.and_then(|offset| usize::try_from(offset).ok()), &ends));
    }
    findings.extend(delivered.check(&logs));
    Report::of(&world, findings, rows.len() + ends.len() + moves.len() + delivered.len())
}
