//! `milena demo`: a million records copied exactly once while the copying process is killed again and again.

mod copying;
mod verify;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::args::DemoOptions;
use super::{Failure, Outcome, broker};
use crate::client::Client;
use crate::config::ProducerConfig;
use crate::record::NewRecord;
use copying::Copying;
use verify::Verifier;

const PARTITIONS: i32 = 12;
const INPUT: &str = "demo-in";
const OUTPUT: &str = "demo-out";

/// Bytes of each value: its partition and number, then filling.
const VALUE_BYTES: usize = 100;

/// The input is written over at least this long, so that every kill finds records on their way.
const FILL_TIME: Duration = Duration::from_secs(4);

/// No demo takes longer than this unless something hangs.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) async fn run(options: DemoOptions) -> Outcome {
    let seed = options.seed.unwrap_or_else(|| crate::connection::Environment::default().seed);
    let scratch = Scratch::new()?;
    let topics = [(INPUT.to_owned(), PARTITIONS), (OUTPUT.to_owned(), PARTITIONS)];
    let cluster = broker::start(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), &topics).await?;
    let address =
        cluster.addresses().first().ok_or_else(|| Failure::Failed("the broker has no address".into()))?.to_string();
    println!("embedded broker on {address}, seed {seed}");
    let client = Client::connect(&address).await?;
    let (verifier, reading) = Verifier::start(&client, options.records)?;
    let began = Instant::now();
    let filling = tokio::spawn(fill(client.clone(), options.records));
    let copying = Copying::new(address, scratch.0.clone());
    let all = tokio::time::timeout(PATIENCE, copy_all(copying, &verifier, &options, seed)).await;
    let copied = all.map_err(|_| Failure::Failed(format!("not done after {PATIENCE:?}: {}", verifier.summary())))??;
    let filled = filling.await.map_err(|e| Failure::Failed(format!("filling ended: {e}")))??;
    reading.abort();
    report(&options, filled, began.elapsed(), &copied, &verifier)
}

/// What the copying process went through.
struct Copied {
    checkpoints: u64,
    recoveries: Vec<Duration>,
}

/// Runs the copying process, kills it at random moments, and goes on until every record has arrived.
async fn copy_all(
    mut copying: Copying,
    verifier: &Arc<Verifier>,
    options: &DemoOptions,
    seed: u64,
) -> Result<Copied, Failure> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut recoveries = Vec::new();
    copying.start()?;
    verifier.wait_beyond(0).await?;
    for kill in 1..=options.kills {
        tokio::time::sleep(Duration::from_millis(rng.random_range(50..700))).await;
        let seen = copying.kill(verifier)?;
        let killed = Instant::now();
        println!("kill -9 number {kill} after {seen} committed records");
        copying.start()?;
        verifier.wait_beyond(seen).await?;
        recoveries.push(killed.elapsed());
    }
    verifier.wait_beyond(options.records.saturating_sub(1)).await?;
    // Whatever it might still write would be a duplicate: give it the chance.
    tokio::time::sleep(Duration::from_millis(300)).await;
    copying.kill(verifier)?;
    Ok(Copied { checkpoints: copying.checkpoints(), recoveries })
}

/// Writes the input, no faster than `FILL_TIME` allows; gives how long it took.
async fn fill(client: Client, records: u64) -> Result<Duration, Failure> {
    let began = Instant::now();
    let producer = client.producer(ProducerConfig::default())?;
    let topic = producer.topic(INPUT).await?;
    let mut value = Vec::with_capacity(VALUE_BYTES);
    for number in 0..records {
        let partition = (number % PARTITIONS.unsigned_abs() as u64) as i32;
        verify::write_value(&mut value, partition, number / PARTITIONS.unsigned_abs() as u64, VALUE_BYTES);
        topic.enqueue(NewRecord::value(&value).with_partition(partition)).await?;
        if number % 1000 == 0 {
            let due = FILL_TIME.mul_f64(number as f64 / records as f64);
            tokio::time::sleep(due.saturating_sub(began.elapsed())).await;
        }
    }
    producer.close().await?;
    Ok(began.elapsed())
}

fn report(options: &DemoOptions, filled: Duration, took: Duration, copied: &Copied, verifier: &Verifier) -> Outcome {
    let megabytes = options.records as f64 * VALUE_BYTES as f64 / 1e6;
    println!("{} records, {megabytes:.0} MB written in {:.1} s (paced)", options.records, filled.as_secs_f64());
    println!(
        "copied exactly once in {:.1} s: {:.1} MB/s, {} checkpoints",
        took.as_secs_f64(),
        megabytes / took.as_secs_f64(),
        copied.checkpoints
    );
    let recoveries: Vec<String> = copied.recoveries.iter().map(|time| format!("{} ms", time.as_millis())).collect();
    println!("{} kills; kill to next committed record: {}", options.kills, recoveries.join(", "));
    println!("{}", verifier.summary());
    match verifier.is_exact() {
        true => Ok(()),
        false => Err(Failure::Failed("records were lost, doubled or out of order".into())),
    }
}

/// A directory of the demo's own, removed at its end.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch, Failure> {
        let path = std::env::temp_dir().join(format!("milena-demo-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
