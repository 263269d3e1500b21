//! Interception: what each verdict does, and that a request outlives its connection.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::bench::*;
use crate::broker::{Control, Event, Seen, Settings, Verdict};
use crate::error::ErrorCode;
use crate::wire::Request;
use crate::wire::messages::*;

/// Every Produce gets this verdict.
fn produce_verdict(bench: &mut Bench, verdict: Verdict) {
    bench.control(Control::Intercept(Some(Box::new(move |info| {
        if info.is::<ProduceRequest>() { verdict } else { Verdict::Pass }
    }))));
}

#[test]
fn a_request_that_arrived_outlives_its_connection() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    produce_verdict(&mut bench, Verdict::Delay(Duration::from_secs(40)));
    let request = produce_request(&bench, 9, batch(plain(), 2), -1);
    bench.send(c, 9, &request);
    bench.step(Event::Disconnected(c));
    bench.wait(Duration::from_secs(39));
    assert_eq!(bench.high_watermark(), 0);
    bench.wait(Duration::from_secs(1));
    assert_eq!(bench.high_watermark(), 2);
    assert!(bench.answer::<ProduceRequest>(c, 9).is_none());
}

#[test]
fn requests_of_one_connection_are_answered_in_order() {
    let mut bench = Bench::new(Settings::default());
    let c = bench.connect(1);
    produce_verdict(&mut bench, Verdict::Delay(Duration::from_secs(1)));
    let request = produce_request(&bench, 9, batch(plain(), 1), -1);
    bench.send(c, 9, &request);
    bench.send(c, 4, &MetadataRequest::default());
    bench.wait(Duration::from_millis(999));
    assert_eq!(bench.core.backlog(c), 1);
    bench.wait(Duration::from_millis(1));
    assert!(bench.answer::<ProduceRequest>(c, 9).is_some());
    assert!(bench.answer::<MetadataRequest>(c, 4).is_some());
}

#[test]
fn each_verdict_does_what_it_says() {
    for (verdict, written, answered, closed) in [
        (Verdict::Pass, 1, true, false),
        (Verdict::Drop, 0, false, false),
        (Verdict::CloseBefore, 0, false, true),
        (Verdict::CloseAfter, 1, false, true),
        (Verdict::DelayAnswer(Duration::from_secs(1)), 1, false, false),
        (Verdict::Error(ErrorCode::NOT_ENOUGH_REPLICAS), 0, true, false),
        (Verdict::ThrottleMs(250), 1, true, false),
    ] {
        let mut bench = Bench::new(Settings::default());
        let c = bench.connect(1);
        produce_verdict(&mut bench, verdict);
        let request = produce_request(&bench, 9, batch(plain(), 1), -1);
        bench.send(c, 9, &request);
        let answer = bench.answer::<ProduceRequest>(c, 9);
        assert_eq!(bench.high_watermark(), written, "{verdict:?}");
        assert_eq!(answer.is_some(), answered, "{verdict:?}");
        assert_eq!(bench.closed == [c], closed, "{verdict:?}");
        match (verdict, answer) {
            (Verdict::ThrottleMs(ms), Some(answer)) => assert_eq!(answer.throttle_time_ms, ms),
            (Verdict::Error(code), Some(answer)) => assert_eq!(produced(answer).error_code, code.0),
            (Verdict::DelayAnswer(time), None) => {
                bench.wait(time);
                assert!(bench.answer::<ProduceRequest>(c, 9).is_some());
            }
            _ => {}
        }
    }
}

#[test]
fn the_tap_sees_requests_and_answers() {
    let mut bench = Bench::new(Settings::default());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    bench.control(Control::Tap(Some(Box::new(move |event| {
        log.lock().unwrap().push(match event {
            Seen::Request(info) => (info.header.api_key, info.decode::<ProduceRequest>().is_some_and(|r| r.is_ok())),
            Seen::Response { api_key, .. } => (api_key, false),
        });
    }))));
    let c = bench.connect(1);
    bench.produce(c, 9, batch(plain(), 1));
    assert_eq!(*seen.lock().unwrap(), [(0, true), (0, false)]);
}

#[test]
fn a_version_that_is_not_offered_is_refused_as_kafka_refuses_it() {
    let settings = Settings::default().with_version_cap(ApiKey::Produce, 8).with_version_cap(ApiKey::ApiVersions, 2);
    let mut bench = Bench::new(settings);
    let c = bench.connect(1);
    bench.send(c, 3, &ApiVersionsRequest::default());
    let answer = bench.answer::<ApiVersionsRequest>(c, 0).unwrap();
    assert_eq!(answer.error_code, ErrorCode::UNSUPPORTED_VERSION.0);
    assert_eq!((answer.api_keys[0].api_key, answer.api_keys[0].max_version), (18, 2));
    let request = produce_request(&bench, 9, batch(plain(), 1), -1);
    bench.send(c, 9, &request);
    assert_eq!(bench.closed, [c]);
}

#[test]
fn garbage_closes_its_connection_only() {
    let mut bench = Bench::new(Settings::default());
    let (c, d) = (bench.connect(1), bench.connect(1));
    bench.step(Event::Request(c, vec![0, 0, 0, 9, 0].into()));
    let mut header = vec![0, 3, 0, 4, 0, 0, 0, 1, 0xff, 0xff];
    header.extend([0x7f; 4]);
    bench.step(Event::Request(d, header.into()));
    assert_eq!(bench.closed, [c, d]);
    let e = bench.connect(1);
    assert_eq!(bench.produce(e, 9, batch(plain(), 1)).error_code, 0);
}

/// A default request of `Q` at its newest version and at its oldest must be understood, whatever is answered.
fn understood<Q: Request + Default>(bench: &mut Bench, min: i16, max: i16) {
    for version in min..=max {
        let c = bench.connect(1);
        bench.send(c, version, &Q::default());
        bench.wait(Duration::from_secs(60));
        assert!(bench.answer::<Q>(c, version).is_some(), "API {} v{version}", Q::KEY);
    }
}

#[test]
fn every_version_that_is_offered_is_understood() {
    let mut bench = Bench::new(Settings::default());
    macro_rules! each {
        ($($request:ty),* $(,)?) => {
            $(
                let offered = bench.core.settings.range_of(<$request as Request>::KEY).unwrap();
                understood::<$request>(&mut bench, offered.min, offered.max);
            )*
        };
    }
    each!(
        FetchRequest,
        ListOffsetsRequest,
        MetadataRequest,
        OffsetCommitRequest,
        OffsetFetchRequest,
        FindCoordinatorRequest,
        ListGroupsRequest,
        ApiVersionsRequest,
        CreateTopicsRequest,
        DeleteTopicsRequest,
        DeleteRecordsRequest,
        InitProducerIdRequest,
        OffsetForLeaderEpochRequest,
        AddPartitionsToTxnRequest,
        AddOffsetsToTxnRequest,
        EndTxnRequest,
        TxnOffsetCommitRequest,
        DescribeConfigsRequest,
        CreatePartitionsRequest,
        IncrementalAlterConfigsRequest,
        DescribeClusterRequest,
        DescribeProducersRequest,
        DescribeTransactionsRequest,
        ListTransactionsRequest,
    );
}
