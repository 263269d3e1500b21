//! Every message of every version as Kafka's own classes write it (golden bytes): guarded, read and written back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::HeaderVersion;
use milena::wire::Direction::{self, Request, Response};
use milena::wire::frame::{correlation_id, decode_request_header, decode_response};
use milena::wire::messages::HeartbeatRequest;
use milena::wire::messages::each::{self, Body, Visit};
use milena::wire::{guard, json};
use protocol_tests::golden::{self, typed_round_trip};

/// What has no types: the messages in which brokers keep the state of share groups among themselves.
const BETWEEN_BROKERS: RangeInclusive<i16> = 83..=87;

type Pair = (i16, i16, Direction);

/// Every version that the schema table has, of each message.
fn table() -> BTreeSet<Pair> {
    json::messages()
        .flat_map(|(key, _, direction, (oldest, newest))| (oldest..=newest).map(move |v| (key, v, direction)))
        .collect()
}

#[test]
fn no_version_of_any_message_goes_without_golden_bytes() {
    let mut kinds: BTreeMap<Pair, BTreeSet<String>> = BTreeMap::new();
    for golden in golden::messages() {
        kinds.entry((golden.key, golden.version, golden.direction)).or_default().insert(golden.kind);
    }
    assert_eq!(kinds.keys().copied().collect::<BTreeSet<_>>(), table());
    for (pair, kinds) in kinds {
        for kind in ["default", "typical", "nulls", "extremes", "random-0", "random-5"] {
            assert!(kinds.contains(kind), "{pair:?} lacks {kind}");
        }
    }
}

#[test]
fn the_guard_lets_through_what_kafka_writes() {
    for golden in golden::messages() {
        let checked = guard::check(golden.key, golden.version, golden.direction, &golden.bytes);
        assert!(checked.is_ok(), "{}: {checked:?}", golden.name());
    }
}

#[test]
fn the_typed_codecs_write_back_what_kafka_wrote() {
    for golden in golden::messages() {
        match typed_round_trip(golden.key, golden.version, golden.direction, &golden.bytes) {
            Some(result) => assert!(result.as_ref() == Ok(&golden.bytes), "{}: {result:02x?}", golden.name()),
            None => assert!(BETWEEN_BROKERS.contains(&golden.key), "{} has no types", golden.name()),
        }
    }
}

/// What a message in which nothing is set is written as.
struct Default(i16, Direction);

impl Visit for Default {
    type Output = Result<Vec<u8>, String>;

    fn visit<Q: milena::wire::Request<Response: Body> + Body>(self) -> Self::Output {
        fn written<M: Body>(version: i16) -> Result<Vec<u8>, String> {
            let mut out = BytesMut::new();
            M::default().encode(&mut out, version).map_err(|e| format!("{e:#}"))?;
            Ok(out.to_vec())
        }
        if self.1 == Request { written::<Q>(self.0) } else { written::<Q::Response>(self.0) }
    }
}

#[test]
fn what_nobody_has_set_is_what_kafka_writes_then() {
    let mut wrong = Vec::new();
    for golden in golden::messages().filter(|golden| golden.kind == "default") {
        let Some(written) = each::visit(golden.key, Default(golden.version, golden.direction)) else { continue };
        if written.as_ref() != Ok(&golden.bytes) {
            wrong.push(format!("{}: {written:02x?}, kafka {:02x?}", golden.name(), golden.bytes));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The versions of the headers of a request and of its answer.
struct HeaderVersions(i16);

impl Visit for HeaderVersions {
    type Output = (i16, i16);

    fn visit<Q: milena::wire::Request<Response: Body> + Body>(self) -> Self::Output {
        (Q::header_version(self.0), <Q::Response as HeaderVersion>::header_version(self.0))
    }
}

#[test]
fn every_message_has_the_header_that_kafka_puts_in_front() {
    let mut seen = BTreeSet::new();
    for golden in golden::messages().filter(|golden| golden.kind == "default") {
        let Some((request, response)) = each::visit(golden.key, HeaderVersions(golden.version)) else {
            assert!(BETWEEN_BROKERS.contains(&golden.key), "{} has no types", golden.name());
            continue;
        };
        let ours = if golden.direction == Request { request } else { response };
        assert_eq!(ours, golden.header_version, "{}", golden.name());
        seen.insert((golden.direction, ours));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), [(Request, 1), (Request, 2), (Response, 0), (Response, 1)]);
}

/// The header as that of an ApiVersions request, at a version that has such a header.
fn with_key_and_version(header: &[u8], header_version: i16) -> Vec<u8> {
    let (key, version) = if header_version < 2 { (18i16, 0i16) } else { (18, 3) };
    [&key.to_be_bytes(), &version.to_be_bytes(), &header[4..]].concat()
}

#[test]
fn request_headers_are_read_as_kafka_writes_them() {
    let requests = golden::headers().filter(|golden| golden.direction == Request);
    for golden in requests {
        let body = b"the body";
        let frame = [&with_key_and_version(&golden.bytes, golden.version), &body[..]].concat();
        let (header, rest) = decode_request_header(Bytes::from(frame)).expect("a header");
        assert_eq!(header.correlation_id, golden.value["correlationId"], "{}", golden.name());
        assert_eq!(serde_json::json!(header.client_id), golden.value["clientId"], "{}", golden.name());
        assert_eq!(&rest[..], body, "{}", golden.name());
    }
}

#[test]
fn response_headers_are_read_as_kafka_writes_them() {
    for golden in golden::headers().filter(|golden| golden.direction == Response) {
        // Heartbeat: throttle time and error code, and tags from version 4 on.
        let (version, body) =
            if golden.version == 0 { (3, &[0, 0, 0, 5, 0, 27][..]) } else { (4, &[0, 0, 0, 5, 0, 27, 0][..]) };
        let frame = Bytes::from([&golden.bytes, body].concat());
        assert_eq!(correlation_id(&frame).map(Into::into), golden.value["correlationId"].as_i64(), "{}", golden.name());
        let response = decode_response::<HeartbeatRequest>(version, frame).expect("an answer");
        assert_eq!((response.throttle_time_ms, response.error_code), (5, 27), "{}", golden.name());
    }
}
