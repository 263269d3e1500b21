//! The in-memory broker gives every request script the answers that real Kafka gave, as recorded.

use std::fs;
use std::panic::catch_unwind;

use milena::broker::{Settings, TcpCluster};
use protocol_tests::scripts::{self, Script, Tv};

#[test]
fn memory_answers_as_kafka_under_transaction_version_1() {
    compare(Tv::One, Settings::default().with_transaction_version(1));
}

#[test]
fn memory_answers_as_kafka_under_transaction_version_2() {
    compare(Tv::Two, Settings::default());
}

/// All scripts on one broker, set up as the live suite sets Kafka up; all differences in one report.
fn compare(tv: Tv, settings: Settings) {
    let settings = Settings { auto_create_topics: false, default_replication_factor: 1, ..settings };
    let runtime = tokio::runtime::Runtime::new().expect("a runtime starts");
    let first = "127.0.0.1:0".parse().expect("an address");
    let cluster = runtime.block_on(TcpCluster::bind(settings, first)).expect("a port is free");
    let address = cluster.addresses()[0].to_string();
    let scripts = scripts::all().into_iter().filter(|script| script.versions.contains(&tv));
    let only = std::env::var("MILENA_SCRIPT").unwrap_or_default();
    let differences: Vec<_> =
        scripts.filter(|s| s.name.contains(&only)).filter_map(|script| difference(script, tv, &address)).collect();
    assert!(differences.is_empty(), "{} scripts differ\n{}", differences.len(), differences.join("\n"));
}

fn difference(script: Script, tv: Tv, address: &str) -> Option<String> {
    let expected = fs::read_to_string(script.fixture(tv)).expect("what Kafka answered is recorded");
    match catch_unwind(|| script.run(address, tv)) {
        Ok(found) => Some(format!("{} under {tv:?}: {}", script.name, scripts::difference(&expected, &found)?)),
        Err(_) => Some(format!("{} under {tv:?} panicked (see above)", script.name)),
    }
}
