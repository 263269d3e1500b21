//! Records out: appended on the caller's thread, sent in batches, acknowledged per batch, in order and once.

mod accumulator;
mod budget;
mod collector;
mod coordinate;
mod delivery;
mod driver;
mod flushes;
mod identity;
mod packer;
mod partitioner;
mod prepared;
mod response;
mod sender;
mod topic;
mod transaction;
mod txn;
mod waits;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex};

use tokio::sync::{Notify, mpsc, oneshot};

use crate::cluster::Cluster;
use crate::config::ProducerConfig;
use crate::error::{Error, Result};
use crate::record::NewRecord;
use crate::types::ProducerIdentity;
use accumulator::{Shared, TopicState};
use budget::{Budget, lock};
use driver::{Command, Driver};
use packer::Packer;
use sender::{Numbering, Sender, Settings};

pub use delivery::{Delivery, RecordMetadata};
pub use prepared::{CommitOutcome, PreparedTransaction, abort_prepared, commit_prepared, commit_with_doubt};
pub use topic::Topic;
pub use transaction::{OwnedTransaction, PreparedProducer, Transaction, TransactionalProducer};

/// A producer: cheap to clone, every clone appends to the same batches.
///
/// Dropping the last clone (topic handles count) sends what is buffered in the background; call
/// [`close`](Producer::close) to wait for it.
#[derive(Clone)]
pub struct Producer {
    handle: Arc<Handle>,
}

/// What keeps a producer's driver running: dropping the last reference lets it finish and end.
pub(in crate::producer) struct Handle {
    shared: Arc<Shared>,
    cluster: Cluster,
    config: ProducerConfig,
    commands: mpsc::UnboundedSender<Command>,
}

impl Handle {
    /// Starts a driver.
    fn start(cluster: Cluster, config: ProducerConfig, numbering: Numbering, gate: u64) -> Result<Arc<Handle>> {
        let packer = Arc::new(Packer::new(&config)?);
        let shared = Arc::new(shared(&cluster, &config, Arc::clone(&packer), gate));
        let (commands, requests) = mpsc::unbounded_channel();
        let sender = Sender::new(Settings {
            numbering,
            transactional_id: config.transactional_id.clone().unwrap_or_default(),
            max_in_flight: config.max_in_flight_requests_per_connection,
            max_request_size: config.max_request_size,
            retry_backoff: cluster.config().retry_backoff,
            retry_backoff_max: cluster.config().retry_backoff_max,
            seed: cluster.next_seed(),
            packer,
        });
        let driver = Driver::new(Arc::clone(&shared), cluster.clone(), config.clone(), sender, requests);
        tokio::spawn(driver.run());
        Ok(Arc::new(Handle { shared, cluster, config, commands }))
    }

    /// Asks the driver, and waits for its answer. The request goes on if the wait is dropped.
    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T>>) -> Command) -> Result<T> {
        let (reply, answer) = oneshot::channel();
        // A driver that has ended drops the reply.
        let _ = self.commands.send(command(reply));
        answer.await.unwrap_or_else(|_| Err(self.shared.refusal()))
    }

    /// The topic, looked up if it is not known yet.
    async fn topic(self: &Arc<Self>, name: &str, gate: u64) -> Result<Topic> {
        let known = lock(&self.shared.topics).iter().find(|topic| *topic.name == *name).cloned();
        let topic = match known {
            Some(topic) => topic,
            None => self.look_up(name).await?,
        };
        Ok(Topic::new(Arc::clone(self), topic, gate))
    }

    async fn look_up(&self, name: &str) -> Result<Arc<TopicState>> {
        let name = Arc::from(name);
        let metadata = self.cluster.topics(std::slice::from_ref(&name), self.config.max_block).await?;
        let count = metadata.topics.get(&name).map_or(0, |topic| topic.partitions.len());
        let mut topics = lock(&self.shared.topics);
        if let Some(topic) = topics.iter().find(|topic| topic.name == name) {
            return Ok(Arc::clone(topic));
        }
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let packer = Arc::clone(&self.shared.packer);
        let topic = Arc::new(TopicState::new(name, topics.len(), count, self.cluster.next_seed(), packer));
        topics.push(Arc::clone(&topic));
        drop(topics);
        self.shared.wake.notify_one();
        Ok(topic)
    }
}

fn shared(cluster: &Cluster, config: &ProducerConfig, packer: Arc<Packer>, gate: u64) -> Shared {
    Shared {
        budget: Budget::new(config.buffer_memory),
        wake: Notify::new(),
        news: Mutex::default(),
        clock_ms: AtomicI64::new((cluster.environment().wall_clock_ms)()),
        read_clock: Arc::clone(&cluster.environment().wall_clock_ms),
        gate: AtomicU64::new(gate),
        refusal: Mutex::default(),
        started_at_ms: AtomicI64::new(0),
        // A batch of no bytes would never be full.
        batch_size: config.batch_size.max(1),
        packer,
        max_request_size: config.max_request_size,
        is_adaptive: config.partitioner_adaptive_partitioning_enable,
        ignores_keys: config.partitioner_ignore_keys,
        topics: Mutex::default(),
        identity: Mutex::new(ProducerIdentity::NONE),
        has_late_init: AtomicBool::new(false),
    }
}

/// The gate of a producer without transactions, open until it is closed.
const OPEN: u64 = 1;

impl Producer {
    /// A producer on `cluster`. With idempotence it learns its producer id in the background, before its first batch.
    ///
    /// Must be called inside a tokio runtime, which then runs its one task.
    /// Fails on contradicting settings. `config.transactional_id` must be `None`; see [`TransactionalProducer`].
    pub fn new(cluster: Cluster, config: ProducerConfig) -> Result<Producer> {
        config.check(cluster.config())?;
        if config.transactional_id.is_some() {
            return Err(Error::invalid(
                "transactional.id",
                "needs a transactional producer; leave it out for this one",
            ));
        }
        let numbering = if config.enable_idempotence { Numbering::Idempotent } else { Numbering::None };
        Ok(Producer { handle: Handle::start(cluster, config, numbering, OPEN)? })
    }

    /// A handle to one topic, which keeps the look-up of its name off the hot path.
    ///
    /// Waits for its metadata up to `max.block.ms`; fails if the topic does not exist. Safe to drop.
    pub async fn topic(&self, name: &str) -> Result<Topic> {
        self.handle.topic(name, OPEN).await
    }

    /// Appends a record and resolves when the broker has acknowledged it.
    ///
    /// An error that says `maybe_applied` may have been written; any other has not. Dropping the future after the
    /// append does not take the record back.
    pub async fn send(&self, topic: &str, record: NewRecord<'_>) -> Result<RecordMetadata> {
        self.enqueue(topic, record).await?.await
    }

    /// Appends a record, waiting only for space, and gives a handle to its delivery.
    pub async fn enqueue(&self, topic: &str, record: NewRecord<'_>) -> Result<Delivery> {
        self.topic(topic).await?.enqueue(record).await
    }

    /// Resolves when every record appended before the call has been acknowledged or has failed.
    ///
    /// Fails with the first failure of any record since the last flush, so that a caller who drops his handles still
    /// learns of every loss. Safe to drop: the batches go out all the same.
    pub async fn flush(&self) -> Result<()> {
        self.handle.ask(Command::Flush).await
    }

    /// Flushes, then refuses further records of every clone.
    pub async fn close(self) -> Result<()> {
        self.handle.ask(Command::Close).await
    }
}

impl fmt::Debug for Producer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let free = self.handle.shared.budget.free();
        f.debug_struct("Producer").field("free_bytes", &free).finish_non_exhaustive()
    }
}
