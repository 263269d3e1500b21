//! The live harness itself: what it promises about real brokers holds, judged by Java.
#![cfg(feature = "live-kafka")]

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use protocol_tests::live::{CopyReport, LiveKafka, Options, Write};

#[test]
fn java_reads_what_java_wrote_and_isolation_is_honoured() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "harness", 3, 1, &[]);
    java.write(&at, "harness", &Write::records(1000, 3));
    let aborted =
        Write { first_sequence: 5000, transactional_id: Some("harness-t"), abort: true, ..Write::records(30, 3) };
    java.write(&at, "harness", &aborted);
    assert_eq!(java.verify_copy(&at, "harness", 1000, 3), CopyReport::exact(1000));
    assert_eq!(java.verify_copy(&at, "harness", 1001, 3), CopyReport { lost: 1, ..CopyReport::exact(1000) });
    assert_eq!(java.read_uncommitted(&at, "harness").len(), 1030);
    let committed = java.read_committed(&at, "harness");
    assert_eq!(committed.len(), 1000);
    assert!(committed[1].value_text().starts_with("0:1 ..."));
    let ends = java.end_offsets(&at, "harness");
    // 334 records, 10 aborted ones and the marker.
    assert_eq!((ends[0].earliest, ends[0].high_watermark, ends[0].last_stable), (0, 345, 345));
    let transactions = java.transactions(&at, "harness-");
    assert_eq!(transactions.len(), 1);
    assert!(!transactions[0].is_open(), "{transactions:?}");
}

#[test]
fn duplicates_and_disorder_are_told() {
    let kafka = LiveKafka::shared();
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "harness-doubled", 1, 1, &[]);
    java.write(&at, "harness-doubled", &Write::records(10, 1));
    java.write(&at, "harness-doubled", &Write { first_sequence: 8, ..Write::records(4, 1) });
    let report = java.verify_copy(&at, "harness-doubled", 10, 1);
    assert_eq!(report, CopyReport { records: 14, lost: 0, duplicated: 2, out_of_order: 1, foreign: 2 });
}

#[test]
fn an_exception_of_java_is_an_error_with_its_class() {
    let kafka = LiveKafka::shared();
    let arguments = serde_json::json!({"topic": "no-such-topic"});
    let error = kafka.java().call("describe-topic", &kafka.bootstrap(), arguments).unwrap_err();
    assert_eq!(error.class, "UnknownTopicOrPartitionException");
}

#[test]
fn the_format_decides_the_transaction_version() {
    let (two, one) = (LiveKafka::shared(), LiveKafka::shared_tv1());
    assert_eq!(two.java().features(&two.bootstrap()).get("transaction.version"), Some(&2));
    assert_eq!(one.java().features(&one.bootstrap()).get("transaction.version"), Some(&1));
}

#[test]
fn data_survives_kill_9_and_a_frozen_node_answers_again() {
    let kafka = LiveKafka::start(Options::one_node());
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "kept", 2, 1, &[]);
    java.write(&at, "kept", &Write::records(200, 2));
    kafka.kill9(1);
    let started = Instant::now();
    kafka.restart(1);
    assert!(started.elapsed() < Duration::from_secs(30), "the short broker session is in force");
    assert_eq!(java.verify_copy(&at, "kept", 200, 2), CopyReport::exact(200));

    kafka.freeze(1);
    let reader = std::thread::spawn({
        let at = at.clone();
        move || java.verify_copy(&at, "kept", 200, 2)
    });
    std::thread::sleep(Duration::from_millis(700));
    assert!(!reader.is_finished(), "a frozen broker does not answer");
    kafka.thaw(1);
    assert_eq!(reader.join().expect("the reader ends"), CopyReport::exact(200));

    kafka.stop(1);
    kafka.restart(1);
    assert_eq!(java.verify_copy(&at, "kept", 200, 2), CopyReport::exact(200));
}

#[test]
fn three_nodes_go_on_without_the_leader_and_take_it_back() {
    let kafka = LiveKafka::start(Options::three_nodes());
    let (java, at) = (kafka.java(), kafka.bootstrap());
    java.create_topic(&at, "replicated", 1, 3, &[]);
    java.write(&at, "replicated", &Write::records(100, 1));
    let leader = java.describe_topic(&at, "replicated").partitions[0].leader;
    let leader = u16::try_from(leader).expect("there is a leader");
    kafka.kill9(leader);
    java.write(&at, "replicated", &Write { first_sequence: 100, ..Write::records(100, 1) });
    assert_eq!(java.verify_copy(&at, "replicated", 200, 1), CopyReport::exact(200));
    assert_ne!(java.describe_topic(&at, "replicated").partitions[0].leader, i32::from(leader));

    kafka.restart(leader);
    let deadline = Instant::now() + Duration::from_secs(30);
    while java.describe_topic(&at, "replicated").partitions[0].isr.len() < 3 {
        assert!(Instant::now() < deadline, "the node never came back in sync\n{}", kafka.log_tail());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The test starts itself as a victim that starts a broker and never ends; the broker must not outlive its kill -9.
#[test]
fn brokers_end_with_a_killed_test_process() {
    if std::env::var_os("MILENA_LIVE_VICTIM").is_some() {
        let kafka = LiveKafka::start(Options::one_node());
        println!("\naddress={}", kafka.address(1));
        std::thread::sleep(Duration::from_secs(120));
    }
    let program = std::env::current_exe().expect("a test knows its program");
    let mut victim = Command::new(program);
    victim.args(["--exact", "brokers_end_with_a_killed_test_process", "--nocapture"]).env("MILENA_LIVE_VICTIM", "1");
    let mut victim = victim.stdout(Stdio::piped()).spawn().expect("the test program starts again");
    let mut lines = BufReader::new(victim.stdout.take().expect("piped")).lines().map_while(Result::ok);
    let address = lines.find_map(|line| line.strip_prefix("address=").map(String::from)).expect("the broker is up");
    assert!(TcpStream::connect(&address).is_ok());
    victim.kill().expect("the victim runs");
    victim.wait().expect("the victim is ours");
    let deadline = Instant::now() + Duration::from_secs(10);
    while TcpStream::connect(&address).is_ok() {
        assert!(Instant::now() < deadline, "the broker at {address} outlived its test");
        std::thread::sleep(Duration::from_millis(50));
    }
}
