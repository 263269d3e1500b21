//! The `milena` command as its users type it: records to stdout and nothing else, exit 0 only on full success.

use protocol_tests::milena_bin::{Finished, Scratch, milena};
use protocol_tests::tcp_broker::TcpBroker;
use serde_json::{Value, json};

/// `milena COMMAND -b BROKER` and more arguments, separated by spaces.
fn run(broker: &TcpBroker, command: &str, more: &str) -> Finished {
    milena([command, "-b", &broker.at()]).args(more.split_whitespace()).run()
}

fn produce(broker: &TcpBroker, arguments: &str, lines: &str) {
    let command = milena(["produce", "-b", &broker.at()]).args(arguments.split_whitespace()).stdin(lines);
    assert_eq!(command.run().ok(), "", "stdout is for records");
}

fn consume(broker: &TcpBroker, arguments: &str) -> String {
    run(broker, "consume", arguments).ok()
}

fn numbers(range: std::ops::Range<u32>) -> String {
    range.map(|n| format!("{n}\n")).collect()
}

fn sorted(lines: &str) -> Vec<&str> {
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn what_produce_reads_consume_prints() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 1);
    produce(&broker, "-t t -K : -H a=1 -H a=2", "k1:v1\nk2:v:2\n:empty key\nno key\n\nlast");
    let printed = consume(&broker, r"-t t -e -f %t/%p@%o[%k:%K]%s:%S{%h}\n");
    let expected = [
        "t/0@0[k1:2]v1:2{a=1,a=2}",
        "t/0@1[k2:2]v:2:3{a=1,a=2}",
        "t/0@2[:0]empty key:9{a=1,a=2}",
        "t/0@3[:-1]no key:6{a=1,a=2}",
        "t/0@4[:-1]:0{a=1,a=2}",
        "t/0@5[:-1]last:4{a=1,a=2}",
    ];
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
}

#[test]
fn json_is_one_object_a_line_with_every_part_of_a_record() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 2);
    produce(&broker, "-t t -p 1 -K = -H h=x -H h=y", "key=value\n");
    let bytes = milena(["produce", "-b", &broker.at(), "-t", "t", "-p", "1"]).stdin(*b"\xff\x00\n").run();
    assert_eq!(bytes.ok(), "");
    let printed = consume(&broker, "-t t -e --json");
    let lines: Vec<Value> = printed.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[0]["timestamp"].as_i64().is_some_and(|ms| ms > 1_700_000_000_000));
    for (line, offset, key, value, headers) in [
        (&lines[0], 0, json!("key"), json!("value"), json!([["h", "x"], ["h", "y"]])),
        (&lines[1], 1, Value::Null, json!({"base64": "/wA="}), json!([])),
    ] {
        assert_eq!((&line["topic"], &line["partition"], &line["offset"]), (&json!("t"), &json!(1), &json!(offset)));
        assert_eq!((&line["key"], &line["value"], &line["headers"]), (&key, &value, &headers));
        assert_eq!(line["timestamp_type"], "CreateTime");
    }
}

#[test]
fn consume_begins_where_it_is_told_and_stops_after_a_count() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 1);
    produce(&broker, "-t t", &numbers(0..100));
    assert_eq!(consume(&broker, "-t t -e"), numbers(0..100));
    assert_eq!(consume(&broker, "-t t -e -o beginning -c 3"), numbers(0..3));
    assert_eq!(consume(&broker, "-t t -e -o 42 -c 2"), numbers(42..44));
    assert_eq!(consume(&broker, "-t t -e -o -5"), numbers(95..100));
    assert_eq!(consume(&broker, "-t t -e -o -500"), numbers(0..100));
    assert_eq!(consume(&broker, "-t t -e -o end"), "");
    assert_eq!(consume(&broker, "-t t -p 0 -c 7"), numbers(0..7));
}

