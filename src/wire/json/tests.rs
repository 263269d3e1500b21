//! Messages whose JSON and bytes were made by Kafka's own classes, and everything that is no message.

use serde_json::{Value, json};

use super::super::Direction::{Request, Response};
use super::super::schema_table::SCHEMAS;
use super::{api_key, decode, encode, messages};

const METADATA: i16 = 3;
const FETCH: i16 = 1;
const FIND_COORDINATOR: i16 = 10;
const CONSUMER_GROUP_HEARTBEAT: i16 = 68;

fn fault(result: Result<impl std::fmt::Debug, super::Malformed>) -> (String, String) {
    let fault = result.expect_err("a fault");
    (fault.path, fault.reason)
}

#[test]
fn a_request_reads_as_kafkas_converter_prints_it_and_is_written_back() {
    let body = b"\0\0\0\x01\0\x01t\x01";
    let value = json!({ "topics": [{ "name": "t" }], "allowAutoTopicCreation": true });
    assert_eq!(decode(METADATA, 4, Request, body).unwrap(), value);
    assert_eq!(encode(METADATA, 4, Request, &value).unwrap(), body);
    let flexible = b"\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x02t\0\x01\0\0";
    let value = json!({ "topics": [{ "topicId": "AAAAAAAAAAAAAAAAAAAAAA", "name": "t" }],
        "allowAutoTopicCreation": true, "includeTopicAuthorizedOperations": false });
    assert_eq!(decode(METADATA, 12, Request, flexible).unwrap(), value);
    assert_eq!(encode(METADATA, 12, Request, &value).unwrap(), flexible);
}

#[test]
fn fields_come_in_the_order_of_the_definition() {
    let value = decode(METADATA, 12, Request, b"\0\x01\0\0").unwrap();
    let names: Vec<_> = value.as_object().unwrap().keys().collect();
    assert_eq!(names, ["topics", "allowAutoTopicCreation", "includeTopicAuthorizedOperations"]);
    assert_eq!(value["topics"], Value::Null);
}

/// A Fetch request of version 17 without topics, and the tags given.
fn fetch(tags: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0, 1, 0xf4, 0, 0, 0, 1, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 1, 1, 1];
    body.extend_from_slice(tags);
    body
}

#[test]
fn tagged_fields_are_read_in_any_order_and_left_out_at_their_default() {
    let at_default = decode(FETCH, 17, Request, &fetch(&[0])).unwrap();
    assert!(at_default.get("clusterId").is_none() && at_default.get("replicaState").is_none());
    let cluster = [0, 2, 2, b'c'];
    let replica = [1, 13, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 9, 0];
    let set = fetch(&[&[2][..], &cluster, &replica].concat());
    let value = decode(FETCH, 17, Request, &set).unwrap();
    assert_eq!(value["clusterId"], "c");
    assert_eq!(value["replicaState"], json!({ "replicaId": 7, "replicaEpoch": 9 }));
    assert_eq!(decode(FETCH, 17, Request, &fetch(&[&[2][..], &replica, &cluster].concat())).unwrap(), value);
    assert_eq!(encode(FETCH, 17, Request, &value).unwrap(), set);
    // An explicit null is the default; of a tag that comes twice the last counts.
    assert_eq!(decode(FETCH, 17, Request, &fetch(&[1, 0, 1, 0])).unwrap(), at_default);
    assert_eq!(decode(FETCH, 17, Request, &fetch(&[&[2][..], &cluster, &[0, 1, 0]].concat())).unwrap(), at_default);
    assert_eq!(encode(FETCH, 17, Request, &at_default).unwrap(), fetch(&[0]));
}

