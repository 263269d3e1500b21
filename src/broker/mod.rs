//! The in-memory broker: a Kafka cluster as one value, that a test can start, watch, slow down and break.
//!
//! [`Core`] is the cluster: events and the time go in, answers come out. [`MemoryCluster`] runs it behind pipes of
//! memory under tokio's clock, paused or not; [`TcpCluster`] runs it on sockets. [`Control`] moves leaders, stops
//! brokers and turns [`Settings`]; a [`Hook`] decides what happens to each request, a [`Tap`] sees all that passes.

mod admin;
mod api;
mod config_rules;
mod configs;
mod control;
mod coordinate;
mod core;
mod describe;
mod dispatch;
mod driver;
mod fetch;
mod intercept;
mod log;
mod memory;
mod metadata;
mod offsets;
mod offsets_query;
mod produce;
mod producer_state;
mod sasl;
mod scram;
mod sessions;
mod settings;
mod tcp;
#[cfg(test)]
mod tests;
mod timers;
mod tls;
mod topics;
mod txn;
mod txn_api;

pub use api::ConnectionId;
pub use control::Control;
pub use coordinate::CoordinatorKind;
pub use core::{Core, Effect, Event};
pub use intercept::{Hook, RequestInfo, Seen, Tap, Verdict};
pub use memory::MemoryCluster;
pub use sasl::SaslSettings;
pub use settings::{ApiRange, Feature, Settings};
pub use tcp::TcpCluster;
#[cfg(feature = "tls")]
pub use tls::TlsSettings;
