//! One task of a job: a reader chained to a writer, with a barrier between epochs and no queue in between.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::operators::Operators;
use super::progress::Progress;
use crate::connector::{Epoch, Event, Reader, Records, Sealed, Split, TaskId, Writer};
use crate::error::{Error, ErrorKind, Operation, Result};

/// Batches moved in one go before other tasks of the thread have their turn.
const BATCHES_PER_TURN: usize = 16;

/// What the coordinator tells a task.
pub(super) enum ToTask<S: Split> {
    Assign(Vec<S>),
    Revoke(Vec<S::Id>),
    NoMoreSplits,
    Barrier(Epoch),
    Finalized(Epoch),
    Close,
}

/// What a task tells the coordinator.
pub(super) enum FromTask<S: Split, C, W> {
    /// The splits as they stood at the barrier.
    Snapshot(Epoch, Vec<S>),
    Sealed(Epoch, Sealed<C, W>),
    Returned(Vec<S>),
    Finished(Vec<S::Id>),
    /// Every split was read to its end.
    Ended,
    /// The task is over: closed, or failed.
    Closed(Result<()>),
}

pub(super) type Reports<R, W> =
    mpsc::UnboundedSender<(TaskId, FromTask<<R as Reader>::Split, <W as Writer>::Committable, <W as Writer>::State>)>;

pub(super) struct Task<R: Reader, W: Writer> {
    id: TaskId,
    reader: R,
    writer: W,
    operators: Operators,
    reports: Reports<R, W>,
    progress: Arc<Progress>,
    /// The epoch records are written to now.
    epoch: Epoch,
    sealing: Option<Epoch>,
    is_at_end: bool,
}

impl<R, W> Task<R, W>
where
    R: Reader<Batch: Records>,
    W: Writer<Batch = Box<dyn Records>>,
{
    pub(super) fn new(
        (id, reader, writer): (TaskId, R, W),
        epoch: Epoch,
        operators: Operators,
        reports: Reports<R, W>,
        progress: Arc<Progress>,
    ) -> Self {
        Self { id, reader, writer, operators, reports, progress, epoch, sealing: None, is_at_end: false }
    }

    /// Runs until it is told to close or fails. Reports are never waited for: a barrier's worth of them is small.
    pub(super) async fn run(mut self, mut commands: mpsc::UnboundedReceiver<ToTask<R::Split>>) {
        let mut end = End::<R, W> { id: self.id, reports: self.reports.clone(), result: Err(panicked()) };
        let result = self.work(&mut commands).await;
        let closed = poll_fn(|cx| self.writer.poll_close(cx)).await;
        poll_fn(|cx| self.reader.poll_close(cx)).await;
        end.result = result.and(closed);
    }

    async fn work(&mut self, commands: &mut mpsc::UnboundedReceiver<ToTask<R::Split>>) -> Result<()> {
        loop {
            tokio::select! {
                biased;
                command = commands.recv() => match command {
                    Some(ToTask::Close) | None => return Ok(()),
                    Some(command) => self.obey(command),
                },
                failed = poll_fn(|cx| self.poll(cx)) => return failed,
            }
        }
    }

    fn obey(&mut self, command: ToTask<R::Split>) {
        match command {
            ToTask::Assign(splits) => {
                self.is_at_end = false;
                self.reader.assign(splits);
            }
            ToTask::Revoke(ids) => {
                let splits = self.reader.revoke(&ids);
                self.report(FromTask::Returned(splits));
            }
            ToTask::NoMoreSplits => self.reader.no_more_splits(),
            ToTask::Barrier(epoch) => {
                let splits = self.reader.snapshot(epoch);
                self.report(FromTask::Snapshot(epoch, splits));
                self.sealing = Some(epoch);
                self.epoch = epoch.next();
            }
            ToTask::Finalized(epoch) => {
                self.reader.finalized(epoch);
                self.writer.finalized(epoch);
            }
            ToTask::Close => {}
        }
    }

    /// Moves batches and seals; ready only with a failure.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        for _ in 0..BATCHES_PER_TURN {
            let sealed = self.poll_seal(cx)?;
            let moved = self.poll_move(cx)?;
            if sealed.is_pending() && moved.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    fn poll_seal(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let Some(epoch) = self.sealing else { return Poll::Pending };
        let sealed = std::task::ready!(self.writer.poll_seal(cx, epoch))?;
        self.sealing = None;
        self.report(FromTask::Sealed(epoch, sealed));
        Poll::Ready(Ok(()))
    }

    fn poll_move(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.is_at_end {
            // Nothing to read, but what was written still wants driving.
            let _ = self.writer.poll_ready(cx)?;
            return Poll::Pending;
        }
        std::task::ready!(self.writer.poll_ready(cx))?;
        match std::task::ready!(self.reader.poll_next(cx))? {
            Event::Batch(batch) => {
                self.progress.add_batch(batch.wire_len());
                let batch = self.operators.apply(batch)?;
                self.writer.write(self.epoch, batch)?;
            }
            Event::CaughtUp(_) => {}
            Event::Finished(id) => self.report(FromTask::Finished(vec![id])),
            Event::End => {
                self.is_at_end = true;
                self.report(FromTask::Ended);
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A coordinator that is gone wants no reports.
    fn report(&self, report: FromTask<R::Split, W::Committable, W::State>) {
        let _ = self.reports.send((self.id, report));
    }
}

/// Reports how the task ended when it is dropped: also where a user's operator panicked, or the job would wait for ever.
struct End<R: Reader, W: Writer> {
    id: TaskId,
    reports: Reports<R, W>,
    result: Result<()>,
}

impl<R: Reader, W: Writer> Drop for End<R, W> {
    fn drop(&mut self) {
        let result = std::mem::replace(&mut self.result, Ok(()));
        let _ = self.reports.send((self.id, FromTask::Closed(result)));
    }
}

fn panicked() -> Error {
    Error::new(
        Operation::Job,
        ErrorKind::Closed,
        "",
        "a task panicked; its records since the last checkpoint are not committed",
    )
}
