//! What one error code means for a call that may be repeated: one function, from Java's classes of codes.

use crate::error::{Class, ErrorCode};

/// What to do with an answer's error codes: succeed, look the coordinator or leader up again, wait, or give up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The answer is what was wanted.
    Done,
    /// Try again after the backoff.
    Retry(ErrorCode),
    /// Forget the coordinator (or controller, or leader) first, then try again after the backoff.
    Relocate(ErrorCode),
    /// No use trying again.
    Fail(ErrorCode),
}

impl Verdict {
    /// The usual verdict of one code: coordinator codes relocate, retriable ones retry, other errors fail.
    pub fn of(code: ErrorCode) -> Verdict {
        match (code, code.class()) {
            (ErrorCode::NOT_CONTROLLER, _) | (_, Class::RefreshRetriable) => Verdict::Relocate(code),
            (_, Class::None) => Verdict::Done,
            (_, Class::Retriable) => Verdict::Retry(code),
            _ => Verdict::Fail(code),
        }
    }
}

/// Whether a broker that answers this may have done what was asked all the same.
///
/// A coordinator that lost its replicas or its office after it appended to its log says that it is not available, or no
/// coordinator (TransactionStateManager, GroupMetadataManager); the next one reads what was appended.
pub(crate) fn leaves_doubt(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::REQUEST_TIMED_OUT
            | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND
            | ErrorCode::NETWORK_EXCEPTION
            | ErrorCode::UNKNOWN_SERVER_ERROR
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_code_has_its_verdict() {
        assert_eq!(Verdict::of(ErrorCode::NONE), Verdict::Done);
        for code in [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_NOT_AVAILABLE, ErrorCode::NOT_CONTROLLER] {
            assert_eq!(Verdict::of(code), Verdict::Relocate(code));
        }
        for code in [ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, ErrorCode::CONCURRENT_TRANSACTIONS] {
            assert_eq!(Verdict::of(code), Verdict::Retry(code));
        }
        for code in [ErrorCode::TOPIC_AUTHORIZATION_FAILED, ErrorCode(9999), ErrorCode(i16::MIN)] {
            assert_eq!(Verdict::of(code), Verdict::Fail(code));
        }
    }
}
