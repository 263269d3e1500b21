//! Record batches v2 (KIP-98): records encoded straight into their batch, and read back as views of the frame.

mod builder;
#[cfg(all(test, feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]
mod compressed_tests;
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
use crate::wire::codec::{self, Decompressor, Plain};
use crate::wire::crc32c;

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
        let computed = crc32c(self.bytes.get(header::AT_ATTRIBUTES..).unwrap_or_default());
        if computed == self.header.crc {
            return Ok(());
        }
        Err(self.fault(format!("checksum is {:08x}, its bytes have {computed:08x}", self.header.crc)))
    }

    /// Walks the records where they lie. A fault ends the walk; a compressed batch gives one fault and nothing else: it
    /// needs [`records_with`](Self::records_with).
    pub fn records(&self) -> Records<'_> {
        match self.codec() {
            Ok(Compression::None) => Records::new(self, self.record_bytes()),
            Ok(codec) => {
                Records::fault(self.fault(format!("compressed with {codec}, and read without a decompressor")))
            }
            Err(fault) => Records::fault(fault),
        }
    }

    /// Walks the records of any batch. One that is compressed is decompressed first, as a whole, into `decompressor`,
    /// which its records then borrow.
    ///
    /// A batch that cannot be decompressed gives one fault and nothing else.
    pub fn records_with<'a>(&'a self, decompressor: &'a mut Decompressor) -> Records<'a> {
        match self.packed() {
            Ok(None) => self.records(),
            Ok(Some(codec)) => match decompressor.decompress(codec, self.record_bytes()) {
                Ok(plain) => Records::new(self, plain),
                Err(fault) => Records::fault(self.fault(fault.to_string())),
            },
            Err(fault) => Records::fault(fault),
        }
    }

    /// Decompresses the records into a buffer of the caller's, for [`records_in`](Self::records_in); nothing to do for a
    /// batch that [`is_compressed`](Self::is_compressed) says no of.
    pub fn decompress_into(&self, decompressor: &mut Decompressor, to: &mut Plain) -> Result<(), BatchFault> {
        let codec = self.packed()?.unwrap_or_default();
        decompressor.decompress_into(codec, self.record_bytes(), to).map_err(|fault| self.fault(fault.to_string()))
    }

    /// Walks the records of a batch that was decompressed into `plain`.
    pub fn records_in<'a>(&self, plain: &'a [u8]) -> Records<'a> {
        Records::new(self, plain)
    }

    /// Whether its records have to be decompressed before they can be walked.
    pub fn is_compressed(&self) -> bool {
        self.header.compression() != Some(Compression::None) && self.header.record_count > 0
    }

    /// The most bytes its records can decompress to, whatever they hold: their size where they are not compressed.
    pub fn most_decompressed(&self) -> usize {
        codec::most_decompressed(self.header.compression().unwrap_or_default(), self.record_bytes())
    }

    /// What to decompress the records with, if they have to be.
    fn packed(&self) -> Result<Option<Compression>, BatchFault> {
        Ok(Some(self.codec()?).filter(|_| self.is_compressed()))
    }

    fn codec(&self) -> Result<Compression, BatchFault> {
        let number = self.header.attributes & header::COMPRESSION;
        let codec = self.header.compression().ok_or_else(|| {
            self.fault(format!("compression {number}: not a codec Kafka has; a newer client may be needed"))
        })?;
        // Compaction that leaves no record leaves no compressed bytes either (Java's `writeEmptyHeader`).
        Ok(if self.header.record_count == 0 { Compression::None } else { codec })
    }

    fn record_bytes(&self) -> &[u8] {
        self.bytes.get(BATCH_HEADER_LEN..).unwrap_or_default()
    }

    fn fault(&self, reason: String) -> BatchFault {
        BatchFault { base_offset: self.header.base_offset, reason }
    }
}
