//! Committed offsets of groups: what is committed, what an open transaction will commit, and who may not see it yet.

use std::collections::BTreeMap;

use super::api::{Call, Outcome, Serve, name, text};
use super::coordinate::{CoordinatorKind, for_clients, offsets_partition};
use super::core::Core;
use crate::error::ErrorCode;
use crate::types::{OffsetAndMetadata, ProducerIdentity, TopicPartition, TransactionVersion};
use crate::wire::StrBytes;
use crate::wire::messages::list_groups_response::ListedGroup;
use crate::wire::messages::offset_commit_response::{OffsetCommitResponsePartition, OffsetCommitResponseTopic};
use crate::wire::messages::offset_fetch_response::*;
use crate::wire::messages::txn_offset_commit_response::{
    TxnOffsetCommitResponsePartition, TxnOffsetCommitResponseTopic,
};
use crate::wire::messages::*;

/// Longest metadata of one offset (`offset.metadata.max.bytes`).
const METADATA_MAX: usize = 4096;

/// One group.
#[derive(Default, Debug)]
struct Group {
    committed: BTreeMap<TopicPartition, OffsetAndMetadata>,
    /// Offsets of open transactions, by producer id.
    pending: BTreeMap<i64, BTreeMap<TopicPartition, OffsetAndMetadata>>,
}

/// Every group of the cluster.
#[derive(Default, Debug)]
pub(super) struct Groups {
    by_id: BTreeMap<String, Group>,
}

impl Groups {
    /// Commits or drops what the producer's transaction left in groups of this partition of the offsets topic.
    pub(super) fn end_transaction(&mut self, producer_id: i64, tp: &TopicPartition, is_commit: bool) {
        let of_partition = self.by_id.iter_mut().filter(|(id, _)| offsets_partition(id) == *tp);
        for (_, group) in of_partition {
            let pending = group.pending.remove(&producer_id).unwrap_or_default();
            if is_commit {
                group.committed.extend(pending);
            }
        }
    }

    /// Forgets the offsets of a deleted topic.
    pub(super) fn forget_topic(&mut self, topic: &str) {
        for group in self.by_id.values_mut() {
            group.committed.retain(|tp, _| &*tp.topic != topic);
            group.pending.values_mut().for_each(|pending| pending.retain(|tp, _| &*tp.topic != topic));
        }
    }

    /// Only a group without members may commit without a generation, and we keep no members.
    fn check_generation(&self, group: &str, generation: i32) -> Result<(), ErrorCode> {
        match (generation, self.by_id.get(group)) {
            (..0, _) => Ok(()),
            (_, Some(_)) => Err(ErrorCode::UNKNOWN_MEMBER_ID),
            _ => Err(ErrorCode::ILLEGAL_GENERATION),
        }
    }

    fn fetch(&self, group: &str, tp: &TopicPartition, require_stable: bool) -> OffsetFetchResponsePartitions {
        let answer = OffsetFetchResponsePartitions::default()
            .with_partition_index(tp.partition)
            .with_committed_offset(-1)
            .with_committed_leader_epoch(-1)
            .with_metadata(Some(StrBytes::default()));
        let Some(group) = self.by_id.get(group) else { return answer };
        if require_stable && group.pending.values().any(|pending| pending.contains_key(tp)) {
            return answer.with_error_code(ErrorCode::UNSTABLE_OFFSET_COMMIT.0);
        }
        let Some(committed) = group.committed.get(tp) else { return answer };
        answer
            .with_committed_offset(committed.offset)
            .with_committed_leader_epoch(committed.leader_epoch)
            .with_metadata(Some(text(&committed.metadata)))
    }

    fn fetch_all(&self, group: &str, require_stable: bool) -> Vec<OffsetFetchResponseTopics> {
        let known = self.by_id.get(group).map(|group| group.committed.keys()).into_iter().flatten();
        let mut topics: Vec<OffsetFetchResponseTopics> = Vec::new();
        for tp in known {
            if topics.last().is_none_or(|topic| *topic.name.0 != *tp.topic) {
                topics.push(OffsetFetchResponseTopics::default().with_name(name(&tp.topic)));
            }
            if let Some(topic) = topics.last_mut() {
                topic.partitions.push(self.fetch(group, tp, require_stable));
            }
        }
        topics
    }
}

