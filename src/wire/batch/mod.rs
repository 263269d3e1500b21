//! Record batches v2 (KIP-98): records encoded straight into their batch, and read back as views of the frame.

mod builder;
mod edit;
mod encode;
mod header;
mod records;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::Bytes;

pub use builder::{BatchBuilder, BatchFull};
pub use edit::{ControlKind, assign_offsets, control_batch, restamp};
pub use encode::record_size_upper_bound;
pub use header::BatchHeader;
pub use records::Records;

pub use crate::types::Compression;
use crate::types::ProducerIdentity;

/// Bytes of a batch before its first record.
pub const BATCH_HEADER_LEN: usize = 61;

/// What is wrong with a batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchFault {
    /// Its base offset.
    pub base_offset: i64,
    /// What is wrong.
    pub reason: String,
}

impl fmt::Display for BatchFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "batch at offset {}: {}", self.base_offset, self.reason)
    }
}

impl std::error::Error for BatchFault {}

/// Who a sealed batch says it is from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProducerStamp {
    /// Producer id and epoch; [`ProducerIdentity::NONE`] without idempotence.
    pub producer: ProducerIdentity,
    /// Sequence of the first record; -1 without idempotence.
    pub base_sequence: i32,
    /// Whether it belongs to a transaction.
    pub is_transactional: bool,
}

/// Walks the batches of a fetched partition. A partial batch at the end is legal and ends the walk.
#[derive(Clone, Debug)]
pub struct Batches {
    data: Bytes,
}

impl Batches {
    /// The batches in `data`.
    pub fn new(data: Bytes) -> Self {
        Self { data }
    }
}

impl Iterator for Batches {
    type Item = Result<Batch, BatchFault>;

    /// The next whole batch; checks its header and length, not yet its checksum. After a fault the walk ends.
    fn next(&mut self) -> Option<Self::Item> {
        match BatchHeader::parse(&self.data) {
            // A parsed header's length is within the data, and at least that of the header: the walk goes on.
            Ok(Some(header)) => Some(Ok(Batch { header, bytes: self.data.split_to(header.total_len()) })),
            Ok(None) => {
                self.data.clear();
                None
            }
            Err(fault) => {
                self.data.clear();
                Some(Err(fault))
            }
        }
    }
}

/// One whole batch: its header and its bytes.
#[derive(Clone, Debug)]
pub struct Batch {
    /// The header.
    pub header: BatchHeader,
    /// All its bytes from the base offset on; a slice of the frame.
    pub bytes: Bytes,
}

impl Batch {
    /// Whether the checksum is right. It does not cover base offset, length and leader epoch.
    pub fn verify_crc(&self) -> Result<(), BatchFault> {
        let computed = crc32c::crc32c(self.bytes.get(header::AT_ATTRIBUTES..).unwrap_or_default());
        if computed == self.header.crc {
            return Ok(());
        }
        Err(self.fault(format!("checksum is {:08x}, its bytes have {computed:08x}", self.header.crc)))
    }

    /// Walks the records. A fault ends the walk; a compressed batch gives one fault and nothing else.
    pub fn records(&self) -> Records<'_> {
        Records::new(self)
    }

    fn record_bytes(&self) -> &[u8] {
        self.bytes.get(BATCH_HEADER_LEN..).unwrap_or_default()
    }

    fn fault(&self, reason: String) -> BatchFault {
        BatchFault { base_offset: self.header.base_offset, reason }
    }
}
