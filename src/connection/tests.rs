//! A connection over an in-memory stream and virtual time, against a peer that follows a script.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::scripted::{Network, Peer, frame, network};
use super::*;
use crate::config::ClientConfig;
use crate::error::{ErrorCode, Operation};
use crate::wire::messages::{
    ApiKey, ApiVersionsRequest, FindCoordinatorRequest, ProduceRequest, StreamsGroupDescribeRequest,
};

const SECOND: Duration = Duration::from_secs(1);
const BROKER: BrokerId = BrokerId(4);

async fn open(environment: &Environment) -> Result<Connection> {
    Connection::open(environment, &ClientConfig::default(), BROKER, "kafka-4", 9092).await
}

/// An open connection and the peer at its other end.
async fn connected(buffer: usize) -> (Connection, Peer, Network) {
    let (mut network, environment) = network(buffer);
    let apis = [(ApiKey::ApiVersions, 0, 4), (ApiKey::FindCoordinator, 90, 99)];
    let (connection, peer) = tokio::join!(open(&environment), network.accept_speaking(&apis));
    (connection.unwrap(), peer, network)
}

fn request_of(api_key: i16, tail: Vec<Bytes>) -> RequestFrame {
    let mut head = bytes::BytesMut::zeroed(14);
    let len = 10 + tail.iter().map(Bytes::len).sum::<usize>();
    head[..4].copy_from_slice(&u32::try_from(len).unwrap().to_be_bytes());
    RequestFrame { api_key, api_version: 0, head, tail }
}

fn submit(connection: &Connection, expires_in: Duration) -> Response {
    connection.submit(request_of(ApiKey::Produce as i16, Vec::new()), Instant::now() + expires_in, true)
}

#[tokio::test(start_paused = true)]
async fn answers_are_the_same_one_byte_at_a_time_or_all_at_once() {
    for step in [1, usize::MAX] {
        let (connection, mut peer, _network) = connected(1 << 20).await;
        let answers = [submit(&connection, SECOND), submit(&connection, SECOND), submit(&connection, SECOND)];
        let bodies = [vec![1; 3], vec![2; 100_000], Vec::new()];
        let stream: Vec<u8> = (1..).zip(&bodies).flat_map(|(id, body)| frame(id, body)).collect();
        let write = async {
            for _ in 0..3 {
                peer.request().await;
            }
            for piece in stream.chunks(step.min(stream.len())) {
                peer.write(piece).await;
                tokio::task::yield_now().await;
            }
        };
        let read = async {
            for (answer, body) in answers.into_iter().zip(&bodies) {
                assert_eq!(answer.await.unwrap()[4..], body[..]);
            }
        };
        tokio::join!(write, read);
    }
}

