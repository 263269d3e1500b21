//! Every mistake a user can make gets an error that names the setting or the coordinates and the way out, and an exit code.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use milena::broker::{Control, Settings};
use milena::wire::messages::ApiKey;
use protocol_tests::milena_bin::{Finished, Milena, Scratch, milena};
use protocol_tests::tcp_broker::TcpBroker;

/// `milena COMMAND -b BROKERS` and more arguments, separated by spaces.
fn command(at: &str, command: &str, more: &str) -> Milena {
    milena([command, "-b", at]).args(more.split_whitespace())
}

fn run(broker: &TcpBroker, name: &str, more: &str) -> Finished {
    command(&broker.at(), name, more).run()
}

fn produce(broker: &TcpBroker, topic: &str, lines: &str) {
    assert_eq!(command(&broker.at(), "produce", &format!("-t {topic}")).stdin(lines).run().ok(), "");
}

/// A broker with the topics `in` (one record) and `out`.
fn broker() -> TcpBroker {
    with_topics(TcpBroker::start())
}

fn with_topics(broker: TcpBroker) -> TcpBroker {
    broker.create_topic("in", 2);
    broker.create_topic("out", 2);
    produce(&broker, "in", "one\n");
    broker
}

/// The arguments of an exactly-once copy from `in` to `out`.
fn copy(directory: &str, more: &str) -> String {
    format!(
        "--from in --to out --guarantee exactly-once --start earliest --checkpoint-dir {directory} \
         --checkpoint-interval 50ms {more}"
    )
}

#[test]
fn an_unknown_property_offers_the_nearest_and_a_bad_value_its_range() {
    // Nothing listens there: settings are read before anything connects.
    let nowhere = "127.0.0.1:9";
    command(nowhere, "produce", "-t t -X linger.mss=5").run().failed(2, &["linger.mss", "did you mean linger.ms?"]);
    command(nowhere, "consume", "-t t -X isolation=x").run().failed(2, &["did you mean isolation.level?"]);
    command(nowhere, "produce", "-t t -X acks=7").run().failed(2, &["acks", "all"]);
    command(nowhere, "produce", "-t t -X linger.ms").run().failed(2, &["KEY=VALUE"]);
    command(nowhere, "produce", "-t t -X acks=1 -X enable.idempotence=true").run().failed(2, &["enable.idempotence"]);
}

#[test]
fn a_wrong_command_line_is_a_usage_error() {
    let nowhere = "127.0.0.1:9";
    for (name, arguments, word) in [
        ("consume", "-t t -o middle", "beginning, end"),
        ("consume", "-t t -f %x", "%x"),
        ("consume", "-t t --json -f %s", "--json"),
        ("copy", "--from in --to out --guarantee twice", "exactly-once"),
        ("copy", "--from /(/ --to out", "--from"),
        ("copy", "--from in --to out --checkpoint-interval 5", "500ms"),
        ("copy", "--from in", "--to"),
        ("copy", "--from in --to out --guarantee exactly-once", "--checkpoint-dir"),
        ("topics", "create", "topics"),
    ] {
        command(nowhere, name, arguments).run().failed(2, &[word]);
    }
    milena(["broker", "--listen", "nonsense"]).run().failed(2, &["nonsense"]);
    milena(["nonsense"]).run().failed(2, &["nonsense"]);
}

#[test]
fn a_broker_that_cannot_be_reached_is_named() {
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("it is bound").port();
    let at = format!("127.0.0.1:{port}");
    let impatient = "-X default.api.timeout.ms=1000 -X request.timeout.ms=500";
    command(&at, "consume", &format!("-t t -e {impatient}")).run().failed(1, &[&at]);
    command(&at, "produce", &format!("-t t {impatient} -X max.block.ms=1000")).stdin("x\n").run().failed(1, &[&at]);
    command(&at, "copy", &format!("--from a --to b {impatient}")).run().failed(1, &[&at]);
}

#[test]
fn a_broker_that_cannot_be_reached_is_named_before_anybody_gives_up_waiting() {
    let ports: Vec<TcpListener> = (0..2).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port")).collect();
    let ports: Vec<String> = ports.into_iter().map(|p| p.local_addr().expect("it is bound").to_string()).collect();
    // The first run of a command builds it, which may take minutes.
    command("nowhere:9", "consume", "").run();
    let began = Instant::now();
    let finished = command(&ports.join(","), "consume", "-t t -e").run();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(finished.stderr.lines().any(|line| line.contains("WARN") && line.contains("trying again")));
    finished.failed(1, &[&ports[0], &ports[1], "refused"]);
}

