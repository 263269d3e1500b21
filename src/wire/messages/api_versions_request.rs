//! ApiVersions requests, versions 0 to 5: 5 says which broker is meant, so that a misrouted connection shows (KIP-1242).

use kafka_protocol::protocol::StrBytes;

use super::rows::structs;
use super::top;

top::request!(ApiVersionsRequest => super::ApiVersionsResponse, key 18, versions (0..=5), flexible 3);

structs! {
    /// Versions 0 to 5.
    ApiVersionsRequest {
        /// The name of the client.
        client_software_name / with_client_software_name: StrBytes [since(3).ignorable()];
        /// The version of the client.
        client_software_version / with_client_software_version: StrBytes [since(3).ignorable()];
        /// The cluster ID the client intends to connect to.
        cluster_id / with_cluster_id: Option<StrBytes> [since(5).nullable(5).ignorable()];
        /// The node ID the client intends to connect to.
        node_id / with_node_id: i32 [since(5).ignorable()] = -1;
    }
}
