//! Offsets in a transaction: pending until it ends, the marker by which a lost commit is told from a done one.

use super::requests::{fetch_committed, offset_commit, offset_fetch};
use super::{BOTH, Script, Talk, Tv};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "txn-offsets", versions: BOTH, tell: offsets },
    Script { name: "txn-offsets-refused", versions: BOTH, tell: refused },
    Script { name: "txn-offsets-with-records", versions: BOTH, tell: with_records },
];

fn offsets(talk: &mut Talk) {
    talk.topic("txn-offsets", 1, &[]);
    let group = "txn-offsets-group";
    let fetch = || offset_fetch(group, "txn-offsets", vec![0]);
    let stable = || fetch().with_require_stable(true);
    let version = talk.offsets_version();
    let mut txn = talk.init("a producer", "txn-offsets", 60_000);
    for (offset, committed) in [(7, true), (9, false), (11, true)] {
        if talk.tv == Tv::One {
            talk.ask_settled("the group joins the transaction", 3, &txn.add_offsets(group));
        }
        talk.ask_settled(
            "an offset, no members, generation -1",
            version,
            &txn.commit_offset(group, "txn-offsets", offset),
        );
        talk.ask("fetched, stable, while open", 8, &stable());
        talk.ask("fetched while open", 8, &fetch());
        txn = talk.end(if committed { "commit" } else { "abort" }, &txn, committed);
        talk.ask_until("fetched, stable, after the end", 8, &stable(), |text| !text.contains("UNSTABLE"));
    }
}

fn refused(talk: &mut Talk) {
    talk.topic("txn-offsets-refused", 1, &[]);
    let (topic, group, version) = ("txn-offsets-refused", "txn-offsets-refused", talk.offsets_version());
    let txn = talk.init("a producer", topic, 60_000);
    let mut stranger = txn.clone();
    stranger.producer_id += 1_000_000;
    talk.ask("by another producer id", version, &stranger.commit_offset(group, topic, 1));
    talk.ask("by an epoch to come", version, &txn.with_epoch(txn.epoch + 3).commit_offset(group, topic, 1));
    talk.ask("the group added by another producer id", 3, &stranger.add_offsets(group));
    talk.ask("an unknown topic", version, &txn.commit_offset(group, "txn-offsets-unknown", 1));
    let mut member = txn.commit_offset(group, topic, 1);
    member.generation_id = 4;
    member.member_id = super::requests::text("nobody");
    talk.ask("as a member of a group without members", version, &member);
    talk.ask("what stands", 8, &offset_fetch(group, topic, vec![0]));
}

fn with_records(talk: &mut Talk) {
    let (topic, group) = ("txn-offsets-with-records", "txn-offsets-with-records");
    talk.topic(topic, 1, &[]);
    talk.ask("an offset from before", 8, &offset_commit(group, topic, 0, 1));
    let txn = talk.init("a producer", topic, 60_000);
    talk.txn_produce("a record", &txn, topic, 0, &["x"]);
    if talk.tv == Tv::One {
        talk.ask("the group joins the transaction", 3, &txn.add_offsets(group));
    }
    let version = talk.offsets_version();
    talk.ask("its offset", version, &txn.commit_offset(group, topic, 2));
    talk.init("another producer: the transaction is aborted", topic, 60_000);
    let stable = offset_fetch(group, topic, vec![0]).with_require_stable(true);
    talk.ask_until("the offset from before stands", 8, &stable, |text| !text.contains("UNSTABLE"));
    talk.ask("and no record is seen", 12, &fetch_committed(topic, 0));
}
