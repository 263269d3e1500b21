//! What a coordinator answers, row by row as Apache Kafka 4.4.0 answers it, under both versions of the protocol.

use std::time::Duration;

use super::bench::*;
use crate::broker::{ConnectionId, Control, CoordinatorKind, Settings};
use crate::error::ErrorCode;
use crate::types::{ProducerIdentity, TransactionVersion};
use crate::wire::batch::Batches;
use crate::wire::messages::add_partitions_to_txn_request::AddPartitionsToTxnTopic;
use crate::wire::messages::offset_fetch_request::{OffsetFetchRequestGroup, OffsetFetchRequestTopics};
use crate::wire::messages::txn_offset_commit_request::{TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic};
use crate::wire::messages::*;

use TransactionVersion::{V1, V2};

const MARKERS: Duration = Duration::from_millis(10);
const OK: i16 = 0;
const FENCED: i16 = ErrorCode::PRODUCER_FENCED.0;
const INVALID_STATE: i16 = ErrorCode::INVALID_TXN_STATE.0;
const CONCURRENT: i16 = ErrorCode::CONCURRENT_TRANSACTIONS.0;

/// One connection to a cluster whose clients follow `version`.
struct Story {
    bench: Bench,
    c: ConnectionId,
    version: TransactionVersion,
}

impl Story {
    fn new(version: TransactionVersion) -> Self {
        let settings = Settings { marker_delay: MARKERS, ..Settings::default() };
        let mut bench = Bench::new(settings.with_transaction_version(if version == V2 { 2 } else { 1 }));
        let c = bench.connect(1);
        Self { bench, c, version }
    }

    fn pick(&self, v1: i16, v2: i16) -> i16 {
        if self.version == V2 { v2 } else { v1 }
    }

    fn init_once(&mut self) -> InitProducerIdResponse {
        let request = InitProducerIdRequest::default()
            .with_transactional_id(Some(TransactionalId(text("x"))))
            .with_transaction_timeout_ms(60_000)
            .with_producer_id((-1).into())
            .with_producer_epoch(-1);
        self.bench.ask(self.c, 4, &request)
    }

    /// Initialises, waiting out whatever must be aborted first.
    fn init(&mut self) -> ProducerIdentity {
        loop {
            let answer = self.init_once();
            if answer.error_code == OK {
                return ProducerIdentity { producer_id: *answer.producer_id, producer_epoch: answer.producer_epoch };
            }
            assert_eq!(answer.error_code, CONCURRENT);
            self.bench.wait(MARKERS);
        }
    }

    fn add(&mut self, producer: ProducerIdentity) -> i16 {
        let topic = AddPartitionsToTxnTopic::default().with_name(topic_name("t")).with_partitions(vec![0]);
        let request = AddPartitionsToTxnRequest::default()
            .with_v3_and_below_transactional_id(TransactionalId(text("x")))
            .with_v3_and_below_producer_id(producer.producer_id.into())
            .with_v3_and_below_producer_epoch(producer.producer_epoch)
            .with_v3_and_below_topics(vec![topic]);
        let answer = self.bench.ask(self.c, 3, &request);
        answer.results_by_topic_v3_and_below[0].results_by_partition[0].partition_error_code
    }

    /// Writes `count` records from `sequence` on as this version's clients do.
    fn write(&mut self, producer: ProducerIdentity, sequence: i32, count: usize) -> i16 {
        if self.version == V1 {
            let code = self.add(producer);
            if code != OK {
                return code;
            }
        }
        self.produce(producer, sequence, count)
    }

    fn produce(&mut self, producer: ProducerIdentity, sequence: i32, count: usize) -> i16 {
        let version = self.pick(11, 12);
        self.bench.produce(self.c, version, batch(transactional(producer, sequence), count)).error_code
    }

    fn end_at(&mut self, version: i16, producer: ProducerIdentity, commit: bool) -> EndTxnResponse {
        let request = EndTxnRequest::default()
            .with_transactional_id(TransactionalId(text("x")))
            .with_producer_id(producer.producer_id.into())
            .with_producer_epoch(producer.producer_epoch)
            .with_committed(commit);
        // From a connection that never produced.
        let other = self.bench.connect(1);
        self.bench.ask(other, version, &request)
    }

    fn end(&mut self, producer: ProducerIdentity, commit: bool) -> EndTxnResponse {
        self.end_at(self.pick(4, 5), producer, commit)
    }

    fn commit(&mut self, producer: ProducerIdentity) -> i16 {
        self.end(producer, true).error_code
    }

