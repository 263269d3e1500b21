//! Finds the partitions of a subscription, once or by interval, and resolves where each starts and stops.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::sync::mpsc;

use super::enumerator::Found;
use super::offsets::{Resolver, StartingOffsets, StoppingOffsets};
use super::source::{Discovery, Subscription, is_full_match};
use super::split::{KafkaSplit, SplitId};
use crate::cluster::{Metadata, TopicMetadata};
use crate::connector::Split;
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{TopicName, TopicPartition};

/// Waits between tries of a discovery that failed after the first one succeeded.
const RETRY: Duration = Duration::from_secs(1);

/// What a discovery works with. It owns which partitions are known.
pub(super) struct Discoverer {
    pub(super) resolver: Resolver,
    pub(super) subscription: Subscription,
    pub(super) starting: StartingOffsets,
    pub(super) stopping: Option<StoppingOffsets>,
    pub(super) discovery: Discovery,
    pub(super) known: BTreeSet<SplitId>,
    /// Restored partitions of a bounded read whose stop position is to be found.
    pub(super) unbounded: Vec<KafkaSplit>,
    pub(super) is_initial_done: bool,
}

impl Discoverer {
    /// Runs until everything is found or nobody listens. A failing first discovery is told; a later one is tried again.
    pub(super) async fn run(mut self, tell: mpsc::UnboundedSender<Result<Found>>) {
        let mut is_first = true;
        loop {
            let wait = match self.discover().await {
                Ok(splits) => {
                    let _ = tell.send(Ok(Found::Splits(splits)));
                    self.interval()
                }
                Err(error) if is_first || is_final(&error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, "partition discovery failed, trying again");
                    Some(RETRY)
                }
            };
            is_first = false;
            let Some(wait) = wait else {
                let _ = tell.send(Ok(Found::NoMore));
                // The enumerator takes a closed channel for a failure.
                return tell.closed().await;
            };
            tokio::select! {
                biased;
                () = tell.closed() => return,
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// A bounded read looks once: what appears later is past its end.
    fn interval(&self) -> Option<Duration> {
        match self.discovery {
            Discovery::Every(interval) if self.stopping.is_none() => Some(interval),
            _ => None,
        }
    }

    async fn discover(&mut self) -> Result<Vec<KafkaSplit>> {
        let found = self.subscribed().await?;
        self.check_ids(&found)?;
        let new: Vec<SplitId> = found.into_iter().filter(|id| !self.known.contains(id)).collect();
        let partitions: Vec<TopicPartition> = new.iter().map(|id| id.tp.clone()).collect();
        let unbounded = self.unbounded.iter().map(|split| split.tp.clone());
        let to_bound: Vec<TopicPartition> = partitions.iter().cloned().chain(unbounded).collect();
        // Written between two looks, a partition found later is read from its beginning, or records would be missed.
        let starting = if self.is_initial_done { &StartingOffsets::Earliest } else { &self.starting };
        // Stop first: what is written meanwhile is past the end, not before the start.
        let stops = match &self.stopping {
            Some(stopping) => Some(self.resolver.stop(stopping, &to_bound).await?),
            None => None,
        };
        let starts = self.resolver.start(starting, &partitions).await?;
        self.is_initial_done = true;
        let stop = |tp: &TopicPartition| stops.as_ref().map(|stops| resolved(stops, tp)).transpose();
        let split = |id: &SplitId| {
            let (offset, stop) = (resolved(&starts, &id.tp)?, stop(&id.tp)?);
            Ok(KafkaSplit { tp: id.tp.clone(), topic_id: id.topic_id, offset, stop })
        };
        let mut splits = new.iter().map(split).collect::<Result<Vec<_>>>()?;
        for known in &self.unbounded {
            splits.push(KafkaSplit { stop: stop(&known.tp)?, ..known.clone() });
        }
        self.unbounded.clear();
        self.known.extend(splits.iter().map(Split::id));
        Ok(splits)
    }

    /// A known partition under another topic id was deleted and created again.
    fn check_ids(&self, found: &[SplitId]) -> Result<()> {
        for id in found {
            let known = self.known.iter().find(|known| known.tp == id.tp && known.topic_id != id.topic_id);
            if let Some(known) = known.filter(|known| known.topic_id.is_known() && id.topic_id.is_known()) {
                let detail = format!(
                    "was deleted and created again (topic id {} is now {}), so the job's offsets mean other records; \
                     start a new job on the new topic, or restore the old one",
                    known.topic_id, id.topic_id
                );
                return Err(Error::new(Operation::Job, ErrorKind::State, id.tp.to_string(), detail));
            }
        }
        Ok(())
    }

    async fn subscribed(&self) -> Result<Vec<SplitId>> {
        let cluster = &self.resolver.cluster;
        let timeout = cluster.config().default_api_timeout;
        match &self.subscription {
            Subscription::Topics(names) => {
                let metadata = cluster.topics(names, timeout).await?;
                Ok(names.iter().filter_map(|name| metadata.topics.get(name)).flat_map(|t| partitions_of(t)).collect())
            }
            Subscription::Pattern(pattern) => {
                let metadata = cluster.all_topics(timeout).await?;
                let mut matching: Vec<_> =
                    metadata.topics.values().filter(|t| !t.is_internal && is_full_match(pattern, &t.name)).collect();
                matching.sort_by(|a, b| a.name.cmp(&b.name));
                Ok(matching.into_iter().flat_map(|t| partitions_of(t)).collect())
            }
            Subscription::Partitions(wanted) => {
                let topics: BTreeSet<TopicName> = wanted.iter().map(|tp| tp.topic.clone()).collect();
                let metadata = cluster.topics(&topics.into_iter().collect::<Vec<_>>(), timeout).await?;
                wanted.iter().map(|tp| existing(&metadata, tp)).collect()
            }
        }
    }
}

fn partitions_of(topic: &TopicMetadata) -> impl Iterator<Item = SplitId> {
    let (name, topic_id) = (topic.name.clone(), topic.topic_id);
    let count = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
    (0..count).map(move |partition| SplitId { tp: TopicPartition::new(name.clone(), partition), topic_id })
}

fn existing(metadata: &Metadata, tp: &TopicPartition) -> Result<SplitId> {
    let topic_id = metadata.topics.get(&tp.topic).map(|t| t.topic_id);
    match (metadata.partition(tp), topic_id) {
        (Some(_), Some(topic_id)) => Ok(SplitId { tp: tp.clone(), topic_id }),
        _ => Err(Error::broker(Operation::Metadata, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, tp.to_string())
            .with_detail("the partition does not exist")),
    }
}

fn is_final(error: &Error) -> bool {
    error.kind() == ErrorKind::State
}

fn resolved(offsets: &BTreeMap<TopicPartition, i64>, tp: &TopicPartition) -> Result<i64> {
    let missing =
        || Error::new(Operation::ListOffsets, ErrorKind::Protocol, tp.to_string(), "no offset came back for it");
    offsets.get(tp).copied().ok_or_else(missing)
}
