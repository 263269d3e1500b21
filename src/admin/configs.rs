//! Configs of topics and brokers, as the broker that was asked tells them.

use std::collections::BTreeMap;

use tokio::time::Instant;

use super::brokers::reachable;
use super::{judged, refusal};
use crate::cluster::{Call, Cluster, Target, UNKNOWN_TOPIC_PATIENCE, Verdict};
use crate::error::{Error, ErrorKind, Operation};
use crate::error::{ErrorCode, Result};
use crate::wire::StrBytes;
use crate::wire::messages::DescribeConfigsRequest;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::DescribeConfigsResult;

/// Numbers of `org.apache.kafka.common.config.ConfigResource.Type`.
const TOPIC: i8 = 2;
const BROKER: i8 = 4;

pub(super) async fn of_topic(cluster: &Cluster, name: &str) -> Result<BTreeMap<String, String>> {
    let resource = resource(TOPIC, name);
    let result = describe(cluster, Target::Any, resource, &format!("configs of topic {name}")).await?;
    let known = result.configs.into_iter().filter_map(|c| Some((c.name.to_string(), c.value?.to_string())));
    Ok(known.collect())
}

pub(super) async fn of_some_broker(cluster: &Cluster, name: &str) -> Result<Option<String>> {
    let broker = reachable(cluster).await?.broker();
    let resource = resource(BROKER, &broker.0.to_string())
        .with_configuration_keys(Some(vec![StrBytes::from_string(name.to_owned())]));
    match describe(cluster, Target::Broker(broker), resource, &format!("config {name} of {broker}")).await {
        Ok(result) => {
            let row = result.configs.into_iter().find(|c| c.name.as_str() == name);
            Ok(row.and_then(|c| c.value).map(|value| value.to_string()))
        }
        Err(error) if error.code() == Some(ErrorCode::CLUSTER_AUTHORIZATION_FAILED) => Ok(None),
        Err(error) => Err(error),
    }
}

fn resource(resource_type: i8, name: &str) -> DescribeConfigsResource {
    let name = StrBytes::from_string(name.to_owned());
    DescribeConfigsResource::default()
        .with_resource_type(resource_type)
        .with_resource_name(name)
        .with_configuration_keys(None)
}

async fn describe(
    cluster: &Cluster,
    target: Target,
    resource: DescribeConfigsResource,
    subject: &str,
) -> Result<DescribeConfigsResult> {
    let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
    let call = Call {
        operation: Operation::Admin,
        target,
        request: &request,
        max_version: i16::MAX,
        is_idempotent: true,
        timeout: cluster.config().default_api_timeout,
        subject,
    };
    let began = Instant::now();
    let answered = cluster.call(call, |response| match response.results.first().map(|r| ErrorCode(r.error_code)) {
        // The next broker to be asked may not have heard of a topic that was just created.
        Some(code @ ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) if began.elapsed() < UNKNOWN_TOPIC_PATIENCE => {
            Verdict::Retry(code)
        }
        Some(code) => judged(code),
        None => Verdict::Done,
    });
    let silent = || Error::new(Operation::Admin, ErrorKind::Protocol, subject, "an answer without results");
    let result = answered.await?.results.into_iter().next().ok_or_else(silent)?;
    refusal(result.error_code, result.error_message.as_ref(), subject)?;
    Ok(result)
}
