//! How transactions end: the coordinator's answers on which the exactly-once sink rests, row by row.

use super::requests::{describe, fetch_committed, init};
use super::{BOTH, Script, TWO, Talk, Tv};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "txn-commit-twice", versions: BOTH, tell: commit_twice },
    Script { name: "txn-abort-twice", versions: BOTH, tell: abort_twice },
    Script { name: "txn-older-end-version", versions: TWO, tell: older_end_version },
    Script { name: "txn-old-epoch-newer-open", versions: BOTH, tell: old_epoch_while_newer_is_open },
    Script { name: "txn-fenced", versions: BOTH, tell: fenced },
    Script { name: "txn-timed-out", versions: BOTH, tell: timed_out },
    Script { name: "txn-empty-or-unknown", versions: BOTH, tell: empty_or_unknown },
    Script { name: "txn-states", versions: BOTH, tell: states },
];

fn commit_twice(talk: &mut Talk) {
    talk.topic("txn-commit-twice", 1, &[]);
    let txn = talk.init("a producer", "txn-commit-twice", 60_000);
    talk.txn_produce("one record", &txn, "txn-commit-twice", 0, &["x"]);
    talk.reconnect();
    talk.end("commit, from a connection that never produced", &txn, true);
    talk.end("the same commit again, later", &txn, true);
    let version = talk.end_version();
    talk.ask("abort after it", version, &txn.end(false));
    talk.ask("what readers see", 12, &fetch_committed("txn-commit-twice", 0));
    talk.ask("described", 0, &describe(&["txn-commit-twice"]));
}

fn abort_twice(talk: &mut Talk) {
    talk.topic("txn-abort-twice", 1, &[]);
    let txn = talk.init("a producer", "txn-abort-twice", 60_000);
    talk.txn_produce("one record", &txn, "txn-abort-twice", 0, &["x"]);
    talk.end("abort", &txn, false);
    talk.end("the same abort again, later", &txn, false);
    let version = talk.end_version();
    talk.ask("commit after it", version, &txn.end(true));
    talk.ask("what readers see", 12, &fetch_committed("txn-abort-twice", 0));
    talk.ask("described", 0, &describe(&["txn-abort-twice"]));
}

fn older_end_version(talk: &mut Talk) {
    talk.topic("txn-older-end-version", 1, &[]);
    let txn = talk.init("a producer", "txn-older-end-version", 60_000);
    talk.txn_produce("one record", &txn, "txn-older-end-version", 0, &["x"]);
    talk.end("commit", &txn, true);
    talk.ask("the same commit at version 4: what an older client does on every restart", 4, &txn.end(true));
    talk.ask("described", 0, &describe(&["txn-older-end-version"]));
}

fn old_epoch_while_newer_is_open(talk: &mut Talk) {
    let topic = "txn-old-epoch-newer-open";
    talk.topic(topic, 1, &[]);
    let first = talk.init("a producer", topic, 60_000);
    talk.txn_produce("the first transaction", &first, topic, 0, &["first"]);
    let second = talk.end("is committed", &first, true);
    let sequence = if talk.tv == Tv::One { 1 } else { 0 };
    talk.txn_produce("the second transaction", &second, topic, sequence, &["second"]);
    let version = talk.end_version();
    talk.ask("the first commit again", version, &first.end(true));
    talk.wait_complete(topic);
    talk.ask("described: version 1 cannot tell them apart", 0, &describe(&[topic]));
    talk.ask("what readers see", 12, &fetch_committed(topic, 0));
}

