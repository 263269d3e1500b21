//! `milena consume`: records to stdout, from anywhere, to anywhere.

use std::collections::BTreeMap;
use std::io::{self, Write};

use super::args::{ConsumeOptions, OffsetSpec};
use super::format::Format;
use super::{Failure, Outcome, connect};
use crate::consumer::{Consumer, Polled, PolledRecords};
use crate::types::{OffsetAndMetadata, Position, TopicPartition};

pub(super) async fn run(options: ConsumeOptions) -> Outcome {
    let format = if options.json { Format::Json } else { Format::parse(&options.format)? };
    let mut config = connect::config(&options.connect)?;
    if let Some(group) = &options.group {
        config.set("group.id", group)?;
    }
    let client = connect::client(&config).await?;
    let partitions = connect::partitions(&client, &options.topic, options.partition).await?;
    let mut reading = Reading {
        has_group: config.consumer.group_id.is_some(),
        consumer: client.consumer(config.consumer)?,
        format,
        left: options.count.unwrap_or(u64::MAX),
        exit_at_end: options.exit_at_end,
        behind: partitions.clone(),
        positions: BTreeMap::new(),
    };
    let starts = starts(&reading.consumer, options.offset, reading.has_group, &partitions).await?;
    reading.consumer.assign(starts);
    let read = reading.read(&mut io::BufWriter::with_capacity(64 * 1024, io::stdout().lock())).await;
    match read {
        // Whoever reads our output has seen enough.
        Err(Failure::Failed(message)) if message == BROKEN_PIPE => {}
        other => other?,
    }
    reading.commit().await
}

const BROKEN_PIPE: &str = "broken pipe";

async fn starts(
    consumer: &Consumer,
    offset: Option<OffsetSpec>,
    has_group: bool,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Position)>, Failure> {
    let position = match offset {
        None if has_group => Position::Committed,
        None | Some(OffsetSpec::Beginning) => Position::Earliest,
        Some(OffsetSpec::End) => Position::Latest,
        Some(OffsetSpec::At(offset)) => Position::Offset(offset),
        Some(OffsetSpec::Timestamp(ms)) => Position::Timestamp(ms),
        Some(OffsetSpec::BeforeEnd(count)) => return before_end(consumer, count, partitions).await,
    };
    Ok(partitions.iter().map(|tp| (tp.clone(), position)).collect())
}

async fn before_end(
    consumer: &Consumer,
    count: i64,
    partitions: &[TopicPartition],
) -> Result<Vec<(TopicPartition, Position)>, Failure> {
    let first = consumer.beginning_offsets(partitions).await?;
    let ends = consumer.end_offsets(partitions).await?;
    let start = |tp: &TopicPartition, end: i64| end.saturating_sub(count).max(first.get(tp).copied().unwrap_or(0));
    Ok(ends.into_iter().map(|(tp, end)| (tp.clone(), Position::Offset(start(&tp, end)))).collect())
}

struct Reading {
    consumer: Consumer,
    format: Format,
    has_group: bool,
    left: u64,
    exit_at_end: bool,
    /// Partitions that have not reached their end yet.
    behind: Vec<TopicPartition>,
    /// Where the group goes on: after the last printed record.
    positions: BTreeMap<TopicPartition, i64>,
}

impl Reading {
    async fn read(&mut self, out: &mut impl Write) -> Outcome {
        let mut end = std::pin::pin!(connect::asked_to_end());
        while self.left > 0 && !(self.exit_at_end && self.behind.is_empty()) {
            let polled = tokio::select! {
                biased;
                () = &mut end => break,
                polled = self.next(out) => polled?,
            };
            match polled {
                Polled::Records(records) => self.print(out, &records)?,
                Polled::CaughtUp(tp) => self.behind.retain(|behind| *behind != tp),
                Polled::Moved { tp, from, to, reason } => {
                    eprintln!("milena: {tp}: position moved from {from} to {to}: {reason}");
                }
            }
        }
        out.flush().map_err(written)
    }

    /// What is printed is shown before waiting for more.
    async fn next(&mut self, out: &mut impl Write) -> Result<Polled, Failure> {
        let mut is_shown = false;
        std::future::poll_fn(|cx| {
            let polled = self.consumer.poll_next(cx).map_err(Failure::from);
            if polled.is_pending() && !is_shown {
                is_shown = true;
                if let Err(e) = out.flush() {
                    return std::task::Poll::Ready(Err(written(e)));
                }
            }
            polled
        })
        .await
    }

    fn print(&mut self, out: &mut impl Write, records: &PolledRecords) -> Outcome {
        let tp = records.partition();
        let mut next_offset = records.next_offset();
        for record in records {
            let record = record?;
            if self.left == 0 {
                next_offset = record.offset;
                break;
            }
            self.format.write(out, tp, &record).map_err(written)?;
            self.left -= 1;
        }
        self.positions.insert(tp.clone(), next_offset);
        Ok(())
    }

    async fn commit(&self) -> Outcome {
        if !self.has_group {
            return Ok(());
        }
        let at = |offset: &i64| OffsetAndMetadata { offset: *offset, leader_epoch: -1, metadata: String::new() };
        let offsets: Vec<_> = self.positions.iter().map(|(tp, offset)| (tp.clone(), at(offset))).collect();
        Ok(self.consumer.commit(&offsets).await?)
    }
}

fn written(error: io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::Failed(BROKEN_PIPE.into()),
        _ => Failure::Failed(format!("stdout: {error}")),
    }
}
