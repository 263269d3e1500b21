//! What each API is asked: Kafka's typical instance of the request, with what would do harm or come to nothing replaced.
//!
//! The typical instance names things that do not exist, two of each. The first of each is made to name what the broker
//! has, so that one answer holds a result and a refusal.

use serde_json::{Value, json};

/// A topic of one partition that holds records.
pub const TOPIC: &str = "apis";
/// Any id that is no topic's and no member's.
const SOME_ID: &str = "ASNFZ4mrze8AAAAAAAAAZA";
const NO_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// What goes over the typical request of the API numbered `key`.
///
/// A field that the version lacks is passed over. An array's elements go over those at the same place; `{"=": value}`
/// goes there as it is, and `"$default"` is what the field has when nothing is set (a tagged one is then left out). `$topic` and `$id` are [`TOPIC`]'s
/// name and id, `$version` is the version asked, so that the members of one version's group wait for no other's, and
/// `$coordinator` the number of a kind of coordinator.
#[rustfmt::skip]
pub(super) fn over(key: i16) -> Value {
    let partition = json!({"partition": 0, "partitionIndex": 0, "currentLeaderEpoch": -1});
    let listed = json!([{"name": "$topic", "topic": "$topic", "topicName": "$topic", "topicId": "$id",
        "partitions": [0], "partitionIndexes": [0]}]);
    match key {
        0 => json!({"transactionalId": "$default", "acks": -1, "timeoutMs": 1000,
            "topicData": [{"name": "$topic", "topicId": "$id", "partitionData": [{"index": 0}]}]}),
        1 => json!({"clusterId": "$default", "replicaId": -1, "replicaState": "$default", "maxWaitMs": 0,
            "maxBytes": 1_000_000, "isolationLevel": 0, "sessionId": 0, "sessionEpoch": -1, "rackId": "",
            "forgottenTopicsData": {"=": []}, "topics": [{"topic": "$topic", "topicId": "$id", "partitions": [{
                "partition": 0, "currentLeaderEpoch": -1, "fetchOffset": 0, "lastFetchedEpoch": -1,
                "logStartOffset": -1, "partitionMaxBytes": 100_000, "replicaDirectoryId": "$default",
                "highWatermark": "$default"}]}]}),
        2 => json!({"replicaId": -1, "isolationLevel": 0, "topics": [{"name": "$topic",
            "partitions": [{"partitionIndex": 0, "currentLeaderEpoch": -1, "timestamp": -1}]}]}),
        3 => json!({"topics": [{"name": "$topic", "topicId": NO_ID}, {"topicId": NO_ID}],
            "allowAutoTopicCreation": false}),
        8 => json!({"groupId": "apis", "generationId": -1, "generationIdOrMemberEpoch": -1, "memberId": "",
            "groupInstanceId": "$default", "retentionTimeMs": -1,
            "topics": [{"name": "$topic", "topicId": "$id", "partitions": [partition]}]}),
        9 => json!({"groupId": "apis", "topics": [{"name": "$topic", "partitionIndexes": [0]}], "groups": [{
            "groupId": "apis", "memberId": {"=": null}, "memberEpoch": -1, "topics": listed}]}),
        10 => json!({"key": "apis", "keyType": "$coordinator", "coordinatorKeys": ["apis-state:$id:0"]}),
        // The second time around it waits for the member of the first, who will not come.
        11 => json!({"groupId": "apis-classic-$version", "memberId": "", "sessionTimeoutMs": 1000,
            "rebalanceTimeoutMs": 1000}),
        12..=14 => json!({"groupId": "apis-classic-3"}),
        15 => json!({"groups": ["apis"]}),
        16 => json!({"statesFilter": {"=": []}, "typesFilter": {"=": []}}),
        19 => json!({"topics": [{"name": "apis-new", "numPartitions": 1, "replicationFactor": 1,
            "assignments": {"=": []}, "configs": [{"name": "retention.ms", "value": "-1"}]}], "validateOnly": true}),
        20 => json!({"topics": [{"topicId": NO_ID}, {"name": {"=": null}}]}),
        21 => json!({"topics": [{"name": "$topic", "partitions": [{"partitionIndex": 0, "offset": 0}]}]}),
        22 => json!({"transactionalId": "apis-$version", "producerId": -1, "producerEpoch": -1, "enable2Pc": false,
            "keepPreparedTxn": false}),
        23 => json!({"replicaId": -1, "topics": [{"topic": "$topic",
            "partitions": [{"partition": 0, "currentLeaderEpoch": -1, "leaderEpoch": 0}]}]}),
        24 => json!({"v3AndBelowTopics": listed, "transactions": [{"topics": listed}]}),
        // Brokers never answer where they know none of the partitions of the last marker and some of an earlier one.
        27 => json!({"markers": [{"transactionVersion": 1}, {"transactionVersion": 1, "topics": listed}]}),
        28 => json!({"groupId": "apis", "topics": [{"name": "$topic", "topicId": "$id", "partitions": [partition]}]}),
        29 | 31 => {
            let filter = json!({"resourceTypeFilter": 1, "resourceNameFilter": {"=": null}, "patternTypeFilter": 1,
                "principalFilter": "User:apis", "hostFilter": {"=": null}, "operation": 1, "permissionType": 1});
            if key == 29 { filter } else { json!({"filters": [filter]}) }
        }
        30 => json!({"creations": [{"resourceType": 2, "resourceName": "$topic", "resourcePatternType": 3,
            "principal": "User:apis", "host": "*", "operation": 3, "permissionType": 3}]}),
        32 => json!({"resources": [{"resourceType": 2, "resourceName": "$topic", "configurationKeys": {"=": null}},
            {"resourceType": 4, "resourceName": "1", "configurationKeys": {"=": null}}]}),
        33 | 44 => json!({"resources": [{"resourceType": 2, "resourceName": "$topic",
            "configs": [{"name": "retention.ms", "configOperation": 0, "value": "-1"}]}], "validateOnly": true}),
        35 => json!({"topics": listed}),
        37 => json!({"topics": [{"name": "$topic", "count": 2, "assignments": {"=": null}}], "validateOnly": true}),
        43 => json!({"electionType": 0, "topicPartitions": listed}),
        45 => json!({"timeoutMs": 1000, "topics": [{"name": "$topic",
            "partitions": [{"partitionIndex": 0, "replicas": {"=": null}}]}]}),
        46 | 61 => json!({"topics": listed}),
        47 => json!({"groupId": "apis", "topics": [{"name": "$topic", "partitions": [partition]}]}),
        48 => json!({"strict": false, "components": {"=": [{"entityType": "user", "matchType": 2, "match": null}]}}),
        49 => json!({"validateOnly": false, "entries": [{"entity": [{"entityType": "user", "entityName": "apis"}],
            "ops": [{"key": "producer_byte_rate", "remove": false}]}]}),
        50 => json!({"users": [{"name": "apis"}]}),
        51 => json!({"deletions": {"=": []}, "upsertions": [{"name": "apis", "mechanism": 1, "iterations": 4096}]}),
        55 => json!({"topics": [{"topicName": "__cluster_metadata", "partitions": [partition]}]}),
        60 => json!({"endpointType": 1}),
        64 => json!({"brokerId": 77}),
        65 => json!({"transactionalIds": ["apis-1"]}),
        66 => json!({"stateFilters": ["Empty"], "producerIdFilters": {"=": []}, "durationFilter": -1,
            "transactionalIdPattern": "apis.*"}),
        68 => json!({"groupId": "apis-consumers-$version", "memberEpoch": 0, "instanceId": {"=": null},
            "rackId": {"=": null}, "subscribedTopicNames": {"=": ["$topic"]}, "subscribedTopicRegex": {"=": null},
            "serverAssignor": "uniform", "topicPartitions": {"=": []}}),
        69 => json!({"groupIds": ["apis-consumers-0"]}),
        72 => json!({"compressionType": 0}),
        74 => json!({"resourceTypes": [2, 4]}),
        75 => json!({"topics": [{"name": "$topic"}], "responsePartitionLimit": 10, "cursor": {"=": null}}),
        76 => json!({"groupId": "apis-shares", "memberId": SOME_ID, "memberEpoch": 0, "rackId": {"=": null},
            "subscribedTopicNames": {"=": ["$topic"]}}),
        77 => json!({"groupIds": ["apis-shares"]}),
        78 | 79 => json!({"groupId": "apis-shares", "memberId": SOME_ID, "shareSessionEpoch": 0, "maxWaitMs": 0,
            "maxBytes": 100_000, "maxRecords": 10, "batchSize": 10, "shareAcquireMode": 0, "isRenewAck": false,
            "forgottenTopicsData": {"=": []}, "topics": [
                {"topicId": "$id", "partitions": [{"partitionIndex": 0, "acknowledgementBatches": {"=": []}}]},
                {"partitions": [{"acknowledgementBatches": {"=": []}}]}]}),
        80 => json!({"timeoutMs": 1000}),
        83..=87 => json!({"groupId": "apis-state", "topics": [{"topicId": "$id", "partitions": [partition]}]}),
        88 => json!({"groupId": "apis-streams-$version", "memberId": SOME_ID, "memberEpoch": 0,
            "endpointInformationEpoch": 0, "instanceId": {"=": null}, "rackId": {"=": null}, "topology": {"epoch": 0,
                "subtopologies": {"=": [{"subtopologyId": "0", "sourceTopics": ["$topic"], "sourceTopicRegex": [],
                    "stateChangelogTopics": [], "repartitionSinkTopics": [], "repartitionSourceTopics": [],
                    "copartitionGroups": []}]}},
            "activeTasks": {"=": []}, "standbyTasks": {"=": []}, "warmupTasks": {"=": []}, "processId": SOME_ID,
            "userEndpoint": {"=": null}, "clientTags": {"=": []}, "taskOffsets": {"=": []},
            "taskEndOffsets": {"=": []}, "shutdownApplication": false}),
        89 => json!({"groupIds": ["apis-streams-0"]}),
        90 => json!({"groups": [{"groupId": "apis-shares", "topics": [{"topicName": "$topic", "partitions": [0]}]}]}),
        91 => json!({"groupId": "apis-shares", "topics": [{"topicName": "$topic", "partitions": [{"partitionIndex": 0}]}]}),
        92 => json!({"groupId": "apis-shares", "topics": [{"topicName": "$topic"}]}),
        93 => json!({"groupId": "apis-streams-0", "memberId": SOME_ID}),
        94 => json!({"controllerId": 77}),
        _ => json!({}),
    }
}

