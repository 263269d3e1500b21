//! Producing without transactions: acknowledgements, sequences, epochs and every way a batch is refused.

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{InitProducerIdRequest, ProduceRequest, ProducerId};
use uuid::Uuid;

use super::records::{From, NOBODY, batch, batch_at};
use super::requests::{fetch, fetch_partition, list_offsets, produce};
use super::{Script, TWO, Talk};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "produce-acks", versions: TWO, tell: acks },
    Script { name: "produce-duplicates", versions: TWO, tell: duplicates },
    Script { name: "produce-sequences", versions: TWO, tell: sequences },
    Script { name: "produce-epochs", versions: TWO, tell: epochs },
    Script { name: "produce-sequence-wrap", versions: TWO, tell: sequence_wrap },
    Script { name: "produce-refused", versions: TWO, tell: refused },
    Script { name: "produce-broken-batches", versions: TWO, tell: broken_batches },
    Script { name: "produce-by-id", versions: TWO, tell: by_id },
];

/// A new producer id, as an idempotent producer gets it.
fn idempotent(talk: &mut Talk) -> From {
    let request = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(i32::MAX)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    let answer = talk.ask("a producer id", 4, &request);
    let (producer_id, producer_epoch) = (answer.producer_id.0, answer.producer_epoch);
    From { producer_id, producer_epoch, sequence: 0, transactional: false }
}

fn at(from: From, sequence: i32) -> From {
    From { sequence, ..from }
}

/// Sends one batch to partition 0 of the script's topic.
fn send(talk: &mut Talk, note: &str, from: From, values: &[&str]) {
    let request = produce(talk.name, 0, batch(from, values));
    talk.ask(note, 11, &request);
}

fn acks(talk: &mut Talk) {
    talk.topic("produce-acks", 2, &[]);
    let with = |acks, value| produce("produce-acks", 0, batch(NOBODY, &[value])).with_acks(acks);
    talk.ask("acks all", 11, &with(-1, "all"));
    talk.ask("acks 1", 11, &with(1, "leader"));
    talk.tell("acks 0", 11, &with(0, "none"));
    talk.ask("acks 0 to an unknown partition would close; this is acks all after it", 11, &with(-1, "after"));
    talk.ask("acks 2", 11, &with(2, "two"));
    talk.ask("version 3", 3, &with(-1, "old"));
    talk.ask("three records at once", 11, &produce("produce-acks", 0, batch(NOBODY, &["a", "b", "c"])));
    talk.ask("the end", 7, &list_offsets("produce-acks", 0, -1));
    talk.ask("what is there", 12, &fetch("produce-acks", vec![fetch_partition(0, 0)]));
}

fn duplicates(talk: &mut Talk) {
    talk.topic("produce-duplicates", 1, &[]);
    let me = idempotent(talk);
    send(talk, "the first two", at(me, 0), &["0", "1"]);
    send(talk, "again: the same offset, nothing written", at(me, 0), &["0", "1"]);
    for sequence in 2..7 {
        send(talk, "one more", at(me, sequence), &["x"]);
    }
    send(talk, "the last again", at(me, 6), &["x"]);
    send(talk, "the fifth last again", at(me, 2), &["x"]);
    send(talk, "one that the last five no longer hold", at(me, 0), &["0", "1"]);
    send(talk, "overlapping the last", at(me, 6), &["x", "y"]);
    talk.ask("the end", 7, &list_offsets("produce-duplicates", 0, -1));
}

fn sequences(talk: &mut Talk) {
    talk.topic("produce-sequences", 2, &[]);
    let me = idempotent(talk);
    send(talk, "the first", at(me, 0), &["0"]);
    send(talk, "a gap", at(me, 2), &["2"]);
    send(talk, "the gap closed", at(me, 1), &["1"]);
    send(talk, "now in order", at(me, 2), &["2"]);
    let request = produce("produce-sequences", 1, batch(at(me, 5), &["5"]));
    talk.ask("another partition, which knows nothing of it, not from 0", 11, &request);
    let stranger = From { producer_id: 4_000_000, ..me };
    send(talk, "a producer id never handed out, not from 0", at(stranger, 3), &["?"]);
    send(talk, "a producer id never handed out, from 0", at(stranger, 0), &["?"]);
}

