//! The mux by hand: literal times, bytes counted one by one.

use bytes::BytesMut;

use super::*;
use crate::wire::messages::ApiKey;

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(540);
/// Bytes of every request below.
const LEN: usize = 20;
const METADATA: i16 = ApiKey::Metadata as i16;
const PRODUCE: i16 = ApiKey::Produce as i16;

struct Bench {
    mux: Mux<&'static str>,
    now: Instant,
}

impl Bench {
    fn new() -> Self {
        let now = Instant::now();
        Self { mux: Mux::new(now, IDLE), now }
    }

    fn submit_for(&mut self, who: &'static str, api_key: i16, expects_response: bool) {
        let (head, tail) = (BytesMut::zeroed(LEN - 4), vec![Bytes::from_static(&[9; 4])]);
        let frame = RequestFrame { api_key, api_version: 8, head, tail };
        self.mux.submit(self.now, frame, self.now + 30 * SECOND, expects_response, who);
    }

    fn submit(&mut self, who: &'static str) {
        self.submit_for(who, METADATA, true);
    }

    /// Takes every request that may be written and tells their correlation ids.
    fn take(&mut self) -> Vec<i32> {
        std::iter::from_fn(|| self.mux.poll_transmit(self.now))
            .map(|frame| i32::from_be_bytes(frame.head[8..12].try_into().unwrap()))
            .collect()
    }

    fn send(&mut self) -> Vec<i32> {
        let ids = self.take();
        self.mux.handle_written(ids.len() * LEN);
        ids
    }

    fn answer(&mut self, id: i32) {
        self.answer_throttled(id, 0);
    }

    fn answer_throttled(&mut self, id: i32, throttle_ms: i32) {
        let frame = [id.to_be_bytes(), throttle_ms.to_be_bytes()].concat();
        self.mux.handle_frame(self.now, frame.into());
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        self.mux.handle_timeout(self.now);
    }

    /// Who ended how: `answered`, `written`, `unknown` or `not applied`.
    fn ended(&mut self) -> Vec<(&'static str, &'static str)> {
        std::iter::from_fn(|| self.mux.poll_outcome())
            .map(|(who, outcome)| match outcome {
                Outcome::Answered(_) => (who, "answered"),
                Outcome::Written => (who, "written"),
                Outcome::Failed { maybe_applied: true, .. } => (who, "unknown"),
                Outcome::Failed { maybe_applied: false, .. } => (who, "not applied"),
            })
            .collect()
    }
}

#[test]
fn requests_are_written_and_answered_in_the_order_of_submit() {
    let mut bench = Bench::new();
    bench.submit("a");
    bench.submit("b");
    assert_eq!(bench.send(), [1, 2]);
    bench.submit("c");
    assert_eq!(bench.send(), [3]);
    for id in [1, 2, 3] {
        bench.answer(id);
    }
    assert_eq!(bench.ended(), [("a", "answered"), ("b", "answered"), ("c", "answered")]);
    assert!(bench.mux.closed().is_none() && bench.mux.is_idle());
}

#[test]
fn an_answer_out_of_order_closes_and_leaves_what_was_written_unknown() {
    let mut bench = Bench::new();
    bench.submit("a");
    bench.submit("b");
    bench.send();
    bench.submit("queued");
    bench.answer(2);
    assert!(matches!(bench.mux.closed(), Some(Cause::Protocol(why)) if why.contains("2 where 1 was next")));
    assert_eq!(bench.ended(), [("a", "unknown"), ("b", "unknown"), ("queued", "not applied")]);
}

#[test]
fn an_answer_given_twice_or_to_nobody_or_too_short_closes() {
    for frame in [&[0, 0, 0, 1, 0, 0, 0, 0][..], &[0, 0, 0, 7], &[0, 0, 0], &[]] {
        let mut bench = Bench::new();
        bench.submit("a");
        bench.send();
        bench.answer(1);
        bench.mux.handle_frame(bench.now, Bytes::copy_from_slice(frame));
        assert!(matches!(bench.mux.closed(), Some(Cause::Protocol(_))), "{frame:?}");
    }
}

