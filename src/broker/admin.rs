//! Topics made, grown and deleted by request.

use std::collections::BTreeMap;

use super::api::{Call, Outcome, Serve, name, text, wire_id};
use super::config_rules;
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
        let answer = CreatableTopicResult::default().with_name(topic.name.clone());
        match self.create_if_valid(topic, partitions, factor, validate_only) {
            Ok(id) => {
                let answer = answer.with_num_partitions(partitions).with_replication_factor(factor);
                answer.with_topic_id(wire_id(id)).with_configs(Some(Vec::new()))
            }
            Err(code) => answer.with_error_code(code.0).with_error_message(Some(text(code.name()))),
        }
    }

    /// The new topic's id; also where the topic is only validated, as Kafka then names an id too.
    fn create_if_valid(
        &mut self,
        topic: &CreatableTopic,
        partitions: i32,
        factor: i16,
        validate_only: bool,
    ) -> Result<TopicId, ErrorCode> {
        self.topics.check(&topic.name, partitions, factor, self.nodes.len())?;
        let is_broker = |id: &BrokerId| self.nodes.contains_key(&**id);
        if topic.assignments.iter().any(|a| a.broker_ids.is_empty() || !a.broker_ids.iter().all(is_broker)) {
            return Err(ErrorCode::INVALID_REPLICA_ASSIGNMENT);
        }
        let given = topic.configs.iter().filter_map(|c| Some((c.name.as_str(), c.value.as_ref()?.as_str())));
        given.clone().try_for_each(|(key, value)| config_rules::check(key, value))?;
        if validate_only {
            return Ok(self.topics.new_id());
        }
        let configs = given.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        self.create_topic(&topic.name, partitions, factor, configs)?;
        Ok(self.topics.get(&topic.name).map_or(TopicId::ZERO, |topic| topic.id))
    }
}

/// The topics a request names once, and an answer for each it names more often.
fn told_apart(topics: &[CreatableTopic]) -> (Vec<&CreatableTopic>, Vec<CreatableTopicResult>) {
    let mut by_name: BTreeMap<&str, usize> = BTreeMap::new();
    topics.iter().for_each(|topic| *by_name.entry(&topic.name).or_default() += 1);
    let once = topics.iter().filter(|topic| by_name.get(topic.name.as_str()) == Some(&1)).collect();
    let twice = by_name.iter().filter(|(_, count)| **count > 1).map(|(twin, _)| {
        let answer = CreatableTopicResult::default().with_name(name(twin));
        answer.with_error_code(ErrorCode::INVALID_REQUEST.0).with_error_message(Some(text("Duplicate topic name.")))
    });
    (once, twice.collect())
}

impl Serve for CreateTopicsRequest {
    fn serve(self, core: &mut Core, _call: &Call) -> Outcome<CreateTopicsResponse> {
        let (once, mut answers) = told_apart(&self.topics);
        answers.extend(once.into_iter().map(|topic| core.create_one(topic, self.validate_only)));
        Outcome::Reply(CreateTopicsResponse::default().with_topics(answers))
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
                Ok((id, topic)) => deletable(state).with_topic_id(wire_id(id)).with_name(Some(self::name(&topic))),
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
