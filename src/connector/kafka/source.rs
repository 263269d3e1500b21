//! The Kafka source as a user builds it: what to read, from where to where, and how it finds more.

use std::fmt;
use std::time::Duration;

use regex::Regex;
use tokio::sync::mpsc;

use super::commits::OffsetCommits;
use super::discovery::Discoverer;
use super::enumerator::{EnumeratorState, KafkaEnumerator};
use super::offsets::{ResetStrategy, Resolver, StartingOffsets, StoppingOffsets};
use super::reader::KafkaReader;
use super::split::KafkaSplit;
use crate::client::Client;
use crate::config::{AutoOffsetReset, ConsumerConfig};
use crate::connection::BoxFuture;
use crate::connector::{Source, Split, TaskId};
use crate::error::{Error, Result};
use crate::types::{IsolationLevel, TopicName, TopicPartition};

/// Which partitions are read.
#[derive(Clone, Debug)]
pub enum Subscription {
    /// All partitions of these topics; each must exist.
    Topics(Vec<TopicName>),
    /// All partitions of the topics whose whole name matches; none yet is fine. Kafka's own topics never match.
    Pattern(Regex),
    /// These partitions; each must exist.
    Partitions(Vec<TopicPartition>),
}

impl Subscription {
    /// Whether a partition that a checkpoint holds is still asked for.
    fn covers(&self, tp: &TopicPartition) -> bool {
        match self {
            Self::Topics(names) => names.contains(&tp.topic),
            Self::Pattern(pattern) => is_full_match(pattern, &tp.topic),
            Self::Partitions(partitions) => partitions.contains(tp),
        }
    }
}

/// Java's patterns match the whole name (as Flink's `setTopicPattern`).
pub(super) fn is_full_match(pattern: &Regex, name: &str) -> bool {
    pattern.find(name).is_some_and(|m| m.start() == 0 && m.end() == name.len())
}

/// Whether partitions that appear later are found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Discovery {
    /// Looks once, at the start.
    Once,
    /// Looks again and again. What is found later starts at its beginning, so that nothing is missed.
    Every(Duration),
}

/// Reads a Kafka cluster: committed records only, from the group's offsets, finding new partitions every five minutes,
/// unless told otherwise.
pub struct KafkaSource {
    client: Client,
    subscription: Subscription,
    config: ConsumerConfig,
    starting: StartingOffsets,
    stopping: Option<StoppingOffsets>,
    discovery: Discovery,
    commits_offsets: bool,
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subscription, starting, stopping, discovery, .. } = self;
        write!(f, "KafkaSource({subscription:?} from {starting:?} to {stopping:?}, discovery {discovery:?})")
    }
}

impl KafkaSource {
    /// A source of everything `subscription` names.
    pub fn new(client: Client, subscription: Subscription) -> Self {
        let config = ConsumerConfig { isolation_level: IsolationLevel::ReadCommitted, ..ConsumerConfig::default() };
        KafkaSource {
            client,
            subscription,
            config,
            starting: StartingOffsets::Group(ResetStrategy::default()),
            stopping: None,
            discovery: Discovery::Every(Duration::from_secs(300)),
            commits_offsets: true,
        }
    }

