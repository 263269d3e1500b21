//! The driver's part in transactions: carries what the state machine says to sender, gate and coordinators, and back.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use super::super::budget::lock;
use super::super::coordinate::Coordinator;
use super::super::txn::{Answer, Job as Request};
use super::{Command, Driver, Job};
use crate::error::{Error, ErrorKind, Operation, Recovery};
use crate::types::TransactionVersion;

impl Driver {
    pub(super) fn handle_transaction(&mut self, now: Instant, command: Command) {
        let Some(txn) = &mut self.txn else { return };
        match command {
            Command::Begin(reply) => txn.handle_begin(reply),
            Command::Offsets(group, offsets, reply) => {
                let now_ms = (self.shared.read_clock)();
                // Only the first of the transaction finds 0.
                let started = &self.shared.started_at_ms;
                let _ = started.compare_exchange(0, now_ms, Ordering::Relaxed, Ordering::Relaxed);
                txn.handle_offsets(group, offsets, reply);
            }
            Command::End(end, reply) => txn.handle_end(end, reply),
            Command::Dropped => txn.handle_dropped(),
            Command::PreparedEnded { is_in_doubt } => txn.handle_prepared_ended(is_in_doubt),
            Command::Flush(_) | Command::Close(_) => {}
        }
        self.mind_the_gate(now);
    }

    /// Nobody appends to a transaction that ends or has failed, and what was appended is all with the sender.
    fn mind_the_gate(&mut self, now: Instant) {
        let Some(txn) = &self.txn else { return };
        if txn.accepts() || self.shared.gate.load(Ordering::SeqCst) == 0 {
            return;
        }
        self.shared.refuse(txn.refusal().cloned());
        self.learn_new_topics();
        self.collector.sweep(now, &mut self.sender, &mut self.flushes);
    }

    /// Everything there is to do for the transaction now.
    pub(super) fn step_transaction(&mut self, now: Instant) {
        self.mind_the_gate(now);
        if self.txn.as_ref().is_some_and(|txn| txn.drops_records()) {
            let aborted = || Error::new(Operation::Produce, ErrorKind::Closed, "", "the transaction is aborted");
            let refusal = self.txn.as_ref().and_then(|txn| txn.refusal().cloned());
            let error = refusal.unwrap_or_else(|| aborted().with_recovery(Recovery::AbortTransaction));
            self.sender.fail_queued(now, &error);
        }
        self.drain_events();
        let is_flushed = self.flushes.is_idle() && !self.sender.has_requests();
        let has_late = self.sender.has_unanswered();
        let Some(txn) = &mut self.txn else { return };
        if let Some(request) = txn.poll_job(is_flushed, has_late) {
            self.start(request);
        }
        self.open();
    }

    /// Opens the transaction that somebody waits for.
    fn open(&mut self) {
        let Some(txn) = &mut self.txn else { return };
        let Some((number, reply)) = txn.poll_opened() else { return };
        let adds_itself = txn.version() == TransactionVersion::V2;
        self.sender.begin_transaction(txn.identity(), adds_itself);
        *lock(&self.shared.identity) = txn.identity();
        self.flushes.forget_failure();
        self.shared.started_at_ms.store(0, Ordering::Relaxed);
        self.shared.admit(number);
        // Whoever has gone finds it aborted at his next begin.
        let _ = reply.send(Ok(number));
    }

    fn start(&mut self, request: Request) {
        let Some(txn) = &self.txn else { return };
        let coordinator = Coordinator {
            cluster: self.cluster.clone(),
            id: Arc::from(self.config.transactional_id.as_deref().unwrap_or_default()),
            identity: txn.identity(),
            version: txn.version(),
            timeout: self.config.transaction_timeout,
            patience: self.config.max_block,
        };
        match request {
            Request::Init(current) => self.waits.start(async move {
                let (result, is_late) = coordinator.init(current).await;
                Job::Transaction(Answer::Init(result), is_late)
            }),
            Request::AddPartitions(numbers) => {
                let partitions: Vec<_> = numbers.iter().map(|p| self.sender.partition(*p).clone()).collect();
                self.waits.start(async move {
                    let (result, is_late) = coordinator.add_partitions(&partitions).await;
                    Job::Transaction(Answer::Added(numbers, result), is_late)
                });
            }
            Request::CommitOffsets(group, offsets) => self.waits.start(async move {
                let (result, is_late) = coordinator.commit_offsets(&group, &offsets).await;
                Job::Transaction(Answer::Offsets(result), is_late)
            }),
            Request::End { is_commit, is_certain } => self.waits.start(async move {
                let (result, is_late) = coordinator.end(is_commit, is_certain).await;
                Job::Transaction(Answer::Ended(result), is_late)
            }),
        }
    }

    pub(super) fn transaction_answered(&mut self, now: Instant, answer: Answer, is_late: bool) {
        if let Answer::Added(partitions, Ok(())) = &answer {
            partitions.iter().for_each(|p| self.sender.handle_partition_added(now, *p));
        }
        if is_late && matches!(answer, Answer::Init(_)) {
            self.shared.has_late_init.store(true, Ordering::Relaxed);
        }
        let has_late = self.sender.has_unanswered();
        let Some(txn) = &mut self.txn else { return };
        txn.handle_answer(answer, is_late, has_late);
        *lock(&self.shared.identity) = txn.identity();
    }

    /// The newest Produce that is bound neither to the rules of TV2 (12) nor to topic ids (13).
    pub(super) fn max_produce(&self) -> i16 {
        match &self.txn {
            Some(txn) if txn.version() == TransactionVersion::V2 => 12,
            _ => 11,
        }
    }
}
