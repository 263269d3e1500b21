//! The coordinator of a running job: hands splits to tasks, draws barriers, makes checkpoints durable and commits them.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::aligned::Aligned;
use super::commit::{OnLost, commit_all};
use super::progress::Progress;
use super::task::{FromTask, ToTask};
use crate::connection::BoxFuture;
use crate::connector::checkpoint::{CheckpointStore, Manifest, write_savepoint};
use crate::connector::{Command, Enumerator, Epoch, Sink, Source, TaskId};
use crate::error::{Error, ErrorKind, Operation, Result};

/// How long tasks may take to abort what is open once the job ends.
const CLOSE_PATIENCE: Duration = Duration::from_secs(5);

/// What a person asks of a running job.
#[derive(Debug)]
pub(super) enum Request {
    /// One more checkpoint, then end.
    Stop,
    /// A checkpoint in a directory of its own.
    Savepoint(PathBuf, oneshot::Sender<Result<()>>),
}

type Report<S, K> = (TaskId, FromTask<<S as Source>::Split, <K as Sink>::Committable, <K as Sink>::State>);

/// A durable checkpoint whose committables are on their way.
struct Committing {
    manifest: Manifest,
    done: BoxFuture<'static, Result<usize>>,
}

/// What a coordinator is built from.
pub(super) struct Parts<S: Source, K: Sink> {
    pub(super) job: String,
    pub(super) enumerator: S::Enumerator,
    pub(super) committer: Arc<K::Committer>,
    pub(super) store: Option<CheckpointStore>,
    pub(super) tasks: BTreeMap<TaskId, mpsc::UnboundedSender<ToTask<S::Split>>>,
    pub(super) reports: mpsc::UnboundedReceiver<Report<S, K>>,
    pub(super) requests: mpsc::UnboundedReceiver<Request>,
    pub(super) interval: Duration,
    pub(super) on_lost: OnLost,
    pub(super) progress: Arc<Progress>,
}

pub(super) struct Coordinator<S: Source, K: Sink> {
    parts: Parts<S, K>,
    next_epoch: Epoch,
    next_barrier: Instant,
    aligning: Option<Aligned<S::Split, K::Committable, K::State>>,
    committing: Option<Committing>,
    /// Tasks whose every split is read to its end.
    ended: Vec<TaskId>,
    /// The epoch after which the job ends, once that is decided.
    last: Option<Epoch>,
    is_stopping: bool,
    savepoints: Vec<(PathBuf, oneshot::Sender<Result<()>>)>,
}

impl<S: Source, K: Sink> Coordinator<S, K> {
    pub(super) fn new(parts: Parts<S, K>, next_epoch: Epoch) -> Self {
        let next_barrier = Instant::now() + parts.interval;
        Coordinator {
            parts,
            next_epoch,
            next_barrier,
            aligning: None,
            committing: None,
            ended: Vec::new(),
            last: None,
            is_stopping: false,
            savepoints: Vec::new(),
        }
    }

    /// Runs until the source ends, somebody stops the job, or anything fails. Tasks are closed in every case.
    pub(super) async fn run(mut self) -> Result<()> {
        let tasks: Vec<TaskId> = self.parts.tasks.keys().copied().collect();
        tasks.iter().for_each(|id| self.parts.enumerator.reader_up(*id));
        let result = self.work().await;
        self.close().await;
        result
    }

    async fn work(&mut self) -> Result<()> {
        while !self.is_over() {
            tokio::select! {
                biased;
                Some((from, report)) = self.parts.reports.recv() => self.handle_report(from, report)?,
                done = committed(&mut self.committing) => self.handle_committed(done?)?,
                command = poll_fn(|cx| self.parts.enumerator.poll_command(cx)) => self.handle_command(command?),
                Some(request) = self.parts.requests.recv() => self.handle_request(request),
                () = tokio::time::sleep_until(self.next_barrier), if self.is_idle() => self.draw_barrier(),
            }
            if self.is_idle() && self.wants_barrier_now() {
                self.draw_barrier();
            }
        }
        Ok(())
    }

    fn is_idle(&self) -> bool {
        self.aligning.is_none() && self.committing.is_none() && self.last.is_none()
    }

    fn is_over(&self) -> bool {
        self.last.is_some() && self.aligning.is_none() && self.committing.is_none()
    }

    fn is_at_end(&self) -> bool {
        self.ended.len() == self.parts.tasks.len()
    }

    fn wants_barrier_now(&self) -> bool {
        self.is_stopping || self.is_at_end() || !self.savepoints.is_empty()
    }

    fn handle_command(&mut self, command: Command<S::Split>) {
        match command {
            Command::Assign { to, splits } => {
                self.ended.retain(|id| *id != to);
                self.tell(to, ToTask::Assign(splits));
            }
            Command::Revoke { from, ids } => self.tell(from, ToTask::Revoke(ids)),
            Command::NoMoreSplits { to } => self.tell(to, ToTask::NoMoreSplits),
        }
    }

