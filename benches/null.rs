//! A null broker, and `milena bench` against it: the real protocol, nothing behind it, so that the client is measured.
//!
//! `cargo bench --features cli --bench null` runs every workload; `-- produce --partitions 1 --records 20000000` one of
//! them. The broker is pinned to the second core and the client to the first (`taskset`, where there is one). Two lines
//! are the floor of the latency line, each the round trip of a bare tokio task on the same loopback: `echo` to a server
//! that sends back what it gets, `bare` with a ready-made Produce request to the null broker.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use kafka_protocol::messages::list_offsets_response::{ListOffsetsPartitionResponse, ListOffsetsTopicResponse};
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, Request, StrBytes};
use milena::wire::batch::{BatchBuilder, ProducerStamp};
use milena::{NewRecord, ProducerIdentity};

/// What the null broker speaks: recent enough for every feature measured, without topic ids.
const SPOKEN: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 9),
    (ApiKey::Fetch, 4, 12),
    (ApiKey::ListOffsets, 1, 6),
    (ApiKey::Metadata, 0, 9),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::InitProducerId, 0, 4),
];

const BATCH_BYTES: usize = 16 * 1024;

fn main() {
    // Cargo adds --bench; the rest is ours.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match arguments.first().map(String::as_str) {
        Some("serve") => serve(&arguments),
        Some("echo-server") => echo_server(),
        Some("echo") => floor("echo", &["echo-server"], vec![7; 200]),
        Some("bare") => floor("bare", &["serve", "--partitions", "1"], one_record()),
        Some(mode) => workload(mode, &arguments[1..]),
        None => {
            for partitions in ["1", "12"] {
                workload("produce", &["--partitions", partitions, "--records", "20000000"].map(String::from));
                workload("consume", &["--partitions", partitions, "--records", "50000000"].map(String::from));
            }
            workload("latency", &["--partitions", "1", "--records", "50000"].map(String::from));
            for floor in ["echo", "bare"] {
                let _ = pinned("0", &this_program()).arg(floor).status();
            }
        }
    }
}

fn value_of<'a>(arguments: &'a [String], name: &str, default: &'a str) -> &'a str {
    let at = arguments.iter().position(|a| a == name);
    at.and_then(|at| arguments.get(at + 1)).map_or(default, String::as_str)
}

/// A command on one core, where the system can pin.
fn pinned(core: &str, program: &str) -> Command {
    let can_pin = Command::new("taskset").arg("-V").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok();
    if !can_pin {
        return Command::new(program);
    }
    let mut command = Command::new("taskset");
    command.args(["-c", core, program]);
    command
}

fn this_program() -> String {
    std::env::current_exe().expect("a running program has a path").display().to_string()
}

/// Starts this program as a server on the second core; gives it and the address it printed.
fn server(arguments: &[&str]) -> (Child, String) {
    let mut child =
        pinned("1", &this_program()).args(arguments).stdout(Stdio::piped()).spawn().expect("spawn a server");
    let mut line = [0; 64];
    let read = child.stdout.as_mut().expect("piped").read(&mut line).expect("the server prints its address");
    (child, String::from_utf8_lossy(&line[..read]).trim().to_owned())
}

fn workload(mode: &str, arguments: &[String]) {
    let (partitions, size) = (value_of(arguments, "--partitions", "12"), value_of(arguments, "--size", "100"));
    let (mut broker, address) = server(&["serve", "--partitions", partitions, "--size", size]);
    let records = value_of(arguments, "--records", "20000000");
    let mut client = pinned("0", env!("CARGO_BIN_EXE_milena"));
    client.args(["bench", mode, "-b", &address, "-t", "null", "--records", records, "--size", size, "--json"]);
    for property in arguments.windows(2).filter(|pair| pair[0] == "-X") {
        client.args(["-X", &property[1]]);
    }
    let output = client.stderr(Stdio::inherit()).output().expect("run milena bench");
    println!("{mode} {partitions} partitions {size} B: {}", String::from_utf8_lossy(&output.stdout).trim());
    let _ = broker.kill();
    let _ = broker.wait();
}

fn serve(arguments: &[String]) {
    let partitions = value_of(arguments, "--partitions", "12").parse().expect("a number of partitions");
    let size = value_of(arguments, "--size", "100").parse().expect("bytes of a value");
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a loopback port");
    let port = listener.local_addr().expect("bound").port();
    println!("127.0.0.1:{port}");
    let broker = Broker { port: i32::from(port), partitions, template: template(size) };
    std::thread::scope(|scope| {
        for stream in listener.incoming().flatten() {
            let broker = &broker;
            scope.spawn(move || broker.serve(stream));
        }
    });
}

/// One sealed batch of values of `size` bytes; the offset in front of it is not part of its checksum.
fn template(size: usize) -> (Vec<u8>, i64) {
    let mut batch = BatchBuilder::new(Vec::new(), BATCH_BYTES);
    let value = vec![b'x'; size];
    while batch.append(&NewRecord::value(&value), 1_700_000_000_000).is_ok() {}
    let records = i64::from(batch.record_count());
    let stamp = ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };
    (batch.seal(stamp), records)
}

