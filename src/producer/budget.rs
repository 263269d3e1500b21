//! The bytes a producer may hold (`buffer.memory`): counted by buffer, waited for in order, given back with the batch.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use tokio::sync::Semaphore;

/// Most buffers kept for reuse, the latest returned first: they are still in the cache.
const POOLED: usize = 64;

/// Free bytes, and buffers to be used again.
#[derive(Debug)]
pub(super) struct Budget {
    free: Semaphore,
    total: usize,
    /// Bytes taken beyond what was free, which the next returns pay back.
    debt: AtomicUsize,
    waiting: AtomicUsize,
    pollers: Mutex<Vec<Waker>>,
    pool: Mutex<Vec<Vec<u8>>>,
}

impl Budget {
    pub(super) fn new(total: usize) -> Self {
        let total = total.min(Semaphore::MAX_PERMITS);
        Self {
            free: Semaphore::new(total),
            total,
            debt: AtomicUsize::new(0),
            waiting: AtomicUsize::new(0),
            pollers: Mutex::default(),
            pool: Mutex::default(),
        }
    }

    /// All there is.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// Bytes that nobody holds.
    pub(super) fn free(&self) -> usize {
        self.free.available_permits()
    }

    /// Takes bytes if they are free and nobody waits for them.
    pub(super) fn try_take(&self, bytes: usize) -> bool {
        let Ok(count) = u32::try_from(bytes) else { return false };
        self.free.try_acquire_many(count).map(|permit| permit.forget()).is_ok()
    }

    /// Takes bytes, first come first served. Safe to drop: bytes that were granted go back.
    ///
    /// He counts as waiting from the call on, so that a driver woken before the first poll sees him.
    pub(super) fn take(&self, bytes: usize) -> impl Future<Output = Grant<'_>> {
        let waiting = Waiting::new(&self.waiting);
        let count = u32::try_from(bytes.min(self.total)).unwrap_or(u32::MAX);
        async move {
            let _waiting = waiting;
            // The semaphore is never closed.
            let granted = self.free.acquire_many(count).await.map(|permit| permit.forget());
            Grant { budget: self, bytes: granted.map_or(0, |()| count as usize) }
        }
    }

    /// Takes bytes that are in use already, free or not.
    pub(super) fn force(&self, bytes: usize) {
        let taken = self.free.forget_permits(bytes);
        self.debt.fetch_add(bytes - taken, Ordering::Relaxed);
    }

    /// Gives bytes back and wakes who waits for them.
    pub(super) fn give(&self, bytes: usize) {
        let mut paid = 0;
        let _ = self.debt.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |debt| {
            paid = debt.min(bytes);
            Some(debt - paid)
        });
        self.free.add_permits(bytes - paid);
        let pollers = std::mem::take(&mut *lock(&self.pollers));
        pollers.into_iter().for_each(Waker::wake);
    }

    /// Whether somebody waits: then open batches are sent whatever their linger, as nothing else frees bytes.
    pub(super) fn is_contended(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) > 0 || !lock(&self.pollers).is_empty()
    }

    /// Wakes `waker` at the next return of bytes.
    pub(super) fn register(&self, waker: &Waker) {
        let mut pollers = lock(&self.pollers);
        if !pollers.iter().any(|known| known.will_wake(waker)) {
            pollers.push(waker.clone());
        }
    }

    /// A used buffer of at least `bytes`, or a new one.
    pub(super) fn buffer(&self, bytes: usize) -> Vec<u8> {
        let pooled = lock(&self.pool).pop_if(|buffer| buffer.capacity() >= bytes);
        pooled.unwrap_or_else(|| Vec::with_capacity(bytes))
    }

    /// What the next buffer of at least `bytes` will hold.
    pub(super) fn next_capacity(&self, bytes: usize) -> usize {
        lock(&self.pool).last().map_or(bytes, |buffer| buffer.capacity().max(bytes))
    }

    /// Keeps a buffer for reuse, unless there are enough or it is an oversized one.
    pub(super) fn recycle(&self, buffer: Vec<u8>, largest: usize) {
        let mut pool = lock(&self.pool);
        if pool.len() < POOLED && buffer.capacity() <= largest {
            pool.push(buffer);
        }
    }
}

/// Bytes granted to one who waited. What is not used goes back when it is dropped.
#[derive(Debug)]
pub(super) struct Grant<'a> {
    budget: &'a Budget,
    bytes: usize,
}

impl Grant<'_> {
    /// The bytes, which the caller now answers for.
    pub(super) fn spend(mut self) -> usize {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.budget.give(self.bytes);
        }
    }
}

/// Counts one waiter for as long as it lives.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A panic elsewhere leaves these lists as consistent as a return would have.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll};

    #[test]
    fn bytes_are_granted_in_the_order_they_were_asked_for() {
        let budget = Budget::new(100);
        assert!(budget.try_take(80));
        let mut cx = Context::from_waker(Waker::noop());
        let (mut large, mut small) = (pin!(budget.take(60)), pin!(budget.take(10)));
        assert!(large.as_mut().poll(&mut cx).is_pending());
        assert!(small.as_mut().poll(&mut cx).is_pending());
        assert!(budget.is_contended());
        assert!(!budget.try_take(10), "a newcomer must not overtake");
        budget.give(80);
        let Poll::Ready(grant) = large.poll(&mut cx) else { panic!("not granted") };
        assert!(small.poll(&mut cx).is_ready());
        assert_eq!(grant.spend(), 60);
        assert_eq!(budget.free(), 40);
    }

    #[test]
    fn a_waiter_that_is_dropped_leaves_nothing_taken() {
        let budget = Budget::new(100);
        assert!(budget.try_take(100));
        let mut waiter = Box::pin(budget.take(50));
        assert!(waiter.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        drop(waiter);
        budget.give(100);
        assert_eq!((budget.free(), budget.is_contended()), (100, false));
    }

    #[test]
    fn bytes_taken_by_force_are_paid_back_first() {
        let budget = Budget::new(100);
        assert!(budget.try_take(90));
        budget.force(30);
        budget.give(40);
        assert_eq!(budget.free(), 20);
        budget.give(80);
        assert_eq!(budget.free(), 100);
    }

    #[test]
    fn a_returned_buffer_is_used_again() {
        let budget = Budget::new(100);
        let buffer = budget.buffer(64);
        let address = buffer.as_ptr();
        budget.recycle(buffer, 64);
        assert_eq!(budget.next_capacity(16), 64);
        let again = budget.buffer(16);
        assert_eq!(again.as_ptr(), address);
        budget.recycle(Vec::with_capacity(1000), 64);
        assert_eq!(budget.next_capacity(16), 16);
    }
}
