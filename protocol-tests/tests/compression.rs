//! Compressed records end to end, in memory: what is produced with a codec is consumed, whatever its size and shape.

mod producing;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena::broker::{Control, Verdict};
use milena::config::{ConsumerConfig, ProducerConfig};
use milena::consumer::Polled;
use milena::wire::StrBytes;
use milena::wire::batch::{BatchBuilder, Batches, ProducerStamp};
use milena::wire::codec::Compressor;
use milena::wire::messages::ProduceRequest;
use milena::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use milena::{Compression, ErrorCode, Header, IsolationLevel, NewRecord, Position, ProducerIdentity, TopicPartition};
use producing::{Scene, numbers};

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

fn with(compression_type: Compression) -> ProducerConfig {
    ProducerConfig { compression_type, ..ProducerConfig::default() }
}

/// Bytes that no codec makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..len).map(next).collect()
}

/// The codec and the size of each batch.
type Seen = Arc<Mutex<Vec<(Option<Compression>, usize)>>>;

/// What every batch is that producers send from now on.
fn watch(scene: &Scene) -> Seen {
    let seen = Seen::default();
    let to = Arc::clone(&seen);
    scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
        if let Some(Ok(request)) = request.decode::<ProduceRequest>() {
            let data = request.topic_data.into_iter().flat_map(|topic| topic.partition_data);
            for records in data.filter_map(|data| data.records) {
                let batch = Batches::new(records).next().unwrap().unwrap();
                assert_eq!(batch.header.base_offset, 0);
                to.lock().unwrap().push((batch.header.compression(), batch.bytes.len()));
            }
        }
        Verdict::Pass
    }))));
    seen
}

#[tokio::test(start_paused = true)]
async fn what_is_produced_with_a_codec_is_consumed() {
    for codec in CODECS {
        let scene = Scene::new(1).await;
        let seen = watch(&scene);
        let producer = scene.client.producer(with(codec)).unwrap();
        let topic = producer.topic("t").await.unwrap();
        for n in 0..5_000u64 {
            let value = [&n.to_be_bytes()[..], b" a value that is much like those before it"].concat();
            topic.enqueue(NewRecord::value(&value)).await.unwrap();
        }
        producer.close().await.unwrap();
        assert_eq!(numbers(&scene.read("t", 0, 5_000).await), (0..5_000).collect::<Vec<_>>(), "{codec}");
        let seen = seen.lock().unwrap();
        assert!(seen.iter().all(|(used, _)| *used == Some(codec)), "{codec}: {seen:?}");
        let bytes: usize = seen.iter().map(|(_, len)| len).sum();
        assert!(bytes < 5_000 * 25, "{codec}: {bytes}");
    }
}

#[tokio::test(start_paused = true)]
async fn records_of_any_size_come_back_though_they_do_not_compress() {
    for codec in CODECS {
        let scene = Scene::new(1).await;
        let config = ProducerConfig { max_request_size: 4 << 20, ..with(codec) };
        let configs = BTreeMap::from([("max.message.bytes".to_owned(), "4194304".to_owned())]);
        scene.kafka.control(Control::CreateTopic { name: "large".to_owned(), partitions: 1, configs });
        let producer = scene.client.producer(config).unwrap();
        let sizes = [1, 100, 16_300, 16_384, 65_536, 1 << 20, 3 << 20];
        let headers = [Header { key: b"a", value: None }, Header { key: b"a", value: Some(b"\xff") }];
        for size in sizes {
            producer.send("large", NewRecord::value(&noise(size)).with_headers(&headers)).await.unwrap();
        }
        let read = scene.read("large", 0, sizes.len()).await;
        assert!(read.iter().zip(sizes).all(|(value, size)| *value == noise(size)), "{codec}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_compressed_batch_too_large_for_the_broker_is_split_and_stays_in_order() {
    for codec in CODECS {
        let scene = Scene::new(1).await;
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        scene.kafka.control(Control::Intercept(Some(Box::new(move |request| {
            let Some(Ok(request)) = request.decode::<ProduceRequest>() else { return Verdict::Pass };
            let data = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
            let largest = data.filter_map(|data| data.records.as_ref()).map(|records| records.len()).max();
            if largest.unwrap_or(0) <= 4_000 {
                return Verdict::Pass;
            }
            count.fetch_add(1, Ordering::Relaxed);
            Verdict::Error(ErrorCode::MESSAGE_TOO_LARGE)
        }))));
        let producer = scene.client.producer(with(codec)).unwrap();
        let topic = producer.topic("t").await.unwrap();
        let noise = noise(500 * 300);
        for (n, part) in (0u64..).zip(noise.chunks(300)) {
            topic.enqueue(NewRecord::value(&[&n.to_be_bytes()[..], part].concat())).await.unwrap();
        }
        producer.close().await.unwrap();
        assert_eq!(numbers(&scene.read("t", 0, 500).await), (0..500).collect::<Vec<_>>(), "{codec}");
        assert!(refused.load(Ordering::Relaxed) > 0, "{codec}: nothing was too large");
    }
}

#[tokio::test(start_paused = true)]
async fn transactions_compress_too_and_the_aborted_ones_are_never_looked_at() {
    let scene = Scene::new(1).await;
    let config = ProducerConfig { transactional_id: Some("compressed".into()), ..with(Compression::Zstd) };
    let mut producer = scene.client.transactional_producer(config).await.unwrap();
    for (n, commit) in [(1u64, true), (2, false), (3, true)] {
        let transaction = producer.begin().await.unwrap();
        let topic = transaction.topic("t").await.unwrap();
        for _ in 0..100 {
            topic.enqueue(NewRecord::value(&n.to_be_bytes())).await.unwrap();
        }
        if commit { transaction.commit().await.unwrap() } else { transaction.abort().await.unwrap() }
    }
    // The markers are written after the commit was answered.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let expected: Vec<u64> = [[1; 100], [3; 100]].concat();
    assert_eq!(numbers(&scene.read("t", 0, 200).await), expected);
}

/// Sends a batch as it is, and gives the broker's answer.
async fn send(scene: &Scene, bytes: Vec<u8>) -> ErrorCode {
    let data = PartitionProduceData::default().with_index(0).with_records(Some(bytes.into()));
    let name = StrBytes::from_static_str("t").into();
    let topic = TopicProduceData::default().with_name(name).with_partition_data(vec![data]);
    let request = ProduceRequest::default().with_acks(-1).with_timeout_ms(1000).with_topic_data(vec![topic]);
    let cluster = scene.client.cluster();
    let metadata = cluster.topics(&["t".into()], Duration::from_secs(5)).await.unwrap();
    let leader = metadata.partition(&TopicPartition::new("t", 0)).unwrap().leader.unwrap();
    let connection = cluster.connection(leader, milena::cluster::Lane::Data).await.unwrap();
    let answer = connection.call_at(9, &request, Duration::from_secs(5)).await.unwrap();
    ErrorCode(answer.responses[0].partition_responses[0].error_code)
}

fn sealed(codec: Compression, values: &[&[u8]]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Vec::with_capacity(1 << 20), 1 << 20);
    values.iter().for_each(|value| assert!(builder.append(&NewRecord::value(value), 1_700_000_000_000).is_ok()));
    builder.compress(&mut Compressor::new(codec, 6).unwrap());
    builder.seal(ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false })
}

