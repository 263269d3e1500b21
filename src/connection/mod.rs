//! One broker, one socket: requests in flight in order, each answered, expired or known to be unknown.

mod address;
mod dns;
mod driver;
mod failure;
mod frames;
mod handshake;
mod login;
mod mux;
mod open;
mod pool;
mod proxy;
mod refused;
mod renewal;
mod sasl;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;
mod throttle;
mod tls;
mod transport;

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::error::{Error, ErrorKind, Result};
use crate::types::BrokerId;
use crate::wire::Request;
use crate::wire::api::BrokerVersions;
use crate::wire::frame::{RequestFrame, decode_response};
use driver::Command;
use failure::Peer;

pub(crate) use address::{display as display_address, host_of, parse_bootstrap};
pub use proxy::ProxyDial;
pub use transport::{BoxFuture, Dial, Environment, Stream, TcpDial};

/// A cheap handle to one open connection. A driver task owns the socket; dropping every handle closes it once the
/// requests that were submitted are answered.
///
/// Requests are written in the order of [`submit`](Connection::submit) and answered in that order.
#[derive(Clone)]
pub struct Connection(Arc<Inner>);

struct Inner {
    peer: Arc<Peer>,
    versions: BrokerVersions,
    client_id: String,
    commands: mpsc::UnboundedSender<Command>,
}

/// The answer to a submitted request. Dropping it abandons the answer, not the request.
#[derive(Debug)]
pub struct Response {
    answer: oneshot::Receiver<Result<Bytes>>,
    peer: Arc<Peer>,
    api_key: i16,
}

impl Future for Response {
    /// The response frame without its length bytes (its pooled buffer returns to the pool when every slice is gone).
    ///
    /// Errors carry `maybe_applied`: true once the request's bytes may have left.
    type Output = Result<Bytes>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = std::task::ready!(Pin::new(&mut self.answer).poll(cx));
        // The driver resolves every request before it ends; only a runtime that shuts down drops it before.
        Poll::Ready(answer.unwrap_or_else(|_| Err(self.peer.abandoned(self.api_key))))
    }
}

impl Connection {
    /// The broker this connection was opened for; `BrokerId(-1)` for a bootstrap address.
    pub fn broker(&self) -> BrokerId {
        self.0.peer.broker
    }

    /// `host:port` it is connected to, for messages.
    pub fn address(&self) -> &str {
        &self.0.peer.address
    }

    /// What the broker speaks.
    pub fn versions(&self) -> &BrokerVersions {
        &self.0.versions
    }

    /// The client id to write in request headers.
    pub fn client_id(&self) -> &str {
        &self.0.client_id
    }

    /// Whether it broke or was closed; a closed one stays closed.
    pub fn is_closed(&self) -> bool {
        self.0.commands.is_closed()
    }

    /// Hands a request to the socket's driver, without waiting. The frame is written as is but for its correlation id.
    ///
    /// The answer expires at `deadline`; a request that the broker never answers (acks=0) is given
    /// `expects_response: false` and resolves to an empty frame once written. An expired request closes the connection,
    /// as Java does, because its late answer could not be told from another's delay.
    pub fn submit(&self, frame: RequestFrame, deadline: Instant, expects_response: bool) -> Response {
        let (waiter, answer) = oneshot::channel();
        let api_key = frame.api_key;
        let deadline = deadline.into_std();
        let command = Command::Submit { frame, deadline, expects_response, waiter };
        if let Err(mpsc::error::SendError(Command::Submit { waiter, .. })) = self.0.commands.send(command) {
            // A dropped receiver only means that nobody waits.
            let _ = waiter.send(Err(self.0.peer.closed_error(api_key)));
        }
        Response { answer, peer: Arc::clone(&self.0.peer), api_key }
    }

    /// Sends nothing for `throttle`, as the broker's answer asked (KIP-219).
    ///
    /// Only Produce's callers need it: other answers tell their throttle first and the connection reads it itself.
    pub fn mute(&self, throttle: Duration) {
        // On a closed connection there is nothing to mute.
        let _ = self.0.commands.send(Command::Mute(throttle));
    }

    /// Encodes at the newest common version, sends, awaits and decodes. Never retries; safe to drop.
    pub async fn call<Q: Request>(&self, request: &Q, timeout: Duration) -> Result<Q::Response> {
        let version = self.version_of::<Q>()?;
        self.call_at(version, request, timeout).await
    }

    /// As [`call`](Connection::call), at a version the caller chose.
    pub async fn call_at<Q: Request>(&self, version: i16, request: &Q, timeout: Duration) -> Result<Q::Response> {
        let peer = &self.0.peer;
        let frame = RequestFrame::encode(self.client_id(), version, request)
            .map_err(|e| peer.error(Q::KEY, ErrorKind::Invalid, format!("{} v{version}: {}", e.api, e.reason)))?;
        let frame = self.submit(frame, deadline_in(timeout), true).await?;
        decode_response::<Q>(version, frame)
            .map_err(|e| peer.error(Q::KEY, ErrorKind::Protocol, e.to_string()).with_maybe_applied(true))
    }

    /// The newest version of `Q` both sides speak, or an `Unsupported` error that names the broker's range.
    pub fn version_of<Q: Request>(&self) -> Result<i16, Error> {
        self.version_up_to::<Q>(i16::MAX)
    }

    /// As [`version_of`](Connection::version_of), but at most `cap`.
    pub fn version_up_to<Q: Request>(&self, cap: i16) -> Result<i16, Error> {
        let peer = &self.0.peer;
        self.versions().negotiate_number(Q::KEY, cap).map_err(|missing| {
            let (low, high) = missing.ours;
            let theirs = match missing.theirs {
                Some((min, max)) => format!("offers versions {min} to {max}"),
                None => "does not offer it at all".into(),
            };
            let detail =
                format!("needs {} in a version from {low} to {high}, which the broker lacks: it {theirs}", missing.api);
            peer.error(Q::KEY, ErrorKind::Unsupported, detail)
        })
    }
}

/// The instant `limit` from now; a limit that no clock can hold is a year.
pub(crate) fn deadline_in(limit: Duration) -> Instant {
    const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
    Instant::now() + limit.min(YEAR)
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Connection({}, {})", self.0.peer, if self.is_closed() { "closed" } else { "open" })
    }
}
