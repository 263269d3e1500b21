//! Waiting between attempts: twice as long each time, up to a limit, never all clients at the same moment.

use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Part of a wait that chance may add or take away, as Java's `ExponentialBackoff` does.
const JITTER: f64 = 0.2;

/// The waits of one sequence of attempts. A plain value: the time and the waiting are the caller's.
#[derive(Debug)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
    failures: u32,
    rng: StdRng,
}

impl Backoff {
    /// Waits from `first` to `longest`, each within 20 % of its nominal length, by `seed`.
    pub(crate) fn new(first: Duration, longest: Duration, seed: u64) -> Self {
        Self { first, longest: longest.max(first), failures: 0, rng: StdRng::seed_from_u64(seed) }
    }

    /// How long to wait after one more failure. Never longer than the limit and a fifth.
    pub(crate) fn next_wait(&mut self) -> Duration {
        // 2^30 times any first wait of a millisecond is beyond every limit a setting allows.
        let doubled = self.first.saturating_mul(1 << self.failures.min(30));
        self.failures = self.failures.saturating_add(1);
        doubled.min(self.longest).mul_f64(self.rng.random_range(1.0 - JITTER..=1.0 + JITTER))
    }

    /// Something succeeded: the next wait is the first again.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// When a broker may be dialled again (`reconnect.backoff.ms` to `reconnect.backoff.max.ms`).
#[derive(Debug)]
pub(super) struct Reconnect {
    backoff: Backoff,
    opened_at: Option<Instant>,
    not_before: Option<Instant>,
}

impl Reconnect {
    pub(super) fn new(backoff: Backoff) -> Self {
        Self { backoff, opened_at: None, not_before: None }
    }

    /// A connection was opened.
    pub(super) fn handle_opened(&mut self, now: Instant) {
        self.opened_at = Some(now);
        self.not_before = None;
    }

    /// An attempt failed.
    pub(super) fn handle_failed(&mut self, now: Instant) {
        self.opened_at = None;
        self.not_before = Some(now + self.backoff.next_wait());
    }

    /// An open connection turned out to be closed. One that lived at least as long as the longest wait was a good one;
    /// one that ended sooner counts as a failed attempt, so that a broker that accepts and hangs up is not hammered.
    pub(super) fn handle_closed(&mut self, now: Instant) {
        let Some(opened_at) = self.opened_at.take() else { return };
        if now.saturating_duration_since(opened_at) >= self.backoff.longest {
            self.backoff.reset();
        } else {
            self.not_before = Some(now + self.backoff.next_wait());
        }
    }

    /// How long an attempt has to wait; zero if it may begin.
    pub(super) fn wait(&self, now: Instant) -> Duration {
        self.not_before.map_or(Duration::ZERO, |at| at.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn backoff(seed: u64) -> Backoff {
        Backoff::new(100 * MS, 1000 * MS, seed)
    }

    #[test]
    fn waits_double_up_to_the_limit_within_a_fifth() {
        let mut backoff = backoff(7);
        for nominal in [100, 200, 400, 800, 1000, 1000, 1000] {
            let wait = backoff.next_wait();
            assert!(wait >= nominal * MS * 4 / 5 && wait <= nominal * MS * 6 / 5, "{wait:?} for {nominal} ms");
        }
        backoff.reset();
        assert!(backoff.next_wait() <= 120 * MS);
        backoff.failures = u32::MAX;
        assert!(backoff.next_wait() <= 1200 * MS, "never overflows");
    }

    #[test]
    fn one_seed_gives_one_sequence_and_another_seed_another() {
        let draw = |seed| (0..4).scan(backoff(seed), |b, _| Some(b.next_wait())).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_broker_that_accepts_and_hangs_up_is_not_hammered() {
        let mut now = Instant::now();
        let mut reconnect = Reconnect::new(backoff(1));
        for nominal in [100, 200, 400] {
            reconnect.handle_opened(now);
            now += MS;
            reconnect.handle_closed(now);
            assert!(reconnect.wait(now) >= nominal * MS * 4 / 5);
        }
        reconnect.handle_opened(now);
        now += 1000 * MS;
        reconnect.handle_closed(now);
        assert_eq!(reconnect.wait(now), Duration::ZERO, "a connection that lived is opened again at once");
    }

    #[test]
    fn a_failed_attempt_waits_and_a_good_one_does_not() {
        let now = Instant::now();
        let mut reconnect = Reconnect::new(backoff(1));
        assert_eq!(reconnect.wait(now), Duration::ZERO);
        reconnect.handle_failed(now);
        assert!(reconnect.wait(now) >= 80 * MS);
        assert_eq!(reconnect.wait(now + 120 * MS), Duration::ZERO);
    }
}
