//! What decompressing a peer's bytes may allocate, counted; one test in a binary of its own, so that nobody else is counted.

use std::alloc::System;

use bytes::Bytes;
use cap::Cap;
use milena::wire::batch::{Batch, BatchBuilder, Batches, ProducerStamp};
use milena::wire::codec::{CodecFault, Compressor, Decompressor};
use milena::{Compression, NewRecord, ProducerIdentity, Record};
use protocol_tests::golden;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

const MIB: usize = 1024 * 1024;
const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];

/// Decompresses with a fresh decompressor under the bound that is promised. The allocator refuses what goes above it, and
/// the process ends: no peak is too short to be seen.
fn decompress(codec: Compression, input: &[u8], limit: usize) -> Result<usize, CodecFault> {
    let bound = limit + 2 * input.len() + MIB;
    ALLOCATOR.set_limit(ALLOCATOR.allocated() + bound).expect("nothing else runs");
    let result = Decompressor::new(limit).decompress(codec, input).map(<[u8]>::len);
    ALLOCATOR.set_limit(usize::MAX).expect("no limit");
    result
}

fn packed(codec: Compression, input: &[u8]) -> Vec<u8> {
    Compressor::new(codec, 9).expect("compiled in").compress(input).expect("it takes this much").to_vec()
}

/// 64 MiB of zeros: in one frame, in two, in a thousand small ones; and in frames within a frame.
fn bombs(codec: Compression) -> ([Vec<u8>; 3], Vec<u8>) {
    let bomb = packed(codec, &vec![0; 64 * MIB]);
    let nested = packed(codec, &bomb);
    let twice = [&bomb[..], &bomb[..]].concat();
    let members = packed(codec, &vec![0; 64 * 1024]).repeat(1024);
    // Neither lz4 nor snappy can say more in a byte than so many.
    let ratio = match codec {
        Compression::Gzip | Compression::Zstd => 1_000,
        Compression::Lz4 => 200,
        _ => 20,
    };
    assert!(bomb.len() < 64 * MIB / ratio, "{codec}: {} bytes are no bomb", bomb.len());
    ([bomb, twice, members], nested)
}

/// Frames that say they hold, or have a window of, far more than their few bytes can.
const CLAIMS: [(Compression, &str); 16] = [
    // 4 GiB - 1, 32 MiB and, in a block of Java's framing, 32 MiB of snappy.
    (Compression::Snappy, "ffffffff0f0000"),
    (Compression::Snappy, "8080801000000000"),
    (Compression::Snappy, "82534e415050590000000001000000010000000480808010"),
    // A block of Java's framing that is longer than any.
    (Compression::Snappy, "82534e415050590000000001000000017fffffff00"),
    // A content of 2^64 - 1 bytes, of 1 TiB and of 2 GiB, over a block of three.
    (Compression::Lz4, "04224d186870ffffffffffffffff140300008061626300000000"),
    (Compression::Lz4, "04224d1868400000000000010000b70300008061626300000000"),
    (Compression::Lz4, "04224d18687000000080000000003a0300008061626300000000"),
    // A block longer than the frame allows, and one that ends early.
    (Compression::Lz4, "04224d186040820100010000"),
    (Compression::Lz4, "04224d18604082ffff000000"),
    // A content of 2^64 - 1 bytes, of 1 GiB and of 4 GiB - 1 in a single segment, which is its own window.
    (Compression::Zstd, "28b52ffde0ffffffffffffffff190000010203"),
    (Compression::Zstd, "28b52ffde00000004000000000190000010203"),
    (Compression::Zstd, "28b52ffda0ffffffff190000010203"),
    // A window of 3.75 TiB, with and without a content of 4 EiB; a content of 1 TiB in a window of 2 MiB.
    (Compression::Zstd, "28b52ffd00ff190000010203"),
    (Compression::Zstd, "28b52ffdc0ff0000000000000040190000010203"),
    (Compression::Zstd, "28b52ffdc0580000000000010000190000010203"),
    // A trailer that says 60 MiB.
    (Compression::Gzip, "1f8b0800000000000003030000000000000000c003"),
];

