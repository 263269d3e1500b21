//! Messages as JSON, held to what Kafka's own converters print and write (golden bytes).

use milena::wire::json::{decode, encode};
use protocol_tests::golden;

#[test]
fn kafkas_bytes_read_as_kafka_prints_them() {
    for golden in golden::messages() {
        let value = decode(golden.key, golden.version, golden.direction, &golden.bytes);
        let value = value.unwrap_or_else(|fault| panic!("{}: {fault}", golden.name()));
        assert_eq!(value, golden.value, "{}", golden.name());
    }
}

#[test]
fn what_kafka_prints_is_written_as_kafka_writes_it() {
    for golden in golden::messages().filter(|golden| golden.reencodes) {
        let bytes = encode(golden.key, golden.version, golden.direction, &golden.value);
        let bytes = bytes.unwrap_or_else(|fault| panic!("{}: {fault}", golden.name()));
        assert!(bytes == golden.bytes, "{}: {bytes:02x?} is not {:02x?}", golden.name(), golden.bytes);
    }
}
