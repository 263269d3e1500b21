//! Reads the partitions it is given, each from a concrete offset up to its stop position.

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll};

use super::batch::KafkaBatch;
use super::commits::OffsetCommits;
use super::split::{KafkaSplit, SplitId};
use crate::connector::{Epoch, Event, Reader, Split};
use crate::consumer::{Consumer, Polled, PolledRecords};
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::{Position, TopicPartition};

/// A reader of partitions.
#[derive(Debug)]
pub struct KafkaReader {
    consumer: Consumer,
    commits: Option<OffsetCommits>,
    /// What it reads, by partition, at what `poll_next` has returned so far.
    splits: BTreeMap<TopicPartition, KafkaSplit>,
    /// Read to their stop position, and not yet told.
    finished: VecDeque<SplitId>,
    /// Read to their stop position; their offsets still go into the next group commit.
    complete: Vec<KafkaSplit>,
    is_last: bool,
}

impl KafkaReader {
    pub(super) fn new(consumer: Consumer, commits: Option<OffsetCommits>) -> Self {
        let (splits, finished, complete) = (BTreeMap::new(), VecDeque::new(), Vec::new());
        KafkaReader { consumer, commits, splits, finished, complete, is_last: false }
    }

    /// Moves the split past what was polled. `None` for what was polled of a partition that has been taken away since.
    fn advance(&mut self, polled: PolledRecords) -> Result<Option<KafkaBatch>> {
        let tp = polled.partition().clone();
        let Some(split) = self.splits.get_mut(&tp) else { return Ok(None) };
        if split.topic_id.is_known() && polled.topic_id().is_known() && split.topic_id != polled.topic_id() {
            return Err(recreated(split, polled.topic_id()));
        }
        let stop = split.stop.unwrap_or(i64::MAX);
        split.offset = polled.next_offset().min(stop);
        if split.is_finished() {
            self.finish(&tp);
        }
        Ok(Some(KafkaBatch { polled, stop }))
    }

    fn finish(&mut self, tp: &TopicPartition) {
        let Some(split) = self.splits.remove(tp) else { return };
        self.consumer.unassign(std::slice::from_ref(tp));
        self.finished.push_back(split.id());
        self.complete.push(split);
    }

    fn handle(&mut self, polled: Polled) -> Result<Option<Event<KafkaBatch, SplitId>>> {
        match polled {
            Polled::Records(records) => Ok(self.advance(records)?.map(Event::Batch)),
            Polled::CaughtUp(tp) => Ok(self.splits.get(&tp).map(|split| Event::CaughtUp(split.id()))),
            // Splits are assigned at offsets and reset by nobody: a move is a fault of the consumer's settings.
            Polled::Moved { tp, from, to, reason } => {
                let detail = format!("the position was moved from {from} to {to} ({reason}); records may be missing");
                Err(Error::new(Operation::Fetch, ErrorKind::State, tp.to_string(), detail))
            }
        }
    }
}

fn recreated(split: &KafkaSplit, now: crate::types::TopicId) -> Error {
    let detail = format!(
        "the topic was deleted and created again (id {} is now {now}), so the checkpoint's offset {} means other records; \
         start a new job on the new topic, or restore the old one",
        split.topic_id, split.offset
    );
    Error::new(Operation::Fetch, ErrorKind::State, split.tp.to_string(), detail)
}

impl Reader for KafkaReader {
    type Split = KafkaSplit;
    type Batch = KafkaBatch;

    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event<KafkaBatch, SplitId>>> {
        loop {
            if let Some(id) = self.finished.pop_front() {
                return Poll::Ready(Ok(Event::Finished(id)));
            }
            if self.is_last && self.splits.is_empty() {
                return Poll::Ready(Ok(Event::End));
            }
            let polled = std::task::ready!(self.consumer.poll_next(cx))?;
            if let Some(event) = self.handle(polled)? {
                return Poll::Ready(Ok(event));
            }
        }
    }

    fn assign(&mut self, splits: Vec<KafkaSplit>) {
        for split in splits {
            let tp = split.tp.clone();
            let offset = split.offset;
            self.splits.insert(tp.clone(), split);
            match self.splits[&tp].is_finished() {
                true => self.finish(&tp),
                false => self.consumer.assign([(tp, Position::Offset(offset))]),
            }
        }
    }

    fn revoke(&mut self, ids: &[SplitId]) -> Vec<KafkaSplit> {
        let taken: Vec<_> = ids.iter().filter_map(|id| self.splits.remove(&id.tp)).collect();
        let partitions: Vec<_> = taken.iter().map(|split| split.tp.clone()).collect();
        self.consumer.unassign(&partitions);
        taken
    }

    fn no_more_splits(&mut self) {
        self.is_last = true;
    }

    fn set_paused(&mut self, id: &SplitId, paused: bool) {
        let partition = std::slice::from_ref(&id.tp);
        if paused { self.consumer.pause(partition) } else { self.consumer.resume(partition) }
    }

    fn snapshot(&mut self, epoch: Epoch) -> Vec<KafkaSplit> {
        let splits: Vec<_> = self.splits.values().chain(&self.complete).cloned().collect();
        self.complete.clear();
        if let Some(commits) = &mut self.commits {
            commits.snapshot(epoch, &splits);
        }
        splits
    }

    fn finalized(&mut self, epoch: Epoch) {
        if let Some(commits) = &mut self.commits {
            commits.finalized(epoch);
        }
    }

    fn poll_close(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.commits.as_mut().map_or(Poll::Ready(()), |commits| commits.poll_close(cx))
    }
}
