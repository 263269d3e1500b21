//! Which broker has it: metadata, leaders and coordinators of one cluster, and the pool of connections to it.

mod queries;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use crate::config::ClientConfig;
use crate::connection::{Connection, Environment};
use crate::error::{ErrorCode, Operation, Result};
use crate::types::{BrokerId, FixedMap, TopicId, TopicName, TopicPartition};
use crate::wire::Request;

pub use queries::{TransactionDescription, commit_offsets, committed_offsets, describe_transaction, list_offsets};

/// Data and coordination travel on separate sockets, so that a full fetch never delays a commit.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Lane {
    /// Produce, and everything that is not listed below.
    Data,
    /// Fetch: the broker holds these up to `fetch.max.wait.ms`.
    Fetch,
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

/// What to do with an answer's error codes: succeed, look the coordinator or leader up again, wait, or give up.
#[derive(Clone, Debug)]
pub enum Verdict {
    /// The answer is what was wanted.
    Done,
    /// Try again after the backoff.
    Retry(ErrorCode),
    /// Forget the coordinator (or controller, or leader) first, then try again after the backoff.
    Relocate(ErrorCode),
    /// No use trying again.
    Fail(ErrorCode),
}

impl Verdict {
    /// The usual verdict of one code: coordinator codes relocate, retriable ones retry, other errors fail.
    pub fn of(_code: ErrorCode) -> Verdict {
        todo!()
    }
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
#[derive(Clone, Debug)]
pub struct Cluster {}

impl Cluster {
    /// Connects to the first bootstrap address that answers and learns the brokers.
    ///
    /// Fails after `default.api.timeout.ms` with the last cause of each address, or at once on what no retry can mend.
    pub async fn connect(_config: ClientConfig, _environment: Environment) -> Result<Cluster> {
        todo!()
    }

    /// The shared settings.
    pub fn config(&self) -> &ClientConfig {
        todo!()
    }

    /// Network, clock and seed.
    pub fn environment(&self) -> &Environment {
        todo!()
    }

    /// A seed for one more role: another one at each call, the same sequence for the same environment's seed.
    pub fn next_seed(&self) -> u64 {
        todo!()
    }

    /// What is known now. Costs a reference count.
    pub fn metadata(&self) -> Arc<Metadata> {
        todo!()
    }

    /// Changes of the metadata, as a channel that holds the newest.
    pub fn watch(&self) -> watch::Receiver<Arc<Metadata>> {
        todo!()
    }

    /// Metadata that holds every one of `topics` (or its error for sure), asked for if need be.
    ///
    /// Fails with `UNKNOWN_TOPIC_OR_PARTITION` and the topic's name when it does not exist; retriable answers are
    /// retried until `timeout`. Safe to drop.
    pub async fn topics(&self, _topics: &[TopicName], _timeout: Duration) -> Result<Arc<Metadata>> {
        todo!()
    }

    /// Every topic of the cluster, asked for anew.
    pub async fn all_topics(&self, _timeout: Duration) -> Result<Arc<Metadata>> {
        todo!()
    }

    /// Asks for these topics again soon (a leader moved), in the background and with backoff. Never waits.
    pub fn refresh(&self, _topics: &[TopicName]) {
        todo!()
    }

    /// Believes a leader that a Produce or Fetch answer told, until the next refresh.
    pub fn apply_hints(&self, _hints: &[LeaderHint]) {
        todo!()
    }

    /// The connection to a broker for a lane, opened if need be, with backoff between attempts. Safe to drop.
    ///
    /// Fails when one attempt fails (Network, Timeout) or the broker is not in the metadata.
    pub async fn connection(&self, _broker: BrokerId, _lane: Lane) -> Result<Connection> {
        todo!()
    }

    /// The coordinator of a group or transactional id, looked up if need be and remembered.
    pub async fn coordinator(&self, _kind: CoordinatorKind, _key: &str) -> Result<BrokerId> {
        todo!()
    }

    /// Forgets a coordinator, so that the next call looks it up again.
    pub fn forget_coordinator(&self, _kind: CoordinatorKind, _key: &str) {
        todo!()
    }

    /// Sends `request` to `target` on the coordination lane until `judge` says done or failed, or `timeout` has passed.
    ///
    /// Network failures retry too when `is_idempotent`; else they end with an error that says `maybe_applied`.
    /// `subject` names what the call was about in the error. Safe to drop.
    pub async fn call<Q, J>(&self, _call: Call<'_, Q>, _judge: J) -> Result<Q::Response>
    where
        Q: Request + Sync,
        Q::Response: Send,
        J: FnMut(&Q::Response) -> Verdict + Send,
    {
        todo!()
    }
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
