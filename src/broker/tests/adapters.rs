//! The adapters: the same frames over a pipe under paused time and over TCP.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

use super::bench::*;
use crate::broker::{Control, MemoryCluster, Settings, TcpCluster};
use crate::wire::Request;
use crate::wire::frame::{RequestFrame, decode_response};
use crate::wire::messages::*;

async fn ask<Q: Request>(stream: &mut (impl AsyncRead + AsyncWrite + Unpin), version: i16, request: &Q) -> Q::Response {
    let mut frame = RequestFrame::encode("test", version, request).unwrap();
    frame.set_correlation_id(1);
    stream.write_all(&frame.head).await.unwrap();
    for tail in &frame.tail {
        stream.write_all(tail).await.unwrap();
    }
    let length = stream.read_i32().await.unwrap();
    let mut body = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    decode_response::<Q>(version, body.into()).unwrap()
}

fn create(name: &str) -> Control {
    Control::CreateTopic { name: name.into(), partitions: 1, configs: Default::default() }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_fetch_costs_virtual_time_only() {
    let cluster = MemoryCluster::start(Settings::default());
    cluster.control(create("t"));
    let mut stream = cluster.connect("127.0.0.1", 9092).unwrap();
    let before = Instant::now();
    let request = fetch_request(0, 0).with_max_wait_ms(3_600_000);
    assert_eq!(fetched(ask(&mut stream, 12, &request).await).error_code, 0);
    assert_eq!(before.elapsed(), Duration::from_secs(3600));
}

#[tokio::test(start_paused = true)]
async fn a_stopped_broker_refuses_connections_until_it_starts() {
    let cluster = MemoryCluster::start(Settings::default());
    let mut stream = cluster.connect("127.0.0.1", 9092).unwrap();
    cluster.control(Control::StopBroker(1));
    assert_eq!(stream.read(&mut [0; 1]).await.unwrap(), 0);
    let refused = cluster.connect("127.0.0.1", 9092).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    cluster.control(Control::StartBroker(1));
    assert!(cluster.connect("127.0.0.1", 9092).is_ok());
}

#[tokio::test]
async fn metadata_names_the_ports_that_are_listened_on() {
    let cluster = TcpCluster::bind(Settings::default().with_brokers(2), ([127, 0, 0, 1], 0).into()).await.unwrap();
    cluster.control(create("t"));
    let mut stream = tokio::net::TcpStream::connect(cluster.addresses()[1]).await.unwrap();
    let metadata = ask(&mut stream, 12, &MetadataRequest::default().with_topics(None)).await;
    let ports: Vec<_> = metadata.brokers.iter().map(|broker| broker.port).collect();
    let expected: Vec<_> = cluster.addresses().iter().map(|address| i32::from(address.port())).collect();
    assert_eq!(ports, expected);
    assert_eq!(metadata.topics[0].partitions.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_read_no_further() {
    let cluster = MemoryCluster::start(Settings::default());
    cluster.control(create("t"));
    let mut stream = cluster.connect("127.0.0.1", 9092).unwrap();
    let mut frame = RequestFrame::encode("test", 12, &MetadataRequest::default().with_topics(None)).unwrap();
    frame.set_correlation_id(1);
    let endless = async {
        loop {
            stream.write_all(&frame.head).await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), endless).await.expect_err("writing stalls");
}
