//! The host against a source and a sink of plain memory: every promise of a checkpoint, without Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use super::{Job, OnLost};
use crate::connection::BoxFuture;
use crate::connector::checkpoint::CheckpointStore;
use crate::connector::*;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::record::NewRecord;

/// What the outside world holds: committed records, and what each lease has open.
#[derive(Default)]
struct World {
    /// Records of committed epochs, by the committable that brought them.
    committed: BTreeMap<Committable, Vec<Vec<u8>>>,
    prepared: BTreeMap<Committable, Vec<Vec<u8>>>,
    fenced: BTreeSet<u32>,
    loses: bool,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Committable {
    writer: u32,
    epoch: u64,
}

impl Versioned for Committable {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.writer.to_le_bytes());
        out.extend_from_slice(&self.epoch.to_le_bytes());
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        Ok(Committable { writer: from.u32()?, epoch: from.u64()? })
    }
}

/// A split of the numbers 0 to 200, at the next one.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Numbers {
    split: u8,
    next: u64,
}

impl Versioned for Numbers {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.split);
        out.extend_from_slice(&self.next.to_le_bytes());
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        Ok(Numbers { split: from.u8()?, next: from.u64()? })
    }
}

impl Split for Numbers {
    type Id = u8;

    fn id(&self) -> u8 {
        self.split
    }
}

struct NumbersSource;

struct NumbersEnumerator {
    readers: Vec<TaskId>,
    unassigned: Vec<Numbers>,
    finished: Vec<Numbers>,
    told: usize,
}

struct NumbersReader {
    splits: Vec<Numbers>,
    is_last: bool,
    pace: tokio::time::Interval,
}

impl Source for NumbersSource {
    type Split = Numbers;
    type Batch = Shaped;
    type EnumState = ();
    type Enumerator = NumbersEnumerator;
    type Reader = NumbersReader;

    fn enumerator(&self, restored: Option<((), Vec<Numbers>)>) -> Result<NumbersEnumerator> {
        let fresh = || (0..SPLITS).map(|split| Numbers { split, next: 0 }).collect();
        let unassigned = restored.map_or_else(fresh, |((), splits)| splits);
        Ok(NumbersEnumerator { readers: Vec::new(), unassigned, finished: Vec::new(), told: 0 })
    }

    fn reader(&self, _id: TaskId) -> Result<NumbersReader> {
        Ok(NumbersReader { splits: Vec::new(), is_last: false, pace: tokio::time::interval(Duration::from_millis(1)) })
    }
}

impl Enumerator for NumbersEnumerator {
    type Split = Numbers;
    type State = ();

    fn poll_command(&mut self, _cx: &mut Context<'_>) -> Poll<Result<Command<Numbers>>> {
        if let Some(split) = self.unassigned.pop() {
            let to = self.readers[usize::from(split.split) % self.readers.len()];
            return Poll::Ready(Ok(Command::Assign { to, splits: vec![split] }));
        }
        match self.readers.get(self.told) {
            Some(to) => {
                self.told += 1;
                Poll::Ready(Ok(Command::NoMoreSplits { to: *to }))
            }
            None => Poll::Pending,
        }
    }

    fn reader_up(&mut self, id: TaskId) {
        self.readers.push(id);
    }

    fn reader_down(&mut self, _id: TaskId, splits: Vec<Numbers>) {
        self.unassigned.extend(splits);
    }

    fn returned(&mut self, _from: TaskId, splits: Vec<Numbers>) {
        self.unassigned.extend(splits);
    }

    fn finished(&mut self, _from: TaskId, ids: Vec<u8>) {
        self.finished.extend(ids.into_iter().map(|split| Numbers { split, next: PER_SPLIT }));
    }

    fn snapshot(&mut self, _epoch: Epoch) -> ((), Vec<Numbers>) {
        ((), self.unassigned.iter().chain(&self.finished).cloned().collect())
    }
}

impl Reader for NumbersReader {
    type Split = Numbers;
    type Batch = Shaped;

    /// Seven numbers of one split a millisecond.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<Shaped, u8>>> {
        if let Some(done) = self.splits.iter().position(|split| split.next == PER_SPLIT) {
            return Poll::Ready(Ok(Event::Finished(self.splits.remove(done).split)));
        }
        if self.splits.is_empty() {
            return if self.is_last { Poll::Ready(Ok(Event::End)) } else { Poll::Pending };
        }
        std::task::ready!(self.pace.poll_tick(cx));
        self.splits.rotate_left(1);
        let split = &mut self.splits[0];
        let mut batch = Shaped::default();
        for _ in 0..7.min(PER_SPLIT - split.next) {
            let value = split.to_bytes();
            batch.push(OutRecord { topic: None, record: NewRecord::value(&value), origin: None });
            split.next += 1;
        }
        Poll::Ready(Ok(Event::Batch(batch)))
    }

    fn assign(&mut self, splits: Vec<Numbers>) {
        self.splits.extend(splits);
    }

    fn revoke(&mut self, ids: &[u8]) -> Vec<Numbers> {
        self.splits.extract_if(.., |split| ids.contains(&split.split)).collect()
    }

    fn no_more_splits(&mut self) {
        self.is_last = true;
    }

    fn set_paused(&mut self, _id: &u8, _paused: bool) {}

    fn snapshot(&mut self, _epoch: Epoch) -> Vec<Numbers> {
        self.splits.clone()
    }

    fn finalized(&mut self, _epoch: Epoch) {}

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

