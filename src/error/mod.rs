//! One error type that answers three questions: what should I do, may it have happened, what did the broker say.

mod classify;
mod codes;

use std::fmt;
use std::sync::Arc;

pub use classify::classify;
pub use codes::{Class, ErrorCode};

/// The result of every public operation.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why an operation failed.
///
/// `Clone` is a reference count: a failed batch gives the same error to each of its records. `Display` is a sentence
/// that names the operation, its subject (partition, broker, group, setting), the cause and the way out.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    operation: Operation,
    kind: ErrorKind,
    subject: String,
    detail: String,
    maybe_applied: bool,
    recovery: Recovery,
    source: Option<Error>,
}

/// What was being done when an error came up. The same code means different things to different operations.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Operation {
    /// Opening a connection: name lookup, socket, handshake.
    Connect,
    /// Learning topics, leaders and coordinators.
    Metadata,
    /// Writing records.
    Produce,
    /// Reading records.
    Fetch,
    /// Looking offsets up (beginning, end, by time).
    ListOffsets,
    /// Writing a group's offsets.
    OffsetCommit,
    /// Reading a group's offsets.
    OffsetFetch,
    /// Getting a producer id, which also fences and aborts what the id had open.
    InitProducerId,
    /// Adding partitions or offsets to a transaction.
    AddToTransaction,
    /// Committing a transaction.
    Commit,
    /// Aborting a transaction.
    Abort,
    /// An administrative request.
    Admin,
    /// Reading settings.
    Config,
    /// Writing or reading a checkpoint.
    Checkpoint,
    /// Running a job of the connector.
    Job,
}

impl Operation {
    /// How the operation is called in messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::Metadata => "metadata",
            Self::Produce => "produce",
            Self::Fetch => "fetch",
            Self::ListOffsets => "list offsets",
            Self::OffsetCommit => "commit offsets",
            Self::OffsetFetch => "fetch offsets",
            Self::InitProducerId => "init producer id",
            Self::AddToTransaction => "add to transaction",
            Self::Commit => "commit transaction",
            Self::Abort => "abort transaction",
            Self::Admin => "admin",
            Self::Config => "config",
            Self::Checkpoint => "checkpoint",
            Self::Job => "job",
        }
    }
}

/// What went wrong, apart from what to do about it.
#[non_exhaustive]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ErrorKind {
    /// The broker answered with this code.
    Broker(ErrorCode),
    /// The connection could not be made or broke.
    Network,
    /// No answer before the deadline.
    Timeout,
    /// A peer's bytes broke the protocol.
    Protocol,
    /// Who the peer is, or who may read what is said to it, cannot be trusted: certificates, TLS, its part of SASL.
    Security,
    /// The broker does not offer what the operation needs.
    Unsupported,
    /// A setting or an argument is wrong.
    Invalid,
    /// The object was closed, or failed before and stays failed.
    Closed,
    /// A file or directory could not be used.
    Io,
    /// Stored state is damaged or somebody else's.
    State,
    /// A transaction that was to be committed is gone; its records are lost.
    LostTransaction,
}

/// What to do about an error: exactly one answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Recovery {
    /// The same call on the same object may succeed later.
    Retry,
    /// Abort the transaction, rewind the input, begin again.
    AbortTransaction,
    /// Drop this object and build a new one from the last checkpoint.
    Recreate,
    /// A person must change something: a setting, a permission, a topic, a broker.
    Reconfigure,
    /// One side broke the protocol; report it with the captured frame.
    Bug,
}

impl Error {
    /// An error of `kind` in `operation` on `subject` (a partition, broker, group or setting; may be empty).
    ///
    /// Its recovery is the kind's usual one (for a broker's code, [`classify()`]'s); [`Error::with_recovery`] overrides it.
    pub fn new(operation: Operation, kind: ErrorKind, subject: impl Into<String>, detail: impl Into<String>) -> Self {
        let recovery = match kind {
            ErrorKind::Broker(code) => classify(operation, code),
            ErrorKind::Network | ErrorKind::Timeout => Recovery::Retry,
            ErrorKind::Protocol => Recovery::Bug,
            ErrorKind::Security | ErrorKind::Unsupported | ErrorKind::Invalid | ErrorKind::Io => Recovery::Reconfigure,
            ErrorKind::Closed => Recovery::Recreate,
            ErrorKind::State | ErrorKind::LostTransaction => Recovery::Reconfigure,
        };
        let (subject, detail) = (subject.into(), detail.into());
        Error(Arc::new(Inner { operation, kind, subject, detail, maybe_applied: false, recovery, source: None }))
    }

