//! The one handle every role is built from: it shares connections and metadata among them.

use crate::admin::Admin;
use crate::cluster::Cluster;
use crate::config::{ClientConfig, ConsumerConfig, ProducerConfig};
use crate::connection::Environment;
use crate::consumer::Consumer;
use crate::error::Result;
use crate::producer::{
    CommitOutcome, PreparedTransaction, Producer, TransactionalProducer, abort_prepared, commit_prepared,
};

/// A connection to one Kafka cluster. Clones share everything.
#[derive(Clone, Debug)]
pub struct Client {
    cluster: Cluster,
}

impl Client {
    /// Connects to `bootstrap_servers` (`host:port`, separated by commas) with default settings.
    ///
    /// Must be called inside a tokio runtime, whose tasks then own the sockets.
    pub async fn connect(bootstrap_servers: &str) -> Result<Client> {
        let mut config = crate::config::Config::default();
        config.set("bootstrap.servers", bootstrap_servers)?;
        Self::with_config(config.client).await
    }

    /// Connects with these settings.
    pub async fn with_config(config: ClientConfig) -> Result<Client> {
        Self::with_environment(config, Environment::default()).await
    }

    /// Connects with these settings over a given network, clock and seed.
    pub async fn with_environment(config: ClientConfig, environment: Environment) -> Result<Client> {
        Ok(Client { cluster: Cluster::connect(config, environment).await? })
    }

    /// A producer.
    pub fn producer(&self, config: ProducerConfig) -> Result<Producer> {
        Producer::new(self.cluster.clone(), config)
    }

    /// A producer of transactions; `config.transactional_id` names them.
    pub async fn transactional_producer(&self, config: ProducerConfig) -> Result<TransactionalProducer> {
        TransactionalProducer::new(self.cluster.clone(), config).await
    }

    /// A consumer of partitions it will be told.
    pub fn consumer(&self, config: ConsumerConfig) -> Result<Consumer> {
        Consumer::new(self.cluster.clone(), config)
    }

    /// Administrative requests.
    pub fn admin(&self) -> Admin {
        Admin::new(self.cluster.clone())
    }

    /// Commits a transaction that some process prepared. Idempotent.
    pub async fn commit_prepared(&self, prepared: &PreparedTransaction) -> Result<CommitOutcome> {
        commit_prepared(&self.cluster, prepared).await
    }

    /// Aborts a transaction that some process prepared. Idempotent.
    pub async fn abort_prepared(&self, prepared: &PreparedTransaction) -> Result<()> {
        abort_prepared(&self.cluster, prepared).await
    }

    /// Metadata, leaders, coordinators and connections, for what is built beside the roles.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }
}