fn with_crc(mut batch: Vec<u8>) -> Vec<u8> {
    let crc = milena::wire::crc32c(&batch[21..]);
    batch[17..21].copy_from_slice(&crc.to_be_bytes());
    batch
}

#[tokio::test(start_paused = true)]
async fn the_broker_refuses_what_kafka_refuses() {
    // What LogValidator of Kafka 4.4.0 says to each.
    for codec in CODECS {
        let scene = Scene::new(1).await;
        let good = sealed(codec, &[b"one", b"two", b"three"]);
        assert_eq!(send(&scene, good.clone()).await, ErrorCode::NONE, "{codec}");
        let changed = |at: usize, bytes: &[u8]| {
            let mut batch = good.clone();
            batch[at..at + bytes.len()].copy_from_slice(bytes);
            batch
        };
        let offset = changed(0, &5i64.to_be_bytes());
        assert_eq!(send(&scene, offset).await, ErrorCode::UNKNOWN_SERVER_ERROR, "{codec}: base offset");
        let last = good.len() - 1;
        assert_eq!(send(&scene, changed(last, &[!good[last]])).await, ErrorCode::CORRUPT_MESSAGE, "{codec}");
        let garbage = with_crc(changed(61, &vec![0xee; good.len() - 61]));
        assert_eq!(send(&scene, garbage).await, ErrorCode::UNKNOWN_SERVER_ERROR, "{codec}: garbage");
        for count in [2i32, 4] {
            let mut batch = changed(57, &count.to_be_bytes());
            batch[23..27].copy_from_slice(&(count - 1).to_be_bytes());
            assert_eq!(send(&scene, with_crc(batch)).await, ErrorCode::INVALID_RECORD, "{codec}: {count}");
        }
        assert_eq!(send(&scene, changed(16, &[1])).await, ErrorCode::INVALID_RECORD, "{codec}: magic");
        assert_eq!(numbers_of(&scene).await, 3, "{codec}");
    }
}

async fn numbers_of(scene: &Scene) -> usize {
    scene.read_all("t", 0).await.len()
}

#[tokio::test(start_paused = true)]
async fn a_bomb_ends_its_partition_with_its_place_and_the_setting() {
    for codec in CODECS {
        let scene = Scene::new(1).await;
        assert_eq!(send(&scene, sealed(codec, &[b"before"])).await, ErrorCode::NONE);
        assert_eq!(send(&scene, sealed(codec, &[&vec![0; 1_000_000]])).await, ErrorCode::NONE);
        let config = ConsumerConfig {
            isolation_level: IsolationLevel::ReadCommitted,
            max_decompressed_batch_bytes: 100_000,
            ..ConsumerConfig::default()
        };
        let mut consumer = scene.client.consumer(config).unwrap();
        consumer.assign([(TopicPartition::new("t", 0), Position::Earliest)]);
        let (mut values, mut error) = (Vec::new(), None);
        while error.is_none() {
            let Polled::Records(records) = consumer.poll().await.unwrap() else { continue };
            for record in &records {
                match record {
                    Ok(record) => values.push(record.value.unwrap().to_vec()),
                    Err(fault) => error = Some(fault),
                }
            }
        }
        assert_eq!(values, [b"before"], "{codec}");
        let text = error.unwrap().to_string();
        for part in ["t-0", "offset 1", "max.decompressed.batch.bytes (100000)", "seek past it"] {
            assert!(text.contains(part), "{codec}: {text}");
        }
    }
}
