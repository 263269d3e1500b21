//! What a producer may do with its id and in a transaction: epochs, timeouts, partitions not added, lists of transactions.

use kafka_protocol::messages::describe_producers_request::TopicRequest;
use kafka_protocol::messages::{
    DescribeProducersRequest, InitProducerIdRequest, ListTransactionsRequest, ProducerId, TransactionalId,
};

use super::records::{From, batch};
use super::requests::{Txn, describe, init, produce, text, topic_name};
use super::{BOTH, Script, Talk, Tv};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "init-producer-id", versions: BOTH, tell: init_producer_id },
    Script { name: "txn-partition-not-added", versions: BOTH, tell: partition_not_added },
    Script { name: "txn-sequences", versions: BOTH, tell: sequences },
    Script { name: "list-transactions", versions: BOTH, tell: list_transactions },
    Script { name: "describe-producers", versions: BOTH, tell: describe_producers },
];

fn init_producer_id(talk: &mut Talk) {
    let id = "init-producer-id";
    let none = InitProducerIdRequest::default()
        .with_transactional_id(None)
        .with_transaction_timeout_ms(0)
        .with_producer_id(ProducerId(-1))
        .with_producer_epoch(-1);
    talk.ask("without a transactional id", 4, &none);
    talk.ask("again: another id", 4, &none);
    let first = talk.init("with one", id, 60_000);
    let second = talk.init("again: the next epoch", id, 60_000);
    let known =
        |txn: &Txn| init(id, 60_000).with_producer_id(ProducerId(txn.producer_id)).with_producer_epoch(txn.epoch);
    let answer = talk.ask("by the current producer: the next epoch", 4, &known(&second));
    talk.ask("the same again, as after a lost answer", 4, &known(&second));
    talk.ask("by a fenced producer", 4, &known(&first));
    let third = second.with_epoch(answer.producer_epoch);
    talk.ask("by an epoch to come", 4, &known(&third.with_epoch(third.epoch + 7)));
    let mut stranger = third.clone();
    stranger.producer_id += 1_000_000;
    talk.ask("by another producer id", 4, &known(&stranger));
    talk.ask("a timeout above the broker's maximum", 4, &init(id, 900_001));
    talk.ask("a timeout of 0", 4, &init(id, 0));
    talk.ask("an empty id", 4, &init(id, 60_000).with_transactional_id(Some(TransactionalId(text("")))));
    talk.ask("an epoch without a producer id", 4, &init(id, 60_000).with_producer_epoch(1));
    talk.ask("described", 0, &describe(&[id]));
}

fn partition_not_added(talk: &mut Talk) {
    talk.topic("txn-partition-not-added", 1, &[]);
    let topic = "txn-partition-not-added";
    let txn = talk.init("a producer", topic, 60_000);
    talk.ask("version 11: partitions must be added first", 11, &txn.produce(topic, 0, &["x"]));
    if talk.tv == Tv::Two {
        talk.ask_settled("version 12: producing adds them", 12, &txn.produce(topic, 0, &["x"]));
        let mut empty = txn.produce(topic, 1, &["y"]);
        empty.transactional_id = None;
        talk.ask("the transactional id left out", 12, &empty);
    }
    talk.ask("described", 0, &describe(&[topic]));
    talk.ask("an unknown partition is added", 3, &txn.add_partition(topic, 9));
    talk.ask("an unknown topic is added", 3, &txn.add_partition("txn-no-such-topic", 0));
}

fn sequences(talk: &mut Talk) {
    talk.topic("txn-sequences", 1, &[]);
    let topic = "txn-sequences";
    let txn = talk.init("a producer", topic, 60_000);
    talk.txn_produce("the first", &txn, topic, 0, &["0"]);
    let version = talk.produce_version();
    talk.ask("again", version, &txn.produce(topic, 0, &["0"]));
    talk.ask("a gap", version, &txn.produce(topic, 2, &["2"]));
    talk.ask("an epoch to come", version, &txn.with_epoch(txn.epoch + 1).produce(topic, 0, &["?"]));
    let plain = From { transactional: false, ..txn.from(1) };
    talk.ask("not transactional in the middle of it", version, &produce(topic, 0, batch(plain, &["plain"])));
    let next = talk.end("commit", &txn, true);
    let sequence = if talk.tv == Tv::One { 1 } else { 0 };
    talk.txn_produce("the next transaction", &next, topic, sequence, &["1"]);
    talk.ask("the same again", version, &next.produce(topic, sequence, &["1"]));
    talk.end("abort", &next, false);
}

fn list_transactions(talk: &mut Talk) {
    talk.topic("list-transactions", 1, &[]);
    let list = |state: Option<&str>, txn: &Txn| {
        ListTransactionsRequest::default()
            .with_state_filters(state.iter().map(|state| text(state)).collect())
            .with_producer_id_filters(vec![ProducerId(txn.producer_id)])
            .with_duration_filter(-1)
    };
    let txn = talk.init("a producer", "list-transactions", 60_000);
    talk.ask("by producer id: empty", 0, &list(None, &txn));
    talk.txn_produce("a record", &txn, "list-transactions", 0, &["x"]);
    talk.ask("ongoing", 0, &list(None, &txn));
    talk.ask("filtered by another state", 0, &list(Some("CompleteCommit"), &txn));
    talk.ask("filtered by its state", 1, &list(Some("Ongoing"), &txn));
    talk.ask("filtered by a state Kafka does not know", 0, &list(Some("Sleeping"), &txn));
    talk.ask("open for an hour", 1, &list(None, &txn).with_duration_filter(3_600_000));
    let pattern = |pattern: &str| list(None, &txn).with_transactional_id_pattern(Some(text(pattern)));
    talk.ask("by a pattern that fits", 2, &pattern("list-.*"));
    talk.ask("by a pattern that does not", 2, &pattern("list"));
    talk.ask("by a pattern that is none", 2, &pattern("list("));
    talk.end("commit", &txn, true);
    talk.ask("committed", 0, &list(None, &txn));
}

fn describe_producers(talk: &mut Talk) {
    talk.topic("describe-producers", 1, &[]);
    let producers = |partition| {
        let topic =
            TopicRequest::default().with_name(topic_name("describe-producers")).with_partition_indexes(vec![partition]);
        DescribeProducersRequest::default().with_topics(vec![topic])
    };
    talk.ask("nobody wrote", 0, &producers(0));
    let txn = talk.init("a producer", "describe-producers", 60_000);
    talk.txn_produce("two records", &txn, "describe-producers", 0, &["a", "b"]);
    talk.ask("one, with an open transaction", 0, &producers(0));
    talk.end("commit", &txn, true);
    talk.ask("and none open", 0, &producers(0));
    talk.ask("an unknown partition", 0, &producers(4));
}
