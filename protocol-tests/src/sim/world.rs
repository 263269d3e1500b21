//! The world of one run: a cluster under the plan's weather, the processes that live in it, and the end of all faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena::broker::{Control, CoordinatorKind, MemoryCluster, Settings};
use milena::config::ClientConfig;
use milena::connection::Environment;
use milena::{Client, TopicPartition};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::network::Network;
use super::plan::{Incident, Phase, Plan};
use super::random::Random;
use super::trace::Trace;
use super::weather::Weather;

/// Wall clock at the beginning of every run, ms.
pub(super) const START_MS: i64 = 1_700_000_000_000;

/// A cluster, its weather, and what was seen of it.
#[derive(Debug)]
pub(super) struct World {
    /// What happens when.
    pub(super) plan: Plan,
    /// The cluster.
    pub(super) cluster: MemoryCluster,
    /// What the cluster saw.
    pub(super) trace: Trace,
    weather: Weather,
    start: Instant,
    fate: Mutex<Option<JoinHandle<()>>>,
}

/// A program that uses the client; it can be killed.
#[derive(Debug)]
pub(super) struct Process {
    /// Its client.
    pub(super) client: Client,
    network: Network,
}

impl Process {
    /// Ends it as kill -9 would: nothing it has not sent leaves it any more, and nobody tells the cluster.
    pub(super) fn kill(self) {
        self.network.kill();
    }
}

impl World {
    /// Starts the cluster with its topics (each with the plan's partitions) and lets the plan's faults begin.
    pub(super) fn start(plan: Plan, topics: &[&str], transactional_ids: &[&str], is_verbose: bool) -> Self {
        let trace = Trace::begin(plan.transaction_version, is_verbose);
        let cluster = MemoryCluster::start(settings(&plan));
        for name in topics {
            let (name, configs) = ((*name).to_owned(), BTreeMap::new());
            cluster.control(Control::CreateTopic { name, partitions: plan.partitions, configs });
        }
        let weather = Weather::new(plan.longest_delay);
        cluster.control(Control::Tap(Some(trace.tap())));
        cluster.control(Control::Intercept(Some(weather.hook(Random::new(plan.seed, "requests")))));
        let world = Self { plan, cluster, trace, weather, start: Instant::now(), fate: Mutex::new(None) };
        let (topic, ids) =
            (topics.first().copied().unwrap_or_default(), transactional_ids.iter().map(|id| (*id).to_owned()));
        let fate = tokio::spawn(world.fate(topic, ids.collect()));
        *world.fate.lock().unwrap_or_else(PoisonError::into_inner) = Some(fate);
        world
    }

    /// All that the plan does to the cluster, until everything is well.
    fn fate(&self, topic: &str, ids: Vec<String>) -> impl Future<Output = ()> + Send + use<> {
        let fate = Fate { cluster: self.cluster.clone(), trace: self.trace.clone(), topic: topic.into(), ids };
        let (plan, weather, start) = (self.plan.clone(), self.weather.clone(), self.start);
        async move {
            let incidents = async {
                for (at, incident) in &plan.incidents {
                    tokio::time::sleep_until(start + *at).await;
                    fate.strike(*incident).await;
                }
            };
            let phases = change(&plan.phases, &weather, start, &fate.trace);
            // Both are done within a Restart of the last phase's end.
            tokio::join!(phases, incidents);
            (1..=plan.brokers).for_each(|id| fate.cluster.control(Control::StartBroker(id)));
        }
    }

    /// A process with its own client, network and draws. The name is the only thing they depend on beside the seed.
    pub(super) async fn process(&self, name: &str, mut config: ClientConfig) -> milena::Result<Process> {
        let mut random = Random::new(self.plan.seed, name);
        let start = self.start;
        let seed = random.seed();
        let network = Network::new(self.cluster.clone(), self.weather.clone(), random, self.plan.has_unseeded_draw);
        let wall_clock_ms = Arc::new(move || START_MS + i64::try_from(start.elapsed().as_millis()).unwrap_or(0));
        config.bootstrap_servers = (1..=self.plan.brokers).map(|id| format!("127.0.0.1:{}", 9091 + id)).collect();
        config.client_id = name.to_owned();
        let environment = Environment { dial: Arc::new(network.clone()), wall_clock_ms, seed };
        Ok(Process { client: Client::with_environment(config, environment).await?, network })
    }

    /// Virtual time since the run began.
    pub(super) fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Waits for the end of all faults.
    pub(super) async fn healed(&self) {
        let fate = self.fate.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(fate) = fate {
            fate.await.expect("the plan's own task does not panic");
        }
    }

    /// Takes hook and tap away, to look at the logs without leaving tracks.
    pub(super) fn close_eyes(&self) {
        self.cluster.control(Control::Tap(None));
        self.cluster.control(Control::Intercept(None));
    }
}

fn settings(plan: &Plan) -> Settings {
    Settings {
        start_time_ms: START_MS,
        auto_create_topics: false,
        replication_delay: plan.replication_delay,
        marker_delay: plan.marker_delay,
        ..Settings::default().with_brokers(plan.brokers).with_transaction_version(plan.transaction_version)
    }
}

async fn change(phases: &[Phase], weather: &Weather, start: Instant, trace: &Trace) {
    for phase in phases {
        trace.note(|| format!("-- until {:?}: {:?}", phase.until, phase.faults));
        weather.set(phase.faults.clone());
        tokio::time::sleep_until(start + phase.until).await;
    }
    weather.set(Vec::new());
    trace.note(|| "-- quiet from here on".into());
}

/// Does the plan's incidents.
struct Fate {
    cluster: MemoryCluster,
    trace: Trace,
    topic: String,
    ids: Vec<String>,
}

impl Fate {
    async fn strike(&self, incident: Incident) {
        self.trace.note(|| format!("-- {incident:?}"));
        let id = |id: usize| self.ids.get(id % self.ids.len().max(1)).cloned().unwrap_or_default();
        let kind = CoordinatorKind::Transaction;
        let control = match incident {
            Incident::MoveLeader { partition, to } => {
                Control::MoveLeader(TopicPartition::new(self.topic.as_str(), partition), to)
            }
            Incident::MoveCoordinator { id: of, to } => Control::MoveCoordinator(kind, id(of), to),
            Incident::LoadCoordinator { id: of, time } => Control::LoadCoordinator(kind, id(of), time),
            Incident::CloseConnections { broker } => Control::CloseConnections(broker),
            Incident::Restart { broker, down } => {
                self.cluster.control(Control::StopBroker(broker));
                tokio::time::sleep(down).await;
                Control::StartBroker(broker)
            }
        };
        self.cluster.control(control);
    }
}
