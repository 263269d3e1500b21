//! One transactional id and the producers that own it one after the other, some of which do not know that they are done.

use std::sync::Arc;
use std::time::Duration;

use milena::producer::{
    CommitOutcome, OwnedTransaction, PreparedTransaction, Topic, Transaction, TransactionalProducer,
};
use milena::{Error, NewRecord, Recovery};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::history::{History, Outcome, Sent};
use super::moves::Moves;
use super::random::Random;
use super::transactions::{End, Knobs, TOPIC};
use super::world::{Process, START_MS, World};

/// Transactions by number, with their ends, and broken promises seen on the way.
pub(super) type Told = (Vec<(usize, End)>, Vec<String>);

/// One transactional id.
pub(super) struct Slot {
    id: &'static str,
    world: Arc<World>,
    knobs: Knobs,
    history: History,
    moves: Moves,
    random: Random,
    /// Producers so far.
    incarnation: usize,
    /// Transactions so far.
    begun: usize,
    ends: Vec<(usize, End)>,
    findings: Vec<String>,
    /// Fenced producers that go on, and committers of prepared transactions.
    aside: JoinSet<(usize, End)>,
}

/// A producer and the process it lives in.
struct Owner {
    process: Process,
    producer: TransactionalProducer,
}

impl Slot {
    pub(super) fn new(id: &'static str, world: Arc<World>, knobs: Knobs, history: History, moves: Moves) -> Self {
        let random = Random::new(world.plan.seed, id);
        let (ends, findings, aside) = (Vec::new(), Vec::new(), JoinSet::new());
        Self { id, world, knobs, history, moves, random, incarnation: 0, begun: 0, ends, findings, aside }
    }

    /// Does its transactions, and tells how each ended.
    pub(super) async fn run(mut self) -> Told {
        let mut owner = None;
        for _ in 0..self.knobs.transactions {
            let quiet = self.world.plan.quiet_from() / u32::try_from(self.knobs.transactions).unwrap_or(1);
            tokio::time::sleep(quiet.mul_f64(self.random.within(0..150) as f64 / 100.0)).await;
            let current = match owner.take() {
                Some(owner) => owner,
                None => match self.take_over().await {
                    Some(owner) => owner,
                    None => break,
                },
            };
            owner = self.transact(current).await;
        }
        while let Some(done) = self.aside.join_next().await {
            self.ends.push(done.expect("what runs aside does not panic"));
        }
        (self.ends, self.findings)
    }

