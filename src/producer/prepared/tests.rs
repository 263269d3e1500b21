//! Every answer that a real coordinator was seen to give, and what the call makes of it.

use std::time::Duration;

use super::ending::{Described, Ending, Step, Wanted};
use super::{CommitOutcome, PreparedTransaction};
use crate::cluster::TransactionDescription;
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Recovery, Result};
use crate::types::{ProducerIdentity, TopicPartition, TransactionVersion};

const NOW_MS: i64 = 1_000_000;
const PRODUCER_ID: i64 = 7;
const EPOCH: i16 = 3;

fn prepared(version: TransactionVersion) -> PreparedTransaction {
    PreparedTransaction {
        transactional_id: "etl-0".into(),
        producer: ProducerIdentity { producer_id: PRODUCER_ID, producer_epoch: EPOCH },
        transaction_version: version,
        started_at_ms: NOW_MS - 90_000,
        timeout: Duration::from_secs(60),
        record_count: 120,
        partitions: vec![TopicPartition::new("out", 0), TopicPartition::new("out", 3)],
    }
}

fn v1() -> PreparedTransaction {
    prepared(TransactionVersion::V1)
}

fn v2() -> PreparedTransaction {
    prepared(TransactionVersion::V2)
}

fn described(state: &str, producer_id: i64, producer_epoch: i16) -> Described {
    Described::As(TransactionDescription {
        transactional_id: "etl-0".into(),
        state: state.into(),
        producer: ProducerIdentity { producer_id, producer_epoch },
        timeout: Duration::from_secs(60),
        started_at_ms: -1,
        partitions: Vec::new(),
    })
}

fn done(step: Step) -> Result<CommitOutcome> {
    match step {
        Step::Done(done) => done,
        other => panic!("not done: {other:?}"),
    }
}

/// A call whose one EndTxn was answered `code`, and the id then described as `found`.
fn told(prepared: &PreparedTransaction, wanted: Wanted, code: ErrorCode, found: &Described) -> Result<CommitOutcome> {
    let mut ending = Ending::new(prepared, wanted);
    assert!(matches!(ending.handle_answer(code), Step::Describe), "{code}");
    done(ending.handle_described(found, NOW_MS))
}

fn committed(prepared: &PreparedTransaction, code: ErrorCode, found: &Described) -> Result<CommitOutcome> {
    told(prepared, Wanted::Commit, code, found)
}

/// As [`committed`], but an EndTxn before that one had no answer.
fn committed_in_doubt(prepared: &PreparedTransaction, code: ErrorCode, found: &Described) -> Result<CommitOutcome> {
    let mut ending = Ending::new(prepared, Wanted::Commit);
    assert!(matches!(ending.handle_unanswered(unanswered()), Step::Again { .. }));
    assert!(matches!(ending.handle_answer(code), Step::Describe));
    done(ending.handle_described(found, NOW_MS))
}

fn unanswered() -> Error {
    Error::new(Operation::Commit, ErrorKind::Network, "etl-0", "closed").with_maybe_applied(true)
}

fn lost_text(outcome: Result<CommitOutcome>) -> String {
    match outcome {
        Ok(CommitOutcome::Lost(text)) => text,
        other => panic!("not lost: {other:?}"),
    }
}

#[test]
fn a_good_answer_is_a_commit_and_a_repeated_one_is_too() {
    for prepared in [v1(), v2()] {
        let mut ending = Ending::new(&prepared, Wanted::Commit);
        assert_eq!(done(ending.handle_answer(ErrorCode::NONE)).unwrap(), CommitOutcome::Committed);
    }
}

#[test]
fn markers_still_being_written_are_waited_for_at_the_same_coordinator() {
    let prepared = v2();
    let mut ending = Ending::new(&prepared, Wanted::Commit);
    let step = ending.handle_answer(ErrorCode::CONCURRENT_TRANSACTIONS);
    assert!(matches!(step, Step::Again { is_relocated: false }), "{step:?}");
    assert_eq!(done(ending.handle_answer(ErrorCode::NONE)).unwrap(), CommitOutcome::Committed);
}

#[test]
fn a_moved_coordinator_is_looked_up_again() {
    let prepared = v2();
    for code in [ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_NOT_AVAILABLE] {
        let step = Ending::new(&prepared, Wanted::Commit).handle_answer(code);
        assert!(matches!(step, Step::Again { is_relocated: true }), "{code}: {step:?}");
    }
}

#[test]
fn running_out_of_time_is_retriable_and_says_whether_it_may_have_been_applied() {
    let prepared = v2();
    for (code, maybe_applied) in [
        (ErrorCode::CONCURRENT_TRANSACTIONS, true),
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, true),
        (ErrorCode::NOT_COORDINATOR, true),
        (ErrorCode::REQUEST_TIMED_OUT, true),
        (ErrorCode::UNKNOWN_SERVER_ERROR, true),
        (ErrorCode::COORDINATOR_LOAD_IN_PROGRESS, false),
    ] {
        let mut ending = Ending::new(&prepared, Wanted::Commit);
        assert!(matches!(ending.handle_answer(code), Step::Again { .. }), "{code}");
        let error = ending.out_of_time();
        assert_eq!((error.is_retriable(), error.maybe_applied()), (true, maybe_applied), "{code}");
        assert_eq!(error.code(), Some(code));
    }
}

