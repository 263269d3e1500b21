//! A group's offsets, read and written by a client that is no member: reads wait for open transactions to end.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::time::Instant;

use super::{backoff, by_topic};
use crate::cluster::{Call, Cluster, CoordinatorKind, Lane, Target, Verdict};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{OffsetAndMetadata, TopicPartition};
use crate::wire::StrBytes;
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use crate::wire::messages::{
    GroupId, OffsetCommitRequest, OffsetCommitResponse, OffsetFetchRequest, OffsetFetchResponse, TopicName as WireName,
};

/// Newest OffsetCommit and OffsetFetch that name topics; v10 wants ids, and a zero id is refused (Kafka 4.2).
const NEWEST_BY_NAME: i16 = 9;
/// First OffsetFetch that asks for groups in a batch.
const FETCH_BATCHED_FROM: i16 = 8;
/// First OffsetFetch that can wait for open transactions (KIP-447).
const FETCH_STABLE_FROM: i16 = 7;

/// A group's committed offsets, as [`Consumer::committed`]; a partition without one is left out.
///
/// Waits for transactions that hold offsets of these partitions (`UNSTABLE_OFFSET_COMMIT`), and for coordinators that
/// move, up to `default.api.timeout.ms`. Before Kafka 2.5 a broker cannot say and the last stable value comes back.
/// Fails with the first partition that no retry can mend. Safe to drop.
///
/// [`Consumer::committed`]: crate::consumer::Consumer::committed
pub async fn committed_offsets(
    cluster: &Cluster,
    group_id: &str,
    partitions: &[TopicPartition],
) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>> {
    if partitions.is_empty() {
        return Ok(BTreeMap::new());
    }
    let deadline = Instant::now() + cluster.config().default_api_timeout;
    let mut backoff = backoff(cluster);
    loop {
        let error = match fetch_once(cluster, group_id, partitions, deadline).await {
            Ok(offsets) => return Ok(offsets),
            Err(error) if error.is_retriable() => error,
            Err(error) => return Err(error),
        };
        let is_moved = matches!(error.code().map(Verdict::of), None | Some(Verdict::Relocate(_)));
        if is_moved {
            cluster.forget_coordinator(CoordinatorKind::Group, group_id);
        }
        let wait = backoff.next_wait();
        if Instant::now() + wait >= deadline {
            return Err(error);
        }
        tokio::time::sleep(wait).await;
    }
}

async fn fetch_once(
    cluster: &Cluster,
    group_id: &str,
    partitions: &[TopicPartition],
    deadline: Instant,
) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>> {
    let coordinator = cluster.coordinator(CoordinatorKind::Group, group_id).await?;
    let connection = cluster.connection(coordinator, Lane::Coordination).await?;
    let version = connection.version_of::<OffsetFetchRequest>()?.min(NEWEST_BY_NAME);
    let request = fetch_request(version, group_id, partitions);
    let left = deadline.saturating_duration_since(Instant::now()).min(cluster.config().request_timeout);
    // Reading changes nothing, whatever became of the request.
    let response = connection.call_at(version, &request, left).await.map_err(|e| e.with_maybe_applied(false))?;
    offsets(group_id, partitions, &response)
}

fn fetch_request(version: i16, group_id: &str, partitions: &[TopicPartition]) -> OffsetFetchRequest {
    let group = GroupId(StrBytes::from_string(group_id.to_owned()));
    let topics = by_topic(partitions.iter().map(|tp| (tp, ()))).into_iter();
    let topics = topics.map(|(name, list)| (wire_name(&name), list.into_iter().map(|(p, ())| p).collect::<Vec<_>>()));
    let request = OffsetFetchRequest::default().with_require_stable(version >= FETCH_STABLE_FROM);
    if version >= FETCH_BATCHED_FROM {
        let topics = topics
            .map(|(name, list)| OffsetFetchRequestTopics::default().with_name(name).with_partition_indexes(list))
            .collect();
        let group = OffsetFetchRequestGroup::default().with_group_id(group).with_topics(Some(topics));
        return request.with_topics(Some(Vec::new())).with_groups(vec![group]);
    }
    let topics = topics
        .map(|(name, list)| OffsetFetchRequestTopic::default().with_name(name).with_partition_indexes(list))
        .collect();
    request.with_group_id(group).with_topics(Some(topics))
}

/// One partition of an answer, whichever form it came in.
struct Answered {
    tp: TopicPartition,
    code: ErrorCode,
    committed: OffsetAndMetadata,
}

