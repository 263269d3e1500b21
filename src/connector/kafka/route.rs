//! Where a record goes: which topic, and which partition of it if not the partitioner's choice.

use std::sync::Arc;

use crate::connector::OutRecord;
use crate::record::NewRecord;

/// How the sink chooses partitions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Partitioning {
    /// As Kafka's producers do: by key, else sticky.
    #[default]
    Default,
    /// The number of the partition it was read from; the target must have as many.
    Keep,
    /// All of one writer to one partition: its number modulo the partitions.
    Fixed,
}

/// The routing of one writer.
#[derive(Clone, Debug)]
pub(super) struct Route {
    pub(super) topic: Arc<str>,
    pub(super) partitioning: Partitioning,
    pub(super) writer: u32,
}

impl Route {
    pub(super) fn topic<'a>(&'a self, out: &OutRecord<'a>) -> &'a str {
        out.topic.unwrap_or(&self.topic)
    }

    /// The record with its partition, where that is the route's choice and the record names none.
    pub(super) fn record<'a>(&self, out: &OutRecord<'a>, partitions: i32) -> NewRecord<'a> {
        let chosen = match self.partitioning {
            Partitioning::Default => None,
            Partitioning::Keep => out.origin.map(|(tp, _)| tp.partition),
            Partitioning::Fixed => i32::try_from(self.writer % partitions.max(1).unsigned_abs()).ok(),
        };
        NewRecord { partition: out.record.partition.or(chosen), ..out.record }
    }
}
