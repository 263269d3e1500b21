//! Stopped between checkpoint and commit for longer than a transaction lives: others lose its records and go on; we say so.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use milena::connector::Versioned;
use milena::connector::checkpoint::Manifest;
use milena::connector::kafka::KafkaCommittable;
use milena::producer::PreparedTransaction;
use protocol_tests::live::LiveKafka;
use protocol_tests::milena_bin::Running;

use super::scene::{Feeder, Scene, Watcher, show};

/// Three intervals are the least the copy accepts.
const SHORT_LIVED: &[&str] = &["--checkpoint-interval", "500ms", "-X", "transaction.timeout.ms=4000"];

/// A shell that is already running: its built-in `kill` stops a process within a tenth of a millisecond.
struct Signals(Child);

impl Signals {
    fn new() -> Self {
        Signals(Command::new("sh").stdin(Stdio::piped()).spawn().expect("there is a shell"))
    }

    fn send(&mut self, name: &str, to: &Running) {
        let stdin = self.0.stdin.as_mut().expect("piped");
        writeln!(stdin, "kill -{name} {}", to.id()).expect("the shell runs");
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The newest checkpoint's number and file.
fn newest(directory: &Path) -> Option<(u64, PathBuf)> {
    let entries = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix("checkpoint-")?.parse().ok();
    entries.filter_map(|path| Some((number(&path)?, path))).max()
}

/// What follows magic, length and checksum in a file of the store.
fn payload(path: &Path) -> Option<Vec<u8>> {
    fs::read(path).ok()?.get(20..).map(<[u8]>::to_vec)
}

/// The transactions of the newest checkpoint, unless they are known to be committed.
fn pending(directory: &Path) -> Vec<PreparedTransaction> {
    let (epoch, path) = newest(directory).expect("there is a checkpoint");
    let finalized = payload(&directory.join("finalized")).and_then(|p| Some(u64::from_le_bytes(p.try_into().ok()?)));
    if finalized >= Some(epoch) {
        return Vec::new();
    }
    let manifest = Manifest::from_bytes(&payload(&path).expect("a whole file")).expect("a manifest");
    let committables = manifest.committables.iter().map(|bytes| KafkaCommittable::from_bytes(bytes));
    committables.map(|committable| committable.expect("a transaction").0).collect()
}

/// Lets the copy run until a checkpoint appears, and stops it in that moment.
fn stop_at_a_checkpoint(copy: &mut Running, directory: &Path, signals: &mut Signals) {
    let deadline = Instant::now() + Duration::from_secs(30);
    let before = newest(directory).map(|(epoch, _)| epoch);
    while newest(directory).map(|(epoch, _)| epoch) == before {
        assert!(Instant::now() < deadline && copy.is_running(), "no checkpoint comes: {}", copy.stderr());
    }
    signals.send("STOP", copy);
    // What it had sent by then has arrived.
    std::thread::sleep(Duration::from_millis(60));
}

/// The transactions whose checkpoint is on disk while the broker still waits for their commit.
fn uncommitted(scene: &Scene<'_>) -> Vec<PreparedTransaction> {
    let pending = pending(Path::new(&scene.directory()));
    if pending.is_empty() {
        return pending;
    }
    let open = scene.transactions();
    pending.into_iter().filter(|p| open.contains(&(p.transactional_id.clone(), true))).collect()
}

/// Stops the copy between a checkpoint and its commits; gives the transactions that were not committed.
fn stop_in_the_window(scene: &Scene<'_>, copy: &mut Running) -> Vec<PreparedTransaction> {
    let (directory, mut signals) = (scene.directory(), Signals::new());
    for tries in 1..=60 {
        stop_at_a_checkpoint(copy, Path::new(&directory), &mut signals);
        let uncommitted = uncommitted(scene);
        if !uncommitted.is_empty() {
            show(&format!("stopped between checkpoint and commit at try {tries}"));
            return uncommitted;
        }
        signals.send("CONT", copy);
    }
    panic!("never stopped between a checkpoint and its commits: {}", copy.stderr());
}

/// Each transaction with its record count and partitions.
fn words(lost: &[PreparedTransaction]) -> Vec<String> {
    let one = |p: &PreparedTransaction| {
        assert!(p.record_count > 0 && !p.partitions.is_empty(), "{p:?}");
        let partitions = p.partitions.iter().map(ToString::to_string);
        [p.transactional_id.clone(), format!("with {} records", p.record_count)].into_iter().chain(partitions).collect()
    };
    lost.iter().flat_map(|p| -> Vec<String> { one(p) }).collect()
}

fn says_what_is_lost(copy: Running, words: &[String]) {
    let words: Vec<_> = words.iter().map(String::as_str).collect();
    copy.wait().failed(1, &words);
}

#[test]
fn a_transaction_that_timed_out_before_its_commit_ends_the_copy_with_its_name_and_size() {
    let scene = Scene::new(LiveKafka::shared(), "lost", 1);
    let (feeder, watcher) = (Feeder::start(&scene), Watcher::start(&scene));
    let mut copy = scene.copy(SHORT_LIVED).spawn();
    watcher.beyond(0, Duration::from_secs(60), || assert!(copy.is_running(), "{}", copy.stderr()));

    let lost = stop_in_the_window(&scene, &mut copy);
    let is_open = |id: &str| scene.transactions().contains(&(id.to_owned(), true));
    let deadline = Instant::now() + Duration::from_secs(20);
    while lost.iter().any(|p| is_open(&p.transactional_id)) {
        assert!(Instant::now() < deadline, "the broker never aborts {lost:?}");
        std::thread::sleep(Duration::from_millis(50));
    }
    copy.signal("CONT");
    let words = words(&lost);
    says_what_is_lost(copy, &words);
    // Nor does a restart go on over the hole.
    says_what_is_lost(scene.copy(SHORT_LIVED).spawn(), &words);
    feeder.stop();
}
