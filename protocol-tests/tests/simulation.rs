//! Seeded simulation over whole clients and a whole cluster. A red seed is named with the command that replays it.

use protocol_tests::sim::{Plan, Suite, Workload, run};

#[test]
fn idempotent_sends_are_written_where_they_say_once_and_in_order() {
    Suite::new(Workload::Idempotent, 0..800).check();
}

#[test]
fn transactions_are_seen_whole_or_not_at_all() {
    Suite::new(Workload::Transactions, 0..400).check();
}

#[test]
fn copy_gives_each_record_once_whatever_kills_the_job() {
    Suite::new(Workload::Copy, 0..300).check();
}

#[test]
fn one_seed_gives_one_trace() {
    for workload in [Workload::Idempotent, Workload::Transactions, Workload::Copy] {
        for seed in (0..16).chain([42, 1_000, 31_337]) {
            let again = || run(workload, Plan::new(seed), false);
            assert_eq!(again(), again(), "{workload:?}, seed {seed}");
        }
    }
}

#[test]
fn different_seeds_give_different_traces() {
    let hash = |seed| run(Workload::Idempotent, Plan::new(seed), false).hash;
    assert_ne!(hash(1), hash(2));
}

#[test]
fn a_draw_without_a_seed_does_not_go_unnoticed() {
    let hash = || run(Workload::Idempotent, Plan { has_unseeded_draw: true, ..Plan::new(7) }, false).hash;
    // Two runs may agree by chance; that eight do is as good as impossible.
    let hashes: std::collections::BTreeSet<u64> = (0..8).map(|_| hash()).collect();
    assert!(hashes.len() > 1, "eight runs with a draw from the system's clock gave one trace");
}
