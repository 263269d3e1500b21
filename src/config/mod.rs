//! Settings: typed values with Kafka's defaults, and the one table of Kafka's property names that sets them.

mod client;
mod consumer;
mod nearest;
mod producer;
mod property;
pub mod security;
mod table;

use crate::error::{Error, Result};

pub use client::ClientConfig;
pub use consumer::{AutoOffsetReset, ConsumerConfig};
pub use producer::{Acks, ProducerConfig};
pub use property::{Property, Role};
pub use security::{Secret, Security};
pub use table::{properties, property};

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

impl Config {
    /// Sets one property by Kafka's name or an alias of it.
    ///
    /// Fails on a name that does not exist, with the nearest one that does, and on a value out of range, with the range.
    pub fn set(&mut self, name: &str, value: &str) -> Result<()> {
        let Some(property) = property(name) else {
            return Err(Error::invalid(name, format!("no such property; did you mean {}?", nearest::property(name))));
        };
        if property.apply(self, value.trim()) {
            return Ok(());
        }
        Err(Error::invalid(name, format!("`{value}` is not allowed: it takes {}", property.allowed())))
    }

    /// Settings that contradict each other, checked before anything connects.
    pub fn check(&self) -> Result<()> {
        if self.client.bootstrap_servers.is_empty() {
            return Err(Error::invalid("bootstrap.servers", "is not set; give host:port of at least one broker"));
        }
        self.producer.check(&self.client)
    }
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
