//! Settings: typed values with Kafka's defaults, and the one table of Kafka's property names that sets them.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::types::IsolationLevel;

/// Settings of the connections, metadata and retries that all roles of a client share.
#[derive(Clone, Debug, PartialEq)]
pub struct ClientConfig {
    /// Addresses to learn the cluster from, `host:port` each.
    pub bootstrap_servers: Vec<String>,
    /// The name brokers see in their logs and quotas.
    pub client_id: String,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// How long one call may take, retries included.
    pub default_api_timeout: Duration,
    /// How long a socket may take to connect and shake hands.
    pub socket_connection_setup_timeout: Duration,
    /// First wait before a failed request is tried again; doubles up to `retry_backoff_max`.
    pub retry_backoff: Duration,
    /// Longest wait between tries.
    pub retry_backoff_max: Duration,
    /// First wait before a broken connection is opened again; doubles up to `reconnect_backoff_max`.
    pub reconnect_backoff: Duration,
    /// Longest wait between connection attempts.
    pub reconnect_backoff_max: Duration,
    /// A connection idle for this long is closed.
    pub connections_max_idle: Duration,
    /// Metadata older than this is fetched anew.
    pub metadata_max_age: Duration,
}

impl Default for ClientConfig {
    fn default() -> Self {
        Self {
            bootstrap_servers: Vec::new(),
            client_id: "milena".into(),
            request_timeout: Duration::from_secs(30),
            default_api_timeout: Duration::from_secs(60),
            socket_connection_setup_timeout: Duration::from_secs(10),
            retry_backoff: Duration::from_millis(100),
            retry_backoff_max: Duration::from_secs(1),
            reconnect_backoff: Duration::from_millis(50),
            reconnect_backoff_max: Duration::from_secs(1),
            connections_max_idle: Duration::from_secs(540),
            metadata_max_age: Duration::from_secs(300),
        }
    }
}

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
    /// Bytes that may be fetched and not yet delivered; the next fetch waits for room.
    pub queued_max_bytes: usize,
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
        }
    }
}

/// All settings of a program, set by property name.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Config {
    /// Shared by all roles.
    pub client: ClientConfig,
    /// Of producers.
    pub producer: ProducerConfig,
    /// Of consumers.
    pub consumer: ConsumerConfig,
}

/// One property: Kafka's name, what it means, and how it is set. Documentation and parsing iterate over these rows.
pub struct Property {
    /// Kafka's name, as in `linger.ms`.
    pub name: &'static str,
    /// The default as it would be written in a properties file.
    pub default: &'static str,
    /// One sentence: what it does, with its unit.
    pub doc: &'static str,
    set: fn(&mut Config, &str) -> std::result::Result<(), String>,
}

type Parsed<T> = std::result::Result<T, String>;

const fn row(
    name: &'static str,
    default: &'static str,
    doc: &'static str,
    set: fn(&mut Config, &str) -> Parsed<()>,
) -> Property {
    Property { name, default, doc, set }
}

fn ms(text: &str) -> Parsed<Duration> {
    text.parse().map(Duration::from_millis).map_err(|_| "a whole number of milliseconds from 0".to_owned())
}

fn within<T: std::str::FromStr + PartialOrd + std::fmt::Display + Copy>(text: &str, low: T, high: T) -> Parsed<T> {
    match text.parse() {
        Ok(n) if low <= n && n <= high => Ok(n),
        _ => Err(format!("a whole number from {low} to {high}")),
    }
}

fn flag(text: &str) -> Parsed<bool> {
    text.parse().map_err(|_| "true or false".to_owned())
}

fn text_of(text: &str) -> Parsed<String> {
    Ok(text.to_owned())
}

fn nonempty(text: &str) -> Parsed<String> {
    if text.is_empty() { Err("a name that is not empty".to_owned()) } else { Ok(text.to_owned()) }
}

fn one_of<T: Copy>(text: &str, choices: &[(&str, T)]) -> Parsed<T> {
    let found = choices.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<_> = choices.iter().map(|(name, _)| *name).collect();
        format!("one of {}", names.join(", "))
    })
}

const MAX: i32 = i32::MAX;

