//! Short ways to say the requests that scripts are made of.

use bytes::Bytes;
use kafka_protocol::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use kafka_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use kafka_protocol::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::txn_offset_commit_request::{
    TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
};
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, CreateTopicsRequest, DescribeTransactionsRequest, EndTxnRequest,
    FetchRequest, FindCoordinatorRequest, GroupId, InitProducerIdRequest, ListOffsetsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetFetchRequest, ProduceRequest, ProducerId, TopicName, TransactionalId,
    TxnOffsetCommitRequest,
};
use kafka_protocol::protocol::StrBytes;

use super::records::{self, From};
use super::{Talk, Tv};

pub(super) const NO_ID: uuid::Uuid = uuid::Uuid::nil();

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.into())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

pub(super) fn creatable(name: &str, partitions: i32, replicas: i16, configs: &[(&str, &str)]) -> CreatableTopic {
    let config = |(key, value): &(&str, &str)| {
        CreatableTopicConfig::default().with_name(text(key)).with_value(Some(text(value)))
    };
    CreatableTopic::default()
        .with_name(topic_name(name))
        .with_num_partitions(partitions)
        .with_replication_factor(replicas)
        .with_configs(configs.iter().map(config).collect())
}

pub(super) fn create(topics: Vec<CreatableTopic>) -> CreateTopicsRequest {
    CreateTopicsRequest::default().with_topics(topics).with_timeout_ms(5000)
}

pub(super) fn metadata(names: &[&str]) -> MetadataRequest {
    let topic = |name: &&str| MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    MetadataRequest::default().with_topics(Some(names.iter().map(topic).collect()))
}

pub(super) fn produce(topic: &str, partition: i32, batch: Bytes) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(partition).with_records(Some(batch));
    let topic = TopicProduceData::default().with_name(topic_name(topic)).with_partition_data(vec![data]);
    ProduceRequest::default().with_acks(-1).with_timeout_ms(5000).with_topic_data(vec![topic])
}

pub(super) fn fetch_partition(partition: i32, offset: i64) -> FetchPartition {
    FetchPartition::default().with_partition(partition).with_fetch_offset(offset).with_partition_max_bytes(1 << 20)
}

/// A fetch by name (version 12) without a session, which does not wait.
pub(super) fn fetch(topic: &str, partitions: Vec<FetchPartition>) -> FetchRequest {
    let topic = FetchTopic::default().with_topic(topic_name(topic)).with_partitions(partitions);
    FetchRequest::default()
        .with_max_bytes(1 << 20)
        .with_min_bytes(1)
        .with_max_wait_ms(0)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

pub(super) fn fetch_committed(topic: &str, offset: i64) -> FetchRequest {
    fetch(topic, vec![fetch_partition(0, offset)]).with_isolation_level(1)
}

pub(super) fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest {
    let one = ListOffsetsPartition::default().with_partition_index(partition).with_timestamp(timestamp);
    let topic = ListOffsetsTopic::default().with_name(topic_name(topic)).with_partitions(vec![one]);
    ListOffsetsRequest::default().with_replica_id((-1).into()).with_topics(vec![topic])
}

pub(super) fn offset_commit(group: &str, topic: &str, partition: i32, offset: i64) -> OffsetCommitRequest {
    let one = OffsetCommitRequestPartition::default().with_partition_index(partition).with_committed_offset(offset);
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![one]);
    OffsetCommitRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic])
}

pub(super) fn offset_fetch(group: &str, topic: &str, partitions: Vec<i32>) -> OffsetFetchRequest {
    let topic = OffsetFetchRequestTopics::default().with_name(topic_name(topic)).with_partition_indexes(partitions);
    let group = OffsetFetchRequestGroup::default()
        .with_group_id(GroupId(text(group)))
        .with_member_epoch(-1)
        .with_topics(Some(vec![topic]));
    OffsetFetchRequest::default().with_groups(vec![group])
}

/// A producer's transaction as its requests name it.
#[derive(Clone, Debug)]
pub(super) struct Txn {
    pub(super) id: String,
    pub(super) producer_id: i64,
    pub(super) epoch: i16,
}

impl Txn {
    fn transactional_id(&self) -> TransactionalId {
        TransactionalId(text(&self.id))
    }

    pub(super) fn with_epoch(&self, epoch: i16) -> Txn {
        Txn { epoch, ..self.clone() }
    }

    pub(super) fn from(&self, sequence: i32) -> From {
        From { producer_id: self.producer_id, producer_epoch: self.epoch, sequence, transactional: true }
    }