#[test]
fn consume_begins_at_a_time() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 1);
    produce(&broker, "-t t", "before\n");
    std::thread::sleep(std::time::Duration::from_millis(20));
    produce(&broker, "-t t", "after\n");
    let times = consume(&broker, r"-t t -e -f %T\n");
    let second = times.lines().nth(1).expect("two records");
    assert_eq!(consume(&broker, &format!("-t t -e -o @{second}")), "after\n");
    assert_eq!(consume(&broker, "-t t -e -o @0"), "before\nafter\n");
    assert_eq!(consume(&broker, "-t t -e -o @99999999999999"), "");
}

#[test]
fn a_group_goes_on_after_the_last_printed_record() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 1);
    produce(&broker, "-t t", &numbers(0..10));
    let group = "-t t -e -G g -X auto.offset.reset=earliest";
    assert_eq!(consume(&broker, &format!("{group} -c 4")), numbers(0..4));
    assert_eq!(consume(&broker, &format!("{group} -c 3")), numbers(4..7));
    assert_eq!(consume(&broker, group), numbers(7..10));
    assert_eq!(consume(&broker, group), "");
}

#[test]
fn records_are_spread_over_all_partitions_by_key() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 4);
    let lines: String = (0..1000).map(|n| format!("key{}:{n}\n", n % 50)).collect();
    produce(&broker, "-t t -K :", &lines);
    let printed = consume(&broker, r"-t t -e -f %p:%k:%s\n");
    let mut home = std::collections::BTreeMap::new();
    let mut last = std::collections::BTreeMap::new();
    for line in printed.lines() {
        let parts: Vec<_> = line.split(':').collect();
        let value: u32 = parts[2].parse().expect("a number was written");
        assert_eq!(*home.entry(parts[1]).or_insert(parts[0]), parts[0], "a key has one partition");
        assert!(last.insert(parts[1], value).is_none_or(|before| before < value), "a key's records keep their order");
    }
    assert_eq!((printed.lines().count(), home.len()), (1000, 50));
    let partitions: std::collections::BTreeSet<_> = home.into_values().collect();
    assert_eq!(partitions.len(), 4);
}

#[test]
fn lines_of_one_transaction_are_all_visible() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 3);
    produce(&broker, "-t t --transactional-id writer", &numbers(0..500));
    let printed = consume(&broker, "-t t -e -X isolation.level=read_committed");
    assert_eq!(sorted(&printed), sorted(&numbers(0..500)));
}

#[test]
fn topics_are_created_listed_described_and_deleted() {
    let broker = TcpBroker::start();

    let topics = |arguments: &str| {
        let (action, more) = arguments.split_once(' ').unwrap_or((arguments, ""));
        milena(["topics", action, "-b", &broker.at()]).args(more.split_whitespace()).run()
    };
    assert_eq!(topics("list").ok(), "");
    assert_eq!(topics("create b --partitions 3 --config retention.ms=1000").ok(), "");
    assert_eq!(topics("create a").ok(), "");
    assert_eq!(topics("list").ok(), "a\nb\n");
    let described = topics("describe b --json").ok();
    let lines: Vec<Value> = described.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines.iter().map(|line| line["partition"].clone()).collect::<Vec<_>>(), [0, 1, 2]);
    assert!(lines.iter().all(|line| line["leader"] == 1 && line["replicas"] == json!([1])), "{described}");
    assert!(topics("describe b").ok().starts_with("b 0 leader 1 "));
    topics("create b").failed(1, &["b", "TOPIC_ALREADY_EXISTS"]);
    assert_eq!(topics("delete b").ok(), "");
    assert_eq!(topics("list").ok(), "a\n");
    topics("describe b").failed(1, &["b"]);
    topics("describe").failed(2, &["which topic"]);
}

