//! Frames: a length, a header, a body. Encoding requests, splitting a byte stream, decoding through the guard.

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::Request;

use super::Malformed;

/// Largest frame we accept (100 MiB), as Java's brokers and clients do by default.
pub const MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// A request ready for the wire but for its correlation id, which the connection writes.
///
/// `head` starts with the four length bytes; `tail` slices follow it on the wire unchanged (record batches and the
/// framing between them), so a payload is never copied.
#[derive(Clone, Debug)]
pub struct RequestFrame {
    /// The API's key.
    pub api_key: i16,
    /// The version the body is encoded at.
    pub api_version: i16,
    /// Length, request header and the body up to the first tail slice.
    pub head: BytesMut,
    /// What follows `head`, in order.
    pub tail: Vec<Bytes>,
}

impl RequestFrame {
    /// Encodes `request` at `version`. Fails if a value cannot be carried by that version.
    pub fn encode<Q: Request>(_client_id: &str, _version: i16, _request: &Q) -> Result<RequestFrame, EncodeError> {
        todo!()
    }

    /// Bytes on the wire, the four length bytes included.
    pub fn wire_len(&self) -> usize {
        self.head.len() + self.tail.iter().map(Bytes::len).sum::<usize>()
    }

    /// Writes the correlation id into the header.
    pub fn set_correlation_id(&mut self, _correlation_id: i32) {
        todo!()
    }
}

/// A value that the chosen version cannot carry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EncodeError {
    /// The API's name.
    pub api: &'static str,
    /// The version.
    pub version: i16,
    /// What does not fit.
    pub reason: String,
}

/// The correlation id of a response frame (without its length bytes).
pub fn correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|b| i32::from_be_bytes(*b))
}

/// Decodes a response frame (without its length bytes, with its header) that answers a `Q` sent at `version`.
///
/// The guard walks the bytes first; the generated decoder sees only what passed. Byte fields are slices of `frame`.
pub fn decode_response<Q: Request>(_version: i16, _frame: Bytes) -> Result<Q::Response, Malformed> {
    todo!()
}

/// A request's header as a broker reads it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    /// The API's key, possibly one we do not know.
    pub api_key: i16,
    /// The version the client chose.
    pub api_version: i16,
    /// The number the answer must carry.
    pub correlation_id: i32,
    /// The client's name.
    pub client_id: Option<String>,
}

/// Splits a request frame (without its length bytes) into its header and its body. For brokers.
pub fn decode_request_header(_frame: Bytes) -> Result<(RequestHeader, Bytes), Malformed> {
    todo!()
}

/// Decodes a request body through the guard. For brokers.
pub fn decode_request<Q: Request>(_version: i16, _body: Bytes) -> Result<Q, Malformed> {
    todo!()
}

/// Encodes a response with its length bytes and header. For brokers. ApiVersions answers always use header v0.
pub fn encode_response<Q: Request>(
    _version: i16,
    _correlation_id: i32,
    _response: &Q::Response,
) -> Result<BytesMut, EncodeError> {
    todo!()
}

/// The next frame's length, from its four length bytes, or why the stream is lost.
///
/// Fails on a negative length, one shorter than a correlation id, or one above `max`.
pub fn frame_len(_prefix: [u8; 4], _max: usize) -> Result<usize, BadLength> {
    todo!()
}

/// A length prefix that no honest peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadLength {
    /// The length that was read.
    pub length: i32,
    /// The largest we accept.
    pub max: usize,
}
