//! Topics come and go as the metadata says, not as the controller promises.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{NewTopic, judged, refusal};
use crate::cluster::{Call, Cluster, Metadata, Target, TopicMetadata, UNKNOWN_TOPIC_PATIENCE, Verdict, backoff};
use crate::connection::deadline_in;
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{TopicId, TopicName};
use crate::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use crate::wire::messages::{CreateTopicsRequest, DeleteTopicsRequest, TopicName as WireName};
use crate::wire::{Request, StrBytes};

/// Deletes by name; later versions want ids, which older brokers do not have.
const DELETE_BY_NAME: i16 = 5;

pub(super) async fn create(cluster: &Cluster, topic: &NewTopic) -> Result<()> {
    let subject = format!("topic {}", topic.name);
    let request = CreateTopicsRequest::default().with_topics(vec![creatable(topic)]).with_timeout_ms(patience(cluster));
    let call = change(cluster, &request, i16::MAX, &subject);
    let answered = cluster.call(call, |r| r.topics.first().map_or(Verdict::Done, |t| judged(ErrorCode(t.error_code))));
    let answer = answered.await?.topics.into_iter().next().ok_or_else(|| silent(&subject))?;
    refusal(answer.error_code, answer.error_message.as_ref(), &subject)?;
    led(cluster, &Arc::from(topic.name.as_str()), TopicId(*answer.topic_id.as_bytes())).await
}

fn creatable(topic: &NewTopic) -> CreatableTopic {
    let config = |(name, value): (&String, &String)| {
        CreatableTopicConfig::default()
            .with_name(StrBytes::from_string(name.clone()))
            .with_value(Some(StrBytes::from_string(value.clone())))
    };
    CreatableTopic::default()
        .with_name(WireName(StrBytes::from_string(topic.name.clone())))
        .with_num_partitions(topic.partitions)
        .with_replication_factor(topic.replication_factor)
        .with_configs(topic.configs.iter().map(config).collect())
}

/// Waits until every partition of the topic that was created as `id` has a leader.
async fn led(cluster: &Cluster, name: &TopicName, id: TopicId) -> Result<()> {
    let deadline = deadline_in(cluster.config().default_api_timeout);
    let mut backoff = backoff(cluster);
    loop {
        let metadata = cluster.topics_anew(std::slice::from_ref(name), left(deadline)).await;
        let metadata = metadata.map_err(|e| e.with_maybe_applied(true))?;
        if metadata.topics.get(name).is_some_and(|topic| is_led(topic, id)) {
            return Ok(());
        }
        let wait = backoff.next_wait();
        if left(deadline) <= wait {
            let detail = "it was created, but its leaders did not become known in time";
            let error = Error::new(Operation::Admin, ErrorKind::Timeout, format!("topic {name}"), detail);
            return Err(error.with_maybe_applied(true));
        }
        sleep(wait).await;
    }
}

/// Whether this is the topic `id` (an older one of the name may still be known) and each partition has a leader.
fn is_led(topic: &TopicMetadata, id: TopicId) -> bool {
    let is_it = !id.is_known() || !topic.topic_id.is_known() || topic.topic_id == id;
    is_it && !topic.partitions.is_empty() && topic.partitions.iter().all(|p| p.leader.is_some())
}

pub(super) async fn delete(cluster: &Cluster, name: &str) -> Result<()> {
    let subject = format!("topic {name}");
    let request = DeleteTopicsRequest::default()
        .with_topic_names(vec![WireName(StrBytes::from_string(name.to_owned()))])
        .with_timeout_ms(patience(cluster));
    let call = change(cluster, &request, DELETE_BY_NAME, &subject);
    let judge = |r: &<DeleteTopicsRequest as Request>::Response| {
        r.responses.first().map_or(Verdict::Done, |t| judged(ErrorCode(t.error_code)))
    };
    let answer = cluster.call(call, judge).await?.responses.into_iter().next().ok_or_else(|| silent(&subject))?;
    refusal(answer.error_code, answer.error_message.as_ref(), &subject)?;
    gone(cluster, &Arc::from(name)).await;
    Ok(())
}

