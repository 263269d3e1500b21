//! Batches of every codec against real Kafka: what one client writes the other reads, from 1 byte to 3 MiB, whether it
//! compresses or not.
#![cfg(feature = "live-kafka")]

use std::collections::BTreeSet;
use std::io::{Read, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use bytes::Bytes;
use milena::config::{ConsumerConfig, ProducerConfig};
use milena::consumer::Polled;
use milena::wire::StrBytes;
use milena::wire::batch::{Batches, Compression};
use milena::wire::frame::{RequestFrame, decode_response};
use milena::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use milena::wire::messages::{BrokerId, FetchRequest};
use milena::{Client, Header, NewRecord, Position, TopicPartition};
use protocol_tests::golden::incompressible;
use protocol_tests::live::{LiveKafka, ReadRecord, Write};

const MIB: usize = 1 << 20;
/// Around the block sizes of snappy (32 KiB), LZ4 (64 KiB) and zstd (128 KiB), and from the least to the most.
const SIZES: &[usize] = &[1, 2, 100, 5000, 32_767, 32_769, 65_536, 65_600, 131_072, 200_000, MIB, 3 * MIB];
const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn values() -> Vec<Vec<u8>> {
    let text = |len: usize| b"{\"state\":\"shipped\",\"count\":17}".iter().copied().cycle().take(len).collect();
    SIZES.iter().flat_map(|&len| [incompressible(len), vec![0; len], text(len)]).collect()
}

fn large(config: ProducerConfig) -> ProducerConfig {
    ProducerConfig { max_request_size: 5 * MIB, ..config }
}

/// Writes every value with a key that says which, and headers; small ones share batches.
async fn produce(at: &str, topic: &str, config: ProducerConfig, values: &[Vec<u8>]) {
    let producer = Client::connect(at).await.unwrap().producer(large(config)).unwrap();
    for (index, value) in values.iter().enumerate() {
        let (key, headers) =
            (index.to_string(), [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }]);
        let record = NewRecord::value(value).with_key(key.as_bytes()).with_headers(&headers);
        producer.enqueue(topic, record).await.unwrap();
    }
    producer.flush().await.unwrap();
}

/// Everything our reader sees of partition 0.
async fn consume(at: &str, topic: &str, count: usize) -> Vec<(i64, Option<Vec<u8>>, Option<Vec<u8>>)> {
    let mut consumer = Client::connect(at).await.unwrap().consumer(ConsumerConfig::default()).unwrap();
    consumer.assign([(TopicPartition::new(topic, 0), Position::Earliest)]);
    let mut read = Vec::new();
    while read.len() < count {
        let polled = tokio::time::timeout(Duration::from_secs(60), consumer.poll()).await;
        if let Polled::Records(records) = polled.expect("an event within a minute").unwrap() {
            for record in &records {
                let record = record.unwrap();
                read.push((record.offset, record.key.map(<[u8]>::to_vec), record.value.map(<[u8]>::to_vec)));
            }
        }
    }
    read
}

/// How the batches of partition 0 are compressed where they lie, by a fetch of their bytes.
fn codecs_in_the_log(at: &str, topic: &str) -> BTreeSet<String> {
    let partition = FetchPartition::default().with_partition(0).with_partition_max_bytes(64 << 20);
    let name = StrBytes::from_string(topic.to_string()).into();
    let request = FetchRequest::default()
        .with_replica_id(BrokerId(-1))
        .with_max_bytes(64 << 20)
        .with_topics(vec![FetchTopic::default().with_topic(name).with_partitions(vec![partition])]);
    let frame = RequestFrame::encode("live-batches", 12, &request).unwrap();
    let mut socket = TcpStream::connect(at).unwrap();
    socket.write_all(&frame.head).unwrap();
    let mut length = [0; 4];
    socket.read_exact(&mut length).unwrap();
    let mut answer = vec![0; u32::from_be_bytes(length) as usize];
    socket.read_exact(&mut answer).unwrap();
    let answer = decode_response::<FetchRequest>(12, Bytes::from(answer)).unwrap();
    let records = answer.responses[0].partitions[0].records.clone().unwrap();
    Batches::new(records).map(|batch| batch.unwrap().header.compression().unwrap().to_string()).collect()
}

