//! Flushes: each waits for the batches that were handed in before it, and learns of the first failure since the last.

use std::collections::{BTreeMap, VecDeque};

use tokio::sync::oneshot;

use crate::error::{Error, Result};

/// Who learns how a flush ended; a dropped one only means that nobody waits.
pub(super) type Reply = oneshot::Sender<Result<()>>;

/// Counts unfinished batches by the flush that has to wait for them.
#[derive(Debug, Default)]
pub(super) struct Flushes {
    next: u64,
    outstanding: BTreeMap<u64, usize>,
    waiting: VecDeque<(u64, Reply)>,
    first_failure: Option<Error>,
}

impl Flushes {
    /// A batch is handed in: the number of the flush that will wait for it.
    pub(super) fn enter(&mut self) -> u64 {
        self.enter_with(self.next);
        self.next
    }

    /// A part of a batch that belongs to flush `flush` is handed in.
    pub(super) fn enter_with(&mut self, flush: u64) {
        *self.outstanding.entry(flush).or_default() += 1;
    }

    /// A batch of flush `flush` has ended.
    pub(super) fn leave(&mut self, flush: u64, failure: Option<&Error>) {
        if let Some(failure) = failure {
            self.first_failure.get_or_insert_with(|| failure.clone());
        }
        if let Some(count) = self.outstanding.get_mut(&flush) {
            *count -= 1;
            if *count == 0 {
                self.outstanding.remove(&flush);
            }
        }
        self.answer();
    }

    /// Waits for every batch handed in so far.
    pub(super) fn wait(&mut self, reply: Reply) {
        self.waiting.push_back((self.next, reply));
        self.next += 1;
        self.answer();
    }

    /// Whether no batch is unfinished.
    pub(super) fn is_idle(&self) -> bool {
        self.outstanding.is_empty()
    }

    /// Forgets what failed: the transaction it belonged to is over.
    pub(super) fn forget_failure(&mut self) {
        self.first_failure = None;
    }

    fn answer(&mut self) {
        let oldest = self.outstanding.keys().next().copied().unwrap_or(u64::MAX);
        while self.waiting.front().is_some_and(|(flush, _)| *flush < oldest) {
            if let Some((_, reply)) = self.waiting.pop_front() {
                let _ = reply.send(self.first_failure.take().map_or(Ok(()), Err));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{ErrorKind, Operation};

    #[test]
    fn a_flush_waits_for_what_came_before_it_and_for_nothing_else() {
        let mut flushes = Flushes::default();
        let before = flushes.enter();
        let (reply, mut answer) = oneshot::channel();
        flushes.wait(reply);
        let after = flushes.enter();
        flushes.enter_with(before);
        flushes.leave(before, None);
        assert!(answer.try_recv().is_err());
        flushes.leave(before, None);
        assert!(matches!(answer.try_recv(), Ok(Ok(()))));
        flushes.leave(after, None);
        assert!(flushes.is_idle());
    }

    #[test]
    fn the_first_failure_is_told_once() {
        let mut flushes = Flushes::default();
        for subject in ["first", "second"] {
            let flush = flushes.enter();
            flushes.leave(flush, Some(&Error::new(Operation::Produce, ErrorKind::Timeout, subject, "late")));
        }
        let told = |flushes: &mut Flushes| {
            let (reply, mut answer) = oneshot::channel();
            flushes.wait(reply);
            answer.try_recv().unwrap()
        };
        assert!(told(&mut flushes).unwrap_err().to_string().contains("first"));
        assert!(told(&mut flushes).is_ok());
    }
}
