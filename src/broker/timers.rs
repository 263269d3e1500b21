//! What is to happen later, in one order: by time, then by the order it was asked for.

use std::collections::BTreeMap;
use std::time::Instant;

/// Things due at times.
#[derive(Debug)]
pub(super) struct Timers<T> {
    due: BTreeMap<(Instant, u64), T>,
    next: u64,
}

impl<T> Default for Timers<T> {
    fn default() -> Self {
        Self { due: BTreeMap::new(), next: 0 }
    }
}

impl<T> Timers<T> {
    /// Adds a thing due at `at`.
    pub(super) fn at(&mut self, at: Instant, thing: T) {
        self.due.insert((at, self.next), thing);
        self.next += 1;
    }

    /// The earliest time anything is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.due.keys().next().map(|(at, _)| *at)
    }

    /// The next thing due by `now`.
    pub(super) fn pop(&mut self, now: Instant) -> Option<T> {
        if self.next()? > now {
            return None;
        }
        self.due.pop_first().map(|(_, thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn equal_times_keep_the_order_they_were_asked_in() {
        let now = Instant::now();
        let mut timers = Timers::default();
        timers.at(now + Duration::from_secs(1), 'c');
        timers.at(now, 'a');
        timers.at(now, 'b');
        assert_eq!([timers.pop(now), timers.pop(now), timers.pop(now)], [Some('a'), Some('b'), None]);
        assert_eq!(timers.next(), Some(now + Duration::from_secs(1)));
    }
}
