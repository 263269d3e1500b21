//! From files, environment and command line to checked settings and a client.

use super::Failure;
use super::args::Connect;
use crate::client::Client;
use crate::config::{Config, Resolved, Sources};
use crate::types::TopicPartition;

/// Settings from the environment, `--config`, `-b` and `-X`, checked for contradictions before anything connects.
pub(super) fn config(connect: &Connect) -> Result<Config, Failure> {
    let config = resolve(connect)?.config;
    config.check()?;
    Ok(config)
}

/// As [`config`], with where each value came from, and without asking where the cluster is. Logs what was passed over.
pub(super) fn resolve(connect: &Connect) -> Result<Resolved, Failure> {
    let mut sources = Sources::default().environment(std::env::vars_os())?;
    if let Some(file) = &connect.config {
        sources = sources.file(file)?;
    }
    if let Some(brokers) = &connect.brokers {
        sources = sources.argument("bootstrap.servers", brokers)?;
    }
    for property in &connect.properties {
        sources = sources.argument(&property.name, &property.value)?;
    }
    let resolved = sources.resolve()?;
    resolved.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    Ok(resolved)
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

/// Resolves when the process is asked to end (interrupt or terminate): from this call on, not only once it is polled.
#[cfg(unix)]
pub(super) fn asked_to_end() -> impl Future<Output = ()> {
    use tokio::signal::unix::{Signal, SignalKind, signal};
    async fn heard(signal: Option<Signal>) {
        match signal {
            Some(mut signal) => drop(signal.recv().await),
            None => std::future::pending().await,
        }
    }
    let interrupted = heard(signal(SignalKind::interrupt()).ok());
    let terminated = heard(signal(SignalKind::terminate()).ok());
    async move {
        tokio::select! {
            biased;
            () = interrupted => {}
            () = terminated => {}
        }
    }
}

/// Resolves when the process is asked to end.
#[cfg(not(unix))]
pub(super) async fn asked_to_end() {
    let _ = tokio::signal::ctrl_c().await;
}
