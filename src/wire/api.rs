//! Which APIs we speak, at which versions and why no higher: one row each; and what one broker makes of it.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use super::messages::{ApiKey, ApiVersionsResponse};

/// One API: its number, its name, the versions its codec reads and writes, and how far the client goes in asking.
#[derive(Debug)]
pub struct Api {
    /// Kafka's key. Not kafka-protocol's `ApiKey`, which has no name for the newest ones.
    pub key: i16,
    /// Kafka's name, as `Fetch`.
    pub name: &'static str,
    /// Oldest version that is read and written.
    pub min: i16,
    /// Newest version that is read and written: Kafka 4.4's newest.
    pub max: i16,
    /// First version with compact lengths and tagged fields; `i16::MAX` if none has them.
    pub flexible_from: i16,
    /// Newest version the client asks a broker for, and the in-memory broker offers.
    pub asks: i16,
    /// Why `asks` is not `max`, if it is not.
    pub cap: Option<&'static str>,
}

const NEVER: i16 = i16::MAX;

const fn row(key: i16, name: &'static str, versions: (i16, i16), flexible_from: i16) -> Api {
    Api { key, name, min: versions.0, max: versions.1, flexible_from, asks: versions.1, cap: None }
}

impl Api {
    const fn asks_up_to(self, asks: i16, why: &'static str) -> Self {
        Self { asks, cap: Some(why), ..self }
    }

    /// Whether a body of `version` can be read and written.
    pub const fn speaks(&self, version: i16) -> bool {
        self.min <= version && version <= self.max
    }
}

