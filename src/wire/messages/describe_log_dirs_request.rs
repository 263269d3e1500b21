//! DescribeLogDirs requests, versions 1 to 5, laid out alike since 2.

pub use kafka_protocol::messages::describe_log_dirs_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(DescribeLogDirsRequest => super::DescribeLogDirsResponse, key 35, versions (1..=5), flexible 2);

generated!(4: DescribableLogDirTopic);

structs! {
    /// Versions 1 to 5.
    DescribeLogDirsRequest {
        /// Each topic that we want to describe log directories for, or null for all topics.
        topics / with_topics: Option<Vec<DescribableLogDirTopic>> [since(0).nullable(0)] = Some(Default::default());
    }
}
