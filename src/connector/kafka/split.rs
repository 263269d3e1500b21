//! A partition as a split: its topic's id, and concrete offsets only.

use crate::connector::versioned::put_bytes;
use crate::connector::{Decoder, Split, Versioned};
use crate::error::Result;
use crate::types::{TopicId, TopicPartition};

/// What names a split. A recreated topic has another id, so its partitions are other splits.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct SplitId {
    /// The partition by name.
    pub tp: TopicPartition,
    /// The topic's id; zero on brokers before 2.8.
    pub topic_id: TopicId,
}

/// A partition with where to go on and, in a bounded read, where to stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KafkaSplit {
    /// The partition.
    pub tp: TopicPartition,
    /// The topic's id; zero on brokers before 2.8.
    pub topic_id: TopicId,
    /// The next offset to read.
    pub offset: i64,
    /// The first offset not to read; `None` reads on for ever.
    pub stop: Option<i64>,
}

impl KafkaSplit {
    /// Whether everything up to the stop position was read.
    pub fn is_finished(&self) -> bool {
        self.stop.is_some_and(|stop| self.offset >= stop)
    }
}

impl Split for KafkaSplit {
    type Id = SplitId;

    fn id(&self) -> SplitId {
        SplitId { tp: self.tp.clone(), topic_id: self.topic_id }
    }
}

impl Versioned for KafkaSplit {
    const VERSION: u8 = 1;

    fn encode(&self, out: &mut Vec<u8>) {
        put_bytes(out, self.tp.topic.as_bytes());
        out.extend_from_slice(&self.tp.partition.to_le_bytes());
        out.extend_from_slice(&self.topic_id.0);
        out.extend_from_slice(&self.offset.to_le_bytes());
        out.push(u8::from(self.stop.is_some()));
        out.extend_from_slice(&self.stop.unwrap_or_default().to_le_bytes());
    }

    fn decode(_version: u8, from: &mut Decoder<'_>) -> Result<Self> {
        let topic = from.text()?;
        let tp = TopicPartition::new(topic, from.i32()?);
        let topic_id = TopicId(from.array()?);
        let offset = from.i64()?;
        let (is_bounded, stop) = (from.u8()? != 0, from.i64()?);
        Ok(KafkaSplit { tp, topic_id, offset, stop: is_bounded.then_some(stop) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_split_reads_back_as_it_was_written() {
        for stop in [None, Some(0), Some(i64::MAX)] {
            let tp = TopicPartition::new("orders", 7);
            let split = KafkaSplit { tp, topic_id: TopicId([9; 16]), offset: 1 << 40, stop };
            assert_eq!(KafkaSplit::from_bytes(&split.to_bytes()).unwrap(), split);
        }
    }
}
