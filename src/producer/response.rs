//! Produce answers read: per partition what the broker said, and who leads it now (KIP-951).

use super::collector::Collector;
use super::sender::Answer;
use crate::cluster::{BrokerMetadata, LeaderHint};
use crate::error::ErrorCode;
use crate::types::{BrokerId, FixedMap, TopicName, TopicPartition};
use crate::wire::messages::ProduceResponse;
use crate::wire::messages::produce_response::PartitionProduceResponse;

/// What one answer says, in the sender's numbers. Topics and partitions nobody asked about are left out.
pub(super) fn read(
    response: &ProduceResponse,
    topics: &FixedMap<TopicName, usize>,
    collector: &Collector,
) -> (Vec<Answer>, Vec<LeaderHint>) {
    let (mut answers, mut hints) = (Vec::new(), Vec::new());
    for topic in &response.responses {
        let Some((name, number)) = topics.get_key_value(topic.name.as_str()) else { continue };
        for row in &topic.partition_responses {
            let Some(partition) = collector.number(*number, row.index) else { continue };
            answers.push(answer(partition, row));
            hints.extend(hint(TopicPartition::new(name.clone(), row.index), row, response));
        }
    }
    (answers, hints)
}

fn answer(partition: usize, row: &PartitionProduceResponse) -> Answer {
    let first = row.record_errors.iter().find_map(|record| record.batch_index_error_message.as_ref());
    let message = row.error_message.as_ref().or(first);
    Answer {
        partition,
        code: ErrorCode(row.error_code),
        base_offset: row.base_offset,
        log_append_time_ms: row.log_append_time_ms,
        message: message.map(|text| text.to_string()).unwrap_or_default(),
    }
}

fn hint(tp: TopicPartition, row: &PartitionProduceResponse, response: &ProduceResponse) -> Option<LeaderHint> {
    let leader = row.current_leader.leader_id;
    if leader.0 < 0 {
        return None;
    }
    let endpoint = response.node_endpoints.iter().find(|node| node.node_id == leader).and_then(|node| {
        let rack = node.rack.as_ref().map(|rack| rack.to_string());
        let port = u16::try_from(node.port).ok()?;
        Some(BrokerMetadata { id: BrokerId(leader.0), host: node.host.to_string(), port, rack })
    });
    Some(LeaderHint { tp, leader: BrokerId(leader.0), leader_epoch: row.current_leader.leader_epoch, endpoint })
}