fn epochs(talk: &mut Talk) {
    talk.topic("produce-epochs", 1, &[]);
    let me = idempotent(talk);
    let epoch = |producer_epoch, sequence| From { producer_epoch, sequence, ..me };
    send(talk, "epoch 0", epoch(0, 0), &["0"]);
    send(talk, "epoch 1, but not from 0", epoch(1, 1), &["1"]);
    send(talk, "epoch 1 from 0", epoch(1, 0), &["1"]);
    send(talk, "epoch 0 is over", epoch(0, 1), &["2"]);
    send(talk, "a batch of epoch 0 again", epoch(0, 0), &["0"]);
    send(talk, "epoch 3 from 0", epoch(3, 0), &["3"]);
    talk.ask("what is there", 12, &fetch("produce-epochs", vec![fetch_partition(0, 0)]));
}

fn sequence_wrap(talk: &mut Talk) {
    talk.topic("produce-sequence-wrap", 1, &[]);
    let me = idempotent(talk);
    let batch = |sequence, values: &[&str]| produce("produce-sequence-wrap", 0, batch(at(me, sequence), values));
    talk.ask("the last but one sequence", 11, &batch(i32::MAX - 1, &["a"]));
    talk.ask("the last sequence", 11, &batch(i32::MAX, &["b"]));
    talk.ask("0 follows it", 11, &batch(0, &["c"]));
    talk.ask("1 follows 0", 11, &batch(1, &["d"]));
    talk.ask("the end", 7, &list_offsets("produce-sequence-wrap", 0, -1));
}

fn refused(talk: &mut Talk) {
    talk.topic("produce-refused", 1, &[("max.message.bytes", "500")]);
    let big = "x".repeat(600);
    let send = |topic: &str, partition, value: &str| produce(topic, partition, batch(NOBODY, &[value]));
    talk.ask("larger than the topic takes", 11, &send("produce-refused", 0, &big));
    talk.ask("an unknown topic", 11, &send("produce-refused-unknown", 0, "x"));
    talk.ask("an unknown partition", 11, &send("produce-refused", 7, "x"));
    talk.ask("a negative partition", 11, &send("produce-refused", -1, "x"));
    talk.ask("one that fits", 11, &send("produce-refused", 0, "x"));
    let transactional = From { producer_id: 1, producer_epoch: 0, sequence: 0, transactional: true };
    talk.ask("a topic that is not there, version 12", 12, &send("produce-refused-unknown", 0, "x"));
    talk.ask("a transactional batch without an id", 11, &produce("produce-refused", 0, batch(transactional, &["x"])));
    let mut both = send("produce-refused", 0, "good");
    both.topic_data.extend(send("produce-refused-unknown", 0, "x").topic_data);
    talk.ask("good and bad in one request", 11, &both);
    talk.ask("the end", 7, &list_offsets("produce-refused", 0, -1));
}

fn broken_batches(talk: &mut Talk) {
    talk.topic("produce-broken-batches", 1, &[]);
    let good = batch(NOBODY, &["value"]);
    let flip = |at: usize| {
        let mut bytes = BytesMut::from(&good[..]);
        bytes[at] ^= 1;
        produce("produce-broken-batches", 0, bytes.freeze())
    };
    talk.ask("a wrong checksum", 11, &flip(17));
    talk.ask("a changed value", 11, &flip(good.len() - 2));
    let future = batch_at(4_000_000_000_000, NOBODY, &["later"]);
    talk.ask("a time in the next century", 11, &produce("produce-broken-batches", 0, future));
    let two = [&good[..], &good[..]].concat();
    talk.ask("two batches for one partition", 11, &produce("produce-broken-batches", 0, Bytes::from(two)));
    talk.ask("the good one", 11, &produce("produce-broken-batches", 0, good.clone()));
    talk.ask("the end", 7, &list_offsets("produce-broken-batches", 0, -1));
}

fn by_id(talk: &mut Talk) {
    let id = talk.topic("produce-by-id", 1, &[]);
    let send = |id: Uuid| -> ProduceRequest {
        let mut request = produce("", 0, batch(NOBODY, &["x"]));
        request.topic_data[0].topic_id = id;
        request
    };
    talk.ask("by id", 13, &send(id));
    talk.ask("an unknown id", 13, &send(Uuid::from_u128(0xabcd)));
    talk.ask("no id", 13, &send(Uuid::nil()));
}
