//! Waits for everything the sender asked for: one task per producer, woken on edges, none per request or record.

mod transactions;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;

use super::accumulator::Shared;
use super::budget::lock;
use super::collector::{Collector, Pace};
use super::delivery::Outcome;
use super::flushes::{Flushes, Reply};
use super::sender::{Batch, Event, ProduceRequest, Sender};
use super::txn::{BeginReply, End, EndReply, Offsets, OffsetsReply, Txn};
use super::waits::{Done, Sent, Waits};
use super::{identity, response, txn};
use crate::cluster::{Cluster, Lane};
use crate::config::{Acks, ProducerConfig};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::{BrokerId, FixedMap, ProducerIdentity, TopicName};
use crate::wire::frame::decode_response;
use crate::wire::messages::ProduceRequest as ProduceApi;
use crate::wire::produce::{self, PartitionBatch};

/// What a handle asks of the driver.
pub(super) enum Command {
    /// Answer once everything appended so far has ended.
    Flush(Reply),
    /// The same, and then end.
    Close(Reply),
    /// Begin a transaction.
    Begin(BeginReply),
    /// Add a group's offsets to it.
    Offsets(String, Offsets, OffsetsReply),
    /// End it.
    End(End, EndReply),
    /// Its handle was dropped.
    Dropped,
    /// What was prepared has been ended by whoever has it; whether some EndTxn of it went unanswered.
    PreparedEnded { is_in_doubt: bool },
}

/// A job's result.
enum Job {
    Connected(BrokerId, Result<Connection>),
    Identity(Result<ProducerIdentity>),
    /// A coordinator's answer, and whether some attempt may be applied later.
    Transaction(txn::Answer, bool),
}

pub(super) struct Driver {
    shared: Arc<Shared>,
    cluster: Cluster,
    config: ProducerConfig,
    commands: mpsc::UnboundedReceiver<Command>,
    sender: Sender,
    collector: Collector,
    flushes: Flushes,
    connections: BTreeMap<BrokerId, Connection>,
    topics: FixedMap<TopicName, usize>,
    waits: Waits<Job>,
    stale: BTreeSet<TopicName>,
    txn: Option<Txn>,
    is_closing: bool,
}

impl Driver {
    pub(super) fn new(
        shared: Arc<Shared>,
        cluster: Cluster,
        config: ProducerConfig,
        sender: Sender,
        commands: mpsc::UnboundedReceiver<Command>,
    ) -> Self {
        Self {
            txn: config.transactional_id.clone().map(Txn::new),
            collector: Collector::new(config.linger, config.delivery_timeout),
            shared,
            cluster,
            config,
            commands,
            sender,
            flushes: Flushes::default(),
            connections: BTreeMap::new(),
            topics: FixedMap::default(),
            waits: Waits::new(),
            stale: BTreeSet::new(),
            is_closing: false,
        }
    }

    /// Runs until the last handle is gone, or closed, and everything that was appended has ended.
    pub(super) async fn run(mut self) {
        let mut metadata = self.cluster.watch();
        let wakes = Arc::clone(&self.shared);
        loop {
            let now = tokio::time::Instant::now().into_std();
            let timeout = self.step(now);
            if self.is_closing && self.flushes.is_idle() && self.txn.as_ref().is_none_or(Txn::is_settled) {
                return;
            }
            tokio::select! {
                biased;
                command = self.commands.recv(), if !self.is_closing => self.handle_command(now, command),
                done = self.waits.next() => self.finish(done),
                _ = metadata.changed() => self.learn(),
                () = wakes.wake.notified() => {}
                () = sleep_until(timeout) => {}
            }
        }
    }

    /// Everything there is to do now; when there is more.
    fn step(&mut self, now: Instant) -> Option<Instant> {
        self.shared.clock_ms.store((self.shared.read_clock)(), Ordering::Relaxed);
        self.learn_new_topics();
        self.sender.handle_timeout(now);
        self.collect(now, if self.shared.budget.is_contended() { Pace::Hurry } else { Pace::Linger });
        while let Some(broker) = self.sender.poll_connect(now) {
            self.connect(now, broker);
        }
        while let Some(request) = self.sender.poll_request(now) {
            self.send(now, request);
        }
        if self.sender.poll_identity() {
            let cluster = self.cluster.clone();
            self.waits.start(async move { Job::Identity(identity::fetch(&cluster).await) });
        }
        self.drain_events();
        if self.txn.is_some() {
            self.step_transaction(now);
        }
        [self.sender.poll_timeout(), self.collector.poll_timeout()].into_iter().flatten().min()
    }

