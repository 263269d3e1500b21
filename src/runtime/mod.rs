//! The embedded host: runs source -> operators -> sink at a parallelism, with aligned checkpoints, on tokio.
//!
//! A connector host, not a stream processor: no shuffles, no keyed state. Each task chains one reader to one writer.

mod aligned;
mod commit;
mod coordinator;
mod operators;
mod progress;
mod start;
mod task;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::connector::{OutRecord, Records, Sink, Source, TaskId};
use crate::error::{Error, ErrorKind, Operation, Result};
use coordinator::{Coordinator, Parts, Request};
use operators::Operators;
use start::{Begin, StartFrom};
use task::Task;

pub use commit::OnLost;
pub use operators::{Emit, Mapped};
pub use progress::Progress;

/// A job: a source, what happens to its records, and a sink.
pub struct Job<S, K> {
    name: String,
    source: S,
    sink: K,
    operators: Operators,
    parallelism: u32,
    directory: Option<PathBuf>,
    savepoint: Option<PathBuf>,
    interval: Duration,
    on_lost: OnLost,
}

impl<S, K> Job<S, K>
where
    S: Source<Batch: Records>,
    K: Sink<Batch = Box<dyn Records>>,
{
    /// A job of one task without checkpoints on disk. Its name marks its checkpoints as its own.
    pub fn new(name: impl Into<String>, source: S, sink: K) -> Self {
        Job {
            name: name.into(),
            source,
            sink,
            operators: Operators::default(),
            parallelism: 1,
            directory: None,
            savepoint: None,
            interval: Duration::from_secs(1),
            on_lost: OnLost::Fail,
        }
    }

    /// Lets through only the records the predicate holds for.
    pub fn filter(mut self, keep: impl Fn(&OutRecord<'_>) -> bool + Send + Sync + 'static) -> Self {
        self.operators.push(move |record, emit| if keep(&record) { emit(record) } else { Ok(()) });
        self
    }

    /// Replaces key and value (and the topic, if one is given); headers and timestamp stay.
    pub fn map(mut self, map: impl Fn(&OutRecord<'_>) -> Result<Mapped> + Send + Sync + 'static) -> Self {
        self.operators.push(move |record, emit| {
            let by = map(&record)?;
            emit(operators::mapped(record, &by))
        });
        self
    }

    /// Gives any number of records for each one, by calling `emit` for each.
    pub fn flat_map(mut self, f: impl Fn(OutRecord<'_>, Emit<'_>) -> Result<()> + Send + Sync + 'static) -> Self {
        self.operators.push(f);
        self
    }

    /// How many readers and writers there are. A checkpoint restores at any parallelism.
    pub fn parallelism(mut self, tasks: u32) -> Self {
        self.parallelism = tasks.max(1);
        self
    }

    /// Checkpoints go to this directory every `interval`; the job restarts from the newest one in it.
    pub fn checkpoints(mut self, directory: impl Into<PathBuf>, interval: Duration) -> Self {
        self.directory = Some(directory.into());
        self.interval = interval;
        self
    }

    /// Without a directory: how often records are flushed and the group's offsets committed.
    pub fn flush_every(mut self, interval: Duration) -> Self {
        self.interval = interval;
        self
    }

    /// Begins from a savepoint where the checkpoint directory holds no checkpoint yet.
    pub fn from_savepoint(mut self, directory: impl Into<PathBuf>) -> Self {
        self.savepoint = Some(directory.into());
        self
    }

    /// What happens when a transaction that a checkpoint counts on is gone. The default ends the job.
    pub fn on_lost(mut self, on_lost: OnLost) -> Self {
        self.on_lost = on_lost;
        self
    }

    /// Recovers and starts the job on the current tokio runtime. Dropping the handle stops it without a checkpoint.
    ///
    /// Fails before anything is read if the sink refuses its settings, the directory is not usable, is another job's or
    /// in use, or a transaction that was pending is lost.
    pub async fn start(self) -> Result<JobHandle> {
        let progress = Arc::new(Progress::default());
        let from = StartFrom {
            job: &self.name,
            directory: self.directory.as_deref(),
            savepoint: self.savepoint.as_deref(),
            interval: self.interval,
            parallelism: self.parallelism,
            on_lost: self.on_lost,
        };
        let begin = start::start::<S, K>(from, &self.source, &self.sink, &progress).await?;
        let (requests, requested) = mpsc::unbounded_channel();
        let coordinator = self.spawn_tasks(begin, requested, progress.clone())?;
        Ok(JobHandle { requests, progress, coordinator: AbortOnDrop(tokio::spawn(coordinator.run())) })
    }

    /// Starts, and runs until the source ends or anything fails.
    pub async fn run(self) -> Result<()> {
        self.start().await?.wait().await
    }

    fn spawn_tasks(
        self,
        begin: Begin<S, K>,
        requests: mpsc::UnboundedReceiver<Request>,
        progress: Arc<Progress>,
    ) -> Result<Coordinator<S, K>> {
        let enumerator = self.source.enumerator(begin.source)?;
        let (reports, reported) = mpsc::unbounded_channel();
        let mut tasks = BTreeMap::new();
        for (number, state) in (0..).zip(begin.writers) {
            let id = TaskId(number);
            let chained = (id, self.source.reader(id)?, self.sink.writer(id, state)?);
            let task = Task::new(chained, begin.epoch, self.operators.clone(), reports.clone(), progress.clone());
            let (tell, told) = mpsc::unbounded_channel();
            tokio::spawn(task.run(told));
            tasks.insert(id, tell);
        }
        let parts = Parts {
            job: self.name,
            enumerator,
            committer: Arc::new(self.sink.committer()),
            store: begin.store,
            tasks,
            reports: reported,
            requests,
            interval: self.interval,
            on_lost: self.on_lost,
            progress,
        };
        Ok(Coordinator::new(parts, begin.epoch))
    }
}

/// A running job.
#[derive(Debug)]
pub struct JobHandle {
    requests: mpsc::UnboundedSender<Request>,
    progress: Arc<Progress>,
    coordinator: AbortOnDrop,
}

#[derive(Debug)]
struct AbortOnDrop(JoinHandle<Result<()>>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl JobHandle {
    /// Counters, readable at any time.
    pub fn progress(&self) -> &Arc<Progress> {
        &self.progress
    }

    /// Takes a last checkpoint and ends; [`wait`](JobHandle::wait) tells how.
    pub fn stop(&self) {
        self.stopper().stop();
    }

    /// Something that can stop the job while another task waits for it.
    pub fn stopper(&self) -> Stopper {
        Stopper(self.requests.clone())
    }

    /// Writes a savepoint into an empty directory: a checkpoint to start a job from, at any parallelism.
    pub async fn savepoint(&self, directory: impl Into<PathBuf>) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        let _ = self.requests.send(Request::Savepoint(directory.into(), done));
        let over =
            |_| Error::new(Operation::Job, ErrorKind::Closed, "", "the job ended before the savepoint was complete");
        is_done.await.map_err(over)?
    }

    /// Waits until the source has ended, the job was stopped, or it failed. Safe to drop, which ends the job.
    pub async fn wait(mut self) -> Result<()> {
        match (&mut self.coordinator.0).await {
            Ok(result) => result,
            Err(e) => Err(Error::new(Operation::Job, ErrorKind::Closed, "", format!("the coordinator ended: {e}"))),
        }
    }
}

/// Stops a job from elsewhere.
#[derive(Clone, Debug)]
pub struct Stopper(mpsc::UnboundedSender<Request>);

impl Stopper {
    /// Takes a last checkpoint and ends the job. Does nothing to a job that has ended.
    pub fn stop(&self) {
        let _ = self.0.send(Request::Stop);
    }
}