#[test]
fn an_answer_to_a_request_that_was_not_written_in_full_closes() {
    let mut bench = Bench::new();
    bench.submit("a");
    bench.take();
    bench.mux.handle_written(LEN - 1);
    bench.answer(1);
    assert!(matches!(bench.mux.closed(), Some(Cause::Protocol(why)) if why.contains("before it was written")));
    assert_eq!(bench.ended(), [("a", "unknown")]);
}

#[test]
fn a_request_of_which_no_byte_left_is_definitely_not_applied() {
    let mut bench = Bench::new();
    for who in ["whole", "part", "none"] {
        bench.submit(who);
    }
    assert_eq!(bench.take().len(), 3);
    bench.mux.handle_written(LEN + 1);
    bench.mux.close(Cause::Lost("reset".into()));
    assert_eq!(bench.ended(), [("whole", "unknown"), ("part", "unknown"), ("none", "not applied")]);
}

#[test]
fn a_failed_write_may_have_sent_all_that_was_offered() {
    let mut bench = Bench::new();
    bench.submit("offered");
    bench.take();
    bench.submit("queued");
    bench.mux.handle_write_failed("broken pipe".into());
    assert_eq!(bench.ended(), [("offered", "unknown"), ("queued", "not applied")]);
}

#[test]
fn an_expired_request_takes_the_connection_with_it() {
    let mut bench = Bench::new();
    bench.submit("a");
    bench.send();
    bench.pass(10 * SECOND);
    bench.submit("b");
    bench.send();
    assert_eq!(bench.mux.poll_timeout(), Some(bench.now + 20 * SECOND));
    bench.pass(20 * SECOND);
    assert_eq!(bench.mux.closed(), Some(&Cause::Expired(METADATA)));
    assert_eq!(bench.ended(), [("a", "unknown"), ("b", "unknown")]);
    bench.answer(1);
    assert_eq!(bench.ended(), [], "a late answer finds nobody");
}

#[test]
fn a_request_that_expires_in_the_queue_expires_alone() {
    let mut bench = Bench::new();
    bench.submit("early");
    bench.pass(10 * SECOND);
    bench.submit("late");
    bench.pass(20 * SECOND);
    assert_eq!(bench.ended(), [("early", "not applied")]);
    assert!(bench.mux.closed().is_none());
    assert_eq!(bench.mux.poll_timeout(), Some(bench.now + 10 * SECOND));
}

#[test]
fn a_request_without_an_answer_ends_with_its_last_byte() {
    let mut bench = Bench::new();
    bench.submit("asks");
    bench.submit_for("tells", PRODUCE, false);
    bench.take();
    bench.mux.handle_written(2 * LEN - 1);
    assert_eq!(bench.ended(), []);
    bench.mux.handle_written(1);
    assert_eq!(bench.ended(), [("tells", "written")]);
    bench.answer(1);
    assert_eq!(bench.ended(), [("asks", "answered")], "it was not in the way of the answers");
}

#[test]
fn a_throttled_connection_is_silent_and_no_deadline_runs_meanwhile() {
    let mut bench = Bench::new();
    bench.submit("a");
    bench.submit("b");
    bench.send();
    bench.answer_throttled(1, 60_000);
    bench.submit("c");
    assert_eq!(bench.take(), [] as [i32; 0]);
    bench.pass(59 * SECOND);
    assert_eq!((bench.take().len(), bench.mux.closed()), (0, None), "`b` expired only by the broker's own silence");
    bench.pass(SECOND);
    assert_eq!(bench.send(), [3]);
    bench.pass(29 * SECOND);
    assert_eq!(bench.mux.closed(), None);
    bench.pass(SECOND);
    assert_eq!(bench.mux.closed(), Some(&Cause::Expired(METADATA)));
    assert_eq!(bench.ended(), [("a", "answered"), ("b", "unknown"), ("c", "unknown")]);
}

