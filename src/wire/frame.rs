//! Frames: a length, a header, a body. Encoding requests, splitting a byte stream, decoding through the guard.

use bytes::{BufMut, Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request};

use super::api::{api_by_number, api_name};
use super::messages::ApiKey;
use super::{Direction, Malformed, cursor::Cursor, guard};

/// Largest frame we accept (100 MiB), as Java's brokers and clients do by default.
pub const MAX_FRAME_BYTES: usize = 100 * 1024 * 1024;

/// Bytes from the start of a frame to its correlation id: length, API key, API version.
const CORRELATION_ID_AT: usize = 8;
const UNSUPPORTED_VERSION: i16 = 35;

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
    /// Encodes `request` at `version`. Fails if a value cannot be carried by that version, or we do not speak it.
    pub fn encode<Q: Request>(client_id: &str, version: i16, request: &Q) -> Result<RequestFrame, EncodeError> {
        let fail = |reason: String| EncodeError { api: api_name(Q::KEY), version, reason };
        check_spoken(Q::KEY, version).map_err(fail)?;
        let mut head = BytesMut::with_capacity(256);
        put_request_header::<Q>(&mut head, client_id, version).map_err(fail)?;
        request.encode(&mut head, version).map_err(|e| fail(e.to_string()))?;
        patch_length(&mut head).map_err(fail)?;
        Ok(RequestFrame { api_key: Q::KEY, api_version: version, head, tail: Vec::new() })
    }

    /// Bytes on the wire, the four length bytes included.
    pub fn wire_len(&self) -> usize {
        self.head.len() + self.tail.iter().map(Bytes::len).sum::<usize>()
    }

    /// Writes the correlation id into the header. May be called again before a retry.
    pub fn set_correlation_id(&mut self, correlation_id: i32) {
        let field = self.head.get_mut(CORRELATION_ID_AT..CORRELATION_ID_AT + 4);
        field.expect("head holds the whole request header").copy_from_slice(&correlation_id.to_be_bytes());
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

impl std::fmt::Display for EncodeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} v{}: {}", self.api, self.version, self.reason)
    }
}

impl std::error::Error for EncodeError {}

fn check_spoken(key: i16, version: i16) -> Result<(), String> {
    match api_by_number(key) {
        Some(api) if api.speaks(version) => Ok(()),
        Some(api) => Err(format!("versions {} to {} are spoken", api.min, api.max)),
        None => Err(format!("API {key} is not spoken")),
    }
}

/// Room for the length, then the header with correlation id 0.
///
/// A flexible header keeps the client id as a classic string, so that a broker too old for it can still read it (KIP-511).
fn put_request_header<Q: Request>(head: &mut BytesMut, client_id: &str, version: i16) -> Result<(), String> {
    let id_len = i16::try_from(client_id.len()).map_err(|_| "client.id is longer than 32767 bytes".to_string())?;
    head.put_i32(0);
    head.put_i16(Q::KEY);
    head.put_i16(version);
    head.put_i32(0);
    head.put_i16(id_len);
    head.put_slice(client_id.as_bytes());
    if Q::header_version(version) >= 2 {
        head.put_u8(0);
    }
    Ok(())
}

/// Writes the bytes after the length field into it.
fn patch_length(frame: &mut BytesMut) -> Result<(), String> {
    let body = frame.len().saturating_sub(4);
    let length = i32::try_from(body).map_err(|_| format!("a frame of {body} bytes"))?;
    let field = frame.get_mut(..4).expect("every frame starts with room for its length");
    field.copy_from_slice(&length.to_be_bytes());
    Ok(())
}

/// The correlation id of a response frame (without its length bytes).
pub fn correlation_id(frame: &[u8]) -> Option<i32> {
    frame.first_chunk().map(|b| i32::from_be_bytes(*b))
}

