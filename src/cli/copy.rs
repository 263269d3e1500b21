//! `milena copy`: a job from topics to a topic, restarted from its checkpoints.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use regex::Regex;

use super::args::{CopyOptions, StartSpec, StopSpec};
use super::{Failure, Outcome, connect};
use crate::client::Client;
use crate::config::Resolved;
use crate::connector::kafka::{
    Guarantee, KafkaSink, KafkaSource, Partitioning, ResetStrategy, StartingOffsets, StoppingOffsets, Subscription,
};
use crate::runtime::{Job, JobHandle, Progress};
use crate::types::{IsolationLevel, TopicName};

pub(super) async fn run(options: CopyOptions) -> Outcome {
    if options.guarantee == Guarantee::ExactlyOnce && options.checkpoint_dir.is_none() {
        return Err(Failure::Usage(
            "copy: exactly-once needs --checkpoint-dir, where transactions are recorded".into(),
        ));
    }
    let subscription = subscription(&options.from)?;
    let mut settings = connect::resolve(&options.connect)?;
    settings.config.check()?;
    bound_memory(&mut settings);
    let client = connect::client(&settings.config).await?;
    let target = match &options.to_brokers {
        Some(brokers) => {
            let mut other = settings.config.clone();
            other.set("bootstrap.servers", brokers)?;
            connect::client(&other).await?
        }
        None => client.clone(),
    };
    let name = options.id_prefix.clone().unwrap_or_else(|| default_prefix(&options));
    let source = source(&options, client, subscription, &settings);
    let sink = sink(&options, target, &name, &settings);
    let mut job = Job::new(&name, source, sink).parallelism(options.parallelism);
    job = match &options.checkpoint_dir {
        Some(directory) => job.checkpoints(directory, options.checkpoint_interval),
        None => job.flush_every(options.checkpoint_interval),
    };
    let began = Instant::now();
    // Heard before anything is begun: whoever ends it right after its first checkpoint ends it well.
    let mut end = std::pin::pin!(connect::asked_to_end());
    let handle = tokio::select! {
        biased;
        () = &mut end => return Ok(()),
        started = job.start() => started?,
    };
    let progress = handle.progress().clone();
    let shown = tokio::spawn(show(progress.clone()));
    let outcome = until_ended(handle, end).await;
    shown.abort();
    summary(&progress, began.elapsed());
    outcome
}

/// Each task has a reader and, exactly once, two producers: smaller buffers than one client's defaults keep them all busy.
fn bound_memory(settings: &mut Resolved) {
    if !settings.is_given("buffer.memory") {
        settings.config.producer.buffer_memory = 8 << 20;
    }
    if !settings.is_given("queued.max.bytes") {
        settings.config.consumer.queued_max_bytes = 8 << 20;
    }
}

/// Stops with a last checkpoint when asked to.
async fn until_ended(handle: JobHandle, end: impl Future<Output = ()>) -> Outcome {
    let stop = handle.stopper();
    let mut running = std::pin::pin!(handle.wait());
    tokio::select! {
        biased;
        ended = &mut running => return Ok(ended?),
        () = end => stop.stop(),
    }
    Ok(running.await?)
}

fn source(options: &CopyOptions, client: Client, subscription: Subscription, settings: &Resolved) -> KafkaSource {
    let mut consumer = settings.config.consumer.clone();
    consumer.group_id = options.group.clone().or(consumer.group_id);
    if !settings.is_given("isolation.level") {
        consumer.isolation_level = IsolationLevel::ReadCommitted;
    }
    let starting = match options.start {
        StartSpec::Group => StartingOffsets::Group(ResetStrategy::Earliest),
        StartSpec::Earliest => StartingOffsets::Earliest,
        StartSpec::Latest => StartingOffsets::Latest,
        StartSpec::Timestamp(ms) => StartingOffsets::Timestamp(ms),
    };
    let source = KafkaSource::new(client, subscription).config(consumer).start(starting);
    match options.stop {
        StopSpec::Never => source,
        StopSpec::Latest => source.stop(StoppingOffsets::Latest),
        StopSpec::Timestamp(ms) => source.stop(StoppingOffsets::Timestamp(ms)),
    }
}

fn sink(options: &CopyOptions, target: Client, prefix: &str, settings: &Resolved) -> KafkaSink {
    let partitioning = if options.keep_partitions { Partitioning::Keep } else { Partitioning::Default };
    let mut sink = KafkaSink::new(target, options.to.as_str())
        .config(settings.config.producer.clone())
        .partitioning(partitioning)
        .guarantee(options.guarantee);
    if options.guarantee == Guarantee::ExactlyOnce {
        sink = sink.exactly_once(prefix);
    }
    if settings.is_given("transaction.timeout.ms") {
        sink = sink.transaction_timeout(settings.config.producer.transaction_timeout);
    }
    sink
}

fn subscription(from: &str) -> Result<Subscription, Failure> {
    if let Some(pattern) = from.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')) {
        let pattern = Regex::new(pattern).map_err(|e| Failure::Usage(format!("--from: {e}")))?;
        return Ok(Subscription::Pattern(pattern));
    }
    let names: Vec<TopicName> =
        from.split(',').map(str::trim).filter(|name| !name.is_empty()).map(Into::into).collect();
    if names.is_empty() {
        return Err(Failure::Usage("--from: takes TOPIC, TOPIC,TOPIC or /REGEX/".into()));
    }
    Ok(Subscription::Topics(names))
}

/// A prefix that two copies share only if they copy the same to the same.
fn default_prefix(options: &CopyOptions) -> String {
    let name = format!("milena-copy-{}-to-{}", options.from, options.to);
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' }).collect();
    plain.chars().take(200).collect()
}

async fn show(progress: Arc<Progress>) {
    if !std::io::stderr().is_terminal() {
        return std::future::pending().await;
    }
    let bar = ProgressBar::new_spinner();
    if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
        bar.set_style(style);
    }
    loop {
        let megabytes = progress.bytes() as f64 / 1e6;
        bar.set_message(format!("{megabytes:.1} MB read, {} checkpoints", progress.checkpoints()));
        bar.tick();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn summary(progress: &Progress, took: Duration) {
    let (megabytes, seconds) = (progress.bytes() as f64 / 1e6, took.as_secs_f64());
    eprintln!(
        "{megabytes:.1} MB in {seconds:.1} s, {} checkpoints, {} transactions committed",
        progress.checkpoints(),
        progress.committed_transactions()
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slashes_make_a_pattern_and_commas_a_list() {
        assert!(matches!(subscription("/or.*/"), Ok(Subscription::Pattern(_))));
        assert!(matches!(subscription("a, b"), Ok(Subscription::Topics(names)) if names.len() == 2));
        assert!(subscription("/(/").is_err() && subscription(",").is_err());
    }
}
