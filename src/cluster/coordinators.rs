//! Which broker coordinates which group and transactional id, as far as it was asked and not disproved.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BrokerMetadata, CoordinatorKind};
use crate::error::ErrorCode;
use crate::types::BrokerId;
use crate::wire::StrBytes;
use crate::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// Coordinators that were found.
#[derive(Debug, Default)]
pub(super) struct Coordinators {
    found: BTreeMap<(CoordinatorKind, Arc<str>), BrokerId>,
}

impl Coordinators {
    pub(super) fn get(&self, kind: CoordinatorKind, key: &str) -> Option<BrokerId> {
        self.found.get(&(kind, Arc::from(key))).copied()
    }

    pub(super) fn insert(&mut self, kind: CoordinatorKind, key: &str, broker: BrokerId) {
        self.found.insert((kind, Arc::from(key)), broker);
    }

    pub(super) fn remove(&mut self, kind: CoordinatorKind, key: &str) {
        self.found.remove(&(kind, Arc::from(key)));
    }
}

/// The request at `version`: several keys at once from version 4 (KIP-699), of which we ask one.
pub(super) fn request(version: i16, kind: CoordinatorKind, key: &str) -> FindCoordinatorRequest {
    let key_type = match kind {
        CoordinatorKind::Group => 0,
        CoordinatorKind::Transaction => 1,
    };
    let key = StrBytes::from_string(key.to_string());
    let request = FindCoordinatorRequest::default().with_key_type(key_type);
    if version >= 4 { request.with_coordinator_keys(vec![key]) } else { request.with_key(key) }
}

/// The coordinator of `key` as the answer tells it. A row for another key, or none, is no answer: ask again.
pub(super) fn answer(version: i16, key: &str, response: &FindCoordinatorResponse) -> Result<BrokerMetadata, ErrorCode> {
    let (code, id, host, port) = if version >= 4 {
        let row = response.coordinators.iter().find(|row| row.key.as_str() == key);
        let row = row.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
        (row.error_code, row.node_id.0, &row.host, row.port)
    } else {
        (response.error_code, response.node_id.0, &response.host, response.port)
    };
    ErrorCode(code).ok()?;
    let port = u16::try_from(port).ok().filter(|port| *port != 0 && id >= 0 && !host.is_empty());
    let port = port.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)?;
    Ok(BrokerMetadata { id: BrokerId(id), host: host.to_string(), port, rack: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages;
    use crate::wire::messages::find_coordinator_response::Coordinator;

    #[test]
    fn the_key_is_written_where_the_version_has_it() {
        let (old, new) = (request(3, CoordinatorKind::Transaction, "t"), request(4, CoordinatorKind::Group, "g"));
        assert_eq!((old.key.as_str(), old.key_type, old.coordinator_keys.len()), ("t", 1, 0));
        assert_eq!((new.key.as_str(), new.key_type, new.coordinator_keys[0].as_str()), ("", 0, "g"));
    }

    #[test]
    fn an_answer_for_another_key_or_an_impossible_address_is_asked_again() {
        let row = |key: &'static str, port| {
            let row = Coordinator::default().with_key(StrBytes::from_static_str(key)).with_port(port);
            row.with_node_id(messages::BrokerId(2)).with_host(StrBytes::from_static_str("h"))
        };
        let told = |row| answer(4, "g", &FindCoordinatorResponse::default().with_coordinators(vec![row]));
        assert_eq!(told(row("g", 9092)).unwrap().id, BrokerId(2));
        for bad in [row("x", 9092), row("g", 0), row("g", 70_000), row("g", 1).with_node_id(messages::BrokerId(-1))] {
            assert_eq!(told(bad), Err(ErrorCode::COORDINATOR_NOT_AVAILABLE));
        }
        assert_eq!(told(row("g", 1).with_error_code(30)), Err(ErrorCode::GROUP_AUTHORIZATION_FAILED));
    }
}
