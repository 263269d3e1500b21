//! Fetch: waiting, sessions, isolation and the questions about offsets.

use std::time::Duration;

use super::bench::*;
use crate::broker::{Control, Settings};
use crate::error::ErrorCode;
use crate::wire::batch::Batches;
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::*;

#[test]
fn a_fetch_waits_until_something_is_written() {
    let mut bench = Bench::new(Settings::default());
    let (c, d) = (bench.connect(1), bench.connect(1));
    bench.send(c, 12, &fetch_request(0, 0));
    bench.wait(Duration::from_millis(499));
    assert!(bench.answer::<FetchRequest>(c, 12).is_none());
    bench.produce(d, 9, batch(plain(), 3));
    let data = fetched(bench.answer::<FetchRequest>(c, 12).expect("woken by the write"));
    assert_eq!(data.high_watermark, 3);
    assert_eq!(Batches::new(data.records.unwrap()).next().unwrap().unwrap().header.record_count, 3);
}

#[test]
fn a_fetch_with_nothing_to_read_is_answered_when_its_time_is_over() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    bench.send(c, 12, &fetch_request(0, 0));
    bench.wait(Duration::from_millis(500));
    let data = fetched(bench.answer::<FetchRequest>(c, 12).expect("max_wait_ms is over"));
    assert_eq!((data.error_code, data.high_watermark, data.records.unwrap().len()), (0, 0, 0));
}

#[test]
fn min_bytes_holds_a_fetch_back() {
    let mut bench = Bench::new(Settings::default());
    let (c, d) = (bench.connect(1), bench.connect(1));
    let one = batch(plain(), 1);
    let wanted = i32::try_from(one.len() * 2).unwrap();
    bench.send(c, 12, &fetch_request(0, 0).with_min_bytes(wanted));
    bench.produce(d, 9, one.clone());
    assert!(bench.answer::<FetchRequest>(c, 12).is_none());
    bench.produce(d, 9, one);
    assert!(bench.answer::<FetchRequest>(c, 12).is_some());
}

#[test]
fn the_first_batch_comes_whole_and_the_last_may_be_cut() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let size = batch(plain(), 5).len();
    for _ in 0..3 {
        bench.produce(c, 9, batch(plain(), 5));
    }
    let data = bench.fetch(c, 12, &fetch_request(0, 0).with_max_bytes(1));
    assert_eq!(data.records.unwrap().len(), size);
    let limit = i32::try_from(size + 10).unwrap();
    let data = bench.fetch(c, 12, &fetch_request(0, 0).with_max_bytes(limit)).records.unwrap();
    assert_eq!(data.len(), size + 10);
    assert_eq!(Batches::new(data).filter(Result::is_ok).count(), 1, "readers skip the cut tail");
    let middle = bench.fetch(c, 12, &fetch_request(7, 0)).records.unwrap();
    assert_eq!(Batches::new(middle).next().unwrap().unwrap().header.base_offset, 5, "the batch that holds offset 7");
}

#[test]
fn offsets_outside_the_log_are_refused() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    bench.produce(c, 9, batch(plain(), 4));
    bench.produce(c, 9, batch(plain(), 4));
    bench.control(Control::DeleteRecords(tp(0), 5));
    for (offset, code) in [(4, 1), (5, 0), (9, 1)] {
        let data = bench.fetch(c, 12, &fetch_request(offset, 0).with_max_wait_ms(0));
        assert_eq!(data.error_code, code, "offset {offset}");
    }
    assert_eq!(bench.fetch(c, 12, &fetch_request(5, 0)).log_start_offset, 5);
}

#[test]
fn leader_epochs_fence_both_ways() {
    let mut bench = Bench::new(Settings::default().with_brokers(2));
    let old = bench.core.topics.partition(&tp(0)).unwrap().leader;
    let new = 3 - old;
    bench.control(Control::MoveLeader(tp(0), new));
    let (c, d) = (bench.connect(old), bench.connect(new));
    let with_epoch = |epoch| {
        let mut request = fetch_request(0, 0).with_max_wait_ms(0);
        request.topics[0].partitions[0].current_leader_epoch = epoch;
        request
    };
    assert_eq!(bench.fetch(c, 12, &with_epoch(0)).error_code, ErrorCode::FENCED_LEADER_EPOCH.0);
    assert_eq!(bench.fetch(c, 12, &with_epoch(1)).error_code, ErrorCode::NOT_LEADER_OR_FOLLOWER.0);
    assert_eq!(bench.fetch(d, 12, &with_epoch(2)).error_code, ErrorCode::UNKNOWN_LEADER_EPOCH.0);
    assert_eq!(bench.fetch(d, 12, &with_epoch(1)).error_code, 0);
}

#[test]
fn a_session_speaks_of_changes_only() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let full = fetch_request(0, 0).with_max_wait_ms(0).with_session_epoch(0);
    let first = bench.ask(c, 12, &full);
    assert_ne!(first.session_id, 0);
    assert_eq!(first.responses.len(), 1);
    let next = |epoch| {
        let empty = FetchRequest::default().with_max_bytes(1 << 20).with_min_bytes(1);
        empty.with_session_id(first.session_id).with_session_epoch(epoch)
    };
    assert_eq!(bench.ask(c, 12, &next(1)).responses.len(), 0, "nothing new");
    bench.produce(c, 9, batch(plain(), 1));
    assert_eq!(fetched(bench.ask(c, 12, &next(2))).high_watermark, 1);
    let skipped = bench.ask(c, 12, &next(9));
    assert_eq!(skipped.error_code, ErrorCode::INVALID_FETCH_SESSION_EPOCH.0);
    let unknown = bench.ask(c, 12, &next(3).with_session_id(99));
    assert_eq!(unknown.error_code, ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0);
}

#[test]
fn a_recreated_topic_is_another_one() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    let id = bench.core.topics.get("t").unwrap().id;
    let mut request = fetch_request(0, 0).with_max_wait_ms(0);
    request.topics[0].topic_id = crate::broker::api::wire_id(id);
    assert_eq!(bench.fetch(c, 16, &request).error_code, 0);
    bench.control(Control::DeleteTopic("t".into()));
    bench.control(Control::CreateTopic { name: "t".into(), partitions: 2, configs: Default::default() });
    assert_eq!(bench.fetch(c, 16, &request).error_code, ErrorCode::UNKNOWN_TOPIC_ID.0);
}

fn offset_for(bench: &mut Bench, c: crate::broker::ConnectionId, timestamp: i64) -> (i64, i64) {
    let partition = ListOffsetsPartition::default().with_timestamp(timestamp).with_current_leader_epoch(-1);
    let topic = ListOffsetsTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
    let response = bench.ask(c, 7, &ListOffsetsRequest::default().with_topics(vec![topic]));
    let answer = &response.topics[0].partitions[0];
    assert_eq!(answer.error_code, 0);
    (answer.offset, answer.timestamp)
}

#[test]
fn offsets_are_found_by_time_and_by_name() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    for timestamp in [100, 300, 200] {
        bench.produce(c, 9, batch_at(plain(), 2, timestamp));
    }
    assert_eq!(offset_for(&mut bench, c, -1), (6, -1));
    assert_eq!(offset_for(&mut bench, c, -2), (0, -1));
    assert_eq!(offset_for(&mut bench, c, -3), (2, 300));
    assert_eq!(offset_for(&mut bench, c, 100), (0, 100));
    assert_eq!(offset_for(&mut bench, c, 150), (2, 300));
    assert_eq!(offset_for(&mut bench, c, 301), (-1, -1));
}
