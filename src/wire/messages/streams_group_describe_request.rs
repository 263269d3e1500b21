//! StreamsGroupDescribe requests, versions 0 and 1 (KIP-1071).

use kafka_protocol::messages::GroupId;

use super::rows::structs;
use super::top;

top::request!(StreamsGroupDescribeRequest => super::StreamsGroupDescribeResponse, key 89, versions (0..=1), flexible 0);

structs! {
    /// Versions 0 to 1.
    StreamsGroupDescribeRequest {
        /// The ids of the groups to describe.
        group_ids / with_group_ids: Vec<GroupId> [since(0)];
        /// Whether to include authorized operations.
        include_authorized_operations / with_include_authorized_operations: bool [since(0)];
        /// Whether to include the full topology description from the topology description plugin in the response.
        include_topology_description / with_include_topology_description: bool [since(1)];
    }
}