fn offsets(
    group_id: &str,
    asked: &[TopicPartition],
    response: &OffsetFetchResponse,
) -> Result<BTreeMap<TopicPartition, OffsetAndMetadata>> {
    let (code, answers) = answers(response);
    code.ok().map_err(|code| Error::broker(Operation::OffsetFetch, code, group_id))?;
    let mut offsets = BTreeMap::new();
    let mut is_answered: BTreeMap<&TopicPartition, bool> = asked.iter().map(|tp| (tp, false)).collect();
    for Answered { tp, code, committed } in answers {
        let subject = || format!("{tp} of group {group_id}");
        code.ok().map_err(|code| Error::broker(Operation::OffsetFetch, code, subject()))?;
        // What was not asked for is a broker's mistake that hurts nobody.
        let Some(seen) = is_answered.get_mut(&tp) else { continue };
        *seen = true;
        if committed.offset >= 0 {
            offsets.insert(tp, committed);
        }
    }
    match is_answered.iter().find(|(_, seen)| !**seen) {
        None => Ok(offsets),
        Some((tp, _)) => {
            let subject = format!("{tp} of group {group_id}");
            Err(Error::new(Operation::OffsetFetch, ErrorKind::Protocol, subject, "the answer leaves it out"))
        }
    }
}

fn answers(response: &OffsetFetchResponse) -> (ErrorCode, Vec<Answered>) {
    let mut answers = Vec::new();
    let mut add = |topic: &WireName, p: i32, code: i16, offset: i64, leader_epoch: i32, metadata: &Option<StrBytes>| {
        let metadata = metadata.as_ref().map(|m| m.to_string()).unwrap_or_default();
        let tp = TopicPartition::new(topic.0.as_str(), p);
        answers.push(Answered {
            tp,
            code: ErrorCode(code),
            committed: OffsetAndMetadata { offset, leader_epoch, metadata },
        });
    };
    for topic in &response.topics {
        for p in &topic.partitions {
            let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
            add(&topic.name, p.partition_index, p.error_code, offset, epoch, &p.metadata);
        }
    }
    for topic in response.groups.iter().flat_map(|g| &g.topics) {
        for p in &topic.partitions {
            let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
            add(&topic.name, p.partition_index, p.error_code, offset, epoch, &p.metadata);
        }
    }
    let group_code = response.groups.first().map_or(0, |g| g.error_code);
    let code = if response.error_code != 0 { response.error_code } else { group_code };
    (ErrorCode(code), answers)
}

/// Commits a group's offsets, as [`Consumer::commit`]: from outside the group, so it must have no members.
///
/// Fails with the first partition that was refused; others may have been committed. Safe to drop, and to repeat.
///
/// [`Consumer::commit`]: crate::consumer::Consumer::commit
pub async fn commit_offsets(
    cluster: &Cluster,
    group_id: &str,
    offsets: &[(TopicPartition, OffsetAndMetadata)],
) -> Result<()> {
    if offsets.is_empty() {
        return Ok(());
    }
    let request = commit_request(group_id, offsets);
    let call = Call {
        operation: Operation::OffsetCommit,
        target: Target::Coordinator(CoordinatorKind::Group, Arc::from(group_id)),
        request: &request,
        max_version: NEWEST_BY_NAME,
        is_idempotent: true,
        timeout: cluster.config().default_api_timeout,
        subject: group_id,
    };
    let response = cluster.call(call, retriable_partition).await?;
    match refused(&response) {
        None => Ok(()),
        Some((tp, code)) => Err(Error::broker(Operation::OffsetCommit, code, format!("{tp} of group {group_id}"))),
    }
}

fn commit_request(group_id: &str, offsets: &[(TopicPartition, OffsetAndMetadata)]) -> OffsetCommitRequest {
    let topics = by_topic(offsets.iter().map(|(tp, offset)| (tp, offset))).into_iter().map(|(name, list)| {
        let partitions = list.into_iter().map(|(partition, committed)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(partition)
                .with_committed_offset(committed.offset)
                .with_committed_leader_epoch(committed.leader_epoch)
                .with_committed_metadata(Some(StrBytes::from_string(committed.metadata.clone())))
        });
        OffsetCommitRequestTopic::default().with_name(wire_name(&name)).with_partitions(partitions.collect())
    });
    OffsetCommitRequest::default()
        .with_group_id(GroupId(StrBytes::from_string(group_id.to_owned())))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(topics.collect())
}

