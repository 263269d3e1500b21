//! The fetcher driven by hand: literal times, a broker of a few lines, every request looked at.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Polled;
use super::fetcher::Fetcher;
use super::testing::{ID, PLAIN, batch, concat, marker, metadata, tp, transactional};
use crate::config::{AutoOffsetReset, ClientConfig, ConsumerConfig};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{BrokerId, IsolationLevel, Position, TopicPartition};
use crate::wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use crate::wire::messages::{FetchRequest, FetchResponse};

const B1: BrokerId = BrokerId(1);
const B2: BrokerId = BrokerId(2);

struct Rig {
    fetcher: Fetcher,
    start: Instant,
}

impl Rig {
    fn new(leaders: &[i32], config: ConsumerConfig) -> Rig {
        let mut fetcher = Fetcher::new(config, ClientConfig::default(), 1, Arc::new(Notify::new()));
        let start = Instant::now();
        fetcher.handle_metadata(start, Arc::new(metadata(leaders)));
        for partition in 0..leaders.len() {
            fetcher.assign(tp(partition as i32), Position::Offset(0));
        }
        Rig { fetcher, start }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Every broker that is to be asked now, with its request.
    fn asks(&mut self, ms: u64) -> BTreeMap<BrokerId, FetchRequest> {
        let now = self.at(ms);
        self.fetcher.handle_timeout(now);
        let mut asks = BTreeMap::new();
        while let Some(broker) = self.fetcher.poll_lane(now) {
            if let Some((_, request)) = self.fetcher.ask(broker, 17, now) {
                asks.insert(broker, request);
            }
        }
        asks
    }

    fn answer(&mut self, ms: u64, broker: BrokerId, partitions: Vec<PartitionData>) {
        let topic_id = ID.0.to_vec().try_into().unwrap();
        let topic = FetchableTopicResponse::default().with_topic_id(topic_id).with_partitions(partitions);
        let answer = FetchResponse::default().with_session_id(5).with_responses(vec![topic]);
        self.fetcher.handle_answer(broker, self.at(ms), Ok(answer));
    }

    fn poll(&mut self) -> Option<Result<Polled>> {
        self.fetcher.poll_event()
    }

    fn records(&mut self) -> Vec<i64> {
        match self.poll() {
            Some(Ok(Polled::Records(records))) => records.iter().map(|r| r.unwrap().offset).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn data(partition: i32, end: i64, records: Bytes) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_records(Some(records))
}

fn failed(partition: i32, code: ErrorCode) -> PartitionData {
    PartitionData::default().with_partition_index(partition).with_error_code(code.0).with_high_watermark(-1)
}

/// Partition, fetch offset and most bytes of what a request names.
fn named(request: &FetchRequest) -> Vec<(i32, i64)> {
    request.topics.iter().flat_map(|t| &t.partitions).map(|p| (p.partition, p.fetch_offset)).collect()
}

fn forgotten(request: &FetchRequest) -> Vec<i32> {
    request.forgotten_topics_data.iter().flat_map(|t| t.partitions.clone()).collect()
}

#[test]
fn a_broker_that_does_not_answer_delays_no_other() {
    let mut rig = Rig::new(&[1, 2], ConsumerConfig::default());
    let asks = rig.asks(0);
    assert_eq!(asks.keys().copied().collect::<Vec<_>>(), [B1, B2]);
    for i in 0..20 {
        rig.answer(i as u64, B2, vec![data(1, 1000, batch(i * 10, 10, PLAIN))]);
        assert_eq!(rig.records().len(), 10);
        let asks = rig.asks(i as u64);
        assert_eq!(asks.keys().copied().collect::<Vec<_>>(), [B2], "one in flight to each");
        assert_eq!(named(&asks[&B2]), [(1, i * 10 + 10)]);
    }
}

#[test]
fn the_next_fetch_leaves_before_anything_is_polled() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    assert_eq!(named(&rig.asks(0)[&B1]), [(0, 0)]);
    rig.answer(1, B1, vec![data(0, 100, concat(&[batch(0, 10, PLAIN), batch(10, 10, PLAIN)]))]);
    let ask = &rig.asks(1)[&B1];
    assert_eq!((named(ask), ask.session_id, ask.session_epoch), (vec![(0, 20)], 5, 1));
    assert_eq!(ask.topics[0].partitions[0].last_fetched_epoch, 3);
    assert_eq!(rig.fetcher.position(&tp(0)), Some(0));
    assert_eq!(rig.records(), (0..20).collect::<Vec<_>>());
    assert_eq!(rig.fetcher.position(&tp(0)), Some(20));
    assert_eq!(rig.fetcher.lag(&tp(0)), Some(80));
}

#[test]
fn only_the_first_answer_of_a_partition_is_not_waited_for() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    assert_eq!(rig.asks(0)[&B1].max_wait_ms, 0);
    rig.answer(1, B1, vec![data(0, 0, Bytes::new())]);
    assert!(matches!(rig.poll(), Some(Ok(Polled::CaughtUp(_)))));
    assert_eq!(rig.asks(1)[&B1].max_wait_ms, 500);
}

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

/// A broker with one log per partition, served in the order asked for, within the limits asked for.
struct Broker {
    logs: Vec<Vec<Bytes>>,
    asked: BTreeMap<i32, (i64, i32)>,
    served: Vec<Vec<i64>>,
}

impl Broker {
    fn take(&mut self, request: &FetchRequest) {
        if request.session_epoch == 0 {
            self.asked.clear();
        }
        for gone in forgotten(request) {
            self.asked.remove(&gone);
        }
        for partition in request.topics.iter().flat_map(|t| &t.partitions) {
            self.asked.insert(partition.partition, (partition.fetch_offset, partition.partition_max_bytes));
        }
    }

