//! One transactional id driven by hand, without time: it waits for answers only.

use tokio::sync::oneshot;

use super::*;

struct Bench {
    txn: Txn,
    begun: Option<oneshot::Receiver<Result<u64>>>,
}

fn id(producer_epoch: i16) -> ProducerIdentity {
    ProducerIdentity { producer_id: 7, producer_epoch }
}

fn refused(operation: Operation, code: ErrorCode) -> Error {
    Error::broker(operation, code, "a")
}

fn unknown(operation: Operation) -> Error {
    Error::new(operation, ErrorKind::Timeout, "a", "").with_maybe_applied(true)
}

impl Bench {
    /// A producer with its id, and its first transaction open.
    fn new(version: TransactionVersion) -> Self {
        let mut bench = Bench { txn: Txn::new("a".into()), begun: None };
        bench.begin();
        assert_eq!(bench.job(), Some(Job::Init(None)));
        bench.answer(Answer::Init(Ok((id(0), version))));
        bench.open();
        bench
    }

    fn begin(&mut self) {
        let (reply, begun) = oneshot::channel();
        self.txn.handle_begin(reply);
        self.begun = Some(begun);
    }

    fn job(&mut self) -> Option<Job> {
        self.txn.poll_job(true, false)
    }

    fn answer(&mut self, answer: Answer) {
        self.txn.handle_answer(answer, false, false);
    }

    /// The transaction that was begun is open without another request.
    fn open(&mut self) {
        assert_eq!(self.job(), None);
        let (number, reply) = self.txn.poll_opened().expect("not opened");
        reply.send(Ok(number)).unwrap();
        assert!(self.txn.accepts());
    }

    fn end(&mut self, end: End) -> oneshot::Receiver<Result<Option<Contents>>> {
        let (reply, ended) = oneshot::channel();
        self.txn.handle_end(end, reply);
        ended
    }

    fn write(&mut self) {
        self.txn.handle_reached();
        self.txn.handle_written(&TopicPartition::new("t", 0), 3);
    }

    fn begin_error(&mut self) -> Error {
        self.begun.take().unwrap().try_recv().unwrap().unwrap_err()
    }
}

const END: fn(bool, bool) -> Option<Job> = |is_commit, is_certain| Some(Job::End { is_commit, is_certain });

#[test]
fn a_commit_waits_for_partitions_offsets_and_every_batch() {
    let mut bench = Bench::new(TransactionVersion::V1);
    bench.txn.handle_partition(4);
    assert_eq!(bench.job(), Some(Job::AddPartitions(vec![4])));
    bench.txn.handle_partition(5);
    assert_eq!(bench.job(), None, "one request at a time");
    bench.answer(Answer::Added(vec![4], Ok(())));
    let (reply, mut stored) = oneshot::channel();
    bench.txn.handle_offsets("g".into(), Vec::new(), reply);
    let mut ended = bench.end(End::Commit);
    assert_eq!(bench.job(), Some(Job::AddPartitions(vec![5])));
    bench.answer(Answer::Added(vec![5], Ok(())));
    assert_eq!(bench.job(), Some(Job::CommitOffsets("g".into(), Vec::new())));
    bench.answer(Answer::Offsets(Ok(())));
    stored.try_recv().unwrap().unwrap();
    assert_eq!(bench.txn.poll_job(false, false), None, "a batch is unfinished");
    assert_eq!(bench.job(), END(true, true));
    bench.answer(Answer::Ended(Ok(None)));
    assert_eq!(ended.try_recv().unwrap().unwrap(), None);
    bench.begin();
    bench.open();
    assert_eq!(bench.txn.identity(), id(0));
}

#[test]
fn under_version_two_the_answer_to_the_end_brings_the_next_epoch() {
    let mut bench = Bench::new(TransactionVersion::V2);
    bench.write();
    let _ended = bench.end(End::Commit);
    assert_eq!(bench.job(), END(true, true));
    bench.answer(Answer::Ended(Ok(Some(id(1)))));
    bench.begin();
    bench.open();
    assert_eq!(bench.txn.identity(), id(1));
}

#[test]
fn a_late_request_costs_a_new_epoch_only_where_the_epoch_stays() {
    for (version, next) in [(TransactionVersion::V1, None), (TransactionVersion::V2, Some(id(1)))] {
        let mut bench = Bench::new(version);
        bench.write();
        let _ended = bench.end(End::Commit);
        assert_eq!(bench.job(), END(true, true));
        bench.txn.handle_answer(Answer::Ended(Ok(next)), true, false);
        bench.begin();
        let expected = (version == TransactionVersion::V1).then_some(Job::Init(Some(id(0))));
        assert_eq!(bench.job(), expected);
    }
}

#[test]
fn an_unknown_commit_is_resolved_before_the_next_epoch() {
    for (answer, next) in [
        (Ok(None), id(0)),
        (Ok(Some(id(1))), id(1)),
        (Err(refused(Operation::Abort, ErrorCode::INVALID_TXN_STATE)), id(0)),
    ] {
        let mut bench = Bench::new(TransactionVersion::V2);
        bench.write();
        let mut ended = bench.end(End::Commit);
        assert_eq!(bench.job(), END(true, true));
        bench.answer(Answer::Ended(Err(unknown(Operation::Commit))));
        assert!(ended.try_recv().unwrap().unwrap_err().maybe_applied());
        assert_eq!(bench.job(), None, "nobody waits for the next");
        bench.begin();
        assert_eq!(bench.job(), END(false, false));
        bench.answer(Answer::Ended(answer));
        assert_eq!(bench.job(), Some(Job::Init(Some(next))));
        bench.answer(Answer::Init(Ok((id(9), TransactionVersion::V2))));
        bench.open();
        assert_eq!(bench.txn.identity(), id(9));
    }
}

