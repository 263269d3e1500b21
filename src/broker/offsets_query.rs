//! Questions about a log's offsets: ListOffsets, OffsetForLeaderEpoch, and DeleteRecords, which moves its start.

use std::collections::BTreeMap;

use super::api::{Call, Outcome, Serve};
use super::core::Core;
use super::fetch::isolation;
use super::log::Found;
use crate::error::ErrorCode;
use crate::types::{IsolationLevel, TopicPartition};
use crate::wire::messages::delete_records_response::{DeleteRecordsPartitionResult, DeleteRecordsTopicResult};
use crate::wire::messages::list_offsets_request::ListOffsetsPartition;
use crate::wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use crate::wire::messages::offset_for_leader_epoch_response::{EpochEndOffset, OffsetForLeaderTopicResult};
use crate::wire::messages::{
    DeleteRecordsRequest, DeleteRecordsResponse, ListOffsetsRequest, ListOffsetsResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse,
};

const LATEST: i64 = -1;
const EARLIEST: i64 = -2;
const MAX_TIMESTAMP: i64 = -3;
const EARLIEST_LOCAL: i64 = -4;
const NOWHERE: Found = (-1, -1, -1);

fn offsets_answer(
    request: ListOffsetsRequest,
    each: impl Fn(&str, &ListOffsetsPartition) -> Result<Found, ErrorCode>,
) -> ListOffsetsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let mut named: BTreeMap<i32, u32> = BTreeMap::new();
        topic.partitions.iter().for_each(|p| *named.entry(p.partition_index).or_default() += 1);
        // What is asked for twice is answered once, with an error.
        let found = topic.partitions.iter().filter_map(|p| match named.remove(&p.partition_index)? {
            1 => Some((p.partition_index, each(&topic.name, p))),
            _ => Some((p.partition_index, Err(ErrorCode::INVALID_REQUEST))),
        });
        let partitions = found.map(|(index, found)| match found {
            Ok(found) => listed(index, found),
            Err(code) => listed(index, NOWHERE).with_error_code(code.0),
        });
        ListOffsetsTopicResponse::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    ListOffsetsResponse::default().with_topics(topics.collect())
}

fn listed(partition: i32, (timestamp, offset, epoch): Found) -> ListOffsetsPartitionResponse {
    ListOffsetsPartitionResponse::default()
        .with_partition_index(partition)
        .with_timestamp(timestamp)
        .with_offset(offset)
        .with_leader_epoch(epoch)
}

impl Serve for ListOffsetsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<ListOffsetsResponse> {
        let isolation = isolation(self.isolation_level);
        Outcome::Reply(offsets_answer(self, |topic, wanted| {
            let (timestamp, offset, epoch) = core.offset_of(call, topic, wanted, isolation)?;
            // Versions below 4 have no room for an epoch.
            Ok((timestamp, offset, if call.version < 4 { -1 } else { epoch }))
        }))
    }

    fn refuse(self, code: i16, _version: i16) -> ListOffsetsResponse {
        offsets_answer(self, |_, _| Err(ErrorCode(code)))
    }

    fn throttle(response: &mut ListOffsetsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Core {
    fn offset_of(
        &self,
        call: &Call,
        topic: &str,
        wanted: &ListOffsetsPartition,
        isolation: IsolationLevel,
    ) -> Result<Found, ErrorCode> {
        let tp = TopicPartition::new(topic, wanted.partition_index);
        self.check_leader(call.broker, &tp, wanted.current_leader_epoch)?;
        let partition = self.topics.partition(&tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let log = &partition.log;
        let limit = log.limit(isolation);
        Ok(match wanted.timestamp {
            LATEST => (-1, limit, partition.leader_epoch),
            EARLIEST | EARLIEST_LOCAL => (-1, log.start(), log.epoch_at(log.start())),
            MAX_TIMESTAMP => log.max_timestamp(limit).unwrap_or(NOWHERE),
            at if at >= 0 => log.find_timestamp(at, limit).unwrap_or(NOWHERE),
            _ => NOWHERE,
        })
    }
}

impl Serve for OffsetForLeaderEpochRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<OffsetForLeaderEpochResponse> {
        let topics = self.topics.into_iter().map(|topic| {
            let partitions = topic.partitions.iter().map(|wanted| {
                let tp = TopicPartition::new(&**topic.topic, wanted.partition);
                let answer = EpochEndOffset::default().with_partition(wanted.partition);
                let checked = core.check_leader(call.broker, &tp, wanted.current_leader_epoch);
                match checked.and_then(|()| core.topics.partition(&tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)) {
                    Ok(partition) => {
                        let (epoch, end) = partition.log.end_of_epoch(wanted.leader_epoch);
                        answer.with_leader_epoch(epoch).with_end_offset(end)
                    }
                    Err(code) => answer.with_error_code(code.0),
                }
            });
            OffsetForLeaderTopicResult::default().with_partitions(partitions.collect()).with_topic(topic.topic.clone())
        });
        Outcome::Reply(OffsetForLeaderEpochResponse::default().with_topics(topics.collect()))
    }

    fn refuse(self, code: i16, _version: i16) -> OffsetForLeaderEpochResponse {
        let topics = self.topics.into_iter().map(|topic| {
            let refused = |p: i32| EpochEndOffset::default().with_partition(p).with_error_code(code);
            let partitions = topic.partitions.iter().map(|wanted| refused(wanted.partition)).collect();
            OffsetForLeaderTopicResult::default().with_partitions(partitions).with_topic(topic.topic)
        });
        OffsetForLeaderEpochResponse::default().with_topics(topics.collect())
    }

    fn throttle(response: &mut OffsetForLeaderEpochResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

fn deleted_answer(
    request: DeleteRecordsRequest,
    mut each: impl FnMut(&TopicPartition, i64) -> Result<i64, ErrorCode>,
) -> DeleteRecordsResponse {
    let topics = request.topics.into_iter().map(|topic| {
        let partitions = topic.partitions.iter().map(|wanted| {
            let result = DeleteRecordsPartitionResult::default().with_partition_index(wanted.partition_index);
            match each(&TopicPartition::new(&**topic.name, wanted.partition_index), wanted.offset) {
                Ok(start) => result.with_low_watermark(start),
                Err(code) => result.with_low_watermark(-1).with_error_code(code.0),
            }
        });
        DeleteRecordsTopicResult::default().with_partitions(partitions.collect()).with_name(topic.name.clone())
    });
    DeleteRecordsResponse::default().with_topics(topics.collect())
}

impl Serve for DeleteRecordsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<DeleteRecordsResponse> {
        Outcome::Reply(deleted_answer(self, |tp, offset| {
            core.check_leader(call.broker, tp, -1)?;
            let partition = core.topics.partition_mut(tp).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
            core.dirty.insert(tp.clone());
            partition.log.delete_before(offset)
        }))
    }

    fn refuse(self, code: i16, _version: i16) -> DeleteRecordsResponse {
        deleted_answer(self, |_, _| Err(ErrorCode(code)))
    }

    fn throttle(response: &mut DeleteRecordsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}
