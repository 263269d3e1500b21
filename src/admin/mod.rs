//! Topics, configs, transactions and the cluster, for people and for jobs that must know before they start.

mod brokers;
mod configs;
mod topics;

use std::collections::BTreeMap;

use crate::cluster::{Cluster, TopicMetadata, TransactionDescription, Verdict, describe_transaction, list_offsets};
use crate::error::{Class, Error, ErrorCode, Operation, Result};
use crate::types::{BrokerId, IsolationLevel, Position, TopicPartition, TransactionVersion};
use crate::wire::StrBytes;

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

/// Administrative requests on one cluster. Each is safe to drop; one that changes something may still take effect then.
///
/// Each retries until `default.api.timeout.ms`, but a change is not sent again once it may have been applied: its error
/// says `maybe_applied`. A refusal carries the broker's own words.
#[derive(Clone, Debug)]
pub struct Admin {
    cluster: Cluster,
}

impl Admin {
    /// On this cluster.
    pub fn new(cluster: Cluster) -> Admin {
        Admin { cluster }
    }

    /// Creates a topic and waits until its leaders are known. Fails with `TOPIC_ALREADY_EXISTS` if it exists.
    pub async fn create_topic(&self, topic: &NewTopic) -> Result<()> {
        topics::create(&self.cluster, topic).await
    }

    /// Deletes a topic and waits, two seconds at most, until brokers no longer know it.
    pub async fn delete_topic(&self, name: &str) -> Result<()> {
        topics::delete(&self.cluster, name).await
    }

    /// Names of all topics, sorted, Kafka's own ones left out.
    pub async fn list_topics(&self) -> Result<Vec<String>> {
        topics::list(&self.cluster).await
    }

    /// Partitions, leaders and replicas of a topic, asked for anew.
    pub async fn describe_topic(&self, name: &str) -> Result<TopicMetadata> {
        topics::describe(&self.cluster, name).await
    }

    /// A topic's configs by name, defaults included; sensitive ones, which brokers do not tell, left out.
    pub async fn topic_configs(&self, name: &str) -> Result<BTreeMap<String, String>> {
        configs::of_topic(&self.cluster, name).await
    }

    /// A config of some broker, as `transaction.max.timeout.ms`; `None` if it has none or may not be asked.
    pub async fn broker_config(&self, name: &str) -> Result<Option<String>> {
        configs::of_some_broker(&self.cluster, name).await
    }

    /// Offsets of partitions at a position. As [`list_offsets`], which says how.
    pub async fn list_offsets(
        &self,
        isolation: IsolationLevel,
        partitions: &[(TopicPartition, Position)],
    ) -> Result<BTreeMap<TopicPartition, i64>> {
        list_offsets(&self.cluster, isolation, partitions).await
    }

    /// Brokers, controller, features. Under KRaft the controller is some broker that passes requests on to it.
    pub async fn describe_cluster(&self) -> Result<ClusterDescription> {
        brokers::describe(&self.cluster).await
    }

    /// The transaction rules the cluster runs under.
    pub async fn transaction_version(&self) -> Result<TransactionVersion> {
        brokers::transaction_version(&self.cluster).await
    }

    /// Describes a transactional id, or `None` if its coordinator does not know it.
    pub async fn describe_transaction(&self, transactional_id: &str) -> Result<Option<TransactionDescription>> {
        describe_transaction(&self.cluster, transactional_id).await
    }

    /// Every transactional id known to any broker that starts with `prefix`, with its state, by id.
    ///
    /// Asks every broker, one after the other; each sends all its ids, which are then sifted here. Kafka 3.0 and later.
    pub async fn list_transactions(&self, prefix: &str) -> Result<Vec<(String, String)>> {
        brokers::list_transactions(&self.cluster, prefix).await
    }
}

/// Whether to ask again. What is final is the caller's to tell, with the broker's words.
fn judged(code: ErrorCode) -> Verdict {
    match code {
        ErrorCode::NOT_CONTROLLER => Verdict::Relocate(code),
        // May have been applied: the second answer would say that the topic exists, or that it does not.
        ErrorCode::REQUEST_TIMED_OUT => Verdict::Done,
        _ if code.class() == Class::Retriable => Verdict::Retry(code),
        _ => Verdict::Done,
    }
}

/// The error of a code, with the broker's own words.
fn refusal(code: i16, message: Option<&StrBytes>, subject: &str) -> Result<()> {
    let code = ErrorCode(code);
    if code.is_ok() {
        return Ok(());
    }
    let error = Error::broker(Operation::Admin, code, subject)
        .with_maybe_applied(matches!(code, ErrorCode::REQUEST_TIMED_OUT | ErrorCode::UNKNOWN_SERVER_ERROR));
    Err(match message {
        Some(message) if !message.is_empty() => error.with_detail(message.to_string()),
        _ => error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_carries_the_brokers_own_words() {
        let words = StrBytes::from_static_str("Replication factor: 3 larger than available brokers: 1.");
        let error = refusal(ErrorCode::INVALID_REPLICATION_FACTOR.0, Some(&words), "topic t").unwrap_err();
        assert_eq!(
            error.to_string(),
            "admin topic t: the broker answered INVALID_REPLICATION_FACTOR (38): Replication factor: 3 larger than \
             available brokers: 1."
        );
        assert!(refusal(0, Some(&words), "topic t").is_ok());
        assert!(refusal(7, None, "topic t").unwrap_err().maybe_applied(), "it timed out while it was being done");
    }

    #[test]
    fn a_change_is_asked_for_again_only_while_it_cannot_have_been_applied() {
        assert!(matches!(judged(ErrorCode::NOT_CONTROLLER), Verdict::Relocate(_)));
        assert!(matches!(judged(ErrorCode::THROTTLING_QUOTA_EXCEEDED), Verdict::Retry(_)));
        for code in [
            ErrorCode::NONE,
            ErrorCode::REQUEST_TIMED_OUT,
            ErrorCode::TOPIC_ALREADY_EXISTS,
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            ErrorCode::UNKNOWN_SERVER_ERROR,
        ] {
            assert_eq!(judged(code), Verdict::Done, "{code}");
        }
    }
}
