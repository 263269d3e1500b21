//! ApiVersions answers, versions 0 to 5, always under the oldest header.

pub use kafka_protocol::messages::api_versions_response::*;

use super::rows::{generated, structs};
use super::top;

// The header is always the oldest: a client must be able to read an answer to a version the broker lacks (KIP-511).
top::body!(ApiVersionsResponse, (0..=5), flexible 3, header 0 to 0);

generated!(4: ApiVersion, SupportedFeatureKey, FinalizedFeatureKey);

structs! {
    /// Versions 0 to 5.
    ApiVersionsResponse {
        /// The top-level error code.
        error_code / with_error_code: i16 [since(0)];
        /// The APIs supported by the broker.
        api_keys / with_api_keys: Vec<ApiVersion> [since(0)];
        /// The duration in milliseconds for which the request was throttled due to a quota violation.
        throttle_time_ms / with_throttle_time_ms: i32 [since(1).ignorable()];
        /// Features supported by the broker.
        supported_features / with_supported_features: Vec<SupportedFeatureKey> [since(3).ignorable().tagged(0)];
        /// The monotonically increasing epoch for the finalized features information.
        finalized_features_epoch / with_finalized_features_epoch: i64 [since(3).ignorable().tagged(1)] = -1;
        /// List of cluster-wide finalized features.
        finalized_features / with_finalized_features: Vec<FinalizedFeatureKey> [since(3).ignorable().tagged(2)];
        /// Set by a KRaft controller if the required configurations for ZK migration are present.
        zk_migration_ready / with_zk_migration_ready: bool [since(3).ignorable().tagged(3)];
    }
}