#[test]
fn no_bytes_make_a_decompressor_allocate_above_its_limit() {
    for (codec, hex) in CLAIMS {
        // By default 64 MiB may come of a batch: more than what is claimed here by some, far less by most.
        for limit in [1000, 64 * MIB] {
            let claim = golden::unhex(hex);
            ALLOCATOR.set_limit(ALLOCATOR.allocated() + 2 * claim.len() + MIB).expect("nothing else runs");
            let result = Decompressor::new(limit).decompress(codec, &claim).map(<[u8]>::len);
            ALLOCATOR.set_limit(usize::MAX).expect("no limit");
            assert!(result.is_err(), "{codec} {hex}: {result:?}");
        }
    }
    for codec in CODECS {
        let (bombs, nested) = bombs(codec);
        for limit in [0, 1000, MIB, 8 * MIB] {
            for bomb in &bombs {
                assert_eq!(decompress(codec, bomb, limit), Err(CodecFault::TooLarge { limit }), "{codec}");
            }
            // One layer is taken off, no more.
            let _ = decompress(codec, &nested, limit);
        }
        // Two megabytes of frames that hold nothing.
        let nothing = packed(codec, &[]).repeat(100_000);
        assert!(matches!(decompress(codec, &nothing, 0), Ok(0) | Err(_)), "{codec}");
        // Cut off at every byte, and each bit flipped.
        let text: Vec<u8> = (0..600).flat_map(|i: i32| format!("{{\"n\":{i}}}").into_bytes()).collect();
        let sound = packed(codec, &text);
        assert_eq!(decompress(codec, &sound, MIB), Ok(text.len()));
        for len in 0..sound.len() {
            let _ = decompress(codec, &sound[..len], MIB);
        }
        for bit in 0..sound.len().min(400) * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            let _ = decompress(codec, &damaged, MIB);
        }
    }
    steady_state();
}

/// Takes the values of a batch as slices that outlive it; the bytes allocated for that. Only uncompressed records lie in
/// the batch itself.
fn own(batch: &Batch, owned: &mut Vec<Option<Bytes>>) -> usize {
    let before = ALLOCATOR.total_allocated();
    if batch.header.compression() == Some(Compression::None) {
        let value = |record: &Record<'_>| record.value.map(|value| batch.bytes.slice_ref(value));
        owned.extend(batch.records().map(|record| value(&record.expect("sound"))));
        assert_eq!(owned.len(), batch.header.record_count as usize);
    }
    ALLOCATOR.total_allocated() - before
}

/// After the first batches nothing is allocated to write and to read one, but by the encoder of zstd.
fn steady_state() {
    let stamp = ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };
    let value = golden::incompressible(100);
    for codec in [Compression::None].into_iter().chain(CODECS) {
        let mut compressor = Compressor::new(codec, -1).expect("compiled in");
        let mut decompressor = Decompressor::default();
        let (mut buffer, mut owned) = (Vec::with_capacity(64 * 1024), Vec::new());
        for round in 0..20 {
            let before = ALLOCATOR.total_allocated();
            let mut builder = BatchBuilder::new(std::mem::take(&mut buffer), 60 * 1024);
            while builder.append(&NewRecord::value(&value), 7).is_ok() {}
            builder.compress(&mut compressor);
            let sealed = builder.seal(stamp);
            let packing = ALLOCATOR.total_allocated() - before;
            let batch = Batches::new(Bytes::from(sealed)).next().expect("one").expect("sound");
            let before = ALLOCATOR.total_allocated();
            let records = batch.records_with(&mut decompressor).filter(Result::is_ok).count();
            let unpacking = ALLOCATOR.total_allocated() - before;
            assert_eq!(records, batch.header.record_count as usize);
            assert_eq!(batch.header.compression(), Some(codec));
            // Its encoder builds its entropy tables anew for each block.
            let most = if codec == Compression::Zstd { 16 * 1024 } else { 0 };
            assert!(round < 3 || packing <= most, "{codec} {round}: {packing} bytes to compress");
            assert!(round < 3 || unpacking == 0, "{codec} {round}: {unpacking} bytes to decompress");
            let owning = own(&batch, &mut owned);
            assert!(
                round < 3 || owning <= 64,
                "{codec} {round}: {owning} bytes for the count of those that own a batch"
            );
            owned.clear();
            buffer = Vec::from(batch.bytes);
        }
    }
}
