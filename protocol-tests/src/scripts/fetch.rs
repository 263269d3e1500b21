//! Fetching and looking offsets up: positions, limits, sessions, isolation, epochs.

use kafka_protocol::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use kafka_protocol::messages::fetch_request::ForgottenTopic;
use kafka_protocol::messages::offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
use kafka_protocol::messages::{DeleteRecordsRequest, FetchRequest, OffsetForLeaderEpochRequest};
use uuid::Uuid;

use super::records::{NOBODY, TIME_MS, batch, batch_at};
use super::requests::{fetch, fetch_committed, fetch_partition, list_offsets, produce, topic_name};
use super::{BOTH, Script, TWO, Talk};

pub(super) const SCRIPTS: &[Script] = &[
    Script { name: "fetch-positions", versions: TWO, tell: positions },
    Script { name: "fetch-by-id", versions: TWO, tell: by_id },
    Script { name: "fetch-limits", versions: TWO, tell: limits },
    Script { name: "fetch-sessions", versions: TWO, tell: sessions },
    Script { name: "fetch-isolation", versions: BOTH, tell: isolation },
    Script { name: "fetch-leader-epochs", versions: TWO, tell: leader_epochs },
    Script { name: "list-offsets", versions: TWO, tell: offsets_by_time },
    Script { name: "delete-records", versions: TWO, tell: delete_records },
];

