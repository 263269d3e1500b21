//! A core driven by hand: requests go in as frames, answers come out decoded, time moves when it is told to.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};

use crate::broker::{ConnectionId, Control, Core, Effect, Event, Settings};
use crate::record::NewRecord;
use crate::types::{ProducerIdentity, TopicPartition};
use crate::wire::batch::{BatchBuilder, ProducerStamp};
use crate::wire::frame::{RequestFrame, decode_response};
use crate::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use crate::wire::messages::fetch_response::PartitionData;
use crate::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use crate::wire::messages::produce_response::PartitionProduceResponse;
use crate::wire::messages::*;
use crate::wire::{Request, StrBytes};

pub(super) const NOW_MS: i64 = 1_700_000_000_000;

pub(super) struct Bench {
    pub(super) core: Core,
    pub(super) now: Instant,
    connections: u64,
    correlation: i32,
    replies: BTreeMap<ConnectionId, VecDeque<Bytes>>,
    pub(super) closed: Vec<ConnectionId>,
}

pub(super) fn text(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

pub(super) fn topic_name(name: &str) -> TopicName {
    TopicName(text(name))
}

impl Bench {
    /// A cluster with topic `t` of two partitions.
    pub(super) fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let core = Core::new(settings, now);
        let mut bench =
            Self { core, now, connections: 0, correlation: 0, replies: BTreeMap::new(), closed: Vec::new() };
        bench.control(Control::CreateTopic { name: "t".into(), partitions: 2, configs: BTreeMap::new() });
        bench
    }

    pub(super) fn step(&mut self, event: Event) {
        for effect in self.core.step(self.now, event) {
            match effect {
                Effect::Reply(connection, mut frame) => {
                    frame.advance(4);
                    self.replies.entry(connection).or_default().push_back(frame);
                }
                Effect::Close(connection) => self.closed.push(connection),
            }
        }
    }

    pub(super) fn control(&mut self, control: Control) {
        self.step(Event::Control(control));
    }

    pub(super) fn connect(&mut self, broker: i32) -> ConnectionId {
        self.connections += 1;
        let id = ConnectionId(self.connections);
        self.step(Event::Connected(id, broker));
        id
    }

    /// Lets time pass, each timer at its own time.
    pub(super) fn wait(&mut self, time: Duration) {
        let until = self.now + time;
        while let Some(next) = self.core.poll_timeout().filter(|next| *next <= until) {
            self.now = next.max(self.now);
            self.step(Event::Tick);
        }
        self.now = until;
        self.step(Event::Tick);
    }

    pub(super) fn send<Q: Request>(&mut self, connection: ConnectionId, version: i16, request: &Q) {
        let mut frame = RequestFrame::encode("test", version, request).unwrap();
        self.correlation += 1;
        frame.set_correlation_id(self.correlation);
        let mut bytes: BytesMut = frame.head;
        frame.tail.iter().for_each(|tail| bytes.extend_from_slice(tail));
        let mut bytes = bytes.freeze();
        bytes.advance(4);
        self.step(Event::Request(connection, bytes));
    }

    /// The next answer on the connection, if it has come.
    pub(super) fn answer<Q: Request>(&mut self, connection: ConnectionId, version: i16) -> Option<Q::Response> {
        let frame = self.replies.get_mut(&connection)?.pop_front()?;
        Some(decode_response::<Q>(version, frame).unwrap())
    }

    /// Sends and takes the answer, which must come at once.
    pub(super) fn ask<Q: Request>(&mut self, connection: ConnectionId, version: i16, request: &Q) -> Q::Response {
        self.send(connection, version, request);
        self.answer::<Q>(connection, version).expect("the answer comes at once")
    }

    /// Produces to partition 0 of `t` with acks=all.
    pub(super) fn produce(&mut self, c: ConnectionId, version: i16, batch: Vec<u8>) -> PartitionProduceResponse {
        let request = produce_request(self, version, batch, -1);
        produced(self.ask(c, version, &request))
    }

    pub(super) fn fetch(&mut self, c: ConnectionId, version: i16, request: &FetchRequest) -> PartitionData {
        fetched(self.ask(c, version, request))
    }

    pub(super) fn high_watermark(&self) -> i64 {
        self.core.topics.partition(&tp(0)).unwrap().log.high_watermark()
    }

    pub(super) fn last_stable_offset(&self) -> i64 {
        self.core.topics.partition(&tp(0)).unwrap().log.last_stable_offset()
    }
}

pub(super) fn tp(partition: i32) -> TopicPartition {
    TopicPartition::new("t", partition)
}

pub(super) fn produced(response: ProduceResponse) -> PartitionProduceResponse {
    response.responses.into_iter().next().unwrap().partition_responses.into_iter().next().unwrap()
}

pub(super) fn fetched(response: FetchResponse) -> PartitionData {
    assert_eq!(response.error_code, 0);
    response.responses.into_iter().next().unwrap().partitions.into_iter().next().unwrap()
}

pub(super) fn produce_request(bench: &Bench, version: i16, batch: Vec<u8>, acks: i16) -> ProduceRequest {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(batch.into()));
    let mut topic = TopicProduceData::default().with_partition_data(vec![data]);
    if version >= 13 {
        topic.topic_id = super::super::api::wire_id(bench.core.topics.get("t").unwrap().id);
    } else {
        topic.name = topic_name("t");
    }
    ProduceRequest::default()
        .with_acks(acks)
        .with_timeout_ms(1000)
        .with_transactional_id(Some(TransactionalId(text("x"))))
        .with_topic_data(vec![topic])
}

pub(super) fn fetch_request(offset: i64, isolation: i8) -> FetchRequest {
    let partition =
        FetchPartition::default().with_partition(0).with_fetch_offset(offset).with_partition_max_bytes(1 << 20);
    let topic = FetchTopic::default().with_topic(topic_name("t")).with_partitions(vec![partition]);
    FetchRequest::default()
        .with_max_wait_ms(500)
        .with_min_bytes(1)
        .with_max_bytes(1 << 20)
        .with_isolation_level(isolation)
        .with_session_epoch(-1)
        .with_topics(vec![topic])
}

/// A batch of `count` records with 10-byte values.
pub(super) fn batch(stamp: ProducerStamp, count: usize) -> Vec<u8> {
    batch_at(stamp, count, NOW_MS)
}

pub(super) fn batch_at(stamp: ProducerStamp, count: usize, timestamp_ms: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::new(), 1 << 20);
    for _ in 0..count {
        builder.append(&NewRecord::value(b"0123456789"), timestamp_ms).unwrap();
    }
    builder.seal(stamp)
}

pub(super) fn plain() -> ProducerStamp {
    ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false }
}

pub(super) fn stamped(producer: ProducerIdentity, base_sequence: i32) -> ProducerStamp {
    ProducerStamp { producer, base_sequence, is_transactional: false }
}

pub(super) fn transactional(producer: ProducerIdentity, base_sequence: i32) -> ProducerStamp {
    ProducerStamp { producer, base_sequence, is_transactional: true }
}
