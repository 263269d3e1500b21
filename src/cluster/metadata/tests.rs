//! Merging by hand: what is believed, what is kept, and what is refused.

use super::*;
use crate::types::TopicPartition;

const ONE: TopicId = TopicId([1; 16]);
const TWO: TopicId = TopicId([2; 16]);
const NEWEST: i16 = 13;

/// An answer of brokers 1 to 3 with these topics.
fn response(topics: Vec<MetadataResponseTopic>) -> MetadataResponse {
    let row = |id: i32| {
        let host = StrBytes::from_string(format!("kafka-{id}"));
        MetadataResponseBroker::default().with_node_id(messages::BrokerId(id)).with_host(host).with_port(9092)
    };
    let response = MetadataResponse::default().with_brokers((1..=3).map(row).collect());
    response.with_controller_id(messages::BrokerId(2)).with_topics(topics)
}

/// A topic's row: its partitions as (number, leader, epoch).
fn topic(name: &str, id: TopicId, partitions: &[(i32, i32, i32)]) -> MetadataResponseTopic {
    let row = |(index, leader, epoch): &(i32, i32, i32)| {
        let row = MetadataResponsePartition::default().with_partition_index(*index);
        row.with_leader_id(messages::BrokerId(*leader)).with_leader_epoch(*epoch)
    };
    let name = messages::TopicName(StrBytes::from_string(name.into()));
    // The messages' id type has no name here, but it can be parsed.
    let uuid = format!("{:032x}", u128::from_be_bytes(id.0));
    let topic = MetadataResponseTopic::default().with_name(Some(name)).with_topic_id(uuid.parse().unwrap());
    topic.with_partitions(partitions.iter().map(row).collect())
}

fn names(topics: &[&str]) -> Vec<TopicName> {
    topics.iter().map(|t| TopicName::from(*t)).collect()
}

/// `view` after an answer to a question about the topics `asked`.
fn learn(view: &Metadata, asked: &[&str], topics: Vec<MetadataResponseTopic>) -> Metadata {
    view.merged(NEWEST, Asked::Topics(&names(asked)), &response(topics)).unwrap()
}

/// Leader and epoch of each partition; -1 for no leader.
fn leaders(view: &Metadata, topic: &str) -> Vec<(i32, i32)> {
    let row = |p: &PartitionMetadata| (p.leader.map_or(-1, |b| b.0), p.leader_epoch);
    view.topics[topic].partitions.iter().map(row).collect()
}

#[test]
fn a_partial_answer_leaves_other_topics_alone() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    let view = learn(&view, &["b"], vec![topic("b", TWO, &[(1, 3, 0), (0, 2, 0)])]);
    assert_eq!((leaders(&view, "a"), leaders(&view, "b")), (vec![(1, 5)], vec![(2, 0), (3, 0)]));
    assert_eq!(view.controller, Some(BrokerId(2)));
    assert_eq!(view.topic_by_id(TWO).map(|t| &*t.name), Some("b"));
}

#[test]
fn a_leader_epoch_never_goes_back() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5), (1, 1, 5)])]);
    let view = learn(&view, &["a"], vec![topic("a", ONE, &[(0, 2, 4), (1, 3, 6)])]);
    assert_eq!(leaders(&view, "a"), [(1, 5), (3, 6)]);
    let view = learn(&view, &["a"], vec![topic("a", ONE, &[(0, -1, 5), (1, 2, 6)])]);
    assert_eq!(leaders(&view, "a"), [(-1, 5), (2, 6)], "the same epoch is as new as what is known");
}

#[test]
fn a_recreated_topic_begins_anew() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5), (1, 1, 9)])]);
    let view = learn(&view, &["a"], vec![topic("a", TWO, &[(0, 2, 0)])]);
    assert_eq!((view.topics["a"].topic_id, leaders(&view, "a")), (TWO, vec![(2, 0)]));
}

