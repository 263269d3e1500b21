//! Where a test stands between client and broker: it sees every request and answer, and decides what happens to each.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use super::api::ConnectionId;
use crate::error::ErrorCode;
use crate::wire::frame::{self, RequestHeader};
use crate::wire::{Malformed, Request};

/// A request that has arrived and has not been applied yet.
#[derive(Clone, Copy, Debug)]
pub struct RequestInfo<'a> {
    /// The broker it reached.
    pub broker: i32,
    /// The connection it came by.
    pub connection: ConnectionId,
    /// API, version, correlation id and client id.
    pub header: &'a RequestHeader,
    /// The body as it came.
    pub body: &'a Bytes,
}

impl RequestInfo<'_> {
    /// Whether it is a `Q`.
    pub fn is<Q: Request>(&self) -> bool {
        self.header.api_key == Q::KEY
    }

    /// The body decoded as a `Q`; `None` if it is of another API.
    pub fn decode<Q: Request>(&self) -> Option<Result<Q, Malformed>> {
        self.is::<Q>().then(|| frame::decode_request::<Q>(self.header.api_version, self.body.clone()))
    }
}

/// What happens to a request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// It is applied and answered.
    Pass,
    /// It is applied after this time, even if its connection is gone by then.
    Delay(Duration),
    /// It is applied now and answered after this time.
    DelayAnswer(Duration),
    /// It vanishes: never applied, never answered.
    Drop,
    /// The connection is closed and the request is not applied.
    CloseBefore,
    /// The request is applied, its answer lost and the connection closed.
    CloseAfter,
    /// It is not applied; the answer says this wherever the API has room for an error.
    Error(ErrorCode),
    /// It is applied and its answer asks the client to pause (KIP-219), ms.
    ThrottleMs(i32),
}

/// What a tap sees.
#[derive(Clone, Copy, Debug)]
pub enum Seen<'a> {
    /// A request, before its verdict.
    Request(&'a RequestInfo<'a>),
    /// An answer on its way out, as a frame without its length bytes.
    Response {
        /// The broker that answers.
        broker: i32,
        /// The connection it answers on.
        connection: ConnectionId,
        /// The request's API.
        api_key: i16,
        /// The request's version.
        api_version: i16,
        /// Header and body.
        frame: &'a Bytes,
    },
}

/// Decides what happens to each request. It must not draw from anything unseeded.
pub type Hook = Box<dyn FnMut(&RequestInfo<'_>) -> Verdict + Send>;

/// Sees all that passes.
pub type Tap = Box<dyn FnMut(Seen<'_>) + Send>;

/// The hook and the tap of one cluster.
#[derive(Default)]
pub(super) struct Interception {
    pub(super) hook: Option<Hook>,
    pub(super) tap: Option<Tap>,
}

impl Interception {
    /// Shows a request to the tap and asks the hook.
    pub(super) fn judge(&mut self, info: &RequestInfo<'_>) -> Verdict {
        if let Some(tap) = &mut self.tap {
            tap(Seen::Request(info));
        }
        self.hook.as_mut().map_or(Verdict::Pass, |hook| hook(info))
    }

    /// Shows an answer to the tap.
    pub(super) fn show(&mut self, seen: Seen<'_>) {
        if let Some(tap) = &mut self.tap {
            tap(seen);
        }
    }
}

impl fmt::Debug for Interception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interception").field("hook", &self.hook.is_some()).field("tap", &self.tap.is_some()).finish()
    }
}
