//! What the Java side answers, as structs.

use serde_json::Value;

/// A topic as Java's Admin describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TopicInfo {
    /// The id in Kafka's base64 form.
    pub topic_id: String,
    /// Its partitions in order.
    pub partitions: Vec<PartitionInfo>,
}

/// One partition of a [`TopicInfo`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartitionInfo {
    /// Its number.
    pub partition: i32,
    /// The node that leads it; -1 if none.
    pub leader: i32,
    /// The nodes that hold it.
    pub replicas: Vec<i32>,
    /// Those in sync.
    pub isr: Vec<i32>,
}

/// Where a partition starts and ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EndOffsets {
    /// The partition.
    pub partition: i32,
    /// First offset.
    pub earliest: i64,
    /// End for `read_uncommitted`.
    pub high_watermark: i64,
    /// End for `read_committed`.
    pub last_stable: i64,
}

/// An offset a group committed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupOffset {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The text committed with it.
    pub metadata: String,
}

/// A transaction as Java's Admin lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TransactionInfo {
    /// Its id.
    pub transactional_id: String,
    /// The producer's id.
    pub producer_id: i64,
    /// Kafka's name of the state, as `Ongoing` or `CompleteCommit`.
    pub state: String,
}

impl TransactionInfo {
    /// Whether the coordinator still has something to do for it: records of it hold readers back.
    pub fn is_open(&self) -> bool {
        !matches!(self.state.as_str(), "Empty" | "CompleteCommit" | "CompleteAbort")
    }
}

/// A record as Java's consumer sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReadRecord {
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// Milliseconds since 1970.
    pub timestamp: i64,
    /// `CreateTime` or `LogAppendTime`.
    pub timestamp_type: String,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// Headers in order.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl ReadRecord {
    /// The value as text, with what is not UTF-8 replaced; empty if null.
    pub fn value_text(&self) -> String {
        String::from_utf8_lossy(self.value.as_deref().unwrap_or_default()).into_owned()
    }
}

/// What became of the records of a copy.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CopyReport {
    /// Records seen.
    pub records: i64,
    /// Expected ones not seen.
    pub lost: i64,
    /// Seen again after the first time.
    pub duplicated: i64,
    /// Behind one of the same source partition with a higher number, in the same target partition.
    pub out_of_order: i64,
    /// Not among the expected.
    pub foreign: i64,
}

impl CopyReport {
    /// The report of a perfect copy of `records` records.
    pub fn exact(records: i64) -> Self {
        Self { records, ..Self::default() }
    }
}

fn number(value: &Value, field: &str) -> i64 {
    value[field].as_i64().unwrap_or_else(|| panic!("no number {field} in {value}"))
}

fn int(value: &Value, field: &str) -> i32 {
    i32::try_from(number(value, field)).expect("Java's int")
}

fn text(value: &Value, field: &str) -> String {
    value[field].as_str().unwrap_or_else(|| panic!("no text {field} in {value}")).into()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

fn ints(value: &Value) -> Vec<i32> {
    list(value).iter().filter_map(Value::as_i64).filter_map(|n| i32::try_from(n).ok()).collect()
}

impl TopicInfo {
    pub(super) fn read(value: &Value) -> Self {
        let partitions = list(&value["partitions"]).iter().map(PartitionInfo::read).collect();
        Self { topic_id: text(value, "topic_id"), partitions }
    }
}

impl PartitionInfo {
    fn read(value: &Value) -> Self {
        let (partition, leader) = (int(value, "partition"), int(value, "leader"));
        Self { partition, leader, replicas: ints(&value["replicas"]), isr: ints(&value["isr"]) }
    }
}

impl EndOffsets {
    pub(super) fn read(value: &Value) -> Self {
        Self {
            partition: int(value, "partition"),
            earliest: number(value, "earliest"),
            high_watermark: number(value, "high_watermark"),
            last_stable: number(value, "last_stable"),
        }
    }
}

impl GroupOffset {
    pub(super) fn read(value: &Value) -> Self {
        let (partition, offset) = (int(value, "partition"), number(value, "offset"));
        Self { topic: text(value, "topic"), partition, offset, metadata: text(value, "metadata") }
    }
}

impl TransactionInfo {
    pub(super) fn read(value: &Value) -> Self {
        let producer_id = number(value, "producer_id");
        Self { transactional_id: text(value, "transactional_id"), producer_id, state: text(value, "state") }
    }
}

impl ReadRecord {
    pub(super) fn read(value: &Value) -> Self {
        Self {
            partition: int(value, "partition"),
            offset: number(value, "offset"),
            timestamp: number(value, "timestamp"),
            timestamp_type: text(value, "timestamp_type"),
            key: bytes(&value["key"]),
            value: bytes(&value["value"]),
            headers: list(&value["headers"]).iter().map(header).collect(),
        }
    }
}

fn header(value: &Value) -> (String, Option<Vec<u8>>) {
    (value[0].as_str().expect("a header has a key").into(), bytes(&value[1]))
}

fn bytes(value: &Value) -> Option<Vec<u8>> {
    value.as_str().map(base64_decode)
}

/// Base64 as Java's basic encoder writes it.
fn base64_decode(text: &str) -> Vec<u8> {
    let mut bits = 0_u32;
    let mut held = 0;
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    for digit in text.bytes().take_while(|byte| *byte != b'=') {
        bits = bits << 6 | base64_digit(digit);
        held += 6;
        if held >= 8 {
            held -= 8;
            out.push((bits >> held & 0xff) as u8);
        }
    }
    out
}

fn base64_digit(digit: u8) -> u32 {
    let value = match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    value.into()
}

impl CopyReport {
    pub(super) fn read(value: &Value) -> Self {
        Self {
            records: number(value, "records"),
            lost: number(value, "lost"),
            duplicated: number(value, "duplicated"),
            out_of_order: number(value, "out_of_order"),
            foreign: number(value, "foreign"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::base64_decode;

    #[test]
    fn base64_of_every_padding_is_read() {
        assert_eq!(base64_decode(""), b"");
        assert_eq!(base64_decode("Zg=="), b"f");
        assert_eq!(base64_decode("Zm8="), b"fo");
        assert_eq!(base64_decode("Zm9v+/8="), b"foo\xfb\xff");
    }
}
