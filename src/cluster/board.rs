//! The newest metadata, and who waits for newer: they are woken in the order in which they began to wait.
//!
//! `tokio::sync::watch` wakes its receivers in an order that it draws at random, and one seed would give many traces.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Notify;

use super::Metadata;

#[derive(Default, Debug)]
pub(super) struct Board {
    /// How often it was changed, and to what.
    newest: RwLock<(u64, Arc<Metadata>)>,
    changed: Notify,
}

impl Board {
    /// What is known now.
    pub(super) fn metadata(&self) -> Arc<Metadata> {
        self.read().1
    }

    fn read(&self) -> (u64, Arc<Metadata>) {
        self.newest.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes it under the lock; `change` says whether it did.
    pub(super) fn modify(&self, change: impl FnOnce(&mut Arc<Metadata>) -> bool) {
        let mut newest = self.newest.write().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut newest.1) {
            return;
        }
        newest.0 += 1;
        drop(newest);
        self.changed.notify_waiters();
    }

    /// Changes from now on.
    pub(super) fn watch(self: &Arc<Self>) -> MetadataWatch {
        MetadataWatch { seen: self.read().0, board: Arc::clone(self) }
    }
}

/// Changes of the metadata. Only the newest is kept: one that is not looked at in time is passed over.
pub struct MetadataWatch {
    board: Arc<Board>,
    seen: u64,
}

impl MetadataWatch {
    /// The newest metadata; [`changed`](Self::changed) waits for newer.
    pub fn newest(&mut self) -> Arc<Metadata> {
        let (number, metadata) = self.board.read();
        self.seen = number;
        metadata
    }

    /// Waits for metadata that is newer than the last that was seen. Safe to drop.
    pub async fn changed(&mut self) -> Arc<Metadata> {
        loop {
            let mut changed = std::pin::pin!(self.board.changed.notified());
            changed.as_mut().enable();
            let (number, metadata) = self.board.read();
            if number != self.seen {
                self.seen = number;
                return metadata;
            }
            changed.await;
        }
    }
}

impl fmt::Debug for MetadataWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MetadataWatch({})", self.seen)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn waiters_are_woken_in_the_order_in_which_they_came() {
        let board = Arc::new(Board::default());
        let order = Arc::new(std::sync::Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..20)
            .map(|number| {
                let (mut watch, order) = (board.watch(), order.clone());
                tokio::spawn(async move {
                    watch.changed().await;
                    order.lock().unwrap().push(number);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        board.modify(|_| false);
        tokio::task::yield_now().await;
        assert_eq!(*order.lock().unwrap(), [0; 0], "nothing has changed");
        board.modify(|_| true);
        for waiter in waiters {
            waiter.await.unwrap();
        }
        assert_eq!(*order.lock().unwrap(), (0..20).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_missed_and_is_seen_once() {
        let board = Arc::new(Board::default());
        let mut watch = board.watch();
        board.modify(|_| true);
        board.modify(|_| true);
        watch.changed().await;
        let again = tokio::time::timeout(std::time::Duration::from_millis(1), watch.changed()).await;
        assert!(again.is_err());
    }
}
