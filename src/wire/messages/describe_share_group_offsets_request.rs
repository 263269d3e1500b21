//! DescribeShareGroupOffsets requests, versions 0 and 1, laid out alike.

pub use kafka_protocol::messages::describe_share_group_offsets_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(DescribeShareGroupOffsetsRequest => super::DescribeShareGroupOffsetsResponse, key 90, versions (0..=1), flexible 0);

generated!(0: DescribeShareGroupOffsetsRequestGroup);

structs! {
    /// Versions 0 to 1.
    DescribeShareGroupOffsetsRequest {
        /// The groups to describe offsets for.
        groups / with_groups: Vec<DescribeShareGroupOffsetsRequestGroup> [since(0)];
    }
}