/// The script's topic with `count` batches of one record in partition 0.
fn filled(talk: &mut Talk, partitions: i32, count: i64) -> Uuid {
    let name = talk.name;
    let id = talk.topic(name, partitions, &[]);
    for at in 0..count {
        let batch = batch_at(TIME_MS + at * 1000, NOBODY, &[&format!("v{at}")]);
        let answer = talk.exchange(11, &produce(name, 0, batch));
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    id
}

fn positions(talk: &mut Talk) {
    filled(talk, 1, 3);
    let from = |partition, offset| fetch("fetch-positions", vec![fetch_partition(partition, offset)]);
    talk.ask("from the beginning", 12, &from(0, 0));
    talk.ask("from the middle", 12, &from(0, 1));
    talk.ask("at the end", 12, &from(0, 3));
    talk.ask("at the end, waiting 100 ms", 12, &from(0, 3).with_max_wait_ms(100));
    talk.ask("past the end", 12, &from(0, 4));
    talk.ask("before the beginning", 12, &from(0, -1));
    talk.ask("an unknown partition", 12, &from(9, 0));
    talk.ask("an unknown topic", 12, &fetch("fetch-positions-unknown", vec![fetch_partition(0, 0)]));
    talk.ask(
        "good and bad partitions together",
        12,
        &fetch("fetch-positions", vec![fetch_partition(0, 2), fetch_partition(9, 0)]),
    );
    talk.ask("version 4", 4, &from(0, 2));
}

fn by_id(talk: &mut Talk) {
    let id = filled(talk, 1, 1);
    let from = |id: Uuid| {
        let mut request = fetch("", vec![fetch_partition(0, 0)]);
        request.topics[0].topic_id = id;
        request
    };
    talk.ask("by id", 13, &from(id));
    talk.ask("an unknown id", 13, &from(Uuid::from_u128(0xabcd)));
    talk.ask("the newest version", 17, &from(id));
}

fn limits(talk: &mut Talk) {
    filled(talk, 1, 4);
    let with = |partition_bytes, max_bytes| {
        let partition = fetch_partition(0, 0).with_partition_max_bytes(partition_bytes);
        fetch("fetch-limits", vec![partition]).with_max_bytes(max_bytes)
    };
    talk.ask("one byte: the first batch comes whole", 12, &with(1, 1 << 20));
    talk.ask("one byte in all: the same", 12, &with(1 << 20, 1));
    talk.ask("no bytes at all", 12, &with(0, 1 << 20));
    let bytes = i32::try_from(batch(NOBODY, &["v0"]).len()).expect("small");
    talk.ask("room for two batches", 12, &with(bytes * 2, 1 << 20));
    talk.ask("room for two and a half", 12, &with(bytes * 2 + bytes / 2, 1 << 20));
    let waits = with(1 << 20, 1 << 20).with_min_bytes(1 << 20).with_max_wait_ms(50);
    talk.ask("more than there is: what is there after the wait", 12, &waits);
}

fn sessions(talk: &mut Talk) {
    filled(talk, 2, 1);
    let session = |id, epoch, partitions: Vec<_>| {
        let request = fetch("fetch-sessions", partitions).with_session_id(id).with_session_epoch(epoch);
        if request.topics[0].partitions.is_empty() { request.with_topics(vec![]) } else { request }
    };
    let both = vec![fetch_partition(0, 0), fetch_partition(1, 0)];
    let id = talk.ask("a new session", 12, &session(0, 0, both)).session_id;
    talk.ask("partition 0 moves on; 1 has nothing new", 12, &session(id, 1, vec![fetch_partition(0, 1)]));
    talk.ask("nothing changes", 12, &session(id, 2, vec![]));
    talk.exchange(11, &produce("fetch-sessions", 1, batch(NOBODY, &["new"])));
    talk.ask("only partition 1 has news", 12, &session(id, 3, vec![]));
    talk.ask("not fetched past: the same again", 12, &session(id, 4, vec![]));
    let forgotten = ForgottenTopic::default().with_topic(topic_name("fetch-sessions")).with_partitions(vec![1]);
    let forgets: FetchRequest = session(id, 5, vec![]).with_forgotten_topics_data(vec![forgotten]);
    talk.ask("partition 1 is forgotten", 12, &forgets);
    talk.ask("a repeated epoch", 12, &session(id, 5, vec![]));
    talk.ask("a skipped epoch", 12, &session(id, 9, vec![]));
    talk.ask("an unknown session", 12, &session(1_234_567, 1, vec![]));
    talk.ask("closed by a last full fetch", 12, &session(id, -1, vec![fetch_partition(0, 0)]));
    talk.ask("and gone", 12, &session(id, 6, vec![]));
}

fn isolation(talk: &mut Talk) {
    talk.topic("fetch-isolation", 1, &[]);
    let all = |offset| fetch("fetch-isolation", vec![fetch_partition(0, offset)]);
    talk.exchange(11, &produce("fetch-isolation", 0, batch(NOBODY, &["plain"])));
    let aborted = talk.init("the first producer", "fetch-isolation-a", 60_000);
    let committed = talk.init("the second producer", "fetch-isolation-b", 60_000);
    talk.txn_produce("the first writes", &aborted, "fetch-isolation", 0, &["a0", "a1"]);
    talk.txn_produce("the second writes", &committed, "fetch-isolation", 0, &["b0"]);
    talk.exchange(11, &produce("fetch-isolation", 0, batch(NOBODY, &["behind"])));
    talk.ask("uncommitted sees all", 12, &all(0));
    talk.ask("committed sees up to the first open transaction", 12, &fetch_committed("fetch-isolation", 0));
    talk.ask("committed at the last stable offset", 12, &fetch_committed("fetch-isolation", 1));
    talk.ask("committed past it", 12, &fetch_committed("fetch-isolation", 3));
    talk.ask("the end, committed", 7, &list_offsets("fetch-isolation", 0, -1).with_isolation_level(1));
    talk.end("the second commits", &committed, true);
    talk.ask("still behind the first", 12, &fetch_committed("fetch-isolation", 0));
    talk.end("the first aborts", &aborted, false);
    talk.ask("everything, and who was aborted", 12, &fetch_committed("fetch-isolation", 0));
    talk.ask("from behind the aborted records", 12, &fetch_committed("fetch-isolation", 3));
    talk.ask("from behind their marker", 12, &fetch_committed("fetch-isolation", 7));
    talk.ask("the end, committed", 7, &list_offsets("fetch-isolation", 0, -1).with_isolation_level(1));
}

fn leader_epochs(talk: &mut Talk) {
    filled(talk, 1, 2);
    let with = |epoch| fetch("fetch-leader-epochs", vec![fetch_partition(0, 0).with_current_leader_epoch(epoch)]);
    talk.ask("the current epoch", 12, &with(0));
    talk.ask("an epoch to come", 12, &with(5));
    let diverged = fetch_partition(0, 1).with_current_leader_epoch(0).with_last_fetched_epoch(3);
    talk.ask("the last record was of an epoch to come", 12, &fetch("fetch-leader-epochs", vec![diverged]));
    let end = |current, epoch| {
        let partition = OffsetForLeaderPartition::default().with_current_leader_epoch(current).with_leader_epoch(epoch);
        let topic = OffsetForLeaderTopic::default()
            .with_topic(topic_name("fetch-leader-epochs"))
            .with_partitions(vec![partition]);
        OffsetForLeaderEpochRequest::default().with_replica_id((-1).into()).with_topics(vec![topic])
    };
    talk.ask("the end of epoch 0", 4, &end(-1, 0));
    talk.ask("the end of an epoch to come", 4, &end(-1, 7));
    talk.ask("asked with an epoch to come", 4, &end(9, 0));
}

fn offsets_by_time(talk: &mut Talk) {
    filled(talk, 2, 4);
    let look = |timestamp| list_offsets("list-offsets", 0, timestamp);
    talk.ask("earliest", 7, &look(-2));
    talk.ask("latest", 7, &look(-1));
    talk.ask("the largest timestamp", 7, &look(-3));
    talk.ask("before all", 7, &look(0));
    talk.ask("exactly the second", 7, &look(TIME_MS + 1000));
    talk.ask("between the second and the third", 7, &look(TIME_MS + 1001));
    talk.ask("after all", 7, &look(TIME_MS + 9000));
    talk.ask("an empty partition, latest", 7, &list_offsets("list-offsets", 1, -1));
    talk.ask("an empty partition, largest timestamp", 7, &list_offsets("list-offsets", 1, -3));
    talk.ask("an empty partition, by time", 7, &list_offsets("list-offsets", 1, TIME_MS));
    talk.ask("an unknown partition", 7, &list_offsets("list-offsets", 7, -1));
    talk.ask("an unknown topic", 7, &list_offsets("list-offsets-unknown", 0, -1));
    talk.ask("the same partition twice", 7, &{
        let mut request = look(-1);
        let twin = request.topics[0].partitions[0].clone();
        request.topics[0].partitions.push(twin);
        request
    });
    talk.ask("version 1", 1, &look(-1));
    let mut request = look(-1);
    request.topics[0].partitions[0].current_leader_epoch = 5;
    talk.ask("with a leader epoch to come", 7, &request);
}

fn delete_records(talk: &mut Talk) {
    filled(talk, 1, 4);
    let delete = |topic: &str, partition, offset| {
        let one = DeleteRecordsPartition::default().with_partition_index(partition).with_offset(offset);
        let topic = DeleteRecordsTopic::default().with_name(topic_name(topic)).with_partitions(vec![one]);
        DeleteRecordsRequest::default().with_topics(vec![topic]).with_timeout_ms(5000)
    };
    talk.ask("the first two", 2, &delete("delete-records", 0, 2));
    talk.ask("earliest has moved", 7, &list_offsets("delete-records", 0, -2));
    talk.ask("a deleted offset", 12, &fetch("delete-records", vec![fetch_partition(0, 1)]));
    talk.ask("from the new beginning", 12, &fetch("delete-records", vec![fetch_partition(0, 2)]));
    talk.ask("what is deleted already", 2, &delete("delete-records", 0, 1));
    talk.ask("past the end", 2, &delete("delete-records", 0, 9));
    talk.ask("an unknown partition", 2, &delete("delete-records", 5, 0));
    talk.ask("everything", 2, &delete("delete-records", 0, -1));
    talk.ask("nothing is left", 12, &fetch("delete-records", vec![fetch_partition(0, 4)]));
}
