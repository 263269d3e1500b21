//! What the broker needs of one API: how to apply a request, how to refuse it, how to mark its answer throttled.

use std::time::Duration;

use super::core::Core;
use crate::types::TopicId;
use crate::wire::messages;
use crate::wire::{Request, StrBytes};

/// One connection of a client, numbered in the order they came.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ConnectionId(pub u64);

/// A request on its way through the broker: where it came from and how to answer it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Call {
    pub(super) connection: ConnectionId,
    pub(super) broker: i32,
    pub(super) api_key: i16,
    pub(super) version: i16,
    pub(super) correlation_id: i32,
    pub(super) throttle_ms: i32,
    pub(super) answer: Answer,
}

/// What becomes of the answer once the request has been applied.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It is sent.
    Now,
    /// It is sent later.
    After(Duration),
    /// It is lost and the connection is closed.
    Close,
}

/// What applying a request led to.
#[derive(Debug)]
pub(super) enum Outcome<R> {
    /// This answer.
    Reply(R),
    /// An answer that comes later, from a timer or another request.
    Pending,
    /// This answer; then the connection is closed.
    Last(R),
    /// No answer, as acks=0 wants it.
    Silent,
    /// The connection is closed, as Kafka does where a failure cannot be told.
    Close,
}

/// An API the broker serves.
pub(super) trait Serve: Request {
    /// Applies the request.
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<Self::Response>;

    /// The answer that says `code` wherever the API has room for it.
    fn refuse(self, code: i16, version: i16) -> Self::Response;

    /// Writes the throttle time into an answer.
    fn throttle(_response: &mut Self::Response, _throttle_ms: i32) {}
}

/// A protocol string.
pub(super) fn text(text: impl AsRef<str>) -> StrBytes {
    StrBytes::from_string(text.as_ref().to_owned())
}

/// A topic's name on the wire.
pub(super) fn name(text_: impl AsRef<str>) -> messages::TopicName {
    messages::TopicName(text(text_))
}

/// A topic's id on the wire, whatever the generated code calls the type.
pub(super) fn wire_id<T: TryFrom<Vec<u8>> + Default>(id: TopicId) -> T {
    T::try_from(id.0.to_vec()).unwrap_or_default()
}
