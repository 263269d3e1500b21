//! Numbered records written and read without a pause while something changes under them: each arrives once, in order.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use milena::consumer::Polled;
use milena::{Client, NewRecord, Position, TopicPartition};
use protocol_tests::live::SecuredKafka;
use tokio::task::JoinHandle;

/// The longest that nothing may arrive.
const PATIENCE: Duration = Duration::from_secs(30);

/// A producer and a consumer at work on a topic of one partition.
pub(crate) struct Load {
    topic: &'static str,
    is_over: Arc<AtomicBool>,
    read: Arc<AtomicU64>,
    producing: JoinHandle<u64>,
    consuming: JoinHandle<()>,
}

impl Load {
    /// Both by this client. A record that fails, comes twice, is left out or comes early ends the test.
    pub(crate) fn start(client: &Client, topic: &'static str) -> Self {
        let (is_over, read) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let producing = tokio::spawn(produce(client.clone(), topic, Arc::clone(&is_over)));
        let consuming = tokio::spawn(consume(client.clone(), topic, Arc::clone(&read)));
        Self { topic, is_over, read, producing, consuming }
    }

    /// Waits until this many more records have come through.
    pub(crate) async fn goes_on(&self, records: u64) {
        self.beyond(self.read.load(Ordering::Relaxed) + records).await;
    }

    async fn beyond(&self, count: u64) {
        let deadline = Instant::now() + PATIENCE;
        while self.read.load(Ordering::Relaxed) < count {
            assert!(!self.consuming.is_finished(), "the consumer has failed");
            assert!(Instant::now() < deadline, "stuck at {} of {count}", self.read.load(Ordering::Relaxed));
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Stops writing, waits for the last record, and lets Java say what the broker holds. Gives the number of records.
    pub(crate) async fn judge(mut self, kafka: &Arc<SecuredKafka>) -> u64 {
        self.is_over.store(true, Ordering::Relaxed);
        let sent = (&mut self.producing).await.expect("no record fails");
        self.beyond(sent).await;
        self.consuming.abort();
        let (kafka, topic) = (Arc::clone(kafka), self.topic);
        let held = move || kafka.kafka.java().read_committed(&kafka.kafka.bootstrap(), topic);
        let held = tokio::task::spawn_blocking(held).await.expect("Java reads");
        assert_eq!(u64::try_from(held.len()).expect("fewer"), sent, "Java finds every record once");
        for (n, record) in held.iter().enumerate() {
            assert_eq!(record.value_text(), n.to_string(), "in order");
        }
        sent
    }
}

async fn produce(client: Client, topic: &'static str, is_over: Arc<AtomicBool>) -> u64 {
    let producer = client.producer(Default::default()).expect("the settings are good");
    let (mut sent, mut deliveries) = (0u64, Vec::new());
    while !is_over.load(Ordering::Relaxed) {
        for _ in 0..20 {
            let value = sent.to_string();
            let record = NewRecord::value(value.as_bytes());
            deliveries.push(producer.enqueue(topic, record).await.expect("there is room"));
            sent += 1;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    for delivery in deliveries {
        delivery.await.expect("no record fails");
    }
    sent
}

async fn consume(client: Client, topic: &'static str, read: Arc<AtomicU64>) {
    let mut consumer = client.consumer(Default::default()).expect("the settings are good");
    consumer.assign([(TopicPartition::new(topic, 0), Position::Earliest)]);
    loop {
        if let Polled::Records(records) = consumer.poll().await.expect("no poll fails") {
            for record in records.iter() {
                let next = read.load(Ordering::Relaxed);
                let value = record.expect("an intact record").value.expect("a value");
                assert_eq!(value, next.to_string().as_bytes(), "every record once, in order");
                read.store(next + 1, Ordering::Relaxed);
            }
        }
    }
}
