//! Where partitions begin and which broker leads them: questions to the cluster, and what their answers move.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use super::fetcher::Fetcher;
use super::partition::{Item, Reset, Stage};
use crate::cluster::Metadata;
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{Position, TopicName, TopicPartition};

/// Positions to look up together.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lookup {
    /// Whether the group's committed offsets are meant, and not the partitions'.
    pub(super) is_committed: bool,
    /// Partition, assignment and place.
    pub(super) partitions: Vec<(TopicPartition, u64, Position)>,
}

/// An offset and the leader epoch of the record before it (-1 if unknown).
pub(super) type Found = BTreeMap<TopicPartition, (i64, i32)>;

impl Fetcher {
    /// Positions that are to be looked up now.
    pub(super) fn poll_lookup(&mut self, now: Instant) -> Option<Lookup> {
        if !self.is_dirty {
            return None;
        }
        self.refuse_without_group();
        let mut lookup = Lookup { is_committed: false, partitions: Vec::new() };
        for (tp, partition) in &mut self.partitions {
            let (is_due, is_alone, assignment) = (partition.is_due(now), partition.is_alone, partition.assignment);
            let Stage::Locating { at, is_asked, .. } = &mut partition.stage else { continue };
            let is_committed = *at == Position::Committed;
            let fits = lookup.partitions.is_empty() || (!is_alone && is_committed == lookup.is_committed);
            if *is_asked || !is_due || !fits {
                continue;
            }
            *is_asked = true;
            lookup.is_committed = is_committed;
            lookup.partitions.push((tp.clone(), assignment, *at));
            if is_alone {
                break;
            }
        }
        (!lookup.partitions.is_empty()).then_some(lookup)
    }

    fn refuse_without_group(&mut self) {
        if self.config.group_id.is_some() {
            return;
        }
        let is_refused = |stage: &Stage| matches!(stage, Stage::Locating { at: Position::Committed, .. });
        let refused: Vec<_> =
            self.partitions.iter().filter(|(_, p)| is_refused(&p.stage)).map(|(tp, _)| tp.clone()).collect();
        for tp in refused {
            self.fail(
                &tp,
                Error::invalid("group.id", format!("is not set, and {tp} is to start at its committed offset")),
            );
        }
    }

    /// What a look-up found; a partition without a committed offset is left out of it.
    pub(super) fn handle_lookup(&mut self, now: Instant, lookup: Lookup, found: Result<Found>) {
        self.is_dirty = true;
        let is_alone = lookup.partitions.len() == 1;
        for (tp, assignment, _) in lookup.partitions {
            let Some(partition) = self.partitions.get_mut(&tp).filter(|p| p.assignment == assignment) else { continue };
            let Stage::Locating { reset, is_asked, .. } = &mut partition.stage else { continue };
            let reset = *reset;
            *is_asked = false;
            match &found {
                Ok(found) => match found.get(&tp) {
                    Some(&(offset, epoch)) => self.handle_found(&tp, offset, epoch, reset),
                    None if lookup.is_committed => self.handle_no_commit(&tp),
                    None => self.back_off(&tp, now),
                },
                Err(error) if error.is_retriable() => self.back_off(&tp, now),
                Err(error) if is_alone => self.fail(&tp, error.clone()),
                Err(_) => partition.is_alone = true,
            }
        }
    }

    fn handle_found(&mut self, tp: &TopicPartition, offset: i64, epoch: i32, reset: Option<Reset>) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        partition.start_at(offset, epoch);
        match reset {
            Some(reset) => self.push(tp, Item::Moved { reset, to: offset }),
            None => partition.position = Some(offset),
        }
    }

    fn handle_no_commit(&mut self, tp: &TopicPartition) {
        let reset = Reset { from: -1, reason: "NO_COMMITTED_OFFSET" };
        if self.config.auto_offset_reset == crate::config::AutoOffsetReset::None {
            let group = self.config.group_id.as_deref().unwrap_or_default();
            let detail = format!("group {group} has committed no offset, and auto.offset.reset is none");
            return self.fail(tp, Error::new(Operation::OffsetFetch, ErrorKind::Invalid, tp.to_string(), detail));
        }
        self.reset(tp, reset, ErrorCode::NONE);
    }

    /// New metadata: leaders move, and a topic with another id is another topic.
    pub(super) fn handle_metadata(&mut self, now: Instant, metadata: Arc<Metadata>) {
        self.metadata = metadata;
        self.is_dirty = true;
        let mut recreated = Vec::new();
        for (tp, partition) in &mut self.partitions {
            if partition.follow(tp, &self.metadata) {
                partition.gone_since = None;
            }
            let Some(topic) = self.metadata.topics.get(&tp.topic) else { continue };
            let was_known = partition.topic_id.is_known() && topic.topic_id.is_known();
            if was_known && partition.topic_id != topic.topic_id {
                recreated.push(tp.clone());
            }
            partition.topic_id = topic.topic_id;
        }
        recreated.iter().for_each(|tp| self.handle_recreated(tp));
        self.handle_topic_errors(now);
    }

    fn handle_recreated(&mut self, tp: &TopicPartition) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        if !matches!(partition.stage, Stage::Fetching) {
            return;
        }
        partition.end = None;
        partition.last_fetched_epoch = -1;
        let reset = Reset { from: partition.fetch_offset, reason: "TOPIC_RECREATED" };
        self.reset(tp, reset, ErrorCode::UNKNOWN_TOPIC_ID);
    }

    /// Topics we may not read end at once; those that do not exist get their time (see `handle_gone`).
    fn handle_topic_errors(&mut self, _now: Instant) {
        let refused = |tp: &TopicPartition| {
            let code = *self.metadata.topic_errors.get(&tp.topic)?;
            (code == ErrorCode::TOPIC_AUTHORIZATION_FAILED || code == ErrorCode::INVALID_TOPIC_EXCEPTION)
                .then_some(code)
        };
        let live = self.partitions.iter().filter(|(_, p)| !matches!(p.stage, Stage::Failed));
        let failed: Vec<_> = live.filter_map(|(tp, _)| refused(tp).map(|code| (tp.clone(), code))).collect();
        for (tp, code) in failed {
            self.fail(&tp, Error::broker(Operation::Fetch, code, tp.to_string()));
        }
    }

    /// Topics that nobody has asked the cluster for yet.
    pub(super) fn poll_topics(&mut self) -> Option<Vec<TopicName>> {
        let names = std::mem::take(&mut self.unknown);
        (!names.is_empty()).then(|| names.into_iter().collect())
    }

    /// The cluster could not tell all of `names`; what it could is in its metadata.
    pub(super) fn handle_topics_failed(&mut self, names: &[TopicName], error: &Error) {
        self.is_dirty = true;
        let is_missing =
            |tp: &TopicPartition| names.contains(&tp.topic) && !self.metadata.topics.contains_key(&tp.topic);
        let live = self.partitions.iter().filter(|(_, p)| !matches!(p.stage, Stage::Failed));
        let missing: Vec<_> = live.filter(|(tp, _)| is_missing(tp)).map(|(tp, _)| tp.clone()).collect();
        for tp in missing {
            match self.metadata.topic_errors.get(&tp.topic) {
                _ if names.len() == 1 => self.fail(&tp, error.clone()),
                Some(code) => self.fail(&tp, Error::broker(Operation::Fetch, *code, tp.to_string())),
                // Nothing is known of it: it is asked for again as a partition without a leader.
                None => {}
            }
        }
    }
}
