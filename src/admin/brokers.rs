//! What brokers say of themselves and of their transactional ids, whichever of them can be reached.

use std::collections::BTreeMap;

use super::ClusterDescription;
use crate::cluster::{Call, Cluster, Lane, Target, Verdict};
use crate::connection::Connection;
use crate::error::{Error, ErrorCode, ErrorKind, Operation, Result};
use crate::types::{BrokerId, TransactionVersion};
use crate::wire::messages::{ListTransactionsRequest, ListTransactionsResponse};

/// A connection to the first broker that lets itself be reached.
pub(super) async fn reachable(cluster: &Cluster) -> Result<Connection> {
    let nobody = || Error::new(Operation::Admin, ErrorKind::Network, "", "the metadata knows no broker");
    let mut failure = None;
    for broker in cluster.metadata().brokers.keys() {
        match cluster.connection(*broker, Lane::Coordination).await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or_else(nobody))
}

pub(super) async fn describe(cluster: &Cluster) -> Result<ClusterDescription> {
    let metadata = cluster.topics_anew(&[], cluster.config().default_api_timeout).await?;
    let brokers = metadata.brokers.values().map(|b| (b.id, format!("{}:{}", b.host, b.port), b.rack.clone()));
    Ok(ClusterDescription {
        cluster_id: metadata.cluster_id.clone(),
        controller: metadata.controller,
        brokers: brokers.collect(),
        features: reachable(cluster).await?.versions().features(),
    })
}

pub(super) async fn transaction_version(cluster: &Cluster) -> Result<TransactionVersion> {
    let level = reachable(cluster).await?.versions().finalized_feature("transaction.version");
    Ok(if level >= 2 { TransactionVersion::V2 } else { TransactionVersion::V1 })
}

pub(super) async fn list_transactions(cluster: &Cluster, prefix: &str) -> Result<Vec<(String, String)>> {
    let metadata = cluster.topics_anew(&[], cluster.config().default_api_timeout).await?;
    let mut states = BTreeMap::new();
    for broker in metadata.brokers.keys() {
        for row in ask_for_transactions(cluster, *broker).await?.transaction_states {
            // An id that moves from one coordinator to the next may be told by both.
            if row.transactional_id.0.starts_with(prefix) {
                states.insert(row.transactional_id.0.to_string(), row.transaction_state.to_string());
            }
        }
    }
    Ok(states.into_iter().collect())
}

async fn ask_for_transactions(cluster: &Cluster, broker: BrokerId) -> Result<ListTransactionsResponse> {
    let request = ListTransactionsRequest::default();
    let call = Call {
        operation: Operation::Admin,
        target: Target::Broker(broker),
        request: &request,
        max_version: i16::MAX,
        is_idempotent: true,
        timeout: cluster.config().default_api_timeout,
        subject: "transactions",
    };
    cluster.call(call, |response| Verdict::of(ErrorCode(response.error_code))).await
}
