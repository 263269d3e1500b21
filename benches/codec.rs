//! Megabytes a second of each codec through Kafka's framing, beside the bare crate on the same blocks in the same run.
//!
//! `cargo bench --features gzip,snappy,lz4,zstd --bench codec` prints the best and the median of interleaved passes.

use std::hint::black_box;
use std::time::{Duration, Instant};

use flate2::{Compress, Decompress, FlushCompress, FlushDecompress};
use milena::Compression;
use milena::wire::codec::{Compressor, Decompressor};

const PASSES: usize = 41;
/// Bytes that one pass goes through, whatever the size of a batch.
const PASS_BYTES: usize = 4 << 20;
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

fn ours<'a>(codec: Compression, level: i32, input: &'a [u8]) -> (Run<'a>, Run<'a>, f64) {
    let mut compressor = Compressor::new(codec, level).expect("compiled in");
    let packed = compressor.compress(input).expect("it takes this much").to_vec();
    let mut decompressor = Decompressor::default();
    let ratio = input.len() as f64 / packed.len() as f64;
    (
        Box::new(move || {
            black_box(compressor.compress(black_box(input)));
        }),
        Box::new(move || {
            black_box(decompressor.decompress(codec, black_box(&packed))).expect("sound");
        }),
        ratio,
    )
}

/// The crate alone, block by block where our frame has blocks, with tables and buffers used again.
fn bare<'a>(codec: Compression, input: &'a [u8]) -> (Run<'a>, Run<'a>) {
    match codec {
        Compression::Gzip => bare_gzip(input),
        Compression::Snappy => bare_snappy(input),
        Compression::Lz4 => bare_lz4(input),
        _ => bare_zstd(input),
    }
}

fn bare_gzip(input: &[u8]) -> (Run<'_>, Run<'_>) {
    let (mut deflate, mut inflate) = (Compress::new_gzip(flate2::Compression::new(6), 15), Decompress::new_gzip(15));
    let (mut out, mut back) = (vec![0; input.len() * 2], vec![0; input.len()]);
    deflate.compress(input, &mut out, FlushCompress::Finish).expect("compresses");
    let packed = out[..deflate.total_out() as usize].to_vec();
    (
        Box::new(move || {
            deflate.reset();
            black_box(deflate.compress(black_box(input), &mut out, FlushCompress::Finish).expect("compresses"));
        }),
        Box::new(move || {
            inflate.reset(true);
            black_box(inflate.decompress(black_box(&packed), &mut back, FlushDecompress::Finish).expect("sound"));
        }),
    )
}

fn bare_snappy(input: &[u8]) -> (Run<'_>, Run<'_>) {
    let (mut encoder, mut decoder) = (snap::raw::Encoder::new(), snap::raw::Decoder::new());
    let (mut out, mut back) = (vec![0; SNAPPY_BLOCK * 2], vec![0; SNAPPY_BLOCK]);
    let packed: Vec<_> = input.chunks(SNAPPY_BLOCK).map(|b| encoder.compress_vec(b).expect("compresses")).collect();
    (
        Box::new(move || {
            for block in input.chunks(SNAPPY_BLOCK) {
                black_box(encoder.compress(black_box(block), &mut out).expect("compresses"));
            }
        }),
        Box::new(move || {
            for block in &packed {
                black_box(decoder.decompress(black_box(block), &mut back).expect("sound"));
            }
        }),
    )
}

fn bare_lz4(input: &[u8]) -> (Run<'_>, Run<'_>) {
    use lz4_flex::block::{CompressTable, compress, compress_into_with_table, decompress_into};
    let mut table = CompressTable::small();
    let (mut out, mut back) = (vec![0; LZ4_BLOCK * 2], vec![0; LZ4_BLOCK]);
    let packed: Vec<_> = input.chunks(LZ4_BLOCK).map(compress).collect();
    (
        Box::new(move || {
            for block in input.chunks(LZ4_BLOCK) {
                black_box(compress_into_with_table(black_box(block), &mut out, &mut table).expect("compresses"));
            }
        }),
        Box::new(move || {
            for block in &packed {
                black_box(decompress_into(black_box(block), &mut back).expect("sound"));
            }
        }),
    )
}

fn bare_zstd(input: &[u8]) -> (Run<'_>, Run<'_>) {
    let mut context = zrip::CompressContext::new(1).expect("a level it has");
    context.set_content_checksum(false);
    let (mut decoder, mut back) = (zrip::DecompressContext::new(), Vec::new());
    let mut out = vec![0; zrip::compress_bound(input.len())];
    let len = context.compress_into(input, &mut out).expect("compresses");
    let packed = out[..len].to_vec();
    (
        Box::new(move || {
            black_box(context.compress_into(black_box(input), &mut out)).expect("compresses");
        }),
        Box::new(move || {
            back.clear();
            black_box(decoder.decompress_into(black_box(&packed), &mut back).expect("sound"));
        }),
    )
}

/// Every case once a pass, in turn, so that a noisy moment hurts all alike.
fn measure(len: usize, mut cases: Vec<(String, Run<'_>)>) {
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
        println!("{:>5} KiB  {name:<32} {:>7.0} {:>7.0}", len >> 10, speed(times[0]), speed(times[PASSES / 2]));
    }
}

fn main() {
    println!("{:>9}  {:<32} {:>7} {:>7}  MB/s", "batch", "case", "best", "median");
    for len in [16 << 10, 128 << 10, 1 << 20] {
        let input = json(len);
        for (codec, level) in
            [(Compression::Gzip, -1), (Compression::Snappy, 0), (Compression::Lz4, 9), (Compression::Zstd, 3)]
        {
            let (compress, decompress, ratio) = ours(codec, level, &input);
            let (bare_compress, bare_decompress) = bare(codec, &input);
            let cases = vec![
                (format!("{codec} compress ({ratio:.2})"), compress),
                (format!("{codec} compress, bare crate"), bare_compress),
                (format!("{codec} decompress"), decompress),
                (format!("{codec} decompress, bare crate"), bare_decompress),
            ];
            measure(len, cases);
        }
    }
}
