//! What is asked of whom and when: no broker waits for another, nothing is asked for twice.

use super::super::testing::*;
use super::*;
use bytes::Bytes;
use std::collections::BTreeMap;

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
    rig.fetcher.pause(&tp(0));
    assert_eq!(rig.records().len(), 10, "of the other");
    for i in 1..20 {
        rig.fetcher.handle_wake();
        let asks = rig.asks(i as u64);
        let ask = &asks[&B1];
        assert!(named(ask).iter().all(|(p, _)| *p == 1), "the paused one is not asked for");
        rig.answer(i as u64, B1, vec![data(1, 1000, batch(i * 10, 10, PLAIN))]);
        assert_eq!(rig.records(), (i * 10..i * 10 + 10).collect::<Vec<_>>());
    }
    rig.fetcher.resume(&tp(0));
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
fn what_becomes_fetchable_while_a_fetch_waits_goes_by_the_second_way() {
    let mut rig = Rig::new(&[1, 1], ConsumerConfig::default());
    assert_eq!(named(&rig.asks(0)[&B1]), [(0, 0), (1, 0)]);
    rig.fetcher.assign(tp(1), Position::Offset(50));
    let asks = rig.asks(1);
    assert_eq!((asks.len(), named(&asks[&B1_TOO])), (1, vec![(1, 50)]));
    rig.answer(2, B1_TOO, vec![data(1, 100, batch(50, 10, PLAIN))]);
    assert_eq!(rig.records(), (50..60).collect::<Vec<_>>());
    assert_eq!(named(&rig.asks(2)[&B1_TOO]), [(1, 60)]);
    rig.answer(3, B1, vec![data(0, 100, batch(0, 10, PLAIN)), data(1, 100, batch(0, 10, PLAIN))]);
    let ask = &rig.asks(3)[&B1];
    assert_eq!((named(ask), forgotten(ask)), (vec![(0, 10)], vec![1]), "one way at a time");
    assert_eq!(rig.records(), (0..10).collect::<Vec<_>>());
    assert!(rig.poll().is_none(), "what was asked before the seek is void");
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