#[test]
fn a_broker_without_topic_ids_does_not_make_us_forget_one() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    let view = learn(&view, &["a"], vec![topic("a", TopicId::ZERO, &[(0, 2, 4)])]);
    assert_eq!((view.topics["a"].topic_id, leaders(&view, "a")), (ONE, vec![(1, 5)]));
}

#[test]
fn epochs_of_old_brokers_are_not_believed() {
    let asked = names(&["a"]);
    let told = response(vec![topic("a", TopicId::ZERO, &[(0, 1, 5)])]);
    let view = Metadata::default().merged(8, Asked::Topics(&asked), &told).unwrap();
    assert_eq!(leaders(&view, "a"), [(1, -1)]);
}

#[test]
fn a_leader_that_is_no_broker_is_none() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 99, 1), (1, -1, 1), (2, i32::MIN, 1)])]);
    assert_eq!(leaders(&view, "a"), [(-1, 1), (-1, 1), (-1, 1)]);
}

#[test]
fn an_error_takes_the_topics_place_and_success_takes_the_errors() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    let view = learn(&view, &["a"], vec![topic("a", ONE, &[]).with_error_code(3)]);
    assert!(view.topics.is_empty());
    assert_eq!(view.topic_errors["a"], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let view = learn(&view, &["a"], vec![topic("a", TWO, &[(0, 1, 0)])]);
    assert!(view.topic_errors.is_empty() && view.topics.contains_key("a"));
}

#[test]
fn a_topic_between_leaders_is_still_there() {
    let electing = || vec![topic("a", ONE, &[]).with_error_code(5)];
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    assert_eq!(leaders(&learn(&view, &["a"], electing()), "a"), [(1, 5)]);
    let view = learn(&Metadata::default(), &["a"], electing());
    assert_eq!(view.topic_errors["a"], ErrorCode::LEADER_NOT_AVAILABLE);
}

#[test]
fn a_topic_that_the_answer_omits_is_unknown() {
    let view = learn(&Metadata::default(), &["a"], Vec::new());
    assert_eq!(view.topic_errors["a"], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn lies_about_partition_numbers_cost_nothing() {
    let told = [(2, 1, 0), (0, 1, 0), (0, 3, 9), (-1, 1, 0), (i32::MIN, 1, 0), (i32::MAX, 1, 0)];
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &told)]);
    assert_eq!(leaders(&view, "a"), [(1, 0), (-1, -1), (1, 0)], "a gap has no leader, the first row counts");
}

#[test]
fn a_partition_that_an_answer_omits_keeps_what_is_known() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5), (1, 2, 5)])]);
    let view = learn(&view, &["a"], vec![topic("a", ONE, &[(1, 3, 6), (2, 1, 0)])]);
    assert_eq!(leaders(&view, "a"), [(1, 5), (3, 6), (1, 0)]);
}

#[test]
fn an_answer_without_brokers_or_with_an_error_teaches_nothing() {
    let empty = MetadataResponse::default();
    assert!(Metadata::default().merged(NEWEST, Asked::All, &empty).is_err());
    let rebootstrap = response(Vec::new()).with_error_code(129);
    assert_eq!(
        Metadata::default().merged(NEWEST, Asked::All, &rebootstrap).unwrap_err(),
        Unusable::Code(ErrorCode(129))
    );
    let mut impossible = response(Vec::new());
    for broker in &mut impossible.brokers {
        broker.port = 70_000;
    }
    assert!(Metadata::default().merged(NEWEST, Asked::All, &impossible).is_err());
}

#[test]
fn an_answer_of_another_cluster_teaches_nothing_and_names_both() {
    let of = |id: &'static str| response(Vec::new()).with_cluster_id(Some(StrBytes::from_static_str(id)));
    let view = Metadata::default().merged(NEWEST, Asked::All, &of("ours")).unwrap();
    let view = view.merged(NEWEST, Asked::All, &response(Vec::new())).unwrap();
    assert_eq!(view.cluster_id.as_deref(), Some("ours"), "an answer without an id takes none away");
    let refused = view.merged(NEWEST, Asked::All, &of("theirs")).unwrap_err();
    assert_eq!(refused, Unusable::OtherCluster { known: "ours".into(), told: "theirs".into() });
}