#[test]
fn the_broker_command_says_where_it_listens_and_serves_its_topics() {
    let mut broker = milena(["broker", "--listen", "127.0.0.1:0", "--topic", "a", "--topic", "b:3"]).spawn();
    let line = broker.line_with("listening on ");
    let address = line.split_whitespace().nth(2).expect("the address").trim_end_matches(';').to_owned();
    let printed = milena(["topics", "describe", "b", "-b", &address]).run().ok();
    assert_eq!(printed.lines().count(), 3);
    assert_eq!(milena(["produce", "-b", &address, "-t", "a"]).stdin("x\n").run().ok(), "");
    assert_eq!(milena(["consume", "-b", &address, "-t", "a", "-e"]).run().ok(), "x\n");
    broker.signal("TERM");
    assert_eq!(broker.wait().ok(), "");
}

#[test]
fn consume_shows_records_as_they_come_and_ends_well_when_asked_to() {
    let broker = TcpBroker::start();
    broker.create_topic("t", 2);
    let reading = milena(["consume", "-b", &broker.at(), "-t", "t"]).spawn();
    for n in 0..3 {
        produce(&broker, "-t t", &format!("{n}\n"));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while reading.stdout().lines().count() <= n {
            assert!(std::time::Instant::now() < deadline, "record {n} is not shown");
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }
    reading.signal("TERM");
    assert_eq!(sorted(&reading.wait().ok()), ["0", "1", "2"]);
}

#[test]
fn a_copy_until_the_latest_record_is_whole_under_every_guarantee() {
    let (broker, scratch) = (TcpBroker::start(), Scratch::new("copy"));
    broker.create_topic("in-a", 3);
    broker.create_topic("in-b", 1);
    produce(&broker, "-t in-a -K : -H h=1", &(0..3000).map(|n| format!("k{}:{n}\n", n % 7)).collect::<String>());
    produce(&broker, "-t in-b", &numbers(5000..6000));
    let shape = r"-e -X isolation.level=read_committed -f %k:%s{%h}\n";
    let expected =
        [consume(&broker, &format!("-t in-a {shape}")), consume(&broker, &format!("-t in-b {shape}"))].concat();
    assert_eq!(expected.lines().count(), 4000);
    for (to, from, guarantee, parallelism) in [
        ("none", "in-a,in-b", "none", 1),
        ("once-or-more", "/in-.*/", "at-least-once", 3),
        ("once", "/in-.*/", "exactly-once", 2),
    ] {
        broker.create_topic(to, 3);
        let directory = scratch.path(to);
        let arguments = format!(
            "--from {from} --to {to} --guarantee {guarantee} --checkpoint-dir {directory} --checkpoint-interval 50ms \
             --parallelism {parallelism} --start earliest --stop latest"
        );
        let copied = run(&broker, "copy", &arguments);
        assert!(copied.stderr.contains("checkpoints"), "{}", copied.stderr);
        assert_eq!(copied.ok(), "", "stdout is for records");
        assert_eq!(sorted(&consume(&broker, &format!("-t {to} {shape}"))), sorted(&expected), "{guarantee}");
        // Again, from its checkpoint: there is nothing left to copy.
        assert_eq!(run(&broker, "copy", &arguments).ok(), "");
        assert_eq!(consume(&broker, &format!("-t {to} {shape}")).lines().count(), 4000, "{guarantee}");
    }
}

#[test]
fn a_copy_that_keeps_partitions_keeps_every_partition_as_it_was() {
    let (broker, scratch) = (TcpBroker::start(), Scratch::new("keep"));
    broker.create_topic("in", 4);
    broker.create_topic("out", 4);
    for partition in 0..4 {
        produce(&broker, &format!("-t in -p {partition}"), &numbers(partition * 1000..partition * 1000 + 500));
    }
    let directory = scratch.path("checkpoints");
    let arguments = format!(
        "--from in --to out --guarantee exactly-once --checkpoint-dir {directory} --parallelism 2 --start earliest \
         --stop latest --keep-partitions"
    );
    assert_eq!(run(&broker, "copy", &arguments).ok(), "");
    for partition in 0..4 {
        let printed = consume(&broker, &format!("-t out -p {partition} -e -X isolation.level=read_committed"));
        assert_eq!(printed, numbers(partition * 1000..partition * 1000 + 500));
    }
}