    /// A new process with a new producer, which fences the one before it.
    async fn take_over(&mut self) -> Option<Owner> {
        for _ in 0..40 {
            self.incarnation += 1;
            let name = format!("{}-{}", self.id, self.incarnation);
            if let Ok(process) = self.world.process(&name, self.knobs.client.clone()).await {
                let mut config = self.knobs.producer.clone();
                config.transactional_id = Some(self.id.to_owned());
                match process.client.transactional_producer(config).await {
                    Ok(producer) => return Some(Owner { process, producer }),
                    Err(error) => self.world.trace.note(|| format!("{name}: no producer: {error}")),
                }
                process.kill();
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        self.findings.push(format!("C7: no producer of {} long after everything healed", self.id));
        None
    }

    /// One transaction, one of the ways it can go. Gives the producer back if it can go on.
    async fn transact(&mut self, owner: Owner) -> Option<Owner> {
        self.begun += 1;
        match self.random.index(20) {
            0..=10 => self.end_it(owner, true).await,
            11..=13 => self.end_it(owner, false).await,
            14 => self.let_go(owner).await,
            15 => self.crash(owner).await,
            16 => self.fence(owner).await,
            _ => self.prepare(owner).await,
        }
    }

    fn number(&self) -> usize {
        // Unique over all slots: their names end in their number.
        let slot = usize::from(self.id.as_bytes().last().copied().unwrap_or(b'0') - b'0');
        self.begun * 10 + slot
    }

    fn told(&mut self, what: &str, end: End) {
        let number = self.number();
        self.world.trace.note(|| format!("{} transaction {number}: {what}: {end:?}", self.id));
        self.ends.push((number, end));
    }

    /// Begins, writes, and commits or aborts.
    async fn end_it(&mut self, mut owner: Owner, is_commit: bool) -> Option<Owner> {
        let ended = {
            let mut transaction = match owner.producer.begin().await {
                Ok(transaction) => transaction,
                Err(error) => {
                    self.told(&format!("begin: {error}"), End::Aborted);
                    return recovered(&error, owner);
                }
            };
            let mut writes = Writes::new(self);
            let written = writes.fill_borrowed(&mut transaction).await;
            let ended = match (written, is_commit) {
                (Ok(()), true) => transaction.commit().await.map(|()| End::Committed),
                (Ok(()), false) => transaction.abort().await.map(|()| End::Aborted),
                (Err(error), _) => transaction.abort().await.and(Err(error)),
            };
            writes.deliveries.join_all().await;
            ended
        };
        match ended {
            Ok(end) => {
                self.told("ended", end);
                Some(owner)
            }
            Err(error) => {
                let end = if is_commit && error.maybe_applied() { End::Unknown } else { End::Aborted };
                self.told(&format!("{error:?}"), end);
                recovered(&error, owner)
            }
        }
    }

    /// Drops the transaction while it is open; the next `begin` aborts it.
    async fn let_go(&mut self, mut owner: Owner) -> Option<Owner> {
        let mut writes = Writes::new(self);
        if let Ok(mut transaction) = owner.producer.begin().await {
            let _ = writes.fill_borrowed(&mut transaction).await;
        }
        // The records' fate is told all the same.
        self.aside.spawn(waited(writes.deliveries, self.number(), End::Aborted));
        Some(owner)
    }

    /// The process dies in the middle of a transaction.
    async fn crash(&mut self, mut owner: Owner) -> Option<Owner> {
        if let Ok(mut transaction) = owner.producer.begin().await {
            let mut writes = Writes::new(self);
            let _ = writes.fill_borrowed(&mut transaction).await;
            let is_in_commit = self.random.chance(0.5);
            let wait = self.random.millis(0..40);
            if is_in_commit {
                let _ = tokio::time::timeout(wait, transaction.commit()).await;
            }
            owner.process.kill();
            self.history.killed(self.lane());
            self.told("killed", if is_in_commit { End::Unknown } else { End::Aborted });
        }
        None
    }

    /// Another process takes the id over while this one is in the middle of a transaction, and this one goes on.
    async fn fence(&mut self, mut owner: Owner) -> Option<Owner> {
        let (mut writes, number) = (Writes::new(self), self.number());
        let wait = self.random.millis(0..500);
        let zombie = async move {
            let Ok(mut transaction) = owner.producer.begin().await else { return (number, End::Aborted) };
            let _ = writes.fill_borrowed(&mut transaction).await;
            tokio::time::sleep(wait).await;
            let ended = transaction.commit().await;
            writes.deliveries.join_all().await;
            drop(owner.process);
            (number, end_of(&ended))
        };
        self.aside.spawn(zombie);
        tokio::time::sleep(self.random.millis(0..300)).await;
        None
    }

    /// Prepares the transaction; another process commits or aborts it later, perhaps twice, perhaps too late.
    async fn prepare(&mut self, owner: Owner) -> Option<Owner> {
        let Owner { process, producer } = owner;
        let mut transaction = match producer.into_transaction().await {
            Ok(transaction) => transaction,
            Err(error) => {
                self.told(&format!("begin: {error}"), End::Aborted);
                return None;
            }
        };
        let mut writes = Writes::new(self);
        if let Err(error) = writes.fill_owned(&mut transaction).await {
            self.world.trace.note(|| format!("write: {error}"));
        }
        let prepared = transaction.prepare().await;
        writes.deliveries.join_all().await;
        match prepared {
            Ok((parked, Some(prepared))) => {
                let end = self.end_prepared(&prepared).await;
                self.told("prepared", end);
                // An end that is not known may still come: only a new producer may go on from there.
                (end != End::Unknown).then(|| Owner { process, producer: parked.ended() })
            }
            Ok((parked, None)) => Some(Owner { process, producer: parked.ended() }),
            Err(error) => {
                self.told(&format!("prepare: {error}"), End::Aborted);
                None
            }
        }
    }

    async fn end_prepared(&mut self, prepared: &PreparedTransaction) -> End {
        let prepared = PreparedTransaction::decode(&prepared.encode()).expect("what was encoded can be decoded");
        tokio::time::sleep(self.random.millis(0..2_500)).await;
        let is_commit = self.random.chance(0.75);
        let name = format!("committer-{}", self.number());
        let Ok(committer) = self.world.process(&name, self.knobs.client.clone()).await else { return End::Unknown };
        let mut told = End::Unknown;
        for _ in 0..self.random.within(1..4) {
            let end = end_by(&committer, &prepared, is_commit).await;
            self.world.trace.note(|| format!("{name}: commit {is_commit}: {end:?}"));
            let Ok(end) = end else { continue };
            if told != End::Unknown && told != end {
                self.findings.push(format!("X5: {name} was told {told:?} first and {end:?} then"));
            }
            told = end;
        }
        committer.kill();
        told
    }

    /// The producer's number in the history: unique over slots and incarnations.
    fn lane(&self) -> usize {
        let slot = usize::from(self.id.as_bytes().last().copied().unwrap_or(b'0') - b'0');
        self.incarnation * 10 + slot
    }
}

async fn end_by(committer: &Process, prepared: &PreparedTransaction, is_commit: bool) -> milena::Result<End> {
    if !is_commit {
        return committer.client.abort_prepared(prepared).await.map(|()| End::Aborted);
    }
    Ok(match committer.client.commit_prepared(prepared).await? {
        CommitOutcome::Committed | CommitOutcome::AlreadyCommitted => End::Committed,
        CommitOutcome::Lost(_) => End::Aborted,
    })
}

fn end_of(ended: &milena::Result<()>) -> End {
    match ended {
        Ok(()) => End::Committed,
        Err(error) if error.maybe_applied() => End::Unknown,
        Err(_) => End::Aborted,
    }
}

/// The same producer goes on where the error says it may.
fn recovered(error: &Error, owner: Owner) -> Option<Owner> {
    matches!(error.recovery(), Recovery::Retry | Recovery::AbortTransaction).then_some(owner)
}

async fn waited(deliveries: JoinSet<()>, number: usize, end: End) -> (usize, End) {
    deliveries.join_all().await;
    (number, end)
}

/// The records of one transaction.
struct Writes {
    lane: usize,
    transaction: usize,
    partitions: u64,
    count: u64,
    /// Its offsets go into the transaction too, if the position of its group is to be moved.
    group: String,
    moves_group: bool,
    moves: Moves,
    history: History,
    random: Random,
    deliveries: JoinSet<()>,
}

impl Writes {
    fn new(slot: &mut Slot) -> Self {
        Self {
            lane: slot.lane(),
            transaction: slot.number(),
            partitions: slot.world.plan.partitions.unsigned_abs().into(),
            count: slot.random.within(0..slot.knobs.most_records),
            group: format!("group-of-{}", slot.id),
            moves_group: slot.random.chance(0.4),
            moves: slot.moves.clone(),
            history: slot.history.clone(),
            random: Random::new(slot.random.seed(), "writes"),
            deliveries: JoinSet::new(),
        }
    }

    async fn fill_borrowed(&mut self, transaction: &mut Transaction<'_>) -> milena::Result<()> {
        let topic = transaction.topic(TOPIC).await?;
        self.fill(&topic).await?;
        if self.moves_group {
            transaction.send_offsets(&self.group, &self.moves.of(&self.group, self.transaction)).await?;
        }
        Ok(())
    }

    async fn fill_owned(&mut self, transaction: &mut OwnedTransaction) -> milena::Result<()> {
        let topic = transaction.topic(TOPIC).await?;
        self.fill(&topic).await?;
        if self.moves_group {
            transaction.send_offsets(&self.group, &self.moves.of(&self.group, self.transaction)).await?;
        }
        Ok(())
    }

    async fn fill(&mut self, topic: &Topic) -> milena::Result<()> {
        for _ in 0..self.count {
            if self.random.chance(0.15) {
                tokio::time::sleep(self.random.millis(0..60)).await;
            }
            self.write(topic).await?;
        }
        Ok(())
    }

    async fn write(&mut self, topic: &Topic) -> milena::Result<()> {
        let sent = self.record();
        let row = self.history.begin(sent.clone());
        let record = NewRecord::value(&sent.value).with_timestamp_ms(sent.timestamp_ms);
        let accepted = topic.enqueue(NewRecord { partition: sent.partition, ..record }).await;
        self.history.appended(row);
        match accepted {
            Ok(delivery) => {
                let history = self.history.clone();
                self.deliveries.spawn(async move { history.end(row, &delivery.await) });
                Ok(())
            }
            Err(error) => {
                self.history.end(row, &Err(error.clone()));
                Err(error)
            }
        }
    }

    fn record(&mut self) -> Sent {
        let mut value = format!("{}.{}.{}:", self.lane, self.transaction, self.history.len()).into_bytes();
        let length = usize::try_from(self.random.within(0..300)).unwrap_or(0);
        value.resize(value.len().max(length), b'x');
        Sent {
            producer: self.lane,
            partition: Some(i32::try_from(self.random.within(0..self.partitions)).unwrap_or(0)),
            value,
            key: None,
            timestamp_ms: START_MS + i64::try_from(self.random.within(0..100_000)).unwrap_or(0),
            transaction: Some(self.transaction),
            sent_at: Instant::now(),
            took: None,
            outcome: Outcome::Pending,
        }
    }
}
