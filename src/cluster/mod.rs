//! Which broker has it: metadata, leaders and coordinators of one cluster, and the pool of connections to it.

mod board;
mod call;
mod coordinators;
mod driver;
mod metadata;
mod pool;
mod queries;
mod rebootstrap;
mod refresh;
mod retry;
mod shared;
#[cfg(test)]
mod tests;
mod trust;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::config::ClientConfig;
use crate::connection::{Connection, Environment, parse_bootstrap};
use crate::error::{Error, ErrorCode, Operation, Recovery, Result};
use crate::types::{BrokerId, FixedMap, TopicId, TopicName, TopicPartition};
pub use board::MetadataWatch;
use metadata::Asked;
use shared::Shared;

pub(crate) use queries::backoff;
pub use queries::{TransactionDescription, commit_offsets, committed_offsets, describe_transaction, list_offsets};
pub use verdict::Verdict;
pub(crate) use verdict::leaves_doubt;

/// Data and coordination travel on separate sockets, so that a full fetch never delays a commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Produce, and everything that is not listed below.
    Data,
    /// Fetch of one consumer, by any number of its own: the broker holds a fetch up to `fetch.max.wait.ms` and answers
    /// a connection's requests in order, so that consumers that shared one would wait for each other.
    Fetch(u64),
    /// Metadata, coordinators, transactions, offsets, admin.
    Coordination,
}

/// What a coordinator coordinates.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum CoordinatorKind {
    /// A consumer group.
    Group,
    /// A transactional id.
    Transaction,
}

/// One partition as the metadata tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionMetadata {
    /// The leader; `None` while there is none.
    pub leader: Option<BrokerId>,
    /// The leader's epoch; -1 if the broker told none.
    pub leader_epoch: i32,
    /// Brokers that hold a replica.
    pub replicas: Vec<BrokerId>,
    /// Replicas in sync.
    pub isr: Vec<BrokerId>,
}

/// One topic as the metadata tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicMetadata {
    /// The topic's name.
    pub name: TopicName,
    /// Its id; zero on brokers before 2.8.
    pub topic_id: TopicId,
    /// Whether it is one of Kafka's own.
    pub is_internal: bool,
    /// Partitions by number, from 0 without gaps.
    pub partitions: Vec<PartitionMetadata>,
}

/// A broker as the metadata tells it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BrokerMetadata {
    /// Its id.
    pub id: BrokerId,
    /// Its advertised host.
    pub host: String,
    /// Its advertised port.
    pub port: u16,
    /// Its rack, if set.
    pub rack: Option<String>,
}

/// One immutable view of the cluster; each refresh or leader hint makes a new one.
#[derive(Clone, Default, Debug)]
pub struct Metadata {
    /// The cluster's id, if told.
    pub cluster_id: Option<String>,
    /// The controller, if told.
    pub controller: Option<BrokerId>,
    /// Brokers by id.
    pub brokers: BTreeMap<BrokerId, BrokerMetadata>,
    /// Topics by name: those somebody asked for.
    pub topics: FixedMap<TopicName, Arc<TopicMetadata>>,
    /// Why a topic that was asked for is not there.
    pub topic_errors: FixedMap<TopicName, ErrorCode>,
}

impl Metadata {
    /// A partition's row, if the topic is known and has it.
    pub fn partition(&self, tp: &TopicPartition) -> Option<&PartitionMetadata> {
        self.topics.get(&tp.topic)?.partitions.get(usize::try_from(tp.partition).ok()?)
    }

    /// The topic with this id.
    pub fn topic_by_id(&self, topic_id: TopicId) -> Option<&Arc<TopicMetadata>> {
        self.topics.values().find(|t| t.topic_id == topic_id)
    }
}

/// A leader that a Produce or Fetch answer told (KIP-951), or -1 and -1 if it told none.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LeaderHint {
    /// The partition.
    pub tp: TopicPartition,
    /// Its leader now.
    pub leader: BrokerId,
    /// The leader's epoch; older than what is known is ignored.
    pub leader_epoch: i32,
    /// The leader's address, if the answer had it.
    pub endpoint: Option<BrokerMetadata>,
}

