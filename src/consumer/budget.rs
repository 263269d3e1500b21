//! Bytes that may be fetched and not yet dropped: taken before they are asked for, given back by `Drop`, never lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// The byte budget of one consumer (`queued.max.bytes`).
///
/// Only an answer larger than what was asked for (a batch is always returned whole) can go above the limit, by that batch.
#[derive(Debug)]
pub(super) struct Budget {
    limit: usize,
    used: AtomicUsize,
    /// The room somebody waits for; 0 if nobody does.
    wanted: AtomicUsize,
    wake: Arc<Notify>,
}

impl Budget {
    /// A budget of `limit` bytes that wakes `wake` when room that was missing is there.
    pub(super) fn new(limit: usize, wake: Arc<Notify>) -> Arc<Budget> {
        Arc::new(Budget { limit, used: AtomicUsize::new(0), wanted: AtomicUsize::new(0), wake })
    }

    /// Bytes taken now.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::SeqCst)
    }

    /// The most that may be taken.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Takes `want` bytes, or what is free if that is at least half; else `None`, and a wake-up once it would do.
    pub(super) fn reserve(self: &Arc<Self>, want: usize) -> Option<Lease> {
        let least = want.div_ceil(2).min(self.limit);
        self.take(want, least).or_else(|| {
            self.wanted.store(least.max(1), Ordering::SeqCst);
            // Room may have come between the first look and the store, when nobody would have woken us.
            self.take(want, least)
        })
    }

    /// Takes `bytes` whatever is free.
    pub(super) fn force(self: &Arc<Self>, bytes: usize) -> Lease {
        self.used.fetch_add(bytes, Ordering::SeqCst);
        Lease { budget: self.clone(), bytes }
    }

    fn take(self: &Arc<Self>, want: usize, least: usize) -> Option<Lease> {
        let mut taken = 0;
        let grow = |used: usize| {
            taken = want.min(self.limit.saturating_sub(used));
            (taken >= least).then(|| used.saturating_add(taken))
        };
        self.used.fetch_update(Ordering::SeqCst, Ordering::SeqCst, grow).ok()?;
        Some(Lease { budget: self.clone(), bytes: taken })
    }

    fn give_back(&self, bytes: usize) {
        let before = self.used.fetch_sub(bytes, Ordering::SeqCst);
        let free = self.limit.saturating_sub(before.saturating_sub(bytes));
        let wanted = self.wanted.load(Ordering::SeqCst);
        if wanted != 0 && free >= wanted && self.wanted.swap(0, Ordering::SeqCst) != 0 {
            self.wake.notify_one();
        }
    }
}

/// Bytes of the budget, given back when dropped.
#[derive(Debug)]
pub(super) struct Lease {
    budget: Arc<Budget>,
    bytes: usize,
}

impl Lease {
    /// How many bytes it holds.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_woken(notify: &Notify) -> bool {
        let mut notified = std::pin::pin!(notify.notified());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        notified.as_mut().poll(&mut cx).is_ready()
    }

    #[test]
    fn what_is_taken_never_exceeds_the_limit_and_comes_back_on_drop() {
        let budget = Budget::new(100, Arc::new(Notify::new()));
        let first = budget.reserve(80).unwrap();
        assert_eq!(budget.reserve(30).unwrap().bytes(), 20, "more than half of what was wanted will do");
        assert!(budget.reserve(50).is_none());
        drop(first);
        assert_eq!(budget.reserve(500).unwrap().bytes(), 100);
        assert_eq!(budget.used(), 0);
    }

    #[test]
    fn only_the_release_that_makes_enough_room_wakes() {
        let notify = Arc::new(Notify::new());
        let budget = Budget::new(100, notify.clone());
        let (a, b) = (budget.reserve(60).unwrap(), budget.reserve(40).unwrap());
        drop(b);
        assert!(!is_woken(&notify), "nobody waits");
        let b = budget.reserve(40).unwrap();
        assert!(budget.reserve(100).is_none());
        drop(b);
        assert!(!is_woken(&notify), "40 of the 50 that would do");
        drop(a);
        assert!(is_woken(&notify));
    }
}
