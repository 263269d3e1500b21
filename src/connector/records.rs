//! Records between a source and a sink: views of a fetched batch passed through, or shaped into an arena of their own.

use std::ops::Range;

use crate::error::Result;
use crate::record::{Header, NewRecord};
use crate::types::TopicPartition;

/// A record on its way to a sink.
#[derive(Clone, Copy, Debug)]
pub struct OutRecord<'a> {
    /// The topic it shall go to; `None` for the sink's own.
    pub topic: Option<&'a str>,
    /// Key, value, headers, timestamp and, if it was chosen, the partition.
    pub record: NewRecord<'a>,
    /// Where it was read, for partitioners and for messages.
    pub origin: Option<(&'a TopicPartition, i64)>,
}

/// A batch of records a sink can write.
pub trait Records: Send + 'static {
    /// Calls `each` with the records from `from` on, until it says to stop (`Ok(false)`).
    ///
    /// `from` is 0 or what an earlier visit gave: the place of the record that was stopped at. Gives `None` at the end.
    /// Fails where a record is damaged or `each` fails.
    fn visit(&self, from: i64, each: &mut dyn FnMut(OutRecord<'_>) -> Result<bool>) -> Result<Option<i64>>;

    /// Bytes it holds in memory.
    fn wire_len(&self) -> usize;
}

/// Records that operators made: one arena of bytes and an index over it.
#[derive(Debug, Default)]
pub struct Shaped {
    bytes: Vec<u8>,
    rows: Vec<Row>,
    headers: Vec<(Range<usize>, Option<Range<usize>>)>,
    origin: Option<TopicPartition>,
}

#[derive(Debug)]
struct Row {
    topic: Option<Range<usize>>,
    key: Option<Range<usize>>,
    value: Option<Range<usize>>,
    headers: Range<usize>,
    timestamp_ms: Option<i64>,
    partition: Option<i32>,
    offset: i64,
}

impl Shaped {
    /// Copies a record in. All records of one batch were read from one partition: the first one's origin names it.
    pub fn push(&mut self, out: OutRecord<'_>) {
        let record = out.record;
        if self.origin.is_none() {
            self.origin = out.origin.map(|(tp, _)| tp.clone());
        }
        let offset = out.origin.map_or(-1, |(_, offset)| offset);
        let topic = out.topic.map(|t| self.copy(t.as_bytes()));
        let key = record.key.map(|b| self.copy(b));
        let value = record.value.map(|b| self.copy(b));
        let first = self.headers.len();
        for header in record.headers {
            let row = (self.copy(header.key), header.value.map(|b| self.copy(b)));
            self.headers.push(row);
        }
        let headers = first..self.headers.len();
        let (timestamp_ms, partition) = (record.timestamp_ms, record.partition);
        self.rows.push(Row { topic, key, value, headers, timestamp_ms, partition, offset });
    }

    /// How many records it holds.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn copy(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        start..self.bytes.len()
    }

    fn slice(&self, range: &Option<Range<usize>>) -> Option<&[u8]> {
        range.as_ref().map(|r| &self.bytes[r.clone()])
    }
}

impl Records for Shaped {
    fn visit(&self, from: i64, each: &mut dyn FnMut(OutRecord<'_>) -> Result<bool>) -> Result<Option<i64>> {
        let mut headers = Vec::new();
        let start = usize::try_from(from).unwrap_or_default();
        for (number, row) in (0..).zip(&self.rows).skip(start) {
            headers.clear();
            let rows = &self.headers[row.headers.clone()];
            headers.extend(
                rows.iter().map(|(key, value)| Header { key: &self.bytes[key.clone()], value: self.slice(value) }),
            );
            let record = NewRecord {
                key: self.slice(&row.key),
                value: self.slice(&row.value),
                headers: &headers,
                timestamp_ms: row.timestamp_ms,
                partition: row.partition,
            };
            let topic = row.topic.as_ref().and_then(|r| std::str::from_utf8(&self.bytes[r.clone()]).ok());
            if !each(OutRecord { topic, record, origin: self.origin.as_ref().map(|tp| (tp, row.offset)) })? {
                return Ok(Some(number));
            }
        }
        Ok(None)
    }

    fn wire_len(&self) -> usize {
        self.bytes.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_visit_goes_on_where_it_stopped() {
        let mut batch = Shaped::default();
        let origin = TopicPartition::new("in", 3);
        let headers = [Header { key: b"h", value: None }, Header { key: b"h", value: Some(b"2") }];
        for i in 0..5u8 {
            let record = NewRecord::value(std::slice::from_ref(&i)).with_headers(&headers);
            batch.push(OutRecord { topic: Some("out"), record, origin: Some((&origin, i64::from(i))) });
        }
        let mut seen = Vec::new();
        let mut from = Some(0);
        while let Some(at) = from {
            let mut room = 2;
            from = batch
                .visit(at, &mut |r| {
                    assert_eq!((r.topic, r.record.headers), (Some("out"), &headers[..]));
                    assert_eq!(
                        r.origin.map(|(tp, offset)| (tp.partition, offset)),
                        Some((3, r.record.value.unwrap()[0].into()))
                    );
                    if room == 0 {
                        return Ok(false);
                    }
                    room -= 1;
                    seen.push(r.record.value.unwrap()[0]);
                    Ok(true)
                })
                .unwrap();
        }
        assert_eq!(seen, [0, 1, 2, 3, 4]);
    }
}
