//! The schema table against kafka-protocol: random messages of every version that both know mean the same bytes to both.

use std::collections::BTreeSet;

use milena::wire::json::{decode, encode, messages, sample};
use milena::wire::{Direction, guard};
use protocol_tests::golden::typed_round_trip;

/// Messages of each version.
const SAMPLES: u64 = 20;

/// Every message at every version it has.
fn versions() -> impl Iterator<Item = (i16, &'static str, i16, Direction)> {
    messages().flat_map(|(key, name, direction, (min, max))| (min..=max).map(move |v| (key, name, v, direction)))
}

fn seed() -> u64 {
    let replayed = std::env::var("MILENA_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = replayed.unwrap_or_else(|| u64::from(std::process::id()) << 20);
    eprintln!("MILENA_SEED={seed}");
    seed
}

#[test]
fn random_messages_of_every_version_mean_the_same_to_kafka_protocol() {
    let seed = seed();
    let (mut both, mut ours_alone) = (0, BTreeSet::new());
    for (key, name, version, direction) in versions() {
        for seed in seed..seed + SAMPLES {
            let what = format!("{name} v{version} {direction:?}, seed {seed}");
            let value = sample(key, version, direction, seed).expect("a version of the table");
            let bytes = encode(key, version, direction, &value).unwrap_or_else(|fault| panic!("{what}: {fault}"));
            assert_eq!(decode(key, version, direction, &bytes).as_ref(), Ok(&value), "{what}");
            assert_eq!(guard::check(key, version, direction, &bytes), Ok(()), "{what}");
            match typed_round_trip(key, version, direction, &bytes) {
                Some(theirs) => {
                    assert!(theirs.as_ref() == Ok(&bytes), "{what}: {value}\n{bytes:02x?}\n{theirs:02x?}");
                    both += 1;
                }
                None => drop(ours_alone.insert((key, version, direction))),
            }
        }
    }
    // Which they are is told by the golden suite; that they are few, by this one.
    let all = versions().count();
    assert!(both as u64 >= (all - ours_alone.len()) as u64 * SAMPLES);
    assert!(ours_alone.len() * 5 < all, "{} of {all} versions have no typed codec", ours_alone.len());
}
