//! The traits between sources, hosts and sinks: polled, never blocking, each fact owned by one side.
//!
//! Public polls touch only channels and wakers, so a tokio task, a timely worker and a hand-written loop can drive them.
//! A host restores by giving every split to the enumerator; readers always start empty (so rescaling, a changed
//! subscription and a moved split are one code path).

pub mod checkpoint;
pub mod kafka;
mod records;
mod versioned;

use std::fmt::Debug;
use std::hash::Hash;
use std::task::{Context, Poll};

use crate::connection::BoxFuture;
use crate::error::{Error, Result};

pub use records::{OutRecord, Records, Shaped};
pub use versioned::{Decoder, Versioned};

/// A checkpoint's number, from 1: the records between two barriers belong to one epoch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after this one.
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// Which reader or writer of a job, from 0 to its parallelism.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct TaskId(pub u32);

/// A part of a source that one reader reads on its own, with the position to go on from.
pub trait Split: Versioned + Clone + Send + 'static {
    /// What names the split, whatever its position.
    type Id: Ord + Hash + Clone + Debug + Send + 'static;

    /// The split's name.
    fn id(&self) -> Self::Id;
}

/// Where records come from: a factory of one enumerator and of a reader per task.
pub trait Source: Send + Sync + 'static {
    /// The parts it is read in.
    type Split: Split;
    /// What a reader gives: records of one split.
    type Batch: Send + 'static;
    /// What the enumerator keeps beside the splits.
    type EnumState: Versioned + Send + 'static;
    /// Its enumerator.
    type Enumerator: Enumerator<Split = Self::Split, State = Self::EnumState>;
    /// Its readers.
    type Reader: Reader<Split = Self::Split, Batch = Self::Batch>;

    /// The enumerator, fresh or with everything a checkpoint held: its own state and every split at its position.
    fn enumerator(&self, restored: Option<(Self::EnumState, Vec<Self::Split>)>) -> Result<Self::Enumerator>;

    /// Refuses settings and names that cannot work, before anything is read.
    fn check<'a>(&'a self) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// A reader, without splits.
    fn reader(&self, id: TaskId) -> Result<Self::Reader>;
}

/// What the enumerator wants done with splits.
#[derive(Clone, Debug)]
pub enum Command<S: Split> {
    /// Give these splits to a reader.
    Assign {
        /// The reader.
        to: TaskId,
        /// The splits, at the positions to begin at.
        splits: Vec<S>,
    },
    /// Take these splits from a reader and hand them to [`Enumerator::returned`].
    Revoke {
        /// The reader.
        from: TaskId,
        /// The splits.
        ids: Vec<S::Id>,
    },
    /// No split will ever be assigned to this reader again; it ends once those it has are finished.
    NoMoreSplits {
        /// The reader.
        to: TaskId,
    },
}

/// The only owner of which splits exist and where they are.
pub trait Enumerator: Send + 'static {
    /// The splits.
    type Split: Split;
    /// What it keeps beside them.
    type State: Versioned;

    /// The next command. Pending for as long as nothing is to be done.
    fn poll_command(&mut self, cx: &mut Context<'_>) -> Poll<Result<Command<Self::Split>>>;

    /// A reader is there and can be given splits.
    fn reader_up(&mut self, id: TaskId);

    /// A reader is gone; its splits, at these positions, are the enumerator's again.
    fn reader_down(&mut self, id: TaskId, splits: Vec<Self::Split>);

    /// Splits that a reader gave back at these positions.
    fn returned(&mut self, from: TaskId, splits: Vec<Self::Split>);

    /// Splits that were read to their end.
    fn finished(&mut self, from: TaskId, ids: Vec<<Self::Split as Split>::Id>);

    /// Its state and every split it knows, at the position it last heard of; the host overlays what readers hold.
    fn snapshot(&mut self, epoch: Epoch) -> (Self::State, Vec<Self::Split>);
}

/// What a reader gives when polled.
#[derive(Debug)]
pub enum Event<B, I> {
    /// Records of one split.
    Batch(B),
    /// The split has nothing more for now: evidence for idleness, not a guess.
    CaughtUp(I),
    /// The split was read to its stop position.
    Finished(I),
    /// Every split is finished and no more will come.
    End,
}

