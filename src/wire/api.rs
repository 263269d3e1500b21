//! Which APIs we speak, at which versions and why no higher: one row each; and what one broker makes of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use kafka_protocol::messages::{ApiKey, ApiVersionsResponse};

/// One API: its number, its name, the versions we speak and the reason where we stop short of the newest.
#[derive(Debug)]
pub struct Api {
    /// Kafka's key.
    pub key: ApiKey,
    /// Kafka's name, as `Fetch`.
    pub name: &'static str,
    /// Oldest version we speak.
    pub min: i16,
    /// Newest version we speak.
    pub max: i16,
    /// First version with compact lengths and tagged fields; `i16::MAX` if none has them.
    pub flexible_from: i16,
    /// Why `max` is not Kafka's newest, if it is not.
    pub cap: Option<&'static str>,
}

const NEVER: i16 = i16::MAX;

const fn row(key: ApiKey, name: &'static str, versions: (i16, i16), flexible_from: i16) -> Api {
    Api { key, name, min: versions.0, max: versions.1, flexible_from, cap: None }
}

impl Api {
    const fn capped(mut self, reason: &'static str) -> Self {
        self.cap = Some(reason);
        self
    }
}

/// Every API we speak, by key. All work against brokers from Kafka 2.1 on; the newest versions are Kafka 4.4's.
#[rustfmt::skip]
pub static APIS: &[Api] = &[
    row(ApiKey::Produce,                 "Produce",                 (3, 13), 9),
    row(ApiKey::Fetch,                   "Fetch",                   (4, 18), 12),
    row(ApiKey::ListOffsets,             "ListOffsets",             (1, 10), 6)
        .capped("11 only adds the earliest offset not yet uploaded to tiered storage (KIP-1023)"),
    row(ApiKey::Metadata,                "Metadata",                (0, 13), 9),
    row(ApiKey::OffsetCommit,            "OffsetCommit",            (2, 9),  8)
        .capped("10 names topics by id only; the generated codec ends at 9, which brokers 4.x serve by name"),
    row(ApiKey::OffsetFetch,             "OffsetFetch",             (1, 9),  6)
        .capped("10 names topics by id only; the generated codec ends at 9, which brokers 4.x serve by name"),
    row(ApiKey::FindCoordinator,         "FindCoordinator",         (0, 6),  3),
    row(ApiKey::JoinGroup,               "JoinGroup",               (0, 9),  6),
    row(ApiKey::Heartbeat,               "Heartbeat",               (0, 4),  4),
    row(ApiKey::LeaveGroup,              "LeaveGroup",              (0, 5),  4),
    row(ApiKey::SyncGroup,               "SyncGroup",               (0, 5),  4),
    row(ApiKey::DescribeGroups,          "DescribeGroups",          (0, 6),  5),
    row(ApiKey::ListGroups,              "ListGroups",              (0, 5),  3),
    row(ApiKey::SaslHandshake,           "SaslHandshake",           (0, 1),  NEVER),
    row(ApiKey::ApiVersions,             "ApiVersions",             (0, 4),  3)
        .capped("5 adds the check for misrouted connections (KIP-1242); the generated codec ends at 4"),
    row(ApiKey::CreateTopics,            "CreateTopics",            (2, 7),  5),
    row(ApiKey::DeleteTopics,            "DeleteTopics",            (1, 6),  4),
    row(ApiKey::DeleteRecords,           "DeleteRecords",           (0, 2),  2),
    row(ApiKey::InitProducerId,          "InitProducerId",          (0, 5),  2)
        .capped("6 is two-phase commit (KIP-939), which brokers hold unstable"),
    row(ApiKey::OffsetForLeaderEpoch,    "OffsetForLeaderEpoch",    (2, 4),  4),
    row(ApiKey::AddPartitionsToTxn,      "AddPartitionsToTxn",      (0, 3),  3)
        .capped("4 and up is the batched form that only brokers send (KIP-890)"),
    row(ApiKey::AddOffsetsToTxn,         "AddOffsetsToTxn",         (0, 4),  3),
    row(ApiKey::EndTxn,                  "EndTxn",                  (0, 5),  3),
    row(ApiKey::TxnOffsetCommit,         "TxnOffsetCommit",         (0, 5),  3)
        .capped("6 names topics by id (KIP-1319); the generated codec ends at 5"),
    row(ApiKey::DescribeConfigs,         "DescribeConfigs",         (1, 4),  4),
    row(ApiKey::SaslAuthenticate,        "SaslAuthenticate",        (0, 2),  2),
    row(ApiKey::CreatePartitions,        "CreatePartitions",        (0, 3),  2),
    row(ApiKey::DeleteGroups,            "DeleteGroups",            (0, 2),  2)
        .capped("the generated codec ends at 2"),
    row(ApiKey::IncrementalAlterConfigs, "IncrementalAlterConfigs", (0, 1),  1),
    row(ApiKey::OffsetDelete,            "OffsetDelete",            (0, 0),  NEVER),
    row(ApiKey::DescribeCluster,         "DescribeCluster",         (0, 2),  0),
    row(ApiKey::DescribeProducers,       "DescribeProducers",       (0, 0),  0),
    row(ApiKey::DescribeTransactions,    "DescribeTransactions",    (0, 0),  0),
    row(ApiKey::ListTransactions,        "ListTransactions",        (0, 2),  0),
    row(ApiKey::ConsumerGroupHeartbeat,  "ConsumerGroupHeartbeat",  (0, 1),  0),
    row(ApiKey::ConsumerGroupDescribe,   "ConsumerGroupDescribe",   (0, 1),  0),
];

