//! What is said first on a socket: ApiVersions at the newest version, and the ways down when a broker is older.

use bytes::Bytes;

use crate::config::security::SecurityProtocol;
use crate::error::ErrorCode;
use crate::wire::api::{self, BrokerVersions};
use crate::wire::frame::{RequestFrame, decode_response};
use crate::wire::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};
use crate::wire::{Request, StrBytes};

/// How a TLS port or another protocol is told apart from a broker, in the words of the error.
const SPEAKS_TLS: &str = "it answered with TLS: the port speaks TLS; set security.protocol=SSL (or SASL_SSL) or use a \
                          port without TLS";
const SPEAKS_HTTP: &str = "it answered with HTTP: this is a web server's port, not a Kafka broker's";
const CLOSED: &str = "it closed the connection without answering ApiVersions; a port that speaks TLS does so: then set \
                      security.protocol=SSL (or SASL_SSL) or use a port without TLS";
/// Inside TLS that guess would be wrong.
const CLOSED_INSIDE_TLS: &str = "it closed the connection without answering ApiVersions; a broker that wants a \
                                 certificate of the client does so: then set ssl.keystore.location or \
                                 ssl.keystore.certificate.chain and ssl.keystore.key";

/// What to do next.
#[derive(Debug)]
pub(super) enum Step {
    /// Write this and read a frame.
    Send(RequestFrame),
    /// The broker told what it speaks.
    Done(BrokerVersions),
    /// Open a new socket and ask for [`Handshake::request`] again: the broker hung up on a version it does not know.
    Redial,
}

/// Why the handshake failed.
#[derive(Clone, Debug)]
pub(super) enum Refusal {
    /// The peer could not be reached or hung up.
    Peer(String),
    /// The peer speaks something else: no retry mends that.
    Foreign(&'static str),
    /// The broker answered an error.
    Broker(ErrorCode),
    /// The peer's bytes broke the protocol.
    Protocol(String),
    /// Our own side cannot be encoded, as a client id that is too long.
    Invalid(String),
    /// Who the peer is, or who may read what we say, cannot be trusted.
    Security(String),
    /// The broker does not accept who we say we are.
    Authentication(ErrorCode, String),
    /// A token or key could not be had.
    Credentials(crate::error::Error),
}

/// The ApiVersions exchange of one connection.
#[derive(Debug)]
pub(super) struct Handshake {
    client_id: String,
    has_tls: bool,
    /// The version asked at now; only ever goes down.
    version: i16,
}

impl Handshake {
    pub(super) fn new(client_id: &str, protocol: SecurityProtocol) -> Self {
        let newest = api::api(ApiKey::ApiVersions).map_or(0, |row| row.asks);
        Self { client_id: client_id.into(), has_tls: protocol.has_tls(), version: newest }
    }

    /// The request of the version that is tried now, with correlation id 0.
    pub(super) fn request(&self) -> Result<RequestFrame, Refusal> {
        let mut request = ApiVersionsRequest::default();
        if self.version >= 3 {
            // Brokers refuse names and versions outside [a-zA-Z0-9.-] (KIP-511).
            request.client_software_name = StrBytes::from_static_str("milena");
            request.client_software_version = StrBytes::from_static_str(env!("CARGO_PKG_VERSION"));
        }
        let mut frame = RequestFrame::encode(&self.client_id, self.version, &request)
            .map_err(|e| Refusal::Invalid(format!("{} v{}: {} (client.id?)", e.api, e.version, e.reason)))?;
        frame.set_correlation_id(0);
        Ok(frame)
    }

    /// A frame arrived: the broker's versions, or the reason to ask again at a lower one.
    pub(super) fn handle_frame(&mut self, frame: Bytes) -> Result<Step, Refusal> {
        if !frame.starts_with(&[0; 4]) {
            return Err(Refusal::Protocol("an answer to ApiVersions with another correlation id".into()));
        }
        let code = frame.get(4..6).and_then(|b| b.first_chunk()).map_or(0, |b| i16::from_be_bytes(*b));
        if ErrorCode(code) == ErrorCode::UNSUPPORTED_VERSION {
            return self.step_down(frame);
        }
        let response = self.decode(self.version, frame)?;
        ErrorCode(response.error_code).ok().map_err(Refusal::Broker)?;
        Ok(Step::Done(BrokerVersions::from_response(&response)))
    }

    /// The version is unknown to the broker, which says so in version 0, with the range it knows (brokers before 2.4:
    /// without).
    fn step_down(&mut self, frame: Bytes) -> Result<Step, Refusal> {
        if self.version == 0 {
            return Err(Refusal::Broker(ErrorCode::UNSUPPORTED_VERSION));
        }
        let known = self.decode(0, frame).ok().and_then(|response| {
            let row = response.api_keys.iter().find(|row| row.api_key == ApiVersionsRequest::KEY)?;
            Some(row.max_version)
        });
        self.version = known.filter(|max| (0..self.version).contains(max)).unwrap_or(0);
        self.request().map(Step::Send)
    }

    fn decode(&self, version: i16, frame: Bytes) -> Result<ApiVersionsResponse, Refusal> {
        decode_response::<ApiVersionsRequest>(version, frame).map_err(|e| Refusal::Protocol(e.to_string()))
    }

    /// The peer closed the socket: once more at version 0, in case it hung up on a version it does not know.
    pub(super) fn handle_closed(&mut self, unread: &[u8]) -> Result<Step, Refusal> {
        if let Some(protocol) = other_protocol(unread) {
            return Err(Refusal::Foreign(protocol));
        }
        if self.version == 0 || !unread.is_empty() {
            return Err(Refusal::Peer(if self.has_tls { CLOSED_INSIDE_TLS } else { CLOSED }.into()));
        }
        self.version = 0;
        Ok(Step::Redial)
    }

