//! Every message of every version as Kafka's own classes write it (golden bytes): guarded, read and written back.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use milena::wire::Direction::{self, Request, Response};
use milena::wire::frame::{correlation_id, decode_request_header, decode_response};
use milena::wire::guard;
use milena::wire::messages::HeartbeatRequest;
use protocol_tests::golden::{self, typed_round_trip};

/// What no typed codec carries: kafka-protocol lacks it and we have none of our own.
const UNTYPED: &[&str] = &[
    "AddRaftVoter 1 Request",
    "AddRaftVoter 1 Response",
    "ApiVersions 5 Request",
    "ApiVersions 5 Response",
    "DeleteGroups 3 Request",
    "DeleteGroups 3 Response",
    "DescribeLogDirs 5 Request",
    "DescribeLogDirs 5 Response",
    "DescribeShareGroupOffsets 1 Request",
    "DescribeShareGroupOffsets 1 Response",
    "InitProducerId 6 Request",
    "ListOffsets 11 Request",
    "ListOffsets 11 Response",
    "OffsetCommit 10 Request",
    "OffsetFetch 10 Request",
    "ReadShareGroupStateSummary 1 Request",
    "ReadShareGroupStateSummary 1 Response",
    "ShareAcknowledge 2 Request",
    "ShareAcknowledge 2 Response",
    "ShareFetch 2 Request",
    "ShareFetch 2 Response",
    "StreamsGroupDescribe 0 Request",
    "StreamsGroupDescribe 0 Response",
    "StreamsGroupDescribe 1 Request",
    "StreamsGroupDescribe 1 Response",
    "StreamsGroupHeartbeat 0 Request",
    "StreamsGroupHeartbeat 0 Response",
    "StreamsGroupHeartbeat 1 Request",
    "StreamsGroupHeartbeat 1 Response",
    "StreamsGroupTopologyDescriptionUpdate 0 Request",
    "StreamsGroupTopologyDescriptionUpdate 0 Response",
    "TxnOffsetCommit 6 Request",
    "TxnOffsetCommit 6 Response",
    "UnregisterController 0 Request",
    "UnregisterController 0 Response",
    "WriteShareGroupState 1 Request",
    "WriteShareGroupState 1 Response",
    "WriteTxnMarkers 2 Request",
    "WriteTxnMarkers 2 Response",
];

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
    let mut untyped = BTreeSet::new();
    for golden in golden::messages() {
        match typed_round_trip(golden.key, golden.version, golden.direction, &golden.bytes) {
            Some(result) => assert!(result.as_ref() == Ok(&golden.bytes), "{}: {result:02x?}", golden.name()),
            None => drop(untyped.insert(format!("{} {} {:?}", golden.api, golden.version, golden.direction))),
        }
    }
    let known: BTreeSet<_> = UNTYPED.iter().map(|name| (*name).to_string()).collect();
    assert_eq!(untyped, known);
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
