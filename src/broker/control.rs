//! What a test or a person does to the cluster from outside the protocol.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::coordinate::CoordinatorKind;
use super::core::Core;
use super::intercept::{Hook, Tap};
use super::settings::Settings;
use crate::types::TopicPartition;

/// One thing done to the cluster.
pub enum Control {
    /// Creates a topic, unless there is one of that name.
    CreateTopic {
        /// Its name.
        name: String,
        /// How many partitions.
        partitions: i32,
        /// Topic settings by Kafka's names.
        configs: BTreeMap<String, String>,
    },
    /// Deletes a topic.
    DeleteTopic(String),
    /// Gives a partition another leader, in a new leader epoch. A broker that is not a replica becomes one.
    MoveLeader(TopicPartition, i32),
    /// Stops a broker: its connections close, its partitions and coordinators move to brokers that are up.
    StopBroker(i32),
    /// Starts it again. It leads what nobody else could lead.
    StartBroker(i32),
    /// Moves a coordinator; the old one answers NOT_COORDINATOR.
    MoveCoordinator(CoordinatorKind, String, i32),
    /// Has a coordinator answer COORDINATOR_LOAD_IN_PROGRESS for a while.
    LoadCoordinator(CoordinatorKind, String, Duration),
    /// Sets the epoch of a transactional id, to come near its end.
    SetProducerEpoch(String, i16),
    /// Forgets a transactional id, as expiry does.
    ForgetTransactionalId(String),
    /// Forgets a producer on one partition, as expiry does.
    ForgetProducer(TopicPartition, i64),
    /// Deletes the records below an offset, as retention does; -1 is the high watermark.
    DeleteRecords(TopicPartition, i64),
    /// Closes every connection to a broker.
    CloseConnections(i32),
    /// Sets the knobs. The number of brokers stays.
    Configure(Box<Settings>),
    /// Installs the hook that judges requests, or removes it.
    Intercept(Option<Hook>),
    /// Installs the tap that sees requests and answers, or removes it.
    Tap(Option<Tap>),
}

impl fmt::Debug for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateTopic { name, partitions, .. } => write!(f, "CreateTopic({name}, {partitions})"),
            Self::DeleteTopic(name) => write!(f, "DeleteTopic({name})"),
            Self::MoveLeader(tp, to) => write!(f, "MoveLeader({tp}, {to})"),
            Self::StopBroker(id) => write!(f, "StopBroker({id})"),
            Self::StartBroker(id) => write!(f, "StartBroker({id})"),
            Self::MoveCoordinator(kind, key, to) => write!(f, "MoveCoordinator({kind:?}, {key}, {to})"),
            Self::LoadCoordinator(kind, key, time) => write!(f, "LoadCoordinator({kind:?}, {key}, {time:?})"),
            Self::SetProducerEpoch(id, epoch) => write!(f, "SetProducerEpoch({id}, {epoch})"),
            Self::ForgetTransactionalId(id) => write!(f, "ForgetTransactionalId({id})"),
            Self::ForgetProducer(tp, id) => write!(f, "ForgetProducer({tp}, {id})"),
            Self::DeleteRecords(tp, offset) => write!(f, "DeleteRecords({tp}, {offset})"),
            Self::CloseConnections(id) => write!(f, "CloseConnections({id})"),
            Self::Configure(_) => f.write_str("Configure"),
            Self::Intercept(hook) => write!(f, "Intercept({})", hook.is_some()),
            Self::Tap(tap) => write!(f, "Tap({})", tap.is_some()),
        }
    }
}

impl Core {
    pub(super) fn control(&mut self, control: Control) {
        match control {
            Control::CreateTopic { name, partitions, configs } => {
                let factor = self.default_replication_factor();
                if let Err(code) = self.create_topic(&name, partitions, factor, configs) {
                    tracing::debug!(%code, name, "the topic was not created");
                }
            }
            Control::DeleteTopic(name) => drop(self.delete_topic(&name)),
            Control::MoveLeader(tp, to) => self.move_leader(&tp, to),
            Control::StopBroker(id) => self.stop_broker(id),
            Control::StartBroker(id) => self.start_broker(id),
            Control::MoveCoordinator(kind, key, to) => {
                self.coordinators.moved.insert((kind, key), to);
            }
            Control::LoadCoordinator(kind, key, time) => {
                let until = self.now.checked_add(time).unwrap_or(self.now);
                self.coordinators.loading.insert((kind, key), until);
            }
            Control::SetProducerEpoch(id, epoch) => {
                if let Some(transaction) = self.transactions.get_mut(&id) {
                    transaction.producer.producer_epoch = epoch;
                }
            }
            Control::ForgetTransactionalId(id) => self.transactions.forget(&id),
            Control::ForgetProducer(tp, id) => {
                if let Some(partition) = self.topics.partition_mut(&tp) {
                    partition.log.producers_mut().forget(id);
                }
            }
            Control::DeleteRecords(tp, offset) => self.delete_records(&tp, offset),
            Control::CloseConnections(id) => self.close_all(id),
            Control::Configure(settings) => {
                let brokers = self.settings.brokers;
                self.settings = Settings { brokers, ..*settings };
            }
            Control::Intercept(hook) => self.interception.hook = hook,
            Control::Tap(tap) => self.interception.tap = tap,
        }
    }

    fn delete_records(&mut self, tp: &TopicPartition, offset: i64) {
        if let Some(partition) = self.topics.partition_mut(tp) {
            if let Err(code) = partition.log.delete_before(offset) {
                tracing::debug!(%code, %tp, offset, "nothing was deleted");
            }
            self.dirty.insert(tp.clone());
        }
    }

    fn move_leader(&mut self, tp: &TopicPartition, to: i32) {
        let Some(partition) = self.topics.partition_mut(tp) else { return };
        if !partition.replicas.contains(&to) {
            partition.replicas.push(to);
        }
        partition.elect(to);
        self.dirty.insert(tp.clone());
    }

    fn stop_broker(&mut self, id: i32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_up = false;
        }
        self.close_all(id);
        self.fetches.sessions.forget(id);
        self.elect_leaders();
    }

    fn start_broker(&mut self, id: i32) {
        if let Some(node) = self.nodes.get_mut(&id) {
            node.is_up = true;
        }
        self.elect_leaders();
    }

    /// Gives every partition whose leader is down the first of its replicas that is up, or none.
    pub(super) fn elect_leaders(&mut self) {
        let alive = self.alive();
        for topic in self.topics.iter_mut() {
            let name = topic.name.clone();
            for (index, partition) in (0..).zip(&mut topic.partitions) {
                if alive.contains(&partition.leader) {
                    continue;
                }
                let next = partition.replicas.iter().copied().find(|id| alive.contains(id)).unwrap_or(-1);
                if next != partition.leader {
                    partition.elect(next);
                    self.dirty.insert(TopicPartition::new(name.clone(), index));
                }
            }
        }
    }
}
