//! Waits on one socket, one inbox and one timer, and carries what they say to the mux and back. One task per connection.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Sleep;

use super::failure::Peer;
use super::frames::Frames;
use super::handshake::Refusal;
use super::mux::{Cause, Mux, Outcome};
use super::renewal::Renewal;
use super::transport::Stream;
use crate::error::Result;
use crate::wire::frame::RequestFrame;

/// Requests are taken from the mux until this much waits for the socket; the rest stays definitely unwritten.
const WRITE_AHEAD: usize = 1024 * 1024;
/// Slices of one vectored write; more are written by the next one.
const SLICES: usize = 64;

/// What a broker wants that hangs up on the first request after the versions are known.
const WANTS_SASL: &str = " before it answered anything; a port that wants SASL does so: then set \
                          security.protocol=SASL_PLAINTEXT or SASL_SSL";

/// What handles ask of the driver.
#[derive(Debug)]
pub(super) enum Command {
    Submit { frame: RequestFrame, deadline: Instant, expects_response: bool, waiter: oneshot::Sender<Result<Bytes>> },
    Mute(Duration),
}

/// Who waits.
#[derive(Debug)]
pub(super) enum Waiter {
    /// A caller, and for what API, so that the error can name it.
    Caller { api_key: i16, answer: oneshot::Sender<Result<Bytes>> },
    /// The renewal of the login.
    Ourselves,
}

/// The task that owns the socket. Ends when the connection is closed or nobody holds it any more.
pub(super) struct Driver {
    stream: Box<dyn Stream>,
    frames: Frames,
    outgoing: Outgoing,
    mux: Mux<Waiter>,
    inbox: mpsc::UnboundedReceiver<Command>,
    is_held: bool,
    /// No request has been answered yet.
    is_fresh: bool,
    timer: Timer,
    renewal: Option<Renewal>,
    peer: Arc<Peer>,
}

impl Driver {
    pub(super) fn new(
        stream: Box<dyn Stream>,
        frames: Frames,
        inbox: mpsc::UnboundedReceiver<Command>,
        max_idle: Duration,
        renewal: Option<Renewal>,
        peer: Arc<Peer>,
    ) -> Self {
        let mux = Mux::new(now(), max_idle);
        let (outgoing, timer) = (Outgoing::default(), Timer::default());
        Self { stream, frames, outgoing, mux, inbox, is_held: true, is_fresh: true, timer, renewal, peer }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) {
        while self.mux.closed().is_none() {
            match self.frames.next() {
                Ok(Some(frame)) => {
                    self.is_fresh = false;
                    self.mux.handle_frame(now(), frame);
                    continue;
                }
                Ok(None) => {}
                Err(bad) => return self.mux.close(Cause::Protocol(format!("a frame length of {}", bad.length))),
            }
            let mut spare = self.frames.spare();
            let read = pin!(self.stream.read_buf(&mut spare)).poll(cx);
            match read {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => return self.mux.close(Cause::Lost(self.end_of_stream())),
                // TLS that ends without its last word: frames tell their length, so that nothing is cut off unnoticed.
                Poll::Ready(Err(e)) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    return self.mux.close(Cause::Lost(self.end_of_stream()));
                }
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(e)) => return self.mux.close(Cause::Lost(e.to_string())),
            }
        }
    }

    fn end_of_stream(&self) -> String {
        let place = if self.frames.is_between_frames() { "" } else { " in the middle of an answer" };
        let hint = if self.is_fresh && !self.peer.protocol.has_sasl() { WANTS_SASL } else { "" };
        format!("the broker closed it{place}{hint}")
    }

    fn poll_inbox(&mut self, cx: &mut Context<'_>) {
        while self.is_held {
            match self.inbox.poll_recv(cx) {
                Poll::Pending => return,
                Poll::Ready(None) => self.is_held = false,
                Poll::Ready(Some(command)) => self.obey(command),
            }
        }
    }

    fn obey(&mut self, command: Command) {
        match command {
            Command::Submit { frame, deadline, expects_response, waiter } => {
                let waiter = Waiter::Caller { api_key: frame.api_key, answer: waiter };
                self.mux.submit(now(), frame, deadline, expects_response, waiter);
            }
            Command::Mute(throttle) => self.mux.mute(now(), throttle),
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        while self.mux.closed().is_none() {
            while self.outgoing.bytes < WRITE_AHEAD
                && let Some(frame) = self.mux.poll_transmit(now())
            {
                self.outgoing.push(frame);
            }
            if self.outgoing.bytes == 0 {
                return self.poll_flush(cx);
            }
            match self.outgoing.poll_write(cx, &mut self.stream) {
                Poll::Pending => return,
                Poll::Ready(Ok(0)) => self.mux.handle_write_failed("the socket takes no more bytes".into()),
                Poll::Ready(Ok(n)) => self.mux.handle_written(n),
                Poll::Ready(Err(e)) => self.mux.handle_write_failed(e.to_string()),
            }
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) {
        if let Poll::Ready(Err(e)) = Pin::new(&mut self.stream).poll_flush(cx) {
            self.mux.handle_write_failed(e.to_string());
        }
    }

    /// Goes on with what keeps the login alive.
    fn poll_renewal(&mut self, cx: &mut Context<'_>) {
        let Some(renewal) = &mut self.renewal else { return };
        if let Err(refusal) = renewal.poll(cx, now(), &mut self.mux, || Waiter::Ourselves) {
            self.login_failed(&refusal);
        }
    }

    fn renewal_answered(&mut self, frame: Bytes) {
        let Some(renewal) = &mut self.renewal else { return };
        if let Err(refusal) = renewal.handle_answer(now(), &mut self.mux, frame, || Waiter::Ourselves) {
            self.login_failed(&refusal);
        }
    }

    /// What waits was not applied and may be tried again; if the refusal stands, the next connection says so too.
    fn login_failed(&mut self, refusal: &Refusal) {
        let why = match refusal {
            Refusal::Authentication(code, detail) => format!("{code}: {detail}"),
            Refusal::Credentials(error) => error.to_string(),
            Refusal::Peer(why) | Refusal::Protocol(why) | Refusal::Invalid(why) | Refusal::Security(why) => why.clone(),
            Refusal::Foreign(why) => (*why).to_owned(),
            Refusal::Broker(code) => code.to_string(),
        };
        tracing::warn!(peer = %self.peer, why, "logging in again failed");
        self.mux.close(Cause::Lost(format!("logging in again failed: {why}")));
    }

    /// True if time has passed something, so that there may be more to write or to resolve.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> bool {
        let renewal = self.renewal.as_ref().and_then(|renewal| renewal.poll_timeout(&self.mux));
        let next = self.mux.poll_timeout().into_iter().chain(renewal).min();
        let fired = next.is_some_and(|at| self.timer.poll(cx, at).is_ready());
        if fired {
            self.mux.handle_timeout(now());
        }
        fired
    }

    fn resolve(&mut self) {
        while let Some((waiter, outcome)) = self.mux.poll_outcome() {
            let (answer, outcome, api_key) = match (waiter, outcome) {
                (Waiter::Caller { api_key, answer }, outcome) => (answer, outcome, api_key),
                (Waiter::Ourselves, Outcome::Answered(frame)) => {
                    self.renewal_answered(frame);
                    continue;
                }
                // The connection ends, and says why to the callers.
                (Waiter::Ourselves, _) => continue,
            };
            let result = match outcome {
                Outcome::Answered(frame) => Ok(frame),
                Outcome::Written => Ok(Bytes::new()),
                Outcome::Failed { cause, maybe_applied } => Err(self.peer.failure(api_key, &cause, maybe_applied)),
            };
            // A caller that went away costs nothing.
            let _ = answer.send(result);
        }
    }

    /// Tells everybody why it ended: first those who will ask, then those who wait.
    fn finish(&mut self, cause: Cause) {
        tracing::debug!(peer = %self.peer, ?cause, "connection closed");
        let _ = self.peer.ended.set(cause);
        self.inbox.close();
        while let Ok(command) = self.inbox.try_recv() {
            self.obey(command);
        }
        self.resolve();
    }
}

