//! What is really in the logs: fetched raw from the leaders and decoded by another implementation than ours.

use std::collections::BTreeMap;

use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{Record, RecordBatchDecoder};
use milena::TopicPartition;
use milena::broker::MemoryCluster;
use milena::wire::Request;
use milena::wire::frame::{RequestFrame, decode_response};
use milena::wire::messages::OffsetFetchRequest;
use milena::wire::messages::offset_fetch_request::OffsetFetchRequestTopic;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One data record as it lies in a log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Its offset.
    pub(super) offset: i64,
    /// Its value.
    pub(super) value: Vec<u8>,
    /// Its key.
    pub(super) key: Option<Vec<u8>>,
    /// Its timestamp, ms.
    pub(super) timestamp_ms: i64,
    /// Who wrote it.
    pub(super) producer_id: i64,
    /// What a reader of committed records must do with it.
    pub(super) fate: Fate,
}

/// Whether a record's transaction ended, and how.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fate {
    /// Written outside transactions, or committed.
    Committed,
    /// Aborted.
    Aborted,
    /// Its transaction is still open.
    Open,
}

/// The log of one partition, in order.
#[derive(Clone, Default, Debug)]
pub(super) struct PartitionLog {
    /// Data records, control records left out.
    pub(super) entries: Vec<Entry>,
}

impl PartitionLog {
    /// What a reader of committed records must be given.
    pub(super) fn committed(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter().filter(|entry| entry.fate == Fate::Committed)
    }
}

/// The logs of a topic, by partition.
pub(super) async fn read(cluster: &MemoryCluster, topic: &str, partitions: i32, brokers: i32) -> Vec<PartitionLog> {
    let mut logs = Vec::new();
    for partition in 0..partitions {
        logs.push(read_partition(cluster, topic, partition, brokers).await);
    }
    logs
}

async fn read_partition(cluster: &MemoryCluster, topic: &str, partition: i32, brokers: i32) -> PartitionLog {
    let mut records = Vec::new();
    let mut next = 0;
    loop {
        let found = fetch(cluster, topic, partition, brokers, next).await;
        let Some(last) = found.last() else { return resolve(records) };
        next = last.offset + 1;
        records.extend(found);
    }
}

/// Records from `offset` on, as much as the leader gives at once.
async fn fetch(cluster: &MemoryCluster, topic: &str, partition: i32, brokers: i32, offset: i64) -> Vec<Record> {
    let asked = FetchPartition::default()
        .with_partition(partition)
        .with_fetch_offset(offset)
        .with_partition_max_bytes(16 << 20);
    let name = TopicName(StrBytes::from_string(topic.to_owned()));
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(64 << 20)
        .with_topics(vec![FetchTopic::default().with_topic(name).with_partitions(vec![asked])]);
    for broker in 1..=brokers {
        let answer = ask(cluster, broker, FETCH_VERSION, &request).await;
        let mut partitions = answer.responses.into_iter().flat_map(|topic| topic.partitions);
        let Some(data) = partitions.next() else { continue };
        if data.error_code == 0 {
            let mut bytes = data.records.unwrap_or_default();
            let sets = RecordBatchDecoder::decode_all(&mut bytes).expect("the log holds whole, valid batches");
            // A batch that begins below the offset is given whole.
            return sets.into_iter().flat_map(|set| set.records).filter(|record| record.offset >= offset).collect();
        }
    }
    panic!("no broker leads {topic}-{partition}");
}

const FETCH_VERSION: i16 = 12;

/// Where a group stands; `None` if it has committed nothing.
pub(super) async fn committed(cluster: &MemoryCluster, group: &str, of: &TopicPartition, brokers: i32) -> Option<i64> {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let topic = OffsetFetchRequestTopic::default().with_name(TopicName(text(of.topic.as_ref())));
    let request = OffsetFetchRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_topics(Some(vec![topic.with_partition_indexes(vec![of.partition])]))
        .with_require_stable(true);
    for broker in 1..=brokers {
        let answer = ask(cluster, broker, 7, &request).await;
        if answer.error_code == 0 {
            let found = answer.topics.iter().flat_map(|topic| &topic.partitions).next().expect("what was asked for");
            assert_eq!(found.error_code, 0, "no transaction is open any more");
            return (found.committed_offset >= 0).then_some(found.committed_offset);
        }
    }
    panic!("no broker coordinates {group}");
}

async fn ask<Q: Request>(cluster: &MemoryCluster, broker: i32, version: i16, request: &Q) -> Q::Response {
    let port = u16::try_from(9091 + broker).expect("few brokers");
    let mut stream = cluster.connect("127.0.0.1", port).expect("every broker is up in the end");
    let mut frame = RequestFrame::encode("truth", version, request).expect("a request of ours");
    frame.set_correlation_id(1);
    stream.write_all(&frame.head).await.expect("a pipe of memory");
    for tail in &frame.tail {
        stream.write_all(tail).await.expect("a pipe of memory");
    }
    let length = stream.read_i32().await.expect("an answer");
    let mut body = vec![0; usize::try_from(length).expect("a length")];
    stream.read_exact(&mut body).await.expect("a whole answer");
    decode_response::<Q>(version, body.into()).expect("an answer that follows its schema")
}

/// Follows the markers: a transaction is the data of a producer between two of its markers.
fn resolve(records: Vec<Record>) -> PartitionLog {
    let mut entries: Vec<Entry> = Vec::new();
    let mut open: BTreeMap<i64, Vec<usize>> = BTreeMap::new();
    for record in records {
        if record.control {
            let is_commit = record.key.as_deref().is_some_and(|key| key.get(3) == Some(&1));
            let fate = if is_commit { Fate::Committed } else { Fate::Aborted };
            open.remove(&record.producer_id).into_iter().flatten().for_each(|i| entries[i].fate = fate);
            continue;
        }
        if record.transactional {
            open.entry(record.producer_id).or_default().push(entries.len());
        }
        entries.push(Entry {
            offset: record.offset,
            value: record.value.as_deref().unwrap_or_default().to_vec(),
            key: record.key.as_deref().map(<[u8]>::to_vec),
            timestamp_ms: record.timestamp,
            producer_id: record.producer_id,
            fate: if record.transactional { Fate::Open } else { Fate::Committed },
        });
    }
    PartitionLog { entries }
}
