//! Settings of a consumer, with Kafka's defaults.

use std::time::Duration;

use super::property::Choice;
use crate::types::IsolationLevel;

/// What a consumer does at a position that does not exist (`auto.offset.reset`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum AutoOffsetReset {
    /// Go to the first record there is.
    Earliest,
    /// Go to the end.
    #[default]
    Latest,
    /// Fail.
    None,
}

impl Choice for AutoOffsetReset {
    /// Kafka's names, then librdkafka's.
    const NAMES: &'static [(&'static str, Self)] = &[
        ("earliest", Self::Earliest),
        ("latest", Self::Latest),
        ("none", Self::None),
        ("smallest", Self::Earliest),
        ("beginning", Self::Earliest),
        ("largest", Self::Latest),
        ("end", Self::Latest),
        ("error", Self::None),
    ];
}

impl Choice for IsolationLevel {
    const NAMES: &'static [(&'static str, Self)] =
        &[("read_uncommitted", Self::ReadUncommitted), ("read_committed", Self::ReadCommitted)];
}

/// Settings of a consumer.
#[derive(Clone, Debug, PartialEq)]
pub struct ConsumerConfig {
    /// The group whose offsets are read and written; `None` for a consumer that stores none.
    pub group_id: Option<String>,
    /// Which records are delivered.
    pub isolation_level: IsolationLevel,
    /// What to do at a position that does not exist.
    pub auto_offset_reset: AutoOffsetReset,
    /// The broker waits for this many bytes, up to `fetch_max_wait`.
    pub fetch_min_bytes: i32,
    /// Most bytes of one fetch.
    pub fetch_max_bytes: i32,
    /// Most bytes of one partition in one fetch (a larger first batch is still returned whole).
    pub max_partition_fetch_bytes: i32,
    /// How long the broker may wait for `fetch_min_bytes`.
    pub fetch_max_wait: Duration,
    /// Whether the checksum of every batch is verified.
    pub check_crcs: bool,
    /// The rack this consumer runs in, for fetching from the nearest replica (KIP-392).
    pub client_rack: String,
    /// Bytes that may be fetched and not yet delivered, with what they were decompressed to; the next fetch waits for room.
    pub queued_max_bytes: usize,
    /// The most a compressed batch may decompress to; a larger one is an error.
    pub max_decompressed_batch_bytes: usize,
}

impl Default for ConsumerConfig {
    fn default() -> Self {
        Self {
            group_id: None,
            isolation_level: IsolationLevel::ReadUncommitted,
            auto_offset_reset: AutoOffsetReset::Latest,
            fetch_min_bytes: 1,
            fetch_max_bytes: 50 * 1024 * 1024,
            max_partition_fetch_bytes: 1024 * 1024,
            fetch_max_wait: Duration::from_millis(500),
            check_crcs: true,
            client_rack: String::new(),
            queued_max_bytes: 16 * 1024 * 1024,
            max_decompressed_batch_bytes: 64 * 1024 * 1024,
        }
    }
}