#[tokio::test(start_paused = true)]
async fn a_payload_of_many_slices_arrives_whole_through_a_narrow_stream() {
    let (connection, mut peer, _network) = connected(37).await;
    let tail: Vec<Bytes> = (0..300u16).map(|i| Bytes::from(vec![i as u8; usize::from(i)])).collect();
    let expected = tail.concat();
    let answer = connection.submit(request_of(0, tail), Instant::now() + SECOND, true);
    let seen = peer.request().await;
    assert_eq!(seen.frame[10..], expected[..]);
    peer.write(&frame(seen.correlation_id, b"")).await;
    answer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bytes_that_break_the_protocol_close_the_connection_and_leave_requests_unknown() {
    let too_long = 0x7fff_ffffu32.to_be_bytes();
    for (bytes, words) in [
        (&frame(2, b"")[..], "correlation id 2 where 1 was next"),
        (&(-1i32).to_be_bytes(), "a frame length of -1"),
        (&3u32.to_be_bytes(), "a frame length of 3"),
        (&too_long, "a frame length of 2147483647"),
    ] {
        let (connection, mut peer, _network) = connected(1024).await;
        let answer = submit(&connection, 30 * SECOND);
        peer.request().await;
        peer.write(bytes).await;
        let error = answer.await.unwrap_err();
        assert_eq!((error.kind(), error.maybe_applied()), (ErrorKind::Protocol, true));
        assert!(error.to_string().contains(words) && error.to_string().contains("kafka-4:9092"), "{error}");
        assert!(connection.is_closed());
        let later = submit(&connection, SECOND).await.unwrap_err();
        assert_eq!((later.kind(), later.maybe_applied(), later.is_retriable()), (ErrorKind::Network, false, true));
    }
}

#[tokio::test(start_paused = true)]
async fn a_connection_dropped_at_any_byte_of_an_answer_leaves_the_request_unknown() {
    let whole = frame(1, b"answer");
    for kept in 0..whole.len() {
        let (connection, mut peer, _network) = connected(1024).await;
        let answer = submit(&connection, 30 * SECOND);
        peer.request().await;
        peer.write(&whole[..kept]).await;
        drop(peer);
        let error = answer.await.unwrap_err();
        assert_eq!((error.kind(), error.maybe_applied()), (ErrorKind::Network, true), "after {kept} bytes");
        assert_eq!(error.to_string().contains("in the middle of an answer"), kept > 0, "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_answer_finds_a_closed_connection() {
    let (connection, mut peer, _network) = connected(1024).await;
    let began = Instant::now();
    let (late, neighbour) = (submit(&connection, 2 * SECOND), submit(&connection, 30 * SECOND));
    peer.request().await;
    let (late, neighbour) = (late.await.unwrap_err(), neighbour.await.unwrap_err());
    assert_eq!(began.elapsed(), 2 * SECOND);
    assert_eq!((late.kind(), late.maybe_applied()), (ErrorKind::Timeout, true));
    assert!(late.to_string().contains("no answer to Produce"), "{late}");
    assert!(neighbour.maybe_applied());
    peer.request().await;
    assert!(peer.next_request().await.is_none(), "the socket is closed");
}

#[tokio::test(start_paused = true)]
async fn a_request_that_the_socket_never_took_is_definitely_not_applied() {
    let (connection, mut peer, _network) = connected(100).await;
    let stalled = connection.submit(request_of(0, vec![Bytes::from(vec![7; 2 << 20])]), Instant::now() + SECOND, true);
    let behind = submit(&connection, 30 * SECOND);
    let mut some = [0; 50];
    peer.stream.read_exact(&mut some).await.unwrap();
    assert!(stalled.await.unwrap_err().maybe_applied());
    assert!(!behind.await.unwrap_err().maybe_applied());
}

#[tokio::test(start_paused = true)]
async fn a_request_without_an_answer_resolves_once_written() {
    let (connection, mut peer, _network) = connected(1024).await;
    let told = connection.submit(request_of(0, Vec::new()), Instant::now() + SECOND, false);
    let asked = submit(&connection, SECOND);
    assert_eq!(told.await.unwrap(), Bytes::new());
    peer.request().await;
    let seen = peer.request().await;
    peer.write(&frame(seen.correlation_id, b"x")).await;
    assert_eq!(asked.await.unwrap()[4..], b"x"[..]);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_caller_disturbs_nobody() {
    let (connection, mut peer, _network) = connected(1024).await;
    drop(submit(&connection, SECOND));
    let kept = submit(&connection, SECOND);
    for _ in 0..2 {
        let seen = peer.request().await;
        peer.write(&frame(seen.correlation_id, b"")).await;
    }
    kept.await.unwrap();
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn the_last_handle_closes_the_socket_when_the_last_answer_is_in() {
    let (connection, mut peer, _network) = connected(1024).await;
    let answer = submit(&connection, SECOND);
    drop(connection);
    let seen = peer.request().await;
    peer.write(&frame(seen.correlation_id, b"")).await;
    answer.await.unwrap();
    assert!(peer.next_request().await.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_muted_connection_waits_and_then_sends() {
    let (connection, mut peer, _network) = connected(1024).await;
    connection.mute(5 * SECOND);
    let began = Instant::now();
    let answer = submit(&connection, SECOND);
    let seen = peer.request().await;
    assert_eq!(began.elapsed(), 5 * SECOND);
    peer.write(&frame(seen.correlation_id, b"")).await;
    answer.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_closes_itself() {
    let (connection, mut peer, _network) = connected(1024).await;
    let began = Instant::now();
    assert!(peer.next_request().await.is_none());
    assert_eq!(began.elapsed(), ClientConfig::default().connections_max_idle);
    assert!(connection.is_closed());
    let error = submit(&connection, SECOND).await.unwrap_err();
    assert!(error.to_string().contains("connections.max.idle.ms") && !error.maybe_applied(), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_missing_version_names_the_api_and_both_ranges() {
    let (connection, _peer, _network) = connected(1024).await;
    let error = connection.version_of::<FindCoordinatorRequest>().unwrap_err();
    let words = "needs FindCoordinator in a version from 0 to 6, which the broker lacks: it offers versions 90 to 99";
    assert!(error.to_string().contains(words), "{error}");
    let error = connection.version_of::<ProduceRequest>().unwrap_err();
    assert!(error.to_string().contains("does not offer it at all"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    let error = connection.version_of::<StreamsGroupDescribeRequest>().unwrap_err();
    let words = "needs StreamsGroupDescribe in a version from 0 to 1, which the broker lacks: it does not offer it";
    assert!(error.to_string().contains(words), "a key that kafka-protocol has no name for: {error}");
}

#[tokio::test(start_paused = true)]
async fn a_body_that_breaks_its_schema_is_a_protocol_error_of_that_call_alone() {
    let (connection, mut peer, _network) = connected(1024).await;
    let request = ApiVersionsRequest::default();
    let script = async {
        let seen = peer.request().await;
        peer.write(&frame(seen.correlation_id, &[0, 0, 0, 0, 0, 1])).await;
    };
    let (answer, ()) = tokio::join!(connection.call_at(0, &request, SECOND), script);
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    let words = "ApiVersions v0 Response at byte 6 (apiKeys): array of 1 elements in 0 bytes";
    assert!(error.to_string().contains(words) && error.to_string().contains("kafka-4:9092"), "{error}");
    assert!(!connection.is_closed());
}

#[tokio::test(start_paused = true)]
async fn opening_ends_at_its_timeout_and_says_what_it_waited_for() {
    let (network, environment) = network(1024);
    let began = Instant::now();
    let error = open(&environment).await.unwrap_err();
    assert_eq!(began.elapsed(), 10 * SECOND);
    assert_eq!((error.kind(), error.operation()), (ErrorKind::Timeout, Operation::Connect));
    let text = error.to_string();
    assert!(text.contains("waiting for the answer to ApiVersions took longer"), "{text}");
    assert!(text.contains("socket.connection.setup.timeout.ms") && text.contains("kafka-4:9092"), "{text}");
    drop(network);
    let error = open(&environment).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Network && error.to_string().contains("refused"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_port_that_speaks_tls_or_http_is_named() {
    let alert = [0x15, 3, 3, 0, 2, 2, 40];
    for (bytes, words) in [(&alert[..], "answered with TLS"), (b"HTTP/1.1 400 Bad Request\r\n", "with HTTP")] {
        let (mut network, environment) = network(1024);
        let script = async {
            let mut peer = network.accept().await;
            peer.request().await;
            peer.write(bytes).await;
            peer.stream.shutdown().await.unwrap();
            sleep(SECOND).await;
        };
        let (error, ()) = tokio::join!(open(&environment), script);
        let error = error.unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        assert!(!error.is_retriable(), "no retry mends a wrong port");
    }
}

#[tokio::test(start_paused = true)]
async fn a_port_that_hangs_up_is_asked_once_more_and_may_speak_tls() {
    let (mut network, environment) = network(1024);
    let script = async {
        let mut asked = Vec::new();
        for _ in 0..2 {
            asked.push(network.accept().await.request().await.version);
        }
        asked
    };
    let (error, asked) = tokio::join!(open(&environment), script);
    assert_eq!(asked, [4, 0]);
    let error = error.unwrap_err();
    assert!(error.to_string().contains("a port that speaks TLS does so"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_refuses_the_version_is_asked_again_on_the_same_socket() {
    let (mut network, environment) = network(1024);
    let script = async {
        let mut peer = network.accept().await;
        let first = peer.request().await;
        let refusal = [&[0, 35][..], &1u32.to_be_bytes(), &[0, 18, 0, 0, 0, 2]].concat();
        peer.write(&frame(first.correlation_id, &refusal)).await;
        let second = peer.request().await;
        peer.answer::<ApiVersionsRequest>(&second, &scripted::speaks(&[(ApiKey::ApiVersions, 0, 2)])).await;
        (first.version, second.version)
    };
    let (connection, asked) = tokio::join!(open(&environment), script);
    assert_eq!(asked, (4, 2));
    assert_eq!(connection.unwrap().version_of::<ApiVersionsRequest>().unwrap(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_error_in_answer_to_the_handshake_is_told() {
    let (mut network, environment) = network(1024);
    let script = async {
        let mut peer = network.accept().await;
        let seen = peer.request().await;
        peer.answer::<ApiVersionsRequest>(&seen, &scripted::speaks(&[]).with_error_code(42)).await;
    };
    let (error, ()) = tokio::join!(open(&environment), script);
    assert_eq!(error.unwrap_err().code(), Some(ErrorCode::INVALID_REQUEST));
}
