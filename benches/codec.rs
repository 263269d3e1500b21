//! Megabytes a second of each codec through Kafka's framing, beside the bare crate on the same blocks in the same run.
//!
//! `cargo bench --features gzip,snappy,lz4,zstd --bench codec` prints the best and the median of interleaved passes;
//! a codec's name behind `--` measures that one alone.

use std::hint::black_box;
use std::time::{Duration, Instant};

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use milena::Compression;
use milena::wire::codec::{Compressor, Decompressor};

const PASSES: usize = 60;
/// Bytes of the different batches that one pass goes through: no processor should learn one batch by heart.
const PASS_BYTES: usize = 2 << 20;
/// How our frames cut their input.
const LZ4_BLOCK: usize = 0xfff0;
const SNAPPY_BLOCK: usize = 32 << 10;

/// Record-like JSON in which some things repeat and some do not.
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

type Run<'a> = Box<dyn FnMut() + 'a>;
/// Blocks of one batch, or the whole of it, each compressed.
type Packed = Vec<Vec<u8>>;

fn ours<'a>(codec: Compression, level: i32, batches: &'a [&'a [u8]]) -> (Run<'a>, Run<'a>, f64) {
    let mut compressor = Compressor::new(codec, level).expect("compiled in");
    let packed: Packed =
        batches.iter().map(|batch| compressor.compress(batch).expect("it takes this much").to_vec()).collect();
    let mut decompressor = Decompressor::default();
    let bytes = |all: &mut dyn Iterator<Item = usize>| all.sum::<usize>() as f64;
    let ratio = bytes(&mut batches.iter().map(|b| b.len())) / bytes(&mut packed.iter().map(Vec::len));
    let compress = move || {
        for batch in batches {
            black_box(compressor.compress(batch));
        }
    };
    let decompress = move || {
        for packed in &packed {
            black_box(decompressor.decompress(codec, packed)).expect("sound");
        }
    };
    (Box::new(compress), Box::new(decompress), ratio)
}

/// The crate alone, block by block where our frame has blocks, each behind the one before as a reader needs them, with
/// tables and buffers used again.
fn bare<'a>(codec: Compression, batches: &'a [&'a [u8]]) -> (Run<'a>, Run<'a>) {
    match codec {
        Compression::Gzip => bare_gzip(batches),
        Compression::Snappy => bare_snappy(batches),
        Compression::Lz4 => bare_lz4(batches),
        _ => bare_zstd(batches),
    }
}

/// Two functions of a crate, from a slice into another, over blocks of all batches.
fn blockwise<'a>(
    batches: &'a [&'a [u8]],
    block: usize,
    mut compress: impl FnMut(&[u8], &mut [u8]) -> usize + 'a,
    mut decompress: impl FnMut(&[u8], &mut [u8]) -> usize + 'a,
) -> (Run<'a>, Run<'a>) {
    let longest = batches.iter().map(|batch| batch.len()).max().unwrap_or(0);
    let (mut out, mut back) = (vec![0; longest * 2 + (64 << 10)], vec![0; longest]);
    let mut pack = |block: &[u8]| {
        let len = compress(block, &mut out);
        out[..len].to_vec()
    };
    let packed: Vec<Packed> = batches.iter().map(|batch| batch.chunks(block).map(&mut pack).collect()).collect();
    let forth = move || {
        for batch in batches {
            let mut at = 0;
            for block in batch.chunks(block) {
                at += compress(block, &mut out[at..]);
            }
            black_box(at);
        }
    };
    let and_back = move || {
        for blocks in &packed {
            let mut at = 0;
            for block in blocks {
                at += decompress(block, &mut back[at..]);
            }
            black_box(at);
        }
    };
    (Box::new(forth), Box::new(and_back))
}

