//! ListOffsets requests, versions 1 to 11: 11 may ask for the earliest offset not yet in tiered storage (KIP-1023).

use kafka_protocol::messages::BrokerId;

pub use kafka_protocol::messages::list_offsets_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(ListOffsetsRequest => super::ListOffsetsResponse, key 2, versions (1..=11), flexible 6);

generated!(10: ListOffsetsTopic);

structs! {
    /// Versions 1 to 11.
    ListOffsetsRequest {
        /// The broker ID of the requester, or -1 if this request is being made by a normal consumer.
        replica_id / with_replica_id: BrokerId [since(0)];
        /// This setting controls the visibility of transactional records.
        isolation_level / with_isolation_level: i8 [since(2)];
        /// Each topic in the request.
        topics / with_topics: Vec<ListOffsetsTopic> [since(0)];
        /// The timeout to await a response in milliseconds for requests that require reading from remote storage for topics enabled with tiered storage.
        timeout_ms / with_timeout_ms: i32 [since(10).ignorable()];
    }
}