/// Which broker a call goes to.
#[derive(Clone, Debug)]
pub enum Target {
    /// Whichever is connected or answers first.
    Any,
    /// The controller (brokers that forward admin requests themselves may be asked instead).
    Controller,
    /// This broker.
    Broker(BrokerId),
    /// The coordinator of this group or transactional id.
    Coordinator(CoordinatorKind, Arc<str>),
}

/// A cheap handle to the cluster's metadata and connections; all roles of a client share one.
///
/// When the last clone is dropped, the background refresh ends and the connections close.
#[derive(Clone)]
pub struct Cluster {
    shared: Arc<Shared>,
    /// Held by handles only: the background task ends when no sender is left.
    refreshes: mpsc::UnboundedSender<Vec<TopicName>>,
}

impl Cluster {
    /// Connects to the first bootstrap address that answers and learns the brokers.
    ///
    /// Fails after 10 seconds (or `default.api.timeout.ms`, if that is less) with the last cause of each address, or at
    /// once on what no retry can mend; logs a warning after the first round without an answer.
    pub async fn connect(config: ClientConfig, environment: Environment) -> Result<Cluster> {
        for address in &config.bootstrap_servers {
            parse_bootstrap(address)?;
        }
        let environment = environment.through(config.proxy.as_ref());
        let shared = Arc::new(Shared::new(config, environment));
        let (refreshes, requests) = mpsc::unbounded_channel();
        let cluster = Cluster { shared, refreshes };
        let limit = cluster.config().default_api_timeout.min(BOOTSTRAP_PATIENCE);
        let (shared, is_first) = (&cluster.shared, &AtomicBool::new(true));
        let learn = |deadline| async move {
            let learned = shared.fetch(Asked::Topics(&[]), deadline).await;
            if let Err(error) = &learned
                && error.is_retriable()
                && is_first.swap(false, Ordering::Relaxed)
            {
                tracing::warn!(%error, "no bootstrap address has answered yet, trying again for {limit:?}");
            }
            learned
        };
        cluster.retrying(limit, "bootstrap", learn).await?;
        tokio::spawn(driver::run(Arc::clone(&cluster.shared), requests));
        Ok(cluster)
    }

    /// The shared settings.
    pub fn config(&self) -> &ClientConfig {
        &self.shared.config
    }

    /// Network, clock and seed.
    pub fn environment(&self) -> &Environment {
        &self.shared.environment
    }

    /// A seed for one more role: another one at each call, the same sequence for the same environment's seed.
    pub fn next_seed(&self) -> u64 {
        self.shared.next_role_seed()
    }

    /// What is known now. Costs a reference count.
    pub fn metadata(&self) -> Arc<Metadata> {
        self.shared.metadata()
    }

    /// Changes of the metadata from now on.
    pub fn watch(&self) -> MetadataWatch {
        self.shared.board.watch()
    }

    /// Metadata that holds every one of `topics` (or its error for sure), asked for if need be.
    ///
    /// Fails with `UNKNOWN_TOPIC_OR_PARTITION` and the topic's name when it does not exist; retriable answers are
    /// retried until `timeout` (a topic that no broker knows: for two seconds at most). Safe to drop.
    pub async fn topics(&self, topics: &[TopicName], timeout: Duration) -> Result<Arc<Metadata>> {
        let metadata = self.metadata();
        if topics.iter().all(|topic| metadata.topics.contains_key(topic)) {
            return Ok(metadata);
        }
        let began = Instant::now();
        let ask = |deadline| async move {
            let metadata = self.metadata();
            let missing: Vec<_> = topics.iter().filter(|t| !metadata.topics.contains_key(*t)).cloned().collect();
            let metadata = self.shared.fetch(Asked::Topics(&missing), deadline).await?;
            topics.iter().try_for_each(|topic| presence(&metadata, topic, began))?;
            Ok(metadata)
        };
        self.retrying(timeout, "topic lookup", ask).await
    }

