//! What a broker answered: records into the queues, errors into the right next step, nothing moved silently.

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::fetcher::Fetcher;
use super::isolation::{View, visible};
use super::lanes::LaneId;
use super::partition::{Item, Partition, Reset, Stage};
use super::polled::{PolledRecords, damaged};
use crate::cluster::{BrokerMetadata, LeaderHint};
use crate::config::AutoOffsetReset;
use crate::error::{Error, ErrorCode, Operation, Recovery, Result, classify};
use crate::types::{BrokerId, IsolationLevel, Position, TopicId, TopicName, TopicPartition};
use crate::wire::batch::Batch;
use crate::wire::messages::FetchResponse;
use crate::wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};

impl Fetcher {
    /// The answer to what [`ask`](Self::ask) gave for this lane, or why there is none.
    pub(super) fn handle_answer(&mut self, id: LaneId, now: Instant, answer: Result<FetchResponse>) {
        self.is_dirty = true;
        self.recall(id);
        match answer {
            Err(error) => self.handle_failure(id, now, error),
            Ok(answer) if answer.error_code != 0 => self.handle_refusal(id, now, ErrorCode(answer.error_code)),
            Ok(answer) => self.handle_topics(id, now, answer),
        }
    }

    /// No answer: the broker is asked again later, from whoever leads its partitions then.
    fn handle_failure(&mut self, id: LaneId, now: Instant, error: Error) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.session.restart();
        let attempts = lane.attempts;
        self.suspend(id, now);
        let is_read = |p: &Partition| p.source() == Some(id.broker) && matches!(p.stage, Stage::Fetching);
        let names: Vec<_> = self.partitions.iter().filter(|(_, p)| is_read(p)).map(|(tp, _)| tp.clone()).collect();
        if !error.is_retriable() {
            names.iter().for_each(|tp| self.fail(tp, error.clone()));
            return;
        }
        tracing::warn!(broker = id.broker.0, attempts, %error, "fetch failed; trying again");
        for tp in names {
            if let Some(partition) = self.partitions.get_mut(&tp) {
                partition.preferred = None;
            }
            self.stale.insert(tp.topic);
        }
    }

    fn handle_refusal(&mut self, id: LaneId, now: Instant, code: ErrorCode) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        let is_mended = lane.session.refused(code);
        if is_mended && lane.attempts == 0 {
            lane.attempts = 1;
            lane.release();
            return;
        }
        if is_mended || retries(code) {
            return self.suspend(id, now);
        }
        let error = Error::broker(Operation::Fetch, code, id.broker.to_string());
        self.handle_failure(id, now, error);
    }

    fn suspend(&mut self, id: LaneId, now: Instant) {
        let attempts = self.lanes.get(&id).map_or(0, |lane| lane.attempts);
        let until = now + self.backoff(attempts);
        if let Some(lane) = self.lanes.get_mut(&id) {
            lane.suspend(until);
        }
        self.wake_at(until);
    }

    fn handle_topics(&mut self, id: LaneId, now: Instant, answer: FetchResponse) {
        let Some(lane) = self.lanes.get_mut(&id) else { return };
        lane.session.answered(answer.session_id);
        lane.attempts = 0;
        let bytes = answer.responses.iter().flat_map(|t| &t.partitions).map(wire_len).sum();
        let rest = lane.measure(now, bytes);
        // Given back only when the records have taken their own: nobody else must slip in between.
        let _room = lane.release();
        self.take_hints(id, &answer);
        let mut is_news = false;
        for topic in answer.responses {
            let Some(name) = self.name_of(id, &topic) else { continue };
            for data in topic.partitions {
                let tp = TopicPartition { topic: name.clone(), partition: data.partition_index };
                is_news |= self.handle_partition(id, now, &tp, data);
            }
        }
        let throttle = Duration::from_millis(u64::try_from(answer.throttle_time_ms).unwrap_or(0));
        let throttled = (!throttle.is_zero()).then(|| now + throttle);
        if let Some(until) = throttled.max(rest.filter(|_| !is_news)) {
            self.lanes.get_mut(&id).into_iter().for_each(|lane| lane.wait(until));
            self.wake_at(until);
        }
    }

    fn name_of(&self, id: LaneId, topic: &FetchableTopicResponse) -> Option<TopicName> {
        if topic.topic_id.is_nil() {
            return self.metadata.topics.get_key_value(&*topic.topic.0).map(|(name, _)| name.clone());
        }
        self.lanes.get(&id)?.session.name(TopicId(*topic.topic_id.as_bytes())).cloned()
    }

    /// Leaders that the answer told along with its errors (KIP-951).
    fn take_hints(&mut self, id: LaneId, answer: &FetchResponse) {
        for topic in &answer.responses {
            let Some(name) = self.name_of(id, topic) else { continue };
            for data in topic.partitions.iter().filter(|d| d.error_code != 0 && d.current_leader.leader_id.0 >= 0) {
                let (leader, leader_epoch) =
                    (BrokerId(data.current_leader.leader_id.0), data.current_leader.leader_epoch);
                let tp = TopicPartition { topic: name.clone(), partition: data.partition_index };
                self.hints.push(LeaderHint { tp, leader, leader_epoch, endpoint: endpoint(answer, leader) });
            }
        }
    }

    /// Whether the answer told something new about the partition.
    fn handle_partition(&mut self, id: LaneId, now: Instant, tp: &TopicPartition, data: PartitionData) -> bool {
        let Some(asked) = self.lanes.get(&id).and_then(|lane| lane.session.asked(tp)) else { return false };
        let (assignment, offset) = (asked.assignment, asked.fetch_offset);
        let topic_id = asked.topic_id;
        let Some(partition) = self.partitions.get_mut(tp) else { return false };
        let is_current =
            (partition.assignment, partition.fetch_offset, partition.topic_id) == (assignment, offset, topic_id);
        if !is_current || !matches!(partition.stage, Stage::Fetching) {
            return false;
        }
        let code = ErrorCode(data.error_code);
        if code != ErrorCode::NONE {
            self.handle_error(id.broker, now, tp, code);
            return true;
        }
        let preferred = BrokerId(data.preferred_read_replica.0);
        if data.diverging_epoch.end_offset >= 0 && data.diverging_epoch.epoch >= 0 {
            let (end_offset, epoch) = (data.diverging_epoch.end_offset, data.diverging_epoch.epoch);
            self.handle_truncation(tp, end_offset, epoch);
        } else if preferred != id.broker && self.metadata.brokers.contains_key(&preferred) {
            let until = now + self.client.metadata_max_age;
            partition.preferred = Some((preferred, until));
            self.wake_at(until);
        } else {
            return self.handle_records(now, tp, data);
        }
        true
    }

    fn handle_records(&mut self, now: Instant, tp: &TopicPartition, data: PartitionData) -> bool {
        let is_committed = self.config.isolation_level == IsolationLevel::ReadCommitted;
        let Some(partition) = self.partitions.get_mut(tp) else { return false };
        let stable = if data.last_stable_offset >= 0 { data.last_stable_offset } else { data.high_watermark };
        let end = if is_committed { stable } else { data.high_watermark };
        partition.end = (end >= 0).then_some(end).or(partition.end);
        partition.succeeded();
        let records = data.records.unwrap_or_default();
        let had_bytes = !records.is_empty();
        let view = View {
            from: partition.fetch_offset,
            until: if is_committed && data.last_stable_offset >= 0 { data.last_stable_offset } else { i64::MAX },
            aborted: is_committed.then(|| data.aborted_transactions.unwrap_or_default()),
            check_crcs: self.config.check_crcs,
        };
        let seen = visible(records, view);
        let has_moved = seen.next_offset > partition.fetch_offset;
        let fault = seen.fault.clone();
        if has_moved {
            self.queue_records(tp, seen);
        }
        match fault {
            Some(fault) => self.fail(tp, damaged(tp, &fault)),
            // Bytes that lead nowhere would be fetched again and again without a pause.
            None if had_bytes && !has_moved => self.back_off(tp, now),
            None => self.tell_end(tp),
        }
        has_moved
    }

    fn queue_records(&mut self, tp: &TopicPartition, seen: super::isolation::Visible) {
        self.served += 1;
        let mut batches = seen.batches;
        loop {
            let rest = batches.split_off(self.unpacker.fitting(&batches).min(batches.len()));
            let (next_offset, leader_epoch) = match batches.last() {
                Some(last) if !rest.is_empty() => (last.header.next_offset(), last.header.partition_leader_epoch),
                _ => (seen.next_offset, seen.leader_epoch),
            };
            self.queue_batches(tp, batches, next_offset, leader_epoch);
            if rest.is_empty() {
                return;
            }
            batches = rest;
        }
    }

    /// What one poll is to give.
    fn queue_batches(&mut self, tp: &TopicPartition, batches: Vec<Batch>, next_offset: i64, leader_epoch: i32) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        let is_packed = batches.iter().any(Batch::is_compressed);
        let records = PolledRecords {
            tp: tp.clone(),
            topic_id: partition.topic_id,
            position: partition.fetch_offset,
            next_offset,
            leader_epoch,
            lease: self.budget.force(batches.iter().map(|batch| batch.bytes.len()).sum()),
            unpacked: if is_packed { batches.iter().map(|_| OnceLock::new()).collect() } else { Box::default() },
            unpacker: self.unpacker.clone(),
            batches,
            check_crcs: self.config.check_crcs,
            damage: partition.damage.clone(),
            is_detached: false,
        };
        partition.served = self.served;
        partition.fetch_offset = next_offset;
        partition.last_fetched_epoch = leader_epoch;
        partition.is_end_told = false;
        self.push(tp, Item::Records(records));
    }

    /// Tells the end once each time it is reached.
    fn tell_end(&mut self, tp: &TopicPartition) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        let is_at_end = partition.end.is_some_and(|end| partition.fetch_offset >= end);
        if is_at_end && !std::mem::replace(&mut partition.is_end_told, true) {
            self.push(tp, Item::CaughtUp);
        }
    }

    fn handle_error(&mut self, broker: BrokerId, now: Instant, tp: &TopicPartition, code: ErrorCode) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        let is_follower = partition.leader != Some(broker);
        partition.preferred = None;
        match code {
            ErrorCode::OFFSET_OUT_OF_RANGE if is_follower => self.back_off(tp, now),
            ErrorCode::OFFSET_OUT_OF_RANGE => self.handle_out_of_range(tp),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION | ErrorCode::UNKNOWN_TOPIC_ID | ErrorCode::INCONSISTENT_TOPIC_ID => {
                self.handle_gone(tp, now, code);
            }
            _ if retries(code) => {
                self.stale.insert(tp.topic.clone());
                self.back_off(tp, now);
            }
            _ => self.fail(tp, Error::broker(Operation::Fetch, code, tp.to_string())),
        }
    }

    fn handle_out_of_range(&mut self, tp: &TopicPartition) {
        let Some(partition) = self.partitions.get(tp) else { return };
        let from = partition.fetch_offset;
        self.reset(tp, Reset { from, reason: "OFFSET_OUT_OF_RANGE" }, ErrorCode::OFFSET_OUT_OF_RANGE);
    }

    /// Goes where `auto.offset.reset` says, or ends the partition with `code` if it says `none`.
    pub(super) fn reset(&mut self, tp: &TopicPartition, reset: Reset, code: ErrorCode) {
        let at = match self.config.auto_offset_reset {
            AutoOffsetReset::Earliest => Position::Earliest,
            AutoOffsetReset::Latest => Position::Latest,
            AutoOffsetReset::None => {
                let Reset { from, reason } = reset;
                let detail =
                    format!("offset {from}, {reason}, and auto.offset.reset is none; seek, or set earliest or latest");
                return self.fail(tp, Error::broker(Operation::Fetch, code, tp.to_string()).with_detail(detail));
            }
        };
        tracing::warn!(partition = %tp, from = reset.from, reason = reset.reason, ?at, "position reset by policy");
        if let Some(partition) = self.partitions.get_mut(tp) {
            partition.locate(at, Some(reset));
        }
    }

    /// The log was cut below what we fetched (KIP-320): what we hold of it is not the log any more.
    fn handle_truncation(&mut self, tp: &TopicPartition, end_offset: i64, epoch: i32) {
        let Some(partition) = self.partitions.get_mut(tp) else { return };
        let from = partition.position.unwrap_or(partition.fetch_offset);
        partition.clear();
        if end_offset >= from {
            return partition.start_at(from, epoch);
        }
        let reset = Reset { from, reason: "LOG_TRUNCATED" };
        if self.config.auto_offset_reset == AutoOffsetReset::None {
            return self.reset(tp, reset, ErrorCode::OFFSET_OUT_OF_RANGE);
        }
        tracing::warn!(partition = %tp, from, to = end_offset, "the log was truncated below the position");
        partition.start_at(end_offset, epoch);
        self.push(tp, Item::Moved { reset, to: end_offset });
    }
}

/// Whether a partition's error passes by itself. A broker that knows no better word also gets another chance.
fn retries(code: ErrorCode) -> bool {
    let passes = classify(Operation::Fetch, code) == Recovery::Retry && code != ErrorCode::CORRUPT_MESSAGE;
    passes || code == ErrorCode::UNKNOWN_SERVER_ERROR
}

fn wire_len(data: &PartitionData) -> usize {
    data.records.as_ref().map_or(0, bytes::Bytes::len)
}

fn endpoint(answer: &FetchResponse, leader: BrokerId) -> Option<BrokerMetadata> {
    let node = answer.node_endpoints.iter().find(|node| node.node_id.0 == leader.0)?;
    let (host, port) = (node.host.to_string(), u16::try_from(node.port).ok()?);
    Some(BrokerMetadata { id: leader, host, port, rack: node.rack.as_ref().map(ToString::to_string) })
}