/// The row of `key`, if we speak it.
pub fn api(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key == key)
}

/// The row of the API numbered `key`, if we speak it.
pub fn api_by_number(key: i16) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key as i16 == key)
}

/// The name of the API numbered `key`, for messages to people; `unknown API` if we do not speak it.
pub fn api_name(key: i16) -> &'static str {
    api_by_number(key).map_or("unknown API", |api| api.name)
}

/// What one broker speaks, as its ApiVersions answer told. The default speaks nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrokerVersions {
    ranges: BTreeMap<i16, (i16, i16)>,
    supported: BTreeMap<String, (i16, i16)>,
    finalized: BTreeMap<String, i16>,
    finalized_epoch: Option<i64>,
}

/// The broker offers no version of an API that we speak. The feature it would serve is the caller's to name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NoCommonVersion {
    /// The API's name.
    pub api: &'static str,
    /// The versions we speak; upside down (as `(0, -1)`) if none.
    pub ours: (i16, i16),
    /// The versions the broker speaks; `None` if it lacks the API.
    pub theirs: Option<(i16, i16)>,
}

impl BrokerVersions {
    /// Reads a broker's answer. Ranges upside down and repeated keys are ignored, as if the API were missing.
    ///
    /// Features come from version 3 on; older answers name none.
    pub fn from_response(response: &ApiVersionsResponse) -> Self {
        let ranges = unique(response.api_keys.iter().map(|k| (k.api_key, (k.min_version, k.max_version))));
        let features = &response.supported_features;
        let finalized = &response.finalized_features;
        Self {
            ranges: ranges.into_iter().filter(|(_, (min, max))| min <= max).collect(),
            supported: unique(features.iter().map(|f| (f.name.to_string(), (f.min_version, f.max_version)))),
            finalized: unique(finalized.iter().map(|f| (f.name.to_string(), f.max_version_level))),
            finalized_epoch: Some(response.finalized_features_epoch).filter(|epoch| *epoch >= 0),
        }
    }

    /// The versions of `key` the broker speaks, whether or not we do.
    pub fn range(&self, key: ApiKey) -> Option<(i16, i16)> {
        self.ranges.get(&(key as i16)).copied()
    }

    /// Every API number the broker named with its versions: `(key, min, max)`, by key.
    pub fn ranges(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.ranges.iter().map(|(key, (min, max))| (*key, *min, *max))
    }

    /// The newest version both sides speak.
    pub fn negotiate(&self, key: ApiKey) -> Result<i16, NoCommonVersion> {
        self.negotiate_up_to(key, i16::MAX)
    }

    /// The newest version both sides speak that is at most `cap` (Produce 11 and EndTxn 4 under TV1).
    pub fn negotiate_up_to(&self, key: ApiKey, cap: i16) -> Result<i16, NoCommonVersion> {
        let theirs = self.range(key);
        let Some(row) = api(key) else {
            return Err(NoCommonVersion { api: "unknown API", ours: (0, -1), theirs });
        };
        let ours = (row.min, row.max.min(cap));
        let none = NoCommonVersion { api: row.name, ours, theirs };
        let (min, max) = theirs.ok_or(none)?;
        let newest = ours.1.min(max);
        if newest >= ours.0.max(min) { Ok(newest) } else { Err(none) }
    }

    /// The finalized level of a cluster feature such as `transaction.version`; 0 if the broker named none.
    pub fn finalized_feature(&self, name: &str) -> i16 {
        self.finalized.get(name).copied().unwrap_or(0)
    }

    /// The epoch of the finalized features: the answer with the larger one is the newer. `None` if the broker told none.
    pub fn finalized_features_epoch(&self) -> Option<i64> {
        self.finalized_epoch
    }

    /// Every feature with its supported range and finalized level: `(name, min, max, finalized)`, by name.
    pub fn features(&self) -> Vec<(String, i16, i16, i16)> {
        let row = |(name, (min, max)): (&String, &(i16, i16))| (name.clone(), *min, *max, self.finalized_feature(name));
        self.supported.iter().map(row).collect()
    }
}

