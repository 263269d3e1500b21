//! Topics, configs, transactions and the cluster, for people and for jobs that must know before they start.

use std::collections::BTreeMap;

use crate::cluster::{Cluster, TopicMetadata, TransactionDescription};
use crate::error::Result;
use crate::types::{BrokerId, IsolationLevel, Position, TopicPartition, TransactionVersion};

/// A topic to be created.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NewTopic {
    /// Its name.
    pub name: String,
    /// How many partitions; -1 for the broker's default.
    pub partitions: i32,
    /// How many replicas of each; -1 for the broker's default.
    pub replication_factor: i16,
    /// Topic configs, as `retention.ms`.
    pub configs: BTreeMap<String, String>,
}

/// What the cluster is and offers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterDescription {
    /// Its id.
    pub cluster_id: Option<String>,
    /// The controller.
    pub controller: Option<BrokerId>,
    /// Broker, `host:port`, rack.
    pub brokers: Vec<(BrokerId, String, Option<String>)>,
    /// Feature name, lowest, highest supported level and the finalized one.
    pub features: Vec<(String, i16, i16, i16)>,
}

/// Administrative requests on one cluster.
#[derive(Clone, Debug)]
pub struct Admin {}

impl Admin {
    /// On this cluster.
    pub fn new(_cluster: Cluster) -> Admin {
        todo!()
    }

    /// Creates a topic and waits until its leaders are known. Fails with `TOPIC_ALREADY_EXISTS` if it exists.
    pub async fn create_topic(&self, _topic: &NewTopic) -> Result<()> {
        todo!()
    }

    /// Deletes a topic.
    pub async fn delete_topic(&self, _name: &str) -> Result<()> {
        todo!()
    }

    /// Names of all topics, sorted, Kafka's own ones left out.
    pub async fn list_topics(&self) -> Result<Vec<String>> {
        todo!()
    }

    /// Partitions, leaders and replicas of a topic.
    pub async fn describe_topic(&self, _name: &str) -> Result<TopicMetadata> {
        todo!()
    }

    /// A topic's configs by name.
    pub async fn topic_configs(&self, _name: &str) -> Result<BTreeMap<String, String>> {
        todo!()
    }

    /// A config of some broker, as `transaction.max.timeout.ms`; `None` if it has none or may not be asked.
    pub async fn broker_config(&self, _name: &str) -> Result<Option<String>> {
        todo!()
    }

    /// Offsets of partitions at a position.
    pub async fn list_offsets(
        &self,
        _isolation: IsolationLevel,
        _partitions: &[(TopicPartition, Position)],
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        todo!()
    }

    /// Brokers, controller, features.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        todo!()
    }

    /// The transaction rules the cluster runs under.
    pub async fn transaction_version(&self) -> Result<TransactionVersion> {
        todo!()
    }

    /// Describes a transactional id, or `None` if its coordinator does not know it.
    pub async fn describe_transaction(&self, _transactional_id: &str) -> Result<Option<TransactionDescription>> {
        todo!()
    }

    /// Every transactional id known to any broker that starts with `prefix`, with its state.
    pub async fn list_transactions(&self, _prefix: &str) -> Result<Vec<(String, String)>> {
        todo!()
    }
}
