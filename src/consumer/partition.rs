//! One assigned partition: where it is read from, how far it was fetched, how far it was delivered, what waits between.

use std::collections::VecDeque;
use std::time::Instant;

use super::lanes::LaneId;
use super::polled::{Damage, PolledRecords};
use super::session::Entry;
use crate::cluster::Metadata;
use crate::error::Error;
use crate::types::{BrokerId, Position, TopicId, TopicPartition};

/// What a partition is about to do next.
#[derive(Debug)]
pub(super) enum Stage {
    /// Its first offset is to be looked up.
    Locating {
        /// Where to.
        at: Position,
        /// The move this look-up ends, if policy asked for it.
        reset: Option<Reset>,
        /// Whether a look-up is under way.
        is_asked: bool,
    },
    /// It is fetched from its offset on.
    Fetching,
    /// It ended with an error and waits to be assigned anew.
    Failed,
}

/// A move by policy that is under way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Reset {
    /// The offset that was no good; -1 if there was none.
    pub(super) from: i64,
    /// Why, by Kafka's word where it has one.
    pub(super) reason: &'static str,
}

/// What waits for the next poll.
#[derive(Debug)]
pub(super) enum Item {
    /// Records of one fetch.
    Records(PolledRecords),
    /// The end was reached.
    CaughtUp,
    /// Policy moved the position.
    Moved {
        /// The move.
        reset: Reset,
        /// Where to.
        to: i64,
    },
    /// It ends here.
    Failed(Error),
}

/// One assigned partition.
#[derive(Debug)]
pub(super) struct Partition {
    /// Which assignment this is: whatever was asked for under another one is void.
    pub(super) assignment: u64,
    pub(super) stage: Stage,
    pub(super) is_paused: bool,
    /// Nothing is asked of a broker before this time.
    pub(super) not_before: Option<Instant>,
    /// Failures since the last success.
    pub(super) attempts: u32,
    /// Since when brokers have said that it does not exist.
    pub(super) gone_since: Option<Instant>,
    /// Whether its look-up must not be shared with others, one of which cannot be answered.
    pub(super) is_alone: bool,

    pub(super) topic_id: TopicId,
    pub(super) leader: Option<BrokerId>,
    pub(super) leader_epoch: i32,
    /// The replica the leader wants us to read from, and until when (KIP-392).
    pub(super) preferred: Option<(BrokerId, Instant)>,

    /// The next offset to ask for.
    pub(super) fetch_offset: i64,
    /// Epoch of the batch before it; -1 if unknown.
    pub(super) last_fetched_epoch: i32,
    /// The next offset to deliver; `None` until it is known.
    pub(super) position: Option<i64>,
    /// The end as the last answer told; `None` until there was one.
    pub(super) end: Option<i64>,
    /// Whether a request has ever named it.
    pub(super) was_asked: bool,
    /// The request that is out for it.
    pub(super) asked_by: Option<LaneId>,
    /// When it last got records, as a count of answers: the least recently served is asked for first.
    pub(super) served: u64,

    pub(super) queue: VecDeque<Item>,
    pub(super) queued_bytes: usize,
    /// Whether it is in the line of those with something to deliver.
    pub(super) is_ready: bool,
    /// Whether the end it is at was told.
    pub(super) is_end_told: bool,
    /// Whether a request was made without it because enough of it waits for the application.
    pub(super) is_left_out: bool,
    pub(super) damage: Damage,
}

impl Partition {
    /// A partition to be read from `at` on.
    pub(super) fn new(assignment: u64, at: Position) -> Partition {
        let mut partition = Partition {
            assignment,
            stage: Stage::Locating { at, reset: None, is_asked: false },
            is_paused: false,
            not_before: None,
            attempts: 0,
            gone_since: None,
            is_alone: false,
            topic_id: TopicId::ZERO,
            leader: None,
            leader_epoch: -1,
            preferred: None,
            fetch_offset: 0,
            last_fetched_epoch: -1,
            position: None,
            end: None,
            was_asked: false,
            asked_by: None,
            served: 0,
            queue: VecDeque::new(),
            queued_bytes: 0,
            is_ready: false,
            is_end_told: false,
            is_left_out: false,
            damage: Damage::none(),
        };
        if let Position::Offset(offset) = at {
            partition.start_at(offset, -1);
            partition.position = Some(offset);
        }
        partition
    }

