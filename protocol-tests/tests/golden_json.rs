//! Messages as JSON: what Milena prints is what Kafka's JSON converters print, and what it writes is what Kafka writes.

use std::collections::BTreeSet;

use milena::wire::json;
use protocol_tests::golden;
use serde_json::Value;

#[test]
fn every_message_has_the_value_that_kafka_prints() {
    for golden in golden::messages() {
        let decoded = json::decode(golden.key, golden.version, golden.direction, &golden.bytes);
        let value = decoded.unwrap_or_else(|fault| panic!("{}: {fault}", golden.name()));
        assert!(value == golden.value, "{}\nours   {value}\nkafka  {}", golden.name(), golden.value);
    }
}

#[test]
fn every_value_becomes_the_bytes_that_kafka_writes() {
    for golden in golden::messages().filter(|golden| golden.reencodes) {
        let encoded = json::encode(golden.key, golden.version, golden.direction, &golden.value);
        let bytes = encoded.unwrap_or_else(|fault| panic!("{}: {fault}", golden.name()));
        assert!(bytes == golden.bytes, "{}\nours   {bytes:02x?}\nkafka  {:02x?}", golden.name(), golden.bytes);
    }
}

/// What no value can hold is lost, and only that: the same message without the tags nobody knows comes back.
#[test]
fn unknown_tags_change_nothing_of_the_value() {
    let mut typical = Value::Null;
    let mut compared = 0;
    for golden in golden::messages() {
        match golden.kind.as_str() {
            "typical" => typical = golden.value,
            "unknown-tags" => {
                let decoded = json::decode(golden.key, golden.version, golden.direction, &golden.bytes);
                assert_eq!(decoded.as_ref(), Ok(&typical), "{}", golden.name());
                compared += 1;
            }
            _ => {}
        }
    }
    assert!(compared > 300, "{compared}");
}

#[test]
fn a_version_is_given_what_kafka_gives_it_and_refused_what_kafka_refuses() {
    let mut wrong = BTreeSet::new();
    for misfit in golden::misfits() {
        let encoded = json::encode(misfit.key, misfit.version, misfit.direction, &misfit.value);
        if encoded.as_ref().ok() != misfit.bytes.as_ref() {
            let (api, version, direction, field) = (&misfit.api, misfit.version, misfit.direction, &misfit.field);
            wrong.insert(format!(
                "{api} v{version} {direction:?} {field}: ours {encoded:02x?}, kafka {:02x?}",
                misfit.bytes
            ));
        }
        if let Err(fault) = encoded {
            assert!(fault.path.replace("[0]", "").starts_with(&misfit.field), "{}: {}", fault.path, misfit.field);
        }
    }
    assert!(wrong.is_empty(), "{} are wrong:\n{}", wrong.len(), wrong.into_iter().collect::<Vec<_>>().join("\n"));
}
