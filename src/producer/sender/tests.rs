//! The sender driven by hand: literal times, one broker or two, answers as the test gives them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::config::ProducerConfig;
use crate::error::ErrorCode;
use crate::producer::delivery::Completion;
use crate::record::NewRecord;
use crate::wire::batch::{BatchBuilder, BatchHeader, Batches};

const MS: Duration = Duration::from_millis(1);
const ID: ProducerIdentity = ProducerIdentity { producer_id: 7, producer_epoch: 0 };

struct Bench {
    now: Instant,
    sender: Sender,
    ended: Vec<(i32, Result<i64, Error>)>,
    next: i32,
}

fn settings(numbering: Numbering) -> Settings {
    Settings {
        numbering,
        transactional_id: "etl/0#0".into(),
        max_in_flight: 5,
        max_request_size: 1 << 20,
        retry_backoff: 100 * MS,
        retry_backoff_max: 1000 * MS,
        seed: 1,
        packer: Arc::new(Packer::new(&ProducerConfig::default()).unwrap()),
    }
}

/// The header of a request's only batch.
fn header(request: &ProduceRequest) -> BatchHeader {
    Batches::new(request.batches[0].2.clone()).next().unwrap().unwrap().header
}

fn stamp(request: &ProduceRequest) -> (i16, i32) {
    let header = header(request);
    (header.producer.producer_epoch, header.base_sequence)
}

fn answer(partition: usize, code: ErrorCode, base_offset: i64) -> Answer {
    Answer { partition, code, base_offset, log_append_time_ms: -1, message: String::new() }
}

fn lost() -> Error {
    Error::new(Operation::Produce, ErrorKind::Network, "broker 1", "reset").with_maybe_applied(true)
}

impl Bench {
    /// One partition led by broker 1, connected, identity known to both sides.
    fn new(numbering: Numbering) -> Self {
        let mut bench = Self::bare(numbering);
        bench.add("t", 0, 1);
        bench.sender.handle_identity(bench.now, ID);
        bench.sender.partitions[0].is_known = true;
        bench
    }

    fn bare(numbering: Numbering) -> Self {
        Self { now: Instant::now(), sender: Sender::new(settings(numbering)), ended: Vec::new(), next: 0 }
    }

    fn add(&mut self, topic: &str, partition: i32, leader: i32) -> usize {
        let p = self.sender.add_partition(TopicPartition::new(topic, partition));
        self.sender.set_leader(self.now, p, Some(BrokerId(leader)));
        self.sender.handle_connected(self.now, BrokerId(leader), Ok(()));
        p
    }

    /// Hands in a batch of `records` records; it is known by its number (stored in the completion's partition).
    fn push(&mut self, p: usize, records: u32) -> Arc<Completion> {
        let mut builder = BatchBuilder::new(Vec::new(), 1 << 20);
        for i in 0..records {
            let value = format!("batch {} record {i} {}", self.next, "x".repeat(50));
            builder.append(&NewRecord::value(value.as_bytes()), 1_000).unwrap();
        }
        let completion = Completion::new(self.next);
        self.next += 1;
        let batch = Batch::new(builder, Arc::clone(&completion), self.now + 120_000 * MS);
        self.sender.push(self.now, p, batch);
        completion
    }

    fn request(&mut self) -> ProduceRequest {
        self.poll().expect("nothing to send")
    }

    fn poll(&mut self) -> Option<ProduceRequest> {
        self.sender.handle_timeout(self.now);
        self.sender.poll_request(self.now)
    }

    fn reply(&mut self, request: &ProduceRequest, code: ErrorCode, base_offset: i64) {
        self.sender.handle_response(self.now, request.id, vec![answer(request.batches[0].0, code, base_offset)]);
        self.drain();
    }

    fn lose(&mut self, request: &ProduceRequest) {
        self.sender.handle_unknown(self.now, request.id, &lost());
        self.drain();
    }

