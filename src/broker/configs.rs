//! Settings of topics and brokers as clients may read and change them: a row for each that matters to a client.

use std::collections::BTreeMap;

use super::api::{Call, Outcome, Serve, text};
use super::config_rules;
use super::core::Core;
use crate::error::ErrorCode;
use crate::wire::StrBytes;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::{DescribeConfigsResourceResult, DescribeConfigsResult};
use crate::wire::messages::incremental_alter_configs_request::AlterConfigsResource;
use crate::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;
use crate::wire::messages::*;

const TOPIC: i8 = 2;
const BROKER: i8 = 4;

const FROM_TOPIC: i8 = 1;
const FROM_BROKER: i8 = 4;
const FROM_DEFAULT: i8 = 5;

const STRING: i8 = 2;
const INT: i8 = 3;
const LONG: i8 = 5;
const LIST: i8 = 7;

/// Name, default and type of a topic's settings.
static TOPIC_DEFAULTS: &[(&str, &str, i8)] = &[
    ("cleanup.policy", "delete", LIST),
    ("compression.type", "producer", STRING),
    ("delete.retention.ms", "86400000", LONG),
    ("max.message.bytes", "1048588", INT),
    ("message.timestamp.after.max.ms", "3600000", LONG),
    ("message.timestamp.type", "CreateTime", STRING),
    ("min.insync.replicas", "1", INT),
    ("retention.bytes", "-1", LONG),
    ("retention.ms", "604800000", LONG),
    ("segment.bytes", "1073741824", INT),
];

type Row = (String, String, i8, i8);

impl Core {
    fn topic_configs(&self, name: &str) -> Result<Vec<Row>, ErrorCode> {
        let topic = self.topics.get(name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let known = TOPIC_DEFAULTS.iter().map(|&(key, default, kind)| match topic.configs.get(key) {
            Some(set) => (key.to_owned(), set.clone(), FROM_TOPIC, kind),
            None => (key.to_owned(), default.to_owned(), FROM_DEFAULT, kind),
        });
        let others = topic.configs.iter().filter(|(key, _)| !TOPIC_DEFAULTS.iter().any(|(known, ..)| known == key));
        Ok(known.chain(others.map(|(key, set)| (key.clone(), set.clone(), FROM_TOPIC, STRING))).collect())
    }

    fn broker_configs(&self, name: &str) -> Result<Vec<Row>, ErrorCode> {
        let is_broker = name.parse().is_ok_and(|id: i32| self.nodes.contains_key(&id));
        if !is_broker {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let settings = &self.settings;
        let row = |key: &str, value: String, kind| (key.to_owned(), value, FROM_BROKER, kind);
        Ok(vec![
            row("message.max.bytes", settings.message_max_bytes.to_string(), INT),
            row("fetch.max.bytes", settings.fetch_max_bytes.to_string(), INT),
            row("num.partitions", settings.default_partitions.to_string(), INT),
            row("transaction.max.timeout.ms", settings.transaction_max_timeout_ms.to_string(), INT),
            row("transactional.id.expiration.ms", "604800000".to_owned(), INT),
        ])
    }

    fn described(&self, resource: &DescribeConfigsResource) -> DescribeConfigsResult {
        let answer = DescribeConfigsResult::default()
            .with_resource_type(resource.resource_type)
            .with_resource_name(resource.resource_name.clone());
        let rows = match resource.resource_type {
            TOPIC => self.topic_configs(&resource.resource_name),
            BROKER => self.broker_configs(&resource.resource_name),
            _ => Err(ErrorCode::INVALID_REQUEST),
        };
        let rows = match rows {
            Ok(rows) => rows,
            Err(code) => return answer.with_error_code(code.0).with_error_message(Some(text(code.name()))),
        };
        let is_wanted = |key: &str| match &resource.configuration_keys {
            None => true,
            Some(keys) => keys.iter().any(|wanted| wanted.as_str() == key),
        };
        let configs = rows.into_iter().filter(|(key, ..)| is_wanted(key)).map(|(key, value, source, kind)| {
            DescribeConfigsResourceResult::default()
                .with_name(StrBytes::from_string(key))
                .with_value(Some(StrBytes::from_string(value)))
                .with_config_source(source)
                .with_config_type(kind)
        });
        answer.with_configs(configs.collect())
    }

    fn altered(&mut self, resource: &AlterConfigsResource, validate_only: bool) -> Result<(), ErrorCode> {
        if resource.resource_type != TOPIC {
            return Err(ErrorCode::INVALID_REQUEST);
        }
        let topic = self.topics.get_mut(&resource.resource_name).ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
        let mut configs: BTreeMap<String, String> = topic.configs.clone();
        for change in &resource.configs {
            match (change.config_operation, &change.value) {
                (0, Some(value)) => {
                    config_rules::check(&change.name, value)?;
                    configs.insert(change.name.to_string(), value.to_string());
                }
                (1, _) => drop(configs.remove(change.name.as_str())),
                _ => return Err(ErrorCode::INVALID_CONFIG),
            }
        }
        if !validate_only {
            topic.configs = configs;
        }
        Ok(())
    }
}

impl Serve for DescribeConfigsRequest {
    fn serve(self, core: &mut Core, _call: &Call) -> Outcome<DescribeConfigsResponse> {
        let results = self.resources.iter().map(|resource| core.described(resource)).collect();
        Outcome::Reply(DescribeConfigsResponse::default().with_results(results))
    }

    fn refuse(self, code: i16, _version: i16) -> DescribeConfigsResponse {
        let refused = |resource: DescribeConfigsResource| {
            DescribeConfigsResult::default()
                .with_error_code(code)
                .with_resource_type(resource.resource_type)
                .with_resource_name(resource.resource_name)
        };
        DescribeConfigsResponse::default().with_results(self.resources.into_iter().map(refused).collect())
    }

    fn throttle(response: &mut DescribeConfigsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

fn alter_response(resource: &AlterConfigsResource, code: i16) -> AlterConfigsResourceResponse {
    AlterConfigsResourceResponse::default()
        .with_error_code(code)
        .with_resource_type(resource.resource_type)
        .with_resource_name(resource.resource_name.clone())
}

impl Serve for IncrementalAlterConfigsRequest {
    fn serve(self, core: &mut Core, _call: &Call) -> Outcome<IncrementalAlterConfigsResponse> {
        let responses = self.resources.iter().map(|resource| {
            let code = core.altered(resource, self.validate_only).err().unwrap_or(ErrorCode::NONE);
            alter_response(resource, code.0)
        });
        Outcome::Reply(IncrementalAlterConfigsResponse::default().with_responses(responses.collect()))
    }

    fn refuse(self, code: i16, _version: i16) -> IncrementalAlterConfigsResponse {
        let responses = self.resources.iter().map(|resource| alter_response(resource, code)).collect();
        IncrementalAlterConfigsResponse::default().with_responses(responses)
    }

    fn throttle(response: &mut IncrementalAlterConfigsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}