/// The pairs whose key occurs once: of two claims neither is believed.
fn unique<K: Ord + Clone, V>(pairs: impl Iterator<Item = (K, V)>) -> BTreeMap<K, V> {
    let mut seen: BTreeMap<K, Option<V>> = BTreeMap::new();
    for (key, value) in pairs {
        match seen.entry(key) {
            Entry::Vacant(entry) => _ = entry.insert(Some(value)),
            Entry::Occupied(mut entry) => _ = entry.insert(None),
        }
    }
    seen.into_iter().filter_map(|(key, value)| Some((key, value?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
    use kafka_protocol::protocol::StrBytes;

    fn broker(ranges: &[(i16, i16, i16)]) -> BrokerVersions {
        let key = |&(key, min, max): &(i16, i16, i16)| {
            ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
        };
        BrokerVersions::from_response(&ApiVersionsResponse::default().with_api_keys(ranges.iter().map(key).collect()))
    }

    #[test]
    fn rows_are_sorted_and_stay_within_the_generated_codecs() {
        assert!(APIS.windows(2).all(|w| (w[0].key as i16) < (w[1].key as i16)), "sorted by key, no key twice");
        for row in APIS {
            let codec = row.key.valid_versions();
            assert!(codec.min <= row.min && row.min <= row.max && row.max <= codec.max, "{}: {codec}", row.name);
            assert_eq!(format!("{:?}", row.key), row.name);
        }
    }

    #[test]
    fn flexible_from_agrees_with_the_header_versions_of_the_codecs() {
        for row in APIS {
            for version in row.min..=row.max {
                let flexible = version >= row.flexible_from;
                assert_eq!(row.key.request_header_version(version), 1 + i16::from(flexible), "{} {version}", row.name);
                let response = i16::from(flexible && row.key != ApiKey::ApiVersions);
                assert_eq!(row.key.response_header_version(version), response, "{} {version}", row.name);
            }
        }
    }

    #[test]
    fn negotiation_takes_the_newest_version_both_speak() {
        let versions = broker(&[(0, 0, 11), (1, 4, 99), (26, 0, 3)]);
        assert_eq!(versions.negotiate(ApiKey::Produce), Ok(11));
        assert_eq!(versions.negotiate(ApiKey::Fetch), Ok(18));
        assert_eq!(versions.negotiate_up_to(ApiKey::Fetch, 12), Ok(12));
        assert_eq!(versions.negotiate_up_to(ApiKey::EndTxn, 4), Ok(3));
    }

    #[test]
    fn no_common_version_tells_both_ranges() {
        let versions = broker(&[(0, 0, 2), (1, 19, 20), (3, 9, 2), (22, 0, 4), (22, 0, 5)]);
        let none = |api, ours, theirs| Err(NoCommonVersion { api, ours, theirs });
        assert_eq!(versions.negotiate(ApiKey::Produce), none("Produce", (3, 13), Some((0, 2))));
        assert_eq!(versions.negotiate(ApiKey::Fetch), none("Fetch", (4, 18), Some((19, 20))));
        assert_eq!(versions.negotiate(ApiKey::Metadata), none("Metadata", (0, 13), None), "upside down");
        assert_eq!(versions.negotiate(ApiKey::InitProducerId), none("InitProducerId", (0, 5), None), "told twice");
        assert_eq!(versions.negotiate_up_to(ApiKey::Produce, 2), none("Produce", (3, 2), Some((0, 2))));
        assert_eq!(versions.negotiate(ApiKey::ShareFetch), none("unknown API", (0, -1), None));
    }

    #[test]
    fn a_feature_without_finalized_level_is_at_zero() {
        let name = StrBytes::from_static_str("transaction.version");
        let supported = SupportedFeatureKey::default().with_name(name.clone()).with_max_version(2);
        let group = SupportedFeatureKey::default().with_name("group.version".into()).with_max_version(1);
        let finalized = FinalizedFeatureKey::default().with_name(name).with_max_version_level(2);
        let response = ApiVersionsResponse::default()
            .with_supported_features(vec![supported, group])
            .with_finalized_features(vec![finalized])
            .with_finalized_features_epoch(7);
        let versions = BrokerVersions::from_response(&response);
        assert_eq!(versions.finalized_feature("transaction.version"), 2);
        assert_eq!(versions.finalized_feature("group.version"), 0);
        assert_eq!(versions.finalized_feature("kraft.version"), 0);
        assert_eq!(versions.finalized_features_epoch(), Some(7));
        let expected = vec![("group.version".into(), 0, 1, 0), ("transaction.version".into(), 0, 2, 2)];
        assert_eq!(versions.features(), expected);
    }
}
