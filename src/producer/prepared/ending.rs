//! Decides what an answer to EndTxn means, so that "committed" is never guessed and a loss is told from a repeated commit.

use super::{CommitOutcome, PreparedTransaction};
use crate::cluster::TransactionDescription;
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Recovery, Result};
use crate::types::TransactionVersion;

/// How the transaction is to end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Wanted {
    Commit,
    Abort,
}

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Send EndTxn again after the backoff, and look the coordinator up first if so said.
    Again { is_relocated: bool },
    /// Ask DescribeTransactions and hand the answer to [`Ending::handle_described`].
    Describe,
    /// The end.
    Done(Result<CommitOutcome>),
}

/// What became known of the id.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Described {
    /// Its coordinator says this.
    As(TransactionDescription),
    /// Its coordinator does not know it.
    Unknown,
    /// The broker is too old to say (before 3.0).
    Unsaid,
}

/// One call's way from the first EndTxn to its outcome.
#[derive(Debug)]
pub(super) struct Ending<'a> {
    prepared: &'a PreparedTransaction,
    wanted: Wanted,
    /// Whether an EndTxn of this call may have been applied although no answer said so.
    is_doubtful: bool,
    /// What sent us to DescribeTransactions, or was the last thing that went wrong.
    last: Option<Error>,
}

/// What a description says of our transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Fate {
    /// It is committed, or its commit is decided and cannot be undone.
    Committed,
    /// It is still open.
    Open,
    /// It was aborted, and nothing else can have led to this state.
    Aborted,
    /// It is no longer there; only an unheard answer of ours could mean that it was committed.
    Gone,
    /// It cannot be told from this.
    Unclear,
}

impl<'a> Ending<'a> {
    pub(super) fn new(prepared: &'a PreparedTransaction, wanted: Wanted) -> Self {
        Self { prepared, wanted, is_doubtful: false, last: None }
    }

    pub(super) fn operation(&self) -> Operation {
        match self.wanted {
            Wanted::Commit => Operation::Commit,
            Wanted::Abort => Operation::Abort,
        }
    }

    /// Whether some EndTxn may still be applied, whatever was answered to another.
    pub(super) fn is_doubtful(&self) -> bool {
        self.is_doubtful
    }

    /// The coordinator answered this to EndTxn.
    pub(super) fn handle_answer(&mut self, code: ErrorCode) -> Step {
        let error = Error::broker(self.operation(), code, &self.prepared.transactional_id);
        match code {
            ErrorCode::NONE => Step::Done(Ok(CommitOutcome::Committed)),
            ErrorCode::PRODUCER_FENCED
            | ErrorCode::INVALID_PRODUCER_EPOCH
            | ErrorCode::INVALID_TXN_STATE
            | ErrorCode::INVALID_PRODUCER_ID_MAPPING
            | ErrorCode::TRANSACTIONAL_ID_NOT_FOUND => {
                self.last = Some(error);
                Step::Describe
            }
            // Says nothing: the coordinator may have written its decision before it failed.
            ErrorCode::UNKNOWN_SERVER_ERROR => self.again(error, true),
            // A coordinator that loads has not looked at the request yet. Every other one may have appended the
            // decision to its log and lost its office or its replicas before it could say so.
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => self.again(error, false),
            code if code.is_retriable() => self.again(error, true),
            _ => Step::Done(Err(error.with_maybe_applied(self.is_doubtful))),
        }
    }

    /// EndTxn got no answer, or could not be sent.
    pub(super) fn handle_unanswered(&mut self, error: Error) -> Step {
        let is_retriable = error.is_retriable();
        if is_retriable {
            let maybe_applied = error.maybe_applied();
            return self.again(error, maybe_applied);
        }
        let maybe_applied = self.is_doubtful || error.maybe_applied();
        Step::Done(Err(error.with_maybe_applied(maybe_applied)))
    }

    fn again(&mut self, error: Error, maybe_applied: bool) -> Step {
        self.is_doubtful |= maybe_applied;
        let is_relocated = matches!(error.code(), Some(code) if code != ErrorCode::CONCURRENT_TRANSACTIONS);
        self.last = Some(error);
        Step::Again { is_relocated }
    }