#[test]
fn a_failed_batch_fails_the_commit_and_the_abort_follows_by_itself() {
    let mut bench = Bench::new(TransactionVersion::V2);
    bench.write();
    bench.txn.handle_failed(Error::new(Operation::Produce, ErrorKind::Timeout, "t-0", "late"));
    assert!(!bench.txn.accepts() && bench.txn.drops_records());
    let mut ended = bench.end(End::Commit);
    let error = ended.try_recv().unwrap().unwrap_err();
    assert_eq!(error.recovery(), Recovery::AbortTransaction);
    assert_eq!(bench.job(), END(false, true));
    bench.answer(Answer::Ended(Ok(Some(id(1)))));
    bench.begin();
    bench.open();
}

#[test]
fn an_abort_of_what_the_coordinator_never_had_costs_no_request_and_of_what_it_may_have_one() {
    for (has_reached, expected) in [(false, None), (true, END(false, false))] {
        let mut bench = Bench::new(TransactionVersion::V2);
        if has_reached {
            bench.txn.handle_reached();
        }
        let _ended = bench.end(End::Abort);
        assert_eq!(bench.job(), expected);
    }
}

#[test]
fn a_fenced_producer_answers_everything_with_its_end() {
    let mut bench = Bench::new(TransactionVersion::V2);
    bench.write();
    let mut ended = bench.end(End::Commit);
    assert_eq!(bench.job(), END(true, true));
    bench.answer(Answer::Ended(Err(refused(Operation::Commit, ErrorCode::PRODUCER_FENCED))));
    assert_eq!(ended.try_recv().unwrap().unwrap_err().recovery(), Recovery::Recreate);
    bench.begin();
    assert_eq!(bench.begin_error().recovery(), Recovery::Recreate);
    assert_eq!(bench.job(), None);
    assert!(bench.txn.is_settled());
}

#[test]
fn a_transaction_the_coordinator_ended_is_not_ended_again_and_the_next_has_its_own_epoch() {
    let mut bench = Bench::new(TransactionVersion::V1);
    bench.write();
    bench.txn.handle_failed(refused(Operation::Produce, ErrorCode::INVALID_PRODUCER_EPOCH));
    assert_eq!(bench.txn.refusal().map(Error::recovery), Some(Recovery::AbortTransaction));
    let mut ended = bench.end(End::Abort);
    assert_eq!(bench.job(), None);
    ended.try_recv().unwrap().unwrap();
    bench.begin();
    assert_eq!(bench.job(), Some(Job::Init(Some(id(0)))));
}

#[test]
fn after_prepare_the_next_epoch_follows_from_the_value() {
    for (version, epoch) in [(TransactionVersion::V1, 0), (TransactionVersion::V2, 1)] {
        let mut bench = Bench::new(version);
        bench.txn.handle_partition(0);
        if version == TransactionVersion::V1 {
            bench.job();
            bench.answer(Answer::Added(vec![0], Ok(())));
        }
        bench.txn.pending.clear();
        bench.write();
        let mut ended = bench.end(End::Prepare);
        assert_eq!(bench.job(), None);
        let contents = ended.try_recv().unwrap().unwrap().unwrap();
        assert_eq!((contents.producer, contents.version, contents.record_count), (id(0), version, 3));
        bench.begin();
        assert!(bench.begin_error().to_string().contains("has not ended"));
        bench.txn.handle_prepared_ended(false);
        bench.begin();
        bench.open();
        assert_eq!(bench.txn.identity(), id(epoch));
    }
}

#[test]
fn after_the_last_epoch_a_prepared_producer_initialises_again() {
    let mut bench = Bench::new(TransactionVersion::V2);
    bench.txn.identity = id(i16::MAX - 1);
    bench.write();
    let _ended = bench.end(End::Prepare);
    assert_eq!(bench.job(), None);
    bench.txn.handle_prepared_ended(false);
    bench.begin();
    assert_eq!(bench.job(), Some(Job::Init(Some(id(i16::MAX - 1)))));
}

#[test]
fn a_new_producer_id_is_asked_for_again_because_its_coordinator_does_not_know_it_yet() {
    let mut bench = Bench::new(TransactionVersion::V2);
    bench.write();
    let _ended = bench.end(End::Commit);
    assert_eq!(bench.job(), END(true, true));
    let next = ProducerIdentity { producer_id: 8, producer_epoch: 0 };
    bench.answer(Answer::Ended(Ok(Some(next))));
    bench.begin();
    assert_eq!(bench.job(), Some(Job::Init(None)));
}

#[test]
fn a_dropped_begin_leaves_no_transaction_open() {
    let mut bench = Bench::new(TransactionVersion::V2);
    // The driver opened the second while its caller went away.
    bench.txn.handle_dropped();
    bench.begin();
    bench.open();
    bench.write();
    bench.begin();
    assert_eq!(bench.job(), END(false, true), "what was written is aborted first");
}

#[test]
fn sequences_used_in_vain_cost_a_new_epoch_even_where_no_end_was_sent() {
    let mut bench = Bench::new(TransactionVersion::V2);
    let _ended = bench.end(End::Abort);
    assert_eq!(bench.txn.poll_job(true, true), None);
    bench.begin();
    assert_eq!(bench.txn.poll_job(true, true), Some(Job::Init(Some(id(0)))));
}