fn checked(offset: i64, leader_epoch: i32, metadata: Option<&StrBytes>) -> Result<OffsetAndMetadata, ErrorCode> {
    let metadata = metadata.map_or("", |metadata| metadata.as_str());
    if metadata.len() > METADATA_MAX {
        return Err(ErrorCode::OFFSET_METADATA_TOO_LARGE);
    }
    Ok(OffsetAndMetadata { offset, leader_epoch, metadata: metadata.to_owned() })
}

fn commit_answer(
    request: OffsetCommitRequest,
    mut each: impl FnMut(TopicPartition, Result<OffsetAndMetadata, ErrorCode>) -> Result<(), ErrorCode>,
) -> OffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let tp = TopicPartition::new(&**topic.name, p.partition_index);
            let offset = checked(p.committed_offset, p.committed_leader_epoch, p.committed_metadata.as_ref());
            let code = each(tp, offset).err().map_or(0, |code| code.0);
            OffsetCommitResponsePartition::default().with_partition_index(p.partition_index).with_error_code(code)
        });
        OffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    OffsetCommitResponse::default().with_topics(topics.collect())
}

impl Serve for OffsetCommitRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<OffsetCommitResponse> {
        let group = self.group_id.to_string();
        let generation = self.generation_id_or_member_epoch;
        let allowed = core
            .check_coordinator(call, CoordinatorKind::Group, &group)
            .and_then(|()| core.groups.check_generation(&group, generation));
        Outcome::Reply(commit_answer(self, |tp, offset| {
            allowed?;
            core.topics.partition(&tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            core.groups.by_id.entry(group.clone()).or_default().committed.insert(tp, offset?);
            Ok(())
        }))
    }

    fn refuse(self, code: i16, _version: i16) -> OffsetCommitResponse {
        commit_answer(self, |_, _| Err(ErrorCode(code)))
    }

    fn throttle(response: &mut OffsetCommitResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

fn txn_commit_answer(
    request: TxnOffsetCommitRequest,
    mut each: impl FnMut(TopicPartition, Result<OffsetAndMetadata, ErrorCode>) -> Result<(), ErrorCode>,
) -> TxnOffsetCommitResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|p| {
            let tp = TopicPartition::new(&**topic.name, p.partition_index);
            let offset = checked(p.committed_offset, p.committed_leader_epoch, p.committed_metadata.as_ref());
            let code = each(tp, offset).err().map_or(0, |code| code.0);
            let answer = TxnOffsetCommitResponsePartition::default().with_partition_index(p.partition_index);
            answer.with_error_code(code)
        });
        TxnOffsetCommitResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    TxnOffsetCommitResponse::default().with_topics(topics.collect())
}

impl Serve for TxnOffsetCommitRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<TxnOffsetCommitResponse> {
        let group = self.group_id.to_string();
        let allowed = core.may_commit_in_transaction(call, &self);
        let producer_id = *self.producer_id;
        Outcome::Reply(txn_commit_answer(self, |tp, offset| {
            core.topics.partition(&tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            allowed?;
            let group = core.groups.by_id.entry(group.clone()).or_default();
            group.pending.entry(producer_id).or_default().insert(tp, offset?);
            Ok(())
        }))
    }

    fn refuse(self, code: i16, _version: i16) -> TxnOffsetCommitResponse {
        txn_commit_answer(self, |_, _| Err(ErrorCode(code)))
    }