    /// Metadata with `topics` asked for anew, whatever is known; why one is not there is in `topic_errors`.
    ///
    /// Retries only what keeps every broker from answering, until `timeout`. Safe to drop.
    pub async fn topics_anew(&self, topics: &[TopicName], timeout: Duration) -> Result<Arc<Metadata>> {
        self.retrying(timeout, "topic lookup", |deadline| self.shared.fetch(Asked::Topics(topics), deadline)).await
    }

    /// Every topic of the cluster, asked for anew.
    pub async fn all_topics(&self, timeout: Duration) -> Result<Arc<Metadata>> {
        self.retrying(timeout, "topic list", |deadline| self.shared.fetch(Asked::All, deadline)).await
    }

    /// Asks for these topics again soon (a leader moved), in the background and with backoff. Never waits.
    pub fn refresh(&self, topics: &[TopicName]) {
        // The task ends before its handles only with its runtime.
        let _ = self.refreshes.send(topics.to_vec());
    }

    /// Believes a leader that a Produce or Fetch answer told, until the next refresh.
    pub fn apply_hints(&self, hints: &[LeaderHint]) {
        self.shared.board.modify(|metadata| {
            let hinted = metadata.hinted(hints);
            let is_newer = hinted.is_some();
            hinted.into_iter().for_each(|hinted| *metadata = Arc::new(hinted));
            is_newer
        });
    }

    /// The connection to a broker for a lane, opened if need be, with backoff between attempts. Safe to drop.
    ///
    /// Fails when one attempt fails (Network, Timeout) or the broker is not in the metadata.
    pub async fn connection(&self, broker: BrokerId, lane: Lane) -> Result<Connection> {
        let connection = self.shared.connection(broker, lane).await;
        if connection.is_err() {
            // What it led may have another leader by now.
            self.refresh(&[]);
        }
        connection
    }

    /// The connection to a broker for a lane, if there is one. Never waits.
    pub fn open_connection(&self, broker: BrokerId, lane: Lane) -> Option<Connection> {
        self.shared.open_connection(broker, lane)
    }

    /// Lets go of a lane's connections, when the consumer it was for has ended.
    pub fn release(&self, lane: Lane) {
        self.shared.release(lane);
    }

    /// Forgets a coordinator, so that the next call looks it up again.
    pub fn forget_coordinator(&self, kind: CoordinatorKind, key: &str) {
        self.shared.coordinators().remove(kind, key);
    }
}

impl fmt::Debug for Cluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cluster({})", self.config().bootstrap_servers.join(","))
    }
}

/// How long brokers that nobody has reached yet are tried: long enough for one that is being restarted, short enough for
/// a person who mistyped its name.
const BOOTSTRAP_PATIENCE: Duration = Duration::from_secs(10);

/// How long a topic that brokers do not know is asked for: one that was just created is known everywhere within a
/// second or two, and nobody wants to wait for long to learn of a misspelt name.
pub(crate) const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(2);

/// Whether `topic` is there; an error that may be retried if it may still appear.
fn presence(metadata: &Metadata, topic: &TopicName, began: Instant) -> Result<()> {
    if metadata.topics.contains_key(topic) {
        return Ok(());
    }
    let code = metadata.topic_errors.get(topic).copied().unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let error = Error::broker(Operation::Metadata, code, format!("topic {topic}"));
    if code != ErrorCode::UNKNOWN_TOPIC_OR_PARTITION {
        return Err(error);
    }
    let error = error.with_detail("the topic does not exist; create it or check its name");
    let is_patient = began.elapsed() < UNKNOWN_TOPIC_PATIENCE;
    Err(if is_patient { error } else { error.with_recovery(Recovery::Reconfigure) })
}

/// One call with retries: what to send, where, and what to say if it fails.
#[derive(Clone, Debug)]
pub struct Call<'a, Q> {
    /// What is being done, for the error.
    pub operation: Operation,
    /// Where it goes.
    pub target: Target,
    /// The request.
    pub request: &'a Q,
    /// Highest version to send it at; `i16::MAX` for the newest both speak.
    pub max_version: i16,
    /// Whether it may be sent again when it is unknown if it was applied.
    pub is_idempotent: bool,
    /// How long, retries included.
    pub timeout: Duration,
    /// The partition, group, id or topic it is about.
    pub subject: &'a str,
}
