//! One aligned checkpoint as a value: which task has reported what, and when it is whole.

use std::collections::BTreeMap;

use crate::connector::checkpoint::{Manifest, encode_all};
use crate::connector::{Epoch, Sealed, Split, TaskId, Versioned};

/// A checkpoint between its barrier and its manifest: Triggered, then Snapshotted, then Sealed by every task.
pub(super) struct Aligned<S: Split, C, W> {
    epoch: Epoch,
    enumerator: Vec<u8>,
    /// Every split by name: first as the enumerator knows it, then as the reader that holds it does.
    splits: BTreeMap<S::Id, S>,
    awaited_snapshots: Vec<TaskId>,
    sealed: BTreeMap<TaskId, Sealed<C, W>>,
    tasks: usize,
}

impl<S: Split, C: Versioned, W: Versioned> Aligned<S, C, W> {
    /// Triggered: the enumerator's part is taken, every task's is awaited.
    pub(super) fn new(epoch: Epoch, enumerator: &impl Versioned, splits: Vec<S>, tasks: &[TaskId]) -> Self {
        Self {
            epoch,
            enumerator: enumerator.to_bytes(),
            splits: splits.into_iter().map(|s| (s.id(), s)).collect(),
            awaited_snapshots: tasks.to_vec(),
            sealed: BTreeMap::new(),
            tasks: tasks.len(),
        }
    }

    /// A task's splits at the barrier. A late or foreign report changes nothing.
    pub(super) fn handle_snapshot(&mut self, from: TaskId, epoch: Epoch, splits: Vec<S>) {
        if epoch == self.epoch && self.awaited_snapshots.contains(&from) {
            self.awaited_snapshots.retain(|id| *id != from);
            self.splits.extend(splits.into_iter().map(|s| (s.id(), s)));
        }
    }

    /// A task's epoch is flushed.
    pub(super) fn handle_sealed(&mut self, from: TaskId, epoch: Epoch, sealed: Sealed<C, W>) {
        if epoch == self.epoch {
            self.sealed.insert(from, sealed);
        }
    }

    /// Whether every task has reported both.
    pub(super) fn is_whole(&self) -> bool {
        self.awaited_snapshots.is_empty() && self.sealed.len() == self.tasks
    }

    /// The manifest, and what must be committed once it is durable.
    pub(super) fn into_manifest(self, job: &str) -> (Manifest, Vec<C>) {
        let (mut committables, mut states) = (Vec::new(), Vec::new());
        for sealed in self.sealed.into_values() {
            committables.extend(sealed.committables);
            states.push(sealed.state);
        }
        let splits: Vec<S> = self.splits.into_values().collect();
        let manifest = Manifest {
            job: job.to_owned(),
            epoch: self.epoch.0,
            enumerator: Some(self.enumerator),
            splits: encode_all(&splits),
            writers: encode_all(&states),
            committables: encode_all(&committables),
        };
        (manifest, committables)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connector::Decoder;
    use crate::error::Result;

    #[derive(Clone, PartialEq, Eq, Debug)]
    struct Part(u8, i64);

    impl Versioned for Part {
        const VERSION: u8 = 1;

        fn encode(&self, out: &mut Vec<u8>) {
            out.push(self.0);
            out.extend_from_slice(&self.1.to_le_bytes());
        }

        fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
            Ok(Part(from.u8()?, from.i64()?))
        }
    }

    impl Split for Part {
        type Id = u8;

        fn id(&self) -> u8 {
            self.0
        }
    }

    fn sealed(n: i64) -> Sealed<Part, ()> {
        Sealed { committables: vec![Part(0, n)], state: () }
    }

    #[test]
    fn a_manifest_takes_each_split_from_its_reader_and_unassigned_ones_from_the_enumerator() {
        let tasks = [TaskId(0), TaskId(1)];
        let known = vec![Part(1, 0), Part(2, 0), Part(3, 30)];
        let mut aligned = Aligned::<Part, Part, ()>::new(Epoch(4), &(), known, &tasks);
        aligned.handle_sealed(TaskId(1), Epoch(4), sealed(1));
        aligned.handle_snapshot(TaskId(0), Epoch(4), vec![Part(1, 10)]);
        aligned.handle_snapshot(TaskId(0), Epoch(4), vec![Part(3, 99)]);
        aligned.handle_snapshot(TaskId(1), Epoch(3), vec![Part(3, 99)]);
        assert!(!aligned.is_whole(), "task 1's snapshot and task 0's seal are missing");
        aligned.handle_snapshot(TaskId(1), Epoch(4), vec![Part(2, 20)]);
        aligned.handle_sealed(TaskId(0), Epoch(4), sealed(0));
        assert!(aligned.is_whole());
        let (manifest, committables) = aligned.into_manifest("etl");
        assert_eq!(manifest.splits, encode_all(&[Part(1, 10), Part(2, 20), Part(3, 30)]));
        assert_eq!(committables, [Part(0, 0), Part(0, 1)]);
        assert_eq!(manifest.epoch, 4);
    }
}
