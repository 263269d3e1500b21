//! `milena produce`: a line of stdin is a record.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use super::args::ProduceOptions;
use super::{Outcome, connect};
use crate::config::Config;
use crate::producer::Topic;
use crate::record::{Header, NewRecord};

pub(super) async fn run(options: ProduceOptions) -> Outcome {
    let mut config = connect::config(&options.connect)?;
    if let Some(id) = options.transactional_id.clone().or(config.producer.transactional_id.take()) {
        return in_one_transaction(&options, config, id).await;
    }
    let client = connect::client(&config).await?;
    let producer = client.producer(config.producer)?;
    write_lines(tokio::io::stdin(), &options, &producer.topic(&options.topic).await?).await?;
    Ok(producer.close().await?)
}

async fn in_one_transaction(options: &ProduceOptions, mut config: Config, id: String) -> Outcome {
    config.set("transactional.id", &id)?;
    config.check()?;
    let client = connect::client(&config).await?;
    let mut producer = client.transactional_producer(config.producer).await?;
    let transaction = producer.begin().await?;
    let topic = transaction.topic(&options.topic).await?;
    match write_lines(tokio::io::stdin(), options, &topic).await {
        Ok(()) => Ok(transaction.commit().await?),
        Err(failure) => {
            transaction.abort().await?;
            Err(failure)
        }
    }
}

/// Appends a record for each line. Deliveries are not awaited one by one: the flush at the end tells of any that failed.
async fn write_lines(from: impl AsyncRead + Unpin, options: &ProduceOptions, topic: &Topic) -> Outcome {
    let headers: Vec<Header<'_>> =
        options.headers.iter().map(|(k, v)| Header { key: k.as_bytes(), value: Some(v.as_bytes()) }).collect();
    let mut lines = BufReader::with_capacity(64 * 1024, from);
    let mut line = Vec::new();
    while lines.read_until(b'\n', &mut line).await? > 0 {
        let text = line.strip_suffix(b"\n").unwrap_or(&line);
        let (key, value) = split_key(text, options.key_delimiter.as_deref());
        let record =
            NewRecord { key, value: Some(value), headers: &headers, timestamp_ms: None, partition: options.partition };
        topic.enqueue(record).await?;
        line.clear();
    }
    Ok(())
}

fn split_key<'a>(line: &'a [u8], delimiter: Option<&str>) -> (Option<&'a [u8]>, &'a [u8]) {
    let Some(delimiter) = delimiter.filter(|d| !d.is_empty()).map(str::as_bytes) else { return (None, line) };
    match line.windows(delimiter.len()).position(|window| window == delimiter) {
        Some(at) => (Some(&line[..at]), &line[at + delimiter.len()..]),
        None => (None, line),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_delimiter_ends_the_key_and_a_line_without_one_has_none() {
        assert_eq!(split_key(b"a:b:c", Some(":")), (Some(&b"a"[..]), &b"b:c"[..]));
        assert_eq!(split_key(b"k=>v", Some("=>")), (Some(&b"k"[..]), &b"v"[..]));
        assert_eq!(split_key(b"value", Some(":")), (None, &b"value"[..]));
        assert_eq!(split_key(b":v", Some(":")), (Some(&b""[..]), &b"v"[..]));
    }
}