    fn pass(&mut self, millis: u32) {
        self.now += millis * MS;
        self.sender.handle_timeout(self.now);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(event) = self.sender.poll_event() {
            if let Event::Done(batch, outcome) = event {
                let number = batch.completion.partition();
                match outcome {
                    Outcome::Written { base_offset, .. } => self.ended.push((number, Ok(base_offset))),
                    Outcome::Failed(error) => self.ended.push((number, Err(error))),
                    Outcome::Split(_) => {}
                }
            }
        }
    }

    fn written(&self) -> Vec<(i32, i64)> {
        self.ended.iter().map(|(n, result)| (*n, *result.as_ref().expect("failed"))).collect()
    }
}

#[test]
fn five_batches_of_one_partition_fly_with_consecutive_sequences_and_the_sixth_waits() {
    let mut bench = Bench::new(Numbering::Idempotent);
    (0..6).for_each(|_| drop(bench.push(0, 3)));
    let requests: Vec<_> = (0..5).map(|_| bench.request()).collect();
    assert_eq!(requests.iter().map(stamp).collect::<Vec<_>>(), [(0, 0), (0, 3), (0, 6), (0, 9), (0, 12)]);
    assert!(bench.poll().is_none());
    bench.reply(&requests[0], ErrorCode::NONE, 100);
    assert_eq!(stamp(&bench.request()), (0, 15));
    assert_eq!(bench.written(), [(0, 100)]);
}

#[test]
fn until_the_broker_knows_the_producer_one_batch_is_in_flight() {
    let mut bench = Bench::bare(Numbering::Idempotent);
    bench.add("t", 0, 1);
    bench.sender.handle_identity(bench.now, ID);
    (0..3).for_each(|_| drop(bench.push(0, 1)));
    let first = bench.request();
    assert!(bench.poll().is_none(), "a broker that does not know the producer takes any sequence");
    bench.reply(&first, ErrorCode::NONE, 0);
    bench.request();
    bench.request();
}

#[test]
fn nothing_is_sent_before_the_producer_id_is_known() {
    let mut bench = Bench::bare(Numbering::Idempotent);
    bench.add("t", 0, 1);
    bench.push(0, 1);
    assert!(bench.sender.poll_identity());
    assert!(!bench.sender.poll_identity(), "asked twice");
    assert!(bench.poll().is_none());
    bench.sender.handle_identity(bench.now, ID);
    assert_eq!(header(&bench.request()).producer, ID);
}

#[test]
fn retry_keeps_bytes_and_sequence_after_leader_moves() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 2);
    let first = bench.request();
    bench.reply(&first, ErrorCode::NOT_LEADER_OR_FOLLOWER, -1);
    assert!(bench.poll().is_none(), "the backoff was skipped");
    bench.sender.handle_connected(bench.now, BrokerId(2), Ok(()));
    bench.sender.set_leader(bench.now, 0, Some(BrokerId(2)));
    let second = bench.request();
    assert_eq!(second.broker, BrokerId(2));
    assert_eq!(second.batches[0].2, first.batches[0].2);
    bench.reply(&second, ErrorCode::NONE, 5);
    assert_eq!(bench.written(), [(0, 5)]);
}