#[test]
fn an_answer_about_all_topics_forgets_the_others_and_feeds_only_what_is_used() {
    let used =
        learn(&Metadata::default(), &["a", "b"], vec![topic("a", ONE, &[(0, 1, 5)]), topic("b", TWO, &[(0, 1, 5)])]);
    let told = response(vec![topic("a", ONE, &[(0, 2, 6)]), topic("new", TWO, &[(0, 3, 0)])]);
    let all = used.merged(NEWEST, Asked::All, &told).unwrap();
    let mut listed: Vec<_> = all.topics.keys().map(|t| &**t).collect();
    listed.sort();
    assert_eq!(listed, ["a", "new"]);
    let used = used.refreshed_from(&all);
    assert_eq!(leaders(&used, "a"), [(2, 6)]);
    assert!(!used.topics.contains_key("new"));
    assert_eq!(used.topic_errors["b"], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
}

fn hint(partition: i32, leader: i32, leader_epoch: i32) -> LeaderHint {
    let tp = TopicPartition::new("a", partition);
    LeaderHint { tp, leader: BrokerId(leader), leader_epoch, endpoint: None }
}

#[test]
fn a_newer_leader_is_believed_and_an_older_refresh_does_not_undo_it() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    let view = view.hinted(&[hint(0, 2, 6)]).unwrap();
    assert_eq!(leaders(&view, "a"), [(2, 6)]);
    let view = learn(&view, &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    assert_eq!(leaders(&view, "a"), [(2, 6)]);
}

#[test]
fn a_hint_with_an_address_teaches_the_broker_and_keeps_its_rack() {
    let mut view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    view.brokers.get_mut(&BrokerId(2)).unwrap().rack = Some("r2".into());
    let endpoint = |id: i32| Some(BrokerMetadata { id: BrokerId(id), host: "moved".into(), port: 1, rack: None });
    let new = view.hinted(&[LeaderHint { endpoint: endpoint(7), ..hint(0, 7, 6) }]).unwrap();
    assert_eq!((leaders(&new, "a"), &*new.brokers[&BrokerId(7)].host), (vec![(7, 6)], "moved"));
    let moved = view.hinted(&[LeaderHint { endpoint: endpoint(2), ..hint(0, 2, 6) }]).unwrap();
    assert_eq!(moved.brokers[&BrokerId(2)].rack.as_deref(), Some("r2"));
}

#[test]
fn hints_that_cannot_be_true_are_ignored() {
    let view = learn(&Metadata::default(), &["a"], vec![topic("a", ONE, &[(0, 1, 5)])]);
    let elsewhere = LeaderHint { tp: TopicPartition::new("b", 0), ..hint(0, 2, 6) };
    let wrong = Some(BrokerMetadata { id: BrokerId(3), host: "h".into(), port: 1, rack: None });
    let foreign = LeaderHint { endpoint: wrong, ..hint(0, 99, 6) };
    for lie in [
        hint(0, 2, 5),
        hint(0, 2, 4),
        hint(0, -1, -1),
        hint(0, 99, 6),
        hint(1, 2, 6),
        hint(-1, 2, 6),
        elsewhere,
        foreign,
    ] {
        assert!(view.hinted(std::slice::from_ref(&lie)).is_none(), "{lie:?}");
    }
}

#[test]
fn a_request_says_all_or_some_as_its_version_can() {
    let asked = names(&["a"]);
    assert_eq!(request(Asked::All, 13).topics, None);
    assert_eq!(request(Asked::All, 0).topics, Some(Vec::new()));
    let some = request(Asked::Topics(&asked), 13);
    assert_eq!(some.topics.unwrap()[0].name.as_ref().unwrap().as_str(), "a");
    assert!(!some.allow_auto_topic_creation, "asking creates nothing");
    for version in 0..=13 {
        crate::wire::frame::RequestFrame::encode("me", version, &request(Asked::Topics(&asked), version)).unwrap();
    }
}
