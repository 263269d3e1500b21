//! Settings that all roles of a client share, with Kafka's defaults.

use std::time::Duration;

use super::property::Choice;
use super::{Proxy, Security};

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
    /// What to do when none of the known brokers answers.
    pub metadata_recovery_strategy: MetadataRecoveryStrategy,
    /// How long known brokers may fail before only the bootstrap addresses are asked.
    pub metadata_recovery_rebootstrap_trigger: Duration,
    /// How the names of bootstrap addresses are looked up.
    pub client_dns_lookup: ClientDnsLookup,
    /// The proxy that every connection goes through, if any.
    pub proxy: Option<Proxy>,
    /// TLS and SASL of every connection.
    pub security: Security,
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
            metadata_recovery_strategy: MetadataRecoveryStrategy::default(),
            metadata_recovery_rebootstrap_trigger: Duration::from_secs(300),
            client_dns_lookup: ClientDnsLookup::default(),
            proxy: None,
            security: Security::default(),
        }
    }
}

/// What a client does when none of the brokers it knows answers (`metadata.recovery.strategy`, KIP-899).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum MetadataRecoveryStrategy {
    /// Ask the bootstrap addresses again.
    #[default]
    Rebootstrap,
    /// Go on with the brokers it knows.
    None,
}

impl Choice for MetadataRecoveryStrategy {
    const NAMES: &'static [(&'static str, Self)] = &[("rebootstrap", Self::Rebootstrap), ("none", Self::None)];
}

/// How the names of bootstrap addresses are looked up (`client.dns.lookup`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum ClientDnsLookup {
    /// Every address of a name is tried.
    #[default]
    UseAllDnsIps,
    /// Each address of a bootstrap name is looked up backwards, and the names that come out are connected to: those are
    /// the names in the certificates where the bootstrap name is an alias of all brokers.
    ResolveCanonicalBootstrapServersOnly,
}

impl Choice for ClientDnsLookup {
    const NAMES: &'static [(&'static str, Self)] = &[
        ("use_all_dns_ips", Self::UseAllDnsIps),
        ("resolve_canonical_bootstrap_servers_only", Self::ResolveCanonicalBootstrapServersOnly),
    ];
}
