//! What decompressing a peer's bytes may allocate, counted; one test in a binary of its own, so that nobody else is counted.

use std::alloc::System;

use bytes::Bytes;
use cap::Cap;
use milena::wire::batch::{BatchBuilder, Batches, ProducerStamp};
use milena::wire::codec::{CodecFault, Compressor, Decompressor};
use milena::{Compression, NewRecord, ProducerIdentity};
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

fn bombs(codec: Compression) -> [Vec<u8>; 3] {
    let bomb = packed(codec, &vec![0; 64 * MIB]);
    let nested = packed(codec, &bomb);
    [[&bomb[..], &bomb[..]].concat(), bomb, nested]
}

#[test]
fn no_bytes_make_a_decompressor_allocate_above_its_limit() {
    for codec in CODECS {
        let [twice, bomb, nested] = bombs(codec);
        for limit in [0, 1000, MIB, 8 * MIB] {
            for bomb in [&twice, &bomb] {
                assert_eq!(decompress(codec, bomb, limit), Err(CodecFault::TooLarge { limit }), "{codec}");
            }
            // One layer is taken off, no more.
            let _ = decompress(codec, &nested, limit);
        }
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

/// After the first batches nothing is allocated, but by the encoder of zstd.
fn steady_state() {
    let stamp = ProducerStamp { producer: ProducerIdentity::NONE, base_sequence: -1, is_transactional: false };
    let value = golden::incompressible(100);
    for codec in CODECS {
        let mut compressor = Compressor::new(codec, -1).expect("compiled in");
        let mut decompressor = Decompressor::default();
        let mut buffer = Vec::with_capacity(64 * 1024);
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
            buffer = Vec::from(batch.bytes);
        }
    }
}
