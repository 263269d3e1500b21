//! Every request script against real Kafka gives the recorded answers; `MILENA_RECORD=1` records them anew.
//!
//! `MILENA_SCRIPT=txn` runs only the scripts with that in their name.
#![cfg(feature = "live-kafka")]

use std::fs;
use std::panic::catch_unwind;

use protocol_tests::live::LiveKafka;
use protocol_tests::scripts::{self, Script, Tv};

/// Both kinds of broker, every script, four at a time; all differences in one report.
#[test]
fn real_kafka_answers_as_recorded() {
    let brokers = [(Tv::Two, LiveKafka::shared().address(1)), (Tv::One, LiveKafka::shared_tv1().address(1))];
    let runs: Vec<_> =
        brokers.iter().flat_map(|(tv, at)| scripts_of(*tv).map(move |script| (script, *tv, at))).collect();
    let next = std::sync::atomic::AtomicUsize::new(0);
    let worker = || {
        let mut faults = Vec::new();
        while let Some((script, tv, at)) = runs.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
            faults.extend(check(script, *tv, at));
        }
        faults
    };
    let faults: Vec<String> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        workers.into_iter().flat_map(|worker| worker.join().expect("a script panicked")).collect()
    });
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

fn scripts_of(tv: Tv) -> impl Iterator<Item = Script> {
    let only = std::env::var("MILENA_SCRIPT").unwrap_or_default();
    scripts::all().into_iter().filter(move |script| script.versions.contains(&tv) && script.name.contains(&only))
}

fn check(script: &Script, tv: Tv, address: &str) -> Option<String> {
    let found = match catch_unwind(|| script.run(address, tv)) {
        Ok(found) => found,
        Err(_) => return Some(format!("{} under {tv:?} panicked (see above)", script.name)),
    };
    let path = script.fixture(tv);
    if std::env::var_os("MILENA_RECORD").is_some() {
        fs::create_dir_all(path.parent().expect("a file is in a directory")).expect("fixtures are writable");
        fs::write(&path, &found).expect("fixtures are writable");
    }
    let recorded = fs::read_to_string(&path).unwrap_or_default();
    let difference = scripts::difference(&recorded, &found)?;
    Some(format!("{} under {tv:?}: {difference}", script.name))
}
