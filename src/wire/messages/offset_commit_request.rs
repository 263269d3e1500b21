//! OffsetCommit requests, versions 2 to 10: from 10 on topics go by id alone (KIP-848).

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use kafka_protocol::messages::offset_commit_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(OffsetCommitRequest => super::OffsetCommitResponse, key 8, versions (2..=10), flexible 8);

generated!(9: OffsetCommitRequestPartition);

structs! {
    /// Versions 2 to 10.
    OffsetCommitRequest {
        /// The unique group identifier.
        group_id / with_group_id: GroupId [since(0)];
        /// The generation of the group if using the classic group protocol or the member epoch if using the consumer protocol.
        generation_id_or_member_epoch / with_generation_id_or_member_epoch: i32 [since(1).ignorable()] = -1;
        /// The member ID assigned by the group coordinator.
        member_id / with_member_id: StrBytes [since(1).ignorable()];
        /// The unique identifier of the consumer instance provided by end user.
        group_instance_id / with_group_instance_id: Option<StrBytes> [since(7).nullable(7)];
        /// The time period in ms to retain the offset.
        retention_time_ms / with_retention_time_ms: i64 [since(2).until(4).ignorable()] = -1;
        /// The topics to commit offsets for.
        topics / with_topics: Vec<OffsetCommitRequestTopic> [since(0)];
    }

    /// The topics to commit offsets for.
    OffsetCommitRequestTopic {
        /// The topic name.
        name / with_name: TopicName [since(0).until(9).ignorable()];
        /// The topic ID.
        topic_id / with_topic_id: Uuid [since(10).ignorable()];
        /// Each partition to commit offsets for.
        partitions / with_partitions: Vec<OffsetCommitRequestPartition> [since(0)];
    }
}
