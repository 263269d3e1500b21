//! The nouns every room shares: topics, partitions, ids and levels, each meaning one thing only.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

/// A hash map whose order depends on its keys alone, so that one seed gives one trace.
///
/// Keys a peer chooses are topic and group names the broker has accepted; they are not an attack surface here.
pub type FixedMap<K, V> = HashMap<K, V, BuildHasherDefault<DefaultHasher>>;

/// A topic's name, shared by reference count.
pub type TopicName = Arc<str>;

/// A broker's `node.id`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct BrokerId(pub i32);

impl fmt::Display for BrokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "broker {}", self.0)
    }
}

/// One partition of one topic, by name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: TopicName,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// The partition `partition` of `topic`.
    pub fn new(topic: impl Into<TopicName>, partition: i32) -> Self {
        Self { topic: topic.into(), partition }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.partition)
    }
}

impl fmt::Debug for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The id a topic got when it was created (KIP-516): a recreated topic has the same name and another id.
///
/// All zeroes where the broker is older than topic ids (before 2.8). Prints as Kafka does, in url-safe base64.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// The id of no topic: what a broker without topic ids answers.
    pub const ZERO: TopicId = TopicId([0; 16]);

    /// Whether the broker told an id at all.
    pub fn is_known(&self) -> bool {
        *self != Self::ZERO
    }
}

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let bits = u128::from_be_bytes(self.0);
        for i in 0..22u32 {
            // 128 bits in sixes: 21 whole ones, and the last two bits padded on the right.
            let six = if i < 21 { bits >> (122 - 6 * i) } else { bits << 4 };
            write!(f, "{}", char::from(ALPHABET[(six & 63) as usize]))?;
        }
        Ok(())
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Which records a consumer sees (`isolation.level`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum IsolationLevel {
    /// Everything up to the high watermark, aborted records too.
    #[default]
    ReadUncommitted,
    /// Only records of committed transactions, up to the last stable offset.
    ReadCommitted,
}

impl IsolationLevel {
    /// The number Kafka's requests carry.
    pub fn code(self) -> i8 {
        match self {
            Self::ReadUncommitted => 0,
            Self::ReadCommitted => 1,
        }
    }
}

/// How a batch's records are compressed (`compression.type`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip (RFC 1952).
    Gzip,
    /// Snappy in xerial's framing.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (RFC 8878).
    Zstd,
}

impl Compression {
    /// Every kind, by the number batches carry.
    pub const ALL: [Compression; 5] = [Self::None, Self::Gzip, Self::Snappy, Self::Lz4, Self::Zstd];

    /// The number a batch's attributes carry.
    pub fn code(self) -> i16 {
        self as i16
    }

    /// The kind a number means; `None` (the option) for a number Kafka does not define.
    pub fn of_code(code: i16) -> Option<Compression> {
        usize::try_from(code).ok().and_then(|at| Self::ALL.get(at)).copied()
    }

    /// The name Kafka's `compression.type` and this crate's feature have for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Snappy => "snappy",
            Self::Lz4 => "lz4",
            Self::Zstd => "zstd",
        }
    }

    /// Whether this build has it: each codec is a feature of its own.
    pub fn is_compiled_in(self) -> bool {
        match self {
            Self::None => true,
            Self::Gzip => cfg!(feature = "gzip"),
            Self::Snappy => cfg!(feature = "snappy"),
            Self::Lz4 => cfg!(feature = "lz4"),
            Self::Zstd => cfg!(feature = "zstd"),
        }
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A producer id with its epoch: the pair that fences (KIP-98).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ProducerIdentity {
    /// The id the broker gave.
    pub producer_id: i64,
    /// The epoch; a higher one fences every lower one.
    pub producer_epoch: i16,
}

impl ProducerIdentity {
    /// What a producer without idempotence writes.
    pub const NONE: ProducerIdentity = ProducerIdentity { producer_id: -1, producer_epoch: -1 };
}

/// The rules a transaction was written under (the `transaction.version` feature; KIP-890).
///
/// It decides the version `EndTxn` must be sent at, so it travels with every prepared transaction.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum TransactionVersion {
    /// Partitions are added by request and the epoch stays (feature level 0 or 1).
    V1,
    /// Partitions are added by Produce itself and each transaction ends with a new epoch (level 2).
    V2,
}

/// An offset to commit for a group, with what the application wants to keep beside it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct OffsetAndMetadata {
    /// The next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 if unknown.
    pub leader_epoch: i32,
    /// Free text of the application.
    pub metadata: String,
}

/// Where reading a partition begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Position {
    /// At the first record there is.
    Earliest,
    /// At the end (the last stable offset with read_committed), so that only later records are seen.
    Latest,
    /// At this offset.
    Offset(i64),
    /// At the first record with this timestamp (ms) or a later one; at the end if there is none.
    Timestamp(i64),
    /// At the group's committed offset; where there is none, by `auto.offset.reset`.
    Committed,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topic_ids_print_as_kafka_prints_them() {
        // java.util.UUID 00000000-0000-0000-0000-000000000001 and a mixed one, by Kafka's Uuid.toString.
        assert_eq!(TopicId(1u128.to_be_bytes()).to_string(), "AAAAAAAAAAAAAAAAAAAAAQ");
        assert_eq!(TopicId([0xff; 16]).to_string(), "_____________________w");
    }
}