    /// Fetches from `offset` on, whose predecessor has this leader epoch (-1 if unknown).
    pub(super) fn start_at(&mut self, offset: i64, last_fetched_epoch: i32) {
        self.stage = Stage::Fetching;
        self.fetch_offset = offset;
        self.last_fetched_epoch = last_fetched_epoch;
        self.is_end_told = false;
        self.succeeded();
    }

    /// Looks a position up, for the reason that policy gives.
    pub(super) fn locate(&mut self, at: Position, reset: Option<Reset>) {
        self.stage = Stage::Locating { at, reset, is_asked: false };
    }

    /// A broker answered as it should.
    pub(super) fn succeeded(&mut self) {
        self.attempts = 0;
        self.not_before = None;
        self.gone_since = None;
        self.is_alone = false;
    }

    /// Whether its wait is over.
    pub(super) fn is_due(&self, now: Instant) -> bool {
        self.not_before.is_none_or(|at| at <= now)
    }

    /// Whether a broker may be asked for more of it, but for the room it takes up: never twice at a time.
    pub(super) fn is_fetchable(&self, now: Instant) -> bool {
        matches!(self.stage, Stage::Fetching) && !self.is_paused && self.asked_by.is_none() && self.is_due(now)
    }

    /// The broker to fetch it from.
    pub(super) fn source(&self) -> Option<BrokerId> {
        self.preferred.map(|(broker, _)| broker).or(self.leader)
    }

    /// What to ask of it.
    pub(super) fn entry(&self, max_bytes: i32) -> Entry {
        Entry {
            assignment: self.assignment,
            topic_id: self.topic_id,
            fetch_offset: self.fetch_offset,
            leader_epoch: self.leader_epoch,
            last_fetched_epoch: self.last_fetched_epoch,
            max_bytes,
        }
    }

    /// Takes leader and epoch over from new metadata; true if either changed, so that waiting is pointless.
    pub(super) fn follow(&mut self, tp: &TopicPartition, metadata: &Metadata) -> bool {
        let Some(row) = metadata.partition(tp) else { return false };
        if (self.leader, self.leader_epoch) == (row.leader, row.leader_epoch) {
            return false;
        }
        (self.leader, self.leader_epoch) = (row.leader, row.leader_epoch);
        self.preferred = None;
        self.not_before = None;
        true
    }

    /// Queues an item; true if the partition has to get in line.
    pub(super) fn push(&mut self, mut item: Item) -> bool {
        if let Item::Records(records) = &mut item {
            if self.is_paused {
                records.detach();
            }
            self.queued_bytes = self.queued_bytes.saturating_add(records.wire_len());
        }
        self.queue.push_back(item);
        !self.is_paused && !std::mem::replace(&mut self.is_ready, true)
    }

    /// Stops delivering it; what waits may wait long, and must not hold on to more than itself.
    pub(super) fn pause(&mut self) {
        self.is_paused = true;
        for item in &mut self.queue {
            if let Item::Records(records) = item {
                records.detach();
            }
        }
    }

    /// Takes the first item, moving the position with it.
    pub(super) fn pop(&mut self) -> Option<Item> {
        let item = self.queue.pop_front()?;
        match &item {
            Item::Records(records) => {
                self.queued_bytes = self.queued_bytes.saturating_sub(records.wire_len());
                self.position = Some(records.next_offset());
            }
            Item::Moved { to, .. } => self.position = Some(*to),
            Item::CaughtUp | Item::Failed(_) => {}
        }
        Some(item)
    }

    /// Drops what was fetched and not delivered.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.queued_bytes = 0;
    }

    /// Ends it until it is assigned anew; true if the partition has to get in line.
    pub(super) fn fail(&mut self, error: Error) -> bool {
        if matches!(self.stage, Stage::Failed) {
            return false;
        }
        self.stage = Stage::Failed;
        self.push(Item::Failed(error))
    }
}
