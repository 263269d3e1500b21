//! Produce: each batch is checked, written once, and acknowledged when as many replicas as asked for have it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;

use super::api::{Answer, Call, Outcome, Serve, text};
use super::core::{Core, Timer};
use super::log::Appended;
use super::topics::Topic;
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicName, TopicPartition};
use crate::wire::batch::{Batch, Batches, Compression};
use crate::wire::codec::{Decompressor, Plain};
use crate::wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse, TopicProduceResponse,
};
use crate::wire::messages::{ProduceRequest, ProduceResponse, TransactionalId};

/// How far a record's timestamp may lie ahead of the broker's clock (`message.timestamp.after.max.ms`).
const TIMESTAMP_AFTER_MAX_MS: i64 = 3_600_000;

/// Where a batch says which format it has.
const AT_MAGIC: usize = 16;

/// Produce requests that wait for replicas.
#[derive(Default, Debug)]
pub(super) struct Produces {
    waiting: BTreeMap<u64, Waiting>,
    next: u64,
}

#[derive(Debug)]
struct Waiting {
    call: Call,
    response: ProduceResponse,
    /// What the high watermarks must reach.
    needs: Vec<(TopicPartition, i64)>,
}

/// Why a batch is not written; a refusal by the log itself says where the log starts, one before it says -1.
struct Refused {
    code: ErrorCode,
    log_start: i64,
    /// The records at fault, where single ones are (KIP-467).
    records: Vec<BatchIndexAndErrorMessage>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, log_start: -1, records: Vec::new() }
    }
}

/// What all batches of one request share.
struct Job<'a> {
    transactional_id: Option<&'a TransactionalId>,
    acks: i16,
    version: i16,
    broker: i32,
}

