//! From the command line's brokers and properties to checked settings and a client.

use super::Failure;
use super::args::Connect;
use crate::client::Client;
use crate::config::Config;
use crate::types::TopicPartition;

/// Settings from `-b` and `-X`, checked for contradictions before anything connects.
pub(super) fn config(connect: &Connect) -> Result<Config, Failure> {
    let mut config = Config::default();
    config.set("bootstrap.servers", &connect.brokers)?;
    for (name, value) in &connect.properties {
        config.set(name, value)?;
    }
    config.check()?;
    Ok(config)
}

pub(super) async fn client(config: &Config) -> Result<Client, Failure> {
    Ok(Client::with_config(config.client.clone()).await?)
}

/// One partition of a topic, or all of them.
pub(super) async fn partitions(
    client: &Client,
    topic: &str,
    only: Option<i32>,
) -> Result<Vec<TopicPartition>, Failure> {
    let described = client.admin().describe_topic(topic).await?;
    let count = i32::try_from(described.partitions.len()).unwrap_or(i32::MAX);
    match only {
        Some(partition) if partition < 0 || partition >= count => {
            Err(Failure::Failed(format!("{topic} has no partition {partition}: it has {count}, numbered from 0")))
        }
        Some(partition) => Ok(vec![TopicPartition::new(topic, partition)]),
        None => Ok((0..count).map(|partition| TopicPartition::new(topic, partition)).collect()),
    }
}

/// Resolves when the process is asked to end (interrupt or terminate).
pub(super) async fn asked_to_end() {
    let interrupted = tokio::signal::ctrl_c();
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        if let Ok(mut terminated) = signal(SignalKind::terminate()) {
            tokio::select! {
                biased;
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
            return;
        }
    }
    let _ = interrupted.await;
}
