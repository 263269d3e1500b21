//! Decompression of polled batches: when their records are first looked at, within the budget, into buffers used again.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::budget::{Budget, Lease};
use crate::wire::batch::{Batch, BatchFault};
use crate::wire::codec::{Decompressor, Plain};

/// What the batches of one consumer are decompressed with.
#[derive(Debug)]
pub(super) struct Unpacker {
    /// The most bytes one batch may come to (`max.decompressed.batch.bytes`), and all batches of one poll.
    limit: usize,
    /// Bytes of buffers that are kept for reuse.
    kept: usize,
    budget: Arc<Budget>,
    idle: Mutex<Idle>,
}

/// Tables and buffers that nobody uses now, the latest first: they are still in the cache.
#[derive(Debug, Default)]
struct Idle {
    decompressors: Vec<Decompressor>,
    buffers: Vec<Plain>,
    bytes: usize,
}

/// The records of one batch as they were before compression. Gives its buffer back when it is dropped.
#[derive(Debug)]
pub(super) struct Unpacked {
    plain: Plain,
    unpacker: Arc<Unpacker>,
    _lease: Lease,
}

impl Unpacker {
    /// For batches of at most `limit` bytes, whose memory is taken from `budget`.
    pub(super) fn new(limit: usize, budget: Arc<Budget>) -> Arc<Unpacker> {
        Arc::new(Unpacker { limit, kept: budget.limit(), budget, idle: Mutex::default() })
    }

    /// How many of `batches` one poll may give: at least one, and no more than can come to the limit together.
    pub(super) fn fitting(&self, batches: &[Batch]) -> usize {
        let mut left = self.limit;
        let fits = |batch: &&Batch| match batch.is_compressed() {
            false => true,
            true => match left.checked_sub(batch.most_decompressed().min(self.limit)) {
                Some(rest) => {
                    left = rest;
                    true
                }
                None => false,
            },
        };
        batches.iter().take_while(fits).count().max(1)
    }

    /// Decompresses a batch. What it comes to is taken from the budget, free or not, until it is dropped.
    pub(super) fn unpack(self: &Arc<Self>, batch: &Batch) -> Result<Unpacked, BatchFault> {
        let (decompressor, buffer) = {
            let mut idle = self.lock();
            let buffer = idle.buffers.pop();
            idle.bytes -= buffer.as_ref().map_or(0, Plain::capacity);
            (idle.decompressors.pop(), buffer)
        };
        let mut decompressor = decompressor.unwrap_or_else(|| Decompressor::new(self.limit));
        let mut plain = buffer.unwrap_or_default();
        let result = batch.decompress_into(&mut decompressor, &mut plain);
        self.lock().decompressors.push(decompressor);
        match result {
            Ok(()) => {
                let lease = self.budget.force(plain.bytes().len());
                Ok(Unpacked { plain, unpacker: Arc::clone(self), _lease: lease })
            }
            Err(fault) => {
                self.keep(plain);
                Err(fault)
            }
        }
    }

    fn keep(&self, buffer: Plain) {
        let mut idle = self.lock();
        if idle.bytes.saturating_add(buffer.capacity()) <= self.kept {
            idle.bytes += buffer.capacity();
            idle.buffers.push(buffer);
        }
    }

    /// A panic elsewhere leaves the lists as consistent as a return would have.
    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Unpacked {
    /// The records' bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        self.plain.bytes()
    }
}

impl Drop for Unpacked {
    fn drop(&mut self) {
        self.unpacker.keep(std::mem::take(&mut self.plain));
    }
}

#[cfg(all(test, feature = "gzip", feature = "lz4"))]
mod tests {
    use bytes::Bytes;
    use tokio::sync::Notify;

    use super::*;
    use crate::record::NewRecord;
    use crate::types::{Compression, ProducerIdentity};
    use crate::wire::batch::{BatchBuilder, Batches, ProducerStamp};
    use crate::wire::codec::Compressor;

    fn batch(codec: Compression, value: &[u8]) -> Batch {
        let mut builder = BatchBuilder::new(Vec::with_capacity(1 << 20), 1 << 20);
        builder.append(&NewRecord::value(value), 7).unwrap();
        builder.compress(&mut Compressor::new(codec, 6).unwrap());
        let producer = ProducerIdentity::NONE;
        let stamp = ProducerStamp { producer, base_sequence: -1, is_transactional: false };
        Batches::new(Bytes::from(builder.seal(stamp))).next().unwrap().unwrap()
    }

    #[test]
    fn what_a_batch_comes_to_is_taken_from_the_budget_until_it_is_dropped() {
        let budget = Budget::new(1 << 20, Arc::new(Notify::new()));
        let unpacker = Unpacker::new(100_000, budget.clone());
        let batch = batch(Compression::Lz4, &[7; 90_000]);
        let first = unpacker.unpack(&batch).unwrap();
        let address = first.bytes().as_ptr();
        assert!((90_000..90_020).contains(&budget.used()), "{}", budget.used());
        drop(first);
        assert_eq!(budget.used(), 0);
        assert_eq!(unpacker.unpack(&batch).unwrap().bytes().as_ptr(), address, "the buffer is used again");
    }

    #[test]
    fn a_batch_above_the_limit_names_its_offset_and_the_setting() {
        let unpacker = Unpacker::new(80_000, Budget::new(1 << 20, Arc::new(Notify::new())));
        let fault = unpacker.unpack(&batch(Compression::Gzip, &[7; 90_000])).unwrap_err();
        assert!(fault.to_string().contains("batch at offset 0"), "{fault}");
        assert!(fault.to_string().contains("max.decompressed.batch.bytes (80000)"), "{fault}");
    }

    #[test]
    fn one_poll_gives_no_more_than_can_come_to_the_limit() {
        let unpacker = Unpacker::new(200_000, Budget::new(1 << 20, Arc::new(Notify::new())));
        let small = batch(Compression::Lz4, &[7; 90_000]);
        let most = small.most_decompressed();
        assert!((90_000..100_000).contains(&most), "{most}");
        let plain = batch(Compression::None, &[7; 500_000]);
        let all = [plain.clone(), small.clone(), plain, small.clone(), small];
        assert_eq!(unpacker.fitting(&all), 4, "a batch that is not compressed takes nothing more");
        assert_eq!(unpacker.fitting(&all[4..]), 1);
        let large = batch(Compression::Gzip, &[7; 900_000]);
        assert_eq!(unpacker.fitting(&[large.clone(), large]), 1, "the first whatever its size");
    }
}