    fn collect(&mut self, now: Instant, pace: Pace) {
        self.collector.collect(now, &self.shared, &mut self.sender, &mut self.flushes, pace);
    }

    fn handle_command(&mut self, now: Instant, command: Option<Command>) {
        match command {
            Some(Command::Flush(reply)) => self.flush(now, Some(reply)),
            Some(Command::Close(reply)) => self.close(now, Some(reply)),
            None => self.close(now, None),
            Some(other) => self.handle_transaction(now, other),
        }
    }

    fn close(&mut self, now: Instant, reply: Option<Reply>) {
        self.is_closing = true;
        self.shared.refuse(None);
        self.flush(now, reply);
    }

    fn flush(&mut self, now: Instant, reply: Option<Reply>) {
        self.learn_new_topics();
        self.collect(now, Pace::Flush);
        reply.into_iter().for_each(|reply| self.flushes.wait(reply));
    }

    /// A topic that a handle asked for has its partitions and leaders from here on.
    fn learn_new_topics(&mut self) {
        let topics = lock(&self.shared.topics);
        if topics.len() == self.topics.len() {
            return;
        }
        self.topics = topics.iter().map(|topic| (topic.name.clone(), topic.number)).collect();
        drop(topics);
        self.learn();
    }

    fn learn(&mut self) {
        let now = tokio::time::Instant::now().into_std();
        self.collector.learn(now, &self.shared, &self.cluster.metadata(), &mut self.sender);
    }

    /// Uses the connection there is, or has one made.
    fn connect(&mut self, now: Instant, broker: BrokerId) {
        if self.connections.get(&broker).is_some_and(|connection| !connection.is_closed()) {
            return self.sender.handle_connected(now, broker, Ok(()));
        }
        let cluster = self.cluster.clone();
        self.waits.start(async move { Job::Connected(broker, cluster.connection(broker, Lane::Data).await) });
    }

    fn send(&mut self, now: Instant, request: ProduceRequest) {
        let Some(connection) = self.connections.get(&request.broker).filter(|c| !c.is_closed()).cloned() else {
            self.sender.handle_disconnected(request.broker);
            let error = Error::new(Operation::Produce, ErrorKind::Network, request.broker.to_string(), "not connected");
            return self.sender.handle_unknown(now, request.id, &error);
        };
        let version = match connection.version_up_to::<ProduceApi>(self.max_produce()) {
            Ok(version) => version,
            Err(error) => return self.sender.handle_unknown(now, request.id, &error),
        };
        let batches: Vec<_> = request.batches.iter().map(partition_batch).collect();
        let timeout = self.cluster.config().request_timeout;
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let (id, acks) = (self.config.transactional_id.as_deref(), self.config.acks.code());
        let frame = produce::encode(connection.client_id(), version, id, acks, timeout_ms, &batches);
        let deadline = tokio::time::Instant::from_std(now) + timeout;
        let response = connection.submit(frame, deadline, self.config.acks != Acks::None);
        self.waits.send(Sent { id: request.id, version, connection, response });
    }

    fn finish(&mut self, done: Done<Job>) {
        let now = tokio::time::Instant::now().into_std();
        match done {
            Done::Answered(id, version, connection, Ok(frame)) => self.answered(now, id, version, &connection, frame),
            Done::Answered(id, _, connection, Err(error)) => self.unanswered(now, id, &connection, &error),
            Done::Job(Job::Connected(broker, result)) => {
                let made = result.map(|connection| drop(self.connections.insert(broker, connection)));
                self.sender.handle_connected(now, broker, made);
            }
            Done::Job(Job::Transaction(answer, is_late)) => self.transaction_answered(now, answer, is_late),
            Done::Job(Job::Identity(Ok(identity))) => self.sender.handle_identity(now, identity),
            Done::Job(Job::Identity(Err(error))) if error.is_retriable() => self.sender.handle_no_identity(now, None),
            Done::Job(Job::Identity(Err(error))) => {
                self.shared.refuse(Some(error.clone()));
                self.collect(now, Pace::Flush);
                self.sender.handle_no_identity(now, Some(error));
            }
        }
    }

