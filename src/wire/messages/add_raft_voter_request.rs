//! AddRaftVoter requests, versions 0 and 1: 1 may be answered before the voter set is committed.

use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

pub use kafka_protocol::messages::add_raft_voter_request::*;

use super::rows::{generated, structs};
use super::top;

top::request!(AddRaftVoterRequest => super::AddRaftVoterResponse, key 80, versions (0..=1), flexible 0);

generated!(0: Listener);

structs! {
    /// Versions 0 to 1.
    AddRaftVoterRequest {
        /// The cluster id.
        cluster_id / with_cluster_id: Option<StrBytes> [since(0).nullable(0)] = Some(Default::default());
        /// The maximum time to wait for the request to complete before returning.
        timeout_ms / with_timeout_ms: i32 [since(0)];
        /// The replica id of the voter getting added to the topic partition.
        voter_id / with_voter_id: i32 [since(0)];
        /// The directory id of the voter getting added to the topic partition.
        voter_directory_id / with_voter_directory_id: Uuid [since(0)];
        /// The endpoints that can be used to communicate with the voter.
        listeners / with_listeners: Vec<Listener> [since(0)];
        /// When true, return a response after the new voter set is committed.
        ack_when_committed / with_ack_when_committed: bool [since(1)] = true;
    }
}
