//! Positions: looked up, reached, and never moved without a word.

use super::super::testing::*;
use super::*;
use bytes::Bytes;
use std::collections::BTreeMap;

#[test]
fn the_end_is_told_once_each_time_it_is_reached() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 10, batch(0, 10, PLAIN))]);
    rig.records();
    assert!(matches!(rig.poll(), Some(Ok(Polled::CaughtUp(_)))));
    assert_eq!(rig.fetcher.lag(&tp(0)), Some(0));
    rig.asks(1);
    rig.answer(2, B1, vec![data(0, 10, Bytes::new())]);
    assert!(rig.poll().is_none());
    rig.asks(3);
    rig.answer(4, B1, vec![data(0, 11, batch(10, 1, PLAIN))]);
    rig.records();
    assert!(matches!(rig.poll(), Some(Ok(Polled::CaughtUp(_)))));
}

#[test]
fn out_of_range_moves_by_policy_after_what_was_fetched_and_says_so() {
    let config = ConsumerConfig { auto_offset_reset: AutoOffsetReset::Earliest, ..ConsumerConfig::default() };
    let mut rig = Rig::new(&[1], config);
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN))]);
    rig.asks(1);
    rig.answer(2, B1, vec![failed(0, ErrorCode::OFFSET_OUT_OF_RANGE)]);
    assert!(rig.asks(2).is_empty(), "its position is not known yet");
    let lookup = {
        rig.fetcher.handle_wake();
        rig.fetcher.poll_lookup(rig.at(2)).unwrap()
    };
    assert_eq!(lookup.partitions[0].2, Position::Earliest);
    let now = rig.at(3);
    rig.fetcher.handle_lookup(now, lookup, Ok(BTreeMap::from([(tp(0), (40, -1))])));
    assert_eq!(rig.records().len(), 10);
    match rig.poll() {
        Some(Ok(Polled::Moved { from: 10, to: 40, reason: "OFFSET_OUT_OF_RANGE", .. })) => {}
        other => panic!("{other:?}"),
    }
    assert_eq!(rig.fetcher.position(&tp(0)), Some(40));
    assert_eq!(named(&rig.asks(3)[&B1]), [(0, 40)]);
}

#[test]
fn without_a_policy_the_partition_ends_with_an_error_and_the_others_go_on() {
    let config = ConsumerConfig { auto_offset_reset: AutoOffsetReset::None, ..ConsumerConfig::default() };
    let mut rig = Rig::new(&[1, 1], config);
    rig.asks(0);
    rig.answer(1, B1, vec![failed(0, ErrorCode::OFFSET_OUT_OF_RANGE), data(1, 100, batch(0, 10, PLAIN))]);
    let error = rig.poll().unwrap().unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::OFFSET_OUT_OF_RANGE));
    assert!(error.to_string().contains("t-0") && error.to_string().contains("auto.offset.reset"), "{error}");
    assert_eq!(rig.records().len(), 10);
    assert_eq!(named(&rig.asks(1)[&B1]), [(1, 10)]);
    rig.fetcher.assign(tp(0), Position::Offset(5));
    assert_eq!(named(&rig.asks(2)[&B1_TOO]), [(0, 5)]);
}

#[test]
fn a_truncated_log_moves_the_position_to_where_it_was_cut() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN))]);
    rig.records();
    rig.asks(2);
    let cut = EpochEndOffset::default().with_epoch(2).with_end_offset(6);
    rig.answer(3, B1, vec![data(0, 100, Bytes::new()).with_diverging_epoch(cut)]);
    match rig.poll() {
        Some(Ok(Polled::Moved { from: 10, to: 6, reason: "LOG_TRUNCATED", .. })) => {}
        other => panic!("{other:?}"),
    }
    let ask = &rig.asks(4)[&B1];
    assert_eq!((named(ask), ask.topics[0].partitions[0].last_fetched_epoch), (vec![(0, 6)], 2));
}

