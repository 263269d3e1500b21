//! A whole cluster in this process, for tests: a minute of its time takes no time, and its answers can be made to get lost.
//!
//! `cargo run --features test-broker --example in_memory_broker`

use std::collections::BTreeMap;
use std::sync::Arc;

use milena::broker::{Control, MemoryCluster, Settings, Verdict};
use milena::config::ClientConfig;
use milena::connection::{BoxFuture, Dial, Environment, Stream};
use milena::wire::messages::ProduceRequest;
use milena::{Client, NewRecord, Result};

/// The client's network: pipes of memory to the cluster's brokers.
struct Pipes(MemoryCluster);

impl Dial for Pipes {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async move { Ok(Box::new(self.0.connect(host, port)?) as Box<dyn Stream>) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let kafka = MemoryCluster::start(Settings::default().with_brokers(3));
    kafka.control(Control::CreateTopic { name: "letters".into(), partitions: 1, configs: BTreeMap::new() });
    // The first Produce is applied and its answer lost; what the client does next must not write the record twice.
    let mut is_first = true;
    let hook = move |request: &milena::broker::RequestInfo<'_>| match request.is::<ProduceRequest>() {
        true if std::mem::take(&mut is_first) => Verdict::CloseAfter,
        _ => Verdict::Pass,
    };
    kafka.control(Control::Intercept(Some(Box::new(hook))));

    let config = ClientConfig { bootstrap_servers: vec![kafka.bootstrap()], ..ClientConfig::default() };
    // The cluster's clock, for the timestamps of records: one seed and one clock, and every run is the same.
    let now_ms = Settings::default().start_time_ms;
    let environment = Environment { dial: Arc::new(Pipes(kafka)), wall_clock_ms: Arc::new(move || now_ms), seed: 7 };
    let client = Client::with_environment(config, environment).await?;
    let producer = client.producer(Default::default())?;
    for text in ["dear Max", "dear Felix"] {
        let written = producer.send("letters", NewRecord::value(text.as_bytes())).await?;
        println!("{text:?} is at offset {}", written.offset);
    }
    producer.close().await
}
