//! A network of in-memory streams for tests: every dial arrives at the test, which plays the broker byte by byte.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};

use bytes::{BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::sync::mpsc;

use super::{BoxFuture, Dial, Environment, Stream};
use crate::wire::Request;
use crate::wire::frame::encode_response;
use crate::wire::messages::api_versions_response::ApiVersion;
use crate::wire::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

/// Where the test accepts what the client dials.
pub(crate) struct Network {
    dialled: mpsc::UnboundedReceiver<Peer>,
    refused: Refused,
}

/// Addresses at which nobody listens.
pub(crate) type Refused = Arc<Mutex<BTreeSet<String>>>;

/// The broker's end of one stream.
pub(crate) struct Peer {
    pub(crate) stream: DuplexStream,
    /// `host:port` that was dialled.
    pub(crate) address: String,
}

/// A request as it arrived, with the length bytes cut off.
pub(crate) struct Seen {
    pub(crate) api_key: i16,
    pub(crate) version: i16,
    pub(crate) correlation_id: i32,
    pub(crate) frame: Bytes,
}

struct TestDial {
    buffer: usize,
    refused: Refused,
    accept: mpsc::UnboundedSender<Peer>,
}

impl Dial for TestDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let address = format!("{host}:{port}");
            if self.refused.lock().expect("not poisoned").contains(&address) {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            let (ours, stream) = tokio::io::duplex(self.buffer);
            let peer = Peer { stream, address };
            self.accept.send(peer).map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

/// A network whose streams hold `buffer` bytes each way, and the client's way into it. Dropping it refuses connections.
pub(crate) fn network(buffer: usize) -> (Network, Environment) {
    let (accept, dialled) = mpsc::unbounded_channel();
    let refused = Refused::default();
    let dial = Arc::new(TestDial { buffer, refused: Arc::clone(&refused), accept });
    (Network { dialled, refused }, Environment { dial, seed: 1, ..Environment::default() })
}

impl Network {
    /// The next stream the client opens.
    pub(crate) async fn accept(&mut self) -> Peer {
        self.next().await.expect("the client's environment lives")
    }

    /// The next stream, or `None` when the client and its environment are gone.
    pub(crate) async fn next(&mut self) -> Option<Peer> {
        self.dialled.recv().await
    }

    /// The addresses at which nobody listens, to add to and take from.
    pub(crate) fn refused(&self) -> Refused {
        Arc::clone(&self.refused)
    }

    /// The next stream, its handshake done: the broker speaks `apis`.
    pub(crate) async fn accept_speaking(&mut self, apis: &[(ApiKey, i16, i16)]) -> Peer {
        let mut peer = self.accept().await;
        let hello = peer.request().await;
        assert_eq!(hello.api_key, ApiVersionsRequest::KEY);
        peer.answer::<ApiVersionsRequest>(&hello, &speaks(apis)).await;
        peer
    }
}

/// An ApiVersions answer with these APIs.
pub(crate) fn speaks(apis: &[(ApiKey, i16, i16)]) -> ApiVersionsResponse {
    let row = |(key, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_api_keys(apis.iter().map(row).collect())
}

impl Peer {
    /// The next request. Panics if the client closes instead.
    pub(crate) async fn request(&mut self) -> Seen {
        self.next_request().await.expect("a request, not the end of the stream")
    }

    /// The next request, or `None` when the client has closed the stream.
    pub(crate) async fn next_request(&mut self) -> Option<Seen> {
        let len = self.stream.read_u32().await.ok()?;
        let mut frame = vec![0; usize::try_from(len).expect("fits")];
        self.stream.read_exact(&mut frame).await.ok()?;
        let mut header = &frame[..];
        let api_key = header.read_i16().await.expect("a header");
        let version = header.read_i16().await.expect("a header");
        let correlation_id = header.read_i32().await.expect("a header");
        Some(Seen { api_key, version, correlation_id, frame: frame.into() })
    }

    /// Answers a request.
    pub(crate) async fn answer<Q: Request>(&mut self, seen: &Seen, response: &Q::Response) {
        let frame = encode_response::<Q>(seen.version, seen.correlation_id, response).expect("it encodes");
        self.write(&frame).await;
    }

    /// Writes these bytes as they are.
    pub(crate) async fn write(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.expect("the client reads");
    }
}

/// A frame with its length bytes: a correlation id and a body.
pub(crate) fn frame(correlation_id: i32, body: &[u8]) -> BytesMut {
    let mut frame = BytesMut::new();
    frame.put_u32(u32::try_from(4 + body.len()).expect("a small body"));
    frame.put_i32(correlation_id);
    frame.put_slice(body);
    frame
}
