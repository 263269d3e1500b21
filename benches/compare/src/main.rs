//! Megabytes a second of Milena's codecs and of the C libraries, interleaved, and whether each reads the other's frames.
//!
//! `cargo run --release --manifest-path benches/compare/Cargo.toml [CODEC]` prints the best and the median of all passes.
//! Needs a C compiler and libsnappy (Debian: `apt-get install libsnappy-dev`).

mod c;

use std::hint::black_box;
use std::time::{Duration, Instant};

use milena::Compression;
use milena::wire::codec::{Compressor, Decompressor};

const PASSES: usize = 60;
/// Bytes of the different batches that one pass goes through: no processor should learn one batch by heart.
const PASS_BYTES: usize = 2 << 20;

/// Record-like JSON in which some things repeat and some do not; the same as in `benches/codec.rs`.
fn json(len: usize) -> Vec<u8> {
    let (mut state, mut out) = (7u64, Vec::with_capacity(len + 256));
    while out.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (a, b, c) = (state >> 50, state >> 56, state >> 33);
        let line = format!(
            "{{\"event_id\":\"{state:016x}\",\"user_id\":{a},\"type\":\"order_created\",\"amount\":{b}.{:02},\
             \"currency\":\"EUR\",\"items\":[{{\"sku\":\"SKU-{a}\",\"qty\":{}}}],\"ts\":17000{c}}}",
            b % 100,
            b % 7
        );
        out.extend_from_slice(line.as_bytes());
    }
    out.truncate(len);
    out
}

type Case<'a> = (String, Box<dyn FnMut() + 'a>);

/// Every case once a pass, in turn; backwards every other time, because what ran before leaves the caches to what runs
/// after.
fn measure(len: usize, mut cases: Vec<Case<'_>>) {
    let mut times = vec![Vec::new(); cases.len()];
    for pass in 0..PASSES {
        for index in 0..cases.len() {
            let index = if pass % 2 == 0 { index } else { cases.len() - 1 - index };
            let start = Instant::now();
            cases[index].1();
            times[index].push(start.elapsed());
        }
    }
    for ((name, _), mut times) in cases.into_iter().zip(times) {
        times.sort();
        let speed = |t: Duration| PASS_BYTES as f64 / t.as_secs_f64() / 1e6;
        println!("{:>5} KiB  {name:<36} {:>7.0} {:>7.0}", len >> 10, speed(times[0]), speed(times[PASSES / 2]));
    }
}

fn compare(codec: Compression, level: i32, len: usize, input: &[u8]) {
    let batches: Vec<&[u8]> = input.chunks(len).collect();
    let mut compressor = Compressor::new(codec, level).expect("compiled in");
    let mut decompressor = Decompressor::default();
    let c::Library { name, mut compress, mut decompress } = c::library(codec);
    let (mut out, mut back) = (vec![0; len * 2 + 4096], vec![0; len]);
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for batch in &batches {
        let packed = compressor.compress(batch).expect("it takes this much");
        decompress(packed, &mut back);
        assert_eq!(back, *batch, "{name} reads ours");
        ours.push(packed.to_vec());
        let len = compress(batch, &mut out);
        assert_eq!(decompressor.decompress(codec, &out[..len]).expect("ours reads theirs"), *batch, "{name}");
        theirs.push(out[..len].to_vec());
    }
    let ratio = |packed: &[Vec<u8>]| input.len() as f64 / packed.iter().map(Vec::len).sum::<usize>() as f64;
    let each = |run: &mut dyn FnMut(&[u8])| batches.iter().for_each(|batch| run(black_box(batch)));
    let unpack = |run: &mut dyn FnMut(&[u8])| theirs.iter().for_each(|packed| run(black_box(packed)));
    let cases: Vec<Case<'_>> = vec![
        (
            format!("{codec} compress ({:.2})", ratio(&ours)),
            Box::new(|| each(&mut |batch| assert!(compressor.compress(batch).is_some()))),
        ),
        (
            format!("{name} compress ({:.2})", ratio(&theirs)),
            Box::new(|| each(&mut |batch| assert!(compress(batch, &mut out) > 0))),
        ),
        (
            format!("{codec} decompress of theirs"),
            Box::new(|| unpack(&mut |packed| assert!(decompressor.decompress(codec, packed).is_ok()))),
        ),
        (format!("{name} decompress"), Box::new(|| unpack(&mut |packed| decompress(packed, &mut back)))),
    ];
    measure(len, cases);
}

fn main() {
    println!("{:>9}  {:<36} {:>7} {:>7}  MB/s", "batch", "case", "best", "median");
    let only = std::env::args().nth(1);
    let input = json(PASS_BYTES);
    for len in [16 << 10, 128 << 10, 1 << 20] {
        for (codec, level) in
            [(Compression::Gzip, -1), (Compression::Snappy, 0), (Compression::Lz4, 9), (Compression::Zstd, 3)]
        {
            if only.as_ref().is_none_or(|only| *only == codec.to_string()) {
                compare(codec, level, len, &input);
            }
        }
    }
}
