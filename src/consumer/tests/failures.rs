//! What fails: named, waited for or ended, never looped on.

use super::super::testing::*;
use super::*;

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
fn a_message_set_from_before_kafka_0_11_is_named_and_never_skipped() {
    for magic in [0, 1] {
        let mut rig = Rig::new(&[1], ConsumerConfig::default());
        rig.asks(0);
        let mut old = batch(10, 1, PLAIN).to_vec();
        old[16] = magic;
        rig.answer(1, B1, vec![data(0, 100, concat(&[batch(0, 10, PLAIN), old.into(), batch(11, 9, PLAIN)]))]);
        assert_eq!(rig.records(), (0..10).collect::<Vec<_>>(), "what came before it is delivered");
        let error = rig.poll().expect("an end").expect_err("an error").to_string();
        let reason = format!("magic {magic}: message sets from before Kafka 0.11 are not supported");
        assert!(error.contains("t-0") && error.contains("offset 10") && error.contains(&reason), "{error}");
        assert_eq!(rig.fetcher.position(&tp(0)), Some(10));
        assert!(rig.asks(1000).is_empty(), "no batch behind it is fetched");
    }
}

#[test]
fn a_new_leader_is_followed_at_once_and_hints_are_passed_on() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    let moved = failed(0, ErrorCode::NOT_LEADER_OR_FOLLOWER)
        .with_current_leader(LeaderIdAndEpoch::default().with_leader_id(2.into()).with_leader_epoch(4));
    rig.answer(1, B1, vec![moved]);
    assert_eq!(rig.fetcher.hints[0].leader, B2.broker);
    assert!(rig.asks(1).is_empty());
    let mut new = metadata(&[2]);
    Arc::make_mut(new.topics.get_mut("t").unwrap()).partitions[0].leader_epoch = 4;
    let now = rig.at(2);
    rig.fetcher.handle_metadata(now, Arc::new(new));
    assert_eq!(named(&rig.asks(2)[&B2]), [(0, 0)]);
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
fn a_broker_that_answers_nothing_without_waiting_is_not_asked_in_a_loop() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    rig.answer(0, B1, vec![data(0, 100, Bytes::new())]);
    let mut asked = 0;
    for ms in 0..1000 {
        if rig.asks(ms).contains_key(&B1) {
            asked += 1;
            rig.answer(ms, B1, vec![]);
        }
    }
    assert!(asked <= 101, "{asked} in a second");
}

#[test]
fn the_answer_for_a_topic_that_metadata_has_forgotten_is_heard() {
    let mut rig = Rig::new(&[1], ConsumerConfig::default());
    rig.asks(0);
    let mut without = metadata(&[1]);
    without.topics.clear();
    without.topic_errors.insert("t".into(), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
    let now = rig.at(1);
    rig.fetcher.handle_metadata(now, Arc::new(without));
    rig.answer(2, B1, vec![failed(0, ErrorCode::UNKNOWN_TOPIC_ID)]);
    assert!(rig.asks(2).is_empty(), "it backs off");
    assert!(rig.fetcher.stale.contains("t"), "and asks for it again");
}
