//! Administration and prepared transactions on real Kafka: what we say is what the cluster is.
#![cfg(feature = "live-kafka")]

use std::collections::BTreeMap;

use milena::admin::NewTopic;
use milena::cluster::{commit_offsets, committed_offsets};
use milena::{Client, ErrorCode, IsolationLevel, OffsetAndMetadata, Position, TopicPartition, TransactionVersion};
use protocol_tests::live::{LiveKafka, Write};

#[path = "prepared/stories.rs"]
mod stories;

fn topic(name: &str, partitions: i32, configs: &[(&str, &str)]) -> NewTopic {
    let configs = configs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    NewTopic { name: name.into(), partitions, replication_factor: 1, configs }
}

#[tokio::test(flavor = "multi_thread")]
async fn topics_are_created_described_and_deleted() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    let admin = Client::connect(&at).await.unwrap().admin();
    admin
        .create_topic(&topic("admin-made", 3, &[("retention.ms", "4242"), ("cleanup.policy", "compact")]))
        .await
        .unwrap();
    let made = admin.describe_topic("admin-made").await.unwrap();
    let theirs = java.describe_topic(&at, "admin-made");
    assert_eq!(made.topic_id.to_string(), theirs.topic_id);
    assert_eq!(made.partitions.len(), theirs.partitions.len());
    assert!(made.partitions.iter().all(|p| p.leader.is_some() && p.replicas.len() == 1 && p.isr.len() == 1));
    assert!(admin.list_topics().await.unwrap().contains(&"admin-made".to_owned()));
    let configs = admin.topic_configs("admin-made").await.unwrap();
    assert_eq!(configs["retention.ms"], "4242");
    assert_eq!(configs["cleanup.policy"], "compact");
    assert!(configs.len() > 20, "defaults are told too");

    let error = admin.create_topic(&topic("admin-made", 1, &[])).await.unwrap_err();
    assert_eq!((error.code(), error.maybe_applied()), (Some(ErrorCode::TOPIC_ALREADY_EXISTS), false));
    assert!(error.to_string().contains("Topic 'admin-made' already exists."), "{error}");
    admin.delete_topic("admin-made").await.unwrap();
    assert!(!admin.list_topics().await.unwrap().contains(&"admin-made".to_owned()));
    let error = admin.delete_topic("admin-made").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{error}");
    let error = admin.describe_topic("admin-made").await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION), "{error}");

    admin.create_topic(&topic("admin-made", 1, &[])).await.unwrap();
    let again = admin.describe_topic("admin-made").await.unwrap();
    assert!(again.topic_id != made.topic_id && again.partitions.len() == 1, "{again:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_in_the_brokers_own_words() {
    let admin = Client::connect(&LiveKafka::shared().bootstrap()).await.unwrap().admin();
    let many = NewTopic { replication_factor: 3, ..topic("admin-many", 1, &[]) };
    let error = admin.create_topic(&many).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_REPLICATION_FACTOR));
    assert!(error.to_string().contains("3 time(s)"), "{error}");
    let error = admin.create_topic(&topic("admin-odd", 1, &[("retention.ms", "soon")])).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_CONFIG));
    assert!(error.to_string().contains("retention.ms"), "{error}");
    let error = admin.create_topic(&topic("no such name", 1, &[])).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::INVALID_TOPIC_EXCEPTION), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn offsets_are_found_at_every_position() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "admin-offsets", 2, 1, &[]);
    java.write(&at, "admin-offsets", &Write::records(20, 2));
    let aborted = Write { transactional_id: Some("admin-offsets"), abort: true, ..Write::records(20, 2) };
    java.write(&at, "admin-offsets", &aborted);
    let written = java.read_uncommitted(&at, "admin-offsets");
    let admin = Client::connect(&at).await.unwrap().admin();
    for (partition, ends) in (0..).zip(java.end_offsets(&at, "admin-offsets")) {
        let tp = TopicPartition::new("admin-offsets", partition);
        let at = |position| {
            let (admin, tp) = (admin.clone(), tp.clone());
            async move {
                let isolation = IsolationLevel::ReadUncommitted;
                admin.list_offsets(isolation, &[(tp.clone(), position)]).await.unwrap()[&tp]
            }
        };
        assert_eq!(at(Position::Earliest).await, ends.earliest);
        assert_eq!(at(Position::Latest).await, ends.high_watermark);
        assert_eq!(at(Position::Offset(7)).await, 7);
        assert_eq!(at(Position::Timestamp(i64::MAX)).await, ends.high_watermark);
        for record in written.iter().filter(|r| r.partition == partition).take(5) {
            let first = written.iter().filter(|r| r.partition == partition && r.timestamp >= record.timestamp);
            assert_eq!(at(Position::Timestamp(record.timestamp)).await, first.map(|r| r.offset).min().unwrap());
        }
        let committed = admin.list_offsets(IsolationLevel::ReadCommitted, &[(tp.clone(), Position::Latest)]).await;
        assert_eq!(committed.unwrap()[&tp], ends.last_stable);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_groups_offsets_are_kept_as_java_reads_them() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "admin-group", 2, 1, &[]);
    let client = Client::connect(&at).await.unwrap();
    let both = [TopicPartition::new("admin-group", 0), TopicPartition::new("admin-group", 1)];
    let offset = OffsetAndMetadata { offset: 3, leader_epoch: 0, metadata: "mine".into() };
    commit_offsets(client.cluster(), "admin-group", &[(both[0].clone(), offset.clone())]).await.unwrap();
    let found = committed_offsets(client.cluster(), "admin-group", &both).await.unwrap();
    assert_eq!(found, BTreeMap::from([(both[0].clone(), offset)]));
    let theirs = java.group_offsets(&at, "admin-group");
    assert_eq!(theirs.len(), 1);
    assert_eq!((theirs[0].partition, theirs[0].offset), (0, 3));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cluster_is_described_with_its_features_and_settings() {
    for (kafka, version, level) in
        [(LiveKafka::shared(), TransactionVersion::V2, 2), (LiveKafka::shared_tv1(), TransactionVersion::V1, 1)]
    {
        let admin = Client::connect(&kafka.bootstrap()).await.unwrap().admin();
        let cluster = admin.describe_cluster().await.unwrap();
        assert_eq!(cluster.brokers.len(), 1);
        assert_eq!(cluster.brokers[0].1, kafka.address(1));
        assert!(cluster.controller.is_some() && cluster.cluster_id.is_some());
        let feature = cluster.features.iter().find(|f| f.0 == "transaction.version").unwrap();
        assert_eq!(feature.3, level);
        let theirs = kafka.java().features(&kafka.bootstrap());
        assert!(cluster.features.iter().filter(|f| f.3 > 0).all(|f| theirs[&f.0] == u64::try_from(f.3).unwrap()));
        assert_eq!(admin.transaction_version().await.unwrap(), version);
        assert_eq!(admin.broker_config("transaction.max.timeout.ms").await.unwrap().as_deref(), Some("900000"));
        assert_eq!(admin.broker_config("no.such.config").await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn prepared_transactions_end_once_under_both_rules() {
    for (kafka, version) in
        [(LiveKafka::shared(), TransactionVersion::V2), (LiveKafka::shared_tv1(), TransactionVersion::V1)]
    {
        let at = kafka.bootstrap();
        let (client, other) = (Client::connect(&at).await.unwrap(), Client::connect(&at).await.unwrap());
        stories::all(&client, &other, "prepared", version).await;
        let listed = client.admin().list_transactions("prepared-").await.unwrap();
        let mut theirs: Vec<_> = kafka.java().transactions(&at, "prepared-").into_iter().collect();
        theirs.sort_by(|a, b| a.transactional_id.cmp(&b.transactional_id));
        let theirs: Vec<_> = theirs.iter().map(|t| t.transactional_id.as_str()).collect();
        assert_eq!(listed.iter().map(|(id, _)| id.as_str()).collect::<Vec<_>>(), theirs);
        assert!(
            listed.len() >= 5 && listed.contains(&("prepared-commit".into(), "CompleteCommit".into())),
            "{listed:?}"
        );
    }
}
