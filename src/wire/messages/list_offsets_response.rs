//! ListOffsets answers, versions 1 to 11, laid out alike since 6.

pub use kafka_protocol::messages::list_offsets_response::*;

use super::rows::{generated, structs};
use super::top;

top::response!(ListOffsetsResponse, versions (1..=11), flexible 6);

generated!(10: ListOffsetsTopicResponse);

structs! {
    /// Versions 1 to 11.
    ListOffsetsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(2).ignorable()];
        /// Each topic in the response.
        topics / with_topics: Vec<ListOffsetsTopicResponse> [since(0)];
    }
}
