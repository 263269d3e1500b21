//! `milena wire log` prints a real broker's segments line by line as Kafka's own DumpLogSegments does.
#![cfg(feature = "live-kafka")]

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use milena::config::ProducerConfig;
use milena::wire::batch::Compression;
use milena::{Client, Header, NewRecord};
use protocol_tests::live::{LiveKafka, Options, Write, kafka_tool};
use protocol_tests::milena_bin::{Scratch, milena};

const CODECS: [Compression; 5] =
    [Compression::None, Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// What Kafka's tool prints of a segment, line by line.
fn dumped(segment: &Path) -> Vec<String> {
    let file = segment.display().to_string();
    let printed = kafka_tool("DumpLogSegments", &["--deep-iteration", "--print-data-log", "--files", &file]);
    String::from_utf8_lossy(&printed).lines().map(String::from).collect()
}

/// Asserts that our command prints the same; the lines.
fn assert_dumped_alike(segment: &Path, is_sound: bool) -> Vec<String> {
    let ours = milena(["wire", "log", &segment.display().to_string()]).run();
    assert_eq!(ours.status.code(), Some(i32::from(!is_sound)), "{}", ours.stderr);
    let (ours, theirs): (Vec<_>, _) = (ours.stdout.lines().map(String::from).collect(), dumped(segment));
    for (number, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        assert_eq!(ours, theirs, "line {} of {}", number + 1, segment.display());
    }
    assert_eq!(ours.len(), theirs.len(), "{}", segment.display());
    ours
}

/// The first segment of partition 0, copied: the broker may change its own.
fn first_segment(kafka: &LiveKafka, topic: &str, scratch: &Scratch) -> PathBuf {
    let copy = PathBuf::from(scratch.path("00000000000000000000.log"));
    fs::copy(&segments(kafka, topic)[0], &copy).expect("the scratch directory is writable");
    copy
}

/// The segments of partition 0, oldest first.
fn segments(kafka: &LiveKafka, topic: &str) -> Vec<PathBuf> {
    let files = fs::read_dir(kafka.partition_dir(1, topic, 0)).expect("the broker's directory");
    let mut segments: Vec<_> = files.map(|file| file.expect("a file").path()).collect();
    segments.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    segments.sort();
    segments
}

/// Nulls, empty ones, keys that are no text, headers repeated and null.
async fn write_odd_records(at: &str, topic: &str, codec: Compression) {
    let config = ProducerConfig { compression_type: codec, ..ProducerConfig::default() };
    let producer = Client::connect(at).await.unwrap().producer(config).unwrap();
    let headers = [
        Header { key: b"h", value: Some(b"1") },
        Header { key: b"h", value: None },
        Header { key: "ü".as_bytes(), value: Some(b"") },
    ];
    for record in [
        NewRecord::value(b"payload"),
        NewRecord::value(b"").with_key(b""),
        NewRecord::value("grüße, 世界".as_bytes()).with_key(b"\xff\xc3\xfe").with_headers(&headers),
        NewRecord { value: None, ..NewRecord::value(b"").with_key(b"tombstone") },
        NewRecord::value(&[b'x'; 5000]).with_key(b"long").with_headers(&headers[..1]),
    ] {
        producer.enqueue(topic, record).await.unwrap();
    }
    producer.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_printed_as_kafka_s_dump_prints_it() {
    let kafka = LiveKafka::shared();
    let (java, at, topic) = (kafka.java(), kafka.bootstrap(), "dumped");
    java.create_topic(&at, topic, 1, 1, &[]);
    for codec in CODECS {
        let compression = &codec.to_string();
        java.write(&at, topic, &Write { compression, ..Write::records(20, 1) });
        for (id, abort) in [("dumped-commit", false), ("dumped-abort", true)] {
            let write = Write { transactional_id: Some(id), abort, compression, ..Write::records(7, 1) };
            java.write(&at, topic, &write);
        }
        write_odd_records(&at, topic, codec).await;
    }
    let lines = assert_dumped_alike(&segments(kafka, topic)[0], true);
    let has = |text: &str| assert!(lines.iter().any(|line| line.contains(text)), "no {text}\n{}", lines.join("\n"));
    CODECS.iter().for_each(|codec| has(&format!("compresscodec: {codec} ")));
    ["endTxnMarker: COMMIT", "endTxnMarker: ABORT", "isTransactional: true", "headerKeys: [h,h,ü]"]
        .iter()
        .for_each(|text| has(text));
}

#[test]
fn the_metadata_log_and_its_snapshot_are_printed_as_kafka_s_dump_prints_them() {
    let kafka = LiveKafka::shared();
    let scratch = Scratch::new("dumped-metadata");
    let segment = first_segment(kafka, "__cluster_metadata", &scratch);
    let lines = assert_dumped_alike(&segment, true);
    assert!(lines.iter().any(|line| line.contains(r#"] LeaderChange: {"version":"#)), "{}", lines.join("\n"));
    let snapshot = "00000000000000000000-0000000000.checkpoint";
    let lines = assert_dumped_alike(&kafka.partition_dir(1, "__cluster_metadata", 0).join(snapshot), true);
    for word in ["Snapshot end offset: 0, epoch: 0", "] SnapshotHeader {", "] SnapshotFooter {"] {
        assert!(lines.iter().any(|line| line.contains(word)), "no {word}\n{}", lines.join("\n"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_batch_is_printed_as_kafka_s_dump_prints_it() {
    let kafka = LiveKafka::shared();
    let (java, at, topic) = (kafka.java(), kafka.bootstrap(), "dumped-damaged");
    java.create_topic(&at, topic, 1, 1, &[]);
    java.write(&at, topic, &Write::records(3, 1));
    java.write(&at, topic, &Write { first_sequence: 3, ..Write::records(2, 1) });
    let scratch = Scratch::new("dumped-damaged");
    let copy = first_segment(kafka, topic, &scratch);
    let mut bytes = fs::read(&copy).expect("a segment");
    // Inside the first batch's last value, which is dots.
    let first_len = 12 + u32::from_be_bytes(bytes[8..12].try_into().expect("a length")) as usize;
    bytes[first_len - 3] = b'!';
    fs::write(&copy, bytes).expect("the scratch directory is writable");
    let lines = assert_dumped_alike(&copy, false);
    let batches = lines.iter().filter(|line| line.starts_with("baseOffset"));
    let is_valid: Vec<_> = batches.map(|line| line.ends_with("isvalid: true")).collect();
    assert_eq!(is_valid, [false, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_compaction_leaves_is_printed_as_kafka_s_dump_prints_it() {
    let cleaner = [("log.cleaner.backoff.ms", "100"), ("log.cleaner.min.cleanable.ratio", "0.01")];
    let options = cleaner.iter().fold(Options::one_node(), |options, (key, value)| options.property(key, value));
    let kafka = LiveKafka::start(options);
    let (java, at, topic) = (kafka.java(), kafka.bootstrap(), "dumped-compacted");
    java.create_topic(&at, topic, 1, 1, &[("cleanup.policy", "compact"), ("internal.segment.bytes", "4096")]);
    let producer = Client::connect(&at).await.unwrap().producer(ProducerConfig::default()).unwrap();
    for round in 0..10 {
        for key in 0..10 {
            // Of each round one key is written once and for all, between others that come again.
            let key = if key == 5 { format!("once-{round}") } else { format!("again-{key}") };
            let record = NewRecord::value(&[b'.'; 60]).with_key(key.as_bytes());
            producer.enqueue(topic, record).await.unwrap();
        }
        producer.flush().await.unwrap();
    }
    let is_compacted = |line: &String| line.starts_with("baseOffset: 0 lastOffset: 9 count: 1 ");
    let deadline = Instant::now() + Duration::from_secs(60);
    let scratch = Scratch::new("dumped-compacted");
    while !dumped(&first_segment(&kafka, topic, &scratch)).iter().any(is_compacted) {
        assert!(Instant::now() < deadline, "nothing was compacted\n{}", kafka.log_tail());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let lines = assert_dumped_alike(Path::new(&scratch.path("00000000000000000000.log")), true);
    assert!(lines.iter().any(is_compacted), "{}", lines.join("\n"));
}
