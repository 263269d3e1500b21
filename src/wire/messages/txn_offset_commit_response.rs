//! TxnOffsetCommit answers, versions 0 to 6: from 6 on topics go by id alone (KIP-1319).

use kafka_protocol::messages::TopicName;
use uuid::Uuid;

pub use kafka_protocol::messages::txn_offset_commit_response::*;

use super::rows::{generated, structs};
use super::top;

top::response!(TxnOffsetCommitResponse, versions (0..=6), flexible 3);

generated!(5: TxnOffsetCommitResponsePartition);

structs! {
    /// Versions 0 to 6.
    TxnOffsetCommitResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The responses for each topic.
        topics / with_topics: Vec<TxnOffsetCommitResponseTopic> [since(0)];
    }

    /// The responses for each topic.
    TxnOffsetCommitResponseTopic {
        /// The topic name.
        name / with_name: TopicName [since(0).until(5).ignorable()];
        /// The topic ID.
        topic_id / with_topic_id: Uuid [since(6).ignorable()];
        /// The responses for each partition in the topic.
        partitions / with_partitions: Vec<TxnOffsetCommitResponsePartition> [since(0)];
    }
}