fn assert_same(read: &[ReadRecord], values: &[Vec<u8>], what: &str) {
    assert_eq!(read.len(), values.len(), "{what}");
    for (record, (index, value)) in read.iter().zip(values.iter().enumerate()) {
        assert_eq!(record.key.as_deref(), Some(index.to_string().as_bytes()), "{what}");
        assert_eq!(record.headers, [("h".to_owned(), Some(b"1".to_vec())), ("h".to_owned(), None)], "{what}");
        assert!(record.value.as_ref() == Some(value), "{what}: value {index} of {} bytes", value.len());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn java_reads_our_batches_of_every_codec_from_1_byte_to_3_mib() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    let values = values();
    for codec in CODECS {
        let topic = format!("batches-ours-{codec}");
        java.create_topic(&at, &topic, 1, 1, &[("max.message.bytes", "4194304")]);
        produce(&at, &topic, ProducerConfig { compression_type: codec, ..ProducerConfig::default() }, &values).await;
        assert_same(&java.read_committed(&at, &topic), &values, &topic);
        // What would not become smaller goes uncompressed.
        let none = BTreeSet::from(["none".to_string()]);
        let stored = codecs_in_the_log(&at, &topic);
        assert_eq!(&stored | &none, BTreeSet::from([codec.to_string(), "none".to_string()]), "{stored:?}");
        assert!(stored.contains(&codec.to_string()), "{stored:?}");
        let ours = consume(&at, &topic, values.len()).await;
        for ((offset, _, value), (index, expected)) in ours.iter().zip(values.iter().enumerate()) {
            assert!(*offset == index as i64 && value.as_ref() == Some(expected), "{topic} at {offset}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn java_reads_our_batches_at_every_level() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    let values = values();
    let gzip = [1, 9].map(|level| ProducerConfig {
        compression_type: Compression::Gzip,
        compression_gzip_level: level,
        ..ProducerConfig::default()
    });
    let zstd = [-7, 1, 4, 22].map(|level| ProducerConfig {
        compression_type: Compression::Zstd,
        compression_zstd_level: level,
        ..ProducerConfig::default()
    });
    for (number, config) in gzip.into_iter().chain(zstd).enumerate() {
        let topic = format!("batches-level-{number}");
        java.create_topic(&at, &topic, 1, 1, &[("max.message.bytes", "4194304")]);
        let what = format!("{config:?}");
        produce(&at, &topic, config, &values).await;
        assert_same(&java.read_committed(&at, &topic), &values, &what);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn we_read_java_s_batches_of_every_codec() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    for codec in CODECS {
        let topic = format!("batches-java-{codec}");
        java.create_topic(&at, &topic, 1, 1, &[("max.message.bytes", "4194304")]);
        let compression = codec.to_string();
        for (round, &size) in SIZES.iter().enumerate() {
            for incompressible in [false, true] {
                let records = if size < 100_000 { 20 } else { 2 };
                let (size, first_sequence) = (size as u32, round as u64 * 100);
                let write = Write {
                    size,
                    first_sequence,
                    incompressible,
                    compression: &compression,
                    ..Write::records(records, 1)
                };
                java.write(&at, &topic, &write);
            }
        }
        assert_eq!(codecs_in_the_log(&at, &topic), BTreeSet::from([compression]));
        let theirs = java.read_committed(&at, &topic);
        let ours = consume(&at, &topic, theirs.len()).await;
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            assert!(ours == (theirs.offset, theirs.key, theirs.value), "{topic} at {}", theirs.offset);
        }
    }
}
