//! Who is there and who leads what: ApiVersions, Metadata, DescribeCluster and FindCoordinator.

use std::collections::BTreeMap;

use super::api::{Call, Outcome, Serve, name, text, wire_id};
use super::core::Core;
use super::settings::ApiRange;
use super::topics::{Partition, Topic, check_name};
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicPartition};
use crate::wire::StrBytes;
use crate::wire::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
use crate::wire::messages::describe_cluster_response::DescribeClusterBroker;
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::metadata_request::MetadataRequestTopic;
use crate::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::*;

/// Where a partition's leader is.
pub(super) struct Hint {
    pub(super) leader: i32,
    pub(super) epoch: i32,
    pub(super) host: StrBytes,
    pub(super) port: i32,
}

/// A range as ApiVersions shows it.
pub(super) fn api_version(range: ApiRange) -> ApiVersion {
    ApiVersion::default().with_api_key(range.key).with_min_version(range.min).with_max_version(range.max)
}

/// Whether a client's software may have this name or version (KIP-511): letters, digits, dots and dashes, none at the ends.
fn is_legal(name: &str) -> bool {
    let is_inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    let has_plain_end = |end: Option<char>| end.is_some_and(|c| c.is_ascii_alphanumeric());
    name.chars().all(is_inner) && has_plain_end(name.chars().next()) && has_plain_end(name.chars().last())
}

