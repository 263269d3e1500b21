//! Fetch sessions (KIP-227): a request carries only what changed since the last, and any doubt starts a new session.

use std::collections::BTreeMap;

use crate::error::ErrorCode;
use crate::types::{TopicId, TopicName, TopicPartition};

/// What is asked of one partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    /// Which assignment of the partition asks; an answer to an earlier one is void.
    pub(super) assignment: u64,
    /// The topic's id; zero if unknown.
    pub(super) topic_id: TopicId,
    /// The first offset wanted.
    pub(super) fetch_offset: i64,
    /// The leader's epoch as we know it; -1 if unknown.
    pub(super) leader_epoch: i32,
    /// Epoch of the last batch fetched; -1 if none was.
    pub(super) last_fetched_epoch: i32,
    /// Most bytes of it.
    pub(super) max_bytes: i32,
}

/// One broker's session, as the client keeps it.
#[derive(Default, Debug)]
pub(super) struct Session {
    id: i32,
    epoch: i32,
    by_id: bool,
    entries: BTreeMap<TopicPartition, Entry>,
    /// Names of the topics that were asked for by id. The metadata may have forgotten a deleted one by the time of its answer.
    names: BTreeMap<TopicId, TopicName>,
}

/// What goes into a request.
#[derive(Default, PartialEq, Eq, Debug)]
pub(super) struct Ask {
    /// 0 to start a session.
    pub(super) session_id: i32,
    /// 0 for a request that names every partition; the one with the id given is closed then.
    pub(super) session_epoch: i32,
    /// Partitions to name, in the order wanted.
    pub(super) send: Vec<(TopicPartition, Entry)>,
    /// Partitions to leave out from now on.
    pub(super) forget: Vec<(TopicPartition, TopicId)>,
}

impl Session {
    /// The session that the broker keeps, unless it keeps none.
    pub(super) fn id(&self) -> Option<i32> {
        Some(self.id).filter(|id| *id != 0)
    }

    /// What was asked of `tp` by the last request, if anything.
    pub(super) fn asked(&self, tp: &TopicPartition) -> Option<&Entry> {
        self.entries.get(tp)
    }

    /// The name of a topic that was asked for by its id.
    pub(super) fn name(&self, topic_id: TopicId) -> Option<&TopicName> {
        self.names.get(&topic_id)
    }

    /// The request that makes the broker fetch exactly `wanted`; by topic id or, for old brokers, by name.
    pub(super) fn next(&mut self, wanted: Vec<(TopicPartition, Entry)>, by_id: bool) -> Ask {
        if by_id != self.by_id {
            self.restart();
        }
        self.by_id = by_id;
        let before = std::mem::replace(&mut self.entries, wanted.iter().cloned().collect());
        let (session_id, session_epoch) = (self.id, self.epoch);
        if session_epoch == 0 {
            self.names = wanted.iter().map(|(tp, entry)| (entry.topic_id, tp.topic.clone())).collect();
            return Ask { session_id, session_epoch, send: wanted, forget: Vec::new() };
        }
        // By name, a recreated topic is the same one: the broker would drop what was just named again.
        let is_same = |entry: &Entry, id: TopicId| !by_id || entry.topic_id == id;
        let is_same_topic = |tp: &TopicPartition, id: TopicId| self.entries.get(tp).is_some_and(|e| is_same(e, id));
        let gone = before.iter().filter(|(tp, old)| !is_same_topic(tp, old.topic_id));
        let forget = gone.map(|(tp, old)| (tp.clone(), old.topic_id)).collect();
        let send: Vec<_> = wanted.into_iter().filter(|(tp, entry)| before.get(tp) != Some(entry)).collect();
        self.names.extend(send.iter().map(|(tp, entry)| (entry.topic_id, tp.topic.clone())));
        Ask { session_id, session_epoch, send, forget }
    }

