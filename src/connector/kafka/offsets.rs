//! Where a source starts and stops, resolved to concrete offsets once, at the enumerator.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, committed_offsets, list_offsets};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::{IsolationLevel, Position, TopicPartition};

/// Where to go where a group has no committed offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ResetStrategy {
    /// To the first record there is.
    #[default]
    Earliest,
    /// To the end.
    Latest,
    /// Nowhere: the job fails and names the partition.
    Fail,
}

/// Where reading starts. A checkpoint or savepoint always wins over it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StartingOffsets {
    /// At the group's committed offsets, else by the strategy.
    Group(ResetStrategy),
    /// At the first record there is.
    Earliest,
    /// At the end.
    Latest,
    /// At the first record with this timestamp (ms) or a later one, else at the end.
    Timestamp(i64),
    /// At these offsets; partitions that are not in the map at the group's committed offsets, else by the strategy.
    Specific(BTreeMap<TopicPartition, i64>, ResetStrategy),
}

/// Where a bounded read stops: before this position, as it was when the read began.
///
/// A restart of an interrupted read keeps it. A restart after the last record was read goes on to where it is by then,
/// as does one that read without end before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum StoppingOffsets {
    /// At the end (the last stable offset with read_committed).
    Latest,
    /// Before the first record with this timestamp (ms) or a later one; at the end if there is none.
    Timestamp(i64),
    /// At the group's committed offsets; fails where there is none.
    Group,
    /// At these offsets; a partition that is not in the map fails.
    Specific(BTreeMap<TopicPartition, i64>),
}

/// What offsets are resolved with.
#[derive(Clone, Debug)]
pub(super) struct Resolver {
    pub(super) cluster: Cluster,
    pub(super) isolation: IsolationLevel,
    pub(super) group_id: Option<String>,
}

type Offsets = BTreeMap<TopicPartition, i64>;

impl Resolver {
    pub(super) async fn start(&self, starting: &StartingOffsets, partitions: &[TopicPartition]) -> Result<Offsets> {
        match starting {
            StartingOffsets::Earliest => self.at(Position::Earliest, partitions).await,
            StartingOffsets::Latest => self.at(Position::Latest, partitions).await,
            StartingOffsets::Timestamp(ms) => self.at(Position::Timestamp(*ms), partitions).await,
            StartingOffsets::Group(reset) => self.group_or(*reset, partitions).await,
            StartingOffsets::Specific(given, reset) => {
                let (mut known, unknown) = split_by(given, partitions);
                known.extend(self.group_or(*reset, &unknown).await?);
                Ok(known)
            }
        }
    }

    pub(super) async fn stop(&self, stopping: &StoppingOffsets, partitions: &[TopicPartition]) -> Result<Offsets> {
        match stopping {
            StoppingOffsets::Latest => self.at(Position::Latest, partitions).await,
            StoppingOffsets::Timestamp(ms) => self.at(Position::Timestamp(*ms), partitions).await,
            StoppingOffsets::Group => self.group_or(ResetStrategy::Fail, partitions).await,
            StoppingOffsets::Specific(given) => {
                let (known, unknown) = split_by(given, partitions);
                match unknown.first() {
                    None => Ok(known),
                    Some(tp) => Err(no_offset(tp, "has no stop offset; name one for every partition")),
                }
            }
        }
    }

    async fn at(&self, position: Position, partitions: &[TopicPartition]) -> Result<Offsets> {
        let wanted: Vec<_> = partitions.iter().map(|tp| (tp.clone(), position)).collect();
        list_offsets(&self.cluster, self.isolation, &wanted).await
    }

    /// Committed offsets where there are any. Without a group there are none.
    async fn group_or(&self, reset: ResetStrategy, partitions: &[TopicPartition]) -> Result<Offsets> {
        let committed = match &self.group_id {
            Some(group_id) if !partitions.is_empty() => committed_offsets(&self.cluster, group_id, partitions).await?,
            _ => BTreeMap::new(),
        };
        let committed: Offsets = committed.into_iter().map(|(tp, at)| (tp, at.offset)).collect();
        let (mut known, unknown) = split_by(&committed, partitions);
        let Some(first) = unknown.first() else { return Ok(known) };
        let position = match reset {
            ResetStrategy::Earliest => Position::Earliest,
            ResetStrategy::Latest => Position::Latest,
            ResetStrategy::Fail => return Err(no_offset(first, "has no committed offset and no reset strategy")),
        };
        known.extend(self.at(position, &unknown).await?);
        Ok(known)
    }
}

fn split_by(given: &Offsets, partitions: &[TopicPartition]) -> (Offsets, Vec<TopicPartition>) {
    let known = partitions.iter().filter_map(|tp| Some((tp.clone(), *given.get(tp)?))).collect();
    (known, partitions.iter().filter(|tp| !given.contains_key(tp)).cloned().collect())
}

fn no_offset(tp: &TopicPartition, detail: &str) -> Error {
    Error::new(Operation::OffsetFetch, ErrorKind::Invalid, tp.to_string(), detail)
}
