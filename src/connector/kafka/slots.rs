//! The slots of an exactly-once writer: one is open, the other parked with a prepared transaction or resting.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::committer::Unanswered;
use super::lane::Topics;
use super::leases::WriterLeases;
use crate::connection::BoxFuture;
use crate::connector::Epoch;
use crate::error::{Error, ErrorKind, Operation, Recovery, Result};
use crate::producer::{OwnedTransaction, PreparedProducer, PreparedTransaction, TransactionalProducer};
use crate::types::TransactionVersion;

/// One transactional id and what it is in the middle of.
enum Slot {
    /// No transaction of it is open or pending.
    Resting(TransactionalProducer),
    /// A transaction begins, or one more topic of it is looked up.
    Opening(BoxFuture<'static, Result<Open>>),
    Open(Open),
    /// Flushing towards a prepared transaction.
    Preparing(BoxFuture<'static, Result<(PreparedProducer, Option<PreparedTransaction>)>>),
    /// Prepared, its commit not recorded yet: the id must not be used (X5).
    Parked(Parked),
    /// It needs InitProducerId next, and the checkpoint of this epoch is the first to say so; none has yet if unset.
    Announcing(TransactionalProducer, Option<Epoch>),
    /// In the middle of a move, or failed there.
    Gone,
}

struct Parked {
    producer: PreparedProducer,
    epoch: Epoch,
    version: TransactionVersion,
}

pub(super) struct Open {
    transaction: OwnedTransaction,
    pub(super) topics: Topics,
}

/// The slots of one writer.
pub(super) struct Slots {
    leases: WriterLeases,
    slots: Vec<Slot>,
    current: usize,
    /// The slot that is being prepared.
    preparing: Option<usize>,
    /// Woken when a parked slot is free again.
    waker: Option<std::task::Waker>,
    unanswered: Unanswered,
}

impl Slots {
    /// Slots of producers that have fenced their ids, in the order of the leases.
    pub(super) fn new(leases: WriterLeases, producers: Vec<TransactionalProducer>, unanswered: Unanswered) -> Self {
        // What this process asked for an earlier run of the job, the fence has made harmless.
        leases.slots.iter().for_each(|id| unanswered.remove(id));
        let slots = producers.into_iter().map(Slot::Resting).collect();
        Slots { leases, slots, current: 0, preparing: None, waker: None, unanswered }
    }

    /// What the manifest of `epoch` keeps: retired ids have been fenced by now, and what needs InitProducerId next is
    /// announced, because a process that dies in the middle of it leaves the next one no other way to know.
    pub(super) fn leases(&mut self, epoch: Epoch) -> WriterLeases {
        let mut leases = WriterLeases { retired: Vec::new(), asked: Vec::new(), ..self.leases.clone() };
        for (id, slot) in self.leases.slots.iter().zip(&mut self.slots) {
            let is_announced = match slot {
                Slot::Parked(parked) => parked.producer.needs_init(),
                Slot::Announcing(_, since) => {
                    since.get_or_insert(epoch);
                    true
                }
                _ => false,
            };
            leases.asked.extend(is_announced.then(|| id.clone()));
        }
        leases
    }

    /// The open transaction of the current slot, begun if need be. Pending while the slot's last commit is not recorded.
    pub(super) fn poll_open(&mut self, cx: &mut Context<'_>) -> Poll<Result<&mut Open>> {
        let slot = self.slots.get_mut(self.current).ok_or_else(gone)?;
        loop {
            match std::mem::replace(slot, Slot::Gone) {
                Slot::Resting(producer) => {
                    *slot = Slot::Opening(Box::pin(begin(producer)));
                }
                Slot::Opening(mut opening) => match opening.as_mut().poll(cx) {
                    Poll::Ready(open) => *slot = Slot::Open(open?),
                    Poll::Pending => {
                        *slot = Slot::Opening(opening);
                        return Poll::Pending;
                    }
                },
                Slot::Open(open) => {
                    *slot = Slot::Open(open);
                    break;
                }
                busy @ (Slot::Preparing(_) | Slot::Parked(_) | Slot::Announcing(..)) => {
                    *slot = busy;
                    self.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
                Slot::Gone => return Poll::Ready(Err(gone())),
            }
        }
        if self.preparing.is_some() {
            // Another producer's records would overtake those of the last epoch that are still on their way.
            self.waker = Some(cx.waker().clone());
            return Poll::Pending;
        }
        match slot {
            Slot::Open(open) => Poll::Ready(Ok(open)),
            _ => Poll::Ready(Err(gone())),
        }
    }

    /// Looks a topic up for the open transaction; `poll_open` is ready once it has it.
    pub(super) fn add_topic(&mut self, name: Arc<str>) {
        let Some(slot) = self.slots.get_mut(self.current) else { return };
        if let Slot::Open(mut open) = std::mem::replace(slot, Slot::Gone) {
            *slot = Slot::Opening(Box::pin(async move {
                let topic = open.transaction.topic(&name).await?;
                open.topics.insert(name, topic);
                Ok(open)
            }));
        }
    }

    /// Begins to prepare the current slot and moves on to the next; one that was never opened has nothing to prepare.
    pub(super) fn begin_prepare(&mut self) {
        let Some(slot) = self.slots.get_mut(self.current) else { return };
        match std::mem::replace(slot, Slot::Gone) {
            Slot::Open(open) => {
                *slot = Slot::Preparing(Box::pin(async move { open.transaction.prepare().await }));
                self.preparing = Some(self.current);
                self.current = (self.current + 1) % self.slots.len();
            }
            Slot::Opening(opening) => {
                *slot = Slot::Preparing(Box::pin(async move { opening.await?.transaction.prepare().await }));
                self.preparing = Some(self.current);
                self.current = (self.current + 1) % self.slots.len();
            }
            other => *slot = other,
        }
    }

    /// Ready with the prepared transaction, if the epoch has one. Costs no request for an empty epoch.
    pub(super) fn poll_prepared(
        &mut self,
        cx: &mut Context<'_>,
        epoch: Epoch,
    ) -> Poll<Result<Option<PreparedTransaction>>> {
        let Some(slot) = self.preparing.and_then(|index| self.slots.get_mut(index)) else {
            return Poll::Ready(Ok(None));
        };
        let Slot::Preparing(preparing) = slot else { return Poll::Ready(Err(gone())) };
        let (producer, prepared) = std::task::ready!(preparing.as_mut().poll(cx))?;
        *slot = match &prepared {
            Some(prepared) => Slot::Parked(Parked { producer, epoch, version: prepared.transaction_version }),
            None => Slot::Resting(producer.ended()),
        };
        self.preparing = None;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
        Poll::Ready(Ok(prepared))
    }

    /// The epoch's commit is recorded: its slot may be used again, once whatever it needs for that is announced.
    pub(super) fn finalized(&mut self, epoch: Epoch) {
        for (id, slot) in self.leases.slots.iter().zip(&mut self.slots) {
            *slot = match std::mem::replace(slot, Slot::Gone) {
                Slot::Parked(parked) if parked.epoch <= epoch => parked.free(id, &self.unanswered),
                Slot::Announcing(producer, Some(since)) if since <= epoch => Slot::Resting(producer),
                other => other,
            };
        }
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    /// Takes what must be aborted; parked transactions belong to whoever holds their committables.
    pub(super) fn abort(&mut self) -> BoxFuture<'static, Result<()>> {
        let open: Vec<Slot> =
            self.slots.drain(..).filter(|slot| matches!(slot, Slot::Open(_) | Slot::Opening(_))).collect();
        Box::pin(async move {
            for slot in open {
                let transaction = match slot {
                    Slot::Open(open) => open.transaction,
                    Slot::Opening(opening) => opening.await?.transaction,
                    _ => continue,
                };
                transaction.abort().await.1?;
            }
            Ok(())
        })
    }
}

impl Parked {
    /// The slot after its commit was recorded.
    fn free(self, id: &str, unanswered: &Unanswered) -> Slot {
        // Under version 2 the epoch has moved on, and a late EndTxn is another's.
        if self.version == TransactionVersion::V1 && unanswered.contains(id) {
            unanswered.remove(id);
            return Slot::Announcing(self.producer.ended(), None);
        }
        Slot::Resting(self.producer.ended_answered())
    }
}

/// Begins a transaction, unless a late InitProducerId could abort it when its records already count.
async fn begin(producer: TransactionalProducer) -> Result<Open> {
    let transaction = producer.into_transaction().await?;
    if transaction.has_late_init() {
        let detail =
            "an InitProducerId went unanswered and may come at any time; started again, the job uses another id";
        let error = Error::new(Operation::InitProducerId, ErrorKind::Timeout, transaction.transactional_id(), detail);
        return Err(error.with_recovery(Recovery::Recreate));
    }
    Ok(Open { transaction, topics: Topics::new() })
}

fn gone() -> Error {
    Error::new(Operation::Produce, ErrorKind::Closed, "", "the writer failed before or is closed")
}