struct Broker {
    port: i32,
    partitions: i32,
    template: (Vec<u8>, i64),
}

impl Broker {
    /// Answers one connection until it ends. Anything unexpected ends it.
    fn serve(&self, mut stream: TcpStream) {
        let _ = stream.set_nodelay(true);
        let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
        let mut chunk = vec![0; 1 << 18];
        loop {
            let read = match stream.read(&mut chunk) {
                Ok(read) if read > 0 => read,
                _ => return,
            };
            input.extend_from_slice(&chunk[..read]);
            while let Some(length) = input.first_chunk::<4>().map(|b| u32::from_be_bytes(*b) as usize) {
                if input.len() < 4 + length {
                    break;
                }
                let frame = input.split_to(4 + length).freeze().slice(4..);
                self.answer(frame, &mut output);
            }
            if stream.write_all(&output).is_err() {
                return;
            }
            output.clear();
        }
    }

    fn answer(&self, frame: Bytes, out: &mut BytesMut) {
        let key = i16::from_be_bytes([frame[0], frame[1]]);
        match ApiKey::try_from(key).expect("an API that was offered") {
            ApiKey::ApiVersions => reply::<ApiVersionsRequest>(frame, out, |_| versions()),
            ApiKey::Metadata => reply::<MetadataRequest>(frame, out, |_| self.metadata()),
            ApiKey::InitProducerId => reply::<InitProducerIdRequest>(frame, out, |_| {
                InitProducerIdResponse::default().with_producer_id(ProducerId(1)).with_producer_epoch(0)
            }),
            ApiKey::ListOffsets => reply::<ListOffsetsRequest>(frame, out, |request| list_offsets(&request)),
            ApiKey::Produce => reply::<ProduceRequest>(frame, out, |request| acknowledge(&request)),
            ApiKey::Fetch => reply::<FetchRequest>(frame, out, |request| self.fetch(&request)),
            other => panic!("{other:?} was not offered"),
        }
    }

    fn metadata(&self) -> MetadataResponse {
        let broker = MetadataResponseBroker::default()
            .with_node_id(BrokerId(1))
            .with_host(StrBytes::from_static_str("127.0.0.1"))
            .with_port(self.port);
        let partition = |index| {
            MetadataResponsePartition::default()
                .with_partition_index(index)
                .with_leader_id(BrokerId(1))
                .with_leader_epoch(0)
                .with_replica_nodes(vec![BrokerId(1)])
                .with_isr_nodes(vec![BrokerId(1)])
        };
        let topic = MetadataResponseTopic::default()
            .with_name(Some(TopicName(StrBytes::from_static_str("null"))))
            .with_partitions((0..self.partitions).map(partition).collect());
        MetadataResponse::default().with_brokers(vec![broker]).with_controller_id(BrokerId(1)).with_topics(vec![topic])
    }

    /// As many whole batches as each partition's and the fetch's limits allow, at least one.
    fn fetch(&self, request: &FetchRequest) -> FetchResponse {
        let mut left = request.max_bytes.max(1) as usize;
        let mut topics = Vec::new();
        for topic in &request.topics {
            let mut partitions = Vec::new();
            for asked in &topic.partitions {
                let limit = left.min(asked.partition_max_bytes.max(1) as usize);
                let records = self.batches(asked.fetch_offset, limit);
                left = left.saturating_sub(records.len());
                partitions.push(
                    PartitionData::default()
                        .with_partition_index(asked.partition)
                        .with_high_watermark(i64::MAX / 2)
                        .with_last_stable_offset(i64::MAX / 2)
                        .with_log_start_offset(0)
                        .with_records(Some(records)),
                );
            }
            topics.push(FetchableTopicResponse::default().with_topic(topic.topic.clone()).with_partitions(partitions));
        }
        FetchResponse::default().with_responses(topics)
    }

    fn batches(&self, from: i64, limit: usize) -> Bytes {
        let (template, records) = &self.template;
        let mut base = from - from % records;
        let mut bytes = BytesMut::with_capacity(limit.max(template.len()));
        while bytes.is_empty() || bytes.len() + template.len() <= limit {
            bytes.extend_from_slice(&base.to_be_bytes());
            bytes.extend_from_slice(&template[8..]);
            base += records;
        }
        bytes.freeze()
    }
}

