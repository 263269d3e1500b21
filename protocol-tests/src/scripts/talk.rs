//! One connection and the transcript of what was said on it.

use std::fmt::Debug;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};

use super::Tv;
use super::normalise::Normaliser;

/// How long a broker may be silent, and how long a passing answer may be repeated.
const PATIENCE: Duration = Duration::from_secs(10);

/// Answers that only say "not yet": coordinators that are still loading.
const LOADING: &[&str] = &["COORDINATOR_LOAD_IN_PROGRESS", "COORDINATOR_NOT_AVAILABLE", "NOT_COORDINATOR"];
/// The same, and the markers of the last transaction that are still being written.
const BUSY: &[&str] = &["CONCURRENT_TRANSACTIONS"];

/// A conversation with one broker. Requests go out one at a time; what they say and what comes back is written down.
#[derive(Debug)]
pub struct Talk {
    /// The transaction version of the broker.
    pub tv: Tv,
    /// The script's name.
    pub name: &'static str,
    address: String,
    socket: TcpStream,
    correlation_id: i32,
    normaliser: Normaliser,
    transcript: String,
}

impl Talk {
    pub(super) fn connect(address: &str, tv: Tv, name: &'static str) -> Talk {
        let (socket, normaliser, transcript) = (open(address), Normaliser::default(), String::new());
        Talk { tv, name, address: address.into(), socket, correlation_id: 0, normaliser, transcript }
    }

    pub(super) fn into_transcript(self) -> String {
        self.transcript
    }

    /// Goes on with a new connection.
    pub(super) fn reconnect(&mut self) {
        self.socket = open(&self.address);
        self.transcript.push_str("> a new connection\n");
    }

    /// Sends `request` and writes the answer down; sends it again while a coordinator is loading.
    pub(super) fn ask<Q: Request>(&mut self, note: &str, version: i16, request: &Q) -> Q::Response
    where
        Q::Response: Debug,
    {
        self.ask_until(note, version, request, |text| !LOADING.iter().any(|code| text.contains(code)))
    }

    /// As [`Talk::ask`], and again while markers of the last transaction are being written.
    pub(super) fn ask_settled<Q: Request>(&mut self, note: &str, version: i16, request: &Q) -> Q::Response
    where
        Q::Response: Debug,
    {
        self.ask_until(note, version, request, |text| !LOADING.iter().chain(BUSY).any(|code| text.contains(code)))
    }

    /// Sends `request` until `is_final` likes the answer's text; only that answer is written down.
    pub(super) fn ask_until<Q: Request>(
        &mut self,
        note: &str,
        version: i16,
        request: &Q,
        is_final: impl Fn(&str) -> bool,
    ) -> Q::Response
    where
        Q::Response: Debug,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let response = self.exchange(version, request);
            let text = self.normaliser.text(&response);
            if is_final(&text) || Instant::now() > deadline {
                self.write_down::<Q>(note, version, &text);
                return response;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Sends `request`, encoded as at `encoded`, under a version the broker does not speak; reads the answer at `answered`.
    pub(super) fn ask_answered_at<Q: Request>(
        &mut self,
        note: &str,
        version: i16,
        encoded: i16,
        answered: i16,
        request: &Q,
    ) where
        Q::Response: Debug,
    {
        self.send(version, encoded, request);
        let response = self.receive::<Q>(answered);
        let text = self.normaliser.text(&response);
        self.write_down::<Q>(note, version, &text);
    }

    /// Sends what no broker answers.
    pub(super) fn tell<Q: Request>(&mut self, note: &str, version: i16, request: &Q) {
        self.send(version, version, request);
        self.write_down::<Q>(note, version, "(no answer)");
    }

    /// Sends `request`; the answer is not written down.
    pub(super) fn exchange<Q: Request>(&mut self, version: i16, request: &Q) -> Q::Response {
        self.send(version, version, request);
        self.receive::<Q>(version)
    }

    /// Waits until `is_done`, which may send requests of its own.
    pub(super) fn wait(&mut self, what: &str, mut is_done: impl FnMut(&mut Talk) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_done(self) {
            assert!(Instant::now() < deadline, "{}: {what} never happened", self.name);
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn send<Q: Request>(&mut self, version: i16, encoded: i16, request: &Q) {
        self.correlation_id += 1;
        let header = RequestHeader::default()
            .with_request_api_key(Q::KEY)
            .with_request_api_version(version)
            .with_correlation_id(self.correlation_id)
            .with_client_id(Some(StrBytes::from_static_str("script")));
        let mut frame = BytesMut::new();
        header.encode(&mut frame, Q::header_version(version)).expect("a header can be encoded");
        request.encode(&mut frame, encoded).unwrap_or_else(|e| panic!("{}: {e}", self.name));
        let length = i32::try_from(frame.len()).expect("scripts are small");
        let frame = [&length.to_be_bytes()[..], &frame].concat();
        self.socket.write_all(&frame).unwrap_or_else(|e| panic!("{}: the broker closed: {e}", self.name));
    }

    fn receive<Q: Request>(&mut self, version: i16) -> Q::Response {
        let what = || format!("{}: {} v{version}", self.name, api_name(Q::KEY));
        let mut length = [0; 4];
        self.socket.read_exact(&mut length).unwrap_or_else(|e| panic!("{}: no answer: {e}", what()));
        let length = usize::try_from(i32::from_be_bytes(length)).expect("a length is positive");
        assert!(length < 16 << 20, "{}: a frame of {length} bytes", what());
        let mut frame = vec![0; length];
        self.socket.read_exact(&mut frame).unwrap_or_else(|e| panic!("{}: half an answer: {e}", what()));
        let mut frame = Bytes::from(frame);
        let header = ResponseHeader::decode(&mut frame, Q::Response::header_version(version));
        assert_eq!(header.map(|h| h.correlation_id).ok(), Some(self.correlation_id), "{}", what());
        let response = Q::Response::decode(&mut frame, version).unwrap_or_else(|e| panic!("{}: {e}", what()));
        assert!(frame.is_empty(), "{}: {} bytes behind the answer", what(), frame.len());
        response
    }

    fn write_down<Q: Request>(&mut self, note: &str, version: i16, answer: &str) {
        let api = api_name(Q::KEY);
        self.transcript.push_str(&format!("> {api} v{version}: {note}\n{answer}\n"));
    }
}

fn open(address: &str) -> TcpStream {
    let socket = TcpStream::connect(address).unwrap_or_else(|e| panic!("cannot connect to {address}: {e}"));
    socket.set_read_timeout(Some(PATIENCE)).expect("ten seconds is a timeout");
    socket.set_nodelay(true).expect("a TCP socket has the option");
    socket
}

fn api_name(key: i16) -> String {
    ApiKey::try_from(key).map_or_else(|_| key.to_string(), |key| format!("{key:?}"))
}
