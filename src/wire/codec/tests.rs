//! What a codec promises: what went in comes out, Java's frames are read, and no bytes cost more than their limit.

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const CODECS: [Compression; 4] = [Compression::Gzip, Compression::Snappy, Compression::Lz4, Compression::Zstd];
const MIB: usize = 1 << 20;

fn compiled() -> impl Iterator<Item = Compression> {
    CODECS.into_iter().filter(|codec| codec.is_compiled_in())
}

fn packed(codec: Compression, level: i32, input: &[u8]) -> Vec<u8> {
    Compressor::new(codec, level).unwrap().compress(input).expect("it takes this much").to_vec()
}

fn unpacked(codec: Compression, packed: &[u8]) -> Result<Vec<u8>, CodecFault> {
    Decompressor::default().decompress(codec, packed).map(<[u8]>::to_vec)
}

fn bytes(hex: &str) -> Vec<u8> {
    hex.as_bytes().chunks(2).map(|c| u8::from_str_radix(std::str::from_utf8(c).unwrap(), 16).unwrap()).collect()
}

/// Text with some noise in it, as records are.
fn text(len: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252u64;
    (0..len)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            if state.is_multiple_of(5) { state as u8 } else { b"{\"user\":\"milena\",\"amount\":12.5}"[i % 31] }
        })
        .collect()
}

fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        })
        .collect()
}

#[test]
fn a_codec_that_is_left_out_is_named_with_its_feature() {
    for codec in CODECS.into_iter().filter(|codec| !codec.is_compiled_in()) {
        assert_eq!(Compressor::new(codec, 1).unwrap_err(), CodecFault::NotCompiledIn(codec));
        let fault = unpacked(codec, b"x").unwrap_err();
        assert!(fault.to_string().contains(&format!("the feature `{codec}`")), "{fault}");
    }
}

#[test]
fn every_size_comes_back_and_noise_hardly_grows() {
    for codec in compiled() {
        let mut compressor = Compressor::new(codec, 9).unwrap();
        let mut decompressor = Decompressor::default();
        for len in [0, 1, 2, 13, 100, 4096, 32_767, 32_768, 32_769, 65_519, 65_520, 65_521, 65_536, 131_072, 3 * MIB] {
            for input in [text(len), noise(len), vec![7; len]] {
                let packed = compressor.compress(&input).unwrap();
                assert!(packed.len() <= len + len / 500 + 64, "{codec}: {} for {len}", packed.len());
                assert!(input.len() <= most_decompressed(codec, packed), "{codec}: {len}");
                assert_eq!(decompressor.decompress(codec, packed).unwrap(), input, "{codec}: {len}");
            }
        }
    }
}

#[test]
fn every_level_is_taken() {
    let input = text(20_000);
    for codec in compiled() {
        for level in [i32::MIN, -131_072, -8, -7, -1, 0, 1, 2, 3, 4, 5, 6, 9, 17, 22, i32::MAX] {
            assert_eq!(unpacked(codec, &packed(codec, level, &input)).unwrap(), input, "{codec} {level}");
        }
    }
    assert_eq!([-9, -3, 0, 3, 4, 5, 22].map(zstd_level), [-7, -3, 1, 1, 2, 3, 4]);
}

#[test]
#[cfg(feature = "gzip")]
fn a_higher_level_of_gzip_packs_closer() {
    let len = |level| packed(Compression::Gzip, level, &text(100_000)).len();
    assert!(len(9) < len(6) && len(6) < len(1), "{} {} {}", len(9), len(6), len(1));
    assert_eq!([len(-1), len(0), len(20)], [len(6), len(1), len(9)], "the default, and what is out of range");
}

#[test]
#[cfg(feature = "zstd")]
fn a_higher_level_of_zstd_packs_closer() {
    let len = |level| packed(Compression::Zstd, level, &text(100_000)).len();
    assert!(len(22) < len(3) && len(3) < len(-7), "{} {} {}", len(22), len(3), len(-7));
    assert_eq!([len(6), len(0), len(-20)], [len(22), len(3), len(-7)], "the default, and what is out of range");
}

