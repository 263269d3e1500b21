//! Writes batches to Kafka: in a transaction per epoch, or flushed per epoch, or just sent.

use std::sync::Arc;
use std::task::{Context, Poll};

use super::committer::KafkaCommittable;
use super::lane::{Draining, Stopped, Topics};
use super::leases::WriterLeases;
use super::route::Route;
use super::slots::Slots;
use crate::connection::BoxFuture;
use crate::connector::{Epoch, Records, Sealed, Writer};
use crate::error::Result;
use crate::producer::{Producer, Topic};

/// A writer of one task.
pub struct KafkaWriter {
    route: Route,
    draining: Option<Draining>,
    /// The epoch whose last record is appended and not yet acknowledged.
    sealing: Option<Epoch>,
    mode: Mode,
    closing: Option<BoxFuture<'static, Result<()>>>,
}

pub(super) enum Mode {
    ExactlyOnce(Slots),
    Plain(Plain),
}

/// A topic's handle on its way.
type LookUp = BoxFuture<'static, Result<(Arc<str>, Topic)>>;

/// A producer without transactions.
pub(super) struct Plain {
    producer: Producer,
    topics: Topics,
    /// Whether an epoch ends with everything acknowledged.
    flushes: bool,
    flushing: Option<BoxFuture<'static, Result<()>>>,
    looking_up: Option<LookUp>,
}

impl Plain {
    pub(super) fn new(producer: Producer, flushes: bool) -> Self {
        Plain { producer, topics: Topics::new(), flushes, flushing: None, looking_up: None }
    }

    fn poll_topics(&mut self, cx: &mut Context<'_>) -> Poll<Result<&Topics>> {
        if let Some(looking_up) = &mut self.looking_up {
            let (name, topic) = std::task::ready!(looking_up.as_mut().poll(cx))?;
            self.looking_up = None;
            self.topics.insert(name, topic);
        }
        Poll::Ready(Ok(&self.topics))
    }

    fn add_topic(&mut self, name: Arc<str>) {
        let producer = self.producer.clone();
        self.looking_up = Some(Box::pin(async move { Ok((name.clone(), producer.topic(&name).await?)) }));
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let producer = self.producer.clone();
        let flushing = self.flushing.get_or_insert_with(|| Box::pin(async move { producer.flush().await }));
        let flushed = std::task::ready!(flushing.as_mut().poll(cx));
        self.flushing = None;
        Poll::Ready(flushed)
    }
}

impl KafkaWriter {
    pub(super) fn new(route: Route, mode: Mode) -> Self {
        KafkaWriter { route, draining: None, sealing: None, mode, closing: None }
    }

    /// Ready when nothing is left to append of the last batch.
    fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        while let Some(draining) = &mut self.draining {
            let topics = match &mut self.mode {
                Mode::ExactlyOnce(slots) => &std::task::ready!(slots.poll_open(cx))?.topics,
                Mode::Plain(plain) => std::task::ready!(plain.poll_topics(cx))?,
            };
            match std::task::ready!(draining.poll(cx, &self.route, topics))? {
                Stopped::Done => self.draining = None,
                Stopped::NeedsTopic(name) => match &mut self.mode {
                    Mode::ExactlyOnce(slots) => slots.add_topic(name),
                    Mode::Plain(plain) => plain.add_topic(name),
                },
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl Writer for KafkaWriter {
    type Batch = Box<dyn Records>;
    type Committable = KafkaCommittable;
    type State = WriterLeases;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.poll_drain(cx)
    }

    fn write(&mut self, _epoch: Epoch, batch: Box<dyn Records>) -> Result<()> {
        self.draining = Some(Draining::new(batch));
        Ok(())
    }

    fn poll_seal(
        &mut self,
        cx: &mut Context<'_>,
        epoch: Epoch,
    ) -> Poll<Result<Sealed<KafkaCommittable, WriterLeases>>> {
        if self.sealing.is_none() {
            // The batch in hand is the epoch's last; what is written from now on belongs to the next.
            std::task::ready!(self.poll_drain(cx))?;
            self.sealing = Some(epoch);
            if let Mode::ExactlyOnce(slots) = &mut self.mode {
                slots.begin_prepare();
            }
        }
        let sealed = match &mut self.mode {
            Mode::ExactlyOnce(slots) => {
                let prepared = std::task::ready!(slots.poll_prepared(cx, epoch))?;
                Sealed {
                    committables: prepared.into_iter().map(KafkaCommittable).collect(),
                    state: slots.leases(epoch),
                }
            }
            Mode::Plain(plain) => {
                if plain.flushes {
                    std::task::ready!(plain.poll_flush(cx))?;
                }
                Sealed { committables: Vec::new(), state: WriterLeases::default() }
            }
        };
        self.sealing = None;
        Poll::Ready(Ok(sealed))
    }

    fn finalized(&mut self, epoch: Epoch) {
        if let Mode::ExactlyOnce(slots) = &mut self.mode {
            slots.finalized(epoch);
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        let closing = match (&mut self.closing, &mut self.mode) {
            (Some(closing), _) => closing,
            (none, Mode::ExactlyOnce(slots)) => none.insert(slots.abort()),
            (none, Mode::Plain(plain)) => {
                let producer = plain.producer.clone();
                none.insert(Box::pin(async move { producer.close().await }))
            }
        };
        closing.as_mut().poll(cx)
    }
}
