//! From an API's number to its types: one list, which tests, fuzzers and tools walk instead of repeating it.

use std::fmt::Debug;

use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Message, Request};

/// What every message body can do.
pub trait Body:
    Message + Encodable + Decodable + HeaderVersion + Clone + Default + PartialEq + Debug + Send + Sync + 'static
{
}

impl<M> Body for M where
    M: Message + Encodable + Decodable + HeaderVersion + Clone + Default + PartialEq + Debug + Send + Sync + 'static
{
}

/// Something to be done with the types of an API that is known only by its number.
pub trait Visit {
    /// What comes of it.
    type Output;

    /// Called with the request type of the API; its answer is `Q::Response`.
    fn visit<Q: Request<Response: Body> + Body>(self) -> Self::Output;
}

macro_rules! requests {
    ($($request:ident)*) => {
        /// The numbers of all APIs that have types, in rising order.
        pub static KEYS: &[i16] = &[$(<super::$request as Request>::KEY),*];

        /// Visits the types of the API numbered `key`; `None` if it has none.
        pub fn visit<V: Visit>(key: i16, visitor: V) -> Option<V::Output> {
            match key {
                $(<super::$request as Request>::KEY => Some(visitor.visit::<super::$request>()),)*
                _ => None,
            }
        }
    };
}

requests! {
    ProduceRequest FetchRequest ListOffsetsRequest MetadataRequest OffsetCommitRequest OffsetFetchRequest
    FindCoordinatorRequest JoinGroupRequest HeartbeatRequest LeaveGroupRequest SyncGroupRequest
    DescribeGroupsRequest ListGroupsRequest SaslHandshakeRequest ApiVersionsRequest CreateTopicsRequest
    DeleteTopicsRequest DeleteRecordsRequest InitProducerIdRequest OffsetForLeaderEpochRequest
    AddPartitionsToTxnRequest AddOffsetsToTxnRequest EndTxnRequest WriteTxnMarkersRequest TxnOffsetCommitRequest
    DescribeAclsRequest CreateAclsRequest DeleteAclsRequest DescribeConfigsRequest AlterConfigsRequest
    AlterReplicaLogDirsRequest DescribeLogDirsRequest SaslAuthenticateRequest CreatePartitionsRequest
    CreateDelegationTokenRequest RenewDelegationTokenRequest ExpireDelegationTokenRequest
    DescribeDelegationTokenRequest DeleteGroupsRequest ElectLeadersRequest IncrementalAlterConfigsRequest
    AlterPartitionReassignmentsRequest ListPartitionReassignmentsRequest OffsetDeleteRequest
    DescribeClientQuotasRequest AlterClientQuotasRequest DescribeUserScramCredentialsRequest
    AlterUserScramCredentialsRequest DescribeQuorumRequest UpdateFeaturesRequest DescribeClusterRequest
    DescribeProducersRequest UnregisterBrokerRequest DescribeTransactionsRequest ListTransactionsRequest
    ConsumerGroupHeartbeatRequest ConsumerGroupDescribeRequest GetTelemetrySubscriptionsRequest
    PushTelemetryRequest ListConfigResourcesRequest DescribeTopicPartitionsRequest ShareGroupHeartbeatRequest
    ShareGroupDescribeRequest ShareFetchRequest ShareAcknowledgeRequest AddRaftVoterRequest RemoveRaftVoterRequest
    StreamsGroupHeartbeatRequest StreamsGroupDescribeRequest DescribeShareGroupOffsetsRequest
    AlterShareGroupOffsetsRequest DeleteShareGroupOffsetsRequest StreamsGroupTopologyDescriptionUpdateRequest
    UnregisterControllerRequest
}