/// Tries again while any partition may still succeed; what cannot is reported with its name once no other is left.
fn retriable_partition(response: &OffsetCommitResponse) -> Verdict {
    let codes = response.topics.iter().flat_map(|t| &t.partitions).map(|p| Verdict::of(ErrorCode(p.error_code)));
    let mut retriable = codes.filter(|v| matches!(v, Verdict::Retry(_) | Verdict::Relocate(_)));
    if refused(response).is_some_and(|(_, code)| !code.is_retriable()) {
        return Verdict::Done;
    }
    retriable.next().unwrap_or(Verdict::Done)
}

/// The first partition that failed; one that cannot be mended goes before one that can.
fn refused(response: &OffsetCommitResponse) -> Option<(TopicPartition, ErrorCode)> {
    let failed = response.topics.iter().flat_map(|topic| {
        let failed = topic.partitions.iter().filter(|p| p.error_code != 0);
        failed.map(|p| (TopicPartition::new(topic.name.0.as_str(), p.partition_index), ErrorCode(p.error_code)))
    });
    failed.min_by_key(|(_, code)| code.is_retriable())
}

fn wire_name(name: &str) -> WireName {
    WireName(StrBytes::from_string(name.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
    use crate::wire::messages::offset_fetch_response::{
        OffsetFetchResponseGroup, OffsetFetchResponsePartitions, OffsetFetchResponseTopics,
    };
    use kafka_protocol::protocol::Encodable;

    #[test]
    fn offset_fetch_is_sayable_at_every_version() {
        let asked = [TopicPartition::new("a", 0), TopicPartition::new("a", 3), TopicPartition::new("b", 1)];
        for version in 1..=NEWEST_BY_NAME {
            let request = fetch_request(version, "g", &asked);
            request.encode(&mut bytes::BytesMut::new(), version).expect("every field fits its version");
            assert_eq!(request.require_stable, version >= 7);
        }
    }

    #[test]
    fn offset_commit_is_sayable_at_every_version() {
        let committed = OffsetAndMetadata { offset: 7, leader_epoch: 2, metadata: "m".into() };
        let request = commit_request("g", &[(TopicPartition::new("a", 0), committed)]);
        for version in 2..=NEWEST_BY_NAME {
            request.encode(&mut bytes::BytesMut::new(), version).expect("every field fits its version");
        }
    }

    fn fetched(partitions: &[(i32, i64, i16)]) -> OffsetFetchResponse {
        let partitions = partitions.iter().map(|(p, offset, code)| {
            let row = OffsetFetchResponsePartitions::default().with_partition_index(*p);
            row.with_committed_offset(*offset).with_error_code(*code)
        });
        let topic = OffsetFetchResponseTopics::default().with_name(wire_name("a"));
        let topic = topic.with_partitions(partitions.collect());
        OffsetFetchResponse::default().with_groups(vec![OffsetFetchResponseGroup::default().with_topics(vec![topic])])
    }

    #[test]
    fn a_partition_without_a_commit_is_left_out_and_an_unanswered_one_is_an_error() {
        let asked = [TopicPartition::new("a", 0), TopicPartition::new("a", 1)];
        let found = offsets("g", &asked, &fetched(&[(0, 5, 0), (1, -1, 0), (9, 1, 0)])).expect("all answered");
        assert_eq!(found.into_iter().map(|(tp, o)| (tp.partition, o.offset)).collect::<Vec<_>>(), [(0, 5)]);
        let error = offsets("g", &asked, &fetched(&[(0, 5, 0)])).expect_err("partition 1 is missing");
        assert_eq!(error.kind(), ErrorKind::Protocol);
    }

    #[test]
    fn offsets_of_an_open_transaction_are_waited_for() {
        let error = offsets("g", &[TopicPartition::new("a", 0)], &fetched(&[(0, 5, 88)])).expect_err("unstable");
        assert!(error.is_retriable(), "{error}");
    }

    #[test]
    fn a_refused_commit_names_the_partition_that_no_retry_mends() {
        let row = |p, code| OffsetCommitResponsePartition::default().with_partition_index(p).with_error_code(code);
        let answer = |rows| {
            let topic = OffsetCommitResponseTopic::default().with_name(wire_name("a")).with_partitions(rows);
            OffsetCommitResponse::default().with_topics(vec![topic])
        };
        let mixed = answer(vec![row(0, 0), row(1, 14), row(2, 12)]);
        assert!(matches!(retriable_partition(&mixed), Verdict::Done));
        assert_eq!(refused(&mixed).map(|(tp, code)| (tp.partition, code.0)), Some((2, 12)));
        assert!(matches!(retriable_partition(&answer(vec![row(0, 0), row(1, 16)])), Verdict::Relocate(_)));
        assert!(refused(&answer(vec![row(0, 0)])).is_none());
    }
}
