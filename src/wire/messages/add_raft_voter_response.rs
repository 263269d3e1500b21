//! AddRaftVoter answers, versions 0 and 1, laid out alike.

use kafka_protocol::protocol::StrBytes;

use super::rows::structs;
use super::top;

top::response!(AddRaftVoterResponse, versions (0..=1), flexible 0);

structs! {
    /// Versions 0 to 1.
    AddRaftVoterResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The error code, or 0 if there was no error.
        error_code / with_error_code: i16 [since(0)];
        /// The error message, or null if there was no error.
        error_message / with_error_message: Option<StrBytes> [since(0).nullable(0).ignorable()] = Some(Default::default());
    }
}