/// Decodes a `Q`, answers it, and appends the answer's frame to `out`.
fn reply<Q: Request>(mut frame: Bytes, out: &mut BytesMut, answer: impl FnOnce(Q) -> Q::Response) {
    let version = i16::from_be_bytes([frame[2], frame[3]]);
    let header = RequestHeader::decode(&mut frame, Q::header_version(version)).expect("a header of ours");
    if SPOKEN.iter().any(|(api, _, max)| *api as i16 == Q::KEY && version > *max) {
        // Only ApiVersions is sent before the versions are known; Kafka answers it at version 0.
        return unsupported_version(header.correlation_id, out);
    }
    let request = Q::decode(&mut frame, version).expect("a request of ours");
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    let response_header = ResponseHeader::default().with_correlation_id(header.correlation_id);
    response_header.encode(out, Q::Response::header_version(version)).expect("encodes");
    answer(request).encode(out, version).expect("encodes");
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

fn unsupported_version(correlation_id: i32, out: &mut BytesMut) {
    let mut body = BytesMut::new();
    ResponseHeader::default().with_correlation_id(correlation_id).encode(&mut body, 0).expect("encodes");
    versions().with_error_code(35).encode(&mut body, 0).expect("encodes");
    out.extend_from_slice(&(body.len() as u32).to_be_bytes());
    out.extend_from_slice(&body);
}

fn versions() -> ApiVersionsResponse {
    let row = |(key, min, max): &(ApiKey, i16, i16)| {
        ApiVersion::default().with_api_key(*key as i16).with_min_version(*min).with_max_version(*max)
    };
    ApiVersionsResponse::default().with_api_keys(SPOKEN.iter().map(row).collect())
}

fn list_offsets(request: &ListOffsetsRequest) -> ListOffsetsResponse {
    let mut topics = Vec::new();
    for topic in &request.topics {
        let answer = |asked: &list_offsets_request::ListOffsetsPartition| {
            let offset = if asked.timestamp == -2 { 0 } else { i64::MAX / 2 };
            ListOffsetsPartitionResponse::default().with_partition_index(asked.partition_index).with_offset(offset)
        };
        let partitions = topic.partitions.iter().map(answer).collect();
        topics.push(ListOffsetsTopicResponse::default().with_name(topic.name.clone()).with_partitions(partitions));
    }
    ListOffsetsResponse::default().with_topics(topics)
}

fn acknowledge(request: &ProduceRequest) -> ProduceResponse {
    let mut topics = Vec::new();
    for topic in &request.topic_data {
        let answer = |data: &produce_request::PartitionProduceData| {
            PartitionProduceResponse::default().with_index(data.index).with_base_offset(0).with_log_append_time_ms(-1)
        };
        let partitions = topic.partition_data.iter().map(answer).collect();
        topics.push(TopicProduceResponse::default().with_name(topic.name.clone()).with_partition_responses(partitions));
    }
    ProduceResponse::default().with_responses(topics)
}

/// A server that sends back what it gets.
fn echo_server() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bind a loopback port");
    println!("{}", listener.local_addr().expect("bound"));
    let Ok((mut stream, _)) = listener.accept() else { return };
    let _ = stream.set_nodelay(true);
    let mut chunk = [0; 4096];
    while let Ok(read) = stream.read(&mut chunk) {
        if read == 0 || stream.write_all(&chunk[..read]).is_err() {
            return;
        }
    }
}

/// The frame of a Produce request with one record of 100 bytes.
fn one_record() -> Vec<u8> {
    let mut batch = BatchBuilder::new(Vec::new(), BATCH_BYTES);
    batch.append(&NewRecord::value(&[b'x'; 100]), 1_700_000_000_000).expect("an empty batch has room for it");
    let stamp = ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };
    let data = produce_request::PartitionProduceData::default().with_records(Some(batch.seal(stamp).into()));
    let name = TopicName(StrBytes::from_static_str("null"));
    let topic = produce_request::TopicProduceData::default().with_name(name).with_partition_data(vec![data]);
    let header = RequestHeader::default().with_request_api_key(ApiKey::Produce as i16).with_request_api_version(9);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(30_000).with_topic_data(vec![topic]);
    let mut frame = BytesMut::from(&[0; 4][..]);
    header.encode(&mut frame, ProduceRequest::header_version(9)).expect("encodes");
    request.encode(&mut frame, 9).expect("encodes");
    let length = (frame.len() - 4) as u32;
    frame[..4].copy_from_slice(&length.to_be_bytes());
    frame.to_vec()
}

/// Round trips of `message`, about as large as a Produce request with one small record, from a task on this thread.
fn floor(name: &str, server_arguments: &[&str], message: Vec<u8>) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let (mut server, address) = server(server_arguments);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut latencies: Vec<u128> = runtime.block_on(async {
        let mut stream = tokio::net::TcpStream::connect(address).await.expect("connect");
        stream.set_nodelay(true).expect("nodelay");
        let mut answer = [0; 1024];
        let mut latencies = Vec::new();
        for _ in 0..50_000 {
            let sent = Instant::now();
            stream.write_all(&message).await.expect("write");
            // One answer is one segment of the loopback.
            assert!(stream.read(&mut answer).await.expect("read") > 0, "the server hung up");
            latencies.push(sent.elapsed().as_nanos());
        }
        latencies
    });
    latencies.sort_unstable();
    let us = |index: usize| latencies[index] as f64 / 1000.0;
    println!("{name}: {{\"p50_us\":{},\"p99_us\":{}}}", us(25_000), us(49_500));
    let _ = server.kill();
    let _ = server.wait();
}
