//! Kafka's error codes: number, name and the class Java gives them (KIP-1050), a row each.

use std::fmt;

/// What kind of answer a code is, as the Java client classes it (KIP-1050).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Class {
    /// Not an error.
    None,
    /// The same request may succeed later.
    Retriable,
    /// The same request may succeed once metadata or the coordinator has been looked up again.
    RefreshRetriable,
    /// The transaction must be aborted; the producer lives on.
    Abortable,
    /// The object is stale: build a new one from the last known state.
    ApplicationRecoverable,
    /// A setting, a permission or the request itself is wrong; a person must act.
    InvalidConfiguration,
    /// None of these: what it means depends on the operation.
    Other,
}

/// An error code as a broker sent it. A number without a name keeps its number.
///
/// Compares as its number; prints as `NAME (number)`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

struct Row {
    code: i16,
    name: &'static str,
    class: Class,
}

const fn row(code: i16, name: &'static str, class: Class) -> Row {
    Row { code, name, class }
}

/// Read off `org.apache.kafka.common.protocol.Errors` of Kafka 4.4.0, in order of number from -1.
#[rustfmt::skip]
static ROWS: &[Row] = &[
    row(-1, "UNKNOWN_SERVER_ERROR", Class::Other),
    row(0, "NONE", Class::None),
    row(1, "OFFSET_OUT_OF_RANGE", Class::Other),
    row(2, "CORRUPT_MESSAGE", Class::Retriable),
    row(3, "UNKNOWN_TOPIC_OR_PARTITION", Class::RefreshRetriable),
    row(4, "INVALID_FETCH_SIZE", Class::Other),
    row(5, "LEADER_NOT_AVAILABLE", Class::RefreshRetriable),
    row(6, "NOT_LEADER_OR_FOLLOWER", Class::RefreshRetriable),
    row(7, "REQUEST_TIMED_OUT", Class::Retriable),
    row(8, "BROKER_NOT_AVAILABLE", Class::Other),
    row(9, "REPLICA_NOT_AVAILABLE", Class::RefreshRetriable),
    row(10, "MESSAGE_TOO_LARGE", Class::Other),
    row(11, "STALE_CONTROLLER_EPOCH", Class::Other),
    row(12, "OFFSET_METADATA_TOO_LARGE", Class::Other),
    row(13, "NETWORK_EXCEPTION", Class::RefreshRetriable),
    row(14, "COORDINATOR_LOAD_IN_PROGRESS", Class::Retriable),
    row(15, "COORDINATOR_NOT_AVAILABLE", Class::RefreshRetriable),
    row(16, "NOT_COORDINATOR", Class::RefreshRetriable),
    row(17, "INVALID_TOPIC_EXCEPTION", Class::InvalidConfiguration),
    row(18, "RECORD_LIST_TOO_LARGE", Class::InvalidConfiguration),
    row(19, "NOT_ENOUGH_REPLICAS", Class::Retriable),
    row(20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Class::Retriable),
    row(21, "INVALID_REQUIRED_ACKS", Class::InvalidConfiguration),
    row(22, "ILLEGAL_GENERATION", Class::ApplicationRecoverable),
    row(23, "INCONSISTENT_GROUP_PROTOCOL", Class::Other),
    row(24, "INVALID_GROUP_ID", Class::Other),
    row(25, "UNKNOWN_MEMBER_ID", Class::ApplicationRecoverable),
    row(26, "INVALID_SESSION_TIMEOUT", Class::Other),
    row(27, "REBALANCE_IN_PROGRESS", Class::Other),
    row(28, "INVALID_COMMIT_OFFSET_SIZE", Class::Other),
    row(29, "TOPIC_AUTHORIZATION_FAILED", Class::InvalidConfiguration),
    row(30, "GROUP_AUTHORIZATION_FAILED", Class::InvalidConfiguration),
    row(31, "CLUSTER_AUTHORIZATION_FAILED", Class::InvalidConfiguration),
    row(32, "INVALID_TIMESTAMP", Class::Other),
    row(33, "UNSUPPORTED_SASL_MECHANISM", Class::InvalidConfiguration),
    row(34, "ILLEGAL_SASL_STATE", Class::InvalidConfiguration),
    row(35, "UNSUPPORTED_VERSION", Class::InvalidConfiguration),
    row(36, "TOPIC_ALREADY_EXISTS", Class::Other),
    row(37, "INVALID_PARTITIONS", Class::Other),
    row(38, "INVALID_REPLICATION_FACTOR", Class::InvalidConfiguration),
    row(39, "INVALID_REPLICA_ASSIGNMENT", Class::Other),
    row(40, "INVALID_CONFIG", Class::InvalidConfiguration),
    row(41, "NOT_CONTROLLER", Class::Retriable),
    row(42, "INVALID_REQUEST", Class::Other),
    row(43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Class::InvalidConfiguration),
    row(44, "POLICY_VIOLATION", Class::Other),
    row(45, "OUT_OF_ORDER_SEQUENCE_NUMBER", Class::Other),
    row(46, "DUPLICATE_SEQUENCE_NUMBER", Class::Other),
    row(47, "INVALID_PRODUCER_EPOCH", Class::ApplicationRecoverable),
    row(48, "INVALID_TXN_STATE", Class::Other),
    row(49, "INVALID_PRODUCER_ID_MAPPING", Class::ApplicationRecoverable),
    row(50, "INVALID_TRANSACTION_TIMEOUT", Class::Other),
    row(51, "CONCURRENT_TRANSACTIONS", Class::Retriable),
    row(52, "TRANSACTION_COORDINATOR_FENCED", Class::Other),
    row(53, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", Class::InvalidConfiguration),
    row(54, "SECURITY_DISABLED", Class::Other),
    row(55, "OPERATION_NOT_ATTEMPTED", Class::Other),
    row(56, "KAFKA_STORAGE_ERROR", Class::RefreshRetriable),
    row(57, "LOG_DIR_NOT_FOUND", Class::Other),
    row(58, "SASL_AUTHENTICATION_FAILED", Class::InvalidConfiguration),
    row(59, "UNKNOWN_PRODUCER_ID", Class::Other),
    row(60, "REASSIGNMENT_IN_PROGRESS", Class::Other),
    row(61, "DELEGATION_TOKEN_AUTH_DISABLED", Class::Other),
    row(62, "DELEGATION_TOKEN_NOT_FOUND", Class::Other),
    row(63, "DELEGATION_TOKEN_OWNER_MISMATCH", Class::Other),
    row(64, "DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", Class::Other),
    row(65, "DELEGATION_TOKEN_AUTHORIZATION_FAILED", Class::InvalidConfiguration),
    row(66, "DELEGATION_TOKEN_EXPIRED", Class::Other),
    row(67, "INVALID_PRINCIPAL_TYPE", Class::Other),
    row(68, "NON_EMPTY_GROUP", Class::Other),
    row(69, "GROUP_ID_NOT_FOUND", Class::Other),
    row(70, "FETCH_SESSION_ID_NOT_FOUND", Class::Retriable),
    row(71, "INVALID_FETCH_SESSION_EPOCH", Class::Retriable),
    row(72, "LISTENER_NOT_FOUND", Class::RefreshRetriable),
    row(73, "TOPIC_DELETION_DISABLED", Class::Other),
    row(74, "FENCED_LEADER_EPOCH", Class::RefreshRetriable),
    row(75, "UNKNOWN_LEADER_EPOCH", Class::Retriable),
    row(76, "UNSUPPORTED_COMPRESSION_TYPE", Class::Other),
    row(77, "STALE_BROKER_EPOCH", Class::Other),
    row(78, "OFFSET_NOT_AVAILABLE", Class::Retriable),
    row(79, "MEMBER_ID_REQUIRED", Class::Other),
    row(80, "PREFERRED_LEADER_NOT_AVAILABLE", Class::RefreshRetriable),
    row(81, "GROUP_MAX_SIZE_REACHED", Class::Other),
    row(82, "FENCED_INSTANCE_ID", Class::ApplicationRecoverable),
    row(83, "ELIGIBLE_LEADERS_NOT_AVAILABLE", Class::RefreshRetriable),
    row(84, "ELECTION_NOT_NEEDED", Class::RefreshRetriable),
    row(85, "NO_REASSIGNMENT_IN_PROGRESS", Class::Other),
    row(86, "GROUP_SUBSCRIBED_TO_TOPIC", Class::Other),
    row(87, "INVALID_RECORD", Class::InvalidConfiguration),
    row(88, "UNSTABLE_OFFSET_COMMIT", Class::Retriable),
    row(89, "THROTTLING_QUOTA_EXCEEDED", Class::Retriable),
    row(90, "PRODUCER_FENCED", Class::ApplicationRecoverable),
    row(91, "RESOURCE_NOT_FOUND", Class::Other),
    row(92, "DUPLICATE_RESOURCE", Class::Other),
    row(93, "UNACCEPTABLE_CREDENTIAL", Class::Other),
    row(94, "INCONSISTENT_VOTER_SET", Class::Other),
    row(95, "INVALID_UPDATE_VERSION", Class::Other),
    row(96, "FEATURE_UPDATE_FAILED", Class::Other),
    row(97, "PRINCIPAL_DESERIALIZATION_FAILURE", Class::Other),
    row(98, "SNAPSHOT_NOT_FOUND", Class::Other),
    row(99, "POSITION_OUT_OF_RANGE", Class::Other),
    row(100, "UNKNOWN_TOPIC_ID", Class::RefreshRetriable),
    row(101, "DUPLICATE_BROKER_REGISTRATION", Class::Other),
    row(102, "BROKER_ID_NOT_REGISTERED", Class::Other),
    row(103, "INCONSISTENT_TOPIC_ID", Class::RefreshRetriable),
    row(104, "INCONSISTENT_CLUSTER_ID", Class::Other),
    row(105, "TRANSACTIONAL_ID_NOT_FOUND", Class::Other),
    row(106, "FETCH_SESSION_TOPIC_ID_ERROR", Class::Retriable),
    row(107, "INELIGIBLE_REPLICA", Class::Other),
    row(108, "NEW_LEADER_ELECTED", Class::Other),
    row(109, "OFFSET_MOVED_TO_TIERED_STORAGE", Class::Other),
    row(110, "FENCED_MEMBER_EPOCH", Class::Other),
    row(111, "UNRELEASED_INSTANCE_ID", Class::Other),
    row(112, "UNSUPPORTED_ASSIGNOR", Class::Other),
    row(113, "STALE_MEMBER_EPOCH", Class::Other),
    row(114, "MISMATCHED_ENDPOINT_TYPE", Class::Other),
    row(115, "UNSUPPORTED_ENDPOINT_TYPE", Class::Other),
    row(116, "UNKNOWN_CONTROLLER_ID", Class::Other),
    row(117, "UNKNOWN_SUBSCRIPTION_ID", Class::Other),
    row(118, "TELEMETRY_TOO_LARGE", Class::Other),
    row(119, "INVALID_REGISTRATION", Class::Other),
    row(120, "TRANSACTION_ABORTABLE", Class::Abortable),
    row(121, "INVALID_RECORD_STATE", Class::Other),
    row(122, "SHARE_SESSION_NOT_FOUND", Class::Retriable),
    row(123, "INVALID_SHARE_SESSION_EPOCH", Class::Retriable),
    row(124, "FENCED_STATE_EPOCH", Class::Other),
    row(125, "INVALID_VOTER_KEY", Class::Other),
    row(126, "DUPLICATE_VOTER", Class::Other),
    row(127, "VOTER_NOT_FOUND", Class::Other),
    row(128, "INVALID_REGULAR_EXPRESSION", Class::Other),
    row(129, "REBOOTSTRAP_REQUIRED", Class::Other),
    row(130, "STREAMS_INVALID_TOPOLOGY", Class::Other),
    row(131, "STREAMS_INVALID_TOPOLOGY_EPOCH", Class::Other),
    row(132, "STREAMS_TOPOLOGY_FENCED", Class::Other),
    row(133, "SHARE_SESSION_LIMIT_REACHED", Class::Retriable),
    row(134, "GROUP_DELETION_FAILED", Class::Other),
    row(135, "STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", Class::Other),
    row(136, "CONTROLLER_ID_NOT_REGISTERED", Class::Other),
];

#[rustfmt::skip]
#[allow(missing_docs, reason = "each constant is Kafka's own name")]
impl ErrorCode {
    pub const UNKNOWN_SERVER_ERROR: ErrorCode = ErrorCode(-1);
    pub const NONE: ErrorCode = ErrorCode(0);
    pub const OFFSET_OUT_OF_RANGE: ErrorCode = ErrorCode(1);
    pub const CORRUPT_MESSAGE: ErrorCode = ErrorCode(2);
    pub const UNKNOWN_TOPIC_OR_PARTITION: ErrorCode = ErrorCode(3);
    pub const INVALID_FETCH_SIZE: ErrorCode = ErrorCode(4);
    pub const LEADER_NOT_AVAILABLE: ErrorCode = ErrorCode(5);
    pub const NOT_LEADER_OR_FOLLOWER: ErrorCode = ErrorCode(6);
    pub const REQUEST_TIMED_OUT: ErrorCode = ErrorCode(7);
    pub const BROKER_NOT_AVAILABLE: ErrorCode = ErrorCode(8);
    pub const REPLICA_NOT_AVAILABLE: ErrorCode = ErrorCode(9);
    pub const MESSAGE_TOO_LARGE: ErrorCode = ErrorCode(10);
    pub const STALE_CONTROLLER_EPOCH: ErrorCode = ErrorCode(11);
    pub const OFFSET_METADATA_TOO_LARGE: ErrorCode = ErrorCode(12);
    pub const NETWORK_EXCEPTION: ErrorCode = ErrorCode(13);
    pub const COORDINATOR_LOAD_IN_PROGRESS: ErrorCode = ErrorCode(14);
    pub const COORDINATOR_NOT_AVAILABLE: ErrorCode = ErrorCode(15);
    pub const NOT_COORDINATOR: ErrorCode = ErrorCode(16);
    pub const INVALID_TOPIC_EXCEPTION: ErrorCode = ErrorCode(17);
    pub const RECORD_LIST_TOO_LARGE: ErrorCode = ErrorCode(18);
    pub const NOT_ENOUGH_REPLICAS: ErrorCode = ErrorCode(19);
    pub const NOT_ENOUGH_REPLICAS_AFTER_APPEND: ErrorCode = ErrorCode(20);
    pub const INVALID_REQUIRED_ACKS: ErrorCode = ErrorCode(21);
    pub const ILLEGAL_GENERATION: ErrorCode = ErrorCode(22);
    pub const INCONSISTENT_GROUP_PROTOCOL: ErrorCode = ErrorCode(23);
    pub const INVALID_GROUP_ID: ErrorCode = ErrorCode(24);
    pub const UNKNOWN_MEMBER_ID: ErrorCode = ErrorCode(25);
    pub const INVALID_SESSION_TIMEOUT: ErrorCode = ErrorCode(26);
    pub const REBALANCE_IN_PROGRESS: ErrorCode = ErrorCode(27);
    pub const INVALID_COMMIT_OFFSET_SIZE: ErrorCode = ErrorCode(28);
    pub const TOPIC_AUTHORIZATION_FAILED: ErrorCode = ErrorCode(29);
    pub const GROUP_AUTHORIZATION_FAILED: ErrorCode = ErrorCode(30);
    pub const CLUSTER_AUTHORIZATION_FAILED: ErrorCode = ErrorCode(31);
    pub const INVALID_TIMESTAMP: ErrorCode = ErrorCode(32);
    pub const UNSUPPORTED_SASL_MECHANISM: ErrorCode = ErrorCode(33);
    pub const ILLEGAL_SASL_STATE: ErrorCode = ErrorCode(34);
    pub const UNSUPPORTED_VERSION: ErrorCode = ErrorCode(35);
    pub const TOPIC_ALREADY_EXISTS: ErrorCode = ErrorCode(36);
    pub const INVALID_PARTITIONS: ErrorCode = ErrorCode(37);
    pub const INVALID_REPLICATION_FACTOR: ErrorCode = ErrorCode(38);
    pub const INVALID_REPLICA_ASSIGNMENT: ErrorCode = ErrorCode(39);
    pub const INVALID_CONFIG: ErrorCode = ErrorCode(40);
    pub const NOT_CONTROLLER: ErrorCode = ErrorCode(41);
    pub const INVALID_REQUEST: ErrorCode = ErrorCode(42);
    pub const UNSUPPORTED_FOR_MESSAGE_FORMAT: ErrorCode = ErrorCode(43);
    pub const POLICY_VIOLATION: ErrorCode = ErrorCode(44);
    pub const OUT_OF_ORDER_SEQUENCE_NUMBER: ErrorCode = ErrorCode(45);
    pub const DUPLICATE_SEQUENCE_NUMBER: ErrorCode = ErrorCode(46);
    pub const INVALID_PRODUCER_EPOCH: ErrorCode = ErrorCode(47);
    pub const INVALID_TXN_STATE: ErrorCode = ErrorCode(48);
    pub const INVALID_PRODUCER_ID_MAPPING: ErrorCode = ErrorCode(49);
    pub const INVALID_TRANSACTION_TIMEOUT: ErrorCode = ErrorCode(50);
    pub const CONCURRENT_TRANSACTIONS: ErrorCode = ErrorCode(51);
    pub const TRANSACTION_COORDINATOR_FENCED: ErrorCode = ErrorCode(52);
    pub const TRANSACTIONAL_ID_AUTHORIZATION_FAILED: ErrorCode = ErrorCode(53);
    pub const SECURITY_DISABLED: ErrorCode = ErrorCode(54);
    pub const OPERATION_NOT_ATTEMPTED: ErrorCode = ErrorCode(55);
    pub const KAFKA_STORAGE_ERROR: ErrorCode = ErrorCode(56);
    pub const LOG_DIR_NOT_FOUND: ErrorCode = ErrorCode(57);
    pub const SASL_AUTHENTICATION_FAILED: ErrorCode = ErrorCode(58);
    pub const UNKNOWN_PRODUCER_ID: ErrorCode = ErrorCode(59);
    pub const REASSIGNMENT_IN_PROGRESS: ErrorCode = ErrorCode(60);
    pub const DELEGATION_TOKEN_AUTH_DISABLED: ErrorCode = ErrorCode(61);
    pub const DELEGATION_TOKEN_NOT_FOUND: ErrorCode = ErrorCode(62);
    pub const DELEGATION_TOKEN_OWNER_MISMATCH: ErrorCode = ErrorCode(63);
    pub const DELEGATION_TOKEN_REQUEST_NOT_ALLOWED: ErrorCode = ErrorCode(64);
    pub const DELEGATION_TOKEN_AUTHORIZATION_FAILED: ErrorCode = ErrorCode(65);
    pub const DELEGATION_TOKEN_EXPIRED: ErrorCode = ErrorCode(66);
    pub const INVALID_PRINCIPAL_TYPE: ErrorCode = ErrorCode(67);
    pub const NON_EMPTY_GROUP: ErrorCode = ErrorCode(68);
    pub const GROUP_ID_NOT_FOUND: ErrorCode = ErrorCode(69);
    pub const FETCH_SESSION_ID_NOT_FOUND: ErrorCode = ErrorCode(70);
    pub const INVALID_FETCH_SESSION_EPOCH: ErrorCode = ErrorCode(71);
    pub const LISTENER_NOT_FOUND: ErrorCode = ErrorCode(72);
    pub const TOPIC_DELETION_DISABLED: ErrorCode = ErrorCode(73);
    pub const FENCED_LEADER_EPOCH: ErrorCode = ErrorCode(74);
    pub const UNKNOWN_LEADER_EPOCH: ErrorCode = ErrorCode(75);
    pub const UNSUPPORTED_COMPRESSION_TYPE: ErrorCode = ErrorCode(76);
    pub const STALE_BROKER_EPOCH: ErrorCode = ErrorCode(77);
    pub const OFFSET_NOT_AVAILABLE: ErrorCode = ErrorCode(78);
    pub const MEMBER_ID_REQUIRED: ErrorCode = ErrorCode(79);
    pub const PREFERRED_LEADER_NOT_AVAILABLE: ErrorCode = ErrorCode(80);
    pub const GROUP_MAX_SIZE_REACHED: ErrorCode = ErrorCode(81);
    pub const FENCED_INSTANCE_ID: ErrorCode = ErrorCode(82);
    pub const ELIGIBLE_LEADERS_NOT_AVAILABLE: ErrorCode = ErrorCode(83);
    pub const ELECTION_NOT_NEEDED: ErrorCode = ErrorCode(84);
    pub const NO_REASSIGNMENT_IN_PROGRESS: ErrorCode = ErrorCode(85);
    pub const GROUP_SUBSCRIBED_TO_TOPIC: ErrorCode = ErrorCode(86);
    pub const INVALID_RECORD: ErrorCode = ErrorCode(87);
    pub const UNSTABLE_OFFSET_COMMIT: ErrorCode = ErrorCode(88);
    pub const THROTTLING_QUOTA_EXCEEDED: ErrorCode = ErrorCode(89);
    pub const PRODUCER_FENCED: ErrorCode = ErrorCode(90);
    pub const RESOURCE_NOT_FOUND: ErrorCode = ErrorCode(91);
    pub const DUPLICATE_RESOURCE: ErrorCode = ErrorCode(92);
    pub const UNACCEPTABLE_CREDENTIAL: ErrorCode = ErrorCode(93);
    pub const INCONSISTENT_VOTER_SET: ErrorCode = ErrorCode(94);
    pub const INVALID_UPDATE_VERSION: ErrorCode = ErrorCode(95);
    pub const FEATURE_UPDATE_FAILED: ErrorCode = ErrorCode(96);
    pub const PRINCIPAL_DESERIALIZATION_FAILURE: ErrorCode = ErrorCode(97);
    pub const SNAPSHOT_NOT_FOUND: ErrorCode = ErrorCode(98);
    pub const POSITION_OUT_OF_RANGE: ErrorCode = ErrorCode(99);
    pub const UNKNOWN_TOPIC_ID: ErrorCode = ErrorCode(100);
    pub const DUPLICATE_BROKER_REGISTRATION: ErrorCode = ErrorCode(101);
    pub const BROKER_ID_NOT_REGISTERED: ErrorCode = ErrorCode(102);
    pub const INCONSISTENT_TOPIC_ID: ErrorCode = ErrorCode(103);
    pub const INCONSISTENT_CLUSTER_ID: ErrorCode = ErrorCode(104);
    pub const TRANSACTIONAL_ID_NOT_FOUND: ErrorCode = ErrorCode(105);
    pub const FETCH_SESSION_TOPIC_ID_ERROR: ErrorCode = ErrorCode(106);
    pub const INELIGIBLE_REPLICA: ErrorCode = ErrorCode(107);
    pub const NEW_LEADER_ELECTED: ErrorCode = ErrorCode(108);
    pub const OFFSET_MOVED_TO_TIERED_STORAGE: ErrorCode = ErrorCode(109);
    pub const FENCED_MEMBER_EPOCH: ErrorCode = ErrorCode(110);
    pub const UNRELEASED_INSTANCE_ID: ErrorCode = ErrorCode(111);
    pub const UNSUPPORTED_ASSIGNOR: ErrorCode = ErrorCode(112);
    pub const STALE_MEMBER_EPOCH: ErrorCode = ErrorCode(113);
    pub const MISMATCHED_ENDPOINT_TYPE: ErrorCode = ErrorCode(114);
    pub const UNSUPPORTED_ENDPOINT_TYPE: ErrorCode = ErrorCode(115);
    pub const UNKNOWN_CONTROLLER_ID: ErrorCode = ErrorCode(116);
    pub const UNKNOWN_SUBSCRIPTION_ID: ErrorCode = ErrorCode(117);
    pub const TELEMETRY_TOO_LARGE: ErrorCode = ErrorCode(118);
    pub const INVALID_REGISTRATION: ErrorCode = ErrorCode(119);
    pub const TRANSACTION_ABORTABLE: ErrorCode = ErrorCode(120);
    pub const INVALID_RECORD_STATE: ErrorCode = ErrorCode(121);
    pub const SHARE_SESSION_NOT_FOUND: ErrorCode = ErrorCode(122);
    pub const INVALID_SHARE_SESSION_EPOCH: ErrorCode = ErrorCode(123);
    pub const FENCED_STATE_EPOCH: ErrorCode = ErrorCode(124);
    pub const INVALID_VOTER_KEY: ErrorCode = ErrorCode(125);
    pub const DUPLICATE_VOTER: ErrorCode = ErrorCode(126);
    pub const VOTER_NOT_FOUND: ErrorCode = ErrorCode(127);
    pub const INVALID_REGULAR_EXPRESSION: ErrorCode = ErrorCode(128);
    pub const REBOOTSTRAP_REQUIRED: ErrorCode = ErrorCode(129);
    pub const STREAMS_INVALID_TOPOLOGY: ErrorCode = ErrorCode(130);
    pub const STREAMS_INVALID_TOPOLOGY_EPOCH: ErrorCode = ErrorCode(131);
    pub const STREAMS_TOPOLOGY_FENCED: ErrorCode = ErrorCode(132);
    pub const SHARE_SESSION_LIMIT_REACHED: ErrorCode = ErrorCode(133);
    pub const GROUP_DELETION_FAILED: ErrorCode = ErrorCode(134);
    pub const STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED: ErrorCode = ErrorCode(135);
    pub const CONTROLLER_ID_NOT_REGISTERED: ErrorCode = ErrorCode(136);
}

impl ErrorCode {
    fn row(self) -> Option<&'static Row> {
        let index = usize::try_from(i32::from(self.0) + 1).ok()?;
        ROWS.get(index).filter(|row| row.code == self.0)
    }

    /// Kafka's name for the code, or `UNKNOWN` for a number this release does not know.
    pub fn name(self) -> &'static str {
        self.row().map_or("UNKNOWN", |row| row.name)
    }

    /// The class Java gives the code; `Other` for a number this release does not know.
    pub fn class(self) -> Class {
        self.row().map_or(Class::Other, |row| row.class)
    }

    /// Whether the code says success.
    pub fn is_ok(self) -> bool {
        self.0 == 0
    }

    /// Whether the same request may succeed later, after looking things up again or without.
    pub fn is_retriable(self) -> bool {
        matches!(self.class(), Class::Retriable | Class::RefreshRetriable)
    }

    /// `Ok` on success, else the code.
    pub fn ok(self) -> Result<(), ErrorCode> {
        if self.is_ok() { Ok(()) } else { Err(self) }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_number() {
        for row in ROWS {
            assert_eq!(ErrorCode(row.code).name(), row.name);
        }
    }

    #[test]
    fn an_unknown_code_keeps_its_number() {
        assert_eq!(ErrorCode(9999).to_string(), "UNKNOWN (9999)");
        assert_eq!(ErrorCode(i16::MIN).to_string(), "UNKNOWN (-32768)");
        assert!(!ErrorCode(9999).is_retriable());
    }
}
