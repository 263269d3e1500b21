//! What is known of the cluster, merged from answers that may be partial, late or wrong: leader epochs never go back.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::trust::{Unusable, same_cluster};
use super::{BrokerMetadata, LeaderHint, Metadata, PartitionMetadata, TopicMetadata};
use crate::error::ErrorCode;
use crate::types::{BrokerId, TopicId, TopicName};
use crate::wire::StrBytes;
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::{self, MetadataRequest, MetadataResponse};

/// Before this version of the answer brokers may tell stale leader epochs (KAFKA-7738; Java's
/// `hasReliableLeaderEpochs`), so none is believed.
const RELIABLE_EPOCHS: i16 = 9;
/// Partition numbers an answer may leave out below one it tells; more is a fault, and memory is not spent on it.
const LARGEST_GAP: usize = 1000;

/// What a request asked for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Asked<'a> {
    /// Every topic there is.
    All,
    /// These topics only.
    Topics(&'a [TopicName]),
}

/// The request for `asked` at `version`. Topics are never created by asking, where the version can say so (4 and up).
pub(super) fn request(asked: Asked<'_>, version: i16) -> MetadataRequest {
    let by_name = |name: &TopicName| {
        let name = messages::TopicName(StrBytes::from_string(name.to_string()));
        MetadataRequestTopic::default().with_name(Some(name))
    };
    let topics = match asked {
        // Version 0 has no null: an empty list means all.
        Asked::All if version == 0 => Some(Vec::new()),
        Asked::All => None,
        Asked::Topics(names) => Some(names.iter().map(by_name).collect()),
    };
    MetadataRequest::default().with_topics(topics).with_allow_auto_topic_creation(version < 4)
}

impl Metadata {
    /// This view with an answer merged in.
    ///
    /// Nothing is learned from an answer of another cluster, nor from one that holds no broker, which a broker that has
    /// just started may give.
    pub(super) fn merged(
        &self,
        version: i16,
        asked: Asked<'_>,
        response: &MetadataResponse,
    ) -> Result<Metadata, Unusable> {
        ErrorCode(response.error_code).ok().map_err(Unusable::Code)?;
        same_cluster(self.cluster_id.as_deref(), response.cluster_id.as_deref())?;
        let mut next = self.clone();
        next.brokers = response.brokers.iter().filter_map(broker).map(|b| (b.id, b)).collect();
        if next.brokers.is_empty() {
            return Err(Unusable::Code(ErrorCode::BROKER_NOT_AVAILABLE));
        }
        next.cluster_id = response.cluster_id.as_ref().map(|id| id.to_string()).or(next.cluster_id);
        next.controller = Some(BrokerId(response.controller_id.0)).filter(|id| next.brokers.contains_key(id));
        if let Asked::All = asked {
            next.topics.clear();
            next.topic_errors.clear();
        }
        for topic in &response.topics {
            next.merge_topic(version, topic, self);
        }
        if let Asked::Topics(names) = asked {
            next.mark_unanswered(names, response);
        }
        Ok(next)
    }

    fn merge_topic(&mut self, version: i16, topic: &MetadataResponseTopic, before: &Metadata) {
        let Some(name) = topic.name.as_ref().map(|name| TopicName::from(name.as_str())) else { return };
        let known = before.topics.get(&name);
        let code = ErrorCode(topic.error_code);
        // A topic whose leaders are being elected is still there: what was known of it stays.
        if let (ErrorCode::LEADER_NOT_AVAILABLE, Some(known)) = (code, known) {
            self.topics.insert(name, Arc::clone(known));
        } else if code.is_ok() {
            self.topic_errors.remove(&name);
            let merged = topic_row(version, &name, topic, known.map(Arc::as_ref), &self.brokers);
            self.topics.insert(name, Arc::new(merged));
        } else {
            self.topics.remove(&name);
            self.topic_errors.insert(name, code);
        }
    }

