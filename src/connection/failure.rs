//! What the user reads when a connection fails: broker, address, cause, and whether the request may have been applied.

use std::fmt;
use std::sync::OnceLock;

use super::mux::Cause;
use crate::config::security::SecurityProtocol;
use crate::error::{Error, ErrorKind, Operation};
use crate::types::BrokerId;
use crate::wire::api::api_by_number;
use crate::wire::messages::ApiKey;

/// Who is at the other end, and why the connection to it ended.
#[derive(Debug)]
pub(super) struct Peer {
    pub(super) broker: BrokerId,
    pub(super) address: String,
    pub(super) protocol: SecurityProtocol,
    pub(super) ended: OnceLock<Cause>,
}

impl Peer {
    pub(super) fn new(broker: BrokerId, address: String, protocol: SecurityProtocol) -> Self {
        Self { broker, address, protocol, ended: OnceLock::new() }
    }

    /// An error of a request of this API.
    pub(super) fn error(&self, api_key: i16, kind: ErrorKind, detail: impl Into<String>) -> Error {
        Error::new(operation(api_key), kind, self.to_string(), detail)
    }

    /// The error of a request that ended for this cause.
    pub(super) fn failure(&self, api_key: i16, cause: &Cause, maybe_applied: bool) -> Error {
        let (kind, detail) = match cause {
            Cause::Expired(expired) if *expired == api_key => {
                (ErrorKind::Timeout, format!("no answer to {} before its deadline", name(api_key)))
            }
            Cause::Expired(expired) => {
                (ErrorKind::Network, format!("the connection was given up: no answer to {}", name(*expired)))
            }
            Cause::Lost(reason) => (ErrorKind::Network, format!("the connection was lost: {reason}")),
            Cause::Protocol(reason) => (ErrorKind::Protocol, format!("the broker sent {reason}")),
            Cause::Idle => (ErrorKind::Network, "the connection was closed after connections.max.idle.ms".into()),
        };
        self.error(api_key, kind, detail).with_maybe_applied(maybe_applied)
    }

    /// The error of a request given to a connection that is closed.
    pub(super) fn closed_error(&self, api_key: i16) -> Error {
        // A driver that was dropped with its runtime has left no cause.
        let cause = self.ended.get().cloned().unwrap_or_else(|| Cause::Lost("its task is gone".into()));
        match cause {
            // What broke the protocol was another answer; this request may be tried on a new connection.
            Cause::Protocol(reason) => self.failure(api_key, &Cause::Lost(format!("the broker sent {reason}")), false),
            Cause::Expired(_) => self.failure(api_key, &Cause::Lost("a request had no answer".into()), false),
            cause => self.failure(api_key, &cause, false),
        }
    }

    /// The error of a request whose driver vanished with its runtime.
    pub(super) fn abandoned(&self, api_key: i16) -> Error {
        self.error(api_key, ErrorKind::Closed, "the runtime that owned the connection is gone").with_maybe_applied(true)
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.broker {
            BrokerId(-1) => f.write_str(&self.address),
            broker => write!(f, "{broker} ({})", self.address),
        }
    }
}

/// What a request of this API is about. EndTxn is told as a commit; its callers know better and say so.
fn operation(api_key: i16) -> Operation {
    match ApiKey::try_from(api_key) {
        Ok(ApiKey::Produce) => Operation::Produce,
        Ok(ApiKey::Fetch | ApiKey::OffsetForLeaderEpoch) => Operation::Fetch,
        Ok(ApiKey::ListOffsets) => Operation::ListOffsets,
        Ok(ApiKey::Metadata | ApiKey::FindCoordinator) => Operation::Metadata,
        Ok(ApiKey::ApiVersions) => Operation::Connect,
        Ok(ApiKey::OffsetCommit) => Operation::OffsetCommit,
        Ok(ApiKey::OffsetFetch) => Operation::OffsetFetch,
        Ok(ApiKey::InitProducerId) => Operation::InitProducerId,
        Ok(ApiKey::AddPartitionsToTxn | ApiKey::AddOffsetsToTxn | ApiKey::TxnOffsetCommit) => {
            Operation::AddToTransaction
        }
        Ok(ApiKey::EndTxn) => Operation::Commit,
        _ => Operation::Admin,
    }
}

fn name(api_key: i16) -> String {
    api_by_number(api_key).map_or_else(|| format!("API {api_key}"), |api| api.name.to_string())
}
