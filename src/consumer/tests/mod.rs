//! The fetcher driven by hand: literal times, a broker of a few lines, every request looked at.

mod failures;
mod fetching;
mod positions;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::Notify;

use super::Polled;
use super::fetcher::Fetcher;
use super::lanes::LaneId;
use super::testing::{ID, metadata, tp};
use crate::config::{AutoOffsetReset, ClientConfig, ConsumerConfig};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{BrokerId, IsolationLevel, Position, TopicPartition};
use crate::wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, PartitionData,
};
use crate::wire::messages::{FetchRequest, FetchResponse};

const B1: LaneId = LaneId { broker: BrokerId(1), is_second: false };
const B2: LaneId = LaneId { broker: BrokerId(2), is_second: false };
/// The second way to the first broker.
const B1_TOO: LaneId = LaneId { broker: BrokerId(1), is_second: true };

struct Rig {
    fetcher: Fetcher,
    start: Instant,
}

impl Rig {
    fn new(leaders: &[i32], config: ConsumerConfig) -> Rig {
        let mut fetcher = Fetcher::new(config, ClientConfig::default(), 1, Arc::new(Notify::new()));
        let start = Instant::now();
        fetcher.handle_metadata(start, Arc::new(metadata(leaders)));
        for partition in 0..leaders.len() {
            fetcher.assign(tp(partition as i32), Position::Offset(0));
        }
        Rig { fetcher, start }
    }

    fn at(&self, ms: u64) -> Instant {
        self.start + Duration::from_millis(ms)
    }

    /// Every broker that is to be asked now, with its request.
    fn asks(&mut self, ms: u64) -> BTreeMap<LaneId, FetchRequest> {
        let now = self.at(ms);
        self.fetcher.handle_timeout(now);
        let mut asks = BTreeMap::new();
        while let Some(broker) = self.fetcher.poll_lane(now) {
            if let Some((_, request)) = self.fetcher.ask(broker, 17, now) {
                asks.insert(broker, request);
            }
        }
        asks
    }

    fn answer(&mut self, ms: u64, broker: LaneId, partitions: Vec<PartitionData>) {
        let topic_id = ID.0.to_vec().try_into().unwrap();
        let topic = FetchableTopicResponse::default().with_topic_id(topic_id).with_partitions(partitions);
        let answer = FetchResponse::default().with_session_id(5).with_responses(vec![topic]);
        self.fetcher.handle_answer(broker, self.at(ms), Ok(answer));
    }

    fn poll(&mut self) -> Option<Result<Polled>> {
        self.fetcher.poll_event()
    }

    fn records(&mut self) -> Vec<i64> {
        match self.poll() {
            Some(Ok(Polled::Records(records))) => records.iter().map(|r| r.unwrap().offset).collect(),
            other => panic!("{other:?}"),
        }
    }
}

fn data(partition: i32, end: i64, records: Bytes) -> PartitionData {
    PartitionData::default()
        .with_partition_index(partition)
        .with_high_watermark(end)
        .with_last_stable_offset(end)
        .with_records(Some(records))
}

fn failed(partition: i32, code: ErrorCode) -> PartitionData {
    PartitionData::default().with_partition_index(partition).with_error_code(code.0).with_high_watermark(-1)
}

/// Partition, fetch offset and most bytes of what a request names.
fn named(request: &FetchRequest) -> Vec<(i32, i64)> {
    request.topics.iter().flat_map(|t| &t.partitions).map(|p| (p.partition, p.fetch_offset)).collect()
}

fn forgotten(request: &FetchRequest) -> Vec<i32> {
    request.forgotten_topics_data.iter().flat_map(|t| t.partitions.clone()).collect()
}
