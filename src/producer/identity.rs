//! Producer ids of producers without transactions: any broker gives one.

use crate::cluster::{Call, Cluster, Target, Verdict};
use crate::error::{ErrorCode, Operation, Result};
use crate::types::ProducerIdentity;
use crate::wire::messages::{InitProducerIdRequest, ProducerId};

/// A producer id that nobody else has. Retries until `default.api.timeout.ms` has passed.
pub(super) async fn fetch(cluster: &Cluster) -> Result<ProducerIdentity> {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let call = Call {
        operation: Operation::InitProducerId,
        target: Target::Any,
        request: &request,
        max_version: i16::MAX,
        // An id that was given and never used harms nobody.
        is_idempotent: true,
        timeout: cluster.config().default_api_timeout,
        subject: "",
    };
    let response = cluster.call(call, |answer| Verdict::of(ErrorCode(answer.error_code))).await?;
    Ok(ProducerIdentity { producer_id: response.producer_id.0, producer_epoch: response.producer_epoch })
}