    fn serve(&mut self, request: &FetchRequest) -> Vec<PartitionData> {
        self.take(request);
        let mut left = request.max_bytes as usize;
        let mut answer = Vec::new();
        for (partition, (offset, most)) in self.asked.clone() {
            let log = &self.logs[partition as usize];
            let (mut taken, mut room) = (Vec::new(), (most as usize).min(left));
            for bytes in log.iter().skip((offset / 10) as usize) {
                if bytes.len() > room && !(answer.is_empty() && taken.is_empty()) {
                    break;
                }
                room = room.saturating_sub(bytes.len());
                left = left.saturating_sub(bytes.len());
                self.served[partition as usize].push(i64::from_be_bytes(bytes[..8].try_into().unwrap()));
                taken.push(bytes.clone());
            }
            if !taken.is_empty() {
                answer.push(data(partition, log.len() as i64 * 10, concat(&taken)));
            }
        }
        answer
    }
}

#[test]
fn nothing_is_fetched_twice_and_the_budget_holds_though_the_application_is_slow() {
    let budget = 64 * 1024;
    let mut rig = Rig::new(&[1, 1, 1], ConsumerConfig { queued_max_bytes: budget, ..ConsumerConfig::default() });
    let log = |count: i64| (0..count).map(|i| batch(i * 10, 10, PLAIN)).collect::<Vec<_>>();
    let logs = vec![log(900), log(300), log(600)];
    let mut broker = Broker { logs, asked: BTreeMap::new(), served: vec![Vec::new(); 3] };
    let mut read = vec![Vec::new(); 3];
    let mut held = std::collections::VecDeque::new();
    for step in 0..6000u64 {
        rig.fetcher.handle_wake();
        if let Some(request) = rig.asks(step * 20).get(&B1) {
            let answer = broker.serve(request);
            rig.answer(step * 20 + 1, B1, answer);
        }
        assert!(rig.fetcher.budget.used() <= budget + 1024, "{} at step {step}", rig.fetcher.budget.used());
        match rig.poll() {
            Some(Ok(Polled::Records(records))) => {
                let partition = records.partition().partition as usize;
                read[partition].extend(records.iter().map(|r| r.unwrap().offset));
                held.push_back(records);
            }
            Some(Err(error)) => panic!("{error}"),
            _ => held.clear(),
        }
        if step % 3 == 0 {
            held.pop_front();
        }
    }
    for (partition, read) in read.iter().enumerate() {
        let count = broker.logs[partition].len() as i64;
        assert_eq!(*read, (0..count * 10).collect::<Vec<_>>(), "partition {partition}");
        assert_eq!(broker.served[partition], (0..count).map(|i| i * 10).collect::<Vec<_>>(), "each batch once");
    }
}

#[test]
fn a_paused_partition_keeps_its_records_and_starves_nobody() {
    let mut rig = Rig::new(&[1, 1], ConsumerConfig { queued_max_bytes: 64 * 1024, ..ConsumerConfig::default() });
    rig.asks(0);
    let big: Vec<_> = (0..400).map(|i| batch(i * 10, 10, PLAIN)).collect();
    rig.answer(1, B1, vec![data(0, 9000, concat(&big)), data(1, 1000, batch(0, 10, PLAIN))]);
    rig.fetcher.set_paused(&tp(0), true);
    assert_eq!(rig.records().len(), 10, "of the other");
    for i in 1..20 {
        rig.fetcher.handle_wake();
        let asks = rig.asks(i as u64);
        let ask = &asks[&B1];
        assert!(named(ask).iter().all(|(p, _)| *p == 1), "the paused one is not asked for");
        rig.answer(i as u64, B1, vec![data(1, 1000, batch(i * 10, 10, PLAIN))]);
        assert_eq!(rig.records(), (i * 10..i * 10 + 10).collect::<Vec<_>>());
    }
    rig.fetcher.set_paused(&tp(0), false);
    assert_eq!(rig.records(), (0..4000).collect::<Vec<_>>());
    rig.fetcher.handle_wake();
    assert!(named(&rig.asks(30)[&B1]).contains(&(0, 4000)));
}

#[test]
fn an_answer_to_what_was_asked_before_a_seek_is_void() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.fetcher.assign(tp(0), Position::Offset(50));
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN))]);
    assert!(rig.poll().is_none());
    assert_eq!(named(&rig.asks(1)[&B1]), [(0, 50)]);
    rig.answer(2, B1, vec![data(0, 100, batch(45, 10, PLAIN))]);
    assert_eq!(rig.records(), (50..55).collect::<Vec<_>>(), "from mid-batch on");
}

