//! Every record of a topic from its beginning, as text, and what the position did when it did not just move on.
//!
//! `cargo run --example consume -- localhost:9092 letters`

use milena::consumer::Polled;
use milena::{Client, Position, Result, TopicPartition};

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, topic] = arguments.as_slice() else {
        eprintln!("usage: consume BROKERS TOPIC");
        std::process::exit(2);
    };
    let client = Client::connect(brokers).await?;
    let described = client.admin().describe_topic(topic).await?;
    let partitions = (0..).zip(&described.partitions).map(|(n, _)| TopicPartition::new(topic.as_str(), n));
    let mut consumer = client.consumer(Default::default())?;
    consumer.assign(partitions.map(|partition| (partition, Position::Earliest)));
    loop {
        match consumer.poll().await? {
            Polled::Records(records) => {
                for record in records.iter() {
                    let record = record?;
                    let value = record.value.map(String::from_utf8_lossy).unwrap_or_default();
                    println!("{}@{}: {value}", records.partition(), record.offset);
                }
            }
            Polled::CaughtUp(partition) => eprintln!("{partition}: nothing more for now"),
            Polled::Moved { tp, from, to, reason } => eprintln!("{tp}: moved from {from} to {to}: {reason}"),
        }
    }
}
