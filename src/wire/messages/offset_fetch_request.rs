//! OffsetFetch requests, versions 1 to 10: from 10 on topics go by id alone (KIP-848).

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use kafka_protocol::messages::offset_fetch_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(OffsetFetchRequest => super::OffsetFetchResponse, key 9, versions (1..=10), flexible 6);

generated!(9: OffsetFetchRequestTopic);

structs! {
    /// Versions 1 to 10.
    OffsetFetchRequest {
        /// The group to fetch offsets for.
        group_id / with_group_id: GroupId [since(0).until(7)];
        /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
        topics / with_topics: Option<Vec<OffsetFetchRequestTopic>> [since(0).until(7).nullable(2)] = Some(Default::default());
        /// Each group we would like to fetch offsets for.
        groups / with_groups: Vec<OffsetFetchRequestGroup> [since(8)];
        /// Whether broker should hold on returning unstable offsets but set a retriable error code for the partitions.
        require_stable / with_require_stable: bool [since(7)];
    }

    /// Each group we would like to fetch offsets for.
    OffsetFetchRequestGroup {
        /// The group ID.
        group_id / with_group_id: GroupId [since(8)];
        /// The member id.
        member_id / with_member_id: Option<StrBytes> [since(9).nullable(9).ignorable()];
        /// The member epoch if using the new consumer protocol (KIP-848).
        member_epoch / with_member_epoch: i32 [since(9).ignorable()] = -1;
        /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
        topics / with_topics: Option<Vec<OffsetFetchRequestTopics>> [since(8).nullable(8)] = Some(Default::default());
    }

    /// Each topic we would like to fetch offsets for, or null to fetch offsets for all topics.
    OffsetFetchRequestTopics {
        /// The topic name.
        name / with_name: TopicName [since(8).until(9).ignorable()];
        /// The topic ID.
        topic_id / with_topic_id: Uuid [since(10).ignorable()];
        /// The partition indexes we would like to fetch offsets for.
        partition_indexes / with_partition_indexes: Vec<i32> [since(8)];
    }
}
