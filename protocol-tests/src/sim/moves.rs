//! T1 for offsets: what a group has committed was moved there by the last transaction that was committed, and by no other.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use milena::{OffsetAndMetadata, TopicPartition};

use super::transactions::{End, TOPIC};

/// Which transactions were asked to move the position of a group, in their order. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Moves(Arc<Mutex<BTreeMap<String, Vec<usize>>>>);

impl Moves {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Vec<usize>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `transaction` moves `group` to: an offset that is its own number.
    pub(super) fn of(&self, group: &str, transaction: usize) -> [(TopicPartition, OffsetAndMetadata); 1] {
        self.lock().entry(group.to_owned()).or_default().push(transaction);
        let offset = i64::try_from(transaction).expect("few transactions");
        [(position(), OffsetAndMetadata { offset, leader_epoch: -1, metadata: String::new() })]
    }

    /// Every group whose position was to be moved.
    pub(super) fn groups(&self) -> Vec<String> {
        self.lock().keys().cloned().collect()
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().values().map(Vec::len).sum()
    }

    /// What is wrong with where `group` stands (`None`: nothing was ever committed), if anything.
    pub(super) fn check(&self, group: &str, stands: Option<usize>, ends: &[(usize, End)]) -> Option<String> {
        let moves = self.lock().get(group).cloned().unwrap_or_default();
        let end = |number: usize| ends.iter().find(|(of, _)| *of == number).map(|(_, end)| *end);
        let last = moves.iter().rposition(|number| end(*number) == Some(End::Committed));
        // Those after the last that was certainly committed may have been committed too, if nobody knows.
        let later = moves.iter().skip(last.map_or(0, |at| at + 1));
        let mut allowed: Vec<_> = later.filter(|n| !matches!(end(**n), Some(End::Aborted))).map(|n| Some(*n)).collect();
        allowed.push(last.and_then(|at| moves.get(at).copied()));
        let wrong = format!("T1: {group} stands at {stands:?}, where one of the transactions {allowed:?} moved it");
        (!allowed.contains(&stands)).then_some(wrong)
    }
}

/// The position that every group has.
pub(super) fn position() -> TopicPartition {
    TopicPartition::new(TOPIC, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_stands_where_the_last_committed_transaction_moved_it() {
        let moves = Moves::default();
        for number in [1, 2, 3, 4] {
            moves.of("g", number);
        }
        let ends = [(1, End::Committed), (2, End::Committed), (3, End::Aborted), (4, End::Unknown)];
        let is_right = |stands| moves.check("g", stands, &ends).is_none();
        assert!(is_right(Some(2)) && is_right(Some(4)));
        assert!(!is_right(Some(1)) && !is_right(Some(3)) && !is_right(None));
    }

    #[test]
    fn a_group_nobody_moved_for_certain_may_stand_nowhere() {
        let moves = Moves::default();
        moves.of("g", 1);
        assert!(moves.check("g", None, &[(1, End::Unknown)]).is_none());
        assert!(moves.check("g", None, &[(1, End::Aborted)]).is_none());
        assert!(moves.check("g", Some(1), &[(1, End::Aborted)]).is_some());
        assert!(moves.check("g", None, &[(1, End::Committed)]).is_some());
    }
}