/// The highest level that Kafka lets one set writes windows of 128 MiB where there is so much to write.
#[test]
#[cfg(feature = "zstd")]
fn a_zstd_window_of_128_mib_is_read_and_none_above() {
    // Three bytes in a raw block; the window's exponent stands above its three bits of eighths.
    let frame = |window: u8| [&bytes("28b52ffd00")[..], &[window], &bytes("190000010203")].concat();
    let (cap, above) = (17 << 3, 17 << 3 | 1);
    let mut plain = Plain::new();
    let read = Decompressor::default().decompress_into(Compression::Zstd, &frame(cap), &mut plain);
    assert_eq!((read, plain.bytes()), (Ok(()), &[1, 2, 3][..]));
    assert!(plain.capacity() <= MIB, "{} bytes for three", plain.capacity());
    let fault = unpacked(Compression::Zstd, &frame(above)).expect_err("144 MiB");
    assert!(matches!(fault, CodecFault::Corrupt { .. }), "{fault}");
}

#[test]
fn java_s_frames_are_read() {
    // Written by Compression.wrapForOutput of kafka-clients 4.4.0; the last with magic 0, whose header checksum is wrong.
    let frames = [
        (
            Compression::Gzip,
            "1f8b08000000000000ffcbcdcc49cd4b54484e2c2aca4c2d56284a4dce2f4a29d651c81d15c710070065156ebf2c010000",
        ),
        (
            Compression::Snappy,
            "82534e415050590000000001000000010000002aac025c6d696c656e612063617272696573207265636f7264732c20fe1800fe1800fe1800fe18004e1800",
        ),
        (
            Compression::Lz4,
            "04224d1860408223000000ff096d696c656e612063617272696573207265636f7264732c201800fc50636172726900000000",
        ),
        (Compression::Zstd, "28b52ffd0058fc0000c06d696c656e612063617272696573207265636f7264732c20010044ac3ac7010000"),
        (
            Compression::Lz4,
            "04224d1860401a23000000ff096d696c656e612063617272696573207265636f7264732c201800fc50636172726900000000",
        ),
    ];
    let expected: Vec<u8> = b"milena carries records, ".iter().copied().cycle().take(300).collect();
    for (codec, frame) in frames.into_iter().filter(|(codec, _)| codec.is_compiled_in()) {
        assert_eq!(unpacked(codec, &bytes(frame)), Ok(expected.clone()), "{codec}");
    }
}

#[test]
#[cfg(feature = "gzip")]
fn members_of_gzip_follow_each_other_whatever_their_headers_hold() {
    let mut input = packed(Compression::Gzip, 6, b"one ");
    // The same member with an extra field, a name, a comment and a header checksum.
    let second = packed(Compression::Gzip, 6, b"two ");
    input.extend_from_slice(&[0x1f, 0x8b, 8, 0x1e, 0, 0, 0, 0, 0, 3, 2, 0, 0xaa, 0xbb]);
    input.extend_from_slice(b"name\0comment\0\x01\x02");
    input.extend_from_slice(&second[10..]);
    input.extend(packed(Compression::Gzip, 1, b""));
    input.extend(packed(Compression::Gzip, 1, b"three"));
    assert_eq!(unpacked(Compression::Gzip, &input).unwrap(), b"one two three");
    input.push(0);
    assert!(unpacked(Compression::Gzip, &input).is_err(), "bytes behind the last member");
}

#[test]
#[cfg(feature = "snappy")]
fn snappy_is_read_bare_in_any_block_size_and_in_streams_one_behind_the_other() {
    let input = text(200_000);
    let raw = |bytes: &[u8]| snap::raw::Encoder::new().compress_vec(bytes).unwrap();
    assert_eq!(unpacked(Compression::Snappy, &raw(&input)).unwrap(), input);
    assert_eq!(unpacked(Compression::Snappy, &raw(b"")).unwrap(), b"");
    for block in [1000, 32 << 10, 100_000, 200_000] {
        let mut framed = bytes("82534e4150505900deadbeef00000007");
        for (i, chunk) in input.chunks(block).enumerate() {
            if i == 1 {
                framed.extend(bytes("82534e41505059000000000100000001"));
            }
            framed.extend((raw(chunk).len() as u32).to_be_bytes());
            framed.extend(raw(chunk));
        }
        assert_eq!(unpacked(Compression::Snappy, &framed).unwrap(), input, "{block}");
    }
    assert_eq!(unpacked(Compression::Snappy, &bytes("82534e41505059000000000100000001")).unwrap(), b"");
}