/// What stands for the words of [`over`] that begin with `$`.
pub(super) struct Words<'a> {
    /// Kafka's text of the topic's id; of no topic where brokers have none yet.
    pub(super) id: &'a str,
    /// The version that is asked.
    pub(super) version: i16,
    /// Whether the broker has coordinators of the state of share groups.
    pub(super) has_shares: bool,
}

impl Words<'_> {
    /// Groups' and transactions' in turn, and at last share groups' where there are any.
    fn coordinator(&self) -> i16 {
        if self.version == 6 && self.has_shares { 2 } else { self.version % 2 }
    }
}

/// `patch` over `base`, which is `default` when nothing is set.
pub(super) fn merge(base: &mut Value, patch: &Value, default: &Value, words: &Words<'_>) {
    match (base, patch) {
        (Value::Object(base), Value::Object(patch)) if !patch.contains_key("=") => {
            for (name, patch) in patch {
                if patch == "$default" {
                    match default.get(name) {
                        Some(default) if base.contains_key(name) => drop(base.insert(name.clone(), default.clone())),
                        _ => drop(base.remove(name)),
                    }
                } else if let Some(field) = base.get_mut(name) {
                    merge(field, patch, default.get(name).unwrap_or(&Value::Null), words);
                }
            }
        }
        (Value::Array(base), Value::Array(patch)) => {
            base.iter_mut().zip(patch).for_each(|(base, patch)| merge(base, patch, &Value::Null, words));
        }
        (base, patch) => *base = spelled(patch.get("=").unwrap_or(patch), words),
    }
}

