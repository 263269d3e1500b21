//! What an answer to one batch means: a row per group of codes, and whether the batch can have been written.

use std::time::Duration;

use crate::error::ErrorCode;

/// What to do with a batch after an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    /// It is written.
    Written,
    /// It was written by an attempt whose answer was lost; where, the broker no longer knows.
    Duplicate,
    /// Send it again under the same stamp.
    Retry {
        /// Whether the leader has to be looked up again.
        is_misplaced: bool,
        /// A first wait shorter than the usual.
        wait: Option<Duration>,
    },
    /// The broker misses what came before it: it was not written, whatever earlier attempts came to.
    OutOfOrder,
    /// The broker has forgotten this producer.
    Forgotten,
    /// Another epoch of this producer has been seen.
    Fenced,
    /// Larger than the topic allows.
    TooLarge,
    /// Nothing to try again.
    Fail,
}

/// How long Kafka's client waits for the last transaction's markers before it tries again.
pub(in crate::producer) const CONCURRENT_TRANSACTIONS_WAIT: Duration = Duration::from_millis(20);

impl Verdict {
    pub(super) fn of(code: ErrorCode) -> Verdict {
        use ErrorCode as E;
        match code {
            _ if code.is_ok() => Verdict::Written,
            E::DUPLICATE_SEQUENCE_NUMBER => Verdict::Duplicate,
            E::OUT_OF_ORDER_SEQUENCE_NUMBER => Verdict::OutOfOrder,
            E::UNKNOWN_PRODUCER_ID => Verdict::Forgotten,
            E::INVALID_PRODUCER_EPOCH | E::PRODUCER_FENCED => Verdict::Fenced,
            E::MESSAGE_TOO_LARGE | E::RECORD_LIST_TOO_LARGE => Verdict::TooLarge,
            E::CONCURRENT_TRANSACTIONS => {
                Verdict::Retry { is_misplaced: false, wait: Some(CONCURRENT_TRANSACTIONS_WAIT) }
            }
            E::NOT_LEADER_OR_FOLLOWER
            | E::UNKNOWN_TOPIC_OR_PARTITION
            | E::LEADER_NOT_AVAILABLE
            | E::FENCED_LEADER_EPOCH
            | E::UNKNOWN_LEADER_EPOCH
            | E::KAFKA_STORAGE_ERROR
            | E::UNKNOWN_TOPIC_ID
            | E::INCONSISTENT_TOPIC_ID
            | E::REPLICA_NOT_AVAILABLE => Verdict::Retry { is_misplaced: true, wait: None },
            _ if code.is_retriable() => Verdict::Retry { is_misplaced: false, wait: None },
            _ => Verdict::Fail,
        }
    }
}

/// Whether the code is given before anything is written, so that the attempt it answers certainly wrote nothing.
///
/// A leader that steps down while it waits for its followers answers NOT_LEADER_OR_FOLLOWER after its own write, so that
/// one is not among them; neither are timeouts, storage errors and codes that nobody here knows.
pub(super) fn is_refusal(code: ErrorCode) -> bool {
    use ErrorCode as E;
    matches!(
        code,
        E::CORRUPT_MESSAGE
            | E::MESSAGE_TOO_LARGE
            | E::RECORD_LIST_TOO_LARGE
            | E::INVALID_TOPIC_EXCEPTION
            | E::NOT_ENOUGH_REPLICAS
            | E::INVALID_REQUIRED_ACKS
            | E::TOPIC_AUTHORIZATION_FAILED
            | E::CLUSTER_AUTHORIZATION_FAILED
            | E::TRANSACTIONAL_ID_AUTHORIZATION_FAILED
            | E::INVALID_TIMESTAMP
            | E::UNSUPPORTED_FOR_MESSAGE_FORMAT
            | E::POLICY_VIOLATION
            | E::OUT_OF_ORDER_SEQUENCE_NUMBER
            | E::INVALID_PRODUCER_EPOCH
            | E::PRODUCER_FENCED
            | E::INVALID_TXN_STATE
            | E::INVALID_PRODUCER_ID_MAPPING
            | E::CONCURRENT_TRANSACTIONS
            | E::TRANSACTION_ABORTABLE
            | E::UNKNOWN_PRODUCER_ID
            | E::LEADER_NOT_AVAILABLE
            | E::UNSUPPORTED_COMPRESSION_TYPE
            | E::INVALID_RECORD
            | E::UNKNOWN_TOPIC_ID
            | E::UNSUPPORTED_VERSION
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leader_that_stepped_down_may_have_written() {
        assert_eq!(Verdict::of(ErrorCode::NOT_LEADER_OR_FOLLOWER), Verdict::Retry { is_misplaced: true, wait: None });
        assert!(!is_refusal(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        assert!(!is_refusal(ErrorCode::REQUEST_TIMED_OUT));
        assert!(!is_refusal(ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND));
        assert!(is_refusal(ErrorCode::NOT_ENOUGH_REPLICAS));
    }

    #[test]
    fn a_code_nobody_knows_fails_and_may_have_been_written() {
        assert_eq!(Verdict::of(ErrorCode(9999)), Verdict::Fail);
        assert!(!is_refusal(ErrorCode(9999)) && !is_refusal(ErrorCode::UNKNOWN_SERVER_ERROR));
    }
}
