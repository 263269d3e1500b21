//! `milena produce`, `consume` and `topics` against real Kafka, with Java at the other end.
#![cfg(feature = "live-kafka")]

use protocol_tests::live::{LiveKafka, Write};
use protocol_tests::milena_bin::{Finished, milena};
use serde_json::Value;

/// `milena COMMAND` on the shared broker with more arguments, separated by spaces.
fn run(command: &str, arguments: &str, stdin: &str) -> Finished {
    let at = LiveKafka::shared().bootstrap();
    milena([command, "-b", &at]).args(arguments.split_whitespace()).stdin(stdin).run()
}

fn topics(arguments: &str) -> Finished {
    let at = LiveKafka::shared().bootstrap();
    milena(["topics"]).args(arguments.split_whitespace()).args(["-b", &at]).run()
}

#[test]
fn java_reads_what_produce_wrote() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "cli-produced", 1, 1, &[]);
    let lines: String = (0..5000).map(|n| format!("k{n}=v{n}\n")).collect();
    assert_eq!(run("produce", "-t cli-produced -K = -H a=1 -H a=2", &lines).ok(), "");
    let read = java.read_committed(&at, "cli-produced");
    assert_eq!(read.len(), 5000);
    for (n, record) in read.iter().enumerate() {
        assert_eq!(record.key.as_deref(), Some(format!("k{n}").as_bytes()));
        assert_eq!(record.value_text(), format!("v{n}"));
        let header = |value: &str| ("a".to_owned(), Some(value.as_bytes().to_vec()));
        assert_eq!(record.headers, [header("1"), header("2")]);
    }
}

#[test]
fn consume_prints_what_java_wrote_and_hides_what_java_aborted() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "cli-read", 3, 1, &[]);
    java.write(&at, "cli-read", &Write::records(3000, 3));
    let aborted =
        Write { first_sequence: 5000, transactional_id: Some("cli-aborted"), abort: true, ..Write::records(30, 3) };
    java.write(&at, "cli-read", &aborted);
    let printed = run("consume", r"-t cli-read -e -X isolation.level=read_committed -f %p@%o:%s\n", "").ok();
    let mut lines: Vec<_> = printed.lines().collect();
    let expected = java.read_committed(&at, "cli-read");
    let mut expected: Vec<_> =
        expected.iter().map(|r| format!("{}@{}:{}", r.partition, r.offset, r.value_text())).collect();
    lines.sort_unstable();
    expected.sort_unstable();
    assert_eq!(lines, expected);
    assert_eq!(run("consume", "-t cli-read -e", "").ok().lines().count(), 3030);
    assert_eq!(run("consume", "-t cli-read -p 1 -o -20 -e", "").ok().lines().count(), 19, "the last is a marker");
}

#[test]
fn a_transaction_of_lines_is_committed_as_one() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "cli-transaction", 4, 1, &[]);
    let lines: String = (0..1000).map(|n| format!("{n}\n")).collect();
    for _ in 0..2 {
        assert_eq!(run("produce", "-t cli-transaction --transactional-id cli-writer", &lines).ok(), "");
    }
    let mut values: Vec<u32> =
        java.read_committed(&at, "cli-transaction").iter().map(|r| r.value_text().parse().expect("a number")).collect();
    values.sort_unstable();
    assert_eq!(values, (0..1000).flat_map(|n| [n, n]).collect::<Vec<_>>());
    let transactions = java.transactions(&at, "cli-writer");
    assert_eq!(transactions.len(), 1);
    assert_eq!(transactions[0].state, "CompleteCommit");
}

#[test]
fn a_group_of_consume_is_kafkas_group() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "cli-group", 1, 1, &[]);
    java.write(&at, "cli-group", &Write::records(100, 1));
    let arguments = "-t cli-group -G cli-readers -e -X auto.offset.reset=earliest";
    assert_eq!(run("consume", &format!("{arguments} -c 60"), "").ok().lines().count(), 60);
    let committed = java.group_offsets(&at, "cli-readers");
    assert_eq!(committed.iter().map(|c| (c.partition, c.offset)).collect::<Vec<_>>(), [(0, 60)]);
    assert_eq!(run("consume", arguments, "").ok().lines().count(), 40);
}

#[test]
fn topics_are_what_java_says_they_are() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    assert_eq!(topics("create cli-made --partitions 3 --replication-factor 1 --config retention.ms=12345678").ok(), "");
    let made = java.describe_topic(&at, "cli-made");
    let described = topics("describe cli-made --json").ok();
    let lines: Vec<Value> = described.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), made.partitions.len());
    for (line, partition) in lines.iter().zip(&made.partitions) {
        assert_eq!(line["partition"], partition.partition);
        assert_eq!(line["leader"], partition.leader);
    }
    assert!(topics("list").ok().lines().any(|name| name == "cli-made"));
    topics("create cli-made").failed(1, &["cli-made", "TOPIC_ALREADY_EXISTS"]);
    topics("create cli-none --config nonsense.ms=1").failed(1, &["cli-none", "nonsense.ms"]);
    assert_eq!(topics("delete cli-made").ok(), "");
    assert!(!topics("list").ok().lines().any(|name| name == "cli-made"));
    topics("delete cli-made").failed(1, &["cli-made", "UNKNOWN_TOPIC_OR_PARTITION"]);
}

#[test]
fn a_timeout_the_broker_refuses_and_a_record_it_finds_too_large_are_named() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "cli-small", 1, 1, &[("max.message.bytes", "1000")]);
    let produced = run("produce", "-t cli-small", &"x".repeat(5000));
    produced.failed(1, &["cli-small", "MESSAGE_TOO_LARGE"]);
    let produced = run("produce", "-t cli-small --transactional-id cli-long -X transaction.timeout.ms=3600000", "x\n");
    produced.failed(1, &["cli-long", "INVALID_TRANSACTION_TIMEOUT"]);
}
