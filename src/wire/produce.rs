//! Produce requests framed around their batches: header and glue are ours, each batch travels as it was sealed.

use bytes::{BufMut, Bytes, BytesMut};

use super::frame::RequestFrame;
use super::varint::uvarint;
use crate::types::TopicId;

/// Produce's key in the table of APIs.
const PRODUCE: i16 = 0;
/// From here on lengths are varints and every struct ends in tagged fields (KIP-482).
const FLEXIBLE: i16 = 9;
/// From here on topics go by id (KIP-516).
const TOPIC_IDS: i16 = 13;

/// One sealed batch and where it goes.
#[derive(Clone, Debug)]
pub struct PartitionBatch<'a> {
    /// The topic's name (versions below 13).
    pub topic: &'a str,
    /// The topic's id (version 13 and up).
    pub topic_id: TopicId,
    /// The partition.
    pub partition: i32,
    /// The sealed batch.
    pub batch: Bytes,
}

/// Frames a Produce request at `version` (3 to 13). Batches of one topic must stand together.
///
/// No batch is copied: each becomes a tail slice. One allocation for all that stands around them.
///
/// # Panics
///
/// If a string is longer than 32,767 bytes or the request longer than 2 GiB, neither of which any broker takes:
/// settings and `max.request.size` are checked before anything is sent.
pub fn encode(
    client_id: &str,
    version: i16,
    transactional_id: Option<&str>,
    acks: i16,
    timeout_ms: i32,
    batches: &[PartitionBatch<'_>],
) -> RequestFrame {
    debug_assert!((3..=TOPIC_IDS).contains(&version), "Produce v{version}");
    let strings = client_id.len() + transactional_id.map_or(0, str::len);
    let names: usize = batches.iter().map(|b| b.topic.len()).sum();
    let mut glue = Glue::new(version, 64 + strings + names + batches.len() * 40, batches.len());
    glue.header(client_id);
    glue.string(transactional_id);
    glue.bytes.put_i16(acks);
    glue.bytes.put_i32(timeout_ms);
    glue.count(batches.chunk_by(same_topic).count());
    for topic in batches.chunk_by(same_topic) {
        glue.topic(topic);
    }
    glue.end_struct();
    glue.frame(batches)
}

fn same_topic(a: &PartitionBatch<'_>, b: &PartitionBatch<'_>) -> bool {
    a.topic == b.topic && a.topic_id == b.topic_id
}

/// All bytes of a request but its batches, and where these belong.
struct Glue {
    version: i16,
    bytes: BytesMut,
    /// How many of `bytes` stand before each batch.
    cuts: Vec<usize>,
}

impl Glue {
    fn new(version: i16, capacity: usize, batches: usize) -> Self {
        Self { version, bytes: BytesMut::with_capacity(capacity), cuts: Vec::with_capacity(batches) }
    }

    fn is_flexible(&self) -> bool {
        self.version >= FLEXIBLE
    }

    /// Room for the length, then the header. The client id keeps its old form in the flexible one (KIP-511).
    fn header(&mut self, client_id: &str) {
        self.bytes.put_i32(0);
        self.bytes.put_i16(PRODUCE);
        self.bytes.put_i16(self.version);
        self.bytes.put_i32(0);
        self.short_string(client_id);
        self.end_struct();
    }

    fn topic(&mut self, batches: &[PartitionBatch<'_>]) {
        let Some(first) = batches.first() else { return };
        if self.version >= TOPIC_IDS {
            self.bytes.put_slice(&first.topic_id.0);
        } else {
            self.string(Some(first.topic));
        }
        self.count(batches.len());
        for batch in batches {
            self.bytes.put_i32(batch.partition);
            self.count(batch.batch.len());
            self.cuts.push(self.bytes.len());
            self.end_struct();
        }
        self.end_struct();
    }

    fn string(&mut self, string: Option<&str>) {
        match string {
            Some(s) if self.is_flexible() => {
                self.count(s.len());
                self.bytes.put_slice(s.as_bytes());
            }
            Some(s) => self.short_string(s),
            None if self.is_flexible() => self.bytes.put_u8(0),
            None => self.bytes.put_i16(-1),
        }
    }

    fn short_string(&mut self, string: &str) {
        self.bytes.put_i16(i16::try_from(string.len()).expect("a string of the protocol is shorter than 32 KiB"));
        self.bytes.put_slice(string.as_bytes());
    }

    /// How many elements or bytes follow.
    fn count(&mut self, count: usize) {
        let count = i32::try_from(count).expect("a request is shorter than 2 GiB");
        if !self.is_flexible() {
            return self.bytes.put_i32(count);
        }
        self.bytes.extend(uvarint(count as u64 + 1));
    }

    /// No tagged fields.
    fn end_struct(&mut self) {
        if self.is_flexible() {
            self.bytes.put_u8(0);
        }
    }

    fn frame(mut self, batches: &[PartitionBatch<'_>]) -> RequestFrame {
        let wire_len = self.bytes.len() + batches.iter().map(|b| b.batch.len()).sum::<usize>();
        let length = i32::try_from(wire_len - 4).expect("a request is shorter than 2 GiB");
        self.bytes[..4].copy_from_slice(&length.to_be_bytes());
        let first_cut = self.cuts.first().copied().unwrap_or(self.bytes.len());
        let head = self.bytes.split_to(first_cut);
        let (mut rest, mut at) = (self.bytes.freeze(), first_cut);
        let mut tail = Vec::with_capacity(2 * batches.len());
        for (i, batch) in batches.iter().enumerate() {
            tail.push(batch.batch.clone());
            let glue = match self.cuts.get(i + 1) {
                Some(&cut) => rest.split_to(cut - std::mem::replace(&mut at, cut)),
                None => std::mem::take(&mut rest),
            };
            if !glue.is_empty() {
                tail.push(glue);
            }
        }
        RequestFrame { api_key: PRODUCE, api_version: self.version, head, tail }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{ProduceRequest, RequestHeader};
    use kafka_protocol::protocol::{Decodable, HeaderVersion};

    const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

    fn to(topic: &str, partition: i32, len: usize) -> PartitionBatch<'_> {
        let topic_id = TopicId([topic.len() as u8; 16]);
        PartitionBatch { topic, topic_id, partition, batch: Bytes::from(vec![partition as u8; len]) }
    }

    fn decode(mut frame: RequestFrame) -> (RequestHeader, ProduceRequest) {
        frame.set_correlation_id(77);
        let mut wire = frame.head.to_vec();
        frame.tail.iter().for_each(|slice| wire.extend_from_slice(slice));
        assert_eq!(wire.len(), frame.wire_len());
        let mut wire = Bytes::from(wire);
        let length = wire.split_to(4);
        assert_eq!(length[..], (wire.len() as i32).to_be_bytes());
        let version = frame.api_version;
        let header = RequestHeader::decode(&mut wire, ProduceRequest::header_version(version)).unwrap();
        let request = ProduceRequest::decode(&mut wire, version).unwrap();
        assert!(wire.is_empty(), "{} bytes behind the request", wire.len());
        (header, request)
    }

    #[test]
    fn kafka_s_decoder_reads_every_version() {
        let batches = [to("orders", 0, 61), to("orders", 300, 127), to("é", 1, 20_000), to("orders-dlq", 2, 0)];
        for version in VERSIONS {
            let (header, request) = decode(encode("milena", version, Some("tx-1"), -1, 30_000, &batches));
            assert_eq!((header.request_api_key, header.request_api_version), (0, version));
            assert_eq!((header.correlation_id, header.client_id.as_deref()), (77, Some("milena")));
            assert_eq!(request.transactional_id.map(|t| t.0.to_string()).as_deref(), Some("tx-1"));
            assert_eq!((request.acks, request.timeout_ms), (-1, 30_000));
            let mut read = Vec::new();
            for topic in request.topic_data {
                for p in topic.partition_data {
                    read.push((topic.name.to_string(), *topic.topic_id.as_bytes(), p.index, p.records.unwrap()));
                }
            }
            let sent = batches.iter().map(|b| match version {
                13 => (String::new(), b.topic_id.0, b.partition, b.batch.clone()),
                _ => (b.topic.to_string(), [0; 16], b.partition, b.batch.clone()),
            });
            assert_eq!(read, sent.collect::<Vec<_>>(), "v{version}");
        }
    }

    #[test]
    fn batches_of_one_topic_are_one_topic() {
        for version in VERSIONS {
            let (_, request) =
                decode(encode("", version, None, 1, 1, &[to("a", 0, 100), to("a", 1, 100), to("bb", 0, 100)]));
            let partitions: Vec<_> = request.topic_data.iter().map(|t| t.partition_data.len()).collect();
            assert_eq!((partitions, request.transactional_id), (vec![2, 1], None));
            assert!(decode(encode("", version, None, 1, 1, &[])).1.topic_data.is_empty());
        }
    }

    #[test]
    fn a_batch_is_sent_from_where_it_was_sealed() {
        let batches = [to("a", 0, 100), to("a", 1, 100)];
        for version in VERSIONS {
            let frame = encode("c", version, None, 1, 1, &batches);
            for batch in &batches {
                assert!(frame.tail.iter().any(|slice| slice.as_ptr() == batch.batch.as_ptr()));
            }
        }
    }
}
