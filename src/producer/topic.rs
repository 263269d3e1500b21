//! The handle that records are appended through: one topic of one producer, or of one transaction.

use std::fmt;
use std::sync::Arc;
use std::task::{Context, Poll};

use super::Handle;
use super::accumulator::{Appended, TopicState};
use super::delivery::Delivery;
use crate::error::{Error, ErrorKind, Operation, Recovery, Result};
use crate::record::NewRecord;

/// A handle to one topic of one producer.
#[derive(Clone)]
pub struct Topic {
    handle: Arc<Handle>,
    topic: Arc<TopicState>,
    gate: u64,
}

impl Topic {
    pub(super) fn new(handle: Arc<Handle>, topic: Arc<TopicState>, gate: u64) -> Self {
        Self { handle, topic, gate }
    }

    /// The topic's name.
    pub fn name(&self) -> &str {
        &self.topic.name
    }

    /// How many partitions it has, as far as is known now.
    pub fn partition_count(&self) -> i32 {
        i32::try_from(self.topic.partition_count()).unwrap_or(i32::MAX)
    }

    /// Appends a record, waiting for space if there is none (up to `max.block.ms`).
    ///
    /// Costs one copy of the record; no allocation, clock or channel per record. Fails without effect on a record too
    /// large for one request, a partition that does not exist, or a closed producer. Safe to drop: a dropped wait has
    /// appended nothing, and gives its place in the queue to the next.
    pub async fn enqueue(&self, record: NewRecord<'_>) -> Result<Delivery> {
        match self.append(&record, 0)? {
            Appended::Done(delivery) => Ok(delivery),
            Appended::Full(bytes) => self.wait_and_append(&record, bytes).await,
        }
    }

    /// As [`enqueue`](Topic::enqueue), but gives `None` where that would wait for space.
    pub fn try_enqueue(&self, record: NewRecord<'_>) -> Result<Option<Delivery>> {
        Ok(match self.append(&record, 0)? {
            Appended::Done(delivery) => Some(delivery),
            Appended::Full(_) => None,
        })
    }

    /// Resolves when there was space for another batch at one moment: after `try_enqueue` gave `None`.
    ///
    /// Fails once the producer, or the transaction, has ended.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let shared = &self.handle.shared;
        shared.budget.register(cx.waker());
        if !shared.is_open(self.gate) {
            return Poll::Ready(Err(shared.refusal()));
        }
        if shared.budget.free() >= shared.batch_size.min(shared.budget.total()) {
            return Poll::Ready(Ok(()));
        }
        shared.wake.notify_one();
        Poll::Pending
    }

    fn append(&self, record: &NewRecord<'_>, granted: usize) -> Result<Appended> {
        self.topic.append(&self.handle.shared, record, self.gate, granted)
    }

    #[cold]
    async fn wait_and_append(&self, record: &NewRecord<'_>, mut bytes: usize) -> Result<Delivery> {
        let shared = &self.handle.shared;
        let deadline = tokio::time::Instant::now() + self.handle.config.max_block;
        loop {
            let grant = shared.budget.take(bytes);
            // Open batches are sent at once while somebody waits; the driver has to hear of it.
            shared.wake.notify_one();
            let Ok(grant) = tokio::time::timeout_at(deadline, grant).await else {
                return Err(self.no_space());
            };
            match self.append(record, grant.spend())? {
                Appended::Done(delivery) => return Ok(delivery),
                Appended::Full(needed) => bytes = needed,
            }
        }
    }

    fn no_space(&self) -> Error {
        let config = &self.handle.config;
        let detail = format!(
            "no space within max.block.ms ({}): buffer.memory ({}) is full of records that wait for their acknowledgement",
            config.max_block.as_millis(),
            config.buffer_memory
        );
        let subject = format!("topic {}", self.name());
        Error::new(Operation::Produce, ErrorKind::Timeout, subject, detail).with_recovery(Recovery::Retry)
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic({})", self.name())
    }
}