#[test]
fn doubt_once_raised_stays() {
    let prepared = v2();
    let mut ending = Ending::new(&prepared, Wanted::Commit);
    ending.handle_unanswered(unanswered());
    ending.handle_answer(ErrorCode::COORDINATOR_LOAD_IN_PROGRESS);
    ending.handle_unanswered(unanswered().with_maybe_applied(false));
    assert!(ending.out_of_time().maybe_applied());
}

#[test]
fn what_no_retry_mends_ends_at_once() {
    let prepared = v2();
    for code in [ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, ErrorCode::INVALID_REQUEST, ErrorCode(9999)] {
        let error = done(Ending::new(&prepared, Wanted::Commit).handle_answer(code)).unwrap_err();
        assert_eq!((error.code(), error.maybe_applied(), error.is_retriable()), (Some(code), false, false));
    }
    let unsupported = Error::new(Operation::Commit, ErrorKind::Unsupported, "etl-0", "no EndTxn");
    let error = done(Ending::new(&prepared, Wanted::Commit).handle_unanswered(unsupported)).unwrap_err();
    assert_eq!((error.kind(), error.maybe_applied()), (ErrorKind::Unsupported, false));
}

#[test]
fn a_commit_sent_at_another_version_is_found_done() {
    let outcome = committed(&v2(), ErrorCode::PRODUCER_FENCED, &described("CompleteCommit", PRODUCER_ID, EPOCH + 1));
    assert_eq!(outcome.unwrap(), CommitOutcome::AlreadyCommitted);
    let outcome = committed(&v2(), ErrorCode::PRODUCER_FENCED, &described("PrepareCommit", PRODUCER_ID, EPOCH + 1));
    assert_eq!(outcome.unwrap(), CommitOutcome::AlreadyCommitted);
    let outcome = committed(&v1(), ErrorCode::INVALID_PRODUCER_EPOCH, &described("CompleteCommit", PRODUCER_ID, EPOCH));
    assert_eq!(outcome.unwrap(), CommitOutcome::AlreadyCommitted);
}

#[test]
fn anothers_commit_is_not_taken_for_ours() {
    let others = [
        (v1(), described("CompleteCommit", PRODUCER_ID, EPOCH + 1)),
        (v2(), described("CompleteCommit", PRODUCER_ID, EPOCH + 2)),
        (v2(), described("CompleteCommit", PRODUCER_ID + 1, EPOCH)),
        (v2(), described("CompleteCommit", PRODUCER_ID, EPOCH - 1)),
        (v2(), described("Ongoing", PRODUCER_ID, EPOCH + 1)),
    ];
    for (prepared, found) in &others {
        let error = committed(prepared, ErrorCode::PRODUCER_FENCED, found).unwrap_err();
        assert!(error.maybe_applied() && !error.is_retriable(), "{found:?}: {error}");
    }
}

#[test]
fn the_last_epoch_has_no_successor() {
    let mut prepared = v2();
    prepared.producer.producer_epoch = i16::MAX;
    let found = described("CompleteCommit", PRODUCER_ID, i16::MIN);
    assert!(committed(&prepared, ErrorCode::PRODUCER_FENCED, &found).is_err());
}

#[test]
fn a_transaction_that_timed_out_or_was_fenced_is_lost() {
    let cases = [
        (v2(), ErrorCode::INVALID_TXN_STATE, described("CompleteAbort", PRODUCER_ID, EPOCH + 1)),
        (v1(), ErrorCode::PRODUCER_FENCED, described("CompleteAbort", PRODUCER_ID, EPOCH + 1)),
        (v2(), ErrorCode::PRODUCER_FENCED, described("Ongoing", PRODUCER_ID, EPOCH + 2)),
        (v2(), ErrorCode::PRODUCER_FENCED, described("PrepareAbort", PRODUCER_ID, EPOCH + 1)),
        (v1(), ErrorCode::PRODUCER_FENCED, described("PrepareEpochFence", PRODUCER_ID, EPOCH + 1)),
        (v1(), ErrorCode::PRODUCER_FENCED, described("Empty", PRODUCER_ID, EPOCH + 1)),
        (v2(), ErrorCode::INVALID_TXN_STATE, described("Empty", PRODUCER_ID, EPOCH)),
        (v2(), ErrorCode::INVALID_PRODUCER_ID_MAPPING, described("Empty", PRODUCER_ID + 5, 0)),
        (v2(), ErrorCode::INVALID_PRODUCER_ID_MAPPING, Described::Unknown),
        (v1(), ErrorCode::TRANSACTIONAL_ID_NOT_FOUND, Described::Unknown),
    ];
    for (prepared, code, found) in &cases {
        lost_text(committed(prepared, *code, found));
    }
}

