//! Settings of a producer, with Kafka's defaults, and which of them contradict each other.

use std::time::Duration;

use super::ClientConfig;
use super::property::Choice;
use crate::error::{Error, Result};
use crate::types::Compression;

/// How many replicas must hold a record before the broker acknowledges it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Acks {
    /// All in-sync replicas (`all` or `-1`).
    #[default]
    All,
    /// The leader alone (`1`).
    Leader,
    /// Nobody: the broker does not answer (`0`).
    None,
}

impl Choice for Acks {
    const NAMES: &'static [(&'static str, Self)] =
        &[("all", Self::All), ("-1", Self::All), ("1", Self::Leader), ("0", Self::None)];
}

impl Choice for Compression {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("none", Self::None),
        ("gzip", Self::Gzip),
        ("snappy", Self::Snappy),
        ("lz4", Self::Lz4),
        ("zstd", Self::Zstd),
    ];
}

impl Acks {
    /// The number Produce carries.
    pub fn code(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }
}

/// Settings of a producer.
#[derive(Clone, Debug, PartialEq)]
pub struct ProducerConfig {
    /// Who must have a record before it counts as written.
    pub acks: Acks,
    /// Whether the broker drops retried duplicates and keeps order (`acks` must be `all`).
    pub enable_idempotence: bool,
    /// How long a batch waits for more records before it is sent.
    pub linger: Duration,
    /// Target size of a batch in bytes; after compression, as far as can be told from earlier ones.
    pub batch_size: usize,
    /// How batches are compressed.
    pub compression_type: Compression,
    /// Level of gzip: 1 to 9, or -1 for its default, 6.
    pub compression_gzip_level: i32,
    /// Level of lz4, 1 to 17. Kafka's property; this codec has one speed, that of 9.
    pub compression_lz4_level: i32,
    /// Level of zstd in Kafka's numbers, brought into what the codec has: from -7 up, and 1 to 3 are its 1, which is as
    /// fast and small as the C library's 3.
    pub compression_zstd_level: i32,
    /// Bytes of records that may wait for their acknowledgement; more await space.
    pub buffer_memory: usize,
    /// Largest request in bytes; a record that does not fit fails.
    pub max_request_size: usize,
    /// How long `enqueue` and `send` wait for space or metadata.
    pub max_block: Duration,
    /// How long a record may take from append to acknowledgement, retries included.
    pub delivery_timeout: Duration,
    /// Produce requests on one connection that may wait for their answer at once.
    pub max_in_flight_requests_per_connection: usize,
    /// The name under which transactions are fenced; `None` for a producer without transactions.
    pub transactional_id: Option<String>,
    /// How long a transaction may stay open before the broker aborts it.
    pub transaction_timeout: Duration,
    /// Whether slow partitions get fewer keyless records (KIP-794).
    pub partitioner_adaptive_partitioning_enable: bool,
    /// Whether the key is left out of the choice of a partition.
    pub partitioner_ignore_keys: bool,
}

impl Default for ProducerConfig {
    fn default() -> Self {
        Self {
            acks: Acks::All,
            enable_idempotence: true,
            linger: Duration::from_millis(5),
            batch_size: 16 * 1024,
            compression_type: Compression::None,
            compression_gzip_level: -1,
            compression_lz4_level: 9,
            compression_zstd_level: 3,
            buffer_memory: 32 * 1024 * 1024,
            max_request_size: 1024 * 1024,
            max_block: Duration::from_secs(60),
            delivery_timeout: Duration::from_secs(120),
            max_in_flight_requests_per_connection: 5,
            transactional_id: None,
            transaction_timeout: Duration::from_secs(60),
            partitioner_adaptive_partitioning_enable: true,
            partitioner_ignore_keys: false,
        }
    }
}

impl ProducerConfig {
    /// The level set for the codec that is set; 0 for one without levels.
    pub fn compression_level(&self) -> i32 {
        match self.compression_type {
            Compression::Gzip => self.compression_gzip_level,
            Compression::Lz4 => self.compression_lz4_level,
            Compression::Zstd => self.compression_zstd_level,
            Compression::None | Compression::Snappy => 0,
        }
    }

    /// Settings of a producer that contradict each other.
    pub fn check(&self, client: &ClientConfig) -> Result<()> {
        if (self.enable_idempotence || self.transactional_id.is_some()) && self.acks != Acks::All {
            return Err(Error::invalid("acks", "must be all with idempotence; or set enable.idempotence=false"));
        }
        if self.transactional_id.is_some() && !self.enable_idempotence {
            return Err(Error::invalid("enable.idempotence", "must be true with a transactional.id"));
        }
        if self.enable_idempotence && self.max_in_flight_requests_per_connection > 5 {
            let detail = "is at most 5 with idempotence: the broker remembers five batches of a partition";
            return Err(Error::invalid("max.in.flight.requests.per.connection", detail));
        }
        if !self.compression_type.is_compiled_in() {
            let detail = format!("{0} is not in this build: build it with the feature `{0}`", self.compression_type);
            return Err(Error::invalid("compression.type", detail));
        }
        if self.compression_gzip_level == 0 {
            return Err(Error::invalid("compression.gzip.level", "is 1 to 9, or -1 for the default"));
        }
        if self.delivery_timeout < self.linger + client.request_timeout {
            return Err(Error::invalid("delivery.timeout.ms", "must be at least linger.ms + request.timeout.ms"));
        }
        Ok(())
    }
}
