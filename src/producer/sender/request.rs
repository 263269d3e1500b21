//! Which batches go into the next request: one of each partition at most, every partition in its turn.

use std::time::Instant;

use bytes::Bytes;

use super::batch::Ordinal;
use super::{Broker, Event, Sender, Sent, Settings};
use crate::types::{BrokerId, TopicPartition};

/// A request that names more would be no more efficient, and its turn longer to find.
const MAX_PARTITIONS_IN_REQUEST: usize = 4096;

/// One Produce request to be framed and sent.
#[derive(Debug)]
pub(in crate::producer) struct ProduceRequest {
    pub id: u64,
    pub broker: BrokerId,
    /// Partition (as the sender numbers them), its name and its sealed batch; batches of a topic stand together.
    pub batches: Vec<(usize, TopicPartition, Bytes)>,
}

impl Sender {
    /// The next request, if a connected broker has room for one. One batch of a partition at most is in it.
    pub(in crate::producer) fn poll_request(&mut self, now: Instant) -> Option<ProduceRequest> {
        let room = self.settings.max_in_flight;
        let has_work = |b: &Broker| b.is_connected && b.in_flight < room && !b.ready.is_empty();
        let (&broker, state) = self.brokers.iter().find(|(_, b)| has_work(b))?;
        let turn = state.ready.range(state.cursor..).chain(state.ready.range(..state.cursor));
        let turn: Vec<usize> = turn.copied().take(MAX_PARTITIONS_IN_REQUEST).collect();
        let mut batches = Vec::new();
        let mut sent = Vec::new();
        let mut size = 0;
        for p in turn {
            let len = self.next_len(now, p);
            if !batches.is_empty() && size + len > self.settings.max_request_size {
                break;
            }
            size += len;
            if let Some((ordinal, bytes)) = self.seal(now, p) {
                batches.push((p, self.partitions[p].tp.clone(), bytes));
                sent.push((p, ordinal));
            }
        }
        let last = batches.last()?.0;
        batches.sort_by(|a, b| (&a.1.topic, a.0).cmp(&(&b.1.topic, b.0)));
        let id = self.next_request;
        self.next_request += 1;
        self.requests.insert(id, Sent { broker, batches: sent });
        let state = self.brokers.entry(broker).or_default();
        state.in_flight += 1;
        state.cursor = last + 1;
        Some(ProduceRequest { id, broker, batches })
    }

    /// Bytes a partition's next batch adds to a request, the framing around it included.
    fn next_len(&self, now: Instant, p: usize) -> usize {
        const FRAMING: usize = 24;
        let partition = &self.partitions[p];
        let at = partition.candidate(now, self.settings.numbering, self.settings.max_in_flight);
        let batch = at.and_then(|at| partition.queue.get(at));
        batch.map_or(0, |batch| batch.wire_len() + partition.tp.topic.len() + FRAMING)
    }

    fn seal(&mut self, now: Instant, p: usize) -> Option<(Ordinal, Bytes)> {
        let Settings { numbering, max_in_flight, .. } = self.settings;
        let partition = &mut self.partitions[p];
        let sealed = partition.candidate(now, numbering, max_in_flight).and_then(|at| {
            let (mut batch, stamp) = partition.take(at, numbering)?;
            let bytes = batch.seal(stamp);
            if batch.attempts == 0 {
                self.events.push_back(Event::Dequeued(p));
            }
            batch.attempts += 1;
            let ordinal = batch.ordinal;
            partition.fly(batch);
            Some((ordinal, bytes))
        });
        self.settle(now, p);
        sealed
    }
}
