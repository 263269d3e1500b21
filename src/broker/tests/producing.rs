//! Produce: what is written, what is refused, when it is acknowledged.

use std::collections::BTreeMap;
use std::time::Duration;

use super::bench::*;
use crate::broker::{Control, Settings};
use crate::error::ErrorCode;
use crate::types::ProducerIdentity;
use crate::wire::messages::*;

#[test]
fn every_version_of_produce_and_fetch_carries_the_same_records() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    for version in 3..=13 {
        let answer = bench.produce(c, version, batch(plain(), 2));
        assert_eq!((answer.error_code, answer.base_offset), (0, i64::from(version - 3) * 2), "v{version}");
    }
    for version in 4..=12 {
        let data = bench.fetch(c, version, &fetch_request(4, 0));
        assert_eq!((data.error_code, data.high_watermark), (0, 22), "v{version}");
        assert!(!data.records.unwrap().is_empty());
    }
}

#[test]
fn a_retry_is_answered_with_the_first_offset() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let producer = ProducerIdentity { producer_id: 7, producer_epoch: 0 };
    assert_eq!(bench.produce(c, 9, batch(stamped(producer, 0), 3)).base_offset, 0);
    assert_eq!(bench.produce(c, 9, batch(stamped(producer, 3), 2)).base_offset, 3);
    let retry = bench.produce(c, 9, batch(stamped(producer, 0), 3));
    assert_eq!((retry.error_code, retry.base_offset), (0, 0));
    assert_eq!(bench.high_watermark(), 5, "nothing was written twice");
    let gap = bench.produce(c, 9, batch(stamped(producer, 6), 1));
    assert_eq!(gap.error_code, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER.0);
}

#[test]
fn bad_batches_are_refused_by_name() {
    let mut bench = Bench::new(Settings { message_max_bytes: 200, ..Settings::default() });
    let c = bench.connect(1);
    let mut broken = batch(plain(), 1);
    *broken.last_mut().unwrap() ^= 1;
    assert_eq!(bench.produce(c, 9, broken).error_code, ErrorCode::CORRUPT_MESSAGE.0);
    assert_eq!(bench.produce(c, 9, batch(plain(), 20)).error_code, ErrorCode::MESSAGE_TOO_LARGE.0);
    let ahead = batch_at(plain(), 1, NOW_MS + 3_600_001);
    assert_eq!(bench.produce(c, 9, ahead).error_code, ErrorCode::INVALID_TIMESTAMP.0);
    let mut two = batch(plain(), 1);
    two.extend(batch(plain(), 1));
    assert_eq!(bench.produce(c, 9, two).error_code, ErrorCode::INVALID_RECORD.0);
    let marker = crate::wire::batch::control_batch(
        ProducerIdentity { producer_id: 1, producer_epoch: 0 },
        crate::wire::batch::ControlKind::Commit,
        0,
        NOW_MS,
    );
    assert_eq!(bench.produce(c, 9, marker).error_code, ErrorCode::INVALID_RECORD.0);
    assert_eq!(bench.high_watermark(), 0);
}

#[test]
fn log_append_time_is_the_brokers() {
    let mut bench = Bench::new(Settings::default());
    bench.control(Control::DeleteTopic("t".into()));
    let configs = BTreeMap::from([("message.timestamp.type".to_owned(), "LogAppendTime".to_owned())]);
    bench.control(Control::CreateTopic { name: "t".into(), partitions: 1, configs });
    let c = bench.connect(1);
    bench.wait(Duration::from_secs(5));
    let answer = bench.produce(c, 9, batch_at(plain(), 1, 12));
    assert_eq!(answer.log_append_time_ms, NOW_MS + 5000);
    let data = bench.fetch(c, 12, &fetch_request(0, 0));
    let stored = crate::wire::batch::Batches::new(data.records.unwrap()).next().unwrap().unwrap();
    assert_eq!(stored.header.max_timestamp_ms, NOW_MS + 5000);
    assert!(stored.verify_crc().is_ok());
}