impl Serve for ApiVersionsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<ApiVersionsResponse> {
        let is_named = is_legal(&self.client_software_name) && is_legal(&self.client_software_version);
        if call.version >= 3 && !is_named {
            return Outcome::Last(self.refuse(ErrorCode::INVALID_REQUEST.0, call.version));
        }
        let features = || core.settings.features.iter();
        let supported = features().map(|feature| {
            let key = SupportedFeatureKey::default().with_name(text(&feature.name));
            key.with_min_version(feature.min).with_max_version(feature.max)
        });
        let finalized = features().filter(|feature| feature.finalized > 0).map(|feature| {
            let key = FinalizedFeatureKey::default().with_name(text(&feature.name));
            key.with_min_version_level(feature.finalized).with_max_version_level(feature.finalized)
        });
        Outcome::Reply(
            ApiVersionsResponse::default()
                .with_api_keys(core.settings.api_versions.iter().copied().map(api_version).collect())
                .with_supported_features(supported.collect())
                .with_finalized_features(finalized.collect())
                .with_finalized_features_epoch(1),
        )
    }

    fn refuse(self, code: i16, _version: i16) -> ApiVersionsResponse {
        ApiVersionsResponse::default().with_error_code(code)
    }

    fn throttle(response: &mut ApiVersionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Serve for MetadataRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<MetadataResponse> {
        // Version 0 asks for everything by an empty list.
        let wanted = self.topics.filter(|topics| call.version > 0 || !topics.is_empty());
        let may_create = core.settings.auto_create_topics && (self.allow_auto_topic_creation || call.version < 4);
        let topics = match wanted {
            None => core.topics.iter().map(|topic| core.shown(topic)).collect(),
            Some(wanted) => wanted.into_iter().map(|topic| core.looked_up(topic, may_create, call.version)).collect(),
        };
        let brokers = core.nodes.iter().filter(|(_, node)| node.is_up).map(|(id, node)| {
            let broker = MetadataResponseBroker::default().with_node_id((*id).into());
            broker.with_host(text(&node.host)).with_port(i32::from(node.port))
        });
        Outcome::Reply(
            MetadataResponse::default()
                .with_brokers(brokers.collect())
                .with_cluster_id(Some(text(&core.settings.cluster_id)))
                .with_controller_id(core.controller().into())
                .with_topics(topics),
        )
    }

    fn refuse(self, code: i16, version: i16) -> MetadataResponse {
        let refused = |topic: MetadataRequestTopic| {
            // Only versions with ids may answer a topic without its name.
            let name = topic.name.or_else(|| (version < 12).then(TopicName::default));
            MetadataResponseTopic::default().with_name(name).with_topic_id(topic.topic_id).with_error_code(code)
        };
        let topics = self.topics.unwrap_or_default().into_iter().map(refused).collect();
        MetadataResponse::default().with_topics(topics).with_error_code(code)
    }

    fn throttle(response: &mut MetadataResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Serve for DescribeClusterRequest {
    fn serve(self, core: &mut Core, _call: &Call) -> Outcome<DescribeClusterResponse> {
        let brokers = core.nodes.iter().filter(|(_, node)| node.is_up).map(|(id, node)| {
            let broker = DescribeClusterBroker::default().with_broker_id((*id).into());
            broker.with_host(text(&node.host)).with_port(i32::from(node.port))
        });
        Outcome::Reply(
            DescribeClusterResponse::default()
                .with_brokers(brokers.collect())
                .with_cluster_id(text(&core.settings.cluster_id))
                .with_endpoint_type(self.endpoint_type)
                .with_controller_id(core.controller().into()),
        )
    }

    fn refuse(self, code: i16, _version: i16) -> DescribeClusterResponse {
        DescribeClusterResponse::default().with_error_code(code)
    }

    fn throttle(response: &mut DescribeClusterResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Serve for FindCoordinatorRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<FindCoordinatorResponse> {
        if call.version < 4 {
            let found = core.found(self.key_type, &self.key);
            return Outcome::Reply(
                FindCoordinatorResponse::default()
                    .with_error_code(found.error_code)
                    .with_node_id(found.node_id)
                    .with_host(found.host)
                    .with_port(found.port),
            );
        }
        let found = self.coordinator_keys.iter().map(|key| core.found(self.key_type, key)).collect();
        Outcome::Reply(FindCoordinatorResponse::default().with_coordinators(found))
    }

    fn refuse(self, code: i16, version: i16) -> FindCoordinatorResponse {
        let refused = |key: StrBytes| Coordinator::default().with_key(key).with_node_id((-1).into());
        let keys = self.coordinator_keys.into_iter().map(|key| refused(key).with_error_code(code).with_port(-1));
        let response = FindCoordinatorResponse::default().with_coordinators(keys.collect());
        if version < 4 { response.with_error_code(code).with_node_id((-1).into()).with_port(-1) } else { response }
    }

    fn throttle(response: &mut FindCoordinatorResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Core {
    /// The lowest broker that is up; -1 if none is.
    pub(super) fn controller(&self) -> i32 {
        self.alive().first().copied().unwrap_or(-1)
    }

    /// Who leads a partition, if anybody does.
    pub(super) fn leader_hint(&self, tp: &TopicPartition) -> Option<Hint> {
        let partition = self.topics.partition(tp)?;
        let node = self.nodes.get(&partition.leader)?;
        let (host, port) = (text(&node.host), i32::from(node.port));
        Some(Hint { leader: partition.leader, epoch: partition.leader_epoch, host, port })
    }

    fn looked_up(&mut self, wanted: MetadataRequestTopic, may_create: bool, version: i16) -> MetadataResponseTopic {
        let id = TopicId(*wanted.topic_id.as_bytes());
        let Some(name) = wanted.name else {
            let topic = self.topics.name_of(id).and_then(|name| self.topics.get(name));
            return topic.map_or_else(
                || {
                    // Only versions with ids may answer a topic without its name.
                    let name = (version < 12).then(TopicName::default);
                    let topic = MetadataResponseTopic::default().with_topic_id(wanted.topic_id).with_name(name);
                    topic.with_error_code(UNKNOWN_ID)
                },
                |topic| self.shown(topic),
            );
        };
        if self.topics.get(&name).is_none() && may_create {
            let (count, factor) = (self.settings.default_partitions, self.default_replication_factor());
            if let Err(code) = self.create_topic(&name, count, factor, BTreeMap::new()) {
                return MetadataResponseTopic::default().with_name(Some(name)).with_error_code(code.0);
            }
        }
        match self.topics.get(&name) {
            Some(topic) => self.shown(topic),
            None => {
                let code = check_name(&name).err().unwrap_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
                MetadataResponseTopic::default().with_name(Some(name)).with_error_code(code.0)
            }
        }
    }

    fn shown(&self, topic: &Topic) -> MetadataResponseTopic {
        let partitions =
            topic.partitions.iter().zip(0..).map(|(partition, index)| self.shown_partition(partition, index));
        MetadataResponseTopic::default()
            .with_name(Some(name(&topic.name)))
            .with_topic_id(wire_id(topic.id))
            .with_partitions(partitions.collect())
    }

    fn shown_partition(&self, partition: &Partition, index: i32) -> MetadataResponsePartition {
        let is_up = |id: &&i32| self.nodes.get(id).is_some_and(|node| node.is_up);
        let ids = |list: Vec<&i32>| list.into_iter().map(|id| BrokerId(*id)).collect::<Vec<_>>();
        let code = if partition.leader == -1 { ErrorCode::LEADER_NOT_AVAILABLE } else { ErrorCode::NONE };
        MetadataResponsePartition::default()
            .with_error_code(code.0)
            .with_partition_index(index)
            .with_leader_id(partition.leader.into())
            .with_leader_epoch(partition.leader_epoch)
            .with_replica_nodes(ids(partition.replicas.iter().collect()))
            .with_isr_nodes(ids(partition.replicas.iter().filter(is_up).collect()))
            .with_offline_replicas(ids(partition.replicas.iter().filter(|id| !is_up(id)).collect()))
    }

    fn found(&self, kind: i8, key: &StrBytes) -> Coordinator {
        let answer = Coordinator::default().with_key(key.clone());
        if !(0..=1).contains(&kind) {
            return answer.with_node_id((-1).into()).with_port(-1).with_error_code(ErrorCode::INVALID_REQUEST.0);
        }
        let broker = self.coordinator(kind, key);
        match broker.and_then(|id| self.nodes.get(&id).map(|node| (id, node))) {
            Some((id, node)) => {
                answer.with_node_id(id.into()).with_host(text(&node.host)).with_port(i32::from(node.port))
            }
            None => {
                answer.with_node_id((-1).into()).with_port(-1).with_error_code(ErrorCode::COORDINATOR_NOT_AVAILABLE.0)
            }
        }
    }
}

const UNKNOWN_ID: i16 = ErrorCode::UNKNOWN_TOPIC_ID.0;
