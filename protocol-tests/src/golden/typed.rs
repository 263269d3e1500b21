//! A golden message through the typed decoder and back, at the versions that have one.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message};
use milena::wire::Direction::{self, Request, Response};
use milena::wire::messages::{self, ApiKey};

/// The bytes that the typed codec makes of `body`, after the guard let it through; `None` where no codec has the version.
pub fn typed_round_trip(key: i16, version: i16, direction: Direction, body: &[u8]) -> Option<Result<Vec<u8>, String>> {
    generated(key, version, direction, body)
}

fn round_trip<M: Message + Decodable + Encodable>(version: i16, body: &[u8]) -> Option<Result<Vec<u8>, String>> {
    (M::VERSIONS.min..=M::VERSIONS.max).contains(&version).then(|| {
        let mut left = Bytes::copy_from_slice(body);
        let message = M::decode(&mut left, version).map_err(|e| format!("does not decode: {e}"))?;
        if !left.is_empty() {
            return Err(format!("{} bytes left over", left.len()));
        }
        let mut encoded = BytesMut::new();
        message.encode(&mut encoded, version).map_err(|e| format!("does not encode: {e}"))?;
        Ok(encoded.to_vec())
    })
}

macro_rules! generated {
    ($($api:ident $request:ident $response:ident,)*) => {
        /// With the codecs of kafka-protocol.
        fn generated(key: i16, version: i16, direction: Direction, body: &[u8]) -> Option<Result<Vec<u8>, String>> {
            match (ApiKey::try_from(key).ok()?, direction) {
                $((ApiKey::$api, Request) => round_trip::<messages::$request>(version, body),
                (ApiKey::$api, Response) => round_trip::<messages::$response>(version, body),)*
                _ => None,
            }
        }
    };
}

