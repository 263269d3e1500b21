//! What a seed means: the cluster's shape, the faults, when each may strike, and when everything heals.

use std::fmt;
use std::time::Duration;

use super::random::Random;

/// Something that strikes requests or connections at random while its phase lasts.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Fault {
    /// A request is applied later, even if its connection is gone by then.
    Delay,
    /// An answer comes late.
    DelayAnswer,
    /// A request vanishes.
    Drop,
    /// A connection closes before the request is applied.
    CloseBefore,
    /// A connection closes after the request is applied, its answer lost.
    CloseAfter,
    /// A request is refused with a retriable error.
    Error,
    /// An answer asks for a pause.
    Throttle,
    /// A connection breaks after some bytes, in either direction.
    Cut,
    /// A connection goes silent without closing.
    Mute,
    /// Reads give a byte at a time.
    Trickle,
    /// A connection is refused or never made.
    Refuse,
}

/// Something done to the cluster once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Incident {
    /// A partition of the topic gets another leader.
    MoveLeader {
        /// The partition.
        partition: i32,
        /// Its new leader.
        to: i32,
    },
    /// A broker is down for a while.
    Restart {
        /// The broker.
        broker: i32,
        /// For how long.
        down: Duration,
    },
    /// The coordinator of a transactional id moves.
    MoveCoordinator {
        /// Which of the workload's ids.
        id: usize,
        /// Where to.
        to: i32,
    },
    /// The coordinator of a transactional id loads for a while.
    LoadCoordinator {
        /// Which of the workload's ids.
        id: usize,
        /// For how long.
        time: Duration,
    },
    /// All connections to a broker close.
    CloseConnections {
        /// The broker.
        broker: i32,
    },
}

/// A stretch of time with its own faults; without any it is quiet.
#[derive(Clone, Debug)]
pub struct Phase {
    /// When it ends; it begins where the one before it ends.
    pub until: Duration,
    /// What may strike, and how likely per request or connection.
    pub faults: Vec<(Fault, f64)>,
}

/// All that is decided before the first request.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What it was drawn from.
    pub seed: u64,
    /// How many brokers.
    pub brokers: i32,
    /// How many partitions the topic has.
    pub partitions: i32,
    /// How long after a write it is replicated.
    pub replication_delay: Duration,
    /// How long after EndTxn the markers are written.
    pub marker_delay: Duration,
    /// `transaction.version`: 0, 1 or 2.
    pub transaction_version: i16,
    /// In order; the last one is followed by quiet for good.
    pub phases: Vec<Phase>,
    /// In order of time.
    pub incidents: Vec<(Duration, Incident)>,
    /// The longest a request or an answer is held back.
    pub longest_delay: Duration,
    /// Lets every new connection take a time that no seed decides: a plant, which the comparison of traces must catch.
    pub has_unseeded_draw: bool,
}

const FAULTS: [Fault; 11] = [
    Fault::Delay,
    Fault::DelayAnswer,
    Fault::Drop,
    Fault::CloseBefore,
    Fault::CloseAfter,
    Fault::Error,
    Fault::Throttle,
    Fault::Cut,
    Fault::Mute,
    Fault::Trickle,
    Fault::Refuse,
];

impl Plan {
    /// The plan of a seed.
    pub fn new(seed: u64) -> Self {
        let mut random = Random::new(seed, "plan");
        let (brokers, partitions) = (random.pick(&[1, 2, 3, 3]), random.pick(&[1, 2, 3, 6]));
        let phases = phases(&mut random);
        let incidents = incidents(&mut random, brokers, partitions, phases.last().map_or(Duration::ZERO, |p| p.until));
        Self {
            seed,
            brokers,
            partitions,
            replication_delay: Duration::from_millis(random.pick(&[0, 0, 1, 5, 40])),
            marker_delay: Duration::from_millis(random.pick(&[0, 1, 1, 20, 300])),
            transaction_version: random.pick(&[0, 1, 2, 2]),
            phases,
            incidents,
            longest_delay: Duration::from_secs(9),
            has_unseeded_draw: false,
        }
    }

    /// When everything heals.
    pub fn quiet_from(&self) -> Duration {
        self.phases.last().map_or(Duration::ZERO, |phase| phase.until)
    }
}

/// Some stretches with a random subset of the faults this seed knows, quiet ones among them.
fn phases(random: &mut Random) -> Vec<Phase> {
    let known: Vec<Fault> = FAULTS.into_iter().filter(|_| random.chance(0.4)).collect();
    let mut until = Duration::ZERO;
    let mut phases = Vec::new();
    for _ in 0..random.within(1..7) {
        until += random.millis(200..4_000);
        let mut faults = Vec::new();
        if random.chance(0.7) {
            for fault in &known {
                if random.chance(0.6) {
                    faults.push((*fault, random.pick(&[0.01, 0.03, 0.1, 0.3])));
                }
            }
        }
        phases.push(Phase { until, faults });
    }
    phases
}

fn incidents(random: &mut Random, brokers: i32, partitions: i32, end: Duration) -> Vec<(Duration, Incident)> {
    let count = random.pick(&[0, 0, 2, 5, 12]);
    let end = u64::try_from(end.as_millis()).unwrap_or(u64::MAX).max(1);
    let mut incidents: Vec<_> =
        (0..count).map(|_| (random.millis(0..end), incident(random, brokers, partitions))).collect();
    incidents.sort_by_key(|(at, _)| *at);
    incidents
}

fn incident(random: &mut Random, brokers: i32, partitions: i32) -> Incident {
    let number = |random: &mut Random, of: i32| i32::try_from(random.within(0..of.unsigned_abs().into())).unwrap_or(0);
    match random.index(5) {
        0 => Incident::MoveLeader { partition: number(random, partitions), to: number(random, brokers) + 1 },
        1 => Incident::Restart { broker: number(random, brokers) + 1, down: random.millis(10..3_000) },
        2 => Incident::MoveCoordinator { id: random.index(4), to: number(random, brokers) + 1 },
        3 => Incident::LoadCoordinator { id: random.index(4), time: random.millis(10..1_500) },
        _ => Incident::CloseConnections { broker: number(random, brokers) + 1 },
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seed, brokers, partitions, transaction_version: tv, .. } = self;
        writeln!(f, "seed {seed}: {brokers} brokers, {partitions} partitions, transaction.version {tv}")?;
        writeln!(f, "  replication after {:?}, markers after {:?}", self.replication_delay, self.marker_delay)?;
        for phase in &self.phases {
            writeln!(f, "  until {:?}: {:?}", phase.until, phase.faults)?;
        }
        for (at, incident) in &self.incidents {
            writeln!(f, "  at {at:?}: {incident:?}")?;
        }
        Ok(())
    }
}
