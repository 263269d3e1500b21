//! Settings of a producer, with Kafka's defaults, and which of them contradict each other.

use std::time::Duration;

use super::ClientConfig;
use super::property::Choice;
use crate::error::{Error, Result};

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
    /// Target size of a batch in bytes, before compression.
    pub batch_size: usize,
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
        if self.delivery_timeout < self.linger + client.request_timeout {
            return Err(Error::invalid("delivery.timeout.ms", "must be at least linger.ms + request.timeout.ms"));
        }
        Ok(())
    }
}
