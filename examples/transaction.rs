//! Consume, transform, produce: records and the position they were read up to are committed together (KIP-447).
//!
//! `cargo run --example transaction -- localhost:9092 letters answers`

use milena::config::{AutoOffsetReset, ConsumerConfig, ProducerConfig};
use milena::consumer::{Consumer, Polled, PolledRecords};
use milena::producer::{Transaction, TransactionalProducer};
use milena::{Client, IsolationLevel, NewRecord, OffsetAndMetadata, Position, Recovery, Result, TopicPartition};

const GROUP: &str = "answering";

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [brokers, from, to] = arguments.as_slice() else {
        eprintln!("usage: transaction BROKERS FROM TO");
        std::process::exit(2);
    };
    let client = Client::connect(brokers).await?;
    let config = ProducerConfig { transactional_id: Some("answering-0".into()), ..ProducerConfig::default() };
    let mut producer = client.transactional_producer(config).await?;
    loop {
        // A new consumer begins where the last committed transaction ended: nothing is answered twice or left out.
        let mut letters = client.consumer(ConsumerConfig {
            group_id: Some(GROUP.into()),
            isolation_level: IsolationLevel::ReadCommitted,
            auto_offset_reset: AutoOffsetReset::Earliest,
            ..ConsumerConfig::default()
        })?;
        letters.assign([(TopicPartition::new(from.as_str(), 0), Position::Committed)]);
        match answer_all(&mut letters, &mut producer, to).await {
            Err(error) if error.recovery() == Recovery::AbortTransaction => eprintln!("again, since {error}"),
            ended => return ended,
        }
    }
}

/// Ends only with an error.
async fn answer_all(letters: &mut Consumer, producer: &mut TransactionalProducer, to: &str) -> Result<()> {
    loop {
        if let Polled::Records(records) = letters.poll().await? {
            answer(producer.begin().await?, to, &records).await?;
        }
    }
}

async fn answer(mut transaction: Transaction<'_>, to: &str, letters: &PolledRecords) -> Result<()> {
    let answers = transaction.topic(to).await?;
    for letter in letters.iter() {
        let letter = letter?;
        let answer = [b"re: ", letter.value.unwrap_or_default()].concat();
        // No need to wait for its delivery: a record that fails fails the commit.
        answers.enqueue(NewRecord { key: letter.key, ..NewRecord::value(&answer) }).await?;
    }
    let position = OffsetAndMetadata {
        offset: letters.next_offset(),
        leader_epoch: letters.leader_epoch(),
        metadata: String::new(),
    };
    transaction.send_offsets(GROUP, &[(letters.partition().clone(), position)]).await?;
    transaction.commit().await
}
