//! StreamsGroupDescribe answers, versions 0 and 1: members, tasks and topology of Streams groups (KIP-1071).

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::rows::structs;
use super::top;

top::response!(StreamsGroupDescribeResponse, versions (0..=1), flexible 0);

structs! {
    /// Versions 0 to 1.
    StreamsGroupDescribeResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// Each described group.
        groups / with_groups: Vec<DescribedGroup> [since(0)];
    }

    /// Each described group.
    DescribedGroup {
        /// The describe error, or 0 if there was no error.
        error_code / with_error_code: i16 [since(0)];
        /// The top-level error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(0).nullable(0)];
        /// The group ID string.
        group_id / with_group_id: GroupId [since(0)];
        /// The group state string, or the empty string.
        group_state / with_group_state: StrBytes [since(0)];
        /// The group epoch.
        group_epoch / with_group_epoch: i32 [since(0)];
        /// The assignment epoch.
        assignment_epoch / with_assignment_epoch: i32 [since(0)];
        /// The topology metadata currently initialized for the streams application.
        topology / with_topology: Option<Topology> [since(0).nullable(0)];
        /// The members.
        members / with_members: Vec<Member> [since(0)];
        /// 32-bit bitfield to represent authorized operations for this group.
        authorized_operations / with_authorized_operations: i32 [since(0)] = i32::MIN;
        /// The full topology description for this group.
        topology_description / with_topology_description: Option<TopologyDescription> [since(1).nullable(1)];
        /// The status of the topology description for this group.
        topology_description_status / with_topology_description_status: i8 [since(1)];
        /// The task assignor that the group coordinator will use for the next assignment computation.
        assignor_name / with_assignor_name: Option<StrBytes> [since(1).nullable(1).ignorable()];
    }

    /// The topology metadata currently initialized for the streams application.
    Topology {
        /// The epoch of the currently initialized topology for this group.
        epoch / with_epoch: i32 [since(0)];
        /// The subtopologies of the streams application.
        subtopologies / with_subtopologies: Option<Vec<Subtopology>> [since(0).nullable(0)];
    }

    /// The subtopologies of the streams application.
    Subtopology {
        /// String to uniquely identify the subtopology.
        subtopology_id / with_subtopology_id: StrBytes [since(0)];
        /// The topics the subtopology reads from.
        source_topics / with_source_topics: Vec<TopicName> [since(0)];
        /// The repartition topics the subtopology writes to.
        repartition_sink_topics / with_repartition_sink_topics: Vec<TopicName> [since(0)];
        /// The set of state changelog topics associated with this subtopology.
        state_changelog_topics / with_state_changelog_topics: Vec<TopicInfo> [since(0)];
        /// The set of source topics that are internally created repartition topics.
        repartition_source_topics / with_repartition_source_topics: Vec<TopicInfo> [since(0)];
    }

    /// The set of state changelog topics associated with this subtopology.
    TopicInfo {
        /// The name of the topic.
        name / with_name: TopicName [since(0)];
        /// The number of partitions in the topic.
        partitions / with_partitions: i32 [since(0)];
        /// The replication factor of the topic.
        replication_factor / with_replication_factor: i16 [since(0)];
        /// Topic-level configurations as key-value pairs.
        topic_configs / with_topic_configs: Vec<KeyValue> [since(0)];
    }

    /// Topic-level configurations as key-value pairs.
    KeyValue {
        /// Key of the config.
        key / with_key: StrBytes [since(0)];
        /// Value of the config.
        value / with_value: StrBytes [since(0)];
    }

    /// The members.
    Member {
        /// The member ID.
        member_id / with_member_id: StrBytes [since(0)];
        /// The member epoch.
        member_epoch / with_member_epoch: i32 [since(0)];
        /// The member instance ID for static membership.
        instance_id / with_instance_id: Option<StrBytes> [since(0).nullable(0)];
        /// The rack ID.
        rack_id / with_rack_id: Option<StrBytes> [since(0).nullable(0)];
        /// The client ID.
        client_id / with_client_id: StrBytes [since(0)];
        /// The client host.
        client_host / with_client_host: StrBytes [since(0)];
        /// The epoch of the topology on the client.
        topology_epoch / with_topology_epoch: i32 [since(0)];
        /// Identity of the streams instance that may have multiple clients.
        process_id / with_process_id: StrBytes [since(0)];
        /// User-defined endpoint for Interactive Queries.
        user_endpoint / with_user_endpoint: Option<Endpoint> [since(0).nullable(0)];
        /// Used for rack-aware assignment algorithm.
        client_tags / with_client_tags: Vec<KeyValue> [since(0)];
        /// Cumulative changelog offsets for tasks.
        task_offsets / with_task_offsets: Vec<TaskOffset> [since(0)];
        /// Cumulative changelog end offsets for tasks.
        task_end_offsets / with_task_end_offsets: Vec<TaskOffset> [since(0)];
        /// The current assignment.
        assignment / with_assignment: Assignment [since(0)];
        /// The target assignment.
        target_assignment / with_target_assignment: Assignment [since(0)];
        /// True for classic members that have not been upgraded yet.
        is_classic / with_is_classic: bool [since(0)];
    }

    /// User-defined endpoint for Interactive Queries.
    Endpoint {
        /// Host of the endpoint.
        host / with_host: StrBytes [since(0)];
        /// Port of the endpoint.
        port / with_port: u16 [since(0)];
    }

    /// Cumulative changelog offsets for tasks.
    TaskOffset {
        /// The subtopology identifier.
        subtopology_id / with_subtopology_id: StrBytes [since(0)];
        /// The partition.
        partition / with_partition: i32 [since(0)];
        /// The offset.
        offset / with_offset: i64 [since(0)];
    }

    /// The current assignment.
    Assignment {
        /// Active tasks for this client.
        active_tasks / with_active_tasks: Vec<TaskIds> [since(0)];
        /// Standby tasks for this client.
        standby_tasks / with_standby_tasks: Vec<TaskIds> [since(0)];
        /// Warm-up tasks for this client.
        warmup_tasks / with_warmup_tasks: Vec<TaskIds> [since(0)];
    }

    /// Active tasks for this client.
    TaskIds {
        /// The subtopology identifier.
        subtopology_id / with_subtopology_id: StrBytes [since(0)];
        /// The partitions of the input topics processed by this member.
        partitions / with_partitions: Vec<i32> [since(0)];
    }

    /// The full topology description for this group.
    TopologyDescription {
        /// The subtopologies that make up this topology.
        subtopologies / with_subtopologies: Vec<TopologyDescriptionSubtopology> [since(1)];
        /// Global state stores used by this topology.
        global_stores / with_global_stores: Vec<TopologyDescriptionGlobalStore> [since(1)];
    }

    /// The subtopologies that make up this topology.
    TopologyDescriptionSubtopology {
        /// The subtopology identifier, unique within the topology.
        subtopology_id / with_subtopology_id: StrBytes [since(1)];
        /// The processing nodes in this subtopology.
        nodes / with_nodes: Vec<TopologyDescriptionNode> [since(1)];
    }

    /// The processing nodes in this subtopology.
    TopologyDescriptionNode {
        /// The name of this node (e.g., KSTREAM-SOURCE-0000000000).
        name / with_name: StrBytes [since(1)];
        /// The type of this node: 1=SOURCE, 2=PROCESSOR, 3=SINK.
        node_type / with_node_type: i8 [since(1)];
        /// The source topics this node reads from.
        source_topics / with_source_topics: Vec<TopicName> [since(1)];
        /// The topic this node writes to.
        sink_topic / with_sink_topic: Option<TopicName> [since(1).nullable(1)];
        /// The state store names accessed by this node.
        stores / with_stores: Vec<StrBytes> [since(1)];
        /// The names of successor nodes in the processing graph.
        successors / with_successors: Vec<StrBytes> [since(1)];
    }

    /// Global state stores used by this topology.
    TopologyDescriptionGlobalStore {
        /// The source node providing data to the global store.
        source / with_source: TopologyDescriptionNode [since(1)];
        /// The processor node that populates the global store.
        processor / with_processor: TopologyDescriptionNode [since(1)];
    }
}
