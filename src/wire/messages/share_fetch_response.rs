//! ShareFetch answers, versions 1 and 2, laid out alike.

use kafka_protocol::protocol::StrBytes;

pub use kafka_protocol::messages::share_fetch_response::*;

use super::rows::{generated, structs};
use super::top;

top::response!(ShareFetchResponse, versions (1..=2), flexible 0);

generated!(1: ShareFetchableTopicResponse, NodeEndpoint);

structs! {
    /// Versions 1 to 2.
    ShareFetchResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The top-level response error code.
        error_code / with_error_code: i16 [since(0)];
        /// The top-level error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(0).nullable(0)];
        /// The time in milliseconds for which the acquired records are locked.
        acquisition_lock_timeout_ms / with_acquisition_lock_timeout_ms: i32 [since(1)];
        /// The response topics.
        responses / with_responses: Vec<ShareFetchableTopicResponse> [since(0)];
        /// Endpoints for all current leaders enumerated in PartitionData with error NOT_LEADER_OR_FOLLOWER.
        node_endpoints / with_node_endpoints: Vec<NodeEndpoint> [since(0)];
    }
}