/// Every API that a client, an administrator or our broker speaks, by key, at Kafka 4.4's versions. What is left out are
/// those between brokers only. All work against brokers from Kafka 2.1 on.
#[rustfmt::skip]
pub static APIS: &[Api] = &[
    row( 0, "Produce",                               (3, 13), 9),
    row( 1, "Fetch",                                 (4, 18), 12),
    row( 2, "ListOffsets",                           (1, 11), 6)
        .asks_up_to(10, "11 adds the earliest offset not yet in tiered storage (KIP-1023), which nobody here asks for"),
    row( 3, "Metadata",                              (0, 13), 9),
    row( 8, "OffsetCommit",                          (2, 10), 8)
        .asks_up_to(9, "10 names topics by id only, and a committed position is kept by name"),
    row( 9, "OffsetFetch",                           (1, 10), 6)
        .asks_up_to(9, "10 names topics by id only, and a committed position is kept by name"),
    row(10, "FindCoordinator",                       (0, 6),  3),
    row(11, "JoinGroup",                             (0, 9),  6),
    row(12, "Heartbeat",                             (0, 4),  4),
    row(13, "LeaveGroup",                            (0, 5),  4),
    row(14, "SyncGroup",                             (0, 5),  4),
    row(15, "DescribeGroups",                        (0, 6),  5),
    row(16, "ListGroups",                            (0, 5),  3),
    row(17, "SaslHandshake",                         (0, 1),  NEVER),
    row(18, "ApiVersions",                           (0, 5),  3)
        .asks_up_to(4, "5 checks for misrouted connections (KIP-1242), and every older broker would refuse it first"),
    row(19, "CreateTopics",                          (2, 7),  5),
    row(20, "DeleteTopics",                          (1, 6),  4),
    row(21, "DeleteRecords",                         (0, 2),  2),
    row(22, "InitProducerId",                        (0, 6),  2)
        .asks_up_to(5, "6 is two-phase commit (KIP-939), which brokers hold unstable"),
    row(23, "OffsetForLeaderEpoch",                  (2, 4),  4),
    row(24, "AddPartitionsToTxn",                    (0, 5),  3)
        .asks_up_to(3, "4 and up is the batched form that only brokers send (KIP-890)"),
    row(25, "AddOffsetsToTxn",                       (0, 4),  3),
    row(26, "EndTxn",                                (0, 5),  3),
    row(27, "WriteTxnMarkers",                       (1, 2),  1),
    row(28, "TxnOffsetCommit",                       (0, 6),  3)
        .asks_up_to(5, "6 names topics by id only (KIP-1319), and a committed position is kept by name"),
    row(29, "DescribeAcls",                          (1, 3),  2),
    row(30, "CreateAcls",                            (1, 3),  2),
    row(31, "DeleteAcls",                            (1, 3),  2),
    row(32, "DescribeConfigs",                       (1, 4),  4),
    row(33, "AlterConfigs",                          (0, 2),  2),
    row(34, "AlterReplicaLogDirs",                   (1, 2),  2),
    row(35, "DescribeLogDirs",                       (1, 5),  2),
    row(36, "SaslAuthenticate",                      (0, 2),  2),
    row(37, "CreatePartitions",                      (0, 3),  2),
    row(38, "CreateDelegationToken",                 (1, 3),  2),
    row(39, "RenewDelegationToken",                  (1, 2),  2),
    row(40, "ExpireDelegationToken",                 (1, 2),  2),
    row(41, "DescribeDelegationToken",               (1, 3),  2),
    row(42, "DeleteGroups",                          (0, 3),  2),
    row(43, "ElectLeaders",                          (0, 2),  2),
    row(44, "IncrementalAlterConfigs",               (0, 1),  1),
    row(45, "AlterPartitionReassignments",           (0, 1),  0),
    row(46, "ListPartitionReassignments",            (0, 0),  0),
    row(47, "OffsetDelete",                          (0, 0),  NEVER),
    row(48, "DescribeClientQuotas",                  (0, 1),  1),
    row(49, "AlterClientQuotas",                     (0, 1),  1),
    row(50, "DescribeUserScramCredentials",          (0, 0),  0),
    row(51, "AlterUserScramCredentials",             (0, 0),  0),
    row(55, "DescribeQuorum",                        (0, 2),  0),
    row(57, "UpdateFeatures",                        (0, 2),  0),
    row(60, "DescribeCluster",                       (0, 2),  0),
    row(61, "DescribeProducers",                     (0, 0),  0),
    row(64, "UnregisterBroker",                      (0, 0),  0),
    row(65, "DescribeTransactions",                  (0, 0),  0),
    row(66, "ListTransactions",                      (0, 2),  0),
    row(68, "ConsumerGroupHeartbeat",                (0, 1),  0),
    row(69, "ConsumerGroupDescribe",                 (0, 1),  0),
    row(71, "GetTelemetrySubscriptions",             (0, 0),  0),
    row(72, "PushTelemetry",                         (0, 0),  0),
    row(74, "ListConfigResources",                   (0, 1),  0),
    row(75, "DescribeTopicPartitions",               (0, 0),  0),
    row(76, "ShareGroupHeartbeat",                   (1, 1),  0),
    row(77, "ShareGroupDescribe",                    (1, 1),  0),
    row(78, "ShareFetch",                            (1, 2),  0),
    row(79, "ShareAcknowledge",                      (1, 2),  0),
    row(80, "AddRaftVoter",                          (0, 1),  0),
    row(81, "RemoveRaftVoter",                       (0, 0),  0),
    row(88, "StreamsGroupHeartbeat",                 (0, 1),  0),
    row(89, "StreamsGroupDescribe",                  (0, 1),  0),
    row(90, "DescribeShareGroupOffsets",             (0, 1),  0),
    row(91, "AlterShareGroupOffsets",                (0, 0),  0),
    row(92, "DeleteShareGroupOffsets",               (0, 0),  0),
    row(93, "StreamsGroupTopologyDescriptionUpdate", (0, 0),  0),
    row(94, "UnregisterController",                  (0, 0),  0),
];

/// The row of `key`, if we speak it.
pub fn api(key: ApiKey) -> Option<&'static Api> {
    api_by_number(key as i16)
}