#[test]
fn acks_all_waits_for_replicas_and_acks_one_does_not() {
    let settings = Settings { replication_delay: Duration::from_millis(50), ..Settings::default() };
    let mut bench = Bench::new(settings);
    let (c, d) = (bench.connect(1), bench.connect(1));
    let request = produce_request(&bench, 9, batch(plain(), 1), 1);
    assert_eq!(produced(bench.ask(c, 9, &request)).error_code, 0);
    let request = produce_request(&bench, 9, batch(plain(), 1), -1);
    bench.send(d, 9, &request);
    bench.wait(Duration::from_millis(49));
    assert!(bench.answer::<ProduceRequest>(d, 9).is_none());
    assert_eq!(bench.high_watermark(), 0);
    bench.wait(Duration::from_millis(1));
    assert_eq!(produced(bench.answer::<ProduceRequest>(d, 9).unwrap()).error_code, 0);
    assert_eq!(bench.high_watermark(), 2);
}

#[test]
fn replicas_slower_than_the_timeout_leave_the_outcome_unknown() {
    let settings = Settings { replication_delay: Duration::from_secs(2), ..Settings::default() };
    let mut bench = Bench::new(settings);
    let c = bench.connect(1);
    let request = produce_request(&bench, 9, batch(plain(), 1), -1);
    bench.send(c, 9, &request);
    bench.wait(Duration::from_secs(1));
    let answer = produced(bench.answer::<ProduceRequest>(c, 9).unwrap());
    assert_eq!(answer.error_code, ErrorCode::REQUEST_TIMED_OUT.0);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.high_watermark(), 1);
}

#[test]
fn acks_zero_is_never_answered_and_a_failure_closes_the_connection() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let request = produce_request(&bench, 9, batch(plain(), 1), 0);
    bench.send(c, 9, &request);
    assert!(bench.answer::<ProduceRequest>(c, 9).is_none());
    assert_eq!(bench.high_watermark(), 1);
    let mut request = produce_request(&bench, 9, batch(plain(), 1), 0);
    request.topic_data[0].name = topic_name("nowhere");
    bench.send(c, 9, &request);
    assert_eq!(bench.closed, [c]);
}

#[test]
fn the_old_leader_names_the_new_one() {
    let mut bench = Bench::new(Settings::default().with_brokers(3));
    let old = bench.core.topics.partition(&tp(0)).unwrap().leader;
    let c = bench.connect(old);
    assert_eq!(bench.produce(c, 12, batch(plain(), 1)).error_code, 0);
    let new = if old == 3 { 1 } else { old + 1 };
    bench.control(Control::MoveLeader(tp(0), new));
    let request = produce_request(&bench, 12, batch(plain(), 1), -1);
    let response = bench.ask(c, 12, &request);
    assert_eq!(response.node_endpoints[0].node_id, new);
    assert_eq!(response.node_endpoints[0].port, 9091 + new);
    let answer = produced(response);
    assert_eq!(answer.error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
    assert_eq!((*answer.current_leader.leader_id, answer.current_leader.leader_epoch), (new, 1));
    let d = bench.connect(new);
    assert_eq!(bench.produce(d, 12, batch(plain(), 1)).base_offset, 1);
}

#[test]
fn a_stopped_broker_hands_its_partitions_over_and_closes_its_connections() {
    let mut bench = Bench::new(Settings::default().with_brokers(2));
    let leader = bench.core.topics.partition(&tp(0)).unwrap().leader;
    let c = bench.connect(leader);
    bench.control(Control::StopBroker(leader));
    assert_eq!(bench.closed, [c]);
    let other = 3 - leader;
    let d = bench.connect(other);
    let metadata = bench.ask(d, 12, &MetadataRequest::default().with_topics(None));
    assert_eq!(metadata.brokers.len(), 1);
    assert!(metadata.topics[0].partitions.iter().all(|p| p.leader_id == other));
    assert_eq!(bench.produce(d, 12, batch(plain(), 1)).error_code, 0);
    let refused = bench.connect(leader);
    assert_eq!(bench.closed, [c, refused]);
}
