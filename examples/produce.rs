//! Lines of stdin become records; every one is known to be written before the program ends well.
//!
//! `cargo run --example produce -- localhost:9092 letters < lines.txt`

use std::collections::VecDeque;

use milena::producer::Delivery;
use milena::{Client, NewRecord, Result};

/// Deliveries that are kept to be looked at. The records themselves are bounded in bytes (`buffer.memory`).
const UNDER_WAY: usize = 10_000;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic] = arguments.as_slice() else {
        eprintln!("usage: produce BROKERS TOPIC");
        std::process::exit(2);
    };
    let producer = Client::connect(brokers).await?.producer(Default::default())?;
    // A handle of the topic keeps the look-up of its name off the path of a record.
    let topic = producer.topic(topic).await?;
    let mut deliveries: VecDeque<Delivery> = VecDeque::new();
    for line in std::io::stdin().lines().map_while(std::result::Result::ok) {
        // Waits only for space; whether it is written is known when the delivery resolves.
        deliveries.push_back(topic.enqueue(NewRecord::value(line.as_bytes())).await?);
        if deliveries.len() > UNDER_WAY
            && let Some(oldest) = deliveries.pop_front()
        {
            oldest.await?;
        }
    }
    for delivery in deliveries {
        delivery.await?;
    }
    producer.close().await
}