generated! {
    Produce ProduceRequest ProduceResponse,
    Fetch FetchRequest FetchResponse,
    ListOffsets ListOffsetsRequest ListOffsetsResponse,
    Metadata MetadataRequest MetadataResponse,
    OffsetCommit OffsetCommitRequest OffsetCommitResponse,
    OffsetFetch OffsetFetchRequest OffsetFetchResponse,
    FindCoordinator FindCoordinatorRequest FindCoordinatorResponse,
    JoinGroup JoinGroupRequest JoinGroupResponse,
    Heartbeat HeartbeatRequest HeartbeatResponse,
    LeaveGroup LeaveGroupRequest LeaveGroupResponse,
    SyncGroup SyncGroupRequest SyncGroupResponse,
    DescribeGroups DescribeGroupsRequest DescribeGroupsResponse,
    ListGroups ListGroupsRequest ListGroupsResponse,
    SaslHandshake SaslHandshakeRequest SaslHandshakeResponse,
    ApiVersions ApiVersionsRequest ApiVersionsResponse,
    CreateTopics CreateTopicsRequest CreateTopicsResponse,
    DeleteTopics DeleteTopicsRequest DeleteTopicsResponse,
    DeleteRecords DeleteRecordsRequest DeleteRecordsResponse,
    InitProducerId InitProducerIdRequest InitProducerIdResponse,
    OffsetForLeaderEpoch OffsetForLeaderEpochRequest OffsetForLeaderEpochResponse,
    AddPartitionsToTxn AddPartitionsToTxnRequest AddPartitionsToTxnResponse,
    AddOffsetsToTxn AddOffsetsToTxnRequest AddOffsetsToTxnResponse,
    EndTxn EndTxnRequest EndTxnResponse,
    WriteTxnMarkers WriteTxnMarkersRequest WriteTxnMarkersResponse,
    TxnOffsetCommit TxnOffsetCommitRequest TxnOffsetCommitResponse,
    DescribeAcls DescribeAclsRequest DescribeAclsResponse,
    CreateAcls CreateAclsRequest CreateAclsResponse,
    DeleteAcls DeleteAclsRequest DeleteAclsResponse,
    DescribeConfigs DescribeConfigsRequest DescribeConfigsResponse,
    AlterConfigs AlterConfigsRequest AlterConfigsResponse,
    AlterReplicaLogDirs AlterReplicaLogDirsRequest AlterReplicaLogDirsResponse,
    DescribeLogDirs DescribeLogDirsRequest DescribeLogDirsResponse,
    SaslAuthenticate SaslAuthenticateRequest SaslAuthenticateResponse,
    CreatePartitions CreatePartitionsRequest CreatePartitionsResponse,
    CreateDelegationToken CreateDelegationTokenRequest CreateDelegationTokenResponse,
    RenewDelegationToken RenewDelegationTokenRequest RenewDelegationTokenResponse,
    ExpireDelegationToken ExpireDelegationTokenRequest ExpireDelegationTokenResponse,
    DescribeDelegationToken DescribeDelegationTokenRequest DescribeDelegationTokenResponse,
    DeleteGroups DeleteGroupsRequest DeleteGroupsResponse,
    ElectLeaders ElectLeadersRequest ElectLeadersResponse,
    IncrementalAlterConfigs IncrementalAlterConfigsRequest IncrementalAlterConfigsResponse,
    AlterPartitionReassignments AlterPartitionReassignmentsRequest AlterPartitionReassignmentsResponse,
    ListPartitionReassignments ListPartitionReassignmentsRequest ListPartitionReassignmentsResponse,
    OffsetDelete OffsetDeleteRequest OffsetDeleteResponse,
    DescribeClientQuotas DescribeClientQuotasRequest DescribeClientQuotasResponse,
    AlterClientQuotas AlterClientQuotasRequest AlterClientQuotasResponse,
    DescribeUserScramCredentials DescribeUserScramCredentialsRequest DescribeUserScramCredentialsResponse,
    AlterUserScramCredentials AlterUserScramCredentialsRequest AlterUserScramCredentialsResponse,
    DescribeQuorum DescribeQuorumRequest DescribeQuorumResponse,
    UpdateFeatures UpdateFeaturesRequest UpdateFeaturesResponse,
    DescribeCluster DescribeClusterRequest DescribeClusterResponse,
    DescribeProducers DescribeProducersRequest DescribeProducersResponse,
    UnregisterBroker UnregisterBrokerRequest UnregisterBrokerResponse,
    DescribeTransactions DescribeTransactionsRequest DescribeTransactionsResponse,
    ListTransactions ListTransactionsRequest ListTransactionsResponse,
    ConsumerGroupHeartbeat ConsumerGroupHeartbeatRequest ConsumerGroupHeartbeatResponse,
    ConsumerGroupDescribe ConsumerGroupDescribeRequest ConsumerGroupDescribeResponse,
    GetTelemetrySubscriptions GetTelemetrySubscriptionsRequest GetTelemetrySubscriptionsResponse,
    PushTelemetry PushTelemetryRequest PushTelemetryResponse,
    ListConfigResources ListConfigResourcesRequest ListConfigResourcesResponse,
    DescribeTopicPartitions DescribeTopicPartitionsRequest DescribeTopicPartitionsResponse,
    ShareGroupHeartbeat ShareGroupHeartbeatRequest ShareGroupHeartbeatResponse,
    ShareGroupDescribe ShareGroupDescribeRequest ShareGroupDescribeResponse,
    ShareFetch ShareFetchRequest ShareFetchResponse,
    ShareAcknowledge ShareAcknowledgeRequest ShareAcknowledgeResponse,
    AddRaftVoter AddRaftVoterRequest AddRaftVoterResponse,
    RemoveRaftVoter RemoveRaftVoterRequest RemoveRaftVoterResponse,
    InitializeShareGroupState InitializeShareGroupStateRequest InitializeShareGroupStateResponse,
    ReadShareGroupState ReadShareGroupStateRequest ReadShareGroupStateResponse,
    WriteShareGroupState WriteShareGroupStateRequest WriteShareGroupStateResponse,
    DeleteShareGroupState DeleteShareGroupStateRequest DeleteShareGroupStateResponse,
    ReadShareGroupStateSummary ReadShareGroupStateSummaryRequest ReadShareGroupStateSummaryResponse,
    DescribeShareGroupOffsets DescribeShareGroupOffsetsRequest DescribeShareGroupOffsetsResponse,
    AlterShareGroupOffsets AlterShareGroupOffsetsRequest AlterShareGroupOffsetsResponse,
    DeleteShareGroupOffsets DeleteShareGroupOffsetsRequest DeleteShareGroupOffsetsResponse,
}
