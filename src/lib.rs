#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]

pub mod admin;
#[cfg(feature = "test-broker")]
pub mod broker;
#[cfg(feature = "cli")]
pub mod cli;
pub mod client;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod connector;
pub mod consumer;
pub mod error;
pub mod producer;
pub mod record;
pub mod runtime;
pub mod types;
pub mod wire;

pub use client::Client;
pub use error::{Error, ErrorCode, ErrorKind, Operation, Recovery, Result};
pub use record::{Header, Headers, NewRecord, Record, TimestampType};
pub use types::{
    BrokerId, Compression, IsolationLevel, OffsetAndMetadata, Position, ProducerIdentity, TopicId, TopicName,
    TopicPartition, TransactionVersion,
};