fn bare_gzip<'a>(batches: &'a [&'a [u8]]) -> (Run<'a>, Run<'a>) {
    let (mut deflate, mut inflate) = (Compress::new_gzip(flate2::Compression::new(6), 15), Decompress::new_gzip(15));
    let compress = move |input: &[u8], out: &mut [u8]| {
        deflate.reset();
        deflate.compress(input, out, FlushCompress::Finish).expect("compresses");
        deflate.total_out() as usize
    };
    let decompress = move |input: &[u8], out: &mut [u8]| {
        inflate.reset(true);
        inflate.decompress(input, out, FlushDecompress::Finish).expect("sound");
        inflate.total_out() as usize
    };
    blockwise(batches, usize::MAX, compress, decompress)
}

fn bare_snappy<'a>(batches: &'a [&'a [u8]]) -> (Run<'a>, Run<'a>) {
    let (mut encoder, mut decoder) = (snap::raw::Encoder::new(), snap::raw::Decoder::new());
    let compress = move |input: &[u8], out: &mut [u8]| encoder.compress(input, out).expect("compresses");
    let decompress = move |input: &[u8], out: &mut [u8]| decoder.decompress(input, out).expect("sound");
    blockwise(batches, SNAPPY_BLOCK, compress, decompress)
}

fn bare_lz4<'a>(batches: &'a [&'a [u8]]) -> (Run<'a>, Run<'a>) {
    use lz4_flex::block::{CompressTable, compress_into_with_table, decompress_into};
    let mut table = CompressTable::small();
    let compress =
        move |input: &[u8], out: &mut [u8]| compress_into_with_table(input, out, &mut table).expect("compresses");
    let decompress = |input: &[u8], out: &mut [u8]| decompress_into(input, out).expect("sound");
    blockwise(batches, LZ4_BLOCK, compress, decompress)
}

fn bare_zstd<'a>(batches: &'a [&'a [u8]]) -> (Run<'a>, Run<'a>) {
    let mut context = zrip::CompressContext::new(1).expect("a level it has");
    context.set_content_checksum(false);
    let (mut decoder, mut back) = (zrip::DecompressContext::new(), Vec::new());
    let compress = move |input: &[u8], out: &mut [u8]| context.compress_into(input, out).expect("compresses");
    // The crate decompresses behind what a vector holds, not into a slice.
    let decompress = move |input: &[u8], _: &mut [u8]| {
        back.clear();
        decoder.decompress_into(input, &mut back).expect("sound");
        black_box(&back).len()
    };
    blockwise(batches, usize::MAX, compress, decompress)
}

/// Every case once a pass, in turn, so that a noisy moment hurts all alike; backwards every other time, because what ran
/// before leaves the caches to what runs after.
fn measure(len: usize, bytes: usize, mut cases: Vec<(String, Run<'_>)>) {
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
        let speed = |t: Duration| bytes as f64 / t.as_secs_f64() / 1e6;
        println!("{:>5} KiB  {name:<32} {:>7.0} {:>7.0}", len >> 10, speed(times[0]), speed(times[PASSES / 2]));
    }
}

fn main() {
    println!("{:>9}  {:<32} {:>7} {:>7}  MB/s", "batch", "case", "best", "median");
    let only = std::env::args().skip(1).find(|word| !word.starts_with('-'));
    let input = json(PASS_BYTES);
    for len in [16 << 10, 128 << 10, 1 << 20] {
        let batches: Vec<&[u8]> = input.chunks(len).collect();
        for (codec, level) in
            [(Compression::Gzip, -1), (Compression::Snappy, 0), (Compression::Lz4, 9), (Compression::Zstd, 3)]
        {
            if only.as_ref().is_some_and(|only| *only != codec.to_string()) {
                continue;
            }
            let (compress, decompress, ratio) = ours(codec, level, &batches);
            let (bare_compress, bare_decompress) = bare(codec, &batches);
            let cases = vec![
                (format!("{codec} compress ({ratio:.2})"), compress),
                (format!("{codec} compress, bare crate"), bare_compress),
                (format!("{codec} decompress"), decompress),
                (format!("{codec} decompress, bare crate"), bare_decompress),
            ];
            measure(len, input.len(), cases);
        }
    }
}