#[test]
fn a_seek_to_the_same_offset_drops_what_was_fetched_and_asks_again() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN))]);
    rig.fetcher.assign(tp(0), Position::Offset(0));
    assert!(rig.poll().is_none());
    assert_eq!(rig.fetcher.budget.used(), 0);
    assert_eq!(named(&rig.asks(1)[&B1]), [(0, 0)]);
}

#[test]
fn a_lost_session_is_replaced_at_once_and_a_broken_broker_waited_for() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![]);
    assert_eq!(rig.asks(1)[&B1].session_epoch, 1);
    let lost = FetchResponse::default().with_error_code(ErrorCode::FETCH_SESSION_ID_NOT_FOUND.0);
    rig.fetcher.handle_answer(B1, rig.at(2), Ok(lost.clone()));
    let ask = &rig.asks(2)[&B1];
    assert_eq!((ask.session_id, ask.session_epoch, named(ask)), (0, 0, vec![(0, 0)]));
    rig.fetcher.handle_answer(B1, rig.at(3), Ok(lost));
    assert!(rig.asks(3).is_empty(), "a second refusal in a row is not met with a third request at once");
    assert!(!rig.asks(400).is_empty());
    let error = Error::new(Operation::Fetch, ErrorKind::Network, "broker 1", "reset");
    rig.fetcher.handle_answer(B1, rig.at(401), Err(error));
    assert!(rig.asks(401).is_empty());
    assert!(rig.fetcher.poll_timeout().unwrap() <= rig.at(401 + 480));
    assert!(rig.fetcher.stale.contains("t"), "another broker may lead by now");
    assert_eq!(rig.asks(900)[&B1].session_epoch, 0);
    assert!(rig.poll().is_none());
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
    rig.answer(2, B1, vec![]);
    assert!(named(&rig.asks(2)[&B1]).contains(&(0, 5)));
}

#[test]
fn a_damaged_batch_is_named_and_stops_its_partition_until_it_is_sought_past() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    let mut bad = batch(10, 10, PLAIN).to_vec();
    *bad.last_mut().unwrap() ^= 1;
    rig.answer(1, B1, vec![data(0, 100, concat(&[batch(0, 10, PLAIN), bad.into()]))]);
    let Some(Ok(Polled::Records(records))) = rig.poll() else { panic!("records") };
    let read: Vec<_> = records.iter().collect();
    assert_eq!(read.iter().filter(|r| r.is_ok()).count(), 10);
    let error = read.last().unwrap().as_ref().unwrap_err().to_string();
    assert!(error.contains("t-0") && error.contains("offset 10"), "{error}");
    rig.asks(1);
    rig.answer(2, B1, vec![data(0, 100, batch(20, 10, PLAIN))]);
    assert!(rig.poll().unwrap().is_err(), "not the batch behind the damaged one");
    assert_eq!(rig.fetcher.position(&tp(0)), Some(10));
    assert!(rig.asks(1000).is_empty());
    rig.fetcher.assign(tp(0), Position::Offset(20));
    assert_eq!(named(&rig.asks(1001)[&B1]), [(0, 20)]);
}

