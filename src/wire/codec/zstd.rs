//! Zstandard frames (RFC 8878): one written; any number read, with the room their blocks can need taken at once.

use std::borrow::Cow;

use zrip::{CompressContext, DecompressContext, DecompressError, compress_bound};

use super::{CodecFault, Compression, Plain};

const MAGIC: u32 = 0xfd2f_b528;
/// The most one block gives.
const BLOCK: usize = 128 << 10;
/// What the decoder wants behind the bytes it writes.
const SLACK: usize = BLOCK + 64;

/// Writes frames, with one set of tables for all of them.
pub(super) struct Writer {
    context: Option<CompressContext>,
}

impl Writer {
    /// At a level of the codec's own (-7 to 4).
    pub(super) fn new(level: i32) -> Writer {
        let mut context = CompressContext::new(level).ok();
        // The batch has a checksum already, and the C library writes none either.
        context.iter_mut().for_each(|context| context.set_content_checksum(false));
        Writer { context }
    }

    /// Writes one frame to the front of `out`, which grows as needed; its length.
    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let most = compress_bound(input.len());
        if out.len() < most {
            out.resize(most, 0);
        }
        self.context.as_mut()?.compress_into(input, out).ok()
    }
}

/// Reads frames, with one set of tables for all of them.
#[derive(Default)]
pub(super) struct Reader {
    context: Option<DecompressContext>,
}

impl Reader {
    pub(super) fn read(&mut self, input: &[u8], to: &mut Plain) -> Result<(), CodecFault> {
        let most = most_in(input)?;
        let context = self.context.get_or_insert_with(DecompressContext::new);
        to.fill(most, SLACK, |buffer, limit| {
            context.decompress_into_with_limit(input, buffer, limit).map(drop).map_err(|error| match error {
                DecompressError::OutputTooSmall => CodecFault::TooLarge { limit },
                error => corrupt(error.to_string()),
            })
        })
    }
}

/// The most the blocks of all frames can hold, found by walking their lengths. Fails where a frame says it holds more
/// than its blocks can, so that what it says is never what is allocated.
pub(super) fn most_in(input: &[u8]) -> Result<usize, CodecFault> {
    let (mut rest, mut most) = (input, 0usize);
    while let Some(magic) = le(&mut rest, 4) {
        if magic & 0xffff_fff0 == 0x184d_2a50 {
            let Some(len) = le(&mut rest, 4) else { break };
            rest = rest.get(len as usize..).unwrap_or_default();
            continue;
        }
        let Some(content) = Some(magic).filter(|m| *m == u64::from(MAGIC)).and_then(|_| header(&mut rest)) else {
            break;
        };
        let held = blocks(&mut rest);
        if let Some(size) = content.size.filter(|size| *size > held as u64) {
            return Err(corrupt(format!("says it holds {size} bytes, its blocks hold {held} at most")));
        }
        most = most.saturating_add(held);
        rest = rest.get(if content.has_checksum { 4 } else { 0 }..).unwrap_or_default();
    }
    Ok(most)
}

struct Content {
    size: Option<u64>,
    has_checksum: bool,
}

fn header(rest: &mut &[u8]) -> Option<Content> {
    let flags = le(rest, 1)?;
    let is_single = flags & 0x20 != 0;
    le(rest, usize::from(!is_single))?;
    le(rest, [0, 1, 2, 4][(flags & 3) as usize])?;
    let size = match (flags >> 6, is_single) {
        (0, false) => None,
        (0, true) => Some(le(rest, 1)?),
        (1, _) => Some(le(rest, 2)? + 256),
        (2, _) => Some(le(rest, 4)?),
        _ => Some(le(rest, 8)?),
    };
    Some(Content { size, has_checksum: flags & 4 != 0 })
}

/// Walks the blocks of a frame to the last one, or to where they make no sense: the most they hold.
fn blocks(rest: &mut &[u8]) -> usize {
    let mut most = 0usize;
    while let Some(header) = le(rest, 3) {
        let len = (header >> 3) as usize;
        let (taken, held) = match header >> 1 & 3 {
            0 => (len, len),
            1 => (1, len.min(BLOCK)),
            _ => (len, BLOCK),
        };
        let Some(after) = rest.get(taken..) else { break };
        *rest = after;
        most = most.saturating_add(held);
        if header & 1 != 0 {
            break;
        }
    }
    most
}

/// The next `len` bytes, at most eight, as a number.
fn le(rest: &mut &[u8], len: usize) -> Option<u64> {
    let (taken, after) = rest.split_at_checked(len)?;
    *rest = after;
    Some(taken.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte)))
}

fn corrupt(reason: impl Into<Cow<'static, str>>) -> CodecFault {
    super::corrupt(Compression::Zstd, reason)
}