/// Every property there is, in the order the reference prints them.
#[rustfmt::skip]
pub static PROPERTIES: &[Property] = &[
    row("bootstrap.servers", "", "Addresses to learn the cluster from: host:port, separated by commas.", |c, t| { c.client.bootstrap_servers = t.split(',').map(|s| s.trim().to_owned()).filter(|s| !s.is_empty()).collect(); if c.client.bootstrap_servers.is_empty() { Err("host:port, separated by commas".into()) } else { Ok(()) } }),
    row("client.id", "milena", "The name brokers see in their logs and quotas.", |c, t| text_of(t).map(|v| c.client.client_id = v)),
    row("request.timeout.ms", "30000", "How long one request may take, in milliseconds.", |c, t| ms(t).map(|v| c.client.request_timeout = v)),
    row("default.api.timeout.ms", "60000", "How long one call may take with its retries, in milliseconds.", |c, t| ms(t).map(|v| c.client.default_api_timeout = v)),
    row("socket.connection.setup.timeout.ms", "10000", "How long a socket may take to connect and shake hands, in milliseconds.", |c, t| ms(t).map(|v| c.client.socket_connection_setup_timeout = v)),
    row("retry.backoff.ms", "100", "First wait before a failed request is tried again, in milliseconds; it doubles.", |c, t| ms(t).map(|v| c.client.retry_backoff = v)),
    row("retry.backoff.max.ms", "1000", "Longest wait between tries, in milliseconds.", |c, t| ms(t).map(|v| c.client.retry_backoff_max = v)),
    row("reconnect.backoff.ms", "50", "First wait before a broken connection is opened again, in milliseconds; it doubles.", |c, t| ms(t).map(|v| c.client.reconnect_backoff = v)),
    row("reconnect.backoff.max.ms", "1000", "Longest wait between connection attempts, in milliseconds.", |c, t| ms(t).map(|v| c.client.reconnect_backoff_max = v)),
    row("connections.max.idle.ms", "540000", "A connection idle for this long is closed, in milliseconds.", |c, t| ms(t).map(|v| c.client.connections_max_idle = v)),
    row("metadata.max.age.ms", "300000", "Metadata older than this is fetched anew, in milliseconds.", |c, t| ms(t).map(|v| c.client.metadata_max_age = v)),
    row("acks", "all", "Who must hold a record before it counts as written: all, 1 or 0.", |c, t| one_of(t, &[("all", Acks::All), ("-1", Acks::All), ("1", Acks::Leader), ("0", Acks::None)]).map(|v| c.producer.acks = v)),
    row("enable.idempotence", "true", "Whether the broker drops retried duplicates and keeps order; needs acks=all.", |c, t| flag(t).map(|v| c.producer.enable_idempotence = v)),
    row("linger.ms", "5", "How long a batch waits for more records, in milliseconds.", |c, t| ms(t).map(|v| c.producer.linger = v)),
    row("batch.size", "16384", "Target size of a batch in bytes, before compression.", |c, t| within(t, 0, 64 << 20).map(|v| c.producer.batch_size = v)),
    row("buffer.memory", "33554432", "Bytes of records that may wait for their acknowledgement; more await space.", |c, t| within(t, 64 << 10, 1 << 40).map(|v| c.producer.buffer_memory = v)),
    row("max.request.size", "1048576", "Largest request in bytes; a record that does not fit fails.", |c, t| within(t, 1024, 100 << 20).map(|v| c.producer.max_request_size = v)),
    row("max.block.ms", "60000", "How long appending waits for space or metadata, in milliseconds.", |c, t| ms(t).map(|v| c.producer.max_block = v)),
    row("delivery.timeout.ms", "120000", "How long a record may take from append to acknowledgement, in milliseconds.", |c, t| ms(t).map(|v| c.producer.delivery_timeout = v)),
    row("max.in.flight.requests.per.connection", "5", "Produce requests on one connection that may wait for an answer; at most 5 with idempotence.", |c, t| within(t, 1, 1000).map(|v| c.producer.max_in_flight_requests_per_connection = v)),
    row("transactional.id", "", "The name under which transactions are fenced.", |c, t| nonempty(t).map(|v| c.producer.transactional_id = Some(v))),
    row("transaction.timeout.ms", "60000", "How long a transaction may stay open, in milliseconds; at most the broker's transaction.max.timeout.ms.", |c, t| within(t, 1, MAX as u64).map(|v| c.producer.transaction_timeout = Duration::from_millis(v))),
    row("partitioner.adaptive.partitioning.enable", "true", "Whether slow partitions get fewer records without a key.", |c, t| flag(t).map(|v| c.producer.partitioner_adaptive_partitioning_enable = v)),
    row("partitioner.ignore.keys", "false", "Whether the key is left out of the choice of a partition.", |c, t| flag(t).map(|v| c.producer.partitioner_ignore_keys = v)),
    row("group.id", "", "The group whose offsets are read and written.", |c, t| nonempty(t).map(|v| c.consumer.group_id = Some(v))),
    row("isolation.level", "read_uncommitted", "Which records are delivered: read_uncommitted or read_committed.", |c, t| one_of(t, &[("read_uncommitted", IsolationLevel::ReadUncommitted), ("read_committed", IsolationLevel::ReadCommitted)]).map(|v| c.consumer.isolation_level = v)),
    row("auto.offset.reset", "latest", "Where to go when a position does not exist: earliest, latest or none.", |c, t| one_of(t, &[("earliest", AutoOffsetReset::Earliest), ("latest", AutoOffsetReset::Latest), ("none", AutoOffsetReset::None)]).map(|v| c.consumer.auto_offset_reset = v)),
    row("fetch.min.bytes", "1", "The broker waits for this many bytes, up to fetch.max.wait.ms.", |c, t| within(t, 0, MAX).map(|v| c.consumer.fetch_min_bytes = v)),
    row("fetch.max.bytes", "52428800", "Most bytes of one fetch.", |c, t| within(t, 1024, MAX).map(|v| c.consumer.fetch_max_bytes = v)),
    row("max.partition.fetch.bytes", "1048576", "Most bytes of one partition in one fetch.", |c, t| within(t, 0, MAX).map(|v| c.consumer.max_partition_fetch_bytes = v)),
    row("fetch.max.wait.ms", "500", "How long the broker may wait for fetch.min.bytes, in milliseconds.", |c, t| within(t, 0, MAX as u64).map(|v| c.consumer.fetch_max_wait = Duration::from_millis(v))),
    row("check.crcs", "true", "Whether the checksum of every batch is verified.", |c, t| flag(t).map(|v| c.consumer.check_crcs = v)),
    row("client.rack", "", "The rack this consumer runs in, for fetching from the nearest replica.", |c, t| text_of(t).map(|v| c.consumer.client_rack = v)),
    row("queued.max.bytes", "16777216", "Bytes that may be fetched and not yet delivered.", |c, t| within(t, 64 << 10, 1 << 40).map(|v| c.consumer.queued_max_bytes = v)),
];

