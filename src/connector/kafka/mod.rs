//! Kafka at both ends of a job: partitions as splits, transactions as committables.

mod batch;
mod commits;
mod committer;
mod discovery;
mod enumerator;
mod lane;
mod leases;
mod offsets;
mod reader;
mod route;
mod sink;
mod slots;
mod source;
mod split;
mod writer;

pub use batch::KafkaBatch;
pub use committer::{KafkaCommittable, KafkaCommitter};
pub use enumerator::{EnumeratorState, KafkaEnumerator};
pub use leases::WriterLeases;
pub use offsets::{ResetStrategy, StartingOffsets, StoppingOffsets};
pub use reader::KafkaReader;
pub use route::Partitioning;
pub use sink::{Guarantee, KafkaSink};
pub use source::{Discovery, KafkaSource, Subscription};
pub use split::{KafkaSplit, SplitId};
pub use writer::KafkaWriter;
