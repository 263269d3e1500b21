//! Questions that several roles ask the cluster: offsets of partitions, offsets of groups, states of transactions.

mod groups;
mod offsets;
mod transactions;

use std::collections::BTreeMap;

use super::Cluster;
use super::retry::Backoff;
use crate::types::{TopicName, TopicPartition};

pub use groups::{commit_offsets, committed_offsets};
pub use offsets::list_offsets;
pub use transactions::{TransactionDescription, describe_transaction};

/// The waits between attempts of one more call.
pub(crate) fn backoff(cluster: &Cluster) -> Backoff {
    let config = cluster.config();
    Backoff::new(config.retry_backoff, config.retry_backoff_max, cluster.next_seed())
}

/// Items by topic, in order, as requests want them.
fn by_topic<'a, T>(items: impl IntoIterator<Item = (&'a TopicPartition, T)>) -> BTreeMap<TopicName, Vec<(i32, T)>> {
    let mut topics: BTreeMap<TopicName, Vec<(i32, T)>> = BTreeMap::new();
    for (tp, item) in items {
        topics.entry(tp.topic.clone()).or_default().push((tp.partition, item));
    }
    topics
}