#[cfg(feature = "lz4")]
fn lz4_frame(input: &[u8], flags: u8, block: usize, code: u8) -> Vec<u8> {
    let mut descriptor = vec![0x40 | flags, code << 4];
    if flags & 8 != 0 {
        descriptor.extend((input.len() as u64).to_le_bytes());
    }
    let mut frame = bytes("04224d18");
    frame.extend_from_slice(&descriptor);
    frame.push((xxh32::xxh32(&descriptor) >> 8) as u8);
    for (i, chunk) in input.chunks(block).enumerate() {
        let start = i * block;
        let history = &input[start.saturating_sub(65_536)..start];
        let packed = match flags & 0x20 {
            0 => lz4_flex::block::compress_with_dict(chunk, history),
            _ => lz4_flex::block::compress(chunk),
        };
        frame.extend((packed.len() as u32).to_le_bytes());
        frame.extend_from_slice(&packed);
        if flags & 0x10 != 0 {
            frame.extend(xxh32::xxh32(&packed).to_le_bytes());
        }
    }
    frame.extend([0; 4]);
    if flags & 4 != 0 {
        frame.extend(xxh32::xxh32(input).to_le_bytes());
    }
    frame
}

#[test]
#[cfg(feature = "lz4")]
fn lz4_is_read_with_linked_blocks_checksums_sizes_and_large_blocks() {
    let input = text(300_000);
    for flags in [0x20, 0x20 | 0x10 | 8 | 4, 0, 4, 0x10 | 8] {
        for (code, block) in [(4, 65_536), (5, 256 << 10), (7, 4 * MIB), (4, 1000)] {
            let frame = lz4_frame(&input, flags, block, code);
            assert_eq!(unpacked(Compression::Lz4, &frame).as_deref(), Ok(&input[..]), "{flags:x} {code}");
            // Two of them, a frame to be skipped between them.
            let skipped = bytes("5a2a4d180300000001020304224d18");
            let two = [&frame[..], &skipped[..11], &frame[..]].concat();
            assert_eq!(unpacked(Compression::Lz4, &two).unwrap(), [&input[..], &input[..]].concat());
            if flags & 0x14 != 0 {
                let mut damaged = frame.clone();
                let at = damaged.len() - 1;
                damaged[at] ^= 1;
                assert!(unpacked(Compression::Lz4, &damaged).is_err());
            }
        }
    }
}

#[test]
fn a_bomb_is_refused_at_the_limit_and_memory_stays_below_it() {
    for codec in compiled() {
        let bomb = packed(codec, 9, &vec![0; 16 * MIB]);
        // Snappy cannot do better than 21 to 1; several members make a bomb of the others as well.
        let bombs = [bomb.clone(), [&bomb[..], &bomb[..]].concat()];
        for limit in [0, 1, 1000, MIB, 16 * MIB - 1] {
            for bomb in &bombs {
                let (mut decompressor, mut plain) = (Decompressor::new(limit), Plain::new());
                let fault = decompressor.decompress_into(codec, bomb, &mut plain);
                assert_eq!(fault, Err(CodecFault::TooLarge { limit }), "{codec}");
                assert!(plain.capacity() <= limit + MIB, "{codec}: {} for {limit}", plain.capacity());
            }
        }
        assert_eq!(Decompressor::new(16 * MIB).decompress(codec, &bomb).unwrap().len(), 16 * MIB, "{codec}");
    }
}