#[test]
fn five_in_flight_with_the_middle_failing_are_retried_in_order_under_their_sequences() {
    let mut bench = Bench::new(Numbering::Idempotent);
    (0..5).for_each(|_| drop(bench.push(0, 1)));
    let sent: Vec<_> = (0..5).map(|_| bench.request()).collect();
    bench.reply(&sent[0], ErrorCode::NONE, 0);
    bench.reply(&sent[1], ErrorCode::NONE, 1);
    bench.reply(&sent[2], ErrorCode::NOT_ENOUGH_REPLICAS, -1);
    bench.reply(&sent[3], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    bench.reply(&sent[4], ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    bench.push(0, 1);
    bench.pass(200);
    for (sequence, old) in (2..5).zip(&sent[2..]) {
        let again = bench.request();
        assert_eq!(stamp(&again), (0, sequence));
        assert_eq!(again.batches[0].2, old.batches[0].2);
        assert!(sequence == 4 || bench.poll().is_none(), "a later batch overtook a retry");
        bench.reply(&again, ErrorCode::NONE, i64::from(sequence));
    }
    let new = bench.request();
    assert_eq!(stamp(&new), (0, 5));
    bench.reply(&new, ErrorCode::NONE, 5);
    assert_eq!(bench.written(), (0..6).map(|n| (n, i64::from(n))).collect::<Vec<_>>());
}

#[test]
fn a_lost_answer_is_asked_for_again_and_a_duplicate_counts_as_written() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    let first = bench.request();
    bench.lose(&first);
    bench.pass(200);
    let again = bench.request();
    assert_eq!(again.batches[0].2, first.batches[0].2);
    bench.reply(&again, ErrorCode::DUPLICATE_SEQUENCE_NUMBER, -1);
    assert_eq!(bench.written(), [(0, -1)]);
}

#[test]
fn a_batch_never_sent_expires_as_not_written() {
    let mut bench = Bench::bare(Numbering::Idempotent);
    bench.add("t", 0, 1);
    bench.push(0, 1);
    bench.pass(119_999);
    assert!(bench.ended.is_empty());
    bench.pass(1);
    let error = bench.ended[0].1.as_ref().unwrap_err();
    assert!(!error.maybe_applied() && error.kind() == ErrorKind::Timeout, "{error}");
}

#[test]
fn a_batch_in_flight_expires_as_maybe_written_and_its_sequences_are_not_used_again() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 2);
    let first = bench.request();
    bench.pass(120_000);
    assert!(bench.ended[0].1.as_ref().unwrap_err().maybe_applied());
    bench.push(0, 1);
    let next = bench.request();
    assert_eq!(stamp(&next), (1, 0), "a new epoch begins at 0");
    // The late answer changes nothing.
    bench.reply(&first, ErrorCode::NONE, 9);
    bench.reply(&next, ErrorCode::NONE, 11);
    assert_eq!(bench.ended.len(), 2);
}

#[test]
fn a_new_epoch_waits_until_every_batch_of_the_old_one_is_resolved() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    bench.pass(60_000);
    bench.push(0, 1);
    let first = bench.request();
    let second = bench.request();
    bench.pass(60_000);
    assert_eq!(bench.ended.len(), 1, "only the older expires");
    bench.push(0, 1);
    assert!(bench.poll().is_none(), "the second is in flight under the old epoch");
    bench.lose(&second);
    bench.lose(&first);
    bench.pass(200);
    // It may be written: asked again under its old stamp, never stamped anew.
    let again = bench.request();
    assert_eq!(again.batches[0].2, second.batches[0].2);
    assert!(bench.poll().is_none());
    // The broker misses the first: so the second is not there either, and goes out under the new epoch, before the third.
    bench.reply(&again, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    bench.pass(400);
    let restamped = bench.request();
    assert_eq!(stamp(&restamped), (1, 0));
    assert_eq!(stamp(&bench.request()), (1, 1));
}

#[test]
fn other_partitions_keep_their_epoch() {
    let mut bench = Bench::new(Numbering::Idempotent);
    let other = bench.add("t", 1, 2);
    bench.push(0, 1);
    bench.request();
    bench.pass(120_000);
    bench.push(other, 1);
    assert_eq!(stamp(&bench.request()), (0, 0));
    bench.push(0, 1);
    assert_eq!(stamp(&bench.request()), (1, 0));
}

#[test]
fn a_genuine_gap_at_the_broker_begins_a_new_epoch_and_loses_nothing() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 4);
    let first = bench.request();
    bench.reply(&first, ErrorCode::NONE, 0);
    bench.push(0, 1);
    let second = bench.request();
    bench.reply(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    bench.pass(200);
    let again = bench.request();
    assert_eq!(stamp(&again), (1, 0));
    bench.reply(&again, ErrorCode::NONE, 4);
    assert_eq!(bench.written(), [(0, 0), (1, 4)]);
}

#[test]
fn a_forgotten_producer_gets_a_new_id_unless_the_batch_may_be_written() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    let first = bench.request();
    bench.reply(&first, ErrorCode::UNKNOWN_PRODUCER_ID, -1);
    bench.pass(200);
    assert!(bench.poll().is_none() && bench.sender.poll_identity());
    let fresh = ProducerIdentity { producer_id: 8, producer_epoch: 0 };
    bench.sender.handle_identity(bench.now, fresh);
    let again = bench.request();
    assert_eq!((header(&again).producer, header(&again).base_sequence), (fresh, 0));
    bench.lose(&again);
    bench.pass(400);
    let third = bench.request();
    bench.reply(&third, ErrorCode::UNKNOWN_PRODUCER_ID, -1);
    assert!(bench.ended[0].1.as_ref().unwrap_err().maybe_applied());
}

