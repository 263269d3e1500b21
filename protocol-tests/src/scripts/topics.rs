//! Versions, topics and coordinators: what a client asks before it moves a record.

use kafka_protocol::messages::create_topics_request::CreatableReplicaAssignment;
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::{
    ApiVersionsRequest, DeleteTopicsRequest, FindCoordinatorRequest, MetadataRequest, MetadataResponse,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use super::requests::{NO_ID, creatable, create, metadata, text, topic_name};
use super::{Script, TWO, Talk};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "api-versions", versions: TWO, tell: api_versions },
    Script { name: "create-topics", versions: TWO, tell: create_topics },
    Script { name: "delete-topics", versions: TWO, tell: delete_topics },
    Script { name: "metadata", versions: TWO, tell: metadata_answers },
    Script { name: "find-coordinator", versions: TWO, tell: find_coordinator },
];

fn api_versions(talk: &mut Talk) {
    let named = ApiVersionsRequest::default()
        .with_client_software_name(StrBytes::from_static_str("script"))
        .with_client_software_version(StrBytes::from_static_str("1.0"));
    talk.ask_answered_at("a version no broker knows is answered at version 0", 99, 3, 0, &named);
    talk.ask("the connection lives on", 3, &named);
    let bad = named.with_client_software_name(StrBytes::from_static_str("no spaces allowed"));
    talk.ask("a software name with spaces; the broker closes behind its answer", 3, &bad);
    talk.reconnect();
    talk.ask("version 0", 0, &ApiVersionsRequest::default());
}

fn create_topics(talk: &mut Talk) {
    let only = |topic| create(vec![topic]);
    talk.ask("validate only", 7, &only(creatable("create-topics", 3, 1, &[])).with_validate_only(true));
    talk.ask("two partitions", 7, &only(creatable("create-topics", 2, 1, &[])));
    talk.ask("the same again", 7, &only(creatable("create-topics", 2, 1, &[])));
    talk.ask("the broker's default counts", 7, &only(creatable("create-topics-default", -1, -1, &[])));
    talk.ask("a name with a slash", 7, &only(creatable("create/topics", 1, 1, &[])));
    talk.ask("no name", 7, &only(creatable("", 1, 1, &[])));
    talk.ask("a name of 250 characters", 7, &only(creatable(&"n".repeat(250), 1, 1, &[])));
    talk.ask("a name that collides in metrics", 7, &only(creatable("create.topics", 1, 1, &[])));
    talk.ask("no partitions", 7, &only(creatable("create-topics-0", 0, 1, &[])));
    talk.ask("more replicas than brokers", 7, &only(creatable("create-topics-5", 1, 5, &[])));
    talk.ask("no replicas", 7, &only(creatable("create-topics-0", 1, 0, &[])));
    talk.ask("an unknown setting", 7, &only(creatable("create-topics-c", 1, 1, &[("no.such.setting", "1")])));
    talk.ask("a setting out of range", 7, &only(creatable("create-topics-c", 1, 1, &[("max.message.bytes", "-1")])));
    let twin = || creatable("create-topics-twin", 1, 1, &[]);
    talk.ask("the same name twice", 7, &create(vec![twin(), twin()]));
    let two = vec![creatable("create-topics", 1, 1, &[]), creatable("create-topics-other", 1, 1, &[])];
    talk.ask("one that exists beside one that does not", 7, &create(two));
    let assignment = CreatableReplicaAssignment::default().with_broker_ids(vec![77.into()]);
    let assigned = creatable("create-topics-a", -1, -1, &[]).with_assignments(vec![assignment]);
    talk.ask("assigned to a broker that is not there", 7, &only(assigned));
}

fn delete_topics(talk: &mut Talk) {
    let by_name = |name: &str| DeleteTopicState::default().with_name(Some(topic_name(name)));
    let by_id = |id: Uuid| DeleteTopicState::default().with_name(None).with_topic_id(id);
    let delete = |topics| DeleteTopicsRequest::default().with_topics(topics).with_timeout_ms(5000);
    talk.topic("delete-topics", 1, &[]);
    let id = talk.topic("delete-topics-by-id", 1, &[]);
    talk.ask("by name", 6, &delete(vec![by_name("delete-topics")]));
    talk.ask("again", 6, &delete(vec![by_name("delete-topics")]));
    talk.ask("by id", 6, &delete(vec![by_id(id)]));
    talk.ask("an id that is gone", 6, &delete(vec![by_id(id)]));
    talk.topic("delete-topics", 2, &[]);
    talk.ask("created again with another id", 12, &metadata(&["delete-topics"]));
}

fn metadata_answers(talk: &mut Talk) {
    let id = talk.topic("metadata", 2, &[]);
    let by_id = |id: Uuid| {
        let topic = MetadataRequestTopic::default().with_topic_id(id).with_name(None);
        MetadataRequest::default().with_topics(Some(vec![topic]))
    };
    talk.ask("by name", 12, &metadata(&["metadata"]));
    talk.ask("by id", 12, &by_id(id));
    talk.ask("an unknown id", 12, &by_id(Uuid::from_u128(0xabcd)));
    talk.ask("an unknown name", 12, &metadata(&["metadata-unknown"]));
    talk.ask("an invalid name", 12, &metadata(&["meta/data"]));
    talk.ask("known and unknown together", 12, &metadata(&["metadata", "metadata-unknown"]));
    talk.ask("no topics", 12, &metadata(&[]));
    talk.ask("version 4, before ids", 4, &metadata(&["metadata"]));
    let everything = MetadataRequest::default().with_topics(None);
    let all: MetadataResponse = talk.exchange(12, &everything);
    assert!(all.topics.iter().any(|topic| topic.topic_id == id), "all topics include this one");
    assert!(all.topics.iter().all(|topic| topic.topic_id != NO_ID), "each with an id");
}

fn find_coordinator(talk: &mut Talk) {
    let one = |kind, key| FindCoordinatorRequest::default().with_key_type(kind).with_key(text(key));
    let many = |kind, keys: &[&str]| {
        let keys = keys.iter().map(|key| text(key)).collect();
        FindCoordinatorRequest::default().with_key_type(kind).with_coordinator_keys(keys)
    };
    talk.ask("a group, one key", 3, &one(0, "find-coordinator"));
    talk.ask("a transaction, one key", 3, &one(1, "find-coordinator"));
    talk.ask("two groups", 4, &many(0, &["find-coordinator", "find-coordinator-2"]));
    talk.ask("two transactions", 5, &many(1, &["find-coordinator", "find-coordinator-2"]));
    talk.ask("an unknown kind", 4, &many(9, &["find-coordinator"]));
    talk.ask("no keys", 4, &many(0, &[]));
}
