//! When a cluster is ready: a node answers Metadata with every broker in it and a controller.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{ApiKey, MetadataRequest, MetadataResponse, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion};

const VERSION: i16 = 9;
const PATIENCE: Duration = Duration::from_millis(500);

/// Whether the node at `port` answers Metadata with `brokers` brokers and a controller. Waits half a second at most.
pub(super) fn answers_with(port: u16, brokers: usize) -> bool {
    metadata(port).is_some_and(|answer| answer.brokers.len() == brokers && answer.controller_id.0 >= 0)
}

fn metadata(port: u16) -> Option<MetadataResponse> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.write_all(&request()?).ok()?;
    let mut length = [0; 4];
    socket.read_exact(&mut length).ok()?;
    let mut frame = vec![0; usize::try_from(i32::from_be_bytes(length)).ok().filter(|n| *n < 1 << 20)?];
    socket.read_exact(&mut frame).ok()?;
    let mut frame = Bytes::from(frame);
    ResponseHeader::decode(&mut frame, MetadataResponse::header_version(VERSION)).ok()?;
    MetadataResponse::decode(&mut frame, VERSION).ok()
}

fn request() -> Option<Vec<u8>> {
    let header =
        RequestHeader::default().with_request_api_key(ApiKey::Metadata as i16).with_request_api_version(VERSION);
    let body = MetadataRequest::default().with_topics(Some(vec![]));
    let mut frame = BytesMut::new();
    header.encode(&mut frame, MetadataRequest::header_version(VERSION)).ok()?;
    body.encode(&mut frame, VERSION).ok()?;
    let length = i32::try_from(frame.len()).ok()?;
    Some([&length.to_be_bytes()[..], &frame].concat())
}
