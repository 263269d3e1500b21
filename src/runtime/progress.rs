//! What a running job has done so far, readable from anywhere without asking it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Counters of a job since it started.
#[derive(Debug, Default)]
pub struct Progress {
    batches: AtomicU64,
    bytes: AtomicU64,
    checkpoints: AtomicU64,
    committed_transactions: AtomicU64,
    finalized_epoch: AtomicU64,
}

impl Progress {
    /// Batches read.
    pub fn batches(&self) -> u64 {
        self.batches.load(Relaxed)
    }

    /// Bytes read, as fetched.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Checkpoints finalized.
    pub fn checkpoints(&self) -> u64 {
        self.checkpoints.load(Relaxed)
    }

    /// Committables committed, those found at the start included.
    pub fn committed_transactions(&self) -> u64 {
        self.committed_transactions.load(Relaxed)
    }

    /// The newest finalized epoch; 0 before the first.
    pub fn finalized_epoch(&self) -> u64 {
        self.finalized_epoch.load(Relaxed)
    }

    pub(super) fn add_batch(&self, bytes: usize) {
        self.batches.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn add_commits(&self, count: usize) {
        self.committed_transactions.fetch_add(count as u64, Relaxed);
    }

    pub(super) fn finalize(&self, epoch: u64) {
        self.checkpoints.fetch_add(1, Relaxed);
        self.finalized_epoch.store(epoch, Relaxed);
    }
}
