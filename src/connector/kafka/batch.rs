//! A polled batch on its way to a sink: views of the frame, cut at the stop position.

use crate::connector::{OutRecord, Records};
use crate::consumer::PolledRecords;
use crate::error::Result;
use crate::record::{Header, NewRecord};

/// Records of one partition, as they were fetched.
#[derive(Debug)]
pub struct KafkaBatch {
    pub(super) polled: PolledRecords,
    /// The first offset that is not the reader's to give.
    pub(super) stop: i64,
}

impl KafkaBatch {
    /// The batch as the consumer gave it; it may reach past the split's stop position.
    pub fn polled(&self) -> &PolledRecords {
        &self.polled
    }
}

impl Records for KafkaBatch {
    /// The place of a record is its offset.
    fn visit(&self, from: i64, each: &mut dyn FnMut(OutRecord<'_>) -> Result<bool>) -> Result<Option<i64>> {
        let mut headers: Vec<Header<'_>> = Vec::new();
        for record in self.polled.iter_from(from) {
            let record = record?;
            if record.offset >= self.stop {
                break;
            }
            headers.clear();
            headers.extend(record.headers);
            let timestamp_ms = (record.timestamp_ms >= 0).then_some(record.timestamp_ms);
            let out =
                NewRecord { key: record.key, value: record.value, headers: &headers, timestamp_ms, partition: None };
            let origin = Some((self.polled.partition(), record.offset));
            if !each(OutRecord { topic: None, record: out, origin })? {
                return Ok(Some(record.offset));
            }
        }
        Ok(None)
    }

    fn wire_len(&self) -> usize {
        self.polled.wire_len()
    }
}
