//! A group's offsets without members: written, read, refused.

use kafka_protocol::messages::GroupId;

use super::requests::{offset_commit, offset_fetch, text};
use super::{Script, TWO, Talk};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "offsets", versions: TWO, tell: offsets },
    Script { name: "offsets-refused", versions: TWO, tell: refused },
];

const GROUP: &str = "offsets-group";

fn offsets(talk: &mut Talk) {
    talk.topic("offsets", 3, &[]);
    talk.ask("of a group never seen", 8, &offset_fetch(GROUP, "offsets", vec![0]));
    talk.ask("commit", 8, &offset_commit(GROUP, "offsets", 0, 10));
    let mut with_metadata = offset_commit(GROUP, "offsets", 1, 20);
    with_metadata.topics[0].partitions[0].committed_metadata = Some(text("a note"));
    with_metadata.topics[0].partitions[0].committed_leader_epoch = 0;
    talk.ask("commit with metadata and epoch", 8, &with_metadata);
    talk.ask("fetch, one never committed", 8, &offset_fetch(GROUP, "offsets", vec![0, 1, 2]));
    talk.ask("back to an earlier offset", 8, &offset_commit(GROUP, "offsets", 0, 3));
    let mut everything = offset_fetch(GROUP, "offsets", vec![0]);
    everything.groups[0].topics = None;
    let answer = talk.exchange(8, &everything);
    assert_eq!(answer.groups[0].topics[0].partitions.len(), 2, "all topics: only what was committed");
    talk.ask("an unknown topic", 8, &offset_fetch(GROUP, "offsets-unknown", vec![0]));
    talk.ask("require stable", 8, &offset_fetch(GROUP, "offsets", vec![0]).with_require_stable(true));
    let mut two = offset_fetch(GROUP, "offsets", vec![0]);
    two.groups.extend(offset_fetch("offsets-other", "offsets", vec![0]).groups);
    talk.ask("two groups", 8, &two);
}

fn refused(talk: &mut Talk) {
    talk.topic("offsets-refused", 1, &[]);
    let commit = |partition, offset| offset_commit("offsets-refused", "offsets-refused", partition, offset);
    talk.ask("an unknown topic", 8, &offset_commit("offsets-refused", "offsets-refused-unknown", 0, 1));
    talk.ask("an unknown partition", 8, &commit(8, 1));
    let mut noted = commit(0, 1);
    noted.topics[0].partitions[0].committed_metadata = Some(text(&"m".repeat(5000)));
    talk.ask("metadata of 5000 bytes", 8, &noted);
    talk.ask("with a generation and no member", 8, &commit(0, 1).with_generation_id_or_member_epoch(3));
    let member = commit(0, 1).with_generation_id_or_member_epoch(3).with_member_id(text("nobody"));
    talk.ask("as a member of a group that does not exist", 8, &member);
    talk.ask("without a group", 8, &commit(0, 1).with_group_id(GroupId(text(""))));
    talk.ask("a good one", 8, &commit(0, 5));
    let late = commit(0, 6).with_generation_id_or_member_epoch(3).with_member_id(text("nobody"));
    talk.ask("as a member of a group without members", 8, &late);
    talk.ask("what stands", 8, &offset_fetch("offsets-refused", "offsets-refused", vec![0]));
}