#[test]
fn epochs_used_up_ask_for_a_new_producer_id() {
    let mut bench = Bench::bare(Numbering::Idempotent);
    bench.add("t", 0, 1);
    bench.sender.poll_identity();
    bench.sender.handle_identity(bench.now, ProducerIdentity { producer_id: 7, producer_epoch: i16::MAX - 1 });
    bench.push(0, 1);
    let first = bench.request();
    bench.reply(&first, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    assert!(bench.sender.poll_identity());
    bench.sender.handle_identity(bench.now, ProducerIdentity { producer_id: 9, producer_epoch: 0 });
    bench.pass(200);
    let again = bench.request();
    assert_eq!((header(&again).producer.producer_id, stamp(&again)), (9, (0, 0)));
}

#[test]
fn sequences_wrap_to_zero() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.sender.partitions[0].next_sequence = i32::MAX - 1;
    bench.push(0, 3);
    bench.push(0, 1);
    assert_eq!(stamp(&bench.request()), (0, i32::MAX - 1));
    assert_eq!(stamp(&bench.request()), (0, 1));
}

#[test]
fn a_batch_too_large_is_split_and_every_part_sent_before_what_followed() {
    let mut bench = Bench::new(Numbering::Idempotent);
    let whole = bench.push(0, 4);
    bench.push(0, 1);
    let (first, second) = (bench.request(), bench.request());
    bench.reply(&first, ErrorCode::MESSAGE_TOO_LARGE, -1);
    assert!(bench.poll().is_none(), "the second is still in flight");
    bench.reply(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    bench.pass(400);
    let mut counts = Vec::new();
    let mut offset = 0;
    while let Some(request) = bench.poll() {
        let header = header(&request);
        assert_eq!((header.producer.producer_epoch, i64::from(header.base_sequence)), (1, offset));
        counts.push(header.record_count);
        bench.reply(&request, ErrorCode::NONE, offset);
        offset += i64::from(header.record_count);
    }
    assert_eq!((counts.iter().sum::<i32>(), counts.last()), (5, Some(&1)));
    assert!(counts.len() > 2, "{counts:?}");
    drop(whole);
}

#[test]
fn a_lone_record_too_large_fails_with_its_sizes() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    let request = bench.request();
    bench.reply(&request, ErrorCode::MESSAGE_TOO_LARGE, -1);
    let error = bench.ended[0].1.as_ref().unwrap_err();
    assert!(error.to_string().contains("a key of 0 and a value of 67 bytes"), "{error}");
    assert!(!error.maybe_applied());
}

#[test]
fn only_the_refused_batch_fails_and_the_next_goes_on_under_a_new_epoch() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    bench.push(0, 1);
    let (first, second) = (bench.request(), bench.request());
    bench.reply(&first, ErrorCode::INVALID_RECORD, -1);
    bench.reply(&second, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, -1);
    bench.pass(200);
    let again = bench.request();
    assert_eq!(stamp(&again), (1, 0));
    bench.reply(&again, ErrorCode::NONE, 0);
    assert!(bench.ended[0].1.is_err() && bench.ended[1].1.is_ok());
}

#[test]
fn an_answer_that_leaves_a_partition_out_leaves_its_batch_unknown() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    let first = bench.request();
    bench.sender.handle_response(bench.now, first.id, vec![answer(42, ErrorCode::NONE, 1)]);
    bench.pass(200);
    assert_eq!(bench.request().batches[0].2, first.batches[0].2);
}