/// Waits until the metadata lacks the topic. That it is deleted is decided; a broker that lags does not make it fail.
async fn gone(cluster: &Cluster, name: &TopicName) {
    let deadline = deadline_in(UNKNOWN_TOPIC_PATIENCE);
    let mut backoff = backoff(cluster);
    while let Ok(metadata) = cluster.topics_anew(std::slice::from_ref(name), left(deadline)).await {
        let wait = backoff.next_wait();
        if !metadata.topics.contains_key(name) || left(deadline) <= wait {
            return;
        }
        sleep(wait).await;
    }
}

pub(super) async fn list(cluster: &Cluster) -> Result<Vec<String>> {
    let metadata = cluster.all_topics(cluster.config().default_api_timeout).await?;
    let mut names: Vec<_> =
        metadata.topics.values().filter(|topic| !topic.is_internal).map(|topic| topic.name.to_string()).collect();
    names.sort_unstable();
    Ok(names)
}

pub(super) async fn describe(cluster: &Cluster, name: &str) -> Result<TopicMetadata> {
    let name: TopicName = Arc::from(name);
    let timeout = cluster.config().default_api_timeout;
    let found = |metadata: Arc<Metadata>| metadata.topics.get(&name).map(|topic| TopicMetadata::clone(topic));
    if let Some(topic) = found(cluster.topics_anew(std::slice::from_ref(&name), timeout).await?) {
        return Ok(topic);
    }
    // Not there yet, or not at all: the usual patience tells, and the usual error.
    let missing = || Error::broker(Operation::Admin, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, format!("topic {name}"));
    found(cluster.topics(std::slice::from_ref(&name), timeout).await?).ok_or_else(missing)
}

/// A request to the controller that changes something, so that it is not repeated when it may have been applied.
fn change<'a, Q>(cluster: &Cluster, request: &'a Q, max_version: i16, subject: &'a str) -> Call<'a, Q> {
    let timeout = cluster.config().default_api_timeout;
    let (operation, target) = (Operation::Admin, Target::Controller);
    Call { operation, target, request, max_version, is_idempotent: false, timeout, subject }
}

/// How long the controller may take for one request: it should answer before the connection gives up on it.
fn patience(cluster: &Cluster) -> i32 {
    i32::try_from((cluster.config().request_timeout * 4 / 5).as_millis()).unwrap_or(i32::MAX)
}

fn silent(subject: &str) -> Error {
    Error::new(Operation::Admin, ErrorKind::Protocol, subject, "an answer without results").with_maybe_applied(true)
}

fn left(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(Instant::now())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cluster::PartitionMetadata;
    use crate::types::BrokerId;

    fn topic(id: u8, leaders: &[Option<i32>]) -> TopicMetadata {
        let row = |leader: &Option<i32>| PartitionMetadata {
            leader: leader.map(BrokerId),
            leader_epoch: 0,
            replicas: Vec::new(),
            isr: Vec::new(),
        };
        let partitions = leaders.iter().map(row).collect();
        TopicMetadata { name: "t".into(), topic_id: TopicId([id; 16]), is_internal: false, partitions }
    }

    #[test]
    fn a_topic_is_there_once_each_partition_of_this_very_topic_has_a_leader() {
        let new = TopicId([2; 16]);
        assert!(is_led(&topic(2, &[Some(1), Some(2)]), new));
        assert!(!is_led(&topic(2, &[Some(1), None]), new));
        assert!(!is_led(&topic(2, &[]), new));
        assert!(!is_led(&topic(1, &[Some(1)]), new), "the deleted one of the same name");
        assert!(is_led(&topic(0, &[Some(1)]), new) && is_led(&topic(2, &[Some(1)]), TopicId::ZERO), "older brokers");
    }
}
