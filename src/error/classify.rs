//! What to do about a code: one function of the operation and the code, from which every `recovery()` comes.

use super::{Class, ErrorCode, Operation, Recovery};

/// What a user should do when `operation` ended with `code` after the client's own retries.
///
/// The same code differs by operation: what would pass elsewhere ends a transaction whose requests have run out of time
/// (KAFKA-19176), a member that was fenced loses its transaction but not its producer, and an operation with no open
/// transaction, `abort` first of all, never answers `AbortTransaction` (KAFKA-19250). Every pair is a cell of
/// `fixtures/errors.tsv`.
pub fn classify(operation: Operation, code: ErrorCode) -> Recovery {
    match by_code(operation, code) {
        Recovery::AbortTransaction if !has_open_transaction(operation) => Recovery::Recreate,
        Recovery::Retry if operation == Operation::AddToTransaction => Recovery::AbortTransaction,
        recovery => recovery,
    }
}

/// Produce has one only sometimes; its codes of class `Abortable` are sent only then.
fn has_open_transaction(operation: Operation) -> bool {
    matches!(operation, Operation::Produce | Operation::AddToTransaction | Operation::Commit)
}

fn by_code(operation: Operation, code: ErrorCode) -> Recovery {
    use Operation as Op;
    match (operation, code) {
        // The group went on without this member (KIP-447): its offsets must not be committed, the producer is sound.
        (
            Op::AddToTransaction,
            ErrorCode::ILLEGAL_GENERATION
            | ErrorCode::UNKNOWN_MEMBER_ID
            | ErrorCode::FENCED_INSTANCE_ID
            | ErrorCode::FENCED_MEMBER_EPOCH,
        ) => Recovery::AbortTransaction,
        (_, ErrorCode::REBALANCE_IN_PROGRESS | ErrorCode::STALE_MEMBER_EPOCH) => Recovery::Retry,
        (_, ErrorCode::BROKER_NOT_AVAILABLE | ErrorCode::REBOOTSTRAP_REQUIRED) => Recovery::Retry,
        (_, ErrorCode::FENCED_MEMBER_EPOCH | ErrorCode::INVALID_TXN_STATE) => Recovery::Recreate,
        (_, ErrorCode::PRODUCER_FENCED | ErrorCode::TRANSACTION_COORDINATOR_FENCED) => Recovery::Recreate,
        // A producer that can renew its epoch does so and never tells; the one that tells has lost its sequence.
        (_, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER | ErrorCode::UNKNOWN_PRODUCER_ID) => Recovery::Recreate,
        // An administrator's arguments are his own; everything else in a request is ours.
        (Op::Admin, ErrorCode::INVALID_REQUEST) => Recovery::Reconfigure,
        (_, ErrorCode::INVALID_REQUEST) => Recovery::Bug,
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

#[cfg(test)]
mod tests {
    use super::*;
    use Operation as Op;

    /// The columns of the table: operations that answer every code alike share one.
    const FAMILIES: &[(&str, &[Op])] = &[
        ("connect", &[Op::Connect, Op::Metadata, Op::Config, Op::Checkpoint, Op::Job]),
        ("produce", &[Op::Produce]),
        ("fetch", &[Op::Fetch, Op::ListOffsets]),
        ("offsets", &[Op::OffsetCommit, Op::OffsetFetch]),
        ("init", &[Op::InitProducerId]),
        ("add", &[Op::AddToTransaction]),
        ("commit", &[Op::Commit]),
        ("abort", &[Op::Abort]),
        ("admin", &[Op::Admin]),
    ];

    fn table() -> Vec<Vec<String>> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/errors.tsv");
        let text = std::fs::read_to_string(path).unwrap();
        let rows = text.lines().filter(|line| !line.starts_with('#'));
        rows.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
    }

    #[test]
    fn every_code_has_the_recovery_of_the_table_in_every_operation() {
        let table = table();
        let columns: Vec<_> = ["code", "name"].into_iter().chain(FAMILIES.iter().map(|(name, _)| *name)).collect();
        assert_eq!(table[0], columns);
        for row in &table[1..] {
            let code = ErrorCode(row[0].parse().unwrap());
            assert_eq!(row[1], code.name());
            for (expected, (family, operations)) in row[2..].iter().zip(FAMILIES) {
                for operation in *operations {
                    let found = format!("{:?}", classify(*operation, code));
                    assert_eq!(*expected, found, "{code} in {family} ({operation:?})");
                }
            }
            assert_eq!(row.len(), columns.len(), "{code}");
        }
    }

    #[test]
    fn the_table_has_every_code_and_an_unknown_one() {
        let codes: Vec<i16> = table()[1..].iter().map(|row| row[0].parse().unwrap()).collect();
        let known = (-1..i16::MAX).take_while(|code| ErrorCode(*code).name() != "UNKNOWN");
        assert_eq!(codes, known.chain([9999]).collect::<Vec<_>>());
    }

    #[test]
    fn nothing_without_an_open_transaction_asks_for_its_abort() {
        for (_, operations) in FAMILIES {
            for operation in operations.iter().filter(|op| !has_open_transaction(**op)) {
                let asks = |code: &i16| classify(*operation, ErrorCode(*code)) == Recovery::AbortTransaction;
                assert_eq!((-1..200).find(asks), None, "{operation:?}");
            }
        }
    }

    #[test]
    fn a_transaction_whose_requests_ran_out_of_time_is_aborted_and_not_waited_for() {
        let retriable = (-1..200).map(ErrorCode).filter(|code| code.is_retriable());
        for code in retriable {
            assert_eq!(classify(Op::AddToTransaction, code), Recovery::AbortTransaction, "{code}");
            assert_eq!(classify(Op::Commit, code), Recovery::Retry, "{code}");
        }
    }
}