    /// The broker answered: the session goes on, begins, or (id 0) does not exist.
    pub(super) fn answered(&mut self, session_id: i32) {
        self.epoch = match self.epoch {
            _ if session_id == 0 => 0,
            i32::MAX => 1,
            epoch => epoch + 1,
        };
        self.id = session_id;
    }

    /// The broker refused the session: `true` if the same request in a new one will do.
    pub(super) fn refused(&mut self, code: ErrorCode) -> bool {
        self.restart();
        let is_lost = code == ErrorCode::FETCH_SESSION_ID_NOT_FOUND;
        if is_lost {
            self.id = 0;
        }
        is_lost
            || code == ErrorCode::INVALID_FETCH_SESSION_EPOCH
            || code == ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR
            || code == ErrorCode::INCONSISTENT_TOPIC_ID
    }

    /// Nobody knows what the broker has seen: the next request names every partition and closes the old session.
    pub(super) fn restart(&mut self) {
        self.epoch = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("t", partition)
    }

    fn at(partition: i32, fetch_offset: i64) -> (TopicPartition, Entry) {
        let entry = Entry {
            assignment: 1,
            topic_id: TopicId([7; 16]),
            fetch_offset,
            leader_epoch: 0,
            last_fetched_epoch: -1,
            max_bytes: 100,
        };
        (tp(partition), entry)
    }

    #[test]
    fn after_the_first_answer_only_changes_are_sent() {
        let mut session = Session::default();
        let ask = session.next(vec![at(0, 0), at(1, 0), at(2, 0)], true);
        assert_eq!((ask.session_id, ask.session_epoch, ask.send.len()), (0, 0, 3));
        session.answered(9);
        let ask = session.next(vec![at(0, 5), at(1, 0)], true);
        assert_eq!((ask.session_id, ask.session_epoch), (9, 1));
        assert_eq!(ask.send, [at(0, 5)]);
        assert_eq!(ask.forget, [(tp(2), TopicId([7; 16]))]);
        session.answered(9);
        assert_eq!(session.next(vec![at(0, 5), at(1, 0)], true).session_epoch, 2);
    }

    #[test]
    fn a_broker_without_room_for_sessions_gets_whole_requests() {
        let mut session = Session::default();
        session.next(vec![at(0, 0)], true);
        session.answered(0);
        let ask = session.next(vec![at(0, 0)], true);
        assert_eq!((ask.session_id, ask.session_epoch, ask.send.len()), (0, 0, 1));
    }

    #[test]
    fn a_lost_session_starts_anew_and_a_doubtful_one_is_closed() {
        let mut session = Session::default();
        session.next(vec![at(0, 0)], true);
        session.answered(9);
        session.next(vec![at(0, 0)], true);
        assert!(session.refused(ErrorCode::INVALID_FETCH_SESSION_EPOCH));
        let ask = session.next(vec![at(0, 0)], true);
        assert_eq!((ask.session_id, ask.session_epoch, ask.send.len()), (9, 0, 1));
        assert!(session.refused(ErrorCode::FETCH_SESSION_ID_NOT_FOUND));
        assert_eq!(session.next(vec![at(0, 0)], true).session_id, 0);
    }

    #[test]
    fn a_recreated_topic_is_forgotten_by_its_old_id() {
        let mut session = Session::default();
        session.next(vec![at(0, 0)], true);
        session.answered(9);
        let mut anew = at(0, 0);
        anew.1.topic_id = TopicId([8; 16]);
        let ask = session.next(vec![anew.clone()], true);
        assert_eq!((ask.send, ask.forget), (vec![anew], vec![(tp(0), TopicId([7; 16]))]));
    }

    #[test]
    fn the_epoch_wraps_to_one() {
        let mut session = Session { id: 9, epoch: i32::MAX, ..Session::default() };
        session.answered(9);
        assert_eq!(session.epoch, 1, "0 would ask for a new session");
    }
}