    fn abort(&mut self, producer: ProducerIdentity) -> i16 {
        self.end(producer, false).error_code
    }

    /// Who writes the next transaction.
    fn next(&self, producer: ProducerIdentity) -> ProducerIdentity {
        ProducerIdentity { producer_epoch: producer.producer_epoch + self.pick(0, 1), ..producer }
    }

    fn state(&mut self) -> String {
        let request = DescribeTransactionsRequest::default().with_transactional_ids(vec![TransactionalId(text("x"))]);
        self.bench.ask(self.c, 0, &request).transaction_states[0].transaction_state.to_string()
    }

    fn commit_offset(&mut self, producer: ProducerIdentity, offset: i64) -> i16 {
        if self.version == V1 {
            let request = AddOffsetsToTxnRequest::default()
                .with_transactional_id(TransactionalId(text("x")))
                .with_producer_id(producer.producer_id.into())
                .with_producer_epoch(producer.producer_epoch)
                .with_group_id(GroupId(text("g")));
            assert_eq!(self.bench.ask(self.c, 3, &request).error_code, OK);
        }
        let partition = TxnOffsetCommitRequestPartition::default().with_committed_offset(offset);
        let topic = TxnOffsetCommitRequestTopic::default().with_name(topic_name("t")).with_partitions(vec![partition]);
        let request = TxnOffsetCommitRequest::default()
            .with_transactional_id(TransactionalId(text("x")))
            .with_group_id(GroupId(text("g")))
            .with_producer_id(producer.producer_id.into())
            .with_producer_epoch(producer.producer_epoch)
            .with_generation_id_or_member_epoch(-1)
            .with_topics(vec![topic]);
        let version = self.pick(4, 5);
        self.bench.ask(self.c, version, &request).topics[0].partitions[0].error_code
    }

    fn offset(&mut self) -> (i16, i64) {
        let topic = OffsetFetchRequestTopics::default().with_name(topic_name("t")).with_partition_indexes(vec![0]);
        let group = OffsetFetchRequestGroup::default().with_group_id(GroupId(text("g"))).with_topics(Some(vec![topic]));
        let request = OffsetFetchRequest::default().with_require_stable(true).with_groups(vec![group]);
        let answer = self.bench.ask(self.c, 8, &request);
        let partition = &answer.groups[0].topics[0].partitions[0];
        (partition.error_code, partition.committed_offset)
    }
}

fn both(story: impl Fn(Story)) {
    story(Story::new(V1));
    story(Story::new(V2));
}

#[test]
fn a_commit_works_from_any_connection_and_bumps_the_epoch_under_version_2() {
    both(|mut s| {
        let p = s.init();
        assert_eq!(s.write(p, 0, 3), OK);
        let answer = s.end(p, true);
        assert_eq!(answer.error_code, OK);
        if s.version == V2 {
            assert_eq!((*answer.producer_id, answer.producer_epoch), (p.producer_id, p.producer_epoch + 1));
        }
    });
}

#[test]
fn a_commit_again_before_the_markers_is_to_be_retried_and_later_is_done() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 3);
        assert_eq!(s.commit(p), OK);
        assert_eq!(s.commit(p), CONCURRENT);
        assert_eq!(s.state(), "PrepareCommit");
        s.bench.wait(MARKERS);
        let again = s.end(p, true);
        assert_eq!(again.error_code, OK);
        if s.version == V2 {
            assert_eq!(again.producer_epoch, p.producer_epoch + 1);
        }
        assert_eq!(s.state(), "CompleteCommit");
    });
}

#[test]
fn a_version_2_commit_again_as_version_1_is_fenced() {
    let mut s = Story::new(V2);
    let p = s.init();
    s.write(p, 0, 3);
    s.commit(p);
    s.bench.wait(MARKERS);
    assert_eq!(s.end_at(4, p, true).error_code, FENCED);
}

#[test]
fn an_abort_after_the_commit_is_an_invalid_state() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 3);
        s.commit(p);
        s.bench.wait(MARKERS);
        assert_eq!(s.abort(p), INVALID_STATE);
    });
}

#[test]
fn a_late_commit_ends_the_newer_transaction_only_under_version_1() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 3);
        s.commit(p);
        s.bench.wait(MARKERS);
        let newer = s.next(p);
        let sequence = if s.version == V2 { 0 } else { 3 };
        assert_eq!(s.write(newer, sequence, 1), OK);
        let late = s.commit(p);
        assert_eq!(late, s.pick(OK, FENCED));
        assert_eq!(s.state(), if s.version == V2 { "Ongoing" } else { "PrepareCommit" });
    });
}

