//! DeleteGroups requests, versions 0 to 3, laid out alike since 2.

use kafka_protocol::messages::GroupId;

use super::rows::structs;
use super::top;

top::request!(DeleteGroupsRequest => super::DeleteGroupsResponse, key 42, versions (0..=3), flexible 2);

structs! {
    /// Versions 0 to 3.
    DeleteGroupsRequest {
        /// The group names to delete.
        groups_names / with_groups_names: Vec<GroupId> [since(0)];
    }
}
