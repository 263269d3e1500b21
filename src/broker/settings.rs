//! What a test may turn: the cluster's shape, the versions it offers, and how late the slow parts are.

use std::collections::BTreeMap;
use std::time::Duration;

use super::sasl::SaslSettings;
use crate::types::{TopicPartition, TransactionVersion};
use crate::wire::api::api;
use crate::wire::messages::ApiKey;

/// The versions a broker offers of one API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ApiRange {
    /// Kafka's key.
    pub key: i16,
    /// Oldest version.
    pub min: i16,
    /// Newest version.
    pub max: i16,
}

/// A cluster feature as ApiVersions shows it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Feature {
    /// As `transaction.version`.
    pub name: String,
    /// Oldest level supported.
    pub min: i16,
    /// Newest level supported.
    pub max: i16,
    /// The level in force; 0 is not shown, as Kafka does not show it.
    pub finalized: i16,
}

/// Every knob of the cluster. Times are virtual when the clock is.
#[derive(Clone, Debug)]
pub struct Settings {
    /// How many brokers; their ids count from 1.
    pub brokers: i32,
    /// The cluster's id.
    pub cluster_id: String,
    /// Wall clock when the cluster starts, ms since the epoch. It then follows the clock it is driven by.
    pub start_time_ms: i64,
    /// What ApiVersions offers. Requests outside it are refused as Kafka refuses them.
    pub api_versions: Vec<ApiRange>,
    /// Cluster features.
    pub features: Vec<Feature>,
    /// Whether Metadata creates a topic that is asked for (`auto.create.topics.enable`).
    pub auto_create_topics: bool,
    /// Partitions of a topic whose creator names no number (`num.partitions`).
    pub default_partitions: i32,
    /// Replicas of such a topic, as far as there are brokers.
    pub default_replication_factor: i16,
    /// Largest batch (`message.max.bytes`); a topic's `max.message.bytes` goes before it.
    pub message_max_bytes: usize,
    /// How long after a write the high watermark reaches it. acks=all waits for it.
    pub replication_delay: Duration,
    /// How long after EndTxn's answer the markers are written.
    pub marker_delay: Duration,
    /// The same for single partitions. Offsets of groups have partition `__consumer_offsets`-n.
    pub marker_delays: BTreeMap<TopicPartition, Duration>,
    /// Longest transaction timeout a producer may ask for (`transaction.max.timeout.ms`).
    pub transaction_max_timeout_ms: i32,
    /// Whether Produce asks the transaction coordinator (`transaction.partition.verification.enable`).
    pub verify_partitions: bool,
    /// Fetch sessions a broker keeps; at 0 every fetch is sessionless.
    pub fetch_session_slots: usize,
    /// Largest fetch answer, whatever the client asks (`fetch.max.bytes`).
    pub fetch_max_bytes: usize,
    /// Who may log in; `None` lets everybody in without (listeners without SASL).
    pub sasl: Option<SaslSettings>,
}

impl Default for Settings {
    /// One broker as Kafka 4.4 is set up: transactions of version 2, markers a millisecond late, topics created on demand.
    fn default() -> Self {
        Self {
            brokers: 1,
            cluster_id: "bWlsZW5hLWluLW1lbW9yeQ".into(),
            start_time_ms: 1_700_000_000_000,
            api_versions: newest_versions(),
            features: vec![
                Feature { name: "metadata.version".into(), min: 7, max: 30, finalized: 30 },
                Feature { name: "transaction.version".into(), min: 0, max: 2, finalized: 2 },
            ],
            auto_create_topics: true,
            default_partitions: 1,
            default_replication_factor: 3,
            message_max_bytes: 1_048_588,
            replication_delay: Duration::ZERO,
            marker_delay: Duration::from_millis(1),
            marker_delays: BTreeMap::new(),
            transaction_max_timeout_ms: 900_000,
            verify_partitions: true,
            fetch_session_slots: 1_000,
            fetch_max_bytes: 55 * 1024 * 1024,
            sasl: None,
        }
    }
}

impl Settings {
    /// The same with `count` brokers.
    pub fn with_brokers(self, count: i32) -> Self {
        Self { brokers: count.max(1), ..self }
    }

    /// The same with `transaction.version` finalized at this level.
    pub fn with_transaction_version(mut self, level: i16) -> Self {
        self.features.iter_mut().filter(|f| f.name == "transaction.version").for_each(|f| f.finalized = level);
        self
    }

    /// The same with no more than `max` offered of one API, as an older broker would.
    pub fn with_version_cap(mut self, key: ApiKey, max: i16) -> Self {
        self.api_versions.iter_mut().filter(|range| range.key == key as i16).for_each(|range| range.max = max);
        self
    }

    /// The rules a transaction follows that the coordinator ends by itself.
    pub(super) fn transaction_version(&self) -> TransactionVersion {
        let level = self.features.iter().find(|f| f.name == "transaction.version").map_or(0, |f| f.finalized);
        if level >= 2 { TransactionVersion::V2 } else { TransactionVersion::V1 }
    }

    /// When the marker of `tp` is due after the transaction's end.
    pub(super) fn marker_delay_of(&self, tp: &TopicPartition) -> Duration {
        self.marker_delays.get(tp).copied().unwrap_or(self.marker_delay)
    }

    /// The versions offered of `key`.
    pub(super) fn range_of(&self, key: i16) -> Option<ApiRange> {
        self.api_versions.iter().find(|range| range.key == key).copied()
    }
}

/// All that the broker can answer, at the versions a client of ours asks for.
fn newest_versions() -> Vec<ApiRange> {
    let readable = |&(key, min, max): &(i16, i16, i16)| {
        let spoken = api(ApiKey::try_from(key).ok()?)?;
        Some(ApiRange { key, min: min.max(spoken.min), max: max.min(spoken.asks) })
    };
    super::dispatch::SERVED.iter().filter_map(readable).collect()
}