    /// A topic that was asked for and not answered is unknown, not forgotten.
    fn mark_unanswered(&mut self, names: &[TopicName], response: &MetadataResponse) {
        let answered: BTreeSet<&str> = response.topics.iter().filter_map(|t| Some(t.name.as_ref()?.as_str())).collect();
        for name in names {
            if !answered.contains(&**name) {
                self.topics.remove(name);
                self.topic_errors.insert(Arc::clone(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
            }
        }
    }

    /// This view with only the topics of `other` that it holds itself: an answer about all topics, kept for those that
    /// somebody uses.
    pub(super) fn refreshed_from(&self, other: &Metadata) -> Metadata {
        let mut next = Metadata { topics: Default::default(), topic_errors: Default::default(), ..other.clone() };
        for name in self.topics.keys().chain(self.topic_errors.keys()) {
            match (other.topics.get(name), other.topic_errors.get(name)) {
                (Some(row), _) => drop(next.topics.insert(Arc::clone(name), Arc::clone(row))),
                (None, Some(code)) => drop(next.topic_errors.insert(Arc::clone(name), *code)),
                (None, None) => {
                    next.topic_errors.insert(Arc::clone(name), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                }
            }
        }
        next
    }

    /// This view with the leaders that answers told (KIP-951), or `None` if they tell nothing newer.
    pub(super) fn hinted(&self, hints: &[LeaderHint]) -> Option<Metadata> {
        let mut next = self.clone();
        let mut is_newer = false;
        for hint in hints {
            is_newer |= next.apply_hint(hint);
        }
        is_newer.then_some(next)
    }

    fn apply_hint(&mut self, hint: &LeaderHint) -> bool {
        let Some(known) = self.partition(&hint.tp) else { return false };
        if hint.leader.0 < 0 || hint.leader_epoch <= known.leader_epoch {
            return false;
        }
        let endpoint = hint.endpoint.as_ref().filter(|endpoint| endpoint.id == hint.leader && endpoint.port != 0);
        if endpoint.is_none() && !self.brokers.contains_key(&hint.leader) {
            return false;
        }
        if let Some(endpoint) = endpoint {
            // The answer tells no rack; the one that is known stays.
            let rack = self.brokers.get(&endpoint.id).and_then(|b| b.rack.clone());
            let rack = endpoint.rack.clone().or(rack);
            self.brokers.insert(endpoint.id, BrokerMetadata { rack, ..endpoint.clone() });
        }
        let Some(topic) = self.topics.get_mut(&hint.tp.topic) else { return false };
        let row = usize::try_from(hint.tp.partition).ok().and_then(|i| Arc::make_mut(topic).partitions.get_mut(i));
        let Some(row) = row else { return false };
        (row.leader, row.leader_epoch) = (Some(hint.leader), hint.leader_epoch);
        true
    }
}

fn broker(row: &MetadataResponseBroker) -> Option<BrokerMetadata> {
    let port = u16::try_from(row.port).ok().filter(|port| *port != 0)?;
    let id = BrokerId(row.node_id.0);
    let is_usable = id.0 >= 0 && !row.host.is_empty();
    let rack = row.rack.as_ref().map(|rack| rack.to_string());
    is_usable.then(|| BrokerMetadata { id, host: row.host.to_string(), port, rack })
}

type Brokers = std::collections::BTreeMap<BrokerId, BrokerMetadata>;

fn topic_row(
    version: i16,
    name: &TopicName,
    topic: &MetadataResponseTopic,
    known: Option<&TopicMetadata>,
    brokers: &Brokers,
) -> TopicMetadata {
    let told = TopicId(*topic.topic_id.as_bytes());
    // While brokers are upgraded one may know the id and the next one not.
    let topic_id = if told.is_known() { told } else { known.map_or(told, |known| known.topic_id) };
    // Another id is another topic: its epochs begin anew.
    let known = known.filter(|known| known.topic_id == topic_id || !known.topic_id.is_known());
    let partitions = partition_rows(version, &topic.partitions, known, brokers);
    TopicMetadata { name: Arc::clone(name), topic_id, is_internal: topic.is_internal, partitions }
}

fn partition_rows(
    version: i16,
    told: &[MetadataResponsePartition],
    known: Option<&TopicMetadata>,
    brokers: &Brokers,
) -> Vec<PartitionMetadata> {
    let mut sorted: Vec<_> = told.iter().filter_map(|p| Some((usize::try_from(p.partition_index).ok()?, p))).collect();
    sorted.sort_by_key(|(index, _)| *index);
    let known_row = |index: usize| known.and_then(|known| known.partitions.get(index));
    let mut rows: Vec<PartitionMetadata> = Vec::with_capacity(sorted.len());
    for (index, partition) in sorted {
        if index.saturating_sub(rows.len()) > LARGEST_GAP {
            break;
        }
        while rows.len() < index {
            rows.push(known_row(rows.len()).cloned().unwrap_or_else(leaderless));
        }
        // A number told twice is told by its first row.
        if rows.len() == index {
            rows.push(partition_row(version, partition, known_row(index), brokers));
        }
    }
    rows
}

fn leaderless() -> PartitionMetadata {
    PartitionMetadata { leader: None, leader_epoch: -1, replicas: Vec::new(), isr: Vec::new() }
}

/// One partition as told, unless more recent news of it is known: a broker that lags must not send us back to a leader
/// that was deposed.
fn partition_row(
    version: i16,
    told: &MetadataResponsePartition,
    known: Option<&PartitionMetadata>,
    brokers: &Brokers,
) -> PartitionMetadata {
    let leader_epoch = if version >= RELIABLE_EPOCHS { told.leader_epoch } else { -1 };
    if let Some(known) = known.filter(|known| leader_epoch >= 0 && leader_epoch < known.leader_epoch) {
        return known.clone();
    }
    let ids = |ids: &[messages::BrokerId]| ids.iter().map(|id| BrokerId(id.0)).collect();
    PartitionMetadata {
        leader: Some(BrokerId(told.leader_id.0)).filter(|id| brokers.contains_key(id)),
        leader_epoch,
        replicas: ids(&told.replica_nodes),
        isr: ids(&told.isr_nodes),
    }
}

#[cfg(test)]
mod tests;