    /// The peer's bytes are no frame.
    pub(super) fn handle_bad_length(&self, length: i32, unread: &[u8]) -> Refusal {
        match other_protocol(unread) {
            Some(protocol) => Refusal::Foreign(protocol),
            None => Refusal::Protocol(format!("a frame length of {length}")),
        }
    }
}

/// The protocol these first bytes belong to, if it is one that people mistake for Kafka.
fn other_protocol(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        // A TLS record: alert (21) or handshake (22), of SSL 3.0 or any TLS.
        [0x15 | 0x16, 0x03, ..] => Some(SPEAKS_TLS),
        _ if bytes.starts_with(b"HTTP") => Some(SPEAKS_HTTP),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::frame::{correlation_id, encode_response};
    use crate::wire::messages::api_versions_response::ApiVersion;

    /// An answer without its length bytes: an error code and the versions of these APIs.
    fn answer(version: i16, error_code: i16, apis: &[(ApiKey, i16, i16)]) -> Bytes {
        let row = |(key, min, max): &(ApiKey, i16, i16)| {
            ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
        };
        let rows = apis.iter().map(row).collect();
        let response = ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(rows);
        encode_response::<ApiVersionsRequest>(version, 0, &response).unwrap().freeze().slice(4..)
    }

    fn versions_asked(step: &Step) -> i16 {
        match step {
            Step::Send(frame) => frame.api_version,
            other => panic!("{other:?} instead of a request"),
        }
    }

    #[test]
    fn the_newest_version_is_asked_and_its_answer_taken() {
        let mut handshake = Handshake::new("me", SecurityProtocol::Plaintext);
        let frame = handshake.request().unwrap();
        assert_eq!((frame.api_key, frame.api_version), (18, 4));
        assert_eq!(correlation_id(&frame.head[8..]), Some(0));
        assert!(frame.head.windows(6).any(|w| w == b"milena"), "KIP-511: the software's name");
        let Step::Done(versions) = handshake.handle_frame(answer(4, 0, &[(ApiKey::Metadata, 0, 9)])).unwrap() else {
            panic!("not done");
        };
        assert_eq!(versions.negotiate(ApiKey::Metadata), Ok(9));
    }

    #[test]
    fn an_older_broker_tells_its_range_and_is_asked_within_it() {
        let mut handshake = Handshake::new("me", SecurityProtocol::Plaintext);
        let step = handshake.handle_frame(answer(0, 35, &[(ApiKey::ApiVersions, 0, 3)])).unwrap();
        assert_eq!(versions_asked(&step), 3);
        assert!(matches!(handshake.handle_frame(answer(3, 0, &[])), Ok(Step::Done(_))));
    }

    #[test]
    fn a_broker_that_tells_no_range_or_a_false_one_is_asked_at_version_0_and_not_forever() {
        for apis in [&[][..], &[(ApiKey::ApiVersions, 0, 9)], &[(ApiKey::ApiVersions, -3, -1)]] {
            let mut handshake = Handshake::new("me", SecurityProtocol::Plaintext);
            let step = handshake.handle_frame(answer(0, 35, apis)).unwrap();
            assert_eq!(versions_asked(&step), 0);
            let refused = handshake.handle_frame(answer(0, 35, apis)).unwrap_err();
            assert!(matches!(refused, Refusal::Broker(ErrorCode::UNSUPPORTED_VERSION)));
        }
    }

    #[test]
    fn a_broker_that_hangs_up_is_asked_once_more_at_version_0() {
        let mut handshake = Handshake::new("me", SecurityProtocol::Plaintext);
        assert!(matches!(handshake.handle_closed(&[]), Ok(Step::Redial)));
        assert_eq!(handshake.request().unwrap().api_version, 0);
        let Err(Refusal::Peer(words)) = handshake.handle_closed(&[]) else { panic!("not refused") };
        assert!(words.contains("security.protocol=SSL"), "{words}");
    }

    #[test]
    fn a_port_of_another_protocol_is_named() {
        let alert = [0x15, 3, 3, 0, 2, 2, 40];
        for (bytes, words) in [(&alert[..], "set security.protocol=SSL"), (b"HTTP/1.1 400 Bad", "not a Kafka broker's")]
        {
            let length = i32::from_be_bytes(*bytes.first_chunk().unwrap());
            let Refusal::Foreign(why) =
                Handshake::new("me", SecurityProtocol::Plaintext).handle_bad_length(length, bytes)
            else {
                panic!("{bytes:?}")
            };
            assert!(why.contains(words), "{why}");
            let cut_short = Handshake::new("me", SecurityProtocol::Plaintext).handle_closed(&bytes[..2]);
            assert!(cut_short.is_err(), "a stump of another protocol is no reason to ask again");
        }
        let refusal = Handshake::new("me", SecurityProtocol::Plaintext).handle_bad_length(-1, &[0xff; 4]);
        assert!(matches!(refusal, Refusal::Protocol(words) if words == "a frame length of -1"));
    }

    #[test]
    fn an_error_or_another_id_ends_the_handshake() {
        let refused = Handshake::new("me", SecurityProtocol::Plaintext).handle_frame(answer(4, 42, &[])).unwrap_err();
        assert!(matches!(refused, Refusal::Broker(ErrorCode::INVALID_REQUEST)));
        for frame in [&[0, 0, 0, 1, 0, 0][..], &[0, 0, 0], &[0, 0, 0, 0], &[0, 0, 0, 0, 0]] {
            let refused = Handshake::new("me", SecurityProtocol::Plaintext)
                .handle_frame(Bytes::copy_from_slice(frame))
                .unwrap_err();
            assert!(matches!(refused, Refusal::Protocol(_)), "{frame:?}: {refused:?}");
        }
    }
}
