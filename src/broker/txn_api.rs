//! The requests of transactional producers: InitProducerId, AddPartitionsToTxn, AddOffsetsToTxn and EndTxn.

use super::api::{Call, Outcome, Serve};
use super::coordinate::{CoordinatorKind, offsets_partition};
use super::core::Core;
use crate::error::ErrorCode;
use crate::types::{ProducerIdentity, TopicPartition, TransactionVersion};
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::wire::messages::add_partitions_to_txn_response::{
    AddPartitionsToTxnPartitionResult, AddPartitionsToTxnTopicResult,
};
use crate::wire::messages::*;

/// PRODUCER_FENCED came with these versions (KIP-588); older ones know only INVALID_PRODUCER_EPOCH.
fn fenced_since(code: ErrorCode, version: i16, since: i16) -> i16 {
    let is_new = code == ErrorCode::PRODUCER_FENCED && version < since;
    if is_new { ErrorCode::INVALID_PRODUCER_EPOCH.0 } else { code.0 }
}

impl Serve for InitProducerIdRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<InitProducerIdResponse> {
        Outcome::Reply(match core.init_producer(call, &self) {
            Ok(producer) => InitProducerIdResponse::default()
                .with_producer_id(producer.producer_id.into())
                .with_producer_epoch(producer.producer_epoch),
            Err(code) => self.refuse(fenced_since(code, call.version, 4), call.version),
        })
    }

    fn refuse(self, code: i16, _version: i16) -> InitProducerIdResponse {
        let response = InitProducerIdResponse::default().with_error_code(code);
        response.with_producer_id((-1).into()).with_producer_epoch(-1)
    }

    fn throttle(response: &mut InitProducerIdResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Core {
    fn init_producer(&mut self, call: &Call, request: &InitProducerIdRequest) -> Result<ProducerIdentity, ErrorCode> {
        if (*request.producer_id == -1) != (request.producer_epoch == -1) {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let Some(id) = &request.transactional_id else {
            let producer_id = self.transactions.new_producer_id();
            return Ok(ProducerIdentity { producer_id, producer_epoch: 0 });
        };
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.check_coordinator(call, CoordinatorKind::Transaction, id)?;
        let timeout = request.transaction_timeout_ms;
        if timeout <= 0 || timeout > self.settings.transaction_max_timeout_ms {
            return Err(ErrorCode::INVALID_TRANSACTION_TIMEOUT);
        }
        let expected = (*request.producer_id >= 0)
            .then_some(ProducerIdentity { producer_id: *request.producer_id, producer_epoch: request.producer_epoch });
        let server = self.settings.transaction_version();
        let (result, next) = self.transactions.init(id, timeout, expected, server);
        self.follow(id, next);
        result
    }

    fn add_to_transaction(
        &mut self,
        call: &Call,
        id: &str,
        producer: ProducerIdentity,
        partitions: Vec<TopicPartition>,
    ) -> Result<(), ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.check_coordinator(call, CoordinatorKind::Transaction, id)?;
        let now_ms = self.now_ms();
        let next = self.transactions.add(id, producer, partitions, now_ms)?;
        self.follow(id, next);
        Ok(())
    }
}

fn added(topics: &[AddPartitionsToTxnTopic], each: impl Fn(&TopicPartition) -> i16) -> AddPartitionsToTxnResponse {
    let of_topic = |topic: &AddPartitionsToTxnTopic| {
        let partitions = topic.partitions.iter().map(|&partition| {
            let code = each(&TopicPartition::new(&**topic.name, partition));
            let result = AddPartitionsToTxnPartitionResult::default().with_partition_index(partition);
            result.with_partition_error_code(code)
        });
        AddPartitionsToTxnTopicResult::default()
            .with_results_by_partition(partitions.collect())
            .with_name(topic.name.clone())
    };
    AddPartitionsToTxnResponse::default().with_results_by_topic_v3_and_below(topics.iter().map(of_topic).collect())
}

impl Serve for AddPartitionsToTxnRequest {
    /// Versions from 4 on are for brokers among themselves; the one process of ours has no need of them.
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<AddPartitionsToTxnResponse> {
        let topics = &self.v3_and_below_topics;
        let named = topics.iter().flat_map(|topic| topic.partitions.iter().map(|&p| (&**topic.name, p)));
        let partitions: Vec<_> = named.map(|(topic, p)| TopicPartition::new(topic, p)).collect();
        let is_unknown = |tp: &TopicPartition| core.topics.partition(tp).is_none();
        // One unknown partition spoils the request: the others are not even tried.
        if partitions.iter().any(is_unknown) {
            return Outcome::Reply(added(topics, |tp| {
                let code = if is_unknown(tp) { UNKNOWN } else { ErrorCode::OPERATION_NOT_ATTEMPTED };
                code.0
            }));
        }
        let producer = ProducerIdentity {
            producer_id: *self.v3_and_below_producer_id,
            producer_epoch: self.v3_and_below_producer_epoch,
        };
        let done = core.add_to_transaction(call, &self.v3_and_below_transactional_id, producer, partitions);
        let code = done.err().map_or(0, |code| fenced_since(code, call.version, 2));
        Outcome::Reply(added(topics, |_| code))
    }

    fn refuse(self, code: i16, _version: i16) -> AddPartitionsToTxnResponse {
        added(&self.v3_and_below_topics, |_| code)
    }

    fn throttle(response: &mut AddPartitionsToTxnResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

const UNKNOWN: ErrorCode = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;

impl Serve for AddOffsetsToTxnRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<AddOffsetsToTxnResponse> {
        let producer = ProducerIdentity { producer_id: *self.producer_id, producer_epoch: self.producer_epoch };
        let partitions = vec![offsets_partition(&self.group_id)];
        let done = core.add_to_transaction(call, &self.transactional_id, producer, partitions);
        let code = done.err().map_or(0, |code| fenced_since(code, call.version, 2));
        Outcome::Reply(AddOffsetsToTxnResponse::default().with_error_code(code))
    }

    fn refuse(self, code: i16, _version: i16) -> AddOffsetsToTxnResponse {
        AddOffsetsToTxnResponse::default().with_error_code(code)
    }

    fn throttle(response: &mut AddOffsetsToTxnResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Serve for EndTxnRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<EndTxnResponse> {
        Outcome::Reply(match core.end_transaction(call, &self) {
            // Below version 5 the fields are not on the wire.
            Ok(producer) => EndTxnResponse::default()
                .with_producer_id(if call.version >= 5 { producer.producer_id } else { -1 }.into())
                .with_producer_epoch(if call.version >= 5 { producer.producer_epoch } else { -1 }),
            Err(code) => self.refuse(fenced_since(code, call.version, 2), call.version),
        })
    }

    fn refuse(self, code: i16, _version: i16) -> EndTxnResponse {
        EndTxnResponse::default().with_error_code(code).with_producer_id((-1).into()).with_producer_epoch(-1)
    }

    fn throttle(response: &mut EndTxnResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Core {
    fn end_transaction(&mut self, call: &Call, request: &EndTxnRequest) -> Result<ProducerIdentity, ErrorCode> {
        let id = &request.transactional_id;
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.check_coordinator(call, CoordinatorKind::Transaction, id)?;
        let producer = ProducerIdentity { producer_id: *request.producer_id, producer_epoch: request.producer_epoch };
        let rules = if call.version >= 5 { TransactionVersion::V2 } else { TransactionVersion::V1 };
        let (result, next) = self.transactions.end(id, producer, request.committed, rules);
        self.follow(id, next);
        result
    }
}