#[test]
fn a_port_that_speaks_tls_is_named_as_such() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let at = listener.local_addr().expect("it is bound").to_string();
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let _ = socket.read(&mut [0; 512]);
            // What OpenSSL and Java answer to a request in plaintext: a fatal alert.
            let _ = socket.write_all(&[0x15, 0x03, 0x03, 0x00, 0x02, 0x02, 0x46]);
        }
    });
    let error = command(&at, "consume", "-t t -e -X default.api.timeout.ms=2000").run();
    error.failed(1, &[&at, "TLS", "security.protocol"]);
}

#[test]
fn a_topic_or_partition_that_does_not_exist_is_named() {
    let (broker, scratch) = (broker(), Scratch::new("missing"));
    run(&broker, "consume", "-t nothere -e").failed(1, &["nothere"]);
    run(&broker, "consume", "-t in -p 7 -e").failed(1, &["in has no partition 7", "it has 2"]);
    let lines = |arguments: &str| command(&broker.at(), "produce", arguments).stdin("x\n").run();
    lines("-t nothere -X max.block.ms=1000").failed(1, &["nothere"]);
    lines("-t in -p 7 -X max.block.ms=1000").failed(1, &["in", "7"]);
    run(&broker, "copy", "--from in --to nothere --stop latest").failed(1, &["nothere"]);
    run(&broker, "copy", "--from nothere --to out --stop latest").failed(1, &["nothere"]);
    run(&broker, "copy", "--from nothere --to neither --stop latest").failed(1, &["nothere", "neither"]);
    let to_missing = copy(&scratch.path("c"), "--stop latest").replace("--to out", "--to nothere");
    run(&broker, "copy", &to_missing).failed(1, &["nothere"]);
    run(&broker, "topics", "delete nothere").failed(1, &["nothere", "UNKNOWN_TOPIC_OR_PARTITION"]);
}

#[test]
fn a_record_too_large_is_named_with_the_limit_it_breaks() {
    let broker = broker();
    let line = "x".repeat(3_000_000) + "\n";
    let produced = command(&broker.at(), "produce", "-t in").stdin(line.clone()).run();
    produced.failed(1, &["in", "max.request.size"]);
    let larger = command(&broker.at(), "produce", "-t in -X max.request.size=10000000").stdin(line).run();
    larger.failed(1, &["in", "MESSAGE_TOO_LARGE"]);
    let configs = BTreeMap::from([("max.message.bytes".to_owned(), "1000".to_owned())]);
    broker.control(Control::CreateTopic { name: "small".into(), partitions: 1, configs });
    let produced = command(&broker.at(), "produce", "-t small").stdin("y".repeat(5000)).run();
    produced.failed(1, &["small", "MESSAGE_TOO_LARGE"]);
    assert_eq!(run(&broker, "consume", "-t small -e").ok(), "");
}

#[test]
fn a_transaction_timeout_above_the_brokers_is_named_with_both() {
    let (broker, scratch) = (broker(), Scratch::new("timeout"));
    let copied = run(&broker, "copy", &copy(&scratch.path("c"), "-X transaction.timeout.ms=3600000"));
    copied.failed(2, &["transaction.timeout.ms", "3600000", "transaction.max.timeout.ms", "900000"]);
    let short = run(&broker, "copy", &copy(&scratch.path("c"), "-X transaction.timeout.ms=100"));
    short.failed(2, &["transaction.timeout.ms", "100 ms", "checkpoint intervals of 50 ms"]);
    let arguments = "-t in --transactional-id w -X transaction.timeout.ms=3600000";
    let produced = command(&broker.at(), "produce", arguments).stdin("x\n").run();
    produced.failed(1, &["w", "INVALID_TRANSACTION_TIMEOUT"]);
}

#[test]
fn a_broker_too_old_for_a_feature_is_named_with_its_range() {
    let mut settings = Settings::default();
    for range in settings.api_versions.iter_mut().filter(|range| range.key == ApiKey::Produce as i16) {
        (range.min, range.max) = (0, 2);
    }
    let broker = TcpBroker::with(settings);
    broker.create_topic("in", 1);
    let produced = command(&broker.at(), "produce", "-t in -X delivery.timeout.ms=3000 -X request.timeout.ms=1000");
    produced.stdin("x\n").run().failed(1, &["Produce", &broker.at(), "from 3", "0 to 2"]);
}