impl Future for Driver {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        loop {
            this.poll_read(cx);
            this.resolve();
            this.poll_inbox(cx);
            this.poll_renewal(cx);
            this.poll_write(cx);
            let fired = this.poll_timer(cx);
            this.resolve();
            if let Some(cause) = this.mux.closed().cloned() {
                this.finish(cause);
                return Poll::Ready(());
            }
            if !this.is_held && this.mux.is_idle() {
                return Poll::Ready(());
            }
            if !fired {
                return Poll::Pending;
            }
        }
    }
}

/// Slices on their way to the socket, in order.
#[derive(Default)]
struct Outgoing {
    slices: VecDeque<Bytes>,
    bytes: usize,
}

impl Outgoing {
    fn push(&mut self, frame: RequestFrame) {
        self.bytes += frame.wire_len();
        self.slices.push_back(frame.head.freeze());
        self.slices.extend(frame.tail.into_iter().filter(|slice| !slice.is_empty()));
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, stream: &mut Box<dyn Stream>) -> Poll<io::Result<usize>> {
        let mut vectors = [IoSlice::new(&[]); SLICES];
        let mut used = 0;
        for (vector, slice) in vectors.iter_mut().zip(&self.slices) {
            *vector = IoSlice::new(slice);
            used += 1;
        }
        let written = std::task::ready!(Pin::new(stream).poll_write_vectored(cx, &vectors[..used]))?;
        self.advance(written);
        Poll::Ready(Ok(written))
    }

    fn advance(&mut self, mut written: usize) {
        self.bytes = self.bytes.saturating_sub(written);
        while let Some(front) = self.slices.front_mut() {
            let step = front.len().min(written);
            front.advance(step);
            written -= step;
            if !front.is_empty() {
                return;
            }
            self.slices.pop_front();
        }
    }
}

/// One timer, set anew only when it has to ring earlier: deadlines move on with every request, and rarely ring.
#[derive(Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Timer {
    /// Ready at `at`, or earlier.
    fn poll(&mut self, cx: &mut Context<'_>, at: Instant) -> Poll<()> {
        let at = tokio::time::Instant::from_std(at);
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.is_elapsed() || at < sleep.deadline() {
            sleep.as_mut().reset(at);
        }
        sleep.as_mut().poll(cx)
    }
}

/// The runtime's clock, which a test may have paused.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}