    pub(super) fn add_partition(&self, topic: &str, partition: i32) -> AddPartitionsToTxnRequest {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name(topic)).with_partitions(vec![partition]);
        AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(self.transactional_id())
            .with_v3_and_below_producer_id(ProducerId(self.producer_id))
            .with_v3_and_below_producer_epoch(self.epoch)
            .with_v3_and_below_topics(vec![topic])
    }

    pub(super) fn add_offsets(&self, group: &str) -> AddOffsetsToTxnRequest {
        AddOffsetsToTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_group_id(GroupId(text(group)))
    }

    pub(super) fn produce(&self, topic: &str, sequence: i32, values: &[&str]) -> ProduceRequest {
        let batch = records::batch(self.from(sequence), values);
        produce(topic, 0, batch).with_transactional_id(Some(self.transactional_id()))
    }

    pub(super) fn commit_offset(&self, group: &str, topic: &str, offset: i64) -> TxnOffsetCommitRequest {
        let one = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default().with_name(topic_name(topic)).with_partitions(vec![one]);
        TxnOffsetCommitRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_group_id(GroupId(text(group)))
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_generation_id(-1)
            .with_topics(vec![topic])
    }

    pub(super) fn end(&self, committed: bool) -> EndTxnRequest {
        EndTxnRequest::default()
            .with_transactional_id(self.transactional_id())
            .with_producer_id(ProducerId(self.producer_id))
            .with_producer_epoch(self.epoch)
            .with_committed(committed)
    }
}

pub(super) fn init(id: &str, timeout_ms: i32) -> InitProducerIdRequest {
    InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text(id))))
        .with_transaction_timeout_ms(timeout_ms)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1)
}

pub(super) fn describe(ids: &[&str]) -> DescribeTransactionsRequest {
    let ids = ids.iter().map(|id| TransactionalId(text(id))).collect();
    DescribeTransactionsRequest::default().with_transactional_ids(ids)
}

impl Talk {
    /// Asks for both kinds of coordinator, as every client does first: a new broker makes their topics then.
    pub(super) fn find_coordinators(&mut self) {
        for kind in [0, 1] {
            let request =
                FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(vec![text("any")]);
            self.wait("a coordinator", |talk| talk.exchange(4, &request).coordinators[0].error_code == 0);
        }
    }

    /// Creates the topic `name` and waits until its partitions answer; nothing is written down. Returns its id.
    pub(super) fn topic(&mut self, name: &str, partitions: i32, configs: &[(&str, &str)]) -> uuid::Uuid {
        let created = self.exchange(7, &create(vec![creatable(name, partitions, 1, configs)]));
        assert_eq!(created.topics[0].error_code, 0, "creating {name}");
        self.wait("leaders of a new topic", |talk| (0..partitions).all(|p| talk.answers(name, p)));
        created.topics[0].topic_id
    }

    fn answers(&mut self, name: &str, partition: i32) -> bool {
        let answer = self.exchange(7, &list_offsets(name, partition, -1));
        answer.topics[0].partitions[0].error_code == 0
    }

    /// A producer of the transactional id `id`, at its newest epoch.
    pub(super) fn init(&mut self, note: &str, id: &str, timeout_ms: i32) -> Txn {
        let answer = self.ask_settled(note, 4, &init(id, timeout_ms));
        Txn { id: id.into(), producer_id: answer.producer_id.0, epoch: answer.producer_epoch }
    }

    /// Produces `values` in the transaction, as a client of this transaction version does.
    pub(super) fn txn_produce(&mut self, note: &str, txn: &Txn, topic: &str, sequence: i32, values: &[&str]) {
        if self.tv == Tv::One {
            self.ask_settled(note, 3, &txn.add_partition(topic, 0));
        }
        let version = self.produce_version();
        self.ask_settled(note, version, &txn.produce(topic, sequence, values));
    }

    /// Ends the transaction and returns the epoch to go on with. Waits until its markers are written.
    pub(super) fn end(&mut self, note: &str, txn: &Txn, committed: bool) -> Txn {
        let version = self.end_version();
        let answer = self.ask_settled(note, version, &txn.end(committed));
        self.wait_complete(&txn.id);
        if self.tv == Tv::Two && answer.error_code == 0 { txn.with_epoch(answer.producer_epoch) } else { txn.clone() }
    }

    /// Waits until no marker of `id` is outstanding.
    pub(super) fn wait_complete(&mut self, id: &str) {
        self.wait("the end of a transaction", |talk| {
            let answer = talk.exchange(0, &describe(&[id]));
            !answer.transaction_states[0].transaction_state.starts_with("Prepare")
        });
    }

    /// Newest Produce that names topics and fits the transaction version.
    pub(super) fn produce_version(&self) -> i16 {
        if self.tv == Tv::One { 11 } else { 12 }
    }

    /// EndTxn that fits the transaction version.
    pub(super) fn end_version(&self) -> i16 {
        if self.tv == Tv::One { 4 } else { 5 }
    }

    /// TxnOffsetCommit that fits the transaction version.
    pub(super) fn offsets_version(&self) -> i16 {
        if self.tv == Tv::One { 4 } else { 5 }
    }
}