#[test]
fn a_recreated_topic_is_another_topic() {
    let config = ConsumerConfig { auto_offset_reset: AutoOffsetReset::None, ..ConsumerConfig::default() };
    let mut rig = Rig::new(&[1], config);
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN))]);
    let mut new = metadata(&[1]);
    Arc::make_mut(new.topics.get_mut("t").unwrap()).topic_id = crate::types::TopicId([8; 16]);
    let now = rig.at(2);
    rig.fetcher.handle_metadata(now, Arc::new(new));
    assert_eq!(rig.records().len(), 10, "what was fetched of the old one is delivered");
    let error = rig.poll().unwrap().unwrap_err();
    assert!(error.to_string().contains("TOPIC_RECREATED"), "{error}");
}

#[test]
fn an_aborted_tail_and_its_marker_leave_no_lag() {
    let config = ConsumerConfig { isolation_level: IsolationLevel::ReadCommitted, ..ConsumerConfig::default() };
    let mut rig = Rig::new(&[1], config);
    assert_eq!(rig.asks(0)[&B1].isolation_level, 1);
    let log = concat(&[batch(0, 10, PLAIN), batch(10, 5, transactional(9)), marker(15, 9, false)]);
    let aborted = AbortedTransaction::default().with_producer_id(9.into()).with_first_offset(10);
    rig.answer(1, B1, vec![data(0, 16, log).with_aborted_transactions(Some(vec![aborted]))]);
    assert_eq!(rig.records(), (0..10).collect::<Vec<_>>());
    assert!(matches!(rig.poll(), Some(Ok(Polled::CaughtUp(_)))));
    assert_eq!((rig.fetcher.position(&tp(0)), rig.fetcher.lag(&tp(0))), (Some(16), Some(0)));
}

#[test]
fn a_missing_commit_follows_the_policy_and_says_so() {
    let config = ConsumerConfig { group_id: Some("g".into()), ..ConsumerConfig::default() };
    let mut rig = Rig::new(&[1], config);
    rig.fetcher.assign(tp(0), Position::Committed);
    let now = rig.at(0);
    let lookup = rig.fetcher.poll_lookup(now).unwrap();
    assert!(lookup.is_committed);
    rig.fetcher.handle_lookup(now, lookup, Ok(BTreeMap::new()));
    let lookup = rig.fetcher.poll_lookup(now).unwrap();
    assert_eq!(lookup.partitions[0].2, Position::Latest);
    rig.fetcher.handle_lookup(now, lookup, Ok(BTreeMap::from([(tp(0), (70, -1))])));
    match rig.poll() {
        Some(Ok(Polled::Moved { from: -1, to: 70, reason: "NO_COMMITTED_OFFSET", .. })) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_committed_position_without_a_group_names_the_setting() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.fetcher.assign(tp(0), Position::Committed);
    let now = rig.at(0);
    assert!(rig.fetcher.poll_lookup(now).is_none());
    assert!(rig.poll().unwrap().unwrap_err().to_string().contains("group.id"));
}

#[test]
fn a_look_up_that_one_partition_spoils_is_split() {
    let mut rig = Rig::new(&[1, 1], ConsumerConfig::default());
    rig.fetcher.assign(tp(0), Position::Earliest);
    rig.fetcher.assign(tp(1), Position::Earliest);
    let now = rig.at(0);
    let lookup = rig.fetcher.poll_lookup(now).unwrap();
    assert_eq!(lookup.partitions.len(), 2);
    let refused = Error::broker(Operation::ListOffsets, ErrorCode::TOPIC_AUTHORIZATION_FAILED, "t-0");
    rig.fetcher.handle_lookup(now, lookup, Err(refused.clone()));
    let first = rig.fetcher.poll_lookup(now).unwrap();
    let second = rig.fetcher.poll_lookup(now).unwrap();
    assert_eq!((first.partitions.len(), second.partitions.len()), (1, 1));
    rig.fetcher.handle_lookup(now, first, Err(refused));
    rig.fetcher.handle_lookup(now, second, Ok(BTreeMap::from([(tp(1), (3, -1))])));
    assert!(rig.poll().unwrap().is_err());
    assert_eq!(named(&rig.asks(0)[&B1]), [(1, 3)]);
}