    fn unanswered(&mut self, now: Instant, id: u64, connection: &Connection, error: &Error) {
        if connection.is_closed() {
            self.sender.handle_disconnected(connection.broker());
        }
        self.sender.handle_unknown(now, id, error);
    }

    fn answered(&mut self, now: Instant, id: u64, version: i16, connection: &Connection, frame: bytes::Bytes) {
        if self.config.acks == Acks::None {
            return self.sender.handle_written(now, id);
        }
        let answer = match decode_response::<ProduceApi>(version, frame) {
            Ok(answer) => answer,
            Err(malformed) => {
                let error = Error::new(
                    Operation::Produce,
                    ErrorKind::Protocol,
                    connection.broker().to_string(),
                    malformed.to_string(),
                );
                return self.sender.handle_unknown(now, id, &error.with_maybe_applied(true));
            }
        };
        if let Ok(throttle @ 1..) = u64::try_from(answer.throttle_time_ms) {
            connection.mute(Duration::from_millis(throttle));
        }
        let (answers, hints) = response::read(&answer, &self.topics, &self.collector);
        if !hints.is_empty() {
            self.cluster.apply_hints(&hints);
        }
        self.sender.handle_response(now, id, answers);
    }

    fn drain_events(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            match event {
                Event::Done(batch, outcome) => self.done(batch, outcome),
                Event::Dequeued(p) => {
                    self.collector.place(p).into_iter().for_each(|(topic, partition)| topic.count_sent(partition));
                }
                Event::Split { partition, charged, flush } => {
                    self.shared.budget.force(charged);
                    self.flushes.enter_with(flush);
                    self.collector.count_queued(partition);
                    self.collector.place(partition).into_iter().for_each(|(topic, _)| topic.ratio.forget());
                }
                Event::Refresh(topic) => drop(self.stale.insert(topic)),
                Event::NeedsPartition(p) => self.txn.iter_mut().for_each(|txn| txn.handle_partition(p)),
                Event::TransactionFailed(error) => {
                    self.txn.iter_mut().for_each(|txn| txn.handle_failed(error.clone()));
                }
                Event::Reached => self.txn.iter_mut().for_each(Txn::handle_reached),
                Event::Written(p, records) => {
                    let tp = self.sender.partition(p);
                    self.txn.iter_mut().for_each(|txn| txn.handle_written(tp, records));
                }
            }
        }
        if !self.stale.is_empty() {
            self.cluster.refresh(&std::mem::take(&mut self.stale).into_iter().collect::<Vec<_>>());
        }
    }

    fn done(&mut self, batch: Batch, outcome: Outcome) {
        let (charged, flush) = (batch.charged, batch.flush);
        let failure = match &outcome {
            Outcome::Failed(error) => Some(error.clone()),
            _ => None,
        };
        if let Some(buffer) = batch.resolve(outcome) {
            self.shared.budget.recycle(buffer, self.shared.packer.largest());
        }
        self.shared.budget.give(charged);
        self.flushes.leave(flush, failure.as_ref());
    }
}

impl Drop for Driver {
    /// However the driver ends, nobody waits for ever.
    fn drop(&mut self) {
        if lock(&self.shared.refusal).is_none() {
            self.shared.refuse(None);
        }
        let now = Instant::now();
        self.collect(now, Pace::Flush);
        let error = Error::new(Operation::Produce, ErrorKind::Closed, "", "the producer's runtime has ended");
        self.sender.fail_all(now, &error);
        self.drain_events();
    }
}

fn partition_batch<'a>(batch: &'a (usize, crate::types::TopicPartition, bytes::Bytes)) -> PartitionBatch<'a> {
    let (_, tp, bytes) = batch;
    PartitionBatch { topic: &tp.topic, topic_id: Default::default(), partition: tp.partition, batch: bytes.clone() }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(tokio::time::Instant::from_std(at)).await,
        None => std::future::pending().await,
    }
}