/// The files of a checkpoint directory whose names begin with `checkpoint-`, oldest first.
fn manifests(directory: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).expect("the copy made it").flatten().map(|entry| entry.path());
    let is_manifest = |path: &PathBuf| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with("checkpoint-"));
    let mut found: Vec<_> = entries.filter(is_manifest).collect();
    found.sort();
    found
}

#[test]
fn a_checkpoint_directory_that_cannot_be_used_is_named_with_the_reason() {
    let (broker, scratch) = (broker(), Scratch::new("directory"));
    let file = scratch.path("file");
    fs::write(&file, "x").expect("scratch is writable");
    run(&broker, "copy", &copy(&format!("{file}/c"), "")).failed(1, &[&file, "cannot be created"]);

    let directory = scratch.path("c");
    let mut first = command(&broker.at(), "copy", &copy(&directory, "")).spawn();
    while !Path::new(&directory).join("finalized").exists() {
        assert!(first.is_running(), "{}", first.stderr());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    run(&broker, "copy", &copy(&directory, "")).failed(1, &[&directory, "in use by a running job"]);
    first.signal("TERM");
    assert_eq!(first.wait().ok(), "");
    let foreign = run(&broker, "copy", &copy(&directory, "--id-prefix another --stop latest"));
    foreign.failed(1, &[&directory, "not of `another`", "directory of its own"]);
    assert_eq!(run(&broker, "copy", &copy(&directory, "--stop latest")).ok(), "");
    assert_eq!(run(&broker, "consume", "-t out -e -X isolation.level=read_committed").ok(), "one\n");
}

#[test]
fn a_torn_checkpoint_falls_back_to_the_previous_one_and_none_is_mixed_or_forgotten() {
    let (broker, scratch) = (broker(), Scratch::new("torn"));
    let directory = scratch.path("c");
    assert_eq!(run(&broker, "copy", &copy(&directory, "--stop latest")).ok(), "");
    let newest = manifests(&directory).pop().expect("a checkpoint");
    let whole = fs::read(&newest).expect("it is readable");
    // A write that a crash tore: the next checkpoint's file, cut short.
    let name = newest.file_name().expect("a file").to_string_lossy().into_owned();
    let epoch: u64 = name.trim_start_matches("checkpoint-").parse().expect("a number");
    let torn = newest.with_file_name(format!("checkpoint-{:020}", epoch + 1));
    fs::write(&torn, &whole[..whole.len() / 2]).expect("scratch is writable");
    produce(&broker, "in", "two\n");
    let copied = run(&broker, "copy", &copy(&directory, "--stop latest"));
    assert!(copied.stderr.contains("passed over") && copied.stderr.contains(&format!("{:020}", epoch + 1)));
    assert_eq!(copied.ok(), "");
    let read = run(&broker, "consume", "-t out -e -X isolation.level=read_committed").ok();
    let mut lines: Vec<_> = read.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["one", "two"]);

    for manifest in manifests(&directory) {
        fs::write(&manifest, b"garbage").expect("scratch is writable");
    }
    let refused = run(&broker, "copy", &copy(&directory, "--stop latest"));
    refused.failed(1, &[&directory, "no checkpoint in it is readable", "move it away"]);
}

#[test]
fn a_second_job_of_the_same_prefix_fences_the_first_which_says_so() {
    for level in [1, 2] {
        fences_the_first(level);
    }
}

fn fences_the_first(level: i16) {
    let broker = with_topics(TcpBroker::with(Settings::default().with_transaction_version(level)));
    let scratch = Scratch::new(&format!("fenced{level}"));
    let job = |directory: &str| command(&broker.at(), "copy", &copy(&scratch.path(directory), "--id-prefix etl"));
    let mut first = job("first").spawn();
    while run(&broker, "consume", "-t out -e -X isolation.level=read_committed").ok() != "one\n" {
        assert!(first.is_running(), "{}", first.stderr());
    }
    let mut second = job("second").spawn();
    while !Path::new(&scratch.path("second")).join("finalized").exists() {
        assert!(second.is_running(), "{}", second.stderr());
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    while run(&broker, "consume", "-t out -e -X isolation.level=read_committed").ok().lines().count() < 2 {
        assert!(second.is_running(), "{}", second.stderr());
    }
    produce(&broker, "in", "two\n");
    // The newcomer copies on; whoever was there first ends and says why.
    first.wait().failed(1, &["etl/0#", "fenced", "ids of its own"]);
    while !run(&broker, "consume", "-t out -e -X isolation.level=read_committed").ok().contains("two\n") {
        assert!(second.is_running(), "{}", second.stderr());
    }
    second.signal("TERM");
    assert_eq!(second.wait().ok(), "");
}
