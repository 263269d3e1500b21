//! Transactions looked at from outside: DescribeTransactions, ListTransactions and DescribeProducers.

use std::collections::BTreeMap;

use regex::Regex;

use super::api::{Call, Outcome, Serve, name, text};
use super::coordinate::CoordinatorKind;
use super::core::Core;
use super::txn::{State, Transaction};
use crate::error::ErrorCode;
use crate::types::TopicPartition;
use crate::wire::StrBytes;
use crate::wire::messages::describe_producers_response::{PartitionResponse, ProducerState, TopicResponse};
use crate::wire::messages::describe_transactions_response::{TopicData, TransactionState as Described};
use crate::wire::messages::list_transactions_response::TransactionState as Listed;
use crate::wire::messages::*;

const STATES: [State; 6] = [
    State::Empty,
    State::Ongoing,
    State::PrepareCommit,
    State::PrepareAbort,
    State::CompleteCommit,
    State::CompleteAbort,
];

impl Core {
    fn transaction(&self, call: &Call, id: &str) -> Result<&Transaction, ErrorCode> {
        if id.is_empty() {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        self.check_coordinator(call, CoordinatorKind::Transaction, id)?;
        self.transactions.get(id).ok_or(ErrorCode::TRANSACTIONAL_ID_NOT_FOUND)
    }
}

fn described(id: TransactionalId, transaction: &Transaction) -> Described {
    let mut topics: BTreeMap<&str, Vec<i32>> = BTreeMap::new();
    for tp in &transaction.partitions {
        topics.entry(&tp.topic).or_default().push(tp.partition);
    }
    let topics = topics.into_iter().map(|(topic, p)| TopicData::default().with_topic(name(topic)).with_partitions(p));
    Described::default()
        .with_transactional_id(id)
        .with_transaction_state(text(transaction.state.name()))
        .with_transaction_timeout_ms(transaction.timeout_ms)
        .with_transaction_start_time_ms(transaction.started_ms)
        .with_producer_id(transaction.producer.producer_id.into())
        .with_producer_epoch(transaction.producer.producer_epoch)
        .with_topics(topics.collect())
}

impl Serve for DescribeTransactionsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<DescribeTransactionsResponse> {
        let states = self.transactional_ids.into_iter().map(|id| match core.transaction(call, &id) {
            Ok(transaction) => described(id, transaction),
            Err(code) => Described::default().with_transactional_id(id).with_error_code(code.0),
        });
        Outcome::Reply(DescribeTransactionsResponse::default().with_transaction_states(states.collect()))
    }

    fn refuse(self, code: i16, _version: i16) -> DescribeTransactionsResponse {
        let refused = |id| Described::default().with_transactional_id(id).with_error_code(code);
        let states = self.transactional_ids.into_iter().map(refused).collect();
        DescribeTransactionsResponse::default().with_transaction_states(states)
    }

    fn throttle(response: &mut DescribeTransactionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

/// A pattern that fits whole ids (KIP-1152); none where it is empty.
fn whole(pattern: &str) -> Result<Option<Regex>, regex::Error> {
    if pattern.is_empty() {
        return Ok(None);
    }
    Regex::new(pattern)?;
    Regex::new(&format!("^(?:{pattern})$")).map(Some)
}

impl Serve for ListTransactionsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<ListTransactionsResponse> {
        let is_known = |filter: &&StrBytes| STATES.iter().any(|state| state.name() == filter.as_str());
        let (known, unknown): (Vec<_>, Vec<_>) = self.state_filters.iter().partition(is_known);
        let now_ms = core.now_ms();
        let mine = core.transactions.iter().filter(|(id, _)| core.coordinator(1, id) == Some(call.broker));
        let in_state = |t: &Transaction| {
            self.state_filters.is_empty() || known.iter().any(|filter| filter.as_str() == t.state.name())
        };
        let of_producer = |t: &Transaction| {
            self.producer_id_filters.is_empty()
                || self.producer_id_filters.iter().any(|id| **id == t.producer.producer_id)
        };
        let open_for = |t: &Transaction| {
            let is_open = matches!(t.state, State::Ongoing | State::PrepareCommit | State::PrepareAbort);
            self.duration_filter < 0 || (is_open && now_ms - t.started_ms > self.duration_filter)
        };
        let Ok(pattern) = whole(self.transactional_id_pattern.as_deref().unwrap_or_default()) else {
            return Outcome::Reply(self.refuse(ErrorCode::INVALID_REGULAR_EXPRESSION.0, call.version));
        };
        let fits = |id: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(id));
        let wanted = mine.filter(|(id, t)| fits(id) && in_state(t) && of_producer(t) && open_for(t));
        let states = wanted.map(|(id, t)| {
            Listed::default()
                .with_transactional_id(TransactionalId(text(id)))
                .with_producer_id(t.producer.producer_id.into())
                .with_transaction_state(text(t.state.name()))
        });
        Outcome::Reply(
            ListTransactionsResponse::default()
                .with_transaction_states(states.collect())
                .with_unknown_state_filters(unknown.into_iter().cloned().collect()),
        )
    }

    fn refuse(self, code: i16, _version: i16) -> ListTransactionsResponse {
        ListTransactionsResponse::default().with_error_code(code)
    }

    fn throttle(response: &mut ListTransactionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

fn producers_answer(
    request: DescribeProducersRequest,
    each: impl Fn(&TopicPartition) -> Result<Vec<ProducerState>, ErrorCode>,
) -> DescribeProducersResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partition_indexes.iter().map(|&index| {
            let answer = PartitionResponse::default().with_partition_index(index);
            match each(&TopicPartition::new(&**topic.name, index)) {
                Ok(producers) => answer.with_active_producers(producers),
                Err(code) => answer.with_error_code(code.0),
            }
        });
        TopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    DescribeProducersResponse::default().with_topics(topics.collect())
}

impl Serve for DescribeProducersRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<DescribeProducersResponse> {
        Outcome::Reply(producers_answer(self, |tp| {
            core.check_leader(call.broker, tp, -1)?;
            let partition = core.topics.partition(tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            let producers = partition.log.producers().iter().map(|(id, entry)| {
                ProducerState::default()
                    .with_producer_id(id.into())
                    .with_producer_epoch(i32::from(entry.epoch))
                    .with_last_sequence(entry.last_sequence())
                    .with_last_timestamp(entry.last_timestamp_ms)
                    .with_coordinator_epoch(entry.coordinator_epoch)
                    .with_current_txn_start_offset(entry.open_since.unwrap_or(-1))
            });
            Ok(producers.collect())
        }))
    }

    fn refuse(self, code: i16, _version: i16) -> DescribeProducersResponse {
        producers_answer(self, |_| Err(ErrorCode(code)))
    }

    fn throttle(response: &mut DescribeProducersResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}
