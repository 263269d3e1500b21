//! What happens to a record between source and sink: operators called one after the other, record by record.

use std::sync::Arc;

use crate::connector::{OutRecord, Records, Shaped};
use crate::error::Result;
use crate::record::NewRecord;

/// Where an operator puts the records it lets through.
pub type Emit<'e> = &'e mut dyn FnMut(OutRecord<'_>) -> Result<()>;

type Operator = dyn Fn(OutRecord<'_>, Emit<'_>) -> Result<()> + Send + Sync;

/// A chain of operators; empty, batches pass through untouched.
#[derive(Clone, Default)]
pub(super) struct Operators(Vec<Arc<Operator>>);

impl Operators {
    pub(super) fn push(&mut self, operator: impl Fn(OutRecord<'_>, Emit<'_>) -> Result<()> + Send + Sync + 'static) {
        self.0.push(Arc::new(operator));
    }

    /// The batch as the sink shall see it. Without operators it is the batch itself: nothing is copied.
    pub(super) fn apply<B: Records>(&self, batch: B) -> Result<Box<dyn Records>> {
        if self.0.is_empty() {
            return Ok(Box::new(batch));
        }
        let mut shaped = Shaped::default();
        let mut keep = |out: OutRecord<'_>| {
            shaped.push(out);
            Ok(())
        };
        batch.visit(0, &mut |record| run(&self.0, record, &mut keep).map(|()| true))?;
        Ok(Box::new(shaped))
    }
}

fn run(operators: &[Arc<Operator>], record: OutRecord<'_>, keep: Emit<'_>) -> Result<()> {
    match operators.split_first() {
        None => keep(record),
        Some((first, rest)) => first(record, &mut |next| run(rest, next, keep)),
    }
}

/// A record that a `map` made: what is `None` in `key` or `value` is null.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Mapped {
    /// The topic it shall go to; `None` for the sink's own.
    pub topic: Option<String>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
}

/// `record` with another key, value and topic: headers, timestamp and origin stay.
pub(super) fn mapped<'a>(record: OutRecord<'a>, by: &'a Mapped) -> OutRecord<'a> {
    let changed = NewRecord { key: by.key.as_deref(), value: by.value.as_deref(), ..record.record };
    OutRecord { topic: by.topic.as_deref().or(record.topic), record: changed, ..record }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::TopicPartition;

    #[test]
    fn operators_run_in_order_and_keep_where_a_record_came_from() {
        let mut operators = Operators::default();
        operators.push(|r, emit| if r.record.value == Some(b"drop") { Ok(()) } else { emit(r) });
        operators.push(|r, emit| {
            let twice = Mapped { value: r.record.value.map(|v| v.repeat(2)), ..Mapped::default() };
            emit(mapped(r, &twice))?;
            emit(r)
        });
        let mut batch = Shaped::default();
        let origin = TopicPartition::new("in", 1);
        for (offset, value) in [(7, &b"a"[..]), (8, b"drop"), (9, b"b")] {
            let record = NewRecord::value(value).with_timestamp_ms(offset);
            batch.push(OutRecord { topic: None, record, origin: Some((&origin, offset)) });
        }
        let out = operators.apply(batch).unwrap();
        let mut seen = Vec::new();
        out.visit(0, &mut |r| {
            seen.push((r.record.value.unwrap().to_vec(), r.record.timestamp_ms.unwrap(), r.origin.unwrap().1));
            Ok(true)
        })
        .unwrap();
        let expected = [(&b"aa"[..], 7, 7), (b"a", 7, 7), (b"bb", 9, 9), (b"b", 9, 9)];
        assert_eq!(seen, expected.map(|(v, t, o)| (v.to_vec(), t, o)));
    }
}