/// A value with the words it names in place.
fn spelled(value: &Value, words: &Words<'_>) -> Value {
    match value {
        Value::String(text) if text == "$coordinator" => words.coordinator().into(),
        Value::String(text) => {
            let version = words.version.to_string();
            text.replace("$topic", TOPIC).replace("$id", words.id).replace("$version", &version).into()
        }
        Value::Array(values) => values.iter().map(|value| spelled(value, words)).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), spelled(value, words))).collect(),
        value => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_patch_goes_over_what_the_version_has_and_nothing_else() {
        let mut base = json!({"name": "n-1", "list": [{"id": 1, "of": "x"}, {"id": 2, "of": "y"}], "tag": 3, "old": 4});
        let patch = json!({"name": "$topic-$version", "list": [{"of": "$id"}], "tag": "$default", "old": "$default",
            "later": 1});
        let words = Words { id: "ID", version: 7, has_shares: true };
        merge(&mut base, &patch, &json!({"old": 0}), &words);
        assert_eq!(base, json!({"name": "apis-7", "list": [{"id": 1, "of": "ID"}, {"id": 2, "of": "y"}], "old": 0}));
        merge(&mut base, &json!({"list": {"=": ["$topic"]}}), &Value::Null, &words);
        assert_eq!(base, json!({"name": "apis-7", "list": ["apis"], "old": 0}));
    }
}
