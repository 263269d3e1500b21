//! Which faults are about at this moment, and the hook that lets them strike requests.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use milena::ErrorCode;
use milena::broker::{Hook, Verdict};
use milena::wire::messages::ApiKey;

use super::plan::Fault;
use super::random::Random;

/// The faults of the current phase, shared by the cluster's hook and every process's network.
#[derive(Clone, Debug)]
pub(super) struct Weather {
    faults: Arc<Mutex<Vec<(Fault, f64)>>>,
    longest_delay: Duration,
}

impl Weather {
    /// Quiet, until faults are set.
    pub(super) fn new(longest_delay: Duration) -> Self {
        Self { faults: Arc::default(), longest_delay }
    }

    /// From now on these faults strike, and no others.
    pub(super) fn set(&self, faults: Vec<(Fault, f64)>) {
        *self.faults.lock().unwrap_or_else(PoisonError::into_inner) = faults;
    }

    /// Whether `fault` strikes now. Draws only where the fault is about.
    pub(super) fn strikes(&self, fault: Fault, random: &mut Random) -> bool {
        let faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        let chance = faults.iter().find(|(other, _)| *other == fault).map(|(_, chance)| *chance);
        drop(faults);
        chance.is_some_and(|chance| random.chance(chance))
    }

    /// The judge of requests.
    pub(super) fn hook(&self, mut random: Random) -> Hook {
        let weather = self.clone();
        Box::new(move |request| weather.judge(request.header.api_key, &mut random))
    }

    fn judge(&self, api_key: i16, random: &mut Random) -> Verdict {
        if self.strikes(Fault::Drop, random) {
            return Verdict::Drop;
        }
        if self.strikes(Fault::CloseBefore, random) {
            return Verdict::CloseBefore;
        }
        if self.strikes(Fault::CloseAfter, random) {
            return Verdict::CloseAfter;
        }
        if self.strikes(Fault::Error, random) {
            return errors_of(api_key).map_or(Verdict::Pass, |codes| Verdict::Error(random.pick(codes)));
        }
        if self.strikes(Fault::Throttle, random) {
            return Verdict::ThrottleMs(i32::try_from(random.within(1..800)).unwrap_or(1));
        }
        if self.strikes(Fault::Delay, random) {
            return Verdict::Delay(lateness(random).min(self.longest_delay));
        }
        if self.strikes(Fault::DelayAnswer, random) {
            return Verdict::DelayAnswer(lateness(random).min(self.longest_delay));
        }
        Verdict::Pass
    }
}

/// Mostly short; sometimes longer than any timeout of a request.
fn lateness(random: &mut Random) -> Duration {
    if random.chance(0.15) { random.millis(1_000..9_000) } else { random.millis(1..400) }
}

/// Answers that a healthy client gets over by itself, by API.
fn errors_of(api_key: i16) -> Option<&'static [ErrorCode]> {
    const PRODUCE: &[ErrorCode] = &[
        ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ErrorCode::NOT_ENOUGH_REPLICAS,
        ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        ErrorCode::LEADER_NOT_AVAILABLE,
        ErrorCode::KAFKA_STORAGE_ERROR,
        ErrorCode::REQUEST_TIMED_OUT,
    ];
    const FETCH: &[ErrorCode] =
        &[ErrorCode::NOT_LEADER_OR_FOLLOWER, ErrorCode::KAFKA_STORAGE_ERROR, ErrorCode::UNKNOWN_LEADER_EPOCH];
    const COORDINATOR: &[ErrorCode] =
        &[ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::COORDINATOR_NOT_AVAILABLE, ErrorCode::NOT_COORDINATOR];
    const BUSY: &[ErrorCode] = &[
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        ErrorCode::COORDINATOR_NOT_AVAILABLE,
        ErrorCode::NOT_COORDINATOR,
        ErrorCode::CONCURRENT_TRANSACTIONS,
    ];
    let codes = match ApiKey::try_from(api_key).ok()? {
        ApiKey::Produce => PRODUCE,
        ApiKey::Fetch | ApiKey::ListOffsets => FETCH,
        ApiKey::FindCoordinator => &[ErrorCode::COORDINATOR_NOT_AVAILABLE][..],
        ApiKey::OffsetCommit | ApiKey::OffsetFetch | ApiKey::TxnOffsetCommit | ApiKey::DescribeTransactions => {
            COORDINATOR
        }
        ApiKey::InitProducerId | ApiKey::EndTxn | ApiKey::AddPartitionsToTxn | ApiKey::AddOffsetsToTxn => BUSY,
        _ => return None,
    };
    Some(codes)
}