#[test]
fn a_commit_after_another_producer_took_over_is_fenced() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 3);
        assert_eq!(s.init_once().error_code, CONCURRENT, "the open transaction is aborted first");
        let q = s.init();
        assert!(q.producer_epoch > p.producer_epoch);
        assert_eq!(s.commit(p), FENCED);
        let stale = s.produce(p, 3, 1);
        assert_eq!(stale, ErrorCode::INVALID_PRODUCER_EPOCH.0);
        assert_eq!(s.write(q, 0, 1), OK);
    });
}

#[test]
fn a_commit_after_the_timeout_is_refused_and_the_transaction_is_aborted() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 3);
        s.bench.wait(Duration::from_secs(30));
        // The clock runs from the transaction's start, however busy it is.
        s.produce(p, 3, 1);
        s.bench.wait(Duration::from_secs(30) - MARKERS);
        assert_eq!(s.state(), "Ongoing");
        s.bench.wait(MARKERS * 2);
        assert_eq!(s.commit(p), s.pick(FENCED, INVALID_STATE));
        assert_eq!(s.state(), "CompleteAbort");
    });
}

#[test]
fn an_empty_transaction_and_an_unknown_id_cannot_be_committed() {
    both(|mut s| {
        let stranger = ProducerIdentity { producer_id: 5, producer_epoch: 0 };
        assert_eq!(s.commit(stranger), ErrorCode::INVALID_PRODUCER_ID_MAPPING.0);
        let p = s.init();
        assert_eq!(s.commit(p), INVALID_STATE);
    });
}

#[test]
fn an_empty_transaction_can_be_aborted_under_version_2() {
    let mut s = Story::new(V2);
    let p = s.init();
    let answer = s.end(p, false);
    assert_eq!((answer.error_code, answer.producer_epoch), (OK, p.producer_epoch + 1));
}

#[test]
fn offsets_in_a_transaction_are_seen_after_its_commit_and_never_after_its_abort() {
    both(|mut s| {
        let p = s.init();
        assert_eq!(s.offset(), (OK, -1));
        assert_eq!(s.commit_offset(p, 7), OK);
        assert_eq!(s.offset(), (ErrorCode::UNSTABLE_OFFSET_COMMIT.0, -1));
        assert_eq!(s.commit(p), OK);
        assert_eq!(s.offset(), (ErrorCode::UNSTABLE_OFFSET_COMMIT.0, -1), "the marker is not written yet");
        s.bench.wait(MARKERS);
        assert_eq!(s.offset(), (OK, 7));
        let q = s.next(p);
        assert_eq!(s.commit_offset(q, 9), OK);
        assert_eq!(s.abort(q), OK);
        s.bench.wait(MARKERS);
        assert_eq!(s.offset(), (OK, 7));
    });
}

#[test]
fn the_next_transaction_waits_for_the_markers_of_the_last() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 2);
        s.commit(p);
        let next = s.next(p);
        assert_eq!(s.add(next), CONCURRENT);
        assert_eq!(s.init_once().error_code, CONCURRENT);
        if s.version == V2 {
            assert_eq!(s.produce(next, 0, 1), CONCURRENT);
        }
        s.bench.wait(MARKERS);
        assert_eq!(s.write(next, if s.version == V2 { 0 } else { 2 }, 1), OK);
    });
}

#[test]
fn a_partition_that_was_not_added_is_refused_under_version_1() {
    let mut s = Story::new(V1);
    let p = s.init();
    assert_eq!(s.produce(p, 0, 1), ErrorCode::TRANSACTION_ABORTABLE.0, "version 11 knows the code");
    let old = s.bench.produce(s.c, 10, batch(transactional(p, 0), 1)).error_code;
    assert_eq!(old, INVALID_STATE);
    let mut settings = s.bench.core.settings.clone();
    settings.verify_partitions = false;
    s.bench.control(Control::Configure(Box::new(settings)));
    assert_eq!(s.produce(p, 0, 1), OK, "a broker that does not verify lets it hang");
}

#[test]
fn a_timeout_above_the_brokers_maximum_is_refused() {
    let mut s = Story::new(V2);
    let request = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("x"))))
        .with_transaction_timeout_ms(900_001);
    let answer = s.bench.ask(s.c, 4, &request);
    assert_eq!(answer.error_code, ErrorCode::INVALID_TRANSACTION_TIMEOUT.0);
}

