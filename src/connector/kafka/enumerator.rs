//! The owner of all partitions of a source: deals found ones to the reader with the fewest, forgets none.

use std::collections::BTreeMap;
use std::task::{Context, Poll};

use tokio::sync::mpsc;

use super::split::{KafkaSplit, SplitId};
use crate::connector::{Command, Decoder, Enumerator, Epoch, Split, TaskId, Versioned};
use crate::error::{Error, ErrorKind, Operation, Result};

/// What discovery found.
#[derive(Debug)]
pub(super) enum Found {
    /// Partitions that were not known, with their offsets resolved; the first time possibly none.
    Splits(Vec<KafkaSplit>),
    /// No more will be looked for.
    NoMore,
}

/// Whether the first discovery is done: partitions found later start at the beginning, so that nothing is missed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct EnumeratorState {
    /// The first discovery's partitions are in the splits.
    pub is_initial_discovery_done: bool,
}

impl Versioned for EnumeratorState {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_initial_discovery_done));
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        Ok(Self { is_initial_discovery_done: from.u8()? != 0 })
    }
}

/// Deals partitions to readers.
#[derive(Debug)]
pub struct KafkaEnumerator {
    state: EnumeratorState,
    found: mpsc::UnboundedReceiver<Result<Found>>,
    readers: BTreeMap<TaskId, Reader>,
    unassigned: BTreeMap<SplitId, KafkaSplit>,
    /// Assigned, finished, or waiting for their stop position; each at the position last heard of.
    dealt: BTreeMap<SplitId, KafkaSplit>,
    is_complete: bool,
}

#[derive(Debug, Default)]
struct Reader {
    splits: Vec<SplitId>,
    knows_end: bool,
}

impl KafkaEnumerator {
    /// In a bounded read, restored splits without a stop position are dealt once they are found again with one.
    pub(super) fn new(
        restored: Option<(EnumeratorState, Vec<KafkaSplit>)>,
        is_bounded: bool,
        found: mpsc::UnboundedReceiver<Result<Found>>,
    ) -> Self {
        let (state, splits) = restored.unwrap_or_default();
        let is_held = |split: &KafkaSplit| split.is_finished() || is_bounded && split.stop.is_none();
        let (held, open): (Vec<_>, Vec<_>) = splits.into_iter().partition(is_held);
        KafkaEnumerator {
            state,
            found,
            readers: BTreeMap::new(),
            unassigned: by_id(open),
            dealt: by_id(held),
            is_complete: false,
        }
    }

    fn handle_found(&mut self, found: Found) {
        match found {
            Found::Splits(splits) => {
                self.state.is_initial_discovery_done = true;
                let splits = by_id(splits);
                self.dealt.retain(|id, _| !splits.contains_key(id));
                self.unassigned.extend(splits);
            }
            Found::NoMore => self.is_complete = true,
        }
    }

    /// Every unassigned partition to the reader that has the fewest; then, once all are found, the end.
    fn next_command(&mut self) -> Option<Command<KafkaSplit>> {
        let mut deal: BTreeMap<TaskId, Vec<KafkaSplit>> = BTreeMap::new();
        if !self.readers.is_empty() {
            // One assignment a call: the rest stay unassigned until the next.
            let to = self.least_loaded()?;
            let share = self.unassigned.len().div_ceil(self.readers.len());
            while deal.get(&to).map_or(0, Vec::len) < share {
                let Some((id, split)) = self.unassigned.pop_first() else { break };
                self.dealt.insert(id.clone(), split.clone());
                self.readers.get_mut(&to)?.splits.push(id);
                deal.entry(to).or_default().push(split);
            }
        }
        if let Some((to, splits)) = deal.pop_first() {
            return Some(Command::Assign { to, splits });
        }
        let (to, reader) = self.readers.iter_mut().find(|(_, r)| self.is_complete && !r.knows_end)?;
        reader.knows_end = true;
        Some(Command::NoMoreSplits { to: *to })
    }

    fn least_loaded(&self) -> Option<TaskId> {
        self.readers.iter().min_by_key(|(id, reader)| (reader.splits.len(), **id)).map(|(id, _)| *id)
    }
}

fn by_id(splits: Vec<KafkaSplit>) -> BTreeMap<SplitId, KafkaSplit> {
    splits.into_iter().map(|split| (split.id(), split)).collect()
}

impl Enumerator for KafkaEnumerator {
    type Split = KafkaSplit;
    type State = EnumeratorState;

    fn poll_command(&mut self, cx: &mut Context<'_>) -> Poll<Result<Command<KafkaSplit>>> {
        loop {
            if let Some(command) = self.next_command() {
                return Poll::Ready(Ok(command));
            }
            if self.is_complete {
                return Poll::Pending;
            }
            match std::task::ready!(self.found.poll_recv(cx)) {
                Some(found) => self.handle_found(found?),
                None => {
                    let ended = Error::new(Operation::Job, ErrorKind::Closed, "", "partition discovery ended");
                    return Poll::Ready(Err(ended));
                }
            }
        }
    }

    fn reader_up(&mut self, id: TaskId) {
        self.readers.entry(id).or_default();
    }

    fn reader_down(&mut self, id: TaskId, splits: Vec<KafkaSplit>) {
        self.readers.remove(&id);
        self.unassigned.extend(by_id(splits));
    }

