//! `milena wire` as people and scripts use it: what Kafka wrote is told as Kafka tells it, and faults where they are.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use milena::wire::batch::Batches;
use protocol_tests::golden;
use protocol_tests::milena_bin::{Finished, Scratch, milena};
use serde_json::{Value, json};

/// `milena wire ARGUMENTS` with `stdin`.
fn wire(arguments: &str, stdin: impl Into<Vec<u8>>) -> Finished {
    milena(["wire"]).args(arguments.split_whitespace()).stdin(stdin).run()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lines in, as many lines out.
fn lines(command: &str, requests: &[Value]) -> Vec<Value> {
    let input: String = requests.iter().map(|request| format!("{request}\n")).collect();
    let answers = wire(&format!("{command} --lines"), input).ok();
    let answers: Vec<Value> = answers.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(answers.len(), requests.len());
    answers
}

/// A Metadata request of version 4 for the topics `t` and `u`.
const METADATA: &str = "00000002 0001 74 0001 75 01";

#[test]
fn scripts_get_what_kafkas_converters_print_and_write_it_back() {
    let some: Vec<_> = golden::messages().enumerate().filter(|(index, _)| index % 40 == 1).map(|(_, g)| g).collect();
    assert!(some.len() > 100);
    let direction = |g: &golden::GoldenMessage| format!("{:?}", g.direction).to_lowercase();
    let request = |g: &golden::GoldenMessage| json!({ "api": g.api, "version": g.version, "direction": direction(g) });
    let decode = |g: &golden::GoldenMessage| {
        let mut line = request(g);
        line["hex"] = hex(&g.bytes).into();
        line
    };
    let encode = |g: &golden::GoldenMessage| {
        let mut line = request(g);
        line["api"] = g.key.into();
        line["value"] = g.value.clone();
        line
    };
    let decoded = lines("decode", &some.iter().map(decode).collect::<Vec<_>>());
    let encoded = lines("encode", &some.iter().map(encode).collect::<Vec<_>>());
    for ((golden, decoded), encoded) in some.iter().zip(decoded).zip(encoded) {
        assert_eq!(decoded["value"], golden.value, "{}", golden.name());
        assert_eq!(decoded["hex"], hex(&golden.bytes), "the line is given back");
        if golden.reencodes {
            assert_eq!(encoded["hex"], hex(&golden.bytes), "{}", golden.name());
        }
    }
}

#[test]
fn a_fault_is_an_answer_and_the_next_line_is_answered_too() {
    let line = |hex: &str| json!({ "api": "metadata", "version": 4, "direction": "request", "hex": hex, "id": 7 });
    let answers = lines("decode", &[line("000000020001740009"), line(METADATA)]);
    let error = json!({ "offset": 9, "field": "topics[1].name", "reason": "9 bytes wanted, 0 left" });
    assert_eq!((&answers[0]["error"], answers[0].get("value"), &answers[0]["id"]), (&error, None, &json!(7)));
    let value = json!({ "topics": [{ "name": "t" }, { "name": "u" }], "allowAutoTopicCreation": true });
    assert_eq!((&answers[1]["value"], answers[1].get("error")), (&value, None));

    let value = |value: Value| json!({ "api": 10, "version": 0, "direction": "request", "value": value });
    let answers = lines("encode", &[value(json!({ "key": "g", "keyType": 1 })), value(json!({ "key": "g" }))]);
    assert_eq!(answers[0]["error"]["field"], "keyType");
    assert_eq!(answers[1]["hex"], "000167");
}

#[test]
fn a_line_that_asks_nothing_is_said_and_fails_at_the_end() {
    let good = json!({ "api": 3, "version": 4, "direction": "Request", "hex": METADATA });
    let finished = wire("decode --lines", format!("not JSON\n{{\"api\":\"Vote\"}}\n[]\n\n{good}\n"));
    assert_eq!(finished.status.code(), Some(1));
    assert!(finished.stderr.contains("3 of 4 lines are no request"), "{}", finished.stderr);
    let answers: Vec<Value> = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(answers.len(), 4);
    assert_eq!(answers[1]["error"]["reason"], "api is missing or no api that there is");
    assert!(answers[3]["value"].is_object());
}

#[test]
fn a_dump_tells_every_byte_of_hex_and_of_raw_bytes_alike() {
    let arguments = "decode --api Metadata --version 4 --direction request";
    let dump = wire(arguments, METADATA).ok();
    let rows: Vec<Vec<&str>> = dump.lines().map(|row| row.split_whitespace().collect()).collect();
    assert_eq!(rows.len(), 4, "{dump}");
    assert_eq!(rows[0], ["0", "00", "00", "00", "02", "array", "topics", "2", "elements"]);
    assert_eq!(rows[1], ["4", "00", "01", "74", "string", "topics[0].name", "\"t\""]);
    assert_eq!(rows[3], ["10", "01", "bool", "allowAutoTopicCreation", "true"]);
    let bytes: Vec<u8> = (0..11).map(|i| [0, 0, 0, 2, 0, 1, b't', 0, 1, b'u', 1][i]).collect();
    assert_eq!(wire(arguments, bytes).ok(), dump);
}

#[test]
fn a_dump_goes_down_to_each_record() {
    let is_typical = |g: &golden::GoldenMessage| (g.key, g.version, g.kind.as_str()) == (0, 9, "typical");
    let produce = golden::messages().find(is_typical).expect("a Produce request");
    let dump = wire("decode --api produce --version 9 --direction request", hex(&produce.bytes)).ok();
    let records: Vec<&str> = dump.lines().filter(|row| row.contains("  record  ")).collect();
    assert!(records.len() >= 2, "{dump}");
    assert!(records[0].contains("topicData[0].partitionData[0].records[0].records[0]"), "{}", records[0]);
    assert!(records[0].ends_with("offset 0 timestamp 1700000000000 key \"k\" value \"v\""), "{}", records[0]);
    assert!(dump.contains("records[0].producerId"));
}

#[test]
fn a_malformed_message_is_told_up_to_its_fault() {
    let finished = wire("decode --api 3 --version 4 --direction request", "000000020001740009");
    assert_eq!(finished.status.code(), Some(1));
    let rows: Vec<&str> = finished.stdout.lines().collect();
    assert_eq!(rows.len(), 3, "{}", finished.stdout);
    assert!(rows[1].ends_with("topics[0].name  \"t\""));
    assert_eq!(rows[2], "fault at byte 9, in topics[1].name: 9 bytes wanted, 0 left");
    assert!(finished.stderr.contains("Metadata v4 Request at byte 9"), "{}", finished.stderr);
}

#[test]
fn batches_are_told_as_kafka_reads_them_and_written_as_kafka_wrote_them() {
    // The fixture names what is in its longest values instead of holding them.
    let is_told = |g: &golden::GoldenBatches| !g.batches.iter().any(|batch| batch.to_string().contains("value_made"));
    let is_new = |g: &golden::GoldenBatches| g.batches.iter().all(|batch| batch["magic"] == 2);
    let is_one = |g: &golden::GoldenBatches| g.batches.len() == 1 && !g.name.starts_with("shape/");
    let all: Vec<_> = golden::batches().filter(|g| is_one(g) && is_new(g) && is_told(g)).collect();
    assert!(all.len() >= 50);
    let told = lines("batch", &all.iter().map(|golden| json!({ "hex": hex(&golden.bytes) })).collect::<Vec<_>>());
    let without_hex = |line: &Value| {
        let mut line = line.clone();
        line.as_object_mut().unwrap().remove("hex");
        line
    };
    let written = lines("batch", &told.iter().map(without_hex).collect::<Vec<_>>());
    let again = lines("batch", &written.iter().map(|line| json!({ "hex": line["hex"] })).collect::<Vec<_>>());
    for (((golden, told), written), again) in all.iter().zip(&told).zip(&written).zip(&again) {
        let mut expected = golden.batches[0].clone();
        let fields = expected.as_object_mut().unwrap();
        fields.remove("magic");
        if fields["delete_horizon_ms"].is_null() {
            fields.remove("delete_horizon_ms");
        }
        assert_eq!(without_hex(told), expected, "{}", golden.name);
        assert_eq!(without_hex(again), expected, "{}, written and read again", golden.name);
        // Compressed bytes are the codec's own affair; and the producer's times, which the broker's have replaced for
        // every reader, are in the bytes alone.
        if told["timestamp_type"] == "CreateTime" && told["compression"] == "none" {
            assert_eq!(written["hex"], hex(&golden.bytes), "{}", golden.name);
        }
    }
}

/// Every batch of the shapes, each by itself, and what Java reads from it.
fn shapes() -> impl Iterator<Item = (String, Vec<u8>, Value)> {
    golden::batches().filter(|golden| golden.name.starts_with("shape/")).flat_map(|golden| {
        let batches = Batches::new(golden.bytes.into()).map(|batch| batch.expect("a whole batch").bytes.to_vec());
        let told = batches.collect::<Vec<_>>().into_iter().zip(golden.batches);
        told.map(move |(bytes, value)| (golden.name.clone(), bytes, value))
    })
}

#[test]
fn batches_of_every_shape_are_told_as_kafka_reads_them_and_a_wrong_checksum_is_said() {
    let mut shapes: Vec<_> = shapes().collect();
    shapes.dedup_by(|a, b| a.1 == b.1);
    let told = lines("batch", &shapes.iter().map(|(_, bytes, _)| json!({ "hex": hex(bytes) })).collect::<Vec<_>>());
    let mut wrong = 0;
    for ((name, bytes, mut expected), mut told) in shapes.into_iter().zip(told) {
        let (fields, of) = (expected.as_object_mut().unwrap(), told.as_object_mut().unwrap());
        ["magic", "delete_horizon_ms"].iter().for_each(|name| _ = fields.remove(*name));
        assert_eq!(of.remove("hex"), Some(hex(&bytes).into()), "{name}");
        if fields["crc_ok"] == false {
            // Java reads no further; what can be read all the same is told.
            assert_eq!((&name[..], of.remove("records").is_some()), ("shape/wrong-checksum", true));
            of.remove("error");
            fields.remove("records");
            wrong += 1;
        }
        for header in of.get_mut("records").and_then(Value::as_array_mut).into_iter().flatten() {
            // A key that is no UTF-8 has its bytes behind it.
            let headers = header["headers"].as_array_mut().unwrap().iter_mut();
            headers.for_each(|header| header.as_array_mut().unwrap().truncate(2));
        }
        for record in fields.get_mut("records").and_then(Value::as_array_mut).into_iter().flatten() {
            let record = record.as_object_mut().unwrap();
            // The fixture names what is in its longest values instead of holding them.
            if let (Some(_), Some(len)) = (record.remove("value_made"), record.remove("value_len")) {
                record.insert("value_b64".into(), STANDARD.encode(vec![0; len.as_u64().unwrap() as usize]).into());
            }
        }
        assert_eq!(told, expected, "{name}");
    }
    assert_eq!(wrong, 1);
}

#[test]
fn a_header_key_that_is_not_utf_8_is_shown_and_not_lost() {
    let (_, bytes, _) = shapes().find(|(name, ..)| name == "shape/header-key-not-utf-8").expect("a golden batch");
    let mut told = lines("batch", &[json!({ "hex": hex(&bytes) })]).remove(0);
    let key = json!(["\u{fffd}l\u{fffd}(", "w7w=", STANDARD.encode(b"\xffl\xc3(")]);
    assert_eq!(told["records"][0]["headers"][4], key);
    assert_eq!(told["records"][0]["headers"][0], json!(["a", "MQ=="]), "any other as it is");
    told.as_object_mut().unwrap().remove("hex");
    assert_eq!(lines("batch", &[told])[0]["hex"], hex(&bytes));
}

#[test]
fn a_batch_that_is_none_is_refused_with_its_reason() {
    let two = golden::batches().find(|g| g.name == "shape/mixed-codecs").expect("a golden batch").bytes;
    let old = golden::batches().find(|g| g.name == "magic-1/none").expect("a golden batch").bytes;
    let records = |record: Value| json!({ "base": 5, "records": [record] });
    let answers = lines(
        "batch",
        &[
            json!({ "hex": hex(&two) }),
            json!({ "hex": hex(&old) }),
            json!({ "hex": hex(&two[..50]) }),
            records(json!({ "offset": 4 })),
            records(json!({ "value_b64": "?" })),
            json!({ "base": 0, "last": 0, "records": [{ "offset": 5 }] }),
            json!({ "base": 3, "last": 9, "records": [{ "offset": 3 }, { "offset": 2 }] }),
        ],
    );
    let reason = |index: usize| answers[index]["error"]["reason"].as_str().expect("an error").to_string();
    assert!(reason(0).ends_with("bytes behind the batch"), "{}", reason(0));
    assert!(reason(1).starts_with("magic 1: message sets from before Kafka 0.11"), "{}", reason(1));
    assert_eq!(reason(2), "a batch that is cut off: 50 bytes");
    assert!(answers[3]["error"]["field"] == "last" && answers[4]["error"]["field"] == "records[0]");
    assert_eq!((reason(5).as_str(), &answers[5]["hex"]), ("offset 5 in a batch from 0 to 0", &Value::Null));
    assert_eq!(
        (reason(6).as_str(), &answers[6]["error"]["field"]),
        ("offset 2 in a batch from 3 to 9", &json!("records[1]"))
    );
}

#[test]
fn base64_of_a_batch_is_read_with_its_padding_or_without_as_that_of_a_message() {
    let batch = |text: &str| json!({ "records": [{ "value_b64": text, "headers": [["h", text]] }] });
    let answers = lines("batch", &[batch("dg=="), batch("dg"), batch("dg="), batch("dg?")]);
    assert!(answers[0]["hex"].as_str().expect("a batch").ends_with("0276" /* the header's value */), "{}", answers[0]);
    assert!(answers[..3].iter().all(|answer| answer["hex"] == answers[0]["hex"]));
    assert!(answers[3]["error"]["reason"].as_str().expect("an error").contains("not base64"), "{}", answers[3]);
}

#[test]
fn a_difference_between_two_messages_is_told_by_its_field() {
    let arguments = "diff --api Metadata --version 4 --direction request";
    assert_eq!(wire(arguments, format!("{METADATA}\n{METADATA}\n")).ok(), "");
    let finished = wire(arguments, format!("{METADATA}\n00000001 0002 7475 01\n"));
    assert_eq!(finished.status.code(), Some(1));
    let expected = [
        "< topics  2 elements",
        "> topics  1 element",
        "< topics[0].name  \"t\"",
        "> topics[0].name  \"tu\"",
        "< topics[1].name  \"u\"",
    ];
    assert_eq!(finished.stdout.lines().collect::<Vec<_>>(), expected);
    let scratch = Scratch::new("diff");
    let (first, second) = (scratch.path("first"), scratch.path("second"));
    std::fs::write(&first, METADATA).unwrap();
    std::fs::write(&second, [0, 0, 0, 2, 0, 1, b't', 0, 1, b'u', 1]).unwrap();
    assert_eq!(wire(&format!("{arguments} {first} {second}"), "").ok(), "", "hex in one, bytes in the other");
    wire(arguments, "00").failed(2, &["two lines"]);
}

#[test]
fn a_segment_is_told_batch_by_batch_and_a_torn_tail_is_said() {
    let batch = |name: &str| golden::batches().find(|g| g.name == name).expect("a golden batch").bytes;
    let (first, marker) = (batch("none/headers"), batch("control/commit"));
    let scratch = Scratch::new("log");
    let path = scratch.path("00000000000000000000.log");
    let segment = [&first[..], &marker[..]].concat();
    std::fs::write(&path, &segment).unwrap();
    let printed = wire(&format!("log {path}"), "").ok();
    let rows: Vec<&str> = printed.lines().collect();
    assert_eq!(rows[1], "Log starting offset: 0");
    assert!(
        rows[2].starts_with("baseOffset: 0 lastOffset: 1 count: 2 baseSequence: -1 lastSequence: -1 producerId: -1")
    );
    let tail = "position: 0 CreateTime: 6 size: 110 magic: 2 compresscodec: none crc: 763537396 isvalid: true";
    assert!(rows[2].ends_with(tail), "{}", rows[2]);
    let record =
        "| offset: 0 CreateTime: 5 keySize: 1 valueSize: 1 sequence: -1 headerKeys: [a,a,b,,clé,a] key: k payload: v";
    assert_eq!(rows[3], record);
    assert!(rows[5].contains("isControl: true") && rows[5].contains(&format!("position: {}", first.len())));
    assert!(rows[6].contains("endTxnMarker: COMMIT coordinatorEpoch:"), "{}", rows[6]);

    std::fs::write(&path, &segment[..segment.len() - 3]).unwrap();
    let torn = wire(&format!("log {path}"), "");
    assert_eq!(torn.status.code(), Some(1));
    let left = marker.len() - 3;
    assert!(torn.stdout.contains(&format!("Found {left} invalid bytes at the end of 00000000000000000000.log")));
    assert_eq!(torn.stdout.lines().nth(3), Some(record), "what is whole is told");
    assert!(torn.stderr.contains("torn"), "{}", torn.stderr);
}

/// A control record of this type and value, in a batch as a broker writes it.
fn control(kind: u8, value: &[u8]) -> Vec<u8> {
    let base64 = |bytes: &[u8]| STANDARD.encode(bytes);
    let record = json!({ "key_b64": base64(&[0, 0, 0, kind]), "value_b64": base64(value) });
    let answers = lines("batch", &[json!({ "control": true, "records": [record] })]);
    golden::unhex(answers[0]["hex"].as_str().expect("a batch"))
}

/// What the records of `segment` are told to be, behind their header keys.
fn told_by_log(segment: &[u8], file: &str) -> Vec<String> {
    let scratch = Scratch::new("control");
    let path = scratch.path(file);
    std::fs::write(&path, segment).unwrap();
    let printed = wire(&format!("log {path}"), "").ok();
    let tails = printed.lines().filter_map(|row| Some(row.strip_prefix("| ")?.split_once("headerKeys: [] ")?.1));
    tails.map(String::from).collect()
}

#[test]
fn control_records_are_told_in_the_words_of_kafka_s_dump() {
    // As DumpLogSegments of Kafka 4.3.1 prints these batches.
    let expected = [
        ("commit", "endTxnMarker: COMMIT coordinatorEpoch: 31"),
        ("abort", "endTxnMarker: ABORT coordinatorEpoch: 31"),
        (
            "leader-change",
            r#"LeaderChange: {"version":0,"leaderId":3,"voters":[{"voterId":3}],"grantingVoters":[{"voterId":3}]}"#,
        ),
        ("snapshot-header", r#"SnapshotHeader {"version":0,"lastContainedLogTimestamp":99}"#),
        ("snapshot-footer", r#"SnapshotFooter {"version":0}"#),
        ("kraft-version", r#"KRaftVersion {"version":0,"kRaftVersion":1}"#),
        ("voters", r#"KRaftVoters {"version":0,"voters":[]}"#),
        ("unknown-type", "controlType: UNKNOWN(99)"),
        ("later-version", "endTxnMarker: COMMIT coordinatorEpoch: 31"),
    ];
    let golden = || golden::batches().filter(|golden| golden.name.starts_with("control/"));
    assert!(golden().map(|golden| golden.name).eq(expected.iter().map(|(name, _)| format!("control/{name}"))));
    let segment: Vec<u8> = golden().flat_map(|golden| golden.bytes).collect();
    assert_eq!(told_by_log(&segment, "0.log"), expected.map(|(_, told)| told));
}

#[test]
fn voters_and_what_cannot_be_read_of_them_are_told() {
    let id = [&[0; 15][..], &[7]].concat();
    let voter = [&[0, 0, 0, 1][..], &id, &[2, 2, b'C', 2, b'h', 0x23, 0x84, 0, 0, 0, 0, 1, 0, 0]].concat();
    let voters = [&[0, 0, 2][..], &voter, &[0]].concat();
    let told = concat!(
        r#"KRaftVoters {"version":0,"voters":[{"voterId":1,"voterDirectoryId":"AAAAAAAAAAAAAAAAAAAABw","#,
        r#""endpoints":[{"name":"C","host":"h","port":9092}],"#,
        r#""kRaftVersionFeature":{"minSupportedVersion":0,"maxSupportedVersion":1}}]}"#
    );
    // Kafka's own dump takes the value of version 1 for one of version 0, and ends there.
    let change = [&[0, 1, 0, 0, 0, 3, 2, 0, 0, 0, 3][..], &id, &[0, 1, 0]].concat();
    let changed = concat!(
        r#"LeaderChange: {"version":1,"leaderId":3,"#,
        r#""voters":[{"voterId":3,"voterDirectoryId":"AAAAAAAAAAAAAAAAAAAABw"}],"grantingVoters":[]}"#
    );
    let cut = "SnapshotHeader SnapshotHeaderRecord at byte 2 (lastContainedLogTimestamp): 8 bytes wanted, 1 left";
    let new = "KRaftVersion version 9 of KRaftVersionRecord";
    let segment = [control(6, &voters), control(2, &change), control(3, &[0, 0, 1]), control(5, &[0, 9, 0, 1, 0])];
    assert_eq!(told_by_log(&segment.concat(), "0.log"), [told, changed, cut, new]);
}

#[test]
fn the_name_of_a_segment_or_snapshot_says_where_it_stands() {
    let scratch = Scratch::new("names");
    for (name, line) in [
        ("00000000000000000042.log", Some("Log starting offset: 42")),
        ("00000000000000000042-0000000007.checkpoint", Some("Snapshot end offset: 42, epoch: 7")),
        ("some.log", None),
    ] {
        let path = scratch.path(name);
        std::fs::write(&path, "").unwrap();
        assert_eq!(wire(&format!("log {path}"), "").ok().lines().nth(1), line, "{name}");
    }
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    for (arguments, word) in [
        ("decode --api Fetch --version 4", "--direction"),
        ("decode --api Vote --version 0 --direction request", "no API that brokers listen for"),
        ("decode --api Fetch --version 4 --direction sideways", "takes request or response"),
        ("decode --lines --api Fetch", "cannot be used with"),
        ("encode", "--lines"),
    ] {
        wire(arguments, "").failed(2, &[word]);
    }
}