/// Reads splits. Not polling it is backpressure.
pub trait Reader: Send + 'static {
    /// The splits.
    type Split: Split;
    /// What it gives.
    type Batch: Send + 'static;

    /// The next event. Pending while there is none.
    #[allow(clippy::type_complexity, reason = "the id type is the split's own")]
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<Self::Batch, <Self::Split as Split>::Id>>>;

    /// Takes splits, to be read from their positions.
    fn assign(&mut self, splits: Vec<Self::Split>);

    /// Gives splits back at the positions `poll_next` has reached.
    fn revoke(&mut self, ids: &[<Self::Split as Split>::Id]) -> Vec<Self::Split>;

    /// No split will be assigned again.
    fn no_more_splits(&mut self);

    /// Pauses or resumes a split without losing what was fetched.
    fn set_paused(&mut self, id: &<Self::Split as Split>::Id, paused: bool);

    /// Every split it holds, at exactly what `poll_next` has returned so far.
    fn snapshot(&mut self, epoch: Epoch) -> Vec<Self::Split>;

    /// The checkpoint is complete: what was read before it will not be read again (commit group offsets now).
    fn finalized(&mut self, epoch: Epoch);

    /// Ready when what `finalized` began in the background is done.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()>;
}

/// What a sealed epoch leaves behind.
#[derive(Debug)]
pub struct Sealed<C, S> {
    /// What must be committed for the epoch's records to count.
    pub committables: Vec<C>,
    /// What the writer needs to go on after a restart.
    pub state: S,
}

/// Writes records of epochs.
pub trait Writer: Send + 'static {
    /// What it takes.
    type Batch: Send + 'static;
    /// What commits an epoch.
    type Committable;
    /// What it keeps.
    type State;

    /// Ready when another batch may be written; drives what was written before.
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;

    /// Takes a batch into an epoch. Call it only after `poll_ready` was ready.
    fn write(&mut self, epoch: Epoch, batch: Self::Batch) -> Result<()>;

    /// Ready when everything written to `epoch` is flushed: acknowledged, and in the hands of the committables.
    fn poll_seal(&mut self, cx: &mut Context<'_>, epoch: Epoch)
    -> Poll<Result<Sealed<Self::Committable, Self::State>>>;

    /// The epoch's committables are committed.
    fn finalized(&mut self, epoch: Epoch);

    /// Ready when everything is released; an epoch that was not sealed is aborted.
    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>>;
}

/// How one committable ended.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// Committed now.
    Committed,
    /// Had been committed before.
    AlreadyCommitted,
    /// Not yet known: try again.
    Retry(Error),
    /// Not committed and not lost: a person must change something, then a restart commits it.
    Refused(Error),
    /// Its records are gone; the error names them.
    Lost(Error),
}

/// Commits what writers sealed: stateless and idempotent, from any process.
pub trait Committer: Send + Sync + 'static {
    /// What it commits.
    type Committable: Send;

    /// Commits in parallel; one outcome for each, in order.
    fn commit<'a>(&'a self, committables: &'a [Self::Committable]) -> BoxFuture<'a, Vec<Outcome>>;
}

/// What fencing came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Fenced<S> {
    /// The writers' states from here on.
    pub states: Vec<S>,
    /// Whether writers may start with them.
    pub is_settled: bool,
}

/// Where records go: a factory of writers and of a committer.
pub trait Sink: Send + Sync + 'static {
    /// What its writers take.
    type Batch: Send + 'static;
    /// What commits an epoch.
    type Committable: Versioned + Clone + Send + Sync + 'static;
    /// What a writer keeps across a restart: leases, written to the manifest before their first use.
    type State: Versioned + Clone + Send + Sync + 'static;
    /// Its writers.
    type Writer: Writer<Batch = Self::Batch, Committable = Self::Committable, State = Self::State>;
    /// Its committer.
    type Committer: Committer<Committable = Self::Committable>;

    /// Refuses settings that cannot work with a checkpoint every `checkpoint_interval`, before anything is read.
    fn check<'a>(&'a self, checkpoint_interval: std::time::Duration) -> BoxFuture<'a, Result<()>>;

    /// The states of `writers` writers for a first start or a restart: leases are kept and re-dealt, none is forgotten.
    ///
    /// Touches nothing outside; the host persists the result before [`fence`](Sink::fence).
    fn deal(&self, restored: Vec<Self::State>, writers: u32) -> Vec<Self::State>;

    /// Fences and aborts whatever earlier attempts may have left under these leases. Pending committables must have
    /// been committed before.
    ///
    /// Where the result is settled, the host persists its states, and writers may start. Else some lease is not fit for
    /// use: the host has the states dealt anew, persists that, and fences again.
    fn fence<'a>(&'a self, states: &'a [Self::State]) -> BoxFuture<'a, Result<Fenced<Self::State>>>;

    /// A writer with its state.
    fn writer(&self, id: TaskId, state: Self::State) -> Result<Self::Writer>;

    /// The committer.
    fn committer(&self) -> Self::Committer;
}