/// Decodes a response frame (without its length bytes, with its header) that answers a `Q` sent at `version`.
///
/// The guard walks the bytes first; the generated decoder sees only what passed. Byte fields are slices of `frame`, or
/// of a copy of it without the tagged fields that nobody knows, if it has any.
/// Bytes left over are an error. An ApiVersions answer of UNSUPPORTED_VERSION is read at version 0, which is what a
/// broker that does not know `version` writes (KIP-511).
pub fn decode_response<Q: Request>(version: i16, mut frame: Bytes) -> Result<Q::Response, Malformed> {
    let header = response_header_len::<Q>(version, &frame)
        .map_err(|(offset, reason)| header_fault(Q::KEY, version, Direction::Response, offset, reason))?;
    let body = frame.split_off(header);
    let version = if Q::KEY == ApiKey::ApiVersions as i16 && error_code(&body) == Some(UNSUPPORTED_VERSION) {
        0
    } else {
        version
    };
    decode_body(Q::KEY, version, Direction::Response, body)
}

fn error_code(body: &[u8]) -> Option<i16> {
    body.first_chunk().map(|b| i16::from_be_bytes(*b))
}

fn response_header_len<Q: Request>(version: i16, frame: &[u8]) -> Result<usize, (usize, String)> {
    let mut cursor = Cursor::new(frame);
    let mut walk = || {
        cursor.skip(4)?;
        if <Q::Response as HeaderVersion>::header_version(version) >= 1 { cursor.skip_tagged_fields() } else { Ok(()) }
    };
    walk().map_err(|reason| (cursor.position(), reason))?;
    Ok(cursor.position())
}

/// Faults have their places counted from the end of the header; one within the header says its own.
fn header_fault(key: i16, version: i16, direction: Direction, at: usize, reason: String) -> Malformed {
    let reason = format!("{reason}, at byte {at} of the header");
    Malformed { api: api_name(key), version, direction, offset: 0, path: "header".into(), reason }
}

