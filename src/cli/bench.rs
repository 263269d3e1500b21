//! `milena bench`: how fast, at what cost, on any broker.

use std::time::{Duration, Instant};

use serde_json::json;

use super::args::{BenchMode, BenchOptions};
use super::{Failure, Outcome, connect, measure};
use crate::admin::NewTopic;
use crate::client::Client;
use crate::config::Config;
use crate::consumer::Polled;
use crate::record::NewRecord;
use crate::types::Position;

/// Values differ from record to record, so that nothing compares equal by accident.
const DISTINCT_VALUES: usize = 1024;

pub(super) async fn run(options: BenchOptions) -> Outcome {
    let mut config = connect::config(&options.connect)?;
    if options.mode == BenchMode::Latency {
        config.producer.linger = Duration::ZERO;
    }
    let client = connect::client(&config).await?;
    if options.create {
        create(&client, &options).await?;
    }
    let (began, cpu) = (Instant::now(), measure::cpu_time());
    let measured = match options.mode {
        BenchMode::Produce => produce(&client, config, &options).await?,
        BenchMode::Consume => consume(&client, config, &options).await?,
        BenchMode::Latency => latency(&client, config, &options).await?,
    };
    let cpu = measure::cpu_time().zip(cpu).map(|(after, before)| after.saturating_sub(before));
    report(&options, &measured, began.elapsed(), cpu);
    Ok(())
}

async fn create(client: &Client, options: &BenchOptions) -> Outcome {
    let (name, partitions) = (options.topic.clone(), options.partitions);
    let topic = NewTopic { name, partitions, replication_factor: -1, configs: Default::default() };
    Ok(client.admin().create_topic(&topic).await?)
}

struct Measured {
    records: u64,
    bytes: u64,
    /// Sorted, in nanoseconds; empty unless latency was measured.
    latencies_ns: Vec<u64>,
}

/// Pseudo-random bytes, each value at its own offset of one buffer.
fn payload(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(size + DISTINCT_VALUES).collect()
}

async fn produce(client: &Client, config: Config, options: &BenchOptions) -> Result<Measured, Failure> {
    let producer = client.producer(config.producer)?;
    let topic = producer.topic(&options.topic).await?;
    let payload = payload(options.size);
    for i in 0..options.records {
        let start = (i % DISTINCT_VALUES as u64) as usize;
        let record = NewRecord::value(&payload[start..start + options.size]);
        if topic.try_enqueue(record)?.is_none() {
            topic.enqueue(record).await?;
        }
    }
    producer.close().await?;
    let bytes = options.records * options.size as u64;
    Ok(Measured { records: options.records, bytes, latencies_ns: Vec::new() })
}

async fn consume(client: &Client, config: Config, options: &BenchOptions) -> Result<Measured, Failure> {
    let partitions = connect::partitions(client, &options.topic, None).await?;
    let mut consumer = client.consumer(config.consumer)?;
    consumer.assign(partitions.into_iter().map(|tp| (tp, Position::Earliest)));
    let (mut records, mut bytes, mut checksum) = (0, 0, 0u8);
    while records < options.records {
        if let Polled::Records(polled) = consumer.poll().await? {
            for record in &polled {
                let value = record?.value.unwrap_or_default();
                bytes += value.len() as u64;
                checksum ^= value.first().copied().unwrap_or_default();
                records += 1;
            }
        }
    }
    std::hint::black_box(checksum);
    Ok(Measured { records, bytes, latencies_ns: Vec::new() })
}

async fn latency(client: &Client, config: Config, options: &BenchOptions) -> Result<Measured, Failure> {
    let producer = client.producer(config.producer)?;
    let topic = producer.topic(&options.topic).await?;
    let payload = payload(options.size);
    let record = NewRecord::value(&payload[..options.size]);
    let mut latencies_ns = Vec::new();
    for _ in 0..options.records {
        let sent = Instant::now();
        topic.enqueue(record).await?.await?;
        latencies_ns.push(u64::try_from(sent.elapsed().as_nanos()).unwrap_or(u64::MAX));
    }
    latencies_ns.sort_unstable();
    producer.close().await?;
    Ok(Measured { records: options.records, bytes: options.records * options.size as u64, latencies_ns })
}

fn percentile_us(sorted_ns: &[u64], per_mille: usize) -> Option<f64> {
    let index = (sorted_ns.len() * per_mille / 1000).min(sorted_ns.len().checked_sub(1)?);
    sorted_ns.get(index).map(|ns| *ns as f64 / 1000.0)
}

fn report(options: &BenchOptions, measured: &Measured, took: Duration, cpu: Option<Duration>) {
    let (records, seconds) = (measured.records, took.as_secs_f64());
    let records_per_s = records as f64 / seconds;
    let mb_per_s = measured.bytes as f64 / 1e6 / seconds;
    let cpu_ns_per_record = cpu.map(|cpu| cpu.as_nanos() as f64 / records as f64);
    let [p50_us, p99_us, p999_us] = [500, 990, 999].map(|p| percentile_us(&measured.latencies_ns, p));
    let peak_rss_bytes = measure::peak_rss_bytes();
    if options.json {
        let mut line = json!({
            "records": records, "seconds": seconds, "records_per_s": records_per_s, "mb_per_s": mb_per_s,
            "cpu_ns_per_record": cpu_ns_per_record, "peak_rss_bytes": peak_rss_bytes,
        });
        if options.mode == BenchMode::Latency {
            (line["p50_us"], line["p99_us"], line["p999_us"]) = (json!(p50_us), json!(p99_us), json!(p999_us));
        }
        println!("{line}");
        return;
    }
    let or_dash = |value: Option<f64>| value.map_or("-".into(), |v| format!("{v:.1}"));
    println!("{records} records in {seconds:.3} s: {records_per_s:.0} records/s, {mb_per_s:.1} MB/s");
    println!(
        "{} ns of CPU a record, peak memory {} MiB",
        or_dash(cpu_ns_per_record),
        or_dash(peak_rss_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20)))
    );
    if options.mode == BenchMode::Latency {
        println!("p50 {} us, p99 {} us, p99.9 {} us", or_dash(p50_us), or_dash(p99_us), or_dash(p999_us));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_list_and_none_of_an_empty_one() {
        let sorted: Vec<u64> = (1..=1000).map(|us| us * 1000).collect();
        assert_eq!(percentile_us(&sorted, 500), Some(501.0));
        assert_eq!(percentile_us(&sorted, 999), Some(1000.0));
        assert_eq!(percentile_us(&[], 500), None);
    }
}
