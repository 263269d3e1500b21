//! Every API that real brokers offer to clients, at every version both know, asked and answered: each answer is read
//! whole and written back as it came. `MILENA_RECORD=1` records what was answered, `MILENA_SHOW=1` prints it.
#![cfg(feature = "live-kafka")]

use std::fs;
use std::sync::Mutex;

use protocol_tests::apis::{Answered, TOPIC, ask_everything, fixture, recorded};
use protocol_tests::live::{LiveKafka, Options, Write};

const HEAD: &str = "\
# Broker, API, versions asked, of those it offers: the error codes in the answers to the requests of protocol-tests/src/apis.
# Recorded by MILENA_RECORD=1 cargo test -p protocol-tests --features live-kafka --test live_apis
";

/// One test records at a time.
static FIXTURE: Mutex<()> = Mutex::new(());

fn everything_is_answered(options: Options, kafka: &str) {
    let options = options.version(kafka).property("allow.everyone.if.no.acl.found", "true");
    let cluster = LiveKafka::start(options);
    let (java, at) = (cluster.java(), cluster.bootstrap());
    java.create_topic(&at, TOPIC, 1, 1, &[]);
    java.write(&at, TOPIC, &Write { transactional_id: Some("apis-writer"), ..Write::records(20, 1) });
    let id = java.describe_topic(&at, TOPIC).topic_id;
    let found = ask_everything(kafka, &cluster.address(1), &id);
    let _fixture = FIXTURE.lock().expect("nobody panics with it");
    if std::env::var_os("MILENA_RECORD").is_some() {
        record(kafka, &found);
    }
    let expected: Vec<_> = recorded().into_iter().filter(|line| line.kafka == kafka).collect();
    assert!(!found.is_empty());
    let text = |lines: &[Answered]| lines.iter().map(Answered::line).collect::<Vec<_>>();
    let (expected, found) = (text(&expected), text(&found));
    let only =
        |these: &[String], others: &[String]| these.iter().filter(|l| !others.contains(l)).cloned().collect::<Vec<_>>();
    assert_eq!((only(&expected, &found), only(&found, &expected)), Default::default(), "recorded, and answered now");
}

/// Writes one broker's lines anew and keeps the others'.
fn record(kafka: &str, found: &[Answered]) {
    let mut lines: Vec<_> = recorded().into_iter().filter(|line| line.kafka != kafka).collect();
    lines.extend_from_slice(found);
    // The newest broker first; the lines of one in the order of the keys.
    lines.sort_by(|a, b| b.kafka.cmp(&a.kafka).then(a.key.cmp(&b.key)));
    let text: String = lines.iter().map(|line| line.line() + "\n").collect();
    fs::create_dir_all(fixture().parent().expect("a file is in a directory")).expect("fixtures are writable");
    fs::write(fixture(), format!("{HEAD}{text}")).expect("fixtures are writable");
}

/// With rights to be told of: whoever comes over the open listener may do all.
fn with_rights(authorizer: &str) -> Options {
    Options::one_node().property("authorizer.class.name", authorizer).property("super.users", "User:ANONYMOUS")
}

#[test]
fn kafka_4_4_answers_every_api_at_every_version() {
    everything_is_answered(with_rights("org.apache.kafka.metadata.authorizer.StandardAuthorizer"), "4.4.0");
}

#[test]
fn kafka_3_9_answers_every_api_at_every_version() {
    let options = with_rights("org.apache.kafka.metadata.authorizer.StandardAuthorizer");
    everything_is_answered(options.property("group.coordinator.rebalance.protocols", "classic,consumer"), "3.9.1");
}

#[test]
fn kafka_2_8_answers_every_api_at_every_version() {
    everything_is_answered(with_rights("kafka.security.authorizer.AclAuthorizer"), "2.8.2");
}
