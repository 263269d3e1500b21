//! Every message of every version as Kafka's own classes write it (golden bytes): guarded, read and written back.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;

use bytes::Bytes;
use milena::wire::Direction::{self, Request, Response};
use milena::wire::frame::{correlation_id, decode_request_header, decode_response};
use milena::wire::guard;
use milena::wire::messages::HeartbeatRequest;
use protocol_tests::golden::{self, typed_round_trip};

/// What has no types: the messages in which brokers keep the state of share groups among themselves.
const BETWEEN_BROKERS: RangeInclusive<i16> = 83..=87;

type Pair = (i16, i16, Direction);

/// Every version that the schema table has, of each message.
fn table() -> BTreeSet<Pair> {
    let all =
        (0..200).flat_map(|key| (0..64).flat_map(move |version| [(key, version, Request), (key, version, Response)]));
    let is_known = |&(key, version, direction): &Pair| match guard::check(key, version, direction, &[]) {
        Ok(()) => true,
        Err(fault) => fault.reason != "no schema for this version",
    };
    all.filter(is_known).collect()
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
