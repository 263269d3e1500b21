//! DescribeLogDirs answers, versions 1 to 5: 5 tells cordoned directories (KIP-1066).

use kafka_protocol::protocol::StrBytes;

pub use kafka_protocol::messages::describe_log_dirs_response::*;

use super::rows::{generated, structs};
use super::top;

top::response!(DescribeLogDirsResponse, versions (1..=5), flexible 2);

generated!(4: DescribeLogDirsTopic);

structs! {
    /// Versions 1 to 5.
    DescribeLogDirsResponse {
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(0)];
        /// The error code, or 0 if there was no error.
        error_code / with_error_code: i16 [since(3).ignorable()];
        /// The log directories.
        results / with_results: Vec<DescribeLogDirsResult> [since(0)];
    }

    /// The log directories.
    DescribeLogDirsResult {
        /// The error code, or 0 if there was no error.
        error_code / with_error_code: i16 [since(0)];
        /// The absolute log directory path.
        log_dir / with_log_dir: StrBytes [since(0)];
        /// The topics.
        topics / with_topics: Vec<DescribeLogDirsTopic> [since(0)];
        /// The total size in bytes of the volume the log directory is in.
        total_bytes / with_total_bytes: i64 [since(4).ignorable()] = -1;
        /// The usable size in bytes of the volume the log directory is in.
        usable_bytes / with_usable_bytes: i64 [since(4).ignorable()] = -1;
        /// True if this log directory is cordoned.
        is_cordoned / with_is_cordoned: bool [since(5).ignorable()];
    }
}