    /// The broker answered `code` to `operation` on `subject`.
    pub fn broker(operation: Operation, code: ErrorCode, subject: impl Into<String>) -> Self {
        Self::new(operation, ErrorKind::Broker(code), subject, "")
    }

    /// A setting or argument is wrong; `detail` says what is allowed.
    pub fn invalid(subject: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(Operation::Config, ErrorKind::Invalid, subject, detail)
    }

    /// The same error, with whether the broker may have done what was asked.
    pub fn with_maybe_applied(self, maybe_applied: bool) -> Self {
        self.edit(|inner| inner.maybe_applied = maybe_applied)
    }

    /// The same error with another answer to what should be done.
    pub fn with_recovery(self, recovery: Recovery) -> Self {
        self.edit(|inner| inner.recovery = recovery)
    }

    /// The same error with words added about the cause or the way out.
    pub fn with_detail(self, detail: impl Into<String>) -> Self {
        let detail = detail.into();
        self.edit(|inner| inner.detail = detail)
    }

    /// The same error, caused by `source`.
    pub fn with_source(self, source: Error) -> Self {
        self.edit(|inner| inner.source = Some(source))
    }

    fn edit(self, change: impl FnOnce(&mut Inner)) -> Self {
        let mut inner = Arc::try_unwrap(self.0).unwrap_or_else(|shared| shared.copy());
        change(&mut inner);
        Error(Arc::new(inner))
    }

    /// What should I do? Exactly one answer.
    pub fn recovery(&self) -> Recovery {
        self.0.recovery
    }

    /// May the broker have done it? True once the request's bytes left and no answer said otherwise.
    pub fn maybe_applied(&self) -> bool {
        self.0.maybe_applied
    }

    /// What did the broker say? Its code, if it answered (here or in the cause).
    pub fn code(&self) -> Option<ErrorCode> {
        match self.0.kind {
            ErrorKind::Broker(code) => Some(code),
            _ => self.0.source.as_ref().and_then(Error::code),
        }
    }

    /// What went wrong.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What was being done.
    pub fn operation(&self) -> Operation {
        self.0.operation
    }

    /// Whether trying the same call again may help.
    pub fn is_retriable(&self) -> bool {
        self.recovery() == Recovery::Retry
    }
}

impl Inner {
    fn copy(&self) -> Inner {
        Inner {
            operation: self.operation,
            kind: self.kind,
            subject: self.subject.clone(),
            detail: self.detail.clone(),
            maybe_applied: self.maybe_applied,
            recovery: self.recovery,
            source: self.source.clone(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        f.write_str(inner.operation.name())?;
        if !inner.subject.is_empty() {
            write!(f, " {}", inner.subject)?;
        }
        match inner.kind {
            ErrorKind::Broker(code) => write!(f, ": the broker answered {code}")?,
            _ if inner.detail.is_empty() => write!(f, ": {:?}", inner.kind)?,
            _ => {}
        }
        if !inner.detail.is_empty() {
            write!(f, ": {}", inner.detail)?;
        }
        if let Some(source) = &inner.source {
            write!(f, " (because {source})")?;
        }
        if inner.maybe_applied {
            f.write_str("; it may have been applied all the same")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self}; {:?}, {:?})", self.0.kind, self.0.recovery)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|e| e as _)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_a_sentence_and_answers_its_three_questions() {
        let e = Error::broker(Operation::Commit, ErrorCode::INVALID_PRODUCER_EPOCH, "etl-0")
            .with_detail("another producer took over; recreate the producer")
            .with_maybe_applied(true);
        assert_eq!(
            e.to_string(),
            "commit transaction etl-0: the broker answered INVALID_PRODUCER_EPOCH (47): another producer took over; \
             recreate the producer; it may have been applied all the same"
        );
        assert_eq!(e.recovery(), Recovery::Recreate);
        assert_eq!(e.code(), Some(ErrorCode(47)));
        assert!(e.maybe_applied());
    }

    #[test]
    fn editing_a_shared_error_leaves_the_other_copy_alone() {
        let first = Error::invalid("acks", "one of all, 0, 1");
        let second = first.clone().with_maybe_applied(true);
        assert!(!first.maybe_applied() && second.maybe_applied());
    }
}
