//! StreamsGroupTopologyDescriptionUpdate answers.

use kafka_protocol::protocol::StrBytes;

use super::rows::structs;
use super::top;

top::response!(StreamsGroupTopologyDescriptionUpdateResponse, versions (0..=0), flexible 0);

structs! {
    /// Versions 0.
    StreamsGroupTopologyDescriptionUpdateResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The top-level error code, or 0 if there was no error.
        error_code / with_error_code: i16 [since(0)];
        /// The top-level error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(0).nullable(0)];
    }
}
