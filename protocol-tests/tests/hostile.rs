//! No bytes a peer sends make a reader panic, hang, or allocate beyond twice the frame and 1 MiB; of a large message
//! that passed the guard, beyond eight times (`allowance` says what is held to which).
//!
//! Frames come in a number that suits a test run; `MILENA_FRAMES` says another, `MILENA_SEED` replays one:
//!
//! ```text
//! MILENA_FRAMES=10000000 cargo test -p protocol-tests --test hostile damaged
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::thread::available_parallelism;

use bytes::Bytes;
use milena::wire::api::APIS;
use milena::wire::{Direction, Malformed, guard, json};
use protocol_tests::hostile::{
    Chosen, Form, JSON_FACTOR, Kind, Lie, Piece, Plan, Seed, Target, allowance, bombs, crowd, feed, layout_of, lies_at,
    monotonous, of_kind, partitions, read_message, run, seeds, tell,
};

const MIB: usize = 1024 * 1024;

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

/// The same, after the readers by the schema table have had the frame too, checked by nobody.
fn read_and_told(name: &str, target: Target, frame: &[u8]) -> bool {
    tell(target, &Bytes::copy_from_slice(frame), peak);
    read(name, target, frame)
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
    assert!(outcome.told > frames / 20, "messages that are told as well: {outcome:?}");
    assert!(outcome.accepted > 0 && outcome.accepted < frames, "damage that does not tell: {outcome:?}");
}

#[test]
fn what_once_ended_a_reader_is_refused_or_read() {
    let bombs = bombs();
    assert!(bombs.len() >= 8);
    for (Seed { name, target, bytes, .. }, is_sound) in bombs {
        assert_eq!(read(&name, target, &bytes), is_sound, "{name}");
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
            let accepted = read_and_told(&name, target, &bytes[..len]);
            // A header that is cut in its key or version is that of no API we speak, and nobody reads on.
            assert!(!accepted || len < header, "{name} cut to {len} bytes is accepted");
        }
    }
    // A partition may end within a batch: brokers cut it anywhere.
    for Seed { name, target, bytes, .. } in partitions(1_000) {
        for len in 0..bytes.len() {
            read(&name, target, &bytes[..len]);
        }
    }
}