#[test]
fn a_loss_names_what_was_lost_and_when() {
    let found = described("CompleteAbort", PRODUCER_ID, EPOCH + 1);
    let text = lost_text(committed(&v2(), ErrorCode::INVALID_TXN_STATE, &found));
    for part in ["etl-0", "producer id 7", "epoch 3", "120 records", "out-0, out-3", "90s ago", "timeout of 60s"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(text.contains("CompleteAbort at producer id 7, epoch 4") && text.contains("INVALID_TXN_STATE"), "{text}");
}

#[test]
fn after_an_unheard_answer_only_a_clear_state_decides() {
    let ours = described("CompleteCommit", PRODUCER_ID, EPOCH + 1);
    let outcome = committed_in_doubt(&v2(), ErrorCode::PRODUCER_FENCED, &ours);
    assert_eq!(outcome.unwrap(), CommitOutcome::AlreadyCommitted);
    let aborted = described("CompleteAbort", PRODUCER_ID, EPOCH + 1);
    lost_text(committed_in_doubt(&v2(), ErrorCode::INVALID_TXN_STATE, &aborted));
    let unclear = [
        (v1(), described("CompleteAbort", PRODUCER_ID, EPOCH + 1)),
        (v1(), described("Empty", PRODUCER_ID, EPOCH + 1)),
        (v2(), described("Empty", PRODUCER_ID, EPOCH + 2)),
        (v2(), described("Ongoing", PRODUCER_ID, EPOCH + 2)),
        (v2(), described("CompleteAbort", PRODUCER_ID, EPOCH + 2)),
        (v2(), Described::Unknown),
    ];
    for (prepared, found) in &unclear {
        let error = committed_in_doubt(prepared, ErrorCode::PRODUCER_FENCED, found).unwrap_err();
        assert!(error.maybe_applied(), "{found:?}: {error}");
        assert_eq!(error.recovery(), Recovery::Reconfigure, "another call would not know of the doubt");
    }
}

#[test]
fn a_broker_too_old_to_describe_leaves_it_unknown() {
    let error = committed(&v1(), ErrorCode::INVALID_PRODUCER_EPOCH, &Described::Unsaid).unwrap_err();
    assert!(error.maybe_applied() && error.to_string().contains("too old to describe"), "{error}");
    assert_eq!(error.code(), Some(ErrorCode::INVALID_PRODUCER_EPOCH));
}

#[test]
fn a_state_this_release_does_not_know_is_no_loss() {
    assert!(committed(&v2(), ErrorCode::PRODUCER_FENCED, &described("Prepared", PRODUCER_ID, EPOCH)).is_err());
}

#[test]
fn a_transaction_still_open_is_asked_to_end_again() {
    let prepared = v2();
    let mut ending = Ending::new(&prepared, Wanted::Commit);
    assert!(matches!(ending.handle_answer(ErrorCode::INVALID_TXN_STATE), Step::Describe));
    let step = ending.handle_described(&described("Ongoing", PRODUCER_ID, EPOCH), NOW_MS);
    assert!(matches!(step, Step::Again { .. }), "{step:?}");
}

#[test]
fn a_description_that_fails_leaves_it_unknown_and_retriable_if_it_may_pass() {
    let prepared = v2();
    let denied = Error::broker(Operation::Admin, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, "etl-0");
    for (cause, is_retriable) in [(unanswered(), true), (denied, false)] {
        let mut ending = Ending::new(&prepared, Wanted::Commit);
        ending.handle_answer(ErrorCode::PRODUCER_FENCED);
        let error = done(ending.handle_undescribed(cause)).unwrap_err();
        assert_eq!((error.is_retriable(), error.maybe_applied()), (is_retriable, true), "{error}");
    }
}

#[test]
fn an_abort_is_idempotent_and_refused_after_a_commit() {
    let good = |prepared: PreparedTransaction, found| {
        assert!(told(&prepared, Wanted::Abort, ErrorCode::PRODUCER_FENCED, &found).is_ok())
    };
    good(v2(), described("CompleteAbort", PRODUCER_ID, EPOCH + 1));
    good(v1(), described("CompleteAbort", PRODUCER_ID, EPOCH));
    good(v2(), described("Ongoing", PRODUCER_ID, EPOCH + 2));
    good(v2(), Described::Unknown);
    let found = described("CompleteCommit", PRODUCER_ID, EPOCH + 1);
    let error = told(&v2(), Wanted::Abort, ErrorCode::INVALID_TXN_STATE, &found).unwrap_err();
    assert!(error.to_string().contains("is committed") && !error.is_retriable(), "{error}");
    assert_eq!(error.operation(), Operation::Abort);
    let prepared = v1();
    assert!(done(Ending::new(&prepared, Wanted::Abort).handle_answer(ErrorCode::NONE)).is_ok());
}
