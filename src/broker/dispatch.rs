//! Which APIs the broker serves: one row each, with the versions it can read and write.

use bytes::Bytes;
use kafka_protocol::protocol::Message;

use super::api::{Call, Serve};
use super::core::Core;
use crate::error::ErrorCode;
use crate::wire::Request;
use crate::wire::messages::*;

const fn newest<Q: Request>() -> i16 {
    let (request, response) = (Q::VERSIONS.max, <Q::Response as Message>::VERSIONS.max);
    if request < response { request } else { response }
}

macro_rules! serve {
    ($($request:ty,)*) => {
        /// Key, oldest and newest version of every API served.
        pub(super) static SERVED: &[(i16, i16, i16)] =
            &[$((<$request as Request>::KEY, <$request as Message>::VERSIONS.min, newest::<$request>())),*];

        impl Core {
            /// Applies a request and answers it, now or later.
            pub(super) fn apply(&mut self, call: Call, body: Bytes) {
                match call.api_key {
                    $(<$request as Request>::KEY => self.run::<$request>(call, body),)*
                    _ => self.close(call.connection),
                }
            }

            /// Answers a request with an error without applying it.
            pub(super) fn refuse(&mut self, call: Call, body: Bytes, code: ErrorCode) {
                match call.api_key {
                    $(<$request as Request>::KEY => self.run_refusal::<$request>(call, body, code.0),)*
                    _ => self.close(call.connection),
                }
            }
        }
    };
}

serve! {
    ProduceRequest,
    FetchRequest,
    ListOffsetsRequest,
    MetadataRequest,
    OffsetCommitRequest,
    OffsetFetchRequest,
    FindCoordinatorRequest,
    ListGroupsRequest,
    SaslHandshakeRequest,
    ApiVersionsRequest,
    CreateTopicsRequest,
    DeleteTopicsRequest,
    DeleteRecordsRequest,
    InitProducerIdRequest,
    OffsetForLeaderEpochRequest,
    AddPartitionsToTxnRequest,
    AddOffsetsToTxnRequest,
    EndTxnRequest,
    TxnOffsetCommitRequest,
    DescribeConfigsRequest,
    SaslAuthenticateRequest,
    CreatePartitionsRequest,
    IncrementalAlterConfigsRequest,
    DescribeClusterRequest,
    DescribeProducersRequest,
    DescribeTransactionsRequest,
    ListTransactionsRequest,
}

impl Core {
    /// A version that is not offered: ApiVersions answers with the range it has, in version 0; others are cut off.
    pub(super) fn unsupported(&mut self, call: Call) {
        if call.api_key != ApiVersionsRequest::KEY {
            return self.close(call.connection);
        }
        let refusal = ApiVersionsRequest::default().refuse(ErrorCode::UNSUPPORTED_VERSION.0, 0);
        let offered = self.settings.range_of(call.api_key).into_iter().map(super::metadata::api_version).collect();
        self.reply::<ApiVersionsRequest>(&Call { version: 0, ..call }, refusal.with_api_keys(offered));
    }
}
