//! The codecs of record batches, pure Rust both ways: what comes out is bounded before memory for it is taken.

#[cfg(feature = "gzip")]
mod gzip;
#[cfg(feature = "lz4")]
mod lz4;
mod plain;
#[cfg(feature = "snappy")]
mod snappy;
#[cfg(test)]
mod tests;
#[cfg(feature = "lz4")]
mod xxh32;
#[cfg(feature = "zstd")]
mod zstd;

use std::borrow::Cow;
use std::fmt;

pub use crate::types::Compression;
pub use plain::Plain;

/// The most a batch may decompress to unless told otherwise: 64 MiB (`max.decompressed.batch.bytes`).
pub const DEFAULT_LIMIT: usize = 64 << 20;

/// Why bytes cannot be compressed or decompressed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum CodecFault {
    /// This build lacks the codec.
    NotCompiledIn(Compression),
    /// The bytes decompress to more than the limit, or say so.
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The bytes are not what the codec writes.
    Corrupt {
        /// The codec.
        codec: Compression,
        /// What is wrong with them.
        reason: Cow<'static, str>,
    },
}

impl fmt::Display for CodecFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotCompiledIn(codec) => {
                write!(f, "compressed with {codec}, which this build lacks: build it with the feature `{codec}`")
            }
            Self::TooLarge { limit } => {
                write!(f, "decompresses to more than max.decompressed.batch.bytes ({limit}) allows")
            }
            Self::Corrupt { codec, reason } => write!(f, "not sound {codec}: {reason}"),
        }
    }
}

impl std::error::Error for CodecFault {}

#[cfg(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd"))]
fn corrupt(codec: Compression, reason: impl Into<Cow<'static, str>>) -> CodecFault {
    CodecFault::Corrupt { codec, reason: reason.into() }
}

/// Compresses, with tables and buffers that are kept from one call to the next.
///
/// Allocates on its first calls only, unless a later input is larger than any before; zstd's encoder, which is not ours,
/// takes about 10 KiB for the entropy tables of a batch.
pub struct Compressor {
    codec: Compression,
    state: State,
    out: Vec<u8>,
}

enum State {
    None,
    #[cfg(feature = "gzip")]
    Gzip(Box<gzip::Writer>),
    #[cfg(feature = "snappy")]
    Snappy(Box<snap::raw::Encoder>),
    #[cfg(feature = "lz4")]
    Lz4(lz4::Writer),
    #[cfg(feature = "zstd")]
    Zstd(Box<zstd::Writer>),
}

impl Compressor {
    /// A compressor of one codec at one of Kafka's levels for it.
    ///
    /// gzip takes -1 (which is 6) and 1 to 9; zstd as [`zstd_level`] maps them; lz4 has one speed and snappy no levels.
    /// A level out of range is brought into it. Fails if the build lacks the codec.
    #[cfg_attr(not(any(feature = "gzip", feature = "zstd")), allow(unused_variables, reason = "others have no levels"))]
    pub fn new(codec: Compression, level: i32) -> Result<Compressor, CodecFault> {
        let state = match codec {
            Compression::None => State::None,
            #[cfg(feature = "gzip")]
            Compression::Gzip => State::Gzip(Box::new(gzip::Writer::new(level))),
            #[cfg(feature = "snappy")]
            Compression::Snappy => State::Snappy(Box::new(snap::raw::Encoder::new())),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => State::Lz4(lz4::Writer::new()),
            #[cfg(feature = "zstd")]
            Compression::Zstd => State::Zstd(Box::new(zstd::Writer::new(zstd_level(level)))),
            #[allow(unreachable_patterns, reason = "reached where a codec is left out")]
            codec => return Err(CodecFault::NotCompiledIn(codec)),
        };
        Ok(Compressor { codec, state, out: Vec::new() })
    }

    /// The codec.
    pub fn codec(&self) -> Compression {
        self.codec
    }

    /// `input` compressed, in a buffer of its own that the next call overwrites; at most a few bytes in a thousand
    /// longer than `input`, where that does not compress.
    ///
    /// `None` if the codec is [`Compression::None`], or if the input is larger than the codec can take (4 GiB).
    #[cfg_attr(
        not(any(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")),
        allow(unused_variables, reason = "there is nothing to compress with")
    )]
    pub fn compress(&mut self, input: &[u8]) -> Option<&[u8]> {
        let len: Option<usize> = match &mut self.state {
            State::None => None,
            #[cfg(feature = "gzip")]
            State::Gzip(writer) => writer.write(input, &mut self.out),
            #[cfg(feature = "snappy")]
            State::Snappy(encoder) => snappy::write(encoder, input, &mut self.out),
            #[cfg(feature = "lz4")]
            State::Lz4(writer) => writer.write(input, &mut self.out),
            #[cfg(feature = "zstd")]
            State::Zstd(writer) => writer.write(input, &mut self.out),
        };
        self.out.get(..len?)
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Compressor({})", self.codec)
    }
}

