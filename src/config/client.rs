//! Settings that all roles of a client share, with Kafka's defaults.

use std::time::Duration;

use super::Security;

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
            security: Security::default(),
        }
    }
}