    /// What [`Step::Describe`] found out.
    pub(super) fn handle_described(&mut self, described: &Described, now_ms: i64) -> Step {
        let fate = fate(self.prepared, described);
        if fate == Fate::Open {
            // It answered as if it were not: a race with the markers or a coordinator that has just moved.
            return Step::Again { is_relocated: true };
        }
        let found = self.found(described, now_ms);
        Step::Done(match (self.wanted, fate) {
            (Wanted::Commit, Fate::Committed) => Ok(CommitOutcome::AlreadyCommitted),
            (Wanted::Commit, Fate::Aborted) => Ok(CommitOutcome::Lost(found)),
            (Wanted::Commit, Fate::Gone) if !self.is_doubtful => Ok(CommitOutcome::Lost(found)),
            (Wanted::Abort, Fate::Aborted | Fate::Gone) => Ok(CommitOutcome::Lost(found)),
            (Wanted::Abort, Fate::Committed) => {
                Err(self.unresolved(format!("it is committed and cannot be aborted any more: {found}")))
            }
            _ => Err(self
                .unresolved(format!(
                    "whether it was committed cannot be told; compare the output or the group's committed marker: {found}"
                ))
                .with_maybe_applied(true)),
        })
    }

    /// DescribeTransactions failed: nothing is known that was not known before.
    pub(super) fn handle_undescribed(&mut self, error: Error) -> Step {
        let is_retriable = error.is_retriable();
        let outer = self.unresolved("what became of it could not be asked".into()).with_source(error);
        let recovery = if is_retriable { Recovery::Retry } else { Recovery::Reconfigure };
        Step::Done(Err(outer.with_recovery(recovery).with_maybe_applied(true)))
    }

    /// The deadline has passed between two attempts.
    pub(super) fn out_of_time(&self) -> Error {
        let id = &self.prepared.transactional_id;
        let error = Error::new(self.operation(), ErrorKind::Timeout, id, "not done within default.api.timeout.ms");
        let error = error.with_maybe_applied(self.is_doubtful);
        match &self.last {
            Some(last) => error.with_source(last.clone()),
            None => error,
        }
    }

    /// An error that no retry mends: the next call would know less than this one, not more.
    fn unresolved(&self, detail: String) -> Error {
        let kind = self.last.as_ref().map_or(ErrorKind::State, Error::kind);
        let error = Error::new(self.operation(), kind, &self.prepared.transactional_id, detail);
        error.with_recovery(Recovery::Reconfigure)
    }

    /// Our transaction and what the coordinator says of its id, as one sentence.
    fn found(&self, described: &Described, now_ms: i64) -> String {
        let code =
            self.last.as_ref().and_then(Error::code).map_or(String::new(), |code| format!("EndTxn got {code}, "));
        let said = match described {
            Described::As(found) => {
                let (id, epoch) = (found.producer.producer_id, found.producer.producer_epoch);
                format!("its id is {} at producer id {id}, epoch {epoch}", found.state)
            }
            Described::Unknown => "its coordinator does not know the id".into(),
            Described::Unsaid => "the broker is too old to describe it".into(),
        };
        format!("{}: {code}{said}", self.prepared.summary(now_ms))
    }
}

/// Reads our transaction's fate off the state of its id (KIP-664; `TransactionState.java`).
fn fate(prepared: &PreparedTransaction, described: &Described) -> Fate {
    let found = match described {
        Described::As(found) => found,
        Described::Unknown => return Fate::Gone,
        Described::Unsaid => return Fate::Unclear,
    };
    let same = found.producer == prepared.producer;
    // Under the rules of version 2 a transaction ends with the next epoch (KIP-890); in version 1 it keeps its own.
    let is_bumped = prepared.transaction_version == TransactionVersion::V2
        && found.producer.producer_id == prepared.producer.producer_id
        && prepared.producer.producer_epoch.checked_add(1) == Some(found.producer.producer_epoch);
    match found.state.as_str() {
        "PrepareCommit" | "CompleteCommit" if same || is_bumped => Fate::Committed,
        // A later transaction of the id ended well. That says nothing of ours.
        "PrepareCommit" | "CompleteCommit" => Fate::Unclear,
        "Ongoing" if same => Fate::Open,
        // The epoch that follows from our own end, whichever it was: the same producer has gone on.
        "Ongoing" | "Empty" if is_bumped => Fate::Unclear,
        // After a commit under version 2 the next transaction's abort would be another epoch further.
        "PrepareAbort" | "CompleteAbort" if is_bumped => Fate::Aborted,
        "PrepareAbort" | "CompleteAbort" | "PrepareEpochFence" | "Ongoing" | "Empty" | "Dead" => Fate::Gone,
        _ => Fate::Unclear,
    }
}
