//! Topics, settings and plain offsets by request, and what older brokers lack.

use std::time::Duration;

use super::bench::*;
use crate::broker::{ConnectionId, Control, Settings};
use crate::error::ErrorCode;
use crate::types::ProducerIdentity;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use crate::wire::messages::*;

fn metadata_of(bench: &mut Bench, c: ConnectionId, name: &str, may_create: bool) -> (i16, usize) {
    let topic = MetadataRequestTopic::default().with_name(Some(topic_name(name)));
    let request = MetadataRequest::default().with_topics(Some(vec![topic])).with_allow_auto_topic_creation(may_create);
    let answer = &bench.ask(c, 12, &request).topics[0];
    (answer.error_code, answer.partitions.len())
}

#[test]
fn metadata_creates_a_topic_only_where_client_and_broker_want_it() {
    let mut bench = Bench::new(Settings { default_partitions: 3, ..Settings::default() });
    let c = bench.connect(1);
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0, 0);
    assert_eq!(metadata_of(&mut bench, c, "new", false), unknown);
    assert_eq!(metadata_of(&mut bench, c, "new", true), (0, 3));
    bench.core.settings.auto_create_topics = false;
    assert_eq!(metadata_of(&mut bench, c, "newer", true), unknown);
}

#[test]
fn topics_are_created_grown_and_deleted_by_request() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let topic =
        CreatableTopic::default().with_name(topic_name("made")).with_num_partitions(2).with_replication_factor(1);
    let create = CreateTopicsRequest::default().with_topics(vec![topic.clone()]);
    let made = &bench.ask(c, 7, &create).topics[0];
    assert_eq!((made.error_code, made.num_partitions), (0, 2));
    assert_eq!(bench.ask(c, 7, &create).topics[0].error_code, ErrorCode::TOPIC_ALREADY_EXISTS.0);
    let wide = CreateTopicsRequest::default()
        .with_topics(vec![topic.with_name(topic_name("wide")).with_replication_factor(2)]);
    assert_eq!(bench.ask(c, 7, &wide).topics[0].error_code, ErrorCode::INVALID_REPLICATION_FACTOR.0);
    let grown = create_partitions_request::CreatePartitionsTopic::default().with_name(topic_name("made")).with_count(5);
    let grow = CreatePartitionsRequest::default().with_topics(vec![grown]);
    assert_eq!(bench.ask(c, 3, &grow).results[0].error_code, 0);
    assert_eq!(metadata_of(&mut bench, c, "made", false), (0, 5));
    let delete = DeleteTopicsRequest::default().with_topic_names(vec![topic_name("made")]);
    assert_eq!(bench.ask(c, 5, &delete).responses[0].error_code, 0);
    assert_eq!(metadata_of(&mut bench, c, "made", false).0, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0);
}

#[test]
fn the_brokers_longest_transaction_timeout_can_be_read() {
    let mut bench = Bench::new(Settings { transaction_max_timeout_ms: 5000, ..Settings::default() });
    let c = bench.connect(1);
    let resource = DescribeConfigsResource::default()
        .with_resource_type(4)
        .with_resource_name(text("1"))
        .with_configuration_keys(Some(vec![text("transaction.max.timeout.ms")]));
    let answer = bench.ask(c, 4, &DescribeConfigsRequest::default().with_resources(vec![resource]));
    let configs = &answer.results[0].configs;
    assert_eq!(configs.len(), 1);
    assert_eq!(configs[0].value.as_ref().unwrap().as_str(), "5000");
}

#[test]
fn a_group_without_members_commits_without_a_generation() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let partition = OffsetCommitRequestPartition::default().with_committed_offset(41).with_partition_index(1);
    let topic = OffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let commit = OffsetCommitRequest::default()
        .with_group_id(GroupId(text("g")))
        .with_generation_id_or_member_epoch(-1)
        .with_topics(vec![topic]);
    let in_generation = commit.clone().with_generation_id_or_member_epoch(3);
    let refused = bench.ask(c, 8, &in_generation).topics[0].partitions[0].error_code;
    assert_eq!(refused, ErrorCode::ILLEGAL_GENERATION.0);
    assert_eq!(bench.ask(c, 8, &commit).topics[0].partitions[0].error_code, 0);
    let wanted = OffsetFetchRequestTopic::default().with_name(topic_name("t")).with_partition_indexes(vec![0, 1]);
    let fetch = OffsetFetchRequest::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![wanted]));
    let found: Vec<_> = bench.ask(c, 7, &fetch).topics[0].partitions.iter().map(|p| p.committed_offset).collect();
    assert_eq!(found, [-1, 41]);
}

#[test]
fn a_transaction_that_ended_above_the_high_watermark_still_holds_readers_back() {
    let settings = Settings { marker_delay: Duration::from_millis(1), ..Settings::default() };
    let mut bench = Bench::new(settings);
    let c = bench.connect(1);
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("x"))))
        .with_transaction_timeout_ms(1000)
        .with_producer_id((-1).into());
    let answer = bench.ask(c, 4, &init);
    let producer = ProducerIdentity { producer_id: *answer.producer_id, producer_epoch: 0 };
    assert_eq!(bench.produce(c, 12, batch(transactional(producer, 0), 2)).error_code, 0);
    bench.core.settings.replication_delay = Duration::from_millis(100);
    let end = EndTxnRequest::default()
        .with_transactional_id(TransactionalId(text("x")))
        .with_producer_id(answer.producer_id)
        .with_committed(true);
    assert_eq!(bench.ask(c, 5, &end).error_code, 0);
    bench.wait(Duration::from_millis(50));
    assert_eq!((bench.high_watermark(), bench.last_stable_offset()), (2, 0), "the marker is not replicated");
    bench.wait(Duration::from_millis(51));
    assert_eq!((bench.high_watermark(), bench.last_stable_offset()), (3, 3));
}

#[test]
fn a_forgotten_producer_may_begin_anywhere() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let producer = ProducerIdentity { producer_id: 7, producer_epoch: 0 };
    assert_eq!(bench.produce(c, 9, batch(stamped(producer, 0), 2)).error_code, 0);
    let gap = batch(stamped(producer, 50), 1);
    assert_eq!(bench.produce(c, 9, gap.clone()).error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0);
    bench.control(Control::ForgetProducer(tp(0), 7));
    assert_eq!(bench.produce(c, 9, gap).error_code, 0);
}

#[test]
fn the_end_of_an_older_leader_epoch_is_told() {
    use crate::wire::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    bench.produce(c, 9, batch(plain(), 4));
    bench.control(Control::MoveLeader(tp(0), 1));
    bench.produce(c, 9, batch(plain(), 3));
    for (epoch, expected) in [(0, (0, 4)), (1, (1, 7)), (2, (-1, -1))] {
        let wanted = OffsetForLeaderPartition::default().with_leader_epoch(epoch).with_current_leader_epoch(1);
        let topic = OffsetForLeaderTopic::default().with_topic(topic_name("t")).with_partitions(vec![wanted]);
        let answer = bench.ask(c, 4, &OffsetForLeaderEpochRequest::default().with_topics(vec![topic]));
        let told = &answer.topics[0].partitions[0];
        assert_eq!((told.leader_epoch, told.end_offset), expected, "epoch {epoch}");
    }
}
