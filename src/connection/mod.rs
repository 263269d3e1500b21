//! One broker, one socket: requests in flight in order, each answered, expired or known to be unknown.

mod transport;

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use crate::error::{Error, Result};
use crate::types::BrokerId;
use crate::wire::Request;
use crate::wire::api::BrokerVersions;
use crate::wire::frame::RequestFrame;

pub use transport::{BoxFuture, Dial, Environment, Stream, TcpDial};

/// A cheap handle to one open connection. A driver task owns the socket; dropping every handle closes it.
///
/// Requests are written in the order of [`submit`](Connection::submit) and answered in that order.
#[derive(Clone, Debug)]
pub struct Connection {}

/// The answer to a submitted request. Dropping it abandons the answer, not the request.
#[derive(Debug)]
pub struct Response {}

impl std::future::Future for Response {
    /// The response frame without its length bytes (its pooled buffer returns to the pool when every slice is gone).
    ///
    /// Errors carry `maybe_applied`: true once the request's bytes may have left.
    type Output = Result<Bytes>;

    fn poll(self: std::pin::Pin<&mut Self>, _cx: &mut std::task::Context<'_>) -> std::task::Poll<Self::Output> {
        todo!()
    }
}

impl Connection {
    /// The broker this connection was opened for; `BrokerId(-1)` for a bootstrap address.
    pub fn broker(&self) -> BrokerId {
        todo!()
    }

    /// `host:port` it is connected to, for messages.
    pub fn address(&self) -> &str {
        todo!()
    }

    /// What the broker speaks.
    pub fn versions(&self) -> &BrokerVersions {
        todo!()
    }

    /// The client id to write in request headers.
    pub fn client_id(&self) -> &str {
        todo!()
    }

    /// Whether it broke or was closed; a closed one stays closed.
    pub fn is_closed(&self) -> bool {
        todo!()
    }

    /// Hands a request to the socket's driver, without waiting. The frame is written as is but for its correlation id.
    ///
    /// The answer expires at `deadline`; a request that the broker never answers (acks=0) is given
    /// `expects_response: false` and resolves to an empty frame once written. An expired request closes the connection,
    /// as Java does, because its late answer could not be told from another's delay.
    pub fn submit(&self, _frame: RequestFrame, _deadline: Instant, _expects_response: bool) -> Response {
        todo!()
    }

    /// Encodes at the newest common version, sends, awaits and decodes. Never retries; safe to drop.
    pub async fn call<Q: Request>(&self, request: &Q, timeout: Duration) -> Result<Q::Response> {
        let version = self.version_of::<Q>()?;
        self.call_at(version, request, timeout).await
    }

    /// As [`call`](Connection::call), at a version the caller chose.
    pub async fn call_at<Q: Request>(&self, _version: i16, _request: &Q, _timeout: Duration) -> Result<Q::Response> {
        todo!()
    }

    /// The newest version of `Q` both sides speak, or an `Unsupported` error that names the broker's range.
    pub fn version_of<Q: Request>(&self) -> Result<i16, Error> {
        todo!()
    }
}