#[derive(Clone)]
struct MemorySink {
    world: Arc<Mutex<World>>,
    fails_at: Option<u64>,
}

struct MemoryWriter {
    id: u32,
    world: Arc<Mutex<World>>,
    open: BTreeMap<u64, Vec<Vec<u8>>>,
    fails_at: Option<u64>,
}

impl Writer for MemoryWriter {
    type Batch = Box<dyn Records>;
    type Committable = Committable;
    type State = ();

    fn poll_ready(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn write(&mut self, epoch: Epoch, batch: Box<dyn Records>) -> Result<()> {
        let open = self.open.entry(epoch.0).or_default();
        batch.visit(0, &mut |out| {
            open.push(out.record.value.unwrap_or_default().to_vec());
            Ok(true)
        })?;
        Ok(())
    }

    fn poll_seal(&mut self, _cx: &mut Context<'_>, epoch: Epoch) -> Poll<Result<Sealed<Committable, ()>>> {
        if self.fails_at == Some(epoch.0) {
            return Poll::Ready(Err(Error::new(Operation::Produce, ErrorKind::Closed, "out-0", "as the test asked")));
        }
        let records = self.open.remove(&epoch.0).unwrap_or_default();
        let committable = Committable { writer: self.id, epoch: epoch.0 };
        self.world.lock().unwrap().prepared.insert(committable.clone(), records);
        Poll::Ready(Ok(Sealed { committables: vec![committable], state: () }))
    }

    fn finalized(&mut self, epoch: Epoch) {
        let world = self.world.lock().unwrap();
        let committable = Committable { writer: self.id, epoch: epoch.0 };
        assert!(
            world.loses || world.committed.contains_key(&committable),
            "told of epoch {} before its commit",
            epoch.0
        );
    }

    fn poll_close(&mut self, _cx: &mut Context<'_>) -> Poll<Result<()>> {
        Poll::Ready(Ok(()))
    }
}

struct MemoryCommitter(Arc<Mutex<World>>);

impl Committer for MemoryCommitter {
    type Committable = Committable;

    fn commit<'a>(&'a self, committables: &'a [Committable]) -> BoxFuture<'a, Vec<Outcome>> {
        let mut world = self.0.lock().unwrap();
        let mut commit = |committable: &Committable| match world.prepared.remove(committable) {
            _ if world.committed.contains_key(committable) => Outcome::AlreadyCommitted,
            Some(records) if !world.loses => {
                world.committed.insert(committable.clone(), records);
                Outcome::Committed
            }
            _ => Outcome::Lost(Error::new(Operation::Commit, ErrorKind::LostTransaction, "etl/0#0", "timed out")),
        };
        let outcomes = committables.iter().map(&mut commit).collect();
        Box::pin(async move { outcomes })
    }
}

impl Sink for MemorySink {
    type Batch = Box<dyn Records>;
    type Committable = Committable;
    type State = ();
    type Writer = MemoryWriter;
    type Committer = MemoryCommitter;

    fn check<'a>(&'a self, _checkpoint_interval: Duration) -> BoxFuture<'a, Result<()>> {
        Box::pin(async { Ok(()) })
    }

    fn deal(&self, _restored: Vec<()>, writers: u32) -> Vec<()> {
        vec![(); writers as usize]
    }

    /// What was prepared and is fenced can never be committed: recovery must have committed it before.
    fn fence<'a>(&'a self, states: &'a [()]) -> BoxFuture<'a, Result<Fenced<()>>> {
        let mut world = self.world.lock().unwrap();
        world.prepared.clear();
        world.fenced.extend(0..states.len() as u32);
        Box::pin(async { Ok(Fenced { states: states.to_vec(), is_settled: true }) })
    }

    fn writer(&self, id: TaskId, _state: ()) -> Result<MemoryWriter> {
        assert!(self.world.lock().unwrap().fenced.contains(&id.0), "a writer started before it was fenced");
        Ok(MemoryWriter { id: id.0, world: self.world.clone(), open: BTreeMap::new(), fails_at: self.fails_at })
    }

    fn committer(&self) -> MemoryCommitter {
        MemoryCommitter(self.world.clone())
    }
}

struct Fixture {
    world: Arc<Mutex<World>>,
    directory: PathBuf,
}

const SPLITS: u8 = 5;
const PER_SPLIT: u64 = 200;