fn fenced(talk: &mut Talk) {
    talk.topic("txn-fenced", 1, &[]);
    let first = talk.init("a producer", "txn-fenced", 60_000);
    talk.txn_produce("an open transaction", &first, "txn-fenced", 0, &["lost"]);
    let second = talk.init("another producer of the id: aborts and fences", "txn-fenced", 60_000);
    let (end, produce) = (talk.end_version(), talk.produce_version());
    talk.ask("the first commits", end, &first.end(true));
    talk.ask("the first aborts", end, &first.end(false));
    talk.ask("the first writes on", produce, &first.produce("txn-fenced", 1, &["late"]));
    talk.ask("the first adds a partition", 3, &first.add_partition("txn-fenced", 0));
    let again = init("txn-fenced", 60_000).with_producer_id(first.producer_id.into()).with_producer_epoch(first.epoch);
    talk.ask("the first asks for a new epoch", 4, &again);
    talk.txn_produce("the second writes", &second, "txn-fenced", 0, &["kept"]);
    talk.end("and commits", &second, true);
    talk.ask("what readers see", 12, &fetch_committed("txn-fenced", 0));
}

fn timed_out(talk: &mut Talk) {
    talk.topic("txn-timed-out", 1, &[]);
    let txn = talk.init("a producer with a timeout of 300 ms", "txn-timed-out", 300);
    talk.txn_produce("a record", &txn, "txn-timed-out", 0, &["lost"]);
    talk.wait("the timeout", |talk| {
        let answer = talk.exchange(0, &describe(&["txn-timed-out"]));
        &*answer.transaction_states[0].transaction_state == "CompleteAbort"
    });
    talk.ask("described", 0, &describe(&["txn-timed-out"]));
    let (end, produce) = (talk.end_version(), talk.produce_version());
    talk.ask("commit", end, &txn.end(true));
    talk.ask("abort", end, &txn.end(false));
    talk.ask("another record", produce, &txn.produce("txn-timed-out", 1, &["late"]));
    let again = init("txn-timed-out", 60_000).with_producer_id(txn.producer_id.into()).with_producer_epoch(txn.epoch);
    talk.ask("a new epoch for the same producer", 4, &again);
    talk.init("a new producer", "txn-timed-out", 60_000);
    talk.ask("what readers see", 12, &fetch_committed("txn-timed-out", 0));
}

fn empty_or_unknown(talk: &mut Talk) {
    talk.topic("txn-empty-or-unknown", 1, &[]);
    let txn = talk.init("a producer", "txn-empty-or-unknown", 60_000);
    let version = talk.end_version();
    talk.ask("commit of nothing", version, &txn.end(true));
    let txn = talk.end("abort of nothing", &txn, false);
    let mut unknown = txn.clone();
    unknown.id = "txn-never-seen".into();
    talk.ask("commit of an id never seen", version, &unknown.end(true));
    let mut stranger = txn.clone();
    stranger.producer_id += 1_000_000;
    talk.ask("commit by another producer id", version, &stranger.end(true));
    talk.ask("commit by an epoch to come", version, &txn.with_epoch(txn.epoch + 5).end(true));
    talk.ask("a partition added by another producer id", 3, &stranger.add_partition("txn-empty-or-unknown", 0));
    talk.ask("a partition added to an id never seen", 3, &unknown.add_partition("txn-empty-or-unknown", 0));
}

fn states(talk: &mut Talk) {
    talk.topic("txn-states", 2, &[]);
    talk.ask("an id never seen", 0, &describe(&["txn-states"]));
    let txn = talk.init("a producer", "txn-states", 45_000);
    talk.ask("empty", 0, &describe(&["txn-states"]));
    talk.txn_produce("a record", &txn, "txn-states", 0, &["x"]);
    talk.ask("ongoing", 0, &describe(&["txn-states"]));
    let next = talk.end("commit", &txn, true);
    talk.ask("committed", 0, &describe(&["txn-states"]));
    let sequence = if talk.tv == Tv::One { 1 } else { 0 };
    talk.txn_produce("another", &next, "txn-states", sequence, &["y"]);
    talk.end("abort", &next, false);
    talk.ask("aborted", 0, &describe(&["txn-states"]));
    talk.init("the producer again", "txn-states", 30_000);
    talk.ask("empty again", 0, &describe(&["txn-states"]));
    talk.ask("two at once, one unknown", 0, &describe(&["txn-states", "txn-states-unknown"]));
}
