//! Offsets at a position: each partition's leader is asked, at its epoch, until every one has answered.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use super::{backoff, by_topic};
use crate::cluster::{Cluster, Lane, Metadata};
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{BrokerId, IsolationLevel, Position, TopicName, TopicPartition};
use crate::wire::StrBytes;
use crate::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use crate::wire::messages::{BrokerId as WireBroker, ListOffsetsRequest, ListOffsetsResponse, TopicName as WireName};

/// The timestamps that ListOffsets reads as positions.
const LATEST: i64 = -1;
const EARLIEST: i64 = -2;

/// Looks offsets up for many partitions: grouped by leader, retried while leaders move. `Committed` is not allowed here.
///
/// A timestamp later than every record gives the end as it was *before* the search, so that a record appended meanwhile
/// is not skipped. `Offset` gives itself. Retries until `default.api.timeout.ms`, then fails with the last answer of a
/// partition that is still open. One request per leader and try (two where timestamps are asked). Safe to drop.
pub async fn list_offsets(
    cluster: &Cluster,
    isolation: IsolationLevel,
    partitions: &[(TopicPartition, Position)],
) -> Result<BTreeMap<TopicPartition, i64>> {
    let plan = Plan::new(partitions)?;
    let deadline = Instant::now() + cluster.config().default_api_timeout;
    let ends = look_up(cluster, isolation, plan.bounds.clone(), deadline).await?;
    let found = look_up(cluster, isolation, plan.timestamps.clone(), deadline).await?;
    Ok(plan.answer(ends, found))
}

/// What to ask first (beginnings and ends) and what then (timestamps).
struct Plan {
    known: BTreeMap<TopicPartition, i64>,
    bounds: BTreeMap<TopicPartition, i64>,
    timestamps: BTreeMap<TopicPartition, i64>,
}

impl Plan {
    fn new(partitions: &[(TopicPartition, Position)]) -> Result<Plan> {
        let mut plan = Plan { known: BTreeMap::new(), bounds: BTreeMap::new(), timestamps: BTreeMap::new() };
        for (tp, position) in partitions {
            let tp = tp.clone();
            match *position {
                Position::Offset(offset) => plan.known.insert(tp, offset),
                Position::Earliest => plan.bounds.insert(tp, EARLIEST),
                Position::Latest => plan.bounds.insert(tp, LATEST),
                // Negative ones would be read as positions by the broker; no record is older than 1970.
                Position::Timestamp(ms) => {
                    plan.timestamps.insert(tp.clone(), ms.max(0));
                    plan.bounds.insert(tp, LATEST)
                }
                Position::Committed => {
                    let detail = "a committed offset is a group's: ask for it with committed_offsets";
                    return Err(Error::new(Operation::ListOffsets, ErrorKind::Invalid, tp.to_string(), detail));
                }
            };
        }
        Ok(plan)
    }

    fn answer(
        self,
        bounds: BTreeMap<TopicPartition, i64>,
        found: BTreeMap<TopicPartition, i64>,
    ) -> BTreeMap<TopicPartition, i64> {
        let mut answer = self.known;
        answer.extend(bounds);
        answer.extend(found.into_iter().filter(|(_, offset)| *offset >= 0));
        answer
    }
}

async fn look_up(
    cluster: &Cluster,
    isolation: IsolationLevel,
    wanted: BTreeMap<TopicPartition, i64>,
    deadline: Instant,
) -> Result<BTreeMap<TopicPartition, i64>> {
    let mut lookup = LookUp { isolation, open: wanted, found: BTreeMap::new(), last: None };
    let mut backoff = backoff(cluster);
    while !lookup.open.is_empty() {
        let topics = lookup.topics();
        let left = deadline.saturating_duration_since(Instant::now());
        let metadata = cluster.topics(&topics, left).await?;
        let requests = lookup.poll_requests(&metadata);
        ask_leaders(cluster, &mut lookup, requests, deadline).await?;
        if lookup.open.is_empty() {
            break;
        }
        cluster.refresh(&lookup.topics());
        let wait = backoff.next_wait();
        if Instant::now() + wait >= deadline {
            return Err(lookup.out_of_time());
        }
        tokio::time::sleep(wait).await;
    }
    Ok(lookup.found)
}

