//! Topics made, grown and deleted by request.

use std::collections::BTreeMap;

use super::api::{Call, Outcome, Serve, text, wire_id};
use super::core::Core;
use crate::error::ErrorCode;
use crate::types::{TopicId, TopicPartition};
use crate::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::create_topics_response::CreatableTopicResult;
use crate::wire::messages::delete_topics_request::DeleteTopicState;
use crate::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::wire::messages::*;

impl Core {
    /// The replication factor of topics whose creator names none.
    pub(super) fn default_replication_factor(&self) -> i16 {
        let brokers = i16::try_from(self.nodes.len()).unwrap_or(i16::MAX);
        self.settings.default_replication_factor.min(brokers)
    }

    /// Creates a topic over all brokers; those that are down do not lead.
    pub(super) fn create_topic(
        &mut self,
        name: &str,
        partitions: i32,
        replication_factor: i16,
        configs: BTreeMap<String, String>,
    ) -> Result<(), ErrorCode> {
        let brokers: Vec<i32> = self.nodes.keys().copied().collect();
        self.topics.create(name, partitions, replication_factor, configs, &brokers)?;
        self.elect_leaders();
        Ok(())
    }

    /// Deletes a topic; those who wait for it are told.
    pub(super) fn delete_topic(&mut self, name: &str) -> Result<TopicId, ErrorCode> {
        let topic = self.topics.delete(name)?;
        self.groups.forget_topic(name);
        let partitions = (0..).zip(&topic.partitions).map(|(index, _)| TopicPartition::new(topic.name.clone(), index));
        self.dirty.extend(partitions);
        Ok(topic.id)
    }

    fn create_one(&mut self, topic: &CreatableTopic, validate_only: bool) -> CreatableTopicResult {
        let by_hand = i32::try_from(topic.assignments.len()).unwrap_or(0);
        let asked = if by_hand > 0 { by_hand } else { topic.num_partitions };
        let partitions = if asked == -1 { self.settings.default_partitions } else { asked };
        let asked = if by_hand > 0 { -1 } else { topic.replication_factor };
        let factor = if asked == -1 { self.default_replication_factor() } else { asked };
        let given = topic.configs.iter().filter_map(|c| Some((c.name.to_string(), c.value.as_ref()?.to_string())));
        let answer = CreatableTopicResult::default().with_name(topic.name.clone());
        let created = if validate_only && self.topics.get(&topic.name).is_none() {
            Ok(())
        } else {
            self.create_topic(&topic.name, partitions, factor, given.collect())
        };
        match created {
            Ok(()) => {
                let id = self.topics.get(&topic.name).map_or(TopicId::ZERO, |topic| topic.id);
                let answer = answer.with_num_partitions(partitions).with_replication_factor(factor);
                answer.with_topic_id(wire_id(id)).with_configs(Some(Vec::new()))
            }
            Err(code) => answer.with_error_code(code.0).with_error_message(Some(text(code.name()))),
        }
    }
}

impl Serve for CreateTopicsRequest {
    fn serve(self, core: &mut Core, _call: &Call) -> Outcome<CreateTopicsResponse> {
        let topics = self.topics.iter().map(|topic| core.create_one(topic, self.validate_only)).collect();
        Outcome::Reply(CreateTopicsResponse::default().with_topics(topics))
    }

    fn refuse(self, code: i16, _version: i16) -> CreateTopicsResponse {
        let refused =
            |topic: CreatableTopic| CreatableTopicResult::default().with_name(topic.name).with_error_code(code);
        CreateTopicsResponse::default().with_topics(self.topics.into_iter().map(refused).collect())
    }

    fn throttle(response: &mut CreateTopicsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

/// Versions up to 5 list names; as the list of later ones.
fn wanted(request: DeleteTopicsRequest, version: i16) -> Vec<DeleteTopicState> {
    if version >= 6 {
        return request.topics;
    }
    let named = |name| DeleteTopicState::default().with_name(Some(name));
    request.topic_names.into_iter().map(named).collect()
}

fn deletable(state: DeleteTopicState) -> DeletableTopicResult {
    DeletableTopicResult::default().with_name(state.name).with_topic_id(state.topic_id)
}

impl Serve for DeleteTopicsRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<DeleteTopicsResponse> {
        let responses = wanted(self, call.version).into_iter().map(|state| {
            let id = TopicId(*state.topic_id.as_bytes());
            let name = state.name.as_ref().map_or("", |name| name.as_str());
            let found = core.resolve(name, id, state.name.is_none());
            match found.and_then(|name| Ok((core.delete_topic(&name)?, name))) {
                Ok((id, topic)) => {
                    deletable(state).with_topic_id(wire_id(id)).with_name(Some(super::api::name(&topic)))
                }
                Err(code) => deletable(state).with_error_code(code.0),
            }
        });
        Outcome::Reply(DeleteTopicsResponse::default().with_responses(responses.collect()))
    }

    fn refuse(self, code: i16, version: i16) -> DeleteTopicsResponse {
        let responses = wanted(self, version).into_iter().map(|state| deletable(state).with_error_code(code));
        DeleteTopicsResponse::default().with_responses(responses.collect())
    }

    fn throttle(response: &mut DeleteTopicsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}

impl Serve for CreatePartitionsRequest {
    fn serve(self, core: &mut Core, _call: &Call) -> Outcome<CreatePartitionsResponse> {
        let brokers: Vec<i32> = core.nodes.keys().copied().collect();
        let results = self.topics.into_iter().map(|topic| {
            let grown = if self.validate_only { Ok(()) } else { core.topics.grow(&topic.name, topic.count, &brokers) };
            let code = grown.err().unwrap_or(ErrorCode::NONE);
            CreatePartitionsTopicResult::default().with_name(topic.name).with_error_code(code.0)
        });
        let results = results.collect();
        core.elect_leaders();
        Outcome::Reply(CreatePartitionsResponse::default().with_results(results))
    }

    fn refuse(self, code: i16, _version: i16) -> CreatePartitionsResponse {
        let refused = |name| CreatePartitionsTopicResult::default().with_name(name).with_error_code(code);
        let results = self.topics.into_iter().map(|topic| refused(topic.name)).collect();
        CreatePartitionsResponse::default().with_results(results)
    }

    fn throttle(response: &mut CreatePartitionsResponse, throttle_ms: i32) {
        response.throttle_time_ms = throttle_ms;
    }
}
