//! A Kafka client and streaming connector in Rust, with no C anywhere.
#![forbid(unsafe_code)]

pub mod config;
pub mod error;
pub mod record;
pub mod types;
pub mod wire;

pub use error::{Error, ErrorCode, ErrorKind, Operation, Recovery, Result};
pub use record::{Header, Headers, NewRecord, Record, TimestampType};
pub use types::{BrokerId, IsolationLevel, ProducerIdentity, TopicId, TopicName, TopicPartition, TransactionVersion};
