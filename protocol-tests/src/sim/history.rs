//! What was asked of the client and what it said: one row per record, its value unlike any other.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use milena::producer::RecordMetadata;
use tokio::time::Instant;

/// What became of a send, as its caller was told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// No answer yet. In the end this is a violation, unless the producer was killed.
    Pending,
    /// Written, here.
    Acked {
        /// The partition.
        partition: i32,
        /// Its offset.
        offset: i64,
    },
    /// Definitely not written.
    Failed,
    /// May have been written.
    Unknown,
}

/// One record that was sent, or that a caller began to send and then went away.
#[derive(Clone, Debug)]
pub(super) struct Sent {
    /// Which producer (one incarnation of one).
    pub(super) producer: usize,
    /// The partition asked for, if one was.
    pub(super) partition: Option<i32>,
    /// Value, unique in the run.
    pub(super) value: Vec<u8>,
    /// Key.
    pub(super) key: Option<Vec<u8>>,
    /// Timestamp.
    pub(super) timestamp_ms: i64,
    /// The transaction it belongs to.
    pub(super) transaction: Option<usize>,
    /// When it was appended.
    pub(super) sent_at: Instant,
    /// How long the answer took.
    pub(super) took: Option<Duration>,
    /// The answer.
    pub(super) outcome: Outcome,
}

/// All rows, in the order the sends were made. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct History(Arc<Mutex<Vec<Sent>>>);

/// A row of the history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Row(usize);

impl History {
    fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new row, before the call is made.
    pub(super) fn begin(&self, sent: Sent) -> Row {
        let mut rows = self.lock();
        rows.push(sent);
        Row(rows.len() - 1)
    }

    /// Its number: a part of the next value.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The record was accepted now: its time begins.
    pub(super) fn appended(&self, row: Row) {
        self.lock()[row.0].sent_at = Instant::now();
    }

    /// The caller was told.
    pub(super) fn end(&self, row: Row, answer: &milena::Result<RecordMetadata>) {
        let outcome = match answer {
            Ok(at) => Outcome::Acked { partition: at.partition, offset: at.offset },
            Err(error) if error.maybe_applied() => Outcome::Unknown,
            Err(_) => Outcome::Failed,
        };
        self.settle(row, outcome);
    }

    /// The outcome is this, whoever knows it.
    pub(super) fn settle(&self, row: Row, outcome: Outcome) {
        let mut rows = self.lock();
        let sent = &mut rows[row.0];
        sent.took = Some(sent.sent_at.elapsed());
        sent.outcome = outcome;
    }

    /// The producer was killed: what it was not told may have happened.
    pub(super) fn killed(&self, producer: usize) {
        let pending = |sent: &&mut Sent| sent.producer == producer && sent.outcome == Outcome::Pending;
        self.lock().iter_mut().filter(pending).for_each(|sent| sent.outcome = Outcome::Unknown);
    }

    /// A copy of all rows.
    pub(super) fn rows(&self) -> Vec<Sent> {
        self.lock().clone()
    }
}