#[test]
fn an_unknown_tag_keeps_the_struct_it_is_in_and_is_not_told_otherwise() {
    let replica = [1, 15, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
    let plain = decode(FETCH, 17, Request, &fetch(&[&[1][..], &replica].concat())).unwrap();
    assert!(plain.get("replicaState").is_none());
    let mut tagged = replica[..14].to_vec();
    tagged.extend_from_slice(&[1, 77, 1, 5]);
    let value = decode(FETCH, 17, Request, &fetch(&[&[1][..], &tagged].concat())).unwrap();
    assert_eq!(value["replicaState"], json!({ "replicaId": -1, "replicaEpoch": -1 }));
    assert_eq!(
        decode(FETCH, 17, Request, &fetch(&[1, 77, 1, 5])).unwrap(),
        decode(FETCH, 17, Request, &fetch(&[0])).unwrap()
    );
}

#[test]
fn a_version_refuses_what_it_cannot_carry_and_drops_what_kafka_ignores() {
    let key_type = json!({ "key": "g", "keyType": 1 });
    let (path, reason) = fault(encode(FIND_COORDINATOR, 0, Request, &key_type));
    assert_eq!((path.as_str(), reason.as_str()), ("keyType", "version 0 cannot carry it, and 1 is not its default"));
    assert_eq!(encode(FIND_COORDINATOR, 0, Request, &json!({ "key": "g", "keyType": 0 })).unwrap(), b"\0\x01g");
    let throttled =
        json!({ "throttleTimeMs": 9, "errorCode": 0, "errorMessage": "m", "nodeId": 1, "host": "h", "port": 2 });
    let body = encode(FIND_COORDINATOR, 0, Response, &throttled).unwrap();
    assert_eq!(body, b"\0\0\0\0\0\x01\0\x01h\0\0\0\x02", "throttle time and message are ignorable");
}

#[test]
fn wrong_values_are_refused_with_the_way_to_them() {
    let metadata = |topics: Value| json!({ "topics": topics, "allowAutoTopicCreation": true });
    for (value, path, reason) in [
        (json!({ "topics": [] }), "allowAutoTopicCreation", "missing, and mandatory in version 4"),
        (metadata(json!([{ "name": "t" }, { "name": 7 }])), "topics[1].name", "a string is wanted, not a number"),
        (metadata(json!([{ "name": null }])), "topics[0].name", "null, which version 4 does not allow"),
        (metadata(json!([null])), "topics[0]", "an object is wanted, not null"),
        (metadata(json!([{ "name": "t", "nme": 1 }])), "topics[0]", "there is no field \"nme\" in any version"),
        (metadata(json!({})), "topics", "an array is wanted, not an object"),
        (json!([]), "", "an object is wanted, not an array"),
    ] {
        assert_eq!(fault(encode(METADATA, 4, Request, &value)), (path.into(), reason.into()), "{value}");
    }
    let long = metadata(json!([{ "name": "x".repeat(32768) }]));
    let (path, reason) = fault(encode(METADATA, 4, Request, &long));
    assert_eq!(path, "topics[0].name");
    assert_eq!(reason, "a string of 32768 bytes: Kafka has none above 32767");
    for (number, fits) in [(json!(127), true), (json!(128), false), (json!(-129), false), (json!(1.0), false)] {
        assert_eq!(encode(FIND_COORDINATOR, 1, Request, &json!({ "key": "g", "keyType": number })).is_ok(), fits);
    }
    assert_eq!(fault(encode(99, 0, Request, &json!({}))).1, "API 99 is none that brokers listen for");
    assert_eq!(fault(encode(METADATA, 14, Request, &json!({}))).1, "versions are 0 to 13");
}

#[test]
fn a_nullable_struct_is_marked_and_any_negative_mark_is_null() {
    let head = b"\0\0\0\0\0\0\0\x02m\0\0\0\x01\0\0\x13\x88";
    let with = |rest: &[u8]| decode(CONSUMER_GROUP_HEARTBEAT, 0, Response, &[&head[..], rest].concat());
    assert_eq!(with(&[0xff, 0]).unwrap()["assignment"], Value::Null);
    assert_eq!(with(&[0x80, 0]).unwrap()["assignment"], Value::Null);
    assert_eq!(with(&[1, 1, 0, 0]).unwrap()["assignment"], json!({ "topicPartitions": [] }));
    assert_eq!(with(&[2, 1, 0, 0]).unwrap(), with(&[1, 1, 0, 0]).unwrap());
    let value = with(&[1, 1, 0, 0]).unwrap();
    assert_eq!(encode(CONSUMER_GROUP_HEARTBEAT, 0, Response, &value).unwrap()[head.len()..], [1, 1, 0, 0]);
}

#[test]
fn a_malformed_message_is_refused_where_it_goes_wrong() {
    let fault = decode(METADATA, 4, Request, b"\0\0\0\x02\0\x01t\0\x09t").unwrap_err();
    assert_eq!((fault.offset, fault.path.as_str()), (9, "topics[1].name"));
    assert_eq!((fault.api, fault.version, fault.direction), ("Metadata", 4, Request));
    assert_eq!(fault.reason, "9 bytes wanted, 1 left");
    let reason = |body: &[u8]| decode(METADATA, 4, Request, body).unwrap_err().reason;
    assert_eq!(reason(b"\x7f\xff\xff\xff\x01"), "array of 2147483647 elements in 1 bytes");
    assert_eq!(reason(b"\0\0\0\0\x01\0"), "1 bytes left over");
    assert_eq!(reason(b"\0\0\0\x01\0\x01\xff\x01"), "string is not UTF-8");
}

#[test]
fn every_message_is_found_by_name_and_has_versions() {
    assert_eq!(api_key("StreamsGroupHeartbeat"), Some(88));
    assert_eq!(api_key("fetch"), Some(1));
    assert_eq!(api_key("Vote"), None, "between controllers only");
    assert_eq!(messages().count(), SCHEMAS.len());
    assert!(messages().all(|(_, name, _, (min, max))| !name.is_empty() && min <= max));
}
