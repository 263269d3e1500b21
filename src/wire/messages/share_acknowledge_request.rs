//! ShareAcknowledge requests, versions 1 and 2: 2 may renew locks (KIP-1222).

use kafka_protocol::messages::GroupId;
use kafka_protocol::protocol::StrBytes;

pub use kafka_protocol::messages::share_acknowledge_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(ShareAcknowledgeRequest => super::ShareAcknowledgeResponse, key 79, versions (1..=2), flexible 0);

generated!(1: AcknowledgeTopic);

structs! {
    /// Versions 1 to 2.
    ShareAcknowledgeRequest {
        /// The group identifier.
        group_id / with_group_id: Option<GroupId> [since(0).nullable(0)];
        /// The member ID.
        member_id / with_member_id: Option<StrBytes> [since(0).nullable(0)] = Some(Default::default());
        /// The current share session epoch: 0 to open a share session; -1 to close it; otherwise increments for consecutive requests.
        share_session_epoch / with_share_session_epoch: i32 [since(0)];
        /// Whether Renew type acknowledgements present in AcknowledgementBatches.
        is_renew_ack / with_is_renew_ack: bool [since(2)];
        /// The topics containing records to acknowledge.
        topics / with_topics: Vec<AcknowledgeTopic> [since(0)];
    }
}