#[test]
fn a_size_that_is_claimed_is_not_believed() {
    let claims = [
        // 4 GiB - 1 and 32 MiB in a few bytes of snappy.
        (Compression::Snappy, "ffffffff0f0000"),
        (Compression::Snappy, "8080801000000000"),
        (Compression::Snappy, "82534e415050590000000001000000010000000480808010"),
        // A zstd frame that says 32 MiB and holds three bytes; one with a window of 3.75 TiB.
        (Compression::Zstd, "28b52ffda00000000219000001020300"),
        (Compression::Zstd, "28b52ffd00ff190000010203"),
        // An lz4 block that is longer than its frame allows, and one that ends early.
        (Compression::Lz4, "04224d186040820100010000"),
        (Compression::Lz4, "04224d18604082ffff000000"),
        // gzip that says it has 60 MiB in its trailer.
        (Compression::Gzip, "1f8b0800000000000003030000000000000000c003"),
    ];
    for (codec, hex) in claims.into_iter().filter(|(codec, _)| codec.is_compiled_in()) {
        let mut plain = Plain::new();
        let fault = Decompressor::default().decompress_into(codec, &bytes(hex), &mut plain);
        assert!(fault.is_err(), "{codec} {hex}");
        assert!(plain.capacity() <= MIB, "{codec} {hex}: {} bytes", plain.capacity());
    }
}

#[test]
fn what_is_cut_off_is_a_fault_wherever_it_is_cut() {
    let input = text(3000);
    for codec in compiled() {
        let packed = packed(codec, 6, &input);
        let mut decompressor = Decompressor::default();
        for len in 0..packed.len() {
            let cut = decompressor.decompress(codec, &packed[..len]).map(<[u8]>::len);
            // A stream of snappy may end behind any block, and zstd has a right to no frame at all.
            let is_whole =
                matches!((codec, len, &cut), (Compression::Snappy, 16, Ok(0)) | (Compression::Zstd, 0, Ok(0)));
            assert!(cut.is_err() || is_whole, "{codec} {len}: {cut:?}");
        }
        assert_eq!(decompressor.decompress(codec, &packed).unwrap(), input, "{codec}: usable after faults");
    }
}

#[test]
fn a_flipped_bit_never_costs_more_than_the_limit() {
    let input = text(300);
    let limit = 64 << 10;
    for codec in compiled() {
        let packed = packed(codec, 6, &input);
        let (mut decompressor, mut plain) = (Decompressor::new(limit), Plain::new());
        for bit in 0..packed.len() * 8 {
            let mut damaged = packed.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            if decompressor.decompress_into(codec, &damaged, &mut plain).is_ok() {
                assert!(plain.bytes().len() <= limit);
            }
            assert!(plain.capacity() <= limit + MIB, "{codec} {bit}: {}", plain.capacity());
        }
        assert_eq!(decompressor.decompress(codec, &packed).unwrap(), input, "{codec}: usable after faults");
    }
}

proptest! {
    #[test]
    fn what_went_in_comes_out(input in vec(prop_oneof![3 => Just(7u8), 1 => any::<u8>()], 0..5000), level in -10..20i32) {
        for codec in compiled() {
            prop_assert_eq!(unpacked(codec, &packed(codec, level, &input)).unwrap(), &input[..]);
        }
    }

    #[test]
    fn no_bytes_panic(mut input in vec(any::<u8>(), 0..400)) {
        let heads: [&[u8]; 6] = [
            b"", &[0x1f, 0x8b, 8], &[0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1],
            &[4, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82], &[0x28, 0xb5, 0x2f, 0xfd], &[0x28, 0xb5, 0x2f, 0xfd, 0, 0x58],
        ];
        let mut decompressor = Decompressor::new(1 << 20);
        for head in heads {
            input.splice(0..0, head.iter().copied());
            for codec in compiled() {
                let _ = decompressor.decompress(codec, &input);
            }
        }
    }

    #[test]
    fn no_damage_panics(
        input in vec(prop_oneof![3 => Just(7u8), 1 => any::<u8>()], 0..3000),
        damage in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        for codec in compiled() {
            let mut damaged = packed(codec, 1, &input);
            for (at, byte) in &damage {
                let at = at.index(damaged.len());
                damaged[at] = *byte;
            }
            let _ = Decompressor::new(1 << 20).decompress(codec, &damaged);
        }
    }
}
