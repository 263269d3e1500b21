//! No bytes a peer sends make a reader panic, hang, or allocate beyond twice the frame and 1 MiB.
//!
//! Frames come in a number that suits a test run; `MILENA_FRAMES` says another, `MILENA_SEED` replays one:
//!
//! ```text
//! MILENA_FRAMES=10000000 cargo test -p protocol-tests --test hostile damaged
//! ```

use std::env;
use std::thread::available_parallelism;

use bytes::Bytes;
use milena::wire::Direction;
use milena::wire::api::APIS;
use milena::wire::guard;
use protocol_tests::hostile::{Plan, Seed, Target, allowance, bombs, feed, lies_at, monotonous, of_kind, run, seeds};

/// Bytes allocated at the peak of `work`, on this thread.
fn peak(work: &mut dyn FnMut()) -> usize {
    let mut work = Some(work);
    let counted = allocation_counter::measure(|| work.take().expect("called once")());
    counted.bytes_max as usize
}

/// Whether the frame is accepted, after what reading it cost has been held to the allowance.
fn read(name: &str, target: Target, frame: &[u8]) -> bool {
    let bytes = Bytes::copy_from_slice(frame);
    let mut accepted = false;
    let peak = peak(&mut || accepted = feed(target, bytes.clone()));
    assert!(peak <= allowance(target, frame.len()), "{name}: {peak} bytes allocated for {} of {target:?}", frame.len());
    accepted
}

fn from_env(name: &str) -> Option<u64> {
    env::var(name).ok().map(|value| value.parse().unwrap_or_else(|_| panic!("{name}={value} is no number")))
}

#[test]
fn damaged_frames_neither_panic_nor_hang_nor_allocate() {
    let frames = from_env("MILENA_FRAMES").unwrap_or(500_000);
    let seed = from_env("MILENA_SEED").unwrap_or_else(|| std::process::id().into());
    let threads = available_parallelism().map_or(1, |n| n.get() as u64);
    let seeds = seeds(1_000);
    eprintln!("MILENA_SEED={seed} MILENA_FRAMES={frames}, from {} sound frames", seeds.len());
    let outcome = run(Plan { seed, frames, threads, peak }, &seeds);
    eprintln!("{outcome:?}");
    assert_eq!(outcome.frames, frames);
    assert!(outcome.accepted > 0 && outcome.accepted < frames, "damage that does not tell: {outcome:?}");
}

#[test]
fn what_once_ended_a_reader_is_refused() {
    let bombs = bombs();
    assert!(bombs.len() >= 8);
    for Seed { name, target, bytes, .. } in bombs {
        assert!(!read(&name, target, &bytes), "{name} is accepted");
    }
}

#[test]
fn the_frames_that_damage_starts_from_are_sound() {
    let seeds = seeds(usize::MAX);
    assert!(seeds.len() > 4_000, "{}", seeds.len());
    let mut batches = 0;
    for Seed { name, target, bytes, .. } in &seeds {
        let accepted = read(name, *target, bytes);
        batches += u32::from(accepted && *target == Target::Batches);
        // Of the golden partitions some are too large for the limit here, and some are those that Kafka refuses.
        assert!(accepted || *target == Target::Batches, "{name} is refused");
    }
    assert!(batches >= 40, "only {batches} partitions are read");
}

#[test]
fn no_frame_is_read_that_was_cut_anywhere() {
    for Seed { name, target, bytes, header } in of_kind("typical") {
        for len in 0..bytes.len() {
            let accepted = read(&name, target, &bytes[..len]);
            // A header that is cut in its key or version is that of no API we speak, and nobody reads on.
            assert!(!accepted || len < header, "{name} cut to {len} bytes is accepted");
        }
    }
}

#[test]
fn no_flipped_bit_of_a_small_frame_does_harm() {
    for Seed { name, target, bytes, .. } in of_kind("typical").into_iter().filter(|seed| seed.bytes.len() <= 150) {
        let mut bytes = bytes;
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            read(&name, target, &bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn no_length_or_count_is_believed_on_its_word() {
    for Seed { name, target, bytes, .. } in newest("nulls").into_iter().chain(newest("typical")) {
        for at in 0..bytes.len().min(200) {
            for lie in lies_at(&bytes, at) {
                read(&name, target, &lie);
            }
        }
    }
}

/// The frames of the newest version of each message, and of the newest classic one.
fn newest(kind: &str) -> Vec<Seed> {
    let is_wanted = |key: i16, version: i16| {
        APIS.iter().any(|api| api.key == key && (version == api.max || version + 1 == api.flexible_from))
    };
    let mut frames = of_kind(kind);
    frames.retain(|seed| match seed.target {
        Target::Request => {
            let number = |at: usize| i16::from_be_bytes([seed.bytes[at], seed.bytes[at + 1]]);
            is_wanted(number(0), number(2))
        }
        Target::Response { key, version } => is_wanted(key, version),
        Target::Batches => false,
    });
    frames
}

#[test]
fn arrays_within_arrays_to_the_depth_of_the_schema_do_no_harm() {
    let bodies: Vec<_> = monotonous().collect();
    for Seed { name, target, bytes, header } in newest("default") {
        for body in &bodies {
            read(&name, target, &[&bytes[..header], body].concat());
        }
    }
    for body in &bodies {
        read("batches", Target::Batches, body);
    }
}

/// A default message with `count` tagged fields that nobody knows at its end, each without a value.
fn tagged(seed: &Seed, count: u32) -> Vec<u8> {
    let mut frame = seed.bytes.clone();
    assert_eq!(frame.pop(), Some(0), "{} ends without tags", seed.name);
    let varint = |mut value: u32| {
        let mut out = Vec::new();
        while value >= 0x80 {
            out.push(value as u8 | 0x80);
            value >>= 7;
        }
        out.push(value as u8);
        out
    };
    frame.extend(varint(count));
    for tag in 0..count {
        frame.extend(varint(1_000 + tag));
        frame.push(0);
    }
    frame
}

#[test]
fn a_million_tagged_fields_are_refused_and_ten_thousand_cost_little() {
    let flexible = |key: i16, version: i16| APIS.iter().any(|api| api.key == key && version >= api.flexible_from);
    for seed in newest("default") {
        let Target::Response { key, version } = seed.target else { continue };
        if !flexible(key, version) {
            continue;
        }
        assert!(read(&seed.name, seed.target, &tagged(&seed, 10_000)), "{}", seed.name);
        let body = &tagged(&seed, 1_000_000)[seed.header..];
        let mut refusal = None;
        let cost = peak(&mut || refusal = guard::check(key, version, Direction::Response, body).err());
        assert!(refusal.expect("refused").reason.contains("1000000 tagged fields"), "{}", seed.name);
        assert!(cost < 1_000, "{}: {cost} bytes to say no", seed.name);
    }
}
