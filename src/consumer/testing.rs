//! What the room's tests share: batches encoded by hand, so that no test trusts the encoder it runs beside.

use bytes::{BufMut, Bytes, BytesMut};

use crate::cluster::{BrokerMetadata, Metadata, PartitionMetadata, TopicMetadata};
use crate::types::{BrokerId, TopicId, TopicName, TopicPartition};

/// The id of every topic in these tests.
pub(super) const ID: TopicId = TopicId([7; 16]);

pub(super) fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

fn varint(out: &mut Vec<u8>, value: i64) {
    let mut raw = ((value << 1) ^ (value >> 63)) as u64;
    while raw >= 0x80 {
        out.push(raw as u8 | 0x80);
        raw >>= 7;
    }
    out.push(raw as u8);
}

fn record(offset_delta: i64, key: Option<&[u8]>, value: &[u8]) -> Vec<u8> {
    let mut body = vec![0];
    varint(&mut body, 0);
    varint(&mut body, offset_delta);
    varint(&mut body, key.map_or(-1, |k| k.len() as i64));
    body.extend_from_slice(key.unwrap_or_default());
    varint(&mut body, value.len() as i64);
    body.extend_from_slice(value);
    varint(&mut body, 0);
    let mut out = Vec::new();
    varint(&mut out, body.len() as i64);
    out.extend(body);
    out
}

/// Who wrote a batch, and what for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer {
    pub(super) producer_id: i64,
    pub(super) attributes: i16,
}

/// Nobody in particular.
pub(super) const PLAIN: Writer = Writer { producer_id: -1, attributes: 0 };

pub(super) fn transactional(producer_id: i64) -> Writer {
    Writer { producer_id, attributes: 16 }
}

fn seal(base_offset: i64, last_offset_delta: i32, writer: Writer, records: &[Vec<u8>]) -> Bytes {
    let mut tail = BytesMut::new();
    tail.put_i16(writer.attributes);
    tail.put_i32(last_offset_delta);
    tail.put_i64(1000);
    tail.put_i64(1000);
    tail.put_i64(writer.producer_id);
    tail.put_i16(0);
    tail.put_i32(0);
    tail.put_i32(records.len() as i32);
    records.iter().for_each(|r| tail.extend_from_slice(r));
    let mut batch = BytesMut::new();
    batch.put_i64(base_offset);
    batch.put_i32(tail.len() as i32 + 9);
    batch.put_i32(3);
    batch.put_i8(2);
    batch.put_u32(crc32c::crc32c(&tail));
    batch.extend_from_slice(&tail);
    batch.freeze()
}

/// A batch of `count` records whose values are their offsets.
pub(super) fn batch(base_offset: i64, count: i32, writer: Writer) -> Bytes {
    let value = |delta: i32| (base_offset + i64::from(delta)).to_be_bytes();
    let records: Vec<_> = (0..count).map(|delta| record(delta.into(), None, &value(delta))).collect();
    seal(base_offset, (count - 1).max(0), writer, &records)
}

/// The marker that ends a transaction.
pub(super) fn marker(offset: i64, producer_id: i64, is_commit: bool) -> Bytes {
    let key = [0, 0, 0, u8::from(is_commit)];
    seal(offset, 0, Writer { producer_id, attributes: 16 | 32 }, &[record(0, Some(&key), &[0; 6])])
}

/// The batches behind each other.
pub(super) fn concat(batches: &[Bytes]) -> Bytes {
    batches.concat().into()
}

/// Metadata of topic `t` with these leaders.
pub(super) fn metadata(leaders: &[i32]) -> Metadata {
    let row = |leader: &i32| PartitionMetadata {
        leader: Some(BrokerId(*leader)),
        leader_epoch: 3,
        replicas: vec![BrokerId(*leader)],
        isr: vec![BrokerId(*leader)],
    };
    let name: TopicName = "t".into();
    let topic = TopicMetadata {
        name: name.clone(),
        topic_id: ID,
        is_internal: false,
        partitions: leaders.iter().map(row).collect(),
    };
    let broker = |id: i32| BrokerMetadata { id: BrokerId(id), host: "h".into(), port: 1, rack: None };
    let brokers = (1..=9).map(|id| (BrokerId(id), broker(id))).collect();
    let mut metadata = Metadata { brokers, ..Metadata::default() };
    metadata.topics.insert(name, std::sync::Arc::new(topic));
    metadata
}
