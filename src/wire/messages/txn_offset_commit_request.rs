//! TxnOffsetCommit requests, versions 0 to 6: from 6 on topics go by id alone (KIP-1319).

use kafka_protocol::messages::{GroupId, ProducerId, TopicName, TransactionalId};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use kafka_protocol::messages::txn_offset_commit_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(TxnOffsetCommitRequest => super::TxnOffsetCommitResponse, key 28, versions (0..=6), flexible 3);

generated!(5: TxnOffsetCommitRequestPartition);

structs! {
    /// Versions 0 to 6.
    TxnOffsetCommitRequest {
        /// The ID of the transaction.
        transactional_id / with_transactional_id: TransactionalId [since(0)];
        /// The ID of the group.
        group_id / with_group_id: GroupId [since(0)];
        /// The current producer ID in use by the transactional ID.
        producer_id / with_producer_id: ProducerId [since(0)];
        /// The current epoch associated with the producer ID.
        producer_epoch / with_producer_epoch: i16 [since(0)];
        /// The generation of the group if using the classic group protocol or the member epoch if using the consumer protocol.
        generation_id_or_member_epoch / with_generation_id_or_member_epoch: i32 [since(3)] = -1;
        /// The member ID assigned by the group coordinator.
        member_id / with_member_id: StrBytes [since(3)];
        /// The unique identifier of the consumer instance provided by end user.
        group_instance_id / with_group_instance_id: Option<StrBytes> [since(3).nullable(3)];
        /// Each topic that we want to commit offsets for.
        topics / with_topics: Vec<TxnOffsetCommitRequestTopic> [since(0)];
    }

    /// Each topic that we want to commit offsets for.
    TxnOffsetCommitRequestTopic {
        /// The topic name.
        name / with_name: TopicName [since(0).until(5).ignorable()];
        /// The topic ID.
        topic_id / with_topic_id: Uuid [since(6).ignorable()];
        /// The partitions inside the topic that we want to commit offsets for.
        partitions / with_partitions: Vec<TxnOffsetCommitRequestPartition> [since(0)];
    }
}
