//! Logs in again on a connection before its login expires (KIP-368), between requests and without losing one.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use rand::TryRng;

use super::handshake::Refusal;
use super::login::Credentials;
use super::mux::Mux;
use super::sasl::{Authentication, Chore, Next, Product};
use super::transport::{BoxFuture, Dial};

/// The part of a login's life after which it is renewed, in thousandths: by chance, so that a thousand connections that
/// were opened together do not log in together.
const EARLIEST: u64 = 850;
const LATEST: u64 = 950;
/// How long after a token could not be had it is asked for again, while the login still holds.
const PAUSE: Duration = Duration::from_secs(1);

/// The renewals of one connection. Requests wait from the first frame of one to the last, in their order.
pub(super) struct Renewal {
    credentials: Credentials,
    /// How long one step may take.
    patience: Duration,
    logged_in_at: Instant,
    expires_at: Instant,
    due: Instant,
    step: Step,
}

enum Step {
    Waiting,
    /// A frame is on its way.
    Asking(Authentication),
    /// Something is fetched or hashed.
    Doing(Authentication, BoxFuture<'static, Option<Product>>),
}

impl Renewal {
    /// For a login that was made at `now` and holds for `lifetime`.
    pub(super) fn new(credentials: Credentials, now: Instant, lifetime: Duration, patience: Duration) -> Self {
        let (logged_in_at, expires_at, due) = (now, now, now);
        let mut renewal = Self { credentials, patience, logged_in_at, expires_at, due, step: Step::Waiting };
        renewal.handle_login(now, lifetime);
        renewal
    }

    fn handle_login(&mut self, now: Instant, lifetime: Duration) {
        // No clock can hold some lifetimes that a broker may claim; a year is as good as for ever.
        let lifetime = lifetime.min(Duration::from_secs(365 * 24 * 3600));
        let chance = rand::rngs::SysRng.try_next_u64().unwrap_or_default() % (LATEST - EARLIEST + 1);
        let share = u32::try_from(EARLIEST + chance).unwrap_or(900);
        (self.logged_in_at, self.expires_at) = (now, now + lifetime);
        self.due = now + lifetime / 1000 * share;
        self.step = Step::Waiting;
    }

    /// When [`poll`](Renewal::poll) has something to begin. A connection nobody uses is left to expire: it would never
    /// be idle otherwise.
    pub(super) fn poll_timeout<T>(&self, mux: &Mux<T>) -> Option<Instant> {
        let is_waiting = matches!(self.step, Step::Waiting);
        (is_waiting && (!mux.is_idle() || mux.last_used() > self.logged_in_at)).then_some(self.due)
    }

    /// Begins what is due and goes on with what was begun. `ours` marks our own requests among those of the callers.
    pub(super) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        now: Instant,
        mux: &mut Mux<T>,
        ours: impl Fn() -> T,
    ) -> Result<(), Refusal> {
        if self.poll_timeout(mux).is_some_and(|due| due <= now) {
            let authentication = self.credentials.authentication()?;
            if now >= self.expires_at {
                // The broker would hang up on anything else.
                mux.hold();
            }
            self.begin(now, mux, authentication, &ours)?;
        }
        // One chore may lead to the next, which has to be polled once to wake us.
        while let Step::Doing(_, chore) = &mut self.step {
            let Poll::Ready(product) = chore.as_mut().poll(cx) else { return Ok(()) };
            self.handle_product(now, mux, product, &ours)?;
        }
        Ok(())
    }

    fn handle_product<T>(
        &mut self,
        now: Instant,
        mux: &mut Mux<T>,
        product: Option<Product>,
        ours: &impl Fn() -> T,
    ) -> Result<(), Refusal> {
        let Step::Doing(mut authentication, _) = std::mem::replace(&mut self.step, Step::Waiting) else {
            return Ok(());
        };
        match product {
            Some(Product::Failed(error)) if error.is_retriable() && now + PAUSE < self.expires_at => {
                tracing::warn!(%error, "no credentials to log in again with; the login still holds");
                self.due = now + PAUSE;
                Ok(())
            }
            Some(product) => {
                let next = authentication.handle_product(product)?;
                self.act(now, mux, authentication, next, ours)
            }
            None => Err(Refusal::Peer(format!("no credentials to log in again with after {:?}", self.patience))),
        }
    }

    fn begin<T>(
        &mut self,
        now: Instant,
        mux: &mut Mux<T>,
        mut authentication: Authentication,
        ours: &impl Fn() -> T,
    ) -> Result<(), Refusal> {
        tracing::debug!("logging in again");
        let next = authentication.begin()?;
        self.act(now, mux, authentication, next, ours)
    }

    /// The answer to our request.
    pub(super) fn handle_answer<T>(
        &mut self,
        now: Instant,
        mux: &mut Mux<T>,
        frame: bytes::Bytes,
        ours: impl Fn() -> T,
    ) -> Result<(), Refusal> {
        let Step::Asking(mut authentication) = std::mem::replace(&mut self.step, Step::Waiting) else {
            return Err(Refusal::Protocol("an answer nobody asked for".into()));
        };
        let next = authentication.handle_frame(frame)?;
        self.act(now, mux, authentication, next, &ours)
    }

    fn act<T>(
        &mut self,
        now: Instant,
        mux: &mut Mux<T>,
        authentication: Authentication,
        next: Next,
        ours: &impl Fn() -> T,
    ) -> Result<(), Refusal> {
        match next {
            Next::Send(frame) => {
                mux.hold();
                mux.submit_first(frame, now + self.patience, ours());
                self.step = Step::Asking(authentication);
            }
            Next::Do(chore) => {
                let dial = Arc::clone(&self.credentials.dial);
                self.step = Step::Doing(authentication, bounded(chore, dial, self.patience));
            }
            Next::Done(lifetime) => {
                tracing::debug!(lifetime_ms = lifetime.map(|l| l.as_millis()), "logged in again");
                // A broker that has stopped to limit logins is asked again once a year.
                self.handle_login(now, lifetime.unwrap_or(Duration::MAX));
                mux.release();
            }
        }
        Ok(())
    }
}

fn bounded(chore: Chore, dial: Arc<dyn Dial>, patience: Duration) -> BoxFuture<'static, Option<Product>> {
    Box::pin(async move { tokio::time::timeout(patience, chore.run(&*dial)).await.ok() })
}