/// The row of the API numbered `key`, if we speak it.
pub fn api_by_number(key: i16) -> Option<&'static Api> {
    let found = APIS.binary_search_by_key(&key, |api| api.key);
    APIS.get(found.ok()?)
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
        self.range_of(key as i16)
    }

    /// The same by the API's number, which may be one that kafka-protocol has no name for.
    pub fn range_of(&self, key: i16) -> Option<(i16, i16)> {
        self.ranges.get(&key).copied()
    }

    /// Every API number the broker named with its versions: `(key, min, max)`, by key.
    pub fn ranges(&self) -> impl Iterator<Item = (i16, i16, i16)> {
        self.ranges.iter().map(|(key, (min, max))| (*key, *min, *max))
    }

    /// The newest version both sides speak, of those the client asks for.
    pub fn negotiate(&self, key: ApiKey) -> Result<i16, NoCommonVersion> {
        self.negotiate_up_to(key, i16::MAX)
    }

    /// The newest version both sides speak that is at most `cap` (Produce 11 and EndTxn 4 under TV1).
    pub fn negotiate_up_to(&self, key: ApiKey, cap: i16) -> Result<i16, NoCommonVersion> {
        self.negotiate_number(key as i16, cap)
    }

    /// The same by the API's number.
    pub fn negotiate_number(&self, key: i16, cap: i16) -> Result<i16, NoCommonVersion> {
        let theirs = self.range_of(key);
        let Some(row) = api_by_number(key) else {
            return Err(NoCommonVersion { api: "unknown API", ours: (0, -1), theirs });
        };
        let ours = (row.min, row.asks.min(cap));
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
    use super::super::messages::api_versions_response::{ApiVersion, FinalizedFeatureKey, SupportedFeatureKey};
    use super::super::messages::each::{Body, KEYS, Visit, visit};
    use super::*;
    use kafka_protocol::protocol::{HeaderVersion, Message, Request, StrBytes};
    use std::any::type_name;

    fn broker(ranges: &[(i16, i16, i16)]) -> BrokerVersions {
        let key = |&(key, min, max): &(i16, i16, i16)| {
            ApiVersion::default().with_api_key(key).with_min_version(min).with_max_version(max)
        };
        BrokerVersions::from_response(&ApiVersionsResponse::default().with_api_keys(ranges.iter().map(key).collect()))
    }

    #[test]
    fn every_row_has_types_of_its_versions_and_its_flexible_headers() {
        assert!(APIS.windows(2).all(|w| w[0].key < w[1].key), "sorted by key, no key twice");
        assert_eq!(APIS.iter().map(|api| api.key).collect::<Vec<_>>(), KEYS);
        APIS.iter().for_each(|row| visit(row.key, Check(row)).expect("types"));
    }

    struct Check(&'static Api);

    impl Visit for Check {
        type Output = ();

        fn visit<Q: Request<Response: Body> + Body>(self) {
            let Self(row) = self;
            assert!(type_name::<Q>().ends_with(&format!("::{}Request", row.name)), "{}", row.name);
            assert!(row.min <= row.asks && row.asks <= row.max, "{}", row.name);
            assert_eq!(row.cap.is_some(), row.asks < row.max, "{}", row.name);
            for known in [Q::VERSIONS, <Q::Response as Message>::VERSIONS] {
                assert_eq!((known.min, known.max), (row.min, row.max), "{}", row.name);
            }
            for version in row.min..=row.max {
                let flexible = version >= row.flexible_from;
                assert_eq!(Q::header_version(version), 1 + i16::from(flexible), "{} {version}", row.name);
                let answer = i16::from(flexible && row.name != "ApiVersions");
                assert_eq!(<Q::Response as HeaderVersion>::header_version(version), answer, "{} {version}", row.name);
            }
        }
    }

    #[test]
    fn what_the_client_asks_for_ends_where_its_row_says() {
        let versions = broker(&[(8, 0, 99), (9, 0, 99), (24, 0, 99), (28, 0, 99), (88, 0, 0), (94, 0, 3)]);
        assert_eq!(versions.negotiate(ApiKey::OffsetCommit), Ok(9));
        assert_eq!(versions.negotiate(ApiKey::OffsetFetch), Ok(9));
        assert_eq!(versions.negotiate(ApiKey::AddPartitionsToTxn), Ok(3));
        assert_eq!(versions.negotiate(ApiKey::TxnOffsetCommit), Ok(5));
        assert_eq!(versions.negotiate_number(88, 1), Ok(0), "a key without a name in kafka-protocol");
        assert_eq!(versions.negotiate_number(94, 1), Ok(0));
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
        assert_eq!(versions.negotiate(ApiKey::BrokerHeartbeat), none("unknown API", (0, -1), None));
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