/// The level of the pure Rust codec for one of Kafka's `compression.zstd.level`.
///
/// Negative ones go down to -7. Its 1 has the speed and the ratio of the C library's 3, Kafka's default, so 1 to 3 are
/// that; 4 and 5 are its 2 and 3; from 6 on it is 4, the highest it has.
pub fn zstd_level(level: i32) -> i32 {
    match level {
        ..=-1 => level.max(-7),
        0..=3 => 1,
        4 => 2,
        5 => 3,
        6.. => 4,
    }
}

/// Decompresses any codec, with tables that are kept from one call to the next, up to a limit.
pub struct Decompressor {
    limit: usize,
    #[cfg(feature = "gzip")]
    gzip: gzip::Reader,
    #[cfg(feature = "snappy")]
    snappy: snap::raw::Decoder,
    #[cfg(feature = "zstd")]
    zstd: zstd::Reader,
    plain: Plain,
}

impl Decompressor {
    /// A decompressor that gives out at most `limit` bytes a batch.
    pub fn new(limit: usize) -> Decompressor {
        Decompressor {
            limit,
            #[cfg(feature = "gzip")]
            gzip: gzip::Reader::default(),
            #[cfg(feature = "snappy")]
            snappy: snap::raw::Decoder::new(),
            #[cfg(feature = "zstd")]
            zstd: zstd::Reader::default(),
            plain: Plain::default(),
        }
    }

    /// What `input` decompresses to, in a buffer of its own that the next call overwrites.
    ///
    /// Fails on damage, on more than the limit, and on a codec that was left out of the build. Memory grows with what
    /// comes out, not with what a header claims: never above the limit by more than one block of the codec.
    pub fn decompress(&mut self, codec: Compression, input: &[u8]) -> Result<&[u8], CodecFault> {
        let mut plain = std::mem::take(&mut self.plain);
        let result = self.decompress_into(codec, input, &mut plain);
        self.plain = plain;
        result.map(|()| self.plain.bytes())
    }

    /// As [`decompress`](Self::decompress), into a buffer of the caller's.
    pub fn decompress_into(&mut self, codec: Compression, input: &[u8], to: &mut Plain) -> Result<(), CodecFault> {
        to.begin(self.limit);
        match codec {
            Compression::None => to.put(input),
            #[cfg(feature = "gzip")]
            Compression::Gzip => self.gzip.read(input, to),
            #[cfg(feature = "snappy")]
            Compression::Snappy => snappy::read(&mut self.snappy, input, to),
            #[cfg(feature = "lz4")]
            Compression::Lz4 => lz4::read(input, to),
            #[cfg(feature = "zstd")]
            Compression::Zstd => self.zstd.read(input, to),
            #[allow(unreachable_patterns, reason = "reached where a codec is left out")]
            codec => Err(CodecFault::NotCompiledIn(codec)),
        }
    }
}

impl Default for Decompressor {
    /// One with [`DEFAULT_LIMIT`].
    fn default() -> Self {
        Self::new(DEFAULT_LIMIT)
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Decompressor(up to {})", self.limit)
    }
}

/// The most bytes `packed` can decompress to, whatever it holds, or 0 where it makes no sense: found without decompressing,
/// from the lengths of its blocks where the codec tells them.
///
/// gzip's longest match is 258 bytes in two bits, LZ4 counts 255 a byte, snappy copies 64 bytes with three.
pub fn most_decompressed(codec: Compression, packed: &[u8]) -> usize {
    match codec {
        Compression::None => packed.len(),
        Compression::Gzip => packed.len().saturating_mul(1032),
        Compression::Snappy => packed.len().saturating_mul(22).saturating_add(64),
        #[cfg(feature = "lz4")]
        Compression::Lz4 => lz4::most_in(packed),
        #[cfg(feature = "zstd")]
        Compression::Zstd => zstd::most_in(packed).unwrap_or(0),
        #[allow(unreachable_patterns, reason = "reached where a codec is left out")]
        _ => 0,
    }
}