    fn handle_request(&mut self, request: Request) {
        match request {
            Request::Stop => self.is_stopping = true,
            Request::Savepoint(directory, done) => self.savepoints.push((directory, done)),
        }
    }

    fn handle_report(&mut self, from: TaskId, report: FromTask<S::Split, K::Committable, K::State>) -> Result<()> {
        match report {
            FromTask::Returned(splits) => self.parts.enumerator.returned(from, splits),
            FromTask::Finished(ids) => self.parts.enumerator.finished(from, ids),
            FromTask::Ended => self.ended.push(from),
            FromTask::Closed(result) => {
                let over =
                    Error::new(Operation::Job, ErrorKind::Closed, &self.parts.job, format!("task {} ended", from.0));
                return result.and(Err(over));
            }
            FromTask::Snapshot(epoch, splits) => {
                if let Some(aligning) = &mut self.aligning {
                    aligning.handle_snapshot(from, epoch, splits);
                }
            }
            FromTask::Sealed(epoch, sealed) => {
                if let Some(aligning) = &mut self.aligning {
                    aligning.handle_sealed(from, epoch, sealed);
                }
            }
        }
        match self.aligning.take() {
            Some(whole) if whole.is_whole() => self.persist(whole),
            unfinished => {
                self.aligning = unfinished;
                Ok(())
            }
        }
    }

    /// Triggered: takes the enumerator's part and tells every task.
    fn draw_barrier(&mut self) {
        let epoch = self.next_epoch;
        self.next_epoch = epoch.next();
        self.next_barrier = Instant::now() + self.parts.interval;
        if self.is_stopping || self.is_at_end() {
            self.last = Some(epoch);
        }
        let (state, splits) = self.parts.enumerator.snapshot(epoch);
        let tasks: Vec<TaskId> = self.parts.tasks.keys().copied().collect();
        self.aligning = Some(Aligned::new(epoch, &state, splits, &tasks));
        tasks.into_iter().for_each(|id| self.tell(id, ToTask::Barrier(epoch)));
    }

    /// Sealed -> Persisted -> Committing.
    fn persist(&mut self, whole: Aligned<S::Split, K::Committable, K::State>) -> Result<()> {
        let (manifest, committables) = whole.into_manifest(&self.parts.job);
        if let Some(store) = &self.parts.store {
            blocking(|| store.persist(&manifest))?;
        }
        let (committer, on_lost) = (self.parts.committer.clone(), self.parts.on_lost);
        let done = Box::pin(async move { commit_all(&*committer, committables, on_lost).await });
        self.committing = Some(Committing { manifest, done });
        Ok(())
    }

    /// Committing -> Finalized: recorded before anybody may use what took part again.
    fn handle_committed(&mut self, (manifest, commits): (Manifest, usize)) -> Result<()> {
        let epoch = Epoch(manifest.epoch);
        if let Some(store) = &self.parts.store {
            blocking(|| store.finalize(epoch))?;
        }
        self.parts.progress.add_commits(commits);
        self.parts.progress.finalize(epoch.0);
        tracing::debug!(job = self.parts.job, epoch = epoch.0, commits, "checkpoint finalized");
        let committed = Manifest { committables: Vec::new(), ..manifest };
        for (directory, done) in self.savepoints.drain(..) {
            let _ = done.send(blocking(|| write_savepoint(&directory, &committed)));
        }
        let tasks: Vec<TaskId> = self.parts.tasks.keys().copied().collect();
        tasks.into_iter().for_each(|id| self.tell(id, ToTask::Finalized(epoch)));
        Ok(())
    }

    /// A task that is gone has reported why, or will.
    fn tell(&self, to: TaskId, what: ToTask<S::Split>) {
        if let Some(task) = self.parts.tasks.get(&to) {
            let _ = task.send(what);
        }
    }

    async fn close(&mut self) {
        let tasks: Vec<TaskId> = self.parts.tasks.keys().copied().collect();
        tasks.iter().for_each(|id| self.tell(*id, ToTask::Close));
        self.parts.tasks.clear();
        let all_closed = async { while self.parts.reports.recv().await.is_some() {} };
        let _ = tokio::time::timeout(CLOSE_PATIENCE, all_closed).await;
    }
}

/// The outcome of the commit that is on its way; never, while there is none.
async fn committed(committing: &mut Option<Committing>) -> Result<(Manifest, usize)> {
    let Some(running) = committing else { return std::future::pending().await };
    let commits = (&mut running.done).await;
    let manifest = committing.take().map(|c| c.manifest).unwrap_or_default();
    Ok((manifest, commits?))
}

/// Runs disk work without holding up other tasks, where the runtime has a thread to spare.
fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}
