//! A job that copies a topic, changed, exactly once: kill it at any moment and start it again.
//!
//! `cargo run --example exactly_once -- localhost:9092 letters shouted /tmp/shouting`

use std::time::Duration;

use milena::connector::kafka::{KafkaSink, KafkaSource};
use milena::runtime::{Job, Mapped};
use milena::{Client, Result};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, from, to, directory] = arguments.as_slice() else {
        eprintln!("usage: exactly_once BROKERS FROM TO CHECKPOINT_DIRECTORY");
        std::process::exit(2);
    };
    let client = Client::connect(brokers).await?;
    let source = KafkaSource::topics(client.clone(), [from.as_str()]).group("shouting");
    let sink = KafkaSink::new(client, to.as_str()).exactly_once("shouting");
    let job = Job::new("shouting", source, sink)
        .filter(|letter| letter.record.value.is_some())
        .map(|letter| {
            let (key, value) =
                (letter.record.key.map(<[u8]>::to_vec), letter.record.value.map(<[u8]>::to_ascii_uppercase));
            Ok(Mapped { topic: None, key, value })
        })
        .parallelism(2)
        .checkpoints(directory, Duration::from_secs(1))
        .start()
        .await?;
    // Interrupted, it takes a last checkpoint and ends: the next start finds nothing to make up for.
    let stopper = job.stopper();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopper.stop();
        }
    });
    job.wait().await
}