    /// All partitions of these topics.
    pub fn topics<'a>(client: Client, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::new(client, Subscription::Topics(names.into_iter().map(TopicName::from).collect()))
    }

    /// Consumer settings: group, isolation level, fetch sizes. `auto.offset.reset` does not apply: the start position does.
    pub fn config(mut self, config: ConsumerConfig) -> Self {
        self.config = config;
        self
    }

    /// The group whose offsets may start the job and are committed as checkpoints complete.
    pub fn group(mut self, group_id: impl Into<String>) -> Self {
        self.config.group_id = Some(group_id.into());
        self
    }

    /// Where reading starts, unless a checkpoint says otherwise.
    pub fn start(mut self, starting: StartingOffsets) -> Self {
        self.starting = starting;
        self
    }

    /// Where reading stops; the job then ends. Looks for partitions once.
    pub fn stop(mut self, stopping: StoppingOffsets) -> Self {
        self.stopping = Some(stopping);
        self
    }

    /// Whether partitions that appear later are found.
    pub fn discovery(mut self, discovery: Discovery) -> Self {
        self.discovery = discovery;
        self
    }

    /// Whether the group's offsets are committed as checkpoints complete (they are, where there is a group).
    pub fn commit_offsets_on_checkpoint(mut self, commits: bool) -> Self {
        self.commits_offsets = commits;
        self
    }

    fn resolver(&self) -> Resolver {
        Resolver {
            cluster: self.client.cluster().clone(),
            isolation: self.config.isolation_level,
            group_id: self.config.group_id.clone(),
        }
    }

    /// Restored splits without those a changed subscription leaves out.
    fn still_subscribed(&self, splits: Vec<KafkaSplit>) -> Vec<KafkaSplit> {
        let (kept, dropped): (Vec<_>, Vec<_>) = splits.into_iter().partition(|s| self.subscription.covers(&s.tp));
        for split in dropped {
            tracing::warn!(partition = %split.tp, offset = split.offset, "no longer subscribed, dropped from the job");
        }
        kept
    }

    /// Restored splits without stop positions that do not hold any more: of a read that has none, or was complete.
    fn still_bounded(&self, mut splits: Vec<KafkaSplit>) -> Vec<KafkaSplit> {
        if self.stopping.is_none() || splits.iter().all(KafkaSplit::is_finished) {
            splits.iter_mut().for_each(|split| split.stop = None);
        }
        splits
    }

    /// A start or stop at a group's offsets needs a group.
    fn check_group(&self) -> Result<()> {
        let wants_group = self.stopping == Some(StoppingOffsets::Group)
            || self.starting == StartingOffsets::Group(ResetStrategy::Fail);
        if wants_group && self.config.group_id.is_none() {
            return Err(Error::invalid("group.id", "must be set to start or stop at a group's offsets"));
        }
        Ok(())
    }
}

impl Source for KafkaSource {
    type Split = KafkaSplit;
    type Batch = super::KafkaBatch;
    type EnumState = EnumeratorState;
    type Enumerator = KafkaEnumerator;
    type Reader = KafkaReader;

    /// Begins discovery in a task of its own, which ends with the enumerator.
    fn enumerator(&self, restored: Option<(EnumeratorState, Vec<KafkaSplit>)>) -> Result<KafkaEnumerator> {
        self.check_group()?;
        let restored = restored.map(|(state, splits)| (state, self.still_bounded(self.still_subscribed(splits))));
        let (state, splits) = restored.as_ref().map_or((EnumeratorState::default(), &[][..]), |(s, v)| (*s, v));
        let discoverer = Discoverer {
            resolver: self.resolver(),
            subscription: self.subscription.clone(),
            starting: self.starting.clone(),
            stopping: self.stopping.clone(),
            discovery: self.discovery,
            known: splits.iter().map(Split::id).collect(),
            unbounded: splits.iter().filter(|s| self.stopping.is_some() && s.stop.is_none()).cloned().collect(),
            is_initial_done: state.is_initial_discovery_done,
        };
        let (tell, found) = mpsc::unbounded_channel();
        tokio::spawn(discoverer.run(tell));
        Ok(KafkaEnumerator::new(restored, self.stopping.is_some(), found))
    }

    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        Box::pin(async move {
            self.check_group()?;
            let Subscription::Topics(names) = &self.subscription else { return Ok(()) };
            let cluster = self.client.cluster();
            cluster.topics(names, cluster.config().default_api_timeout).await.map(drop)
        })
    }

    fn reader(&self, _id: TaskId) -> Result<KafkaReader> {
        let config = ConsumerConfig { auto_offset_reset: AutoOffsetReset::None, ..self.config.clone() };
        let commits = self.config.group_id.clone().filter(|_| self.commits_offsets);
        let commits = commits.map(|group_id| OffsetCommits::new(self.client.cluster().clone(), group_id));
        Ok(KafkaReader::new(self.client.consumer(config)?, commits))
    }
}