#[test]
fn readers_of_committed_records_stop_at_the_open_transaction_and_learn_of_aborted_ones() {
    both(|mut s| {
        let p = s.init();
        s.write(p, 0, 3);
        s.bench.produce(s.c, 9, batch(plain(), 2));
        assert_eq!((s.bench.high_watermark(), s.bench.last_stable_offset()), (5, 0));
        let held = s.bench.fetch(s.c, 12, &fetch_request(0, 1).with_max_wait_ms(0));
        assert_eq!((held.records.unwrap().len(), held.last_stable_offset), (0, 0));
        s.abort(p);
        s.bench.wait(MARKERS);
        assert_eq!((s.bench.high_watermark(), s.bench.last_stable_offset()), (6, 6));
        let data = s.bench.fetch(s.c, 12, &fetch_request(0, 1));
        let aborted = data.aborted_transactions.unwrap();
        assert_eq!(aborted.len(), 1);
        assert_eq!((*aborted[0].producer_id, aborted[0].first_offset), (p.producer_id, 0));
        let last = Batches::new(data.records.unwrap()).last().unwrap().unwrap();
        assert!(last.header.is_control());
        let plain_reader = s.bench.fetch(s.c, 12, &fetch_request(0, 0));
        assert_eq!(plain_reader.aborted_transactions, None);
        let behind = s.bench.fetch(s.c, 12, &fetch_request(6, 1).with_max_wait_ms(0));
        assert_eq!(behind.aborted_transactions.unwrap().len(), 0);
    });
}

#[test]
fn a_marker_that_is_late_on_one_partition_holds_only_the_transaction() {
    let mut s = Story::new(V2);
    let p = s.init();
    s.write(p, 0, 1);
    let mut settings = s.bench.core.settings.clone();
    settings.marker_delays.insert(tp(0), Duration::from_secs(1));
    s.bench.control(Control::Configure(Box::new(settings)));
    assert_eq!(s.commit_offset(p, 3), OK);
    s.commit(p);
    s.bench.wait(MARKERS);
    assert_eq!(s.offset(), (OK, 3), "the group's marker was in time");
    assert_eq!(s.state(), "PrepareCommit");
    assert_eq!(s.bench.last_stable_offset(), 0);
    s.bench.wait(Duration::from_secs(1));
    assert_eq!(s.state(), "CompleteCommit");
    assert_eq!(s.bench.last_stable_offset(), 2);
}

#[test]
fn an_exhausted_epoch_gives_a_new_producer_id() {
    let mut s = Story::new(V2);
    let p = s.init();
    s.bench.control(Control::SetProducerEpoch("x".into(), i16::MAX - 1));
    let last = ProducerIdentity { producer_epoch: i16::MAX - 1, ..p };
    assert_eq!(s.write(last, 0, 1), OK);
    let answer = s.end(last, true);
    assert_eq!((answer.error_code, answer.producer_epoch), (OK, 0));
    assert_ne!(*answer.producer_id, p.producer_id);
    s.bench.wait(MARKERS);
    let again = s.end(last, true);
    assert_eq!((again.error_code, again.producer_id, again.producer_epoch), (OK, answer.producer_id, 0));
    let fresh = ProducerIdentity { producer_id: *answer.producer_id, producer_epoch: 0 };
    assert_eq!(s.write(fresh, 0, 1), OK);
}

#[test]
fn coordinators_move_and_load() {
    let mut bench = Bench::new(Settings::default().with_brokers(2));
    bench.control(Control::MoveCoordinator(CoordinatorKind::Transaction, "x".into(), 2));
    let c = bench.connect(1);
    let find = FindCoordinatorRequest::default().with_key_type(1).with_coordinator_keys(vec![text("x")]);
    assert_eq!(bench.ask(c, 4, &find).coordinators[0].node_id, 2);
    let init = InitProducerIdRequest::default()
        .with_transactional_id(Some(TransactionalId(text("x"))))
        .with_transaction_timeout_ms(1000)
        .with_producer_id((-1).into());
    assert_eq!(bench.ask(c, 4, &init).error_code, ErrorCode::NOT_COORDINATOR.0);
    let d = bench.connect(2);
    let loading = Duration::from_secs(1);
    bench.control(Control::LoadCoordinator(CoordinatorKind::Transaction, "x".into(), loading));
    assert_eq!(bench.ask(d, 4, &init).error_code, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS.0);
    bench.wait(loading);
    assert_eq!(bench.ask(d, 4, &init).error_code, 0);
}
