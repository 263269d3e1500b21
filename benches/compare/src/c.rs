//! The C and C++ libraries as a careful client uses them: contexts and buffers made once and used again, as ours are.

use std::ffi::{c_char, c_int};
use std::ptr;

use lz4_sys as lz4f;
use milena::Compression;

/// Compresses into the front of a buffer that is large enough; the length.
pub type Compress = Box<dyn FnMut(&[u8], &mut [u8]) -> usize>;
/// Decompresses into a buffer of exactly the right length.
pub type Decompress = Box<dyn FnMut(&[u8], &mut [u8])>;

/// One library, in Kafka's framing.
pub struct Library {
    /// Its name and level.
    pub name: &'static str,
    /// Its compressor.
    pub compress: Compress,
    /// Its decompressor.
    pub decompress: Decompress,
}

/// The library of a codec.
pub fn library(codec: Compression) -> Library {
    match codec {
        Compression::Gzip => gzip(),
        Compression::Snappy => snappy(),
        Compression::Lz4 => lz4(),
        _ => zstd(),
    }
}

fn gzip() -> Library {
    let mut compressor = libdeflater::Compressor::new(libdeflater::CompressionLvl::new(6).expect("a level it has"));
    let mut decompressor = libdeflater::Decompressor::new();
    Library {
        name: "libdeflate (C), 6",
        compress: Box::new(move |input, out| compressor.gzip_compress(input, out).expect("compresses")),
        decompress: Box::new(move |packed, out| {
            decompressor.gzip_decompress(packed, out).expect("sound");
        }),
    }
}

fn zstd() -> Library {
    let mut compressor = zstd::bulk::Compressor::new(3).expect("a compressor");
    let mut decompressor = zstd::bulk::Decompressor::new().expect("a decompressor");
    Library {
        name: "libzstd (C), 3",
        compress: Box::new(move |input, out| compressor.compress_to_buffer(input, out).expect("compresses")),
        decompress: Box::new(move |packed, out| {
            decompressor.decompress_to_buffer(packed, out).expect("sound");
        }),
    }
}

#[link(name = "snappy")]
unsafe extern "C" {
    fn snappy_compress(input: *const c_char, len: usize, out: *mut c_char, out_len: *mut usize) -> c_int;
    fn snappy_uncompress(input: *const c_char, len: usize, out: *mut c_char, out_len: *mut usize) -> c_int;
}

const XERIAL: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
const SNAPPY_BLOCK: usize = 32 << 10;

/// Blocks of 32 KiB behind xerial's header, which is what Kafka's Java client writes.
fn snappy() -> Library {
    Library {
        name: "libsnappy (C++), xerial",
        compress: Box::new(|input, out| {
            out[..16].copy_from_slice(&XERIAL);
            let mut at = 16;
            for block in input.chunks(SNAPPY_BLOCK) {
                let (length, body) = out[at..].split_at_mut(4);
                let mut len = body.len();
                // SAFETY: both slices live through the call, and it writes no more than `len` bytes.
                let done =
                    unsafe { snappy_compress(block.as_ptr().cast(), block.len(), body.as_mut_ptr().cast(), &mut len) };
                assert_eq!(done, 0, "compresses");
                length.copy_from_slice(&(len as u32).to_be_bytes());
                at += 4 + len;
            }
            at
        }),
        decompress: Box::new(|packed, out| {
            let (mut rest, mut at) = (&packed[16..], 0);
            while let Some((length, after)) = rest.split_first_chunk() {
                let (block, after) = after.split_at(u32::from_be_bytes(*length) as usize);
                let room = &mut out[at..];
                let mut len = room.len();
                // SAFETY: both slices live through the call, and it writes no more than `len` bytes.
                let done = unsafe {
                    snappy_uncompress(block.as_ptr().cast(), block.len(), room.as_mut_ptr().cast(), &mut len)
                };
                assert_eq!(done, 0, "sound");
                (rest, at) = (after, at + len);
            }
            assert_eq!(at, out.len());
        }),
    }
}

/// Independent blocks of 64 KiB without checksums, as Kafka's Java client writes them.
fn lz4() -> Library {
    let (mut compress, mut decompress) =
        (lz4f::LZ4FCompressionContext(ptr::null_mut()), lz4f::LZ4FDecompressionContext(ptr::null_mut()));
    // SAFETY: the contexts are written by these calls, used by the closures alone, and never freed: the program ends.
    unsafe {
        assert_eq!(lz4f::LZ4F_createCompressionContext(&mut compress, lz4f::LZ4F_VERSION), 0);
        assert_eq!(lz4f::LZ4F_createDecompressionContext(&mut decompress, lz4f::LZ4F_VERSION), 0);
    }
    let preferences = lz4f::LZ4FPreferences {
        frame_info: lz4f::LZ4FFrameInfo {
            block_size_id: lz4f::BlockSize::Max64KB,
            block_mode: lz4f::BlockMode::Independent,
            content_checksum_flag: lz4f::ContentChecksum::NoChecksum,
            frame_type: lz4f::FrameType::Frame,
            content_size: 0,
            dict_id: 0,
            block_checksum_flag: lz4f::BlockChecksum::NoBlockChecksum,
        },
        compression_level: 0,
        auto_flush: 1,
        favor_dec_speed: 0,
        reserved: [0; 3],
    };
    let checked = |len: usize| {
        // SAFETY: it looks at a number.
        assert_eq!(unsafe { lz4f::LZ4F_isError(len) }, 0);
        len
    };
    Library {
        name: "liblz4 (C) frame",
        compress: Box::new(move |input, out| {
            let mut at = 0;
            // SAFETY: both slices live through the calls, which write no more than the room they are told of.
            unsafe {
                at += checked(lz4f::LZ4F_compressBegin(compress, out.as_mut_ptr(), out.len(), &preferences));
                let room = &mut out[at..];
                at += checked(lz4f::LZ4F_compressUpdate(
                    compress,
                    room.as_mut_ptr(),
                    room.len(),
                    input.as_ptr(),
                    input.len(),
                    ptr::null(),
                ));
                let room = &mut out[at..];
                at += checked(lz4f::LZ4F_compressEnd(compress, room.as_mut_ptr(), room.len(), ptr::null()));
            }
            at
        }),
        decompress: Box::new(move |packed, out| {
            let (mut read, mut written) = (0, 0);
            loop {
                let (mut from, mut to) = (packed.len() - read, out.len() - written);
                // SAFETY: both slices live through the call, and it writes no more than `to` bytes.
                let hint = checked(unsafe {
                    lz4f::LZ4F_decompress(
                        decompress,
                        out[written..].as_mut_ptr(),
                        &mut to,
                        packed[read..].as_ptr(),
                        &mut from,
                        ptr::null(),
                    )
                });
                (read, written) = (read + from, written + to);
                if hint == 0 {
                    break;
                }
            }
            assert_eq!((read, written), (packed.len(), out.len()));
        }),
    }
}
