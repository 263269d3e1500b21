//! What to do about a code: one function of the operation and the code, from which every `recovery()` comes.

use super::{Class, ErrorCode, Operation, Recovery};

/// What a user should do when `operation` ended with `code` after the client's own retries.
///
/// The same code differs by operation: out-of-sequence answers end a transaction but not an idempotent producer's life,
/// and `abort` itself never answers `AbortTransaction` (KAFKA-19250).
pub fn classify(operation: Operation, code: ErrorCode) -> Recovery {
    use Operation as Op;
    match (operation, code) {
        (Op::Abort, ErrorCode::TRANSACTION_ABORTABLE | ErrorCode::INVALID_TXN_STATE) => Recovery::Recreate,
        (_, ErrorCode::TRANSACTION_ABORTABLE) => Recovery::AbortTransaction,
        (
            _,
            ErrorCode::PRODUCER_FENCED | ErrorCode::INVALID_PRODUCER_EPOCH | ErrorCode::TRANSACTION_COORDINATOR_FENCED,
        ) => Recovery::Recreate,
        (_, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID) => Recovery::Recreate,
        (Op::Commit, ErrorCode::INVALID_TXN_STATE | ErrorCode::INVALID_PRODUCER_ID_MAPPING) => Recovery::Recreate,
        (_, ErrorCode::INVALID_TXN_STATE) => Recovery::Recreate,
        (Op::Fetch, ErrorCode::OFFSET_OUT_OF_RANGE) => Recovery::Reconfigure,
        (_, ErrorCode::INVALID_TRANSACTION_TIMEOUT | ErrorCode::MESSAGE_TOO_LARGE | ErrorCode::INVALID_TIMESTAMP) => {
            Recovery::Reconfigure
        }
        _ => by_class(code),
    }
}

fn by_class(code: ErrorCode) -> Recovery {
    match code.class() {
        Class::Retriable | Class::RefreshRetriable => Recovery::Retry,
        Class::Abortable => Recovery::AbortTransaction,
        Class::ApplicationRecoverable => Recovery::Recreate,
        Class::None | Class::InvalidConfiguration | Class::Other => Recovery::Reconfigure,
    }
}
