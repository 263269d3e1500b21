//! Acknowledgements: one completion per batch, shared by its records; a record's delivery is a reference and an index.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::error::{Error, Result};

/// Where an acknowledged record is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RecordMetadata {
    /// The partition it was written to.
    pub partition: i32,
    /// Its offset there; -1 where the broker told none (`acks=0`, or a retry whose first answer was lost long ago).
    pub offset: i64,
    /// The broker's append time with LogAppendTime, else -1: the record kept its own.
    pub log_append_time_ms: i64,
}

/// How a batch ended.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Written.
    Written {
        /// Offset of its first record, or -1.
        base_offset: i64,
        /// The broker's time, or -1.
        log_append_time_ms: i64,
    },
    /// Failed, all of it.
    Failed(Error),
    /// It was too large and went on as several: each with the index of its first record here, ascending.
    Split(Vec<(u32, Arc<Completion>)>),
}

/// What the records of one batch wait for.
#[derive(Debug)]
pub(super) struct Completion {
    partition: i32,
    outcome: OnceLock<Outcome>,
    waiters: Mutex<Vec<Option<Waker>>>,
}

impl Completion {
    pub(super) fn new(partition: i32) -> Arc<Self> {
        Arc::new(Self { partition, outcome: OnceLock::new(), waiters: Mutex::default() })
    }

    pub(super) fn partition(&self) -> i32 {
        self.partition
    }

    /// Ends the wait of every record. Only the first outcome counts.
    pub(super) fn resolve(&self, outcome: Outcome) {
        if self.outcome.set(outcome).is_ok() {
            let waiters = std::mem::take(&mut *self.waiters());
            waiters.into_iter().flatten().for_each(Waker::wake);
        }
    }

    fn waiters(&self) -> MutexGuard<'_, Vec<Option<Waker>>> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a waker under `slot` (or a new one), unless the outcome is known by then.
    fn wait(&self, slot: &mut Option<usize>, waker: &Waker) {
        let mut waiters = self.waiters();
        // Set before the waiters were taken: whoever sees none here sees the outcome.
        if self.outcome.get().is_some() {
            return;
        }
        let at = slot.filter(|at| *at < waiters.len()).or_else(|| waiters.iter().position(Option::is_none));
        let at = at.unwrap_or_else(|| {
            waiters.push(None);
            waiters.len() - 1
        });
        waiters[at] = Some(waker.clone());
        *slot = Some(at);
    }
}

/// A record's delivery: its batch and its place in it. Dropping it does not take the record back.
///
/// Resolves to where the record is, or to why it could not be written; an error that says `maybe_applied` may have been.
#[derive(Debug)]
pub struct Delivery {
    batch: Arc<Completion>,
    index: u32,
    slot: Option<usize>,
}

impl Delivery {
    pub(super) fn new(batch: Arc<Completion>, index: u32) -> Self {
        Self { batch, index, slot: None }
    }

    /// The outcome if it is known, following splits.
    fn outcome(&mut self) -> Option<Result<RecordMetadata>> {
        loop {
            let next = match self.batch.outcome.get()? {
                Outcome::Written { base_offset, log_append_time_ms } => {
                    let (partition, log_append_time_ms) = (self.batch.partition, *log_append_time_ms);
                    let offset = if *base_offset < 0 { -1 } else { base_offset.saturating_add(i64::from(self.index)) };
                    return Some(Ok(RecordMetadata { partition, offset, log_append_time_ms }));
                }
                Outcome::Failed(error) => return Some(Err(error.clone())),
                Outcome::Split(parts) => {
                    let part = parts.partition_point(|(first, _)| *first <= self.index).saturating_sub(1);
                    let (first, batch) = parts.get(part)?;
                    (self.index.saturating_sub(*first), Arc::clone(batch))
                }
            };
            (self.index, self.batch) = next;
            self.slot = None;
        }
    }
}

impl Clone for Delivery {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.batch), self.index)
    }
}

impl Future for Delivery {
    type Output = Result<RecordMetadata>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        loop {
            if let Some(outcome) = this.outcome() {
                return Poll::Ready(outcome);
            }
            this.batch.wait(&mut this.slot, cx.waker());
            if this.batch.outcome.get().is_none() {
                return Poll::Pending;
            }
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(slot) = self.slot
            && let Some(waiter) = self.batch.waiters().get_mut(slot)
        {
            *waiter = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Operation};

    fn poll(delivery: &mut Delivery) -> Poll<Result<RecordMetadata>> {
        Pin::new(delivery).poll(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_record_finds_its_offset_behind_its_batch() {
        let batch = Completion::new(3);
        let mut delivery = Delivery::new(Arc::clone(&batch), 2);
        assert!(poll(&mut delivery).is_pending());
        batch.resolve(Outcome::Written { base_offset: 40, log_append_time_ms: -1 });
        let expected = RecordMetadata { partition: 3, offset: 42, log_append_time_ms: -1 };
        assert!(matches!(poll(&mut delivery), Poll::Ready(Ok(m)) if m == expected));
    }

    #[test]
    fn a_record_of_a_split_batch_follows_its_part() {
        let (whole, first, second) = (Completion::new(0), Completion::new(0), Completion::new(0));
        let mut deliveries: Vec<_> = (0..4).map(|i| Delivery::new(Arc::clone(&whole), i)).collect();
        whole.resolve(Outcome::Split(vec![(0, Arc::clone(&first)), (3, Arc::clone(&second))]));
        assert!(poll(&mut deliveries[2]).is_pending());
        first.resolve(Outcome::Written { base_offset: 10, log_append_time_ms: -1 });
        second.resolve(Outcome::Failed(Error::new(Operation::Produce, ErrorKind::Timeout, "t-0", "late")));
        assert!(matches!(poll(&mut deliveries[2]), Poll::Ready(Ok(m)) if m.offset == 12));
        assert!(matches!(poll(&mut deliveries[3]), Poll::Ready(Err(_))));
    }

    #[test]
    fn waiting_again_and_again_keeps_one_waker_and_dropping_forgets_it() {
        let batch = Completion::new(0);
        for _ in 0..100 {
            let mut delivery = Delivery::new(Arc::clone(&batch), 0);
            assert!(poll(&mut delivery).is_pending());
            assert!(poll(&mut delivery).is_pending());
        }
        assert_eq!(batch.waiters().len(), 1);
    }

    #[test]
    fn only_the_first_outcome_counts() {
        let batch = Completion::new(0);
        batch.resolve(Outcome::Written { base_offset: 1, log_append_time_ms: -1 });
        batch.resolve(Outcome::Written { base_offset: 9, log_append_time_ms: -1 });
        assert!(matches!(poll(&mut Delivery::new(batch, 0)), Poll::Ready(Ok(m)) if m.offset == 1));
    }
}