impl Fixture {
    fn new(name: &str) -> Self {
        let directory = std::env::temp_dir().join(format!("milena-runtime-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&directory);
        Fixture { world: Arc::default(), directory }
    }

    fn job(&self, parallelism: u32, fails_at: Option<u64>) -> Job<NumbersSource, MemorySink> {
        let sink = MemorySink { world: self.world.clone(), fails_at };
        let interval = Duration::from_millis(10);
        Job::new("etl", NumbersSource, sink).parallelism(parallelism).checkpoints(self.directory.join("job"), interval)
    }

    /// Every number of every split once, and each split's in order.
    fn assert_exact(&self) {
        let world = self.world.lock().unwrap();
        let mut next = [0u64; SPLITS as usize];
        let mut by_epoch: Vec<_> = world.committed.iter().collect();
        by_epoch.sort_by_key(|(committable, _)| (committable.epoch, committable.writer));
        for value in by_epoch.into_iter().flat_map(|(_, records)| records) {
            let Numbers { split, next: number } = Numbers::from_bytes(value).unwrap();
            assert_eq!(number, next[usize::from(split)], "split {split}");
            next[usize::from(split)] += 1;
        }
        assert_eq!(next, [PER_SPLIT; SPLITS as usize]);
    }

    fn committed(&self) -> usize {
        self.world.lock().unwrap().committed.values().map(Vec::len).sum()
    }
}

impl Drop for Fixture {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

#[tokio::test(start_paused = true)]
async fn a_bounded_job_ends_with_everything_committed_once_at_any_parallelism() {
    for parallelism in [1, 3, 8] {
        let fixture = Fixture::new(&format!("bounded-{parallelism}"));
        fixture.job(parallelism, None).run().await.unwrap();
        fixture.assert_exact();
    }
}

#[tokio::test(start_paused = true)]
async fn a_job_dropped_at_any_moment_and_restarted_at_another_parallelism_is_exact() {
    for moment_ms in 1..60 {
        let fixture = Fixture::new(&format!("dropped-{moment_ms}"));
        let running = fixture.job(1 + moment_ms as u32 % 3, None).start().await.unwrap();
        tokio::time::sleep(Duration::from_millis(moment_ms)).await;
        drop(running);
        tokio::time::sleep(Duration::from_millis(1)).await;
        fixture.job(1 + moment_ms as u32 % 4, None).run().await.unwrap();
        fixture.assert_exact();
    }
}

#[tokio::test(start_paused = true)]
async fn a_failing_writer_ends_the_job_with_its_error_and_the_next_start_makes_it_whole() {
    let fixture = Fixture::new("failing");
    let e = fixture.job(2, Some(4)).run().await.unwrap_err();
    assert!(e.to_string().contains("as the test asked"), "{e}");
    assert!(fixture.committed() < usize::from(SPLITS) * PER_SPLIT as usize);
    fixture.job(3, None).run().await.unwrap();
    fixture.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_stopped_job_commits_what_it_read_and_goes_on_from_there() {
    let fixture = Fixture::new("stopped");
    let running = fixture.job(2, None).start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(15)).await;
    running.stop();
    running.wait().await.unwrap();
    assert!(fixture.committed() > 0 && fixture.committed() < usize::from(SPLITS) * PER_SPLIT as usize);
    fixture.job(2, None).run().await.unwrap();
    fixture.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_savepoint_starts_another_directory_at_another_parallelism() {
    let fixture = Fixture::new("savepoint");
    let running = fixture.job(2, None).start().await.unwrap();
    tokio::time::sleep(Duration::from_millis(15)).await;
    running.savepoint(fixture.directory.join("savepoint")).await.unwrap();
    drop(running);
    tokio::time::sleep(Duration::from_millis(1)).await;
    let (_, saved) = CheckpointStore::open(&fixture.directory.join("savepoint"), "etl").unwrap();
    let saved = saved.unwrap();
    assert!(saved.is_finalized && saved.manifest.committables.is_empty());
    // Epochs after the savepoint belong to a history that the restored job does not know.
    let restored = Fixture::new("savepoint-restored");
    let mut history = fixture.world.lock().unwrap().committed.clone();
    history.retain(|committable, _| committable.epoch <= saved.manifest.epoch);
    restored.world.lock().unwrap().committed = history;
    restored.job(3, None).from_savepoint(fixture.directory.join("savepoint")).run().await.unwrap();
    restored.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_panic_in_an_operator_ends_the_job_with_an_error() {
    let fixture = Fixture::new("panic");
    let job = fixture.job(2, None).filter(|out| {
        out.record.value != Some(&Numbers { split: 3, next: 99 }.to_bytes()[..]) || panic!("as the test asked")
    });
    let e = job.run().await.unwrap_err();
    assert!(e.to_string().contains("a task panicked"), "{e}");
    fixture.job(2, None).run().await.unwrap();
    fixture.assert_exact();
}

#[tokio::test(start_paused = true)]
async fn a_lost_transaction_fails_the_job_unless_skipping_was_asked_for() {
    let fixture = Fixture::new("lost");
    fixture.world.lock().unwrap().loses = true;
    let e = fixture.job(1, None).run().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::LostTransaction);
    let e = fixture.job(1, None).start().await.unwrap_err();
    assert_eq!(e.kind(), ErrorKind::LostTransaction, "a restart does not forget it");
    fixture.job(1, None).on_lost(OnLost::Skip).run().await.unwrap();
}
