//! When metadata is asked for again: at its age, or when somebody found it wrong, but never in a hot loop.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::retry::Backoff;
use crate::types::TopicName;

/// What to ask for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Refresh {
    /// All topics that are known, and these, which somebody wants and perhaps nobody knows.
    Known(Vec<TopicName>),
    /// These topics, which somebody found wrong.
    Topics(Vec<TopicName>),
}

/// Requests for refreshes, coalesced and spaced.
#[derive(Debug)]
pub(super) struct Schedule {
    max_age: Duration,
    backoff: Backoff,
    wanted: BTreeSet<TopicName>,
    known_at: Instant,
    is_known_wanted: bool,
    not_before: Instant,
}

impl Schedule {
    pub(super) fn new(now: Instant, max_age: Duration, backoff: Backoff) -> Self {
        Self { max_age, backoff, wanted: BTreeSet::new(), known_at: now, is_known_wanted: false, not_before: now }
    }

    /// Somebody found these topics wrong, or, if there are none, the brokers.
    pub(super) fn handle_request(&mut self, topics: impl IntoIterator<Item = TopicName>) {
        let before = self.wanted.len();
        self.wanted.extend(topics);
        self.is_known_wanted |= self.wanted.is_empty() && before == 0;
    }

    /// The last refresh was answered. The next one waits a first backoff, since the answer may be the same for a while.
    pub(super) fn handle_refreshed(&mut self, now: Instant, refresh: &Refresh) {
        if matches!(refresh, Refresh::Known(_)) {
            self.known_at = now;
        }
        self.backoff.reset();
        self.not_before = now + self.backoff.next_wait();
        self.backoff.reset();
    }

    /// The last refresh failed; it is wanted again after a longer wait.
    pub(super) fn handle_failed(&mut self, now: Instant, refresh: Refresh) {
        self.not_before = now + self.backoff.next_wait();
        match refresh {
            Refresh::Known(topics) => {
                self.is_known_wanted = true;
                self.wanted.extend(topics);
            }
            Refresh::Topics(topics) => self.wanted.extend(topics),
        }
    }

    /// The refresh to make now.
    pub(super) fn poll_refresh(&mut self, now: Instant) -> Option<Refresh> {
        if now < self.poll_timeout() {
            return None;
        }
        let wanted: Vec<_> = std::mem::take(&mut self.wanted).into_iter().collect();
        if self.is_known_wanted || wanted.is_empty() {
            self.is_known_wanted = false;
            return Some(Refresh::Known(wanted));
        }
        Some(Refresh::Topics(wanted))
    }

    /// When the next refresh is due.
    pub(super) fn poll_timeout(&self) -> Instant {
        let is_wanted = self.is_known_wanted || !self.wanted.is_empty();
        if is_wanted { self.not_before } else { (self.known_at + self.max_age).max(self.not_before) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn schedule(now: Instant) -> Schedule {
        Schedule::new(now, 300_000 * MS, Backoff::new(100 * MS, 1000 * MS, 1))
    }

    fn name(topic: &str) -> TopicName {
        topic.into()
    }

    #[test]
    fn requests_are_coalesced_and_the_next_waits_a_backoff() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        schedule.handle_request([name("b"), name("a")]);
        schedule.handle_request([name("a")]);
        let refresh = schedule.poll_refresh(now).unwrap();
        assert_eq!(refresh, Refresh::Topics(vec![name("a"), name("b")]));
        schedule.handle_refreshed(now, &refresh);
        schedule.handle_request([name("a")]);
        assert_eq!(schedule.poll_refresh(now + 79 * MS), None);
        assert!(schedule.poll_refresh(now + 120 * MS).is_some());
    }

    #[test]
    fn what_failed_is_wanted_again_after_longer_and_longer() {
        let mut now = Instant::now();
        let mut schedule = schedule(now);
        schedule.handle_request([name("a")]);
        for nominal in [100, 200, 400] {
            let refresh = schedule.poll_refresh(now).unwrap();
            assert_eq!(refresh, Refresh::Topics(vec![name("a")]));
            schedule.handle_failed(now, refresh);
            assert_eq!(schedule.poll_refresh(now + nominal * MS * 4 / 5 - MS), None);
            now += nominal * MS * 6 / 5;
        }
    }

    #[test]
    fn old_metadata_is_refreshed_without_being_asked() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        assert_eq!(schedule.poll_timeout(), now + 300_000 * MS);
        let refresh = schedule.poll_refresh(now + 300_000 * MS).unwrap();
        assert_eq!(refresh, Refresh::Known(vec![]));
        schedule.handle_refreshed(now + 300_001 * MS, &refresh);
        assert_eq!(schedule.poll_timeout(), now + 600_001 * MS);
    }

    #[test]
    fn a_full_refresh_asks_for_what_somebody_wants_and_nobody_knows_too() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        schedule.handle_request([]);
        schedule.handle_request([name("new")]);
        let refresh = schedule.poll_refresh(now).unwrap();
        assert_eq!(refresh, Refresh::Known(vec![name("new")]));
        schedule.handle_failed(now, refresh.clone());
        assert_eq!(schedule.poll_refresh(now + 1000 * MS), Some(refresh), "also after a failure");
    }

    #[test]
    fn a_partial_refresh_does_not_make_the_rest_younger() {
        let now = Instant::now();
        let mut schedule = schedule(now);
        schedule.handle_request([name("a")]);
        let refresh = schedule.poll_refresh(now + 200_000 * MS).unwrap();
        schedule.handle_refreshed(now + 200_000 * MS, &refresh);
        assert_eq!(schedule.poll_timeout(), now + 300_000 * MS);
    }
}
