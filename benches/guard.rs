//! What the guard adds to decoding: a Fetch and a Metadata answer of 100 partitions, read by the generated decoder alone
//! and behind the guard, in one run.
//!
//! `cargo bench --bench guard` prints microseconds a message (best and median of interleaved passes) and the ratio.

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use kafka_protocol::messages::{BrokerId, FetchRequest, FetchResponse, MetadataRequest, MetadataResponse};
use kafka_protocol::messages::{ResponseHeader, TopicName};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use milena::wire::frame::decode_response;

const PARTITIONS: i32 = 100;
const ROUNDS: u32 = 200;
const PASSES: usize = 60;

fn main() {
    for version in [4, 12, 18] {
        compare::<FetchRequest>(version, &fetch(version, 0), "no records");
        compare::<FetchRequest>(version, &fetch(version, 1024), "1 KiB of records each");
    }
    for version in [4, 13] {
        compare::<MetadataRequest>(version, &metadata(), "3 replicas each");
    }
}

fn fetch(version: i16, records: usize) -> FetchResponse {
    let partition = |index| {
        PartitionData::default()
            .with_partition_index(index)
            .with_high_watermark(1_000_000)
            .with_last_stable_offset(1_000_000)
            .with_log_start_offset(0)
            .with_aborted_transactions(None)
            .with_records(Some(Bytes::from(vec![0; records])))
    };
    let topic = FetchableTopicResponse::default().with_partitions((0..PARTITIONS).map(partition).collect());
    let topic = if version < 13 { topic.with_topic(name()) } else { topic };
    FetchResponse::default().with_responses(vec![topic])
}

fn metadata() -> MetadataResponse {
    let nodes = || vec![BrokerId(1), BrokerId(2), BrokerId(3)];
    let partition = |index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(BrokerId(1))
            .with_replica_nodes(nodes())
            .with_isr_nodes(nodes())
    };
    let topic = MetadataResponseTopic::default()
        .with_name(Some(name()))
        .with_partitions((0..PARTITIONS).map(partition).collect());
    MetadataResponse::default().with_topics(vec![topic])
}

fn name() -> TopicName {
    TopicName(StrBytes::from_static_str("letters"))
}

fn compare<Q: Request>(version: i16, response: &Q::Response, what: &str) {
    let mut frame = BytesMut::new();
    let header = <Q::Response as HeaderVersion>::header_version(version);
    ResponseHeader::default().encode(&mut frame, header).expect("encodes");
    let header_len = frame.len();
    response.encode(&mut frame, version).expect("encodes");
    let frame = frame.freeze();
    let body = frame.slice(header_len..);
    let alone = || Q::Response::decode(&mut body.clone(), version).expect("decodes");
    let guarded = || decode_response::<Q>(version, frame.clone()).expect("decodes");
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..PASSES {
        theirs.push(time(alone));
        ours.push(time(guarded));
    }
    theirs.sort_unstable();
    ours.sort_unstable();
    let us = |time: Duration| time.as_secs_f64() * 1e6;
    let middle = PASSES / 2;
    println!(
        "API {:2} v{version:2}, {what:22}: alone {:6.2} ({:6.2}) us, guarded {:6.2} ({:6.2}) us, ratio {:.2} ({:.2})",
        Q::KEY,
        us(theirs[0]),
        us(theirs[middle]),
        us(ours[0]),
        us(ours[middle]),
        us(ours[0]) / us(theirs[0]),
        us(ours[middle]) / us(theirs[middle]),
    );
}

/// The mean of `ROUNDS` calls.
fn time<T>(call: impl Fn() -> T) -> Duration {
    let start = Instant::now();
    for _ in 0..ROUNDS {
        black_box(call());
    }
    start.elapsed() / ROUNDS
}
