//! Fetch: what a client reads, at once or when enough has come, and never past what its isolation may see.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::api::{Call, Outcome, Serve, wire_id};
use super::core::{Core, Timer};
use super::log::{Aborted, Log};
use super::sessions::{Kind, Sessions, Wanted};
use crate::error::ErrorCode;
use crate::types::{IsolationLevel, TopicPartition};
use crate::wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint, PartitionData,
};
use crate::wire::messages::{FetchRequest, FetchResponse};

/// Fetches that wait, and the sessions they belong to.
#[derive(Default, Debug)]
pub(super) struct Fetches {
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
    pub(super) sessions: Sessions,
}

#[derive(Debug)]
struct Waiting {
    call: Call,
    plan: Plan,
}

/// One fetch, resolved.
#[derive(Debug)]
struct Plan {
    kind: Kind,
    wanted: Vec<Wanted>,
    isolation: IsolationLevel,
    min_bytes: usize,
    max_bytes: usize,
}

impl Serve for FetchRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<FetchResponse> {
        let slots = core.settings.fetch_session_slots;
        let (kind, wanted) = match core.fetches.sessions.enter(call.broker, &self, slots) {
            Ok(entered) => entered,
            Err(code) => return Outcome::Reply(self.refuse(code.0, call.version)),
        };
        let plan = Plan {
            kind,
            wanted,
            isolation: isolation(self.isolation_level),
            min_bytes: usize::try_from(self.min_bytes).unwrap_or(0),
            max_bytes: usize::try_from(self.max_bytes).unwrap_or(0).min(core.settings.fetch_max_bytes),
        };
        if self.max_wait_ms <= 0 || plan.wanted.is_empty() || core.is_ready(call, &plan) {
            return Outcome::Reply(core.fetched(call, plan));
        }
        let id = core.fetches.next;
        core.fetches.next += 1;
        core.fetches.waiting.insert(id, Waiting { call: *call, plan });
        core.after(Duration::from_millis(u64::try_from(self.max_wait_ms).unwrap_or(0)), Timer::Fetch(id));
        Outcome::Pending
    }

    fn refuse(self, code: i16, version: i16) -> FetchResponse {
        if version >= 7 {
            return FetchResponse::default().with_error_code(code);
        }
        let topics = self.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|p| failed(p.partition, ErrorCode(code)));
            FetchableTopicResponse::default().with_partitions(partitions.collect()).with_topic(topic.topic)
        });
        FetchResponse::default().with_responses(topics.collect())
    }

    fn throttle(response: &mut FetchResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

/// The isolation a request names.
pub(super) fn isolation(code: i8) -> IsolationLevel {
    if code == 1 { IsolationLevel::ReadCommitted } else { IsolationLevel::ReadUncommitted }
}

impl Core {
    /// The partition a fetch names, if this broker leads it in the epoch the client knows.
    fn fetchable(&self, call: &Call, wanted: &Wanted) -> Result<TopicPartition, (ErrorCode, Option<TopicPartition>)> {
        let topic = self.resolve(&wanted.name, wanted.id, call.version >= 13).map_err(|code| (code, None))?;
        let tp = TopicPartition::new(topic, wanted.partition);
        self.check_leader(call.broker, &tp, wanted.leader_epoch).map_err(|code| (code, Some(tp.clone())))?;
        Ok(tp)
    }

    /// Whether `broker` leads `tp`, in the epoch the client says unless that is -1 (KIP-320).
    pub(super) fn check_leader(&self, broker: i32, tp: &TopicPartition, epoch: i32) -> Result<(), ErrorCode> {
        let partition = self.topics.partition(tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        match epoch {
            -1 => {}
            old if old < partition.leader_epoch => return Err(ErrorCode::FENCED_LEADER_EPOCH),
            new if new > partition.leader_epoch => return Err(ErrorCode::UNKNOWN_LEADER_EPOCH),
            _ => {}
        }
        if partition.leader == broker { Ok(()) } else { Err(ErrorCode::NOT_LEADER_OR_FOLLOWER) }
    }

    /// Whether a fetch has an error or enough bytes to answer with.
    fn is_ready(&self, call: &Call, plan: &Plan) -> bool {
        let mut bytes = 0;
        for wanted in &plan.wanted {
            let Ok(tp) = self.fetchable(call, wanted) else { return true };
            let Some(log) = self.topics.partition(&tp).map(|partition| &partition.log) else { return true };
            if wanted.offset < log.start() || wanted.offset > log.end() || diverging(log, wanted) != Ok(None) {
                return true;
            }
            let left = plan.min_bytes.saturating_sub(bytes).min(wanted.max_bytes);
            bytes += log.readable_bytes(wanted.offset, log.limit(plan.isolation), left.max(1));
            if bytes >= plan.min_bytes {
                return true;
            }
        }
        bytes >= plan.min_bytes
    }

    fn fetched(&mut self, call: &Call, plan: Plan) -> FetchResponse {
        let mut response = FetchResponse::default();
        let mut topics: BTreeMap<_, usize> = BTreeMap::new();
        let mut told = BTreeMap::new();
        let mut left = plan.max_bytes;
        for wanted in &plan.wanted {
            let data = self.read(call, &plan, wanted, left, left == plan.max_bytes, &mut response);
            let size = data.records.as_ref().map_or(0, Bytes::len);
            left = left.saturating_sub(size);
            if matches!(plan.kind, Kind::Incremental(_)) && !is_news(wanted, &data, size) {
                continue;
            }
            told.insert(wanted.key(), (data.high_watermark, data.log_start_offset, size > 0));
            let at = *topics.entry((wanted.id, wanted.name.0.clone())).or_insert_with(|| {
                let topic = FetchableTopicResponse::default().with_topic(wanted.name.clone());
                response.responses.push(topic.with_topic_id(wire_id(wanted.id)));
                response.responses.len() - 1
            });
            if let Some(topic) = response.responses.get_mut(at) {
                topic.partitions.push(data);
            }
        }
        if let Kind::Full(id) | Kind::Incremental(id) = plan.kind {
            self.fetches.sessions.told(id, &told);
            response.session_id = id;
        }
        response
    }

    fn read(
        &self,
        call: &Call,
        plan: &Plan,
        wanted: &Wanted,
        left: usize,
        is_first: bool,
        response: &mut FetchResponse,
    ) -> PartitionData {
        let tp = match self.fetchable(call, wanted) {
            Ok(tp) => tp,
            Err((code, tp)) => {
                let mut data = failed(wanted.partition, code);
                if ![ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::UNKNOWN_TOPIC_ID].contains(&code) {
                    data.aborted_transactions = None;
                }
                if let Some(tp) = tp {
                    self.hint(call, &tp, &mut data, response);
                }
                return data;
            }
        };
        let Some(log) = self.topics.partition(&tp).map(|partition| &partition.log) else {
            return failed(wanted.partition, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        };
        match diverging(log, wanted) {
            Ok(None) => {}
            Ok(Some(end)) => return shown(wanted, log).with_diverging_epoch(end).with_records(Some(Bytes::new())),
            Err(code) => return failed(wanted.partition, code).with_aborted_transactions(None),
        }
        match log.read(wanted.offset, wanted.max_bytes.min(left), plan.isolation, is_first) {
            None => failed(wanted.partition, ErrorCode::OFFSET_OUT_OF_RANGE).with_aborted_transactions(None),
            Some(slice) => {
                let aborted = slice.aborted.iter().map(aborted_transaction).collect();
                let is_committed = plan.isolation == IsolationLevel::ReadCommitted;
                shown(wanted, log)
                    .with_records(Some(slice.records))
                    .with_aborted_transactions(is_committed.then_some(aborted))
            }
        }
    }

    /// Says who leads instead (KIP-951).
    fn hint(&self, call: &Call, tp: &TopicPartition, data: &mut PartitionData, response: &mut FetchResponse) {
        let moved = [ErrorCode::NOT_LEADER_OR_FOLLOWER.0, ErrorCode::FENCED_LEADER_EPOCH.0];
        if call.version < 16 || !moved.contains(&data.error_code) {
            return;
        }
        let Some(hint) = self.leader_hint(tp) else { return };
        data.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(hint.leader.into()).with_leader_epoch(hint.epoch);
        if !response.node_endpoints.iter().any(|endpoint| endpoint.node_id == hint.leader) {
            let endpoint = NodeEndpoint::default().with_node_id(hint.leader.into());
            response.node_endpoints.push(endpoint.with_host(hint.host).with_port(hint.port));
        }
    }

    /// Answers the fetches for which enough has come.
    pub(super) fn wake_fetches(&mut self, dirty: &BTreeSet<TopicPartition>) {
        let touches = |waiting: &Waiting, tp: &TopicPartition| {
            let id = self.topics.get(&tp.topic).map(|topic| topic.id);
            let is_it = |w: &Wanted| w.partition == tp.partition && (*w.name.0 == *tp.topic || Some(w.id) == id);
            id.is_none() || waiting.plan.wanted.iter().any(is_it)
        };
        let concerned = |waiting: &Waiting| dirty.iter().any(|tp| touches(waiting, tp));
        let ready = |waiting: &Waiting| concerned(waiting) && self.is_ready(&waiting.call, &waiting.plan);
        let ids: Vec<_> = self.fetches.waiting.iter().filter(|(_, w)| ready(w)).map(|(id, _)| *id).collect();
        ids.into_iter().for_each(|id| self.fetch_expired(id));
    }

    /// Answers a waiting fetch with what there is.
    pub(super) fn fetch_expired(&mut self, id: u64) {
        if let Some(Waiting { call, plan }) = self.fetches.waiting.remove(&id) {
            let response = self.fetched(&call, plan);
            self.reply::<FetchRequest>(&call, response);
        }
    }
}

fn is_news(wanted: &Wanted, data: &PartitionData, size: usize) -> bool {
    let told = Some((data.high_watermark, data.log_start_offset));
    size > 0 || data.error_code != 0 || data.diverging_epoch.epoch >= 0 || wanted.told != told
}

fn shown(wanted: &Wanted, log: &Log) -> PartitionData {
    PartitionData::default()
        .with_partition_index(wanted.partition)
        .with_high_watermark(log.high_watermark())
        .with_last_stable_offset(log.last_stable_offset())
        .with_log_start_offset(log.start())
}

/// A partition that is not even looked for; one that refuses has no list of aborted transactions instead of an empty one.
fn failed(partition: i32, code: ErrorCode) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_error_code(code.0)
        .with_high_watermark(-1)
        .with_last_stable_offset(-1)
        .with_log_start_offset(-1)
        .with_aborted_transactions(Some(Vec::new()))
        .with_records(Some(Bytes::new()))
}

fn aborted_transaction(aborted: &Aborted) -> AbortedTransaction {
    AbortedTransaction::default().with_producer_id(aborted.producer_id.into()).with_first_offset(aborted.first_offset)
}

/// Where the client's log and ours part, if the client says what it read last (KIP-595); an epoch we do not know is an error.
fn diverging(log: &Log, wanted: &Wanted) -> Result<Option<EpochEndOffset>, ErrorCode> {
    if wanted.last_fetched_epoch < 0 {
        return Ok(None);
    }
    let (epoch, end) = log.end_of_epoch(wanted.last_fetched_epoch);
    let parts = epoch < wanted.last_fetched_epoch || end < wanted.offset;
    if epoch < 0 || end < 0 {
        return Err(ErrorCode::OFFSET_OUT_OF_RANGE);
    }
    Ok(parts.then(|| EpochEndOffset::default().with_epoch(epoch).with_end_offset(end)))
}
