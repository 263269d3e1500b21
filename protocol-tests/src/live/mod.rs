//! Real Apache Kafka on loopback ports, and Apache's own Java client as the judge of what it holds.
//!
//! Everything here blocks and panics: it is test support. A missing `java` or `mvn` is a panic that names it, never a
//! skipped test. Inside a current-thread tokio runtime call it through `spawn_blocking`, or the client under test stands still.

mod artifacts;
mod cds;
mod cluster;
mod java;
mod node;
mod options;
mod ready;
mod secured;
mod typed;

pub use artifacts::kafka_tool;
pub use cluster::LiveKafka;
pub use java::{JavaError, JavaSide, Write};
pub use options::Options;
pub use secured::{Listener, SecuredKafka};
pub use typed::{CopyReport, EndOffsets, GroupOffset, PartitionInfo, ReadRecord, TopicInfo, TransactionInfo};