impl Config {
    /// Sets one property by Kafka's name.
    ///
    /// Fails on a name that does not exist, with the nearest one that does, and on a value out of range, with the range.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(property) = PROPERTIES.iter().find(|p| p.name == name) else {
            return Err(Error::invalid(name, format!("no such property; did you mean {}?", nearest(name))));
        };
        (property.set)(self, value.trim())
            .map_err(|allowed| Error::invalid(name, format!("`{value}` is not allowed: it takes {allowed}")))
    }

    /// Settings that contradict each other, checked before anything connects.
    pub fn check(&self) -> Result<()> {
        if self.client.bootstrap_servers.is_empty() {
            return Err(Error::invalid("bootstrap.servers", "is not set; give host:port of at least one broker"));
        }
        self.producer.check(&self.client)
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

/// The property whose name takes the fewest edits to reach from `name`.
fn nearest(name: &str) -> &'static str {
    let closest = PROPERTIES.iter().min_by_key(|p| edits(name, p.name));
    closest.map_or("", |p| p.name)
}

/// Levenshtein distance, one row at a time.
fn edits(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = i;
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_in_the_table_is_the_typed_default() {
        let mut config = Config::default();
        for p in PROPERTIES.iter().filter(|p| !p.default.is_empty()) {
            config.set(p.name, p.default).unwrap_or_else(|e| panic!("{e}"));
        }
        assert_eq!(config, Config::default());
    }

    #[test]
    fn an_unknown_property_offers_the_nearest() {
        let e = Config::default().set("lingr.ms", "5").unwrap_err();
        assert_eq!(e.to_string(), "config lingr.ms: no such property; did you mean linger.ms?");
    }

    #[test]
    fn a_value_out_of_range_names_the_range() {
        let e = Config::default().set("max.request.size", "12").unwrap_err();
        assert!(e.to_string().contains("from 1024 to 104857600"), "{e}");
        assert!(Config::default().set("acks", "2").unwrap_err().to_string().contains("one of all, -1, 1, 0"));
    }

    #[test]
    fn contradictions_are_refused_with_the_way_out() {
        let mut config = Config::default();
        config.set("bootstrap.servers", "a:1,b:2").unwrap();
        config.check().unwrap();
        config.set("acks", "1").unwrap();
        assert!(config.check().unwrap_err().to_string().contains("enable.idempotence=false"));
    }
}
