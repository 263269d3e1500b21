//! Requests that come after their repetition was answered: an exactly-once job neither loses nor doubles anything by them.

mod producing;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena::broker::{Control, Settings, Verdict};
use milena::config::{ClientConfig, ProducerConfig};
use milena::connector::kafka::{Discovery, KafkaSink, KafkaSource, StartingOffsets};
use milena::runtime::Job;
use milena::wire::Request;
use milena::wire::messages::{AddPartitionsToTxnRequest, EndTxnRequest, InitProducerIdRequest};
use milena::{Client, NewRecord};
use producing::{Scene, client_with, numbers};

const SECOND: Duration = Duration::from_secs(1);

/// How late the late ones are: after any request has timed out, and in the middle of what follows.
const LATE: Duration = Duration::from_millis(4_050);

const RECORDS: u64 = 200;

/// A directory that is gone with its scene.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Self {
        // Memory where there is some: power cuts are not what this is about.
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { std::env::temp_dir() };
        let path = base.join(format!("milena-late-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Scratch(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

async fn impatient(scene: &Scene) -> Client {
    let config = ClientConfig {
        request_timeout: Duration::from_millis(500),
        default_api_timeout: 20 * SECOND,
        ..ClientConfig::default()
    };
    client_with(&scene.kafka, config).await
}

/// Copies topic `t` to `out` for as long as it is polled.
async fn copy(scene: &Scene, directory: &Scratch) -> milena::Result<()> {
    let client = impatient(scene).await;
    let source = KafkaSource::topics(client.clone(), ["t"])
        .start(StartingOffsets::Earliest)
        .commit_offsets_on_checkpoint(false)
        .discovery(Discovery::Once);
    let config = ProducerConfig { linger: Duration::ZERO, ..ProducerConfig::default() };
    let sink = KafkaSink::new(client, "out").config(config).exactly_once("copy");
    let interval = Duration::from_millis(70);
    Job::new("copy", source, sink).checkpoints(&directory.0, interval).start().await?.wait().await
}

/// A number every 50 ms.
async fn feed(scene: &Scene) {
    let producer = scene.client.producer(ProducerConfig::default()).unwrap();
    for number in 0..RECORDS {
        producer.send("t", NewRecord::value(&number.to_be_bytes())).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn scene(level: i16) -> Scene {
    let scene = Scene::with(Settings::default().with_brokers(1).with_transaction_version(level)).await;
    let (name, configs) = ("out".to_owned(), Default::default());
    scene.kafka.control(Control::CreateTopic { name, partitions: 1, configs });
    scene
}

/// Delays the first `count` requests of one API that belong to a transactional id, and notes the ids that are initialised.
fn delay<Q: Request>(scene: &Scene, mut count: u32) -> Arc<Mutex<Vec<String>>> {
    let ids = Arc::new(Mutex::new(Vec::new()));
    let seen = ids.clone();
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        if let Some(Ok(init)) = request.decode::<InitProducerIdRequest>() {
            let Some(id) = init.transactional_id else { return Verdict::Pass };
            seen.lock().unwrap().push(id.to_string());
        }
        if request.is::<Q>() && count > 0 {
            count -= 1;
            return Verdict::Delay(LATE);
        }
        Verdict::Pass
    }))));
    ids
}

/// Everything that was fed is in `out` once and in order, and the job has not failed.
async fn judge(scene: &Scene, job: impl Future<Output = milena::Result<()>>) {
    tokio::select! {
        biased;
        ended = job => panic!("the job ended: {ended:?}"),
        () = async { feed(scene).await; tokio::time::sleep(2 * SECOND).await } => {}
    }
    assert_eq!(numbers(&scene.read_all("out", 0).await), (0..RECORDS).collect::<Vec<_>>());
}

/// Whenever it comes, it aborts what is open under its id, or fences whoever is about to write there.
#[tokio::test(start_paused = true)]
async fn an_init_producer_id_that_comes_late_finds_an_id_that_nobody_uses() {
    for level in [1, 2] {
        let (scene, directory) = (scene(level).await, Scratch::new(&format!("init{level}")));
        let ids = delay::<InitProducerIdRequest>(&scene, 1);
        judge(&scene, copy(&scene, &directory)).await;
        let mut ids = std::mem::take(&mut *ids.lock().unwrap());
        ids.sort();
        ids.dedup();
        // The one that timed out took its connection with it, and the answer that the other waited for.
        assert_eq!(ids, ["copy/0#0", "copy/0#1", "copy/0#2", "copy/0#3"]);
    }
}

/// The next process cannot know what the one before it sent, unless the manifest says so.
#[tokio::test(start_paused = true)]
async fn an_init_producer_id_of_a_process_that_died_finds_an_id_that_nobody_uses() {
    for level in [1, 2] {
        let (scene, directory) = (scene(level).await, Scratch::new(&format!("died{level}")));
        let ids = delay::<InitProducerIdRequest>(&scene, 1);
        let died = tokio::time::timeout(Duration::from_millis(300), copy(&scene, &directory)).await;
        assert!(died.is_err(), "it was still waiting for its first answer");
        judge(&scene, copy(&scene, &directory)).await;
        let ids = ids.lock().unwrap().iter().cloned().collect::<std::collections::BTreeSet<_>>();
        assert!(ids.contains("copy/0#2") && ids.contains("copy/0#3") && ids.len() == 4, "{ids:?}");
    }
}

/// Under version 1 the epoch stays, and a late commit would commit half of a later transaction.
#[tokio::test(start_paused = true)]
async fn a_commit_that_comes_late_ends_no_later_transaction() {
    for level in [1, 2] {
        let (scene, directory) = (scene(level).await, Scratch::new(&format!("end{level}")));
        let ids = delay::<EndTxnRequest>(&scene, 1);
        judge(&scene, copy(&scene, &directory)).await;
        // The start asks for two ids; version 1 moves on what was in flight on the connection that timed out.
        let asked = ids.lock().unwrap().len();
        assert!(if level == 1 { asked > 2 } else { asked == 2 }, "{asked}");
    }
}

/// Under version 1 it would put a partition into a later transaction that writes nothing there.
#[tokio::test(start_paused = true)]
async fn partitions_that_are_added_late_join_no_later_transaction() {
    let (scene, directory) = (scene(1).await, Scratch::new("add"));
    let ids = delay::<AddPartitionsToTxnRequest>(&scene, 1);
    judge(&scene, copy(&scene, &directory)).await;
    assert_eq!(ids.lock().unwrap().len(), 3);
}
