//! Megabytes a second of Milena's codecs and of the C libraries, interleaved, and whether each reads the other's frames.
//!
//! `cargo run --release --manifest-path benches/compare/Cargo.toml` prints the best and the median of all passes.

use std::hint::black_box;
use std::io::{Read, Write};
use std::time::{Duration, Instant};

use milena::Compression;
use milena::wire::codec::{Compressor, Decompressor};

const PASSES: usize = 31;
const PASS_BYTES: usize = 4 << 20;

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

/// One of the C libraries, as a Kafka client uses it.
struct Theirs {
    name: &'static str,
    compress: Box<dyn FnMut(&[u8]) -> Vec<u8>>,
    decompress: Box<dyn FnMut(&[u8], usize) -> Vec<u8>>,
}

fn theirs(codec: Compression) -> Theirs {
    match codec {
        Compression::Gzip => gzip(),
        Compression::Lz4 => lz4(),
        _ => zstd(),
    }
}

fn gzip() -> Theirs {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).expect("a level it has"));
    let mut decompressor = libdeflater::Decompressor::new();
    Theirs {
        name: "libdeflate (C), 6",
        compress: Box::new(move |input| {
            let mut out = vec![0; compressor.gzip_compress_bound(input.len())];
            let len = compressor.gzip_compress(input, &mut out).expect("compresses");
            out.truncate(len);
            out
        }),
        decompress: Box::new(move |packed, len| {
            let mut out = vec![0; len];
            decompressor.gzip_decompress(packed, &mut out).expect("sound");
            out
        }),
    }
}

fn lz4() -> Theirs {
    Theirs {
        name: "liblz4 (C) frame",
        compress: Box::new(|input| {
            let out = Vec::with_capacity(input.len());
            let mut builder = lz4::EncoderBuilder::new();
            builder.block_size(lz4::BlockSize::Max64KB).block_mode(lz4::BlockMode::Independent);
            let mut encoder = builder.checksum(lz4::ContentChecksum::NoChecksum).build(out).expect("an encoder");
            encoder.write_all(input).expect("compresses");
            let (out, result) = encoder.finish();
            result.expect("compresses");
            out
        }),
        decompress: Box::new(|packed, len| {
            let mut out = Vec::with_capacity(len);
            lz4::Decoder::new(packed).expect("a decoder").read_to_end(&mut out).expect("sound");
            out
        }),
    }
}

fn zstd() -> Theirs {
    let mut compressor = zstd::bulk::Compressor::new(3).expect("a compressor");
    let mut decompressor = zstd::bulk::Decompressor::new().expect("a decompressor");
    Theirs {
        name: "libzstd (C), 3",
        compress: Box::new(move |input| compressor.compress(input).expect("compresses")),
        decompress: Box::new(move |packed, len| decompressor.decompress(packed, len).expect("sound")),
    }
}

type Case<'a> = (String, Box<dyn FnMut() + 'a>);

fn measure(len: usize, mut cases: Vec<Case<'_>>) {
    let rounds = (PASS_BYTES / len).max(1);
    let mut times = vec![Vec::new(); cases.len()];
    for _ in 0..PASSES {
        for ((_, run), times) in cases.iter_mut().zip(&mut times) {
            let start = Instant::now();
            (0..rounds).for_each(|_| run());
            times.push(start.elapsed());
        }
    }
    for ((name, _), mut times) in cases.into_iter().zip(times) {
        times.sort();
        let speed = |t: Duration| (len * rounds) as f64 / t.as_secs_f64() / 1e6;
        println!("{:>5} KiB  {name:<36} {:>7.0} {:>7.0}", len >> 10, speed(times[0]), speed(times[PASSES / 2]));
    }
}

fn compare(codec: Compression, level: i32, input: &[u8]) {
    let mut compressor = Compressor::new(codec, level).expect("compiled in");
    let mut decompressor = Decompressor::default();
    let Theirs { name, mut compress, mut decompress } = theirs(codec);
    let (ours, theirs) = (compressor.compress(input).expect("it takes this much").to_vec(), compress(input));
    assert_eq!(decompress(&ours, input.len()), input, "{name} reads ours");
    assert_eq!(decompressor.decompress(codec, &theirs).expect("ours reads theirs"), input, "{name}");
    let ratio = |packed: &[u8]| input.len() as f64 / packed.len() as f64;
    let cases: Vec<Case<'_>> = vec![
        (format!("{codec} compress ({:.2})", ratio(&ours)), Box::new(|| assert!(compressor.compress(input).is_some()))),
        (format!("{name} compress ({:.2})", ratio(&theirs)), Box::new(|| drop(black_box(compress(input))))),
        (
            format!("{codec} decompress of theirs"),
            Box::new(|| assert!(decompressor.decompress(codec, &theirs).is_ok())),
        ),
        (format!("{name} decompress"), Box::new(|| drop(black_box(decompress(&theirs, input.len()))))),
    ];
    measure(input.len(), cases);
}

fn main() {
    println!("{:>9}  {:<36} {:>7} {:>7}  MB/s", "batch", "case", "best", "median");
    for len in [16 << 10, 128 << 10, 1 << 20] {
        let input = json(len);
        for (codec, level) in [(Compression::Gzip, -1), (Compression::Lz4, 9), (Compression::Zstd, 3)] {
            compare(codec, level, &input);
        }
    }
}