    fn returned(&mut self, from: TaskId, splits: Vec<KafkaSplit>) {
        if let Some(reader) = self.readers.get_mut(&from) {
            reader.splits.retain(|id| splits.iter().all(|split| split.id() != *id));
        }
        self.unassigned.extend(by_id(splits));
    }

    fn finished(&mut self, from: TaskId, ids: Vec<SplitId>) {
        for id in ids {
            if let Some(split) = self.dealt.get_mut(&id) {
                split.offset = split.offset.max(split.stop.unwrap_or(split.offset));
            }
            if let Some(reader) = self.readers.get_mut(&from) {
                reader.splits.retain(|held| *held != id);
            }
        }
    }

    fn snapshot(&mut self, _epoch: Epoch) -> (EnumeratorState, Vec<KafkaSplit>) {
        (self.state, self.dealt.values().chain(self.unassigned.values()).cloned().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{TopicId, TopicPartition};
    use std::task::Waker;

    fn split(partition: i32, offset: i64, stop: Option<i64>) -> KafkaSplit {
        KafkaSplit { tp: TopicPartition::new("t", partition), topic_id: TopicId([1; 16]), offset, stop }
    }

    fn next(enumerator: &mut KafkaEnumerator) -> Option<Command<KafkaSplit>> {
        match enumerator.poll_command(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(command) => Some(command.unwrap()),
            Poll::Pending => None,
        }
    }

    fn dealt(enumerator: &mut KafkaEnumerator) -> BTreeMap<TaskId, Vec<i32>> {
        let mut all: BTreeMap<TaskId, Vec<i32>> = BTreeMap::new();
        while let Some(Command::Assign { to, splits }) = next(enumerator) {
            all.entry(to).or_default().extend(splits.iter().map(|s| s.tp.partition));
        }
        all
    }

    #[test]
    fn found_partitions_are_spread_evenly_and_later_ones_go_to_whoever_has_least() {
        let (tell, found) = mpsc::unbounded_channel();
        let mut enumerator = KafkaEnumerator::new(None, false, found);
        enumerator.reader_up(TaskId(0));
        enumerator.reader_up(TaskId(1));
        tell.send(Ok(Found::Splits((0..5).map(|p| split(p, 0, None)).collect()))).unwrap();
        let counts: Vec<usize> = dealt(&mut enumerator).values().map(Vec::len).collect();
        assert_eq!(counts, [3, 2]);
        tell.send(Ok(Found::Splits(vec![split(5, 0, None)]))).unwrap();
        assert_eq!(dealt(&mut enumerator), BTreeMap::from([(TaskId(1), vec![5])]));
    }

    #[test]
    fn a_restored_bounded_read_deals_what_is_open_and_still_ends() {
        let (tell, found) = mpsc::unbounded_channel();
        let state = EnumeratorState { is_initial_discovery_done: true };
        let splits = vec![split(0, 10, Some(10)), split(1, 4, Some(10))];
        let mut enumerator = KafkaEnumerator::new(Some((state, splits)), true, found);
        enumerator.reader_up(TaskId(0));
        tell.send(Ok(Found::NoMore)).unwrap();
        assert!(
            matches!(next(&mut enumerator), Some(Command::Assign { splits, .. }) if splits == [split(1, 4, Some(10))])
        );
        assert!(matches!(next(&mut enumerator), Some(Command::NoMoreSplits { to: TaskId(0) })));
        assert!(next(&mut enumerator).is_none(), "the end is told once");
        enumerator.finished(TaskId(0), vec![split(1, 0, None).id()]);
        let (_, snapshot) = enumerator.snapshot(Epoch(1));
        assert!(snapshot.iter().all(KafkaSplit::is_finished) && snapshot.len() == 2);
    }

    #[test]
    fn a_restored_split_of_an_endless_read_is_in_the_snapshot_while_its_stop_is_looked_for() {
        let (tell, found) = mpsc::unbounded_channel();
        let state = EnumeratorState { is_initial_discovery_done: true };
        let mut enumerator = KafkaEnumerator::new(Some((state, vec![split(0, 4, None)])), true, found);
        enumerator.reader_up(TaskId(0));
        assert!(next(&mut enumerator).is_none(), "it would never end");
        assert_eq!(enumerator.snapshot(Epoch(1)).1, [split(0, 4, None)]);
        tell.send(Ok(Found::Splits(vec![split(0, 4, Some(9))]))).unwrap();
        let command = next(&mut enumerator);
        assert!(matches!(command, Some(Command::Assign { splits, .. }) if splits == [split(0, 4, Some(9))]));
        assert_eq!(enumerator.snapshot(Epoch(2)).1, [split(0, 4, Some(9))]);
    }

    #[test]
    fn a_returned_split_keeps_its_position_and_is_dealt_again() {
        let (tell, found) = mpsc::unbounded_channel();
        let mut enumerator = KafkaEnumerator::new(None, false, found);
        enumerator.reader_up(TaskId(0));
        tell.send(Ok(Found::Splits(vec![split(0, 0, None)]))).unwrap();
        assert_eq!(dealt(&mut enumerator).len(), 1);
        enumerator.returned(TaskId(0), vec![split(0, 77, None)]);
        assert!(matches!(next(&mut enumerator), Some(Command::Assign { splits, .. }) if splits[0].offset == 77));
    }
}
