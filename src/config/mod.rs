//! Settings: typed values with Kafka's defaults, and the one table of Kafka's property names that sets them.

mod assemble;
mod client;
mod consumer;
mod foreign;
mod jaas;
mod nearest;
mod producer;
mod properties_file;
mod property;
mod proxy;
mod reference;
pub mod security;
mod sources;
mod table;

use crate::error::{Error, Result};

pub use client::{ClientConfig, ClientDnsLookup, MetadataRecoveryStrategy};
pub use consumer::{AutoOffsetReset, ConsumerConfig};
pub use producer::{Acks, ProducerConfig};
pub use property::{Property, Role};
pub use proxy::{Proxy, ProxyScheme};
pub use reference::reference;
pub use security::{Secret, Security};
pub use sources::{Resolved, Source, Sources, Value};
pub use table::{properties, property};

/// All settings of a program, set by property name.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Shared by all roles.
    pub client: ClientConfig,
    /// Of producers.
    pub producer: ProducerConfig,
    /// Of consumers.
    pub consumer: ConsumerConfig,
    /// Texts that become `client.security` together.
    raw: assemble::Raw,
}

/// Equal if they do the same, however they were set.
impl PartialEq for Config {
    fn eq(&self, other: &Self) -> bool {
        (&self.client, &self.producer, &self.consumer) == (&other.client, &other.producer, &other.consumer)
    }
}

impl Config {
    /// The defaults with these properties set, in this order, and checked for contradictions.
    pub fn from_properties<'a>(properties: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config> {
        let mut config = Config::default();
        properties.into_iter().try_for_each(|(name, value)| config.set(name, value))?;
        config.check()?;
        Ok(config)
    }

    /// Sets one property by Kafka's name or an alias of it.
    ///
    /// Fails on a name that does not exist, with the nearest one that does, and on a value out of range, with the range.
    /// No error repeats a secret. Settings of TLS and SASL take effect once they are complete; [`check`](Self::check)
    /// says what is missing.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let property = known(name)?;
        if property.apply(self, value) {
            return Ok(());
        }
        Err(refused(property, name, value))
    }

    /// Settings that contradict each other, checked before anything connects. Looks into the files of keys and
    /// certificates, if there are any, for formats that are not read.
    pub fn check(&self) -> Result<()> {
        if self.client.bootstrap_servers.is_empty() {
            return Err(Error::invalid("bootstrap.servers", "is not set; give host:port of at least one broker"));
        }
        self.check_together()
    }

    /// As [`check`](Self::check), without asking where the cluster is.
    fn check_together(&self) -> Result<()> {
        let is_canonical = self.client.client_dns_lookup == ClientDnsLookup::ResolveCanonicalBootstrapServersOnly;
        if is_canonical && self.client.proxy.is_some() {
            let detail = "looks names up here, and with proxy.url the proxy looks them up; leave out one of the two";
            return Err(Error::invalid("client.dns.lookup", detail));
        }
        let security = assemble::assemble(&self.raw, &self.client.security)?;
        security.check()?;
        assemble::check_stores(&security.tls)?;
        self.producer.check(&self.client)
    }

    /// Keeps a text and assembles again. While something is missing only the protocol is known, which is enough for a
    /// connection to be refused rather than made without it.
    fn keep(&mut self, name: &'static str, text: &str) -> bool {
        self.raw.insert(name, text);
        self.client.security.protocol = assemble::protocol(&self.raw, self.client.security.protocol);
        if let Ok(security) = assemble::assemble(&self.raw, &self.client.security) {
            self.client.security = security;
        }
        true
    }
}

fn known(name: &str) -> Result<&'static Property> {
    property(name).ok_or_else(|| foreign::unknown(name))
}

/// The error of a value that its property does not take.
fn refused(property: &Property, name: &str, value: &str) -> Error {
    let (value, allowed) = (shown(property, value), property.allowed());
    Error::invalid(shortened(name), format!("{value} is not allowed: it takes {allowed}"))
}

/// A value for a message: short, in one line, and nothing of a secret.
fn shown(property: &Property, value: &str) -> String {
    if property.is_secret() { "the value".into() } else { format!("`{}`", shortened(value)) }
}

/// Text of others for a message: at most 80 characters, in one line.
fn shortened(text: &str) -> String {
    const LONGEST: usize = 80;
    let head: String = text.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if text.chars().nth(LONGEST).is_some() { head + "…" } else { head }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn an_alias_of_librdkafka_sets_what_kafkas_name_sets() {
        let (mut ours, mut theirs) = (Config::default(), Config::default());
        ours.set("linger.ms", "20").unwrap();
        theirs.set("queue.buffering.max.ms", "20").unwrap();
        ours.set("auto.offset.reset", "earliest").unwrap();
        theirs.set("auto.offset.reset", "smallest").unwrap();
        assert_eq!(ours, theirs);
    }

    #[test]
    fn no_wait_is_longer_than_clocks_can_add() {
        let mut config = Config::default();
        let longest = i64::MAX.to_string();
        config.set("metadata.max.age.ms", &longest).unwrap();
        config.set("connections.max.idle.ms", "-1").unwrap();
        let _ = std::time::Instant::now() + config.client.metadata_max_age + config.client.connections_max_idle;
        assert!(config.set("linger.ms", "9223372036854775808").unwrap_err().to_string().contains("from 0"));
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