#[test]
fn a_new_leader_is_followed_at_once_and_hints_are_passed_on() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    let moved = failed(0, ErrorCode::NOT_LEADER_OR_FOLLOWER)
        .with_current_leader(LeaderIdAndEpoch::default().with_leader_id(2.into()).with_leader_epoch(4));
    rig.answer(1, B1, vec![moved]);
    assert_eq!(rig.fetcher.hints[0].leader, B2);
    assert!(rig.asks(1).is_empty());
    let mut new = metadata(&[2]);
    Arc::make_mut(new.topics.get_mut("t").unwrap()).partitions[0].leader_epoch = 4;
    let now = rig.at(2);
    rig.fetcher.handle_metadata(now, Arc::new(new));
    assert_eq!(named(&rig.asks(2)[&B2]), [(0, 0)]);
}

#[test]
fn the_preferred_replica_is_read_until_it_fails() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, Bytes::new()).with_preferred_read_replica(2.into())]);
    assert_eq!(rig.asks(1).keys().copied().collect::<Vec<_>>(), [B2]);
    rig.answer(2, B2, vec![data(0, 100, batch(0, 10, PLAIN))]);
    assert_eq!(rig.records().len(), 10);
    rig.asks(3);
    rig.answer(4, B2, vec![failed(0, ErrorCode::OFFSET_OUT_OF_RANGE)]);
    assert!(rig.poll().is_none(), "a follower's range is not the partition's");
    assert_eq!(rig.asks(500).keys().copied().collect::<Vec<_>>(), [B1]);
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
fn bytes_that_lead_nowhere_are_not_asked_for_without_a_pause() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN).slice(..40))]);
    assert!(rig.asks(1).is_empty());
    assert!(!rig.asks(500).is_empty());
}

#[test]
fn a_partition_that_stays_gone_fails_but_not_at_once() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    for second in 0..60 {
        if !rig.asks(second * 1000).is_empty() {
            rig.answer(second * 1000 + 1, B1, vec![failed(0, ErrorCode::UNKNOWN_TOPIC_ID)]);
        }
        assert!(rig.poll().is_none(), "a broker may say so for a while after its start");
        rig.fetcher.handle_wake();
    }
    rig.asks(62_000);
    rig.answer(62_001, B1, vec![failed(0, ErrorCode::UNKNOWN_TOPIC_ID)]);
    let error = rig.poll().unwrap().unwrap_err();
    assert!(error.to_string().contains("t-0"), "{error}");
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

#[test]
fn old_brokers_are_asked_by_name_and_without_sessions() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    let now = rig.at(0);
    let broker = rig.fetcher.poll_lane(now).unwrap();
    let (version, request) = rig.fetcher.ask(broker, 6, now).unwrap();
    assert_eq!((version, request.session_epoch), (6, -1));
    assert_eq!(&*request.topics[0].topic.0, "t");
    let topic = FetchableTopicResponse::default()
        .with_topic(request.topics[0].topic.clone())
        .with_partitions(vec![data(0, 10, batch(0, 10, PLAIN))]);
    rig.fetcher.handle_answer(B1, now, Ok(FetchResponse::default().with_responses(vec![topic])));
    assert_eq!(rig.records().len(), 10);
    let broker = rig.fetcher.poll_lane(now).unwrap();
    assert_eq!(named(&rig.fetcher.ask(broker, 6, now).unwrap().1), [(0, 10)]);
}

#[test]
fn partitions_take_turns_in_polls() {
    let mut rig = Rig::new(&[1, 1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(1, B1, vec![data(0, 100, batch(0, 10, PLAIN)), data(1, 100, batch(0, 10, PLAIN))]);
    rig.asks(1);
    rig.answer(2, B1, vec![data(0, 100, batch(10, 10, PLAIN))]);
    let mut turn = || match rig.poll() {
        Some(Ok(Polled::Records(records))) => records.partition().clone(),
        other => panic!("{other:?}"),
    };
    let turns: [TopicPartition; 3] = [turn(), turn(), turn()];
    assert_eq!(turns, [tp(0), tp(1), tp(0)]);
}
