//! DescribeShareGroupOffsets answers, versions 0 and 1: 1 tells the lag (KIP-1226).

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::rows::structs;
use super::top;

top::response!(DescribeShareGroupOffsetsResponse, versions (0..=1), flexible 0);

structs! {
    /// Versions 0 to 1.
    DescribeShareGroupOffsetsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The results for each group.
        groups / with_groups: Vec<DescribeShareGroupOffsetsResponseGroup> [since(0)];
    }

    /// The results for each group.
    DescribeShareGroupOffsetsResponseGroup {
        /// The group identifier.
        group_id / with_group_id: GroupId [since(0)];
        /// The results for each topic.
        topics / with_topics: Vec<DescribeShareGroupOffsetsResponseTopic> [since(0)];
        /// The group-level error code, or 0 if there was no error.
        error_code / with_error_code: i16 [since(0)];
        /// The group-level error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(0).nullable(0)];
    }

    /// The results for each topic.
    DescribeShareGroupOffsetsResponseTopic {
        /// The topic name.
        topic_name / with_topic_name: TopicName [since(0)];
        /// The unique topic ID.
        topic_id / with_topic_id: Uuid [since(0)];
        /// Partitions.
        partitions / with_partitions: Vec<DescribeShareGroupOffsetsResponsePartition> [since(0)];
    }

    /// DescribeShareGroupOffsetsResponsePartition.
    DescribeShareGroupOffsetsResponsePartition {
        /// The partition index.
        partition_index / with_partition_index: i32 [since(0)];
        /// The share-partition start offset.
        start_offset / with_start_offset: i64 [since(0)];
        /// The leader epoch of the partition.
        leader_epoch / with_leader_epoch: i32 [since(0)];
        /// The share-partition lag.
        lag / with_lag: i64 [since(1).ignorable()] = -1;
        /// The partition-level error code, or 0 if there was no error.
        error_code / with_error_code: i16 [since(0)];
        /// The partition-level error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(0).nullable(0)];
    }
}
