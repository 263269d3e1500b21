//! When the brokers that are known are given up for the bootstrap addresses (KIP-899, KIP-1102).

use std::time::{Duration, Instant};

use crate::config::MetadataRecoveryStrategy;

/// Whom to ask for metadata.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whom {
    /// The known brokers, if there are any.
    Known,
    /// A few of the known brokers, then the bootstrap addresses: a cluster whose brokers have all been replaced is found
    /// within one round.
    KnownThenBootstrap,
    /// The bootstrap addresses alone: what is known is of a cluster that is gone.
    Bootstrap,
}

/// What the answers to the questions for metadata tell about the brokers that are known.
#[derive(Debug)]
pub(super) struct Rebootstrap {
    strategy: MetadataRecoveryStrategy,
    trigger: Duration,
    failing_since: Option<Instant>,
    is_required: bool,
}

impl Rebootstrap {
    /// `metadata.recovery.strategy` and `metadata.recovery.rebootstrap.trigger.ms`.
    pub(super) fn new(strategy: MetadataRecoveryStrategy, trigger: Duration) -> Self {
        Self { strategy, trigger, failing_since: None, is_required: false }
    }

    /// Somebody answered.
    pub(super) fn handle_answered(&mut self) {
        (self.failing_since, self.is_required) = (None, false);
    }

    /// A whole round went by without an answer.
    pub(super) fn handle_failed(&mut self, now: Instant) {
        self.failing_since.get_or_insert(now);
    }

    /// A broker answered `REBOOTSTRAP_REQUIRED`. True if the known brokers are given up for it.
    pub(super) fn handle_required(&mut self) -> bool {
        self.is_required = self.strategy == MetadataRecoveryStrategy::Rebootstrap;
        self.is_required
    }

    /// Whom to ask now.
    pub(super) fn whom(&self, now: Instant) -> Whom {
        let is_old = self.failing_since.is_some_and(|since| now.saturating_duration_since(since) >= self.trigger);
        match self.strategy {
            MetadataRecoveryStrategy::None => Whom::Known,
            MetadataRecoveryStrategy::Rebootstrap if self.is_required || is_old => Whom::Bootstrap,
            MetadataRecoveryStrategy::Rebootstrap => Whom::KnownThenBootstrap,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn state(strategy: MetadataRecoveryStrategy) -> Rebootstrap {
        Rebootstrap::new(strategy, 300 * SECOND)
    }

    #[test]
    fn known_brokers_are_given_up_when_they_have_failed_for_the_trigger() {
        let (mut state, now) = (state(MetadataRecoveryStrategy::Rebootstrap), Instant::now());
        assert_eq!(state.whom(now), Whom::KnownThenBootstrap);
        state.handle_failed(now);
        state.handle_failed(now + 200 * SECOND);
        assert_eq!(state.whom(now + 299 * SECOND), Whom::KnownThenBootstrap);
        assert_eq!(state.whom(now + 300 * SECOND), Whom::Bootstrap, "counted from the first failure");
        state.handle_answered();
        assert_eq!(state.whom(now + 301 * SECOND), Whom::KnownThenBootstrap);
    }

    #[test]
    fn a_broker_that_asks_for_it_is_obeyed_at_once_until_somebody_answers() {
        let (mut state, now) = (state(MetadataRecoveryStrategy::Rebootstrap), Instant::now());
        assert!(state.handle_required());
        assert_eq!(state.whom(now), Whom::Bootstrap);
        state.handle_failed(now);
        assert_eq!(state.whom(now), Whom::Bootstrap);
        state.handle_answered();
        assert_eq!(state.whom(now), Whom::KnownThenBootstrap);
    }

    #[test]
    fn without_the_strategy_known_brokers_are_kept_whatever_happens() {
        let (mut state, now) = (state(MetadataRecoveryStrategy::None), Instant::now());
        assert!(!state.handle_required());
        state.handle_failed(now);
        assert_eq!(state.whom(now + 1000 * SECOND), Whom::Known);
    }
}