async fn ask_leaders(
    cluster: &Cluster,
    lookup: &mut LookUp,
    requests: BTreeMap<BrokerId, ListOffsetsRequest>,
    deadline: Instant,
) -> Result<()> {
    for (leader, request) in requests {
        let left = deadline.saturating_duration_since(Instant::now()).min(cluster.config().request_timeout);
        let asked = async {
            let connection = cluster.connection(leader, Lane::Coordination).await?;
            connection.call(&request, left).await
        };
        // A question changes nothing, whatever became of it.
        match asked.await.map_err(|e| e.with_maybe_applied(false)) {
            Ok(response) => lookup.handle_response(&response)?,
            Err(error) if error.is_retriable() => lookup.last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The partitions still open and the answers so far.
struct LookUp {
    isolation: IsolationLevel,
    open: BTreeMap<TopicPartition, i64>,
    found: BTreeMap<TopicPartition, i64>,
    last: Option<Error>,
}

impl LookUp {
    fn topics(&self) -> Vec<TopicName> {
        self.open.keys().map(|tp| tp.topic.clone()).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// One request per leader; partitions without one wait for the next metadata.
    fn poll_requests(&mut self, metadata: &Metadata) -> BTreeMap<BrokerId, ListOffsetsRequest> {
        let mut leaders: BTreeMap<BrokerId, Vec<(&TopicPartition, _)>> = BTreeMap::new();
        for (tp, timestamp) in &self.open {
            match metadata.partition(tp).map(|row| (row.leader, row.leader_epoch)) {
                Some((Some(leader), epoch)) => leaders.entry(leader).or_default().push((tp, (*timestamp, epoch))),
                Some((None, _)) => self.last = Some(refusal(tp, ErrorCode::LEADER_NOT_AVAILABLE)),
                None => self.last = Some(refusal(tp, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)),
            }
        }
        leaders.into_iter().map(|(leader, partitions)| (leader, self.request(partitions))).collect()
    }

    fn request(&self, partitions: Vec<(&TopicPartition, (i64, i32))>) -> ListOffsetsRequest {
        let topics = by_topic(partitions).into_iter().map(|(name, list)| {
            let partitions = list.into_iter().map(|(partition, (timestamp, leader_epoch))| {
                ListOffsetsPartition::default()
                    .with_partition_index(partition)
                    .with_current_leader_epoch(leader_epoch)
                    .with_timestamp(timestamp)
            });
            let name = WireName(StrBytes::from_string(name.to_string()));
            ListOffsetsTopic::default().with_name(name).with_partitions(partitions.collect())
        });
        ListOffsetsRequest::default()
            .with_replica_id(WireBroker(-1))
            .with_isolation_level(self.isolation.code())
            .with_topics(topics.collect())
    }

    fn handle_response(&mut self, response: &ListOffsetsResponse) -> Result<()> {
        for topic in &response.topics {
            for row in &topic.partitions {
                let tp = TopicPartition::new(topic.name.0.as_str(), row.partition_index);
                let code = ErrorCode(row.error_code);
                if code.is_ok() {
                    if self.open.remove(&tp).is_some() {
                        self.found.insert(tp, row.offset);
                    }
                } else if code.is_retriable() {
                    self.last = Some(refusal(&tp, code));
                } else {
                    return Err(refusal(&tp, code));
                }
            }
        }
        Ok(())
    }

    fn out_of_time(self) -> Error {
        let first = self.open.keys().next().map(ToString::to_string).unwrap_or_default();
        let error = Error::new(Operation::ListOffsets, ErrorKind::Timeout, first, "no answer within the time allowed");
        match self.last {
            Some(last) => error.with_source(last),
            None => error,
        }
    }
}

fn refusal(tp: &TopicPartition, code: ErrorCode) -> Error {
    Error::broker(Operation::ListOffsets, code, tp.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::cluster::{PartitionMetadata, TopicMetadata};
    use crate::types::TopicId;
    use crate::wire::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};

    fn tp(partition: i32) -> TopicPartition {
        TopicPartition::new("a", partition)
    }

    fn metadata(leaders: &[Option<i32>]) -> Metadata {
        let row = |leader: &Option<i32>| PartitionMetadata {
            leader: leader.map(BrokerId),
            leader_epoch: 4,
            replicas: Vec::new(),
            isr: Vec::new(),
        };
        let partitions = leaders.iter().map(row).collect();
        let topic = TopicMetadata { name: "a".into(), topic_id: TopicId::ZERO, is_internal: false, partitions };
        let mut metadata = Metadata::default();
        metadata.topics.insert("a".into(), Arc::new(topic));
        metadata
    }

    fn answer(rows: &[(i32, i64, i16)]) -> ListOffsetsResponse {
        let rows = rows.iter().map(|(p, offset, code)| {
            ListOffsetsPartitionResponse::default().with_partition_index(*p).with_offset(*offset).with_error_code(*code)
        });
        let name = WireName(StrBytes::from_static_str("a"));
        let topic = ListOffsetsTopicResponse::default().with_name(name).with_partitions(rows.collect());
        ListOffsetsResponse::default().with_topics(vec![topic])
    }

    fn look_up_of(partitions: &[i32]) -> LookUp {
        let open = partitions.iter().map(|p| (tp(*p), LATEST)).collect();
        LookUp { isolation: IsolationLevel::ReadCommitted, open, found: BTreeMap::new(), last: None }
    }

    #[test]
    fn each_leader_is_asked_once_and_a_partition_without_one_waits() {
        let mut lookup = look_up_of(&[0, 1, 2, 3]);
        let requests = lookup.poll_requests(&metadata(&[Some(1), Some(2), None, Some(1)]));
        let counts: Vec<_> = requests.iter().map(|(b, r)| (b.0, r.topics[0].partitions.len())).collect();
        assert_eq!(counts, [(1, 2), (2, 1)]);
        let first = &requests[&BrokerId(1)];
        assert_eq!((first.isolation_level, first.topics[0].partitions[0].current_leader_epoch), (1, 4));
        assert_eq!(lookup.last.and_then(|e| e.code()), Some(ErrorCode::LEADER_NOT_AVAILABLE));
    }

    #[test]
    fn a_moved_leader_keeps_its_partition_open_and_a_refused_one_ends_the_lookup() {
        let mut lookup = look_up_of(&[0, 1]);
        lookup.handle_response(&answer(&[(0, 9, 0), (1, -1, 6), (7, 3, 0)])).expect("the leader moved");
        assert_eq!(lookup.open.keys().map(|tp| tp.partition).collect::<Vec<_>>(), [1]);
        assert_eq!(lookup.found, BTreeMap::from([(tp(0), 9)]));
        let error = lookup.handle_response(&answer(&[(1, -1, 29)])).expect_err("not authorized");
        assert_eq!(error.code(), Some(ErrorCode::TOPIC_AUTHORIZATION_FAILED));
    }

    #[test]
    fn a_timestamp_after_every_record_gives_the_end_seen_before_the_search() {
        let plan = Plan::new(&[
            (tp(0), Position::Timestamp(50)),
            (tp(1), Position::Timestamp(50)),
            (tp(2), Position::Offset(3)),
        ]);
        let plan = plan.expect("allowed positions");
        assert_eq!(plan.bounds, BTreeMap::from([(tp(0), LATEST), (tp(1), LATEST)]));
        let answer = plan.answer(BTreeMap::from([(tp(0), 10), (tp(1), 10)]), BTreeMap::from([(tp(0), 4), (tp(1), -1)]));
        assert_eq!(answer, BTreeMap::from([(tp(0), 4), (tp(1), 10), (tp(2), 3)]));
    }

    #[test]
    fn committed_is_refused_by_name() {
        let error = Plan::new(&[(tp(0), Position::Committed)]).err().expect("not a broker's position");
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
}