impl Serve for ProduceRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<ProduceResponse> {
        if !(-1..=1).contains(&self.acks) {
            return Outcome::Reply(self.refuse(ErrorCode::INVALID_REQUIRED_ACKS.0, call.version));
        }
        let job = Job {
            transactional_id: self.transactional_id.as_ref(),
            acks: self.acks,
            version: call.version,
            broker: call.broker,
        };
        let mut response = ProduceResponse::default();
        let mut needs = Vec::new();
        for topic in self.topic_data {
            let known = core.resolve(&topic.name, TopicId(*topic.topic_id.as_bytes()), call.version >= 13);
            let mut answer = TopicProduceResponse::default().with_name(topic.name).with_topic_id(topic.topic_id);
            for data in topic.partition_data {
                let mut partition = PartitionProduceResponse::default().with_index(data.index).with_base_offset(-1);
                let target = known.clone().map(|name| TopicPartition::new(name, data.index)).map_err(Refused::from);
                match target.and_then(|tp| core.produce(&job, &tp, data.records).map(|done| (tp, done))) {
                    Ok((tp, done)) => {
                        core.acknowledge(&tp, &done, &mut partition);
                        needs.push((tp, done.next_offset));
                    }
                    Err(refused) => core.reject(refused, &known, call.version, &mut partition, &mut response),
                }
                answer.partition_responses.push(partition);
            }
            response.responses.push(answer);
        }
        let timeout = Duration::from_millis(u64::try_from(self.timeout_ms).unwrap_or(0));
        core.answer_produce(call, self.acks, timeout, response, needs)
    }

    fn refuse(self, code: i16, _version: i16) -> ProduceResponse {
        let refused = |index| PartitionProduceResponse::default().with_index(index).with_base_offset(-1);
        let topics = self.topic_data.into_iter().map(|topic| {
            let partitions = topic.partition_data.iter().map(|data| refused(data.index).with_error_code(code));
            TopicProduceResponse::default()
                .with_partition_responses(partitions.collect())
                .with_topic_id(topic.topic_id)
                .with_name(topic.name)
        });
        ProduceResponse::default().with_responses(topics.collect())
    }

    fn throttle(response: &mut ProduceResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Core {
    /// The name of a topic given by name or, in newer versions, by id.
    pub(super) fn resolve(&self, name: &str, id: TopicId, by_id: bool) -> Result<TopicName, ErrorCode> {
        if by_id {
            return self.topics.name_of(id).cloned().ok_or(ErrorCode::UNKNOWN_TOPIC_ID);
        }
        self.topics.get(name).map(|topic| topic.name.clone()).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
    }

    fn produce(&mut self, job: &Job<'_>, tp: &TopicPartition, records: Option<Bytes>) -> Result<Appended, Refused> {
        let topic = self.topics.get(&tp.topic).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let partition = topic.partition(tp.partition).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        if partition.leader != job.broker {
            return Err(ErrorCode::NOT_LEADER_OR_FOLLOWER.into());
        }
        let start = partition.log.start();
        let by_log = |code| Refused { code, log_start: start, records: Vec::new() };
        let in_sync = partition.replicas.iter().filter(|id| self.nodes.get(id).is_some_and(|n| n.is_up)).count();
        if job.acks == -1 && topic.config("min.insync.replicas").unwrap_or(1) > in_sync {
            return Err(by_log(ErrorCode::NOT_ENOUGH_REPLICAS));
        }
        let append_time = self.log_append_time(topic);
        let max_bytes = topic.config("max.message.bytes").unwrap_or(self.settings.message_max_bytes);
        let batch = checked(records.unwrap_or_default(), max_bytes, job.version, &mut self.decompressor)?;
        let latest = self.now_ms().saturating_add(TIMESTAMP_AFTER_MAX_MS);
        if append_time.is_none() && batch.header.max_timestamp_ms > latest {
            let records = later_than(&batch, latest, &mut self.decompressor);
            return Err(Refused { records, ..by_log(ErrorCode::INVALID_TIMESTAMP) });
        }
        let first_of_v2 = self.enlist_batch(job.transactional_id, &batch, tp, job.version)?;
        let partition = self.topics.partition_mut(tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let appended =
            partition.log.append(&batch, partition.leader_epoch, append_time, first_of_v2).map_err(by_log)?;
        self.written(tp);
        Ok(appended)
    }

    fn log_append_time(&self, topic: &Topic) -> Option<i64> {
        let kind = topic.configs.get("message.timestamp.type").map(String::as_str);
        (kind == Some("LogAppendTime")).then(|| self.now_ms())
    }

    /// Replicates what was written, at once or later, and wakes those who wait for it.
    pub(super) fn written(&mut self, tp: &TopicPartition) {
        let Some(end) = self.topics.partition(tp).map(|partition| partition.log.end()) else { return };
        if self.settings.replication_delay.is_zero() {
            self.replicated(tp, end);
        } else {
            self.after(self.settings.replication_delay, Timer::Replicate(tp.clone(), end));
        }
    }

    /// The high watermark reaches `offset`.
    pub(super) fn replicated(&mut self, tp: &TopicPartition, offset: i64) {
        if let Some(partition) = self.topics.partition_mut(tp)
            && partition.log.replicate(offset)
        {
            self.dirty.insert(tp.clone());
        }
    }

    fn acknowledge(&self, tp: &TopicPartition, done: &Appended, answer: &mut PartitionProduceResponse) {
        answer.base_offset = done.base_offset;
        answer.log_append_time_ms = done.log_append_time_ms;
        answer.log_start_offset = self.topics.partition(tp).map_or(-1, |partition| partition.log.start());
    }

    /// Writes an error, and from version 10 on who leads instead (KIP-951).
    fn reject(
        &self,
        Refused { code, log_start, records }: Refused,
        topic: &Result<TopicName, ErrorCode>,
        version: i16,
        answer: &mut PartitionProduceResponse,
        response: &mut ProduceResponse,
    ) {
        answer.error_code = code.0;
        answer.log_start_offset = log_start;
        answer.record_errors = records;
        if version < 10 || code != ErrorCode::NOT_LEADER_OR_FOLLOWER {
            return;
        }
        let Ok(topic) = topic else { return };
        let Some(hint) = self.leader_hint(&TopicPartition::new(topic.clone(), answer.index)) else { return };
        answer.current_leader =
            LeaderIdAndEpoch::default().with_leader_id(hint.leader.into()).with_leader_epoch(hint.epoch);
        if !response.node_endpoints.iter().any(|endpoint| endpoint.node_id == hint.leader) {
            let endpoint = NodeEndpoint::default().with_node_id(hint.leader.into());
            response.node_endpoints.push(endpoint.with_host(hint.host).with_port(hint.port));
        }
    }

    fn answer_produce(
        &mut self,
        call: &Call,
        acks: i16,
        timeout: Duration,
        response: ProduceResponse,
        needs: Vec<(TopicPartition, i64)>,
    ) -> Outcome<ProduceResponse> {
        if acks == 0 {
            let has_failed = response.responses.iter().flat_map(|t| &t.partition_responses).any(|p| p.error_code != 0);
            return if has_failed || call.answer == Answer::Close { Outcome::Close } else { Outcome::Silent };
        }
        if acks == 1 || self.satisfied(&needs) {
            return Outcome::Reply(response);
        }
        let id = self.produces.next;
        self.produces.next += 1;
        self.produces.waiting.insert(id, Waiting { call: *call, response, needs });
        self.after(timeout, Timer::Produce(id));
        Outcome::Pending
    }

    fn satisfied(&self, needs: &[(TopicPartition, i64)]) -> bool {
        needs.iter().all(|(tp, offset)| self.is_replicated(tp, *offset))
    }

    fn is_replicated(&self, tp: &TopicPartition, offset: i64) -> bool {
        self.topics.partition(tp).is_none_or(|partition| partition.log.high_watermark() >= offset)
    }

    /// Answers the produces that have what they waited for.
    pub(super) fn wake_produces(&mut self, dirty: &BTreeSet<TopicPartition>) {
        let touched = |waiting: &Waiting| waiting.needs.iter().any(|(tp, _)| dirty.contains(tp));
        let ready = |waiting: &Waiting| touched(waiting) && self.satisfied(&waiting.needs);
        let ids: Vec<_> = self.produces.waiting.iter().filter(|(_, w)| ready(w)).map(|(id, _)| *id).collect();
        for waiting in ids.into_iter().filter_map(|id| self.produces.waiting.remove(&id)).collect::<Vec<_>>() {
            self.reply::<ProduceRequest>(&waiting.call, waiting.response);
        }
    }

    /// Answers a produce whose replicas are too slow: what is not replicated may be there or not.
    pub(super) fn produce_expired(&mut self, id: u64) {
        let Some(mut waiting) = self.produces.waiting.remove(&id) else { return };
        let mut needs = waiting.needs.iter();
        let answers = waiting.response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses);
        for answer in answers.filter(|answer| answer.error_code == 0) {
            if let Some((tp, offset)) = needs.next()
                && !self.is_replicated(tp, *offset)
            {
                answer.error_code = ErrorCode::REQUEST_TIMED_OUT.0;
            }
        }
        self.reply::<ProduceRequest>(&waiting.call, waiting.response);
    }
}

/// The one whole batch in `records`, if it is one a client may send.
fn checked(records: Bytes, max_bytes: usize, version: i16, to: &mut Decompressor) -> Result<Batch, ErrorCode> {
    let length = records.len();
    let is_old = matches!(records.get(AT_MAGIC), Some(0 | 1));
    let batch = Batches::new(records).next().ok_or(ErrorCode::INVALID_RECORD)?;
    let batch = batch.map_err(|_| if is_old { ErrorCode::INVALID_RECORD } else { ErrorCode::CORRUPT_MESSAGE })?;
    if batch.bytes.len() != length {
        return Err(ErrorCode::INVALID_RECORD);
    }
    if length > max_bytes {
        return Err(ErrorCode::MESSAGE_TOO_LARGE);
    }
    batch.verify_crc().map_err(|_| ErrorCode::CORRUPT_MESSAGE)?;
    check_header(&batch, version)?;
    check_records(&batch, to)?;
    Ok(batch)
}

/// Looks into a batch as Kafka's `LogValidator` does: a compressed one must begin at offset 0 and decompress, which it
/// answers with no better word than UNKNOWN_SERVER_ERROR; every record must be sound, and as many as the header says.
///
/// A codec that was left out of this build is taken on trust.
fn check_records(batch: &Batch, decompressor: &mut Decompressor) -> Result<(), ErrorCode> {
    let mut plain = Plain::new();
    let mut records = if !batch.is_compressed() {
        batch.records()
    } else if !batch.header.compression().is_some_and(Compression::is_compiled_in) {
        return Ok(());
    } else {
        let unpacked = batch.decompress_into(decompressor, &mut plain);
        if unpacked.is_err() || batch.header.base_offset != 0 {
            return Err(ErrorCode::UNKNOWN_SERVER_ERROR);
        }
        batch.records_in(plain.bytes())
    };
    records.try_for_each(|record| record.map(drop)).map_err(|_| ErrorCode::INVALID_RECORD)
}

/// The records from after `latest`.
fn later_than(batch: &Batch, latest: i64, decompressor: &mut Decompressor) -> Vec<BatchIndexAndErrorMessage> {
    let records = batch.records_with(decompressor).map_while(Result::ok);
    let late = (0..).zip(records).filter(|(_, record)| record.timestamp_ms > latest);
    let named = late.map(|(index, record)| {
        let message = format!("the timestamp {} is after {latest}", record.timestamp_ms);
        let error = BatchIndexAndErrorMessage::default().with_batch_index(index);
        error.with_batch_index_error_message(Some(text(message)))
    });
    named.collect()
}

fn check_header(batch: &Batch, version: i16) -> Result<(), ErrorCode> {
    let header = &batch.header;
    match header.compression() {
        // Kafka falls over a number it does not know.
        None => return Err(ErrorCode::UNKNOWN_SERVER_ERROR),
        Some(Compression::Zstd) if version < 7 => return Err(ErrorCode::UNSUPPORTED_COMPRESSION_TYPE),
        Some(_) => {}
    }
    let counts_agree = header.record_count > 0 && header.last_offset_delta == header.record_count - 1;
    let is_sequenced = header.producer.producer_id < 0 || header.base_sequence >= 0;
    if counts_agree && is_sequenced && !header.is_control() { Ok(()) } else { Err(ErrorCode::INVALID_RECORD) }
}
