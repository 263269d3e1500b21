//! Bytes to structs and back, as pure functions: nothing a peer sends panics, hangs or allocates past its frame.

pub mod api;
pub mod batch;
pub mod codec;
mod crc;
mod cursor;
pub mod frame;
pub mod guard;
#[cfg(test)]
mod guard_tests;
#[cfg(feature = "json")]
pub mod json;
mod known;
pub mod messages;
pub mod produce;
#[cfg_attr(not(feature = "json"), allow(dead_code))] // the guard asks for no defaults
mod schema;
#[cfg_attr(not(feature = "cli"), allow(dead_code))] // control records are told by the command alone
mod schema_table;
pub(crate) mod varint;

pub use kafka_protocol::protocol::{Request, StrBytes};

pub use crc::crc32c;

use std::fmt;

/// Which way a message travels.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Direction {
    /// From client to broker.
    Request,
    /// From broker to client.
    Response,
}

/// A message that does not follow its schema: where it is wrong and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Malformed {
    /// The API's name, as `Fetch`.
    pub api: &'static str,
    /// The version it was read at.
    pub version: i16,
    /// Which way it travelled.
    pub direction: Direction,
    /// Bytes into the message (after its header) where the fault is; 0 if that is in the header, whose reason tells where.
    pub offset: usize,
    /// The field by Kafka's own names, as `responses[3].partitions[0].highWatermark`, which `milena wire` prints too; empty
    /// if no field was reached.
    pub path: String,
    /// What is wrong, as `array of 4096 elements in 12 bytes`.
    pub reason: String,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { api, version, direction, offset, path, reason } = self;
        write!(f, "{api} v{version} {direction:?} at byte {offset}")?;
        if !path.is_empty() {
            write!(f, " ({path})")?;
        }
        write!(f, ": {reason}")
    }
}

impl std::error::Error for Malformed {}
