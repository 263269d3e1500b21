//! DeleteGroups answers, versions 0 to 3: 3 says in words why a group stays.

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

use super::rows::structs;
use super::top;

top::response!(DeleteGroupsResponse, versions (0..=3), flexible 2);

structs! {
    /// Versions 0 to 3.
    DeleteGroupsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The deletion results.
        results / with_results: Vec<DeletableGroupResult> [since(0)];
    }

    /// The deletion results.
    DeletableGroupResult {
        /// The group id.
        group_id / with_group_id: GroupId [since(0)];
        /// The deletion error, or 0 if the deletion succeeded.
        error_code / with_error_code: i16 [since(0)];
        /// The error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(3).nullable(3).ignorable()];
    }
}