#[test]
fn the_end_of_the_silence_wakes_the_driver_only_if_something_waits() {
    let mut bench = Bench::new();
    bench.mux.mute(bench.now, SECOND);
    assert_eq!(bench.mux.poll_timeout(), Some(bench.now + IDLE));
    bench.submit("a");
    assert_eq!(bench.mux.poll_timeout(), Some(bench.now + SECOND));
    // A shorter throttle does not end a longer one.
    bench.mux.mute(bench.now, SECOND / 2);
    bench.pass(SECOND / 2);
    assert_eq!(bench.take().len(), 0);
}

#[test]
fn a_broker_cannot_silence_a_connection_for_days() {
    let mut bench = Bench::new();
    bench.submit("a");
    bench.send();
    bench.answer_throttled(1, i32::MAX);
    bench.submit("b");
    bench.pass(throttle::LONGEST - SECOND);
    assert_eq!(bench.take().len(), 0);
    bench.pass(SECOND);
    assert_eq!(bench.send(), [2]);
}

#[test]
fn a_connection_that_nobody_uses_closes() {
    let mut bench = Bench::new();
    bench.pass(IDLE - SECOND);
    bench.submit("a");
    bench.send();
    bench.answer(1);
    bench.pass(IDLE - SECOND);
    assert_eq!(bench.mux.closed(), None);
    bench.pass(SECOND);
    assert_eq!(bench.mux.closed(), Some(&Cause::Idle));
}

#[test]
fn a_request_on_a_closed_connection_is_not_applied_and_the_first_cause_stays() {
    let mut bench = Bench::new();
    bench.mux.close(Cause::Idle);
    bench.mux.close(Cause::Lost("later".into()));
    bench.submit("a");
    assert_eq!(bench.ended(), [("a", "not applied")]);
    assert_eq!((bench.mux.closed(), bench.mux.poll_timeout()), (Some(&Cause::Idle), None));
}

#[test]
fn correlation_ids_begin_anew_after_the_largest() {
    let mut bench = Bench::new();
    bench.mux.next_correlation_id = i32::MAX;
    bench.submit("a");
    bench.submit("b");
    assert_eq!(bench.send(), [i32::MAX, 1]);
    bench.answer(i32::MAX);
    bench.answer(1);
    assert_eq!(bench.ended(), [("a", "answered"), ("b", "answered")]);
}

/// A frame of our own, before the queue.
fn submit_first(bench: &mut Bench, who: &'static str) {
    let frame = RequestFrame { api_key: METADATA, api_version: 8, head: BytesMut::zeroed(LEN), tail: Vec::new() };
    bench.mux.submit_first(frame, bench.now + 30 * SECOND, who);
}

#[test]
fn while_a_login_is_renewed_requests_wait_in_their_order_and_answers_still_come() {
    let mut bench = Bench::new();
    bench.submit("before");
    bench.send();
    bench.submit("a");
    bench.mux.hold();
    submit_first(&mut bench, "handshake");
    bench.submit("b");
    assert_eq!(bench.send(), [2], "the handshake alone, behind what was written before it");
    bench.answer(1);
    bench.answer(2);
    assert_eq!(bench.ended(), [("before", "answered"), ("handshake", "answered")]);
    submit_first(&mut bench, "login");
    assert_eq!(bench.send(), [3]);
    bench.answer(3);
    assert!(bench.take().is_empty());
    bench.mux.release();
    assert_eq!(bench.send(), [4, 5]);
    bench.answer(4);
    bench.answer(5);
    assert_eq!(bench.ended(), [("login", "answered"), ("a", "answered"), ("b", "answered")]);
}

#[test]
fn requests_that_wait_for_a_login_are_not_applied_if_it_fails() {
    let mut bench = Bench::new();
    bench.mux.hold();
    submit_first(&mut bench, "handshake");
    bench.submit("a");
    bench.send();
    bench.mux.close(Cause::Lost("logging in again failed".into()));
    assert_eq!(bench.ended(), [("handshake", "unknown"), ("a", "not applied")]);
}

#[test]
fn renewing_a_login_does_not_count_as_use() {
    let mut bench = Bench::new();
    let before = bench.mux.last_used();
    bench.pass(SECOND);
    bench.mux.hold();
    submit_first(&mut bench, "handshake");
    bench.send();
    bench.answer(1);
    bench.mux.release();
    assert_eq!(bench.mux.last_used(), before);
}
