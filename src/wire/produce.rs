//! Produce requests framed around their batches: header and glue are ours, each batch travels as it was sealed.

use bytes::Bytes;

use super::frame::RequestFrame;
use crate::types::TopicId;

/// One sealed batch and where it goes.
#[derive(Clone, Debug)]
pub struct PartitionBatch<'a> {
    /// The topic's name (versions below 13).
    pub topic: &'a str,
    /// The topic's id (version 13 and up).
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The sealed batch.
    pub batch: Bytes,
}

/// Frames a Produce request at `version` (3 to 13). Batches of one topic must stand together.
///
/// No batch is copied: each becomes a tail slice. One allocation for all that stands around them.
pub fn encode(
    _client_id: &str,
    _version: i16,
    _transactional_id: Option<&str>,
    _acks: i16,
    _timeout_ms: i32,
    _batches: &[PartitionBatch<'_>],
) -> RequestFrame {
    todo!()
}
