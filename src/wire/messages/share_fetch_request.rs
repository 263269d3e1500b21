//! ShareFetch requests, versions 1 and 2: 2 may limit records strictly (KIP-1206) and renew locks (KIP-1222).

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

pub use kafka_protocol::messages::share_fetch_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(ShareFetchRequest => super::ShareFetchResponse, key 78, versions (1..=2), flexible 0);

generated!(1: FetchTopic, ForgottenTopic);

structs! {
    /// Versions 1 to 2.
    ShareFetchRequest {
        /// The group identifier.
        group_id / with_group_id: Option<GroupId> [since(0).nullable(0)];
        /// The member ID.
        member_id / with_member_id: Option<StrBytes> [since(0).nullable(0)] = Some(Default::default());
        /// The current share session epoch: 0 to open a share session; -1 to close it; otherwise increments for consecutive requests.
        share_session_epoch / with_share_session_epoch: i32 [since(0)];
        /// The maximum time in milliseconds to wait for the response.
        max_wait_ms / with_max_wait_ms: i32 [since(0)];
        /// The minimum bytes to accumulate in the response.
        min_bytes / with_min_bytes: i32 [since(0)];
        /// The maximum bytes to fetch.
        max_bytes / with_max_bytes: i32 [since(0)] = i32::MAX;
        /// The maximum number of records to fetch.
        max_records / with_max_records: i32 [since(1)];
        /// The optimal number of records for batches of acquired records and acknowledgements.
        batch_size / with_batch_size: i32 [since(1)];
        /// The acquire mode to control the fetch behavior - 0:batch-optimized,1:record-limit.
        share_acquire_mode / with_share_acquire_mode: i8 [since(2).ignorable()];
        /// Whether Renew type acknowledgements present in AcknowledgementBatches.
        is_renew_ack / with_is_renew_ack: bool [since(2)];
        /// The topics to fetch.
        topics / with_topics: Vec<FetchTopic> [since(0)];
        /// The partitions to remove from this share session.
        forgotten_topics_data / with_forgotten_topics_data: Vec<ForgottenTopic> [since(0)];
    }
}