    fn throttle(response: &mut TxnOffsetCommitResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Core {
    fn may_commit_in_transaction(&mut self, call: &Call, request: &TxnOffsetCommitRequest) -> Result<(), ErrorCode> {
        self.check_coordinator(call, CoordinatorKind::Group, &request.group_id)?;
        let producer = ProducerIdentity { producer_id: *request.producer_id, producer_epoch: request.producer_epoch };
        let rules = if call.version >= 5 { TransactionVersion::V2 } else { TransactionVersion::V1 };
        let tp = offsets_partition(&request.group_id);
        let enlisted = self.enlist(&request.transactional_id, producer, &tp, rules);
        // A group's coordinator has only its own codes for "later".
        enlisted.map_err(|code| match for_clients(code, rules, call.version >= 4) {
            ErrorCode::NOT_ENOUGH_REPLICAS => ErrorCode::COORDINATOR_NOT_AVAILABLE,
            other => other,
        })?;
        self.groups.check_generation(&request.group_id, request.generation_id_or_member_epoch)
    }

    fn offsets_of_group(
        &self,
        call: &Call,
        group: &str,
        wanted: Option<Vec<(TopicName, Vec<i32>)>>,
        require_stable: bool,
    ) -> Result<Vec<OffsetFetchResponseTopics>, ErrorCode> {
        self.check_coordinator(call, CoordinatorKind::Group, group)?;
        let Some(wanted) = wanted else { return Ok(self.groups.fetch_all(group, require_stable)) };
        let of_topic = |(topic, partitions): (TopicName, Vec<i32>)| {
            let tp = |partition| TopicPartition::new(&**topic, partition);
            let offsets = partitions.into_iter().map(|p| self.groups.fetch(group, &tp(p), require_stable)).collect();
            OffsetFetchResponseTopics::default().with_partitions(offsets).with_name(topic.clone())
        };
        Ok(wanted.into_iter().map(of_topic).collect())
    }
}

impl Serve for OffsetFetchRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<OffsetFetchResponse> {
        let stable = self.require_stable;
        if call.version < 8 {
            let wanted = self.topics.map(|t| t.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
            return Outcome::Reply(match core.offsets_of_group(call, &self.group_id, wanted, stable) {
                Ok(topics) => OffsetFetchResponse::default().with_topics(topics.into_iter().map(old_shape).collect()),
                Err(code) => OffsetFetchResponse::default().with_error_code(code.0),
            });
        }
        let groups = self.groups.into_iter().map(|group| {
            let wanted = group.topics.map(|t| t.into_iter().map(|t| (t.name, t.partition_indexes)).collect());
            let answer = OffsetFetchResponseGroup::default().with_group_id(group.group_id.clone());
            match core.offsets_of_group(call, &group.group_id, wanted, stable) {
                Ok(topics) => answer.with_topics(topics),
                Err(code) => answer.with_error_code(code.0),
            }
        });
        Outcome::Reply(OffsetFetchResponse::default().with_groups(groups.collect()))
    }

    fn refuse(self, code: i16, version: i16) -> OffsetFetchResponse {
        if version < 8 {
            return OffsetFetchResponse::default().with_error_code(code);
        }
        let refused = |group: GroupId| OffsetFetchResponseGroup::default().with_group_id(group).with_error_code(code);
        let groups = self.groups.into_iter().map(|group| refused(group.group_id)).collect();
        OffsetFetchResponse::default().with_groups(groups)
    }

    fn throttle(response: &mut OffsetFetchResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

fn old_shape(topic: OffsetFetchResponseTopics) -> OffsetFetchResponseTopic {
    let partitions = topic.partitions.into_iter().map(|p| {
        OffsetFetchResponsePartition::default()
            .with_partition_index(p.partition_index)
            .with_committed_offset(p.committed_offset)
            .with_committed_leader_epoch(p.committed_leader_epoch)
            .with_metadata(p.metadata)
            .with_error_code(p.error_code)
    });
    OffsetFetchResponseTopic::default().with_partitions(partitions.collect()).with_name(topic.name)
}

impl Serve for ListGroupsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<ListGroupsResponse> {
        let here = core.groups.by_id.keys().filter(|group| core.coordinator(0, group) == Some(call.broker));
        let groups = here.map(|group| {
            let listed = ListedGroup::default().with_group_id(GroupId(text(group)));
            // Groups that only keep offsets have no protocol.
            if call.version >= 5 {
                return listed.with_group_state(text("Empty")).with_group_type(text("classic"));
            }
            if call.version == 4 { listed.with_group_state(text("Empty")) } else { listed }
        });
        Outcome::Reply(ListGroupsResponse::default().with_groups(groups.collect()))
    }

    fn refuse(self, code: i16, _version: i16) -> ListGroupsResponse {
        ListGroupsResponse::default().with_error_code(code)
    }

    fn throttle(response: &mut ListGroupsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}
