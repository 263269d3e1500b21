//! The Fetch request: what a session asks, in the words of the version the broker speaks.

use std::time::Duration;

use super::session::{Ask, Entry};
use crate::config::ConsumerConfig;
use crate::types::{FixedMap, TopicId, TopicName, TopicPartition};
use crate::wire::StrBytes;
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use crate::wire::messages::{self, FetchRequest};

/// How much may come back, and how long that may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) max_bytes: usize,
    pub(super) wait: Duration,
}

/// The request at `version` (by topic id from 13 on).
pub(super) fn fetch_request(version: i16, ask: Ask, limits: Limits, config: &ConsumerConfig) -> FetchRequest {
    let mut request = FetchRequest::default()
        .with_max_wait_ms(i32::try_from(limits.wait.as_millis()).unwrap_or(i32::MAX))
        .with_min_bytes(config.fetch_min_bytes)
        .with_max_bytes(i32::try_from(limits.max_bytes).unwrap_or(i32::MAX))
        .with_isolation_level(config.isolation_level.code())
        .with_session_id(ask.session_id)
        .with_session_epoch(ask.session_epoch)
        .with_topics(topics(version, ask.send))
        .with_rack_id(StrBytes::from_string(config.client_rack.clone()));
    if version >= 7 {
        request.forgotten_topics_data = forgotten(version, ask.forget);
    } else {
        (request.session_id, request.session_epoch) = (0, -1);
    }
    request
}

/// The request that closes a session (KIP-227): the final epoch, and nothing wanted.
pub(super) fn close_request(session_id: i32) -> FetchRequest {
    FetchRequest::default().with_session_id(session_id).with_session_epoch(-1)
}

fn name(version: i16, topic: &TopicName) -> messages::TopicName {
    if version >= 13 { Default::default() } else { StrBytes::from_string(topic.to_string()).into() }
}

fn topics(version: i16, send: Vec<(TopicPartition, Entry)>) -> Vec<FetchTopic> {
    let mut places: FixedMap<(TopicName, TopicId), usize> = FixedMap::default();
    let mut topics: Vec<FetchTopic> = Vec::new();
    for (tp, entry) in send {
        let place = *places.entry((tp.topic.clone(), entry.topic_id)).or_insert_with(|| {
            let id = entry.topic_id.0.to_vec().try_into().unwrap_or_default();
            topics.push(FetchTopic::default().with_topic(name(version, &tp.topic)).with_topic_id(id));
            topics.len() - 1
        });
        if let Some(topic) = topics.get_mut(place) {
            topic.partitions.push(partition(version, tp.partition, &entry));
        }
    }
    topics
}

fn partition(version: i16, partition: i32, entry: &Entry) -> FetchPartition {
    FetchPartition::default()
        .with_partition(partition)
        .with_current_leader_epoch(entry.leader_epoch)
        .with_fetch_offset(entry.fetch_offset)
        .with_last_fetched_epoch(if version >= 12 { entry.last_fetched_epoch } else { -1 })
        .with_partition_max_bytes(entry.max_bytes)
}

fn forgotten(version: i16, forget: Vec<(TopicPartition, TopicId)>) -> Vec<ForgottenTopic> {
    let mut topics: Vec<ForgottenTopic> = Vec::new();
    let mut last: Option<(TopicName, TopicId)> = None;
    for (tp, id) in forget {
        let key = (tp.topic.clone(), id);
        if last.as_ref() != Some(&key) {
            let uuid = id.0.to_vec().try_into().unwrap_or_default();
            topics.push(ForgottenTopic::default().with_topic(name(version, &tp.topic)).with_topic_id(uuid));
            last = Some(key);
        }
        if let Some(topic) = topics.last_mut() {
            topic.partitions.push(tp.partition);
        }
    }
    topics
}
