//! StreamsGroupTopologyDescriptionUpdate requests: a Streams client tells its topology in full.

use kafka_protocol::messages::{GroupId, TopicName};
use kafka_protocol::protocol::StrBytes;

use super::rows::structs;
use super::top;

top::request!(StreamsGroupTopologyDescriptionUpdateRequest => super::StreamsGroupTopologyDescriptionUpdateResponse, key 93, versions (0..=0), flexible 0);

structs! {
    /// Versions 0.
    StreamsGroupTopologyDescriptionUpdateRequest {
        /// The streams group identifier.
        group_id / with_group_id: GroupId [since(0)];
        /// The ID of the streams group member sending the push.
        member_id / with_member_id: StrBytes [since(0)];
        /// The epoch of the topology being described.
        topology_epoch / with_topology_epoch: i32 [since(0)];
        /// The topology description.
        topology_description / with_topology_description: TopologyDescription [since(0)];
    }

    /// The topology description.
    TopologyDescription {
        /// The subtopologies that make up this topology.
        subtopologies / with_subtopologies: Vec<TopologyDescriptionSubtopology> [since(0)];
        /// Global state stores used by this topology.
        global_stores / with_global_stores: Vec<TopologyDescriptionGlobalStore> [since(0)];
    }

    /// The subtopologies that make up this topology.
    TopologyDescriptionSubtopology {
        /// The subtopology identifier, unique within the topology.
        subtopology_id / with_subtopology_id: StrBytes [since(0)];
        /// The processing nodes in this subtopology.
        nodes / with_nodes: Vec<TopologyDescriptionNode> [since(0)];
    }

    /// The processing nodes in this subtopology.
    TopologyDescriptionNode {
        /// The name of this node (e.g., KSTREAM-SOURCE-0000000000).
        name / with_name: StrBytes [since(0)];
        /// The type of this node: 1=SOURCE, 2=PROCESSOR, 3=SINK.
        node_type / with_node_type: i8 [since(0)];
        /// The source topics this node reads from.
        source_topics / with_source_topics: Vec<TopicName> [since(0)];
        /// The topic this node writes to.
        sink_topic / with_sink_topic: Option<TopicName> [since(0).nullable(0)];
        /// The state store names accessed by this node.
        stores / with_stores: Vec<StrBytes> [since(0)];
        /// The names of successor nodes in the processing graph.
        successors / with_successors: Vec<StrBytes> [since(0)];
    }

    /// Global state stores used by this topology.
    TopologyDescriptionGlobalStore {
        /// The source node providing data to the global store.
        source / with_source: TopologyDescriptionNode [since(0)];
        /// The processor node that populates the global store.
        processor / with_processor: TopologyDescriptionNode [since(0)];
    }
}