#[test]
fn no_flipped_bit_of_a_small_frame_does_harm() {
    let messages = of_kind("typical").into_iter().filter(|seed| seed.bytes.len() <= 150);
    for Seed { name, target, bytes, .. } in messages.chain(partitions(300)) {
        let mut bytes = bytes;
        for bit in 0..bytes.len() * 8 {
            bytes[bit / 8] ^= 1 << (bit % 8);
            read_and_told(&name, target, &bytes);
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
    }
}

#[test]
fn no_length_or_count_is_believed_on_its_word() {
    for Seed { name, target, bytes, .. } in [newest("nulls"), newest("typical"), partitions(300)].concat() {
        for at in 0..bytes.len().min(200) {
            for lie in lies_at(&bytes, at) {
                read(&name, target, &lie);
            }
        }
    }
}

/// What comes of a lie about a message, after what reading it cost has been held to the allowance.
fn told(name: &str, target: Target, frame: &[u8]) -> Result<(), Malformed> {
    let bytes = Bytes::copy_from_slice(frame);
    let mut read = Ok(());
    let peak = peak(&mut || read = read_message(target, bytes.clone()));
    assert!(peak <= allowance(target, frame.len()), "{name}: {peak} bytes allocated for {} of {target:?}", frame.len());
    read
}

/// Whether `lie` leaves a message that nobody may take for sound.
fn is_fatal(lie: Lie, piece: &Piece) -> bool {
    match lie {
        Lie::TooLong | Lie::Unterminated | Lie::NotUtf8 | Lie::Cut => true,
        // A tag may have any number, and a count of tags above what is there ends beyond the message.
        Lie::Negative | Lie::Least | Lie::Most | Lie::JustAbove => {
            !matches!(piece.kind, Kind::Value | Kind::TagNumber | Kind::Element)
        }
        Lie::OneMore => piece.kind == Kind::Mark && piece.form == Form::Int,
        _ => false,
    }
}

#[test]
fn no_lie_about_any_piece_of_a_message_is_believed_or_costs_more_than_the_frame() {
    let mut seen: BTreeMap<Lie, BTreeSet<Kind>> = BTreeMap::new();
    let (mut refused, mut believed) = (0, 0);
    for seed in newest("nulls").into_iter().chain(newest("typical")).chain(newest("unknown-tags")) {
        let pieces = layout_of(&seed);
        for (about, piece) in pieces.iter().enumerate() {
            for lie in Lie::ALL {
                let mut frame = seed.bytes.clone();
                if !lie.tell(&mut frame, &pieces, about) {
                    continue;
                }
                let name = format!("{}, {lie:?} about {piece:?}", seed.name);
                seen.entry(lie).or_default().insert(piece.kind);
                if piece.head.start >= seed.header {
                    costs_little_besides_structs(&name, &seed, &frame);
                }
                match told(&name, seed.target, &frame) {
                    Ok(()) => {
                        // A header that is cut or lies about itself is that of another API, and nobody reads on.
                        assert!(!is_fatal(lie, piece) || piece.head.start < seed.header, "{name} is believed");
                        believed += 1;
                    }
                    Err(fault) => {
                        // Padded within a tagged field, it is the size of that which lies.
                        assert!(lie != Lie::Padded || fault.reason.contains("holds"), "{name}: {fault}");
                        is_told_well(&name, &fault);
                        refused += 1;
                    }
                }
            }
        }
    }
    eprintln!("{refused} lies are refused, {believed} leave a message that can be read: {seen:#?}");
    assert_eq!(seen.len(), Lie::ALL.len(), "every lie is told: {seen:?}");
    let kinds: BTreeSet<_> = seen.values().flatten().collect();
    assert_eq!(kinds.len(), 9, "about every kind of piece: {kinds:?}");
}

/// What the guard takes by itself, and what the JSON reader does; and that both readers agree.
fn costs_little_besides_structs(name: &str, seed: &Seed, frame: &[u8]) {
    let (key, version, direction) = message(seed);
    let body = Bytes::copy_from_slice(&frame[seed.header..]);
    let checked = peak(&mut || drop(guard::check(key, version, direction, &body)));
    assert!(checked <= 4_096, "{name}: {checked} bytes to check {}", body.len());
    let readable = peak(&mut || drop(guard::readable(key, version, direction, body.clone())));
    assert!(readable <= body.len() + 4_096, "{name}: {readable} bytes to make {} readable", body.len());
    let told = peak(&mut || drop(json::decode(key, version, direction, &body)));
    assert!(told <= JSON_FACTOR * body.len() + MIB, "{name}: {told} bytes for JSON of {}", body.len());
    let rows = peak(&mut || drop(json::dump(key, version, direction, &body, &mut |_| ())));
    assert!(rows <= 2 * body.len() + 2 * MIB, "{name}: {rows} bytes to dump {}", body.len());
    // What is read is written again and reads the same, to both readers.
    Chosen { key, version, direction, body: &body }.round_trip();
}

/// What a seed that is no batch is a message of.
fn message(seed: &Seed) -> (i16, i16, Direction) {
    let number = |at: usize| i16::from_be_bytes([seed.bytes[at], seed.bytes[at + 1]]);
    match seed.target {
        Target::Response { key, version } => (key, version, Direction::Response),
        _ => (number(0), number(2), Direction::Request),
    }
}

/// Each array of each message, generated or our own, with its smallest elements in as great a number as the guard allows.
#[test]
fn no_crowd_of_elements_outgrows_what_the_guard_promises() {
    let (mut accepted, mut refused, mut widest) = (0, 0, 0.0f64);
    for seed in newest("nulls").into_iter().chain(newest("typical")) {
        let pieces = layout_of(&seed);
        for about in (0..pieces.len()).filter(|about| pieces[*about].kind == Kind::Element) {
            let mut frame = seed.bytes.clone();
            if !crowd(&mut frame, &pieces, about, MIB) {
                continue;
            }
            let bytes = Bytes::from(frame);
            let mut read = Ok(());
            let peak = peak(&mut || read = read_message(seed.target, bytes.clone()));
            let name = format!("{}, {:?}", seed.name, pieces[about]);
            match read {
                Ok(()) => {
                    assert!(peak <= 8 * bytes.len() + MIB, "{name}: {peak} bytes for {}", bytes.len());
                    widest = widest.max(peak as f64 / bytes.len() as f64);
                    accepted += 1;
                }
                Err(fault) => {
                    // Within a tagged field the size of that is now wrong.
                    let of = ["larger than 8 times", "holds"];
                    assert!(of.iter().any(|reason| fault.reason.contains(reason)), "{name}: {fault}");
                    assert!(peak <= 4_096 + bytes.len(), "{name}: {peak} bytes to refuse {}", bytes.len());
                    refused += 1;
                }
            }
        }
    }
    eprintln!("{accepted} crowds are read, at most {widest:.2} times as large in memory; {refused} are refused");
    assert!(accepted > 100 && refused > 10);
}

/// A fault has an offset and the way to the field; of what belongs to no field it says so.
fn is_told_well(name: &str, fault: &Malformed) {
    let of_no_field = ["left over", "tagged fields in", "varint of", "bytes wanted"];
    let is_placed = !fault.path.is_empty() || of_no_field.iter().any(|reason| fault.reason.contains(reason));
    assert!(is_placed && !fault.reason.is_empty(), "{name}: {fault:?}");
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

/// How many arrays stand within each other in the message, as far as it can be read.
fn depth(seed: &Seed, body: &[u8]) -> usize {
    let (key, version, direction) = message(seed);
    let mut deepest = 0;
    // Where it ends is where the fault is. Batches and their records have paths as well, and are no arrays.
    let _ = json::dump(key, version, direction, body, &mut |row| {
        let path = row.path.split_once("records[").map_or(row.path.as_str(), |(before, _)| before);
        deepest = deepest.max(path.matches('[').count());
    });
    deepest
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
    let is_short = |body: &&Vec<u8>| body.len() == 300;
    let reached = |seed: &Seed| bodies.iter().filter(is_short).map(|body| depth(seed, body)).max();
    let to_the_end = |seed: &Seed| reached(seed) == Some(depth(seed, &seed.bytes[seed.header..]));
    let nested: Vec<_> =
        newest("typical").into_iter().filter(|seed| depth(seed, &seed.bytes[seed.header..]) > 1).collect();
    let entered = nested.iter().filter(|seed| to_the_end(seed)).count();
    eprintln!(
        "of {} messages with arrays in arrays, {entered} are entered to the end by bytes that are all the same",
        nested.len()
    );
    assert!(entered * 2 > nested.len());
}

/// Each array of a message with many elements, and each of these with many in turn, down to the innermost.
#[test]
fn no_crowd_of_crowds_outgrows_what_the_guard_promises() {
    let (mut deepest, mut accepted) = (0, 0);
    for seed in newest("typical") {
        let expected = depth(&seed, &seed.bytes[seed.header..]);
        let mut crowded = seed.clone();
        for level in (1..=expected).rev() {
            let pieces = layout_of(&crowded);
            // An element is as deep as elements hold it.
            let holds = |outer: &Piece, inner: &Piece| outer.head.start <= inner.head.start && inner.end <= outer.end;
            let elements: Vec<_> =
                (0..pieces.len()).filter(|at| pieces[*at].kind == Kind::Element).take(2_000).collect();
            let level_of =
                |at: usize| elements.iter().filter(|of| **of <= at && holds(&pieces[**of], &pieces[at])).count();
            let Some(about) = elements.iter().find(|at| level_of(**at) == level) else { continue };
            let most = 1_024 << (3 * (expected - level));
            crowd(&mut crowded.bytes, &pieces, *about, most);
        }
        let bytes = Bytes::from(crowded.bytes.clone());
        let mut read = Ok(());
        let peak = peak(&mut || read = read_message(seed.target, bytes.clone()));
        assert!(peak <= 8 * bytes.len() + MIB, "{}: {peak} bytes for {}", seed.name, bytes.len());
        tell(seed.target, &bytes, self::peak);
        match read {
            Ok(()) => {
                assert_eq!(depth(&crowded, &bytes[seed.header..]), expected, "{}", seed.name);
                deepest = deepest.max(expected);
                accepted += 1;
            }
            Err(fault) => {
                // Within a tagged field the size of that is now wrong.
                let of = ["larger than 8 times", "holds"];
                assert!(of.iter().any(|reason| fault.reason.contains(reason)), "{}: {fault}", seed.name);
            }
        }
    }
    eprintln!("{accepted} messages of crowds are read, arrays within each other {deepest} deep");
    assert!(accepted > 100 && deepest == 4, "{accepted} are read, {deepest} deep");
}

/// A section of `count` tagged fields that nobody knows, each without a value.
fn unknown_tags(count: u32) -> Vec<u8> {
    let mut section = Vec::new();
    let mut put_varint = |mut value: u32| {
        while value >= 0x80 {
            section.push(value as u8 | 0x80);
            value >>= 7;
        }
        section.push(value as u8);
    };
    put_varint(count);
    for tag in 0..count {
        put_varint(1_000 + tag);
        put_varint(0);
    }
    section
}

/// `frame` with `tags` in place of the empty section `at` that place.
fn tagged(frame: &[u8], at: usize, tags: &[u8]) -> Vec<u8> {
    assert_eq!(frame[at], 0, "no tags stand there");
    [&frame[..at], tags, &frame[at + 1..]].concat()
}

/// The frames of messages that end in tagged fields.
fn flexible() -> impl Iterator<Item = Seed> {
    let is_flexible = |seed: &Seed| {
        let (key, version, _) = message(seed);
        APIS.iter().any(|api| api.key == key && version >= api.flexible_from)
    };
    newest("default").into_iter().filter(is_flexible)
}

#[test]
fn a_million_tagged_fields_are_refused_and_ten_thousand_cost_little() {
    let (many, most) = (unknown_tags(10_000), unknown_tags(1_000_000));
    let mut seen = BTreeSet::new();
    for seed in flexible() {
        let (key, version, direction) = message(&seed);
        let end = seed.bytes.len() - 1;
        assert!(read_and_told(&seed.name, seed.target, &tagged(&seed.bytes, end, &many)), "{}", seed.name);
        let body = &tagged(&seed.bytes, end, &most)[seed.header..];
        let mut refusal = None;
        let cost = peak(&mut || refusal = guard::check(key, version, direction, body).err());
        assert!(refusal.expect("refused").reason.contains("1000000 tagged fields"), "{}", seed.name);
        assert!(cost < 1_000, "{}: {cost} bytes to say no", seed.name);
        seen.insert(direction);
    }
    assert_eq!(seen.len(), 2, "requests and answers");
}

#[test]
fn a_million_tagged_fields_of_a_header_are_refused_and_ten_thousand_cost_little() {
    let (many, most) = (unknown_tags(10_000), unknown_tags(1_000_000));
    let mut seen = BTreeSet::new();
    for seed in flexible() {
        // An answer to ApiVersions has the old header at every version.
        let at = seed.header - 1;
        let (_, _, direction) = message(&seed);
        if seed.name.starts_with("ApiVersions") && direction == Direction::Response {
            continue;
        }
        assert!(read(&seed.name, seed.target, &tagged(&seed.bytes, at, &many)), "{}", seed.name);
        let frame = Bytes::from(tagged(&seed.bytes, at, &most));
        let mut read = Ok(());
        let cost = peak(&mut || read = read_message(seed.target, frame.clone()));
        let fault = read.expect_err("refused");
        assert!(fault.path == "header" && fault.reason.contains("1000000 tagged fields"), "{}: {fault}", seed.name);
        assert!(cost < 1_000, "{}: {cost} bytes to say no", seed.name);
        seen.insert(direction);
    }
    assert_eq!(seen.len(), 2, "requests and answers");
}