#[test]
fn requests_stay_below_their_size_and_every_partition_has_its_turn() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.sender.settings.max_request_size = 900;
    for p in 1..4 {
        let p = bench.add("t", p, 1);
        bench.sender.partitions[p].is_known = true;
    }
    (0..4).for_each(|p| (0..2).for_each(|_| drop(bench.push(p, 4))));
    let partitions: Vec<_> = (0..4).map(|_| bench.request()).flat_map(|r| r.batches).map(|(p, ..)| p).collect();
    assert_eq!(partitions, [0, 1, 2, 3, 0, 1, 2, 3]);
}

#[test]
fn a_broker_that_is_not_connected_is_connected_once_and_again_after_a_wait() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.sender.handle_disconnected(BrokerId(1));
    bench.push(0, 1);
    assert_eq!(bench.sender.poll_connect(bench.now), Some(BrokerId(1)));
    assert_eq!(bench.sender.poll_connect(bench.now), None);
    bench.sender.handle_connected(bench.now, BrokerId(1), Err(lost()));
    assert_eq!(bench.sender.poll_connect(bench.now), None);
    assert!(bench.sender.poll_timeout().unwrap() <= bench.now + 120 * MS);
    bench.pass(200);
    assert_eq!(bench.sender.poll_connect(bench.now), Some(BrokerId(1)));
}

#[test]
fn a_batch_given_up_while_its_broker_lets_nobody_in_says_why() {
    let mut bench = Bench::new(Numbering::Idempotent);
    bench.push(0, 1);
    let request = bench.request();
    bench.sender.handle_disconnected(BrokerId(1));
    bench.lose(&request);
    bench.pass(2_000);
    assert_eq!(bench.sender.poll_connect(bench.now), Some(BrokerId(1)));
    let refused = Error::broker(Operation::Connect, ErrorCode::SASL_AUTHENTICATION_FAILED, "broker 1");
    bench.sender.handle_connected(bench.now, BrokerId(1), Err(refused.clone()));
    bench.pass(120_000);
    let error = bench.ended[0].1.as_ref().unwrap_err();
    assert!(error.to_string().contains("SASL_AUTHENTICATION_FAILED") && error.maybe_applied(), "{error}");
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Timeout, refused.recovery()));
}

#[test]
fn a_right_to_the_transactional_id_that_is_gone_names_the_id() {
    let mut bench = Bench::bare(Numbering::Transactional);
    bench.add("t", 0, 1);
    bench.sender.begin_transaction(ID, true);
    bench.push(0, 1);
    bench.sender.handle_partition_added(bench.now, 0);
    let request = bench.request();
    bench.reply(&request, ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED, -1);
    let error = bench.ended[0].1.as_ref().unwrap_err();
    assert!(error.to_string().contains("etl/0#0") && error.to_string().contains("t-0"), "{error}");
}

#[test]
fn a_failed_batch_ends_the_transaction_and_a_partition_is_added_before_its_first_batch() {
    let mut bench = Bench::bare(Numbering::Transactional);
    bench.add("t", 0, 1);
    bench.sender.begin_transaction(ID, false);
    bench.push(0, 1);
    assert!(matches!(bench.sender.poll_event(), Some(Event::NeedsPartition(0))));
    assert!(bench.poll().is_none());
    bench.sender.handle_partition_added(bench.now, 0);
    let request = bench.request();
    assert!(header(&request).is_transactional());
    bench.sender.handle_response(bench.now, request.id, vec![answer(0, ErrorCode::INVALID_TXN_STATE, -1)]);
    let failed = std::iter::from_fn(|| bench.sender.poll_event()).any(|e| matches!(e, Event::TransactionFailed(_)));
    assert!(failed && bench.sender.has_unanswered());
}

#[test]
fn sequences_go_on_in_the_next_transaction_of_the_same_epoch_and_restart_in_another() {
    let mut bench = Bench::bare(Numbering::Transactional);
    bench.add("t", 0, 1);
    let mut stamps = Vec::new();
    for epoch in [0, 0, 1] {
        bench.sender.begin_transaction(ProducerIdentity { producer_epoch: epoch, ..ID }, true);
        bench.push(0, 2);
        let request = bench.request();
        stamps.push(stamp(&request));
        bench.reply(&request, ErrorCode::NONE, 0);
    }
    assert_eq!(stamps, [(0, 0), (0, 2), (1, 0)]);
}