/// Guard, then the generated decoder, which gets no tagged field that nobody knows; nothing may remain.
fn decode_body<M: Decodable>(key: i16, version: i16, direction: Direction, body: Bytes) -> Result<M, Malformed> {
    let mut body = guard::readable(key, version, direction, body)?;
    let len = body.len();
    let fault = |left: usize, reason| Malformed {
        api: api_name(key),
        version,
        direction,
        offset: len.saturating_sub(left),
        path: String::new(),
        reason,
    };
    let message = M::decode(&mut body, version).map_err(|e| fault(len, e.to_string()))?;
    if body.is_empty() { Ok(message) } else { Err(fault(body.len(), format!("{} bytes left over", body.len()))) }
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
///
/// Works for keys and versions we do not speak, so that they can be answered: a version above ours has the header of
/// our newest, a key nobody knows has no tagged fields.
pub fn decode_request_header(mut frame: Bytes) -> Result<(RequestHeader, Bytes), Malformed> {
    let mut cursor = Cursor::new(&frame);
    let header = read_request_header(&mut cursor);
    let position = cursor.position();
    let header =
        header.map_err(|(key, version, reason)| header_fault(key, version, Direction::Request, position, reason))?;
    let body = frame.split_off(position);
    Ok((header, body))
}

fn read_request_header(cursor: &mut Cursor<'_>) -> Result<RequestHeader, (i16, i16, String)> {
    let api_key = cursor.i16().map_err(|reason| (-1, -1, reason))?;
    let api_version = cursor.i16().map_err(|reason| (api_key, -1, reason))?;
    let fault = |reason| (api_key, api_version, reason);
    let correlation_id = cursor.i32().map_err(fault)?;
    let client_id = read_client_id(cursor).map_err(fault)?;
    if has_flexible_header(api_key, api_version) {
        cursor.skip_tagged_fields().map_err(fault)?;
    }
    Ok(RequestHeader { api_key, api_version, correlation_id, client_id })
}

fn read_client_id(cursor: &mut Cursor<'_>) -> Result<Option<String>, String> {
    let len = match cursor.i16()? {
        -1 => return Ok(None),
        len => usize::try_from(len).map_err(|_| format!("client id of {len} bytes"))?,
    };
    let text = std::str::from_utf8(cursor.take(len)?).map_err(|_| "client id is not UTF-8".to_string())?;
    Ok(Some(text.to_string()))
}

fn has_flexible_header(api_key: i16, api_version: i16) -> bool {
    match api_by_number(api_key) {
        Some(api) => api_version >= api.flexible_from,
        None => ApiKey::try_from(api_key).is_ok_and(|key| key.request_header_version(api_version) >= 2),
    }
}

/// Decodes a request body through the guard. For brokers.
pub fn decode_request<Q: Request>(version: i16, body: Bytes) -> Result<Q, Malformed> {
    decode_body(Q::KEY, version, Direction::Request, body)
}

/// Encodes a response with its length bytes and header. For brokers. ApiVersions answers always use header v0.
pub fn encode_response<Q: Request>(
    version: i16,
    correlation_id: i32,
    response: &Q::Response,
) -> Result<BytesMut, EncodeError> {
    let fail = |reason: String| EncodeError { api: api_name(Q::KEY), version, reason };
    check_spoken(Q::KEY, version).map_err(fail)?;
    let mut frame = BytesMut::with_capacity(256);
    frame.put_i32(0);
    frame.put_i32(correlation_id);
    if <Q::Response as HeaderVersion>::header_version(version) >= 1 {
        frame.put_u8(0);
    }
    response.encode(&mut frame, version).map_err(|e| fail(e.to_string()))?;
    patch_length(&mut frame).map_err(fail)?;
    Ok(frame)
}

/// The next frame's length, from its four length bytes, or why the stream is lost.
///
/// Fails on a negative length, one shorter than a correlation id, or one above `max`.
pub fn frame_len(prefix: [u8; 4], max: usize) -> Result<usize, BadLength> {
    let length = i32::from_be_bytes(prefix);
    match usize::try_from(length) {
        Ok(len) if (4..=max).contains(&len) => Ok(len),
        _ => Err(BadLength { length, max }),
    }
}

/// A length prefix that no honest peer sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BadLength {
    /// The length that was read.
    pub length: i32,
    /// The largest we accept.
    pub max: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::api_versions_response::ApiVersion;
    use crate::wire::messages::{
        ApiVersionsRequest, ApiVersionsResponse, MetadataRequest, MetadataResponse, WriteShareGroupStateRequest,
    };

    /// What the peer's reader hands on: the frame without its length.
    fn sent(frame: BytesMut) -> Bytes {
        let len = frame_len(*frame.first_chunk().expect("a length"), MAX_FRAME_BYTES).expect("a good length");
        assert_eq!(len + 4, frame.len());
        frame.freeze().split_off(4)
    }

    #[test]
    fn a_request_reaches_the_broker_as_it_was_sent() {
        for version in 4..=13 {
            let request = MetadataRequest::default().with_topics(None);
            let mut frame = RequestFrame::encode("milena-é", version, &request).expect("encodes");
            frame.set_correlation_id(1);
            frame.set_correlation_id(-559038737);
            assert_eq!(frame.wire_len(), frame.head.len());
            let (header, body) = decode_request_header(sent(frame.head)).expect("a header");
            let client_id = Some("milena-é".to_string());
            let expected = RequestHeader { api_key: 3, api_version: version, correlation_id: -559038737, client_id };
            assert_eq!(header, expected);
            assert_eq!(decode_request::<MetadataRequest>(version, body).expect("a body"), request);
        }
    }

    #[test]
    fn a_response_reaches_the_client_as_it_was_sent() {
        for version in 0..=13 {
            let response = MetadataResponse::default();
            let frame = sent(encode_response::<MetadataRequest>(version, 7, &response).expect("encodes"));
            assert_eq!(correlation_id(&frame), Some(7));
            assert_eq!(decode_response::<MetadataRequest>(version, frame).expect("decodes"), response);
        }
    }

    #[test]
    fn bytes_left_over_are_an_error() {
        let mut frame = encode_response::<MetadataRequest>(9, 7, &MetadataResponse::default()).expect("encodes");
        frame.put_u8(0);
        let fault = decode_response::<MetadataRequest>(9, frame.freeze().split_off(4)).expect_err("left over");
        assert_eq!((fault.api, fault.version, fault.direction), ("Metadata", 9, Direction::Response));
        assert!(fault.reason.contains("left over"), "{fault}");
    }

    #[test]
    fn a_value_the_version_lacks_is_refused() {
        let request = MetadataRequest::default().with_allow_auto_topic_creation(false);
        let error = RequestFrame::encode("c", 3, &request).expect_err("version 3 always creates");
        assert_eq!((error.api, error.version), ("Metadata", 3));
        let long = "x".repeat(32_768);
        assert!(RequestFrame::encode(&long, 9, &MetadataRequest::default()).is_err());
    }

    #[test]
    fn versions_and_apis_we_do_not_speak_are_refused() {
        let error = RequestFrame::encode("c", 14, &MetadataRequest::default()).expect_err("too new");
        assert_eq!(error.to_string(), "Metadata v14: versions 0 to 13 are spoken");
        assert!(RequestFrame::encode("c", 0, &WriteShareGroupStateRequest::default()).is_err());
        assert!(encode_response::<MetadataRequest>(-1, 0, &MetadataResponse::default()).is_err());
    }

    #[test]
    fn an_api_versions_request_from_the_future_still_tells_its_client() {
        let mut frame = RequestFrame::encode("new", 4, &ApiVersionsRequest::default()).expect("encodes").head;
        frame[6..8].copy_from_slice(&99i16.to_be_bytes());
        let (header, _) = decode_request_header(sent(frame)).expect("a header");
        assert_eq!((header.api_version, header.client_id.as_deref()), (99, Some("new")));
    }

    #[test]
    fn a_key_nobody_knows_has_a_readable_header() {
        let frame = Bytes::from_static(b"\x7f\xff\0\x05\0\0\0\x09\xff\xff\xab\xcd");
        let (header, body) = decode_request_header(frame).expect("a header");
        assert_eq!(header, RequestHeader { api_key: 32767, api_version: 5, correlation_id: 9, client_id: None });
        assert_eq!(&body[..], b"\xab\xcd");
    }

    #[test]
    fn a_torn_header_names_what_is_missing() {
        let frame = Bytes::from_static(b"\0\x03\0\x09\0\0\0\x01\0\x05ab");
        let fault = decode_request_header(frame).expect_err("client id is cut");
        assert_eq!(
            fault.to_string(),
            "Metadata v9 Request at byte 0 (header): 5 bytes wanted, 2 left, at byte 10 of the header"
        );
        for len in 0..8 {
            assert!(decode_request_header(Bytes::from_static(&[0; 8]).slice(..len)).is_err());
        }
    }

    #[test]
    fn a_refused_api_versions_request_is_answered_at_version_0() {
        let key = ApiVersion::default().with_api_key(18).with_max_version(2);
        let refusal = ApiVersionsResponse::default().with_error_code(35).with_api_keys(vec![key]);
        let frame = sent(encode_response::<ApiVersionsRequest>(0, 1, &refusal).expect("encodes"));
        assert_eq!(decode_response::<ApiVersionsRequest>(4, frame).expect("decodes"), refusal);
    }

    #[test]
    fn frame_lengths_no_honest_peer_sends_lose_the_stream() {
        assert_eq!(frame_len([0, 0, 0, 4], 10), Ok(4));
        assert_eq!(frame_len([0, 0, 0, 10], 10), Ok(10));
        for length in [i32::MIN, -1, 0, 3, 11, i32::MAX] {
            assert_eq!(frame_len(length.to_be_bytes(), 10), Err(BadLength { length, max: 10 }));
        }
    }
}
