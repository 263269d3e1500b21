//! LZ4 frames: written as Kafka's Java client demands them, read as any client may have written them.

use std::borrow::Cow;

use lz4_flex::block::{
    CompressTable, compress_into_with_table, decompress_into, decompress_into_with_dict, get_maximum_output_size,
};

use super::xxh32::xxh32;
use super::{CodecFault, Compression, Plain};

const MAGIC: [u8; 4] = [0x04, 0x22, 0x4d, 0x18];
/// The magic. Version 1, blocks independent (Java reads no others), no checksums, no content size; blocks of 64 KiB at most;
/// checksum of these two bytes, which Java verifies.
const HEAD: [u8; 7] = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82];
/// As large as 16-bit positions in the hash table reach: that table stays in the first cache, and 64 KiB exactly
/// would need the larger one.
const BLOCK: usize = 0xfff0;
/// The bit of a block's length that says the block is not compressed.
const RAW: u32 = 1 << 31;
/// How far back a match may reach into earlier blocks.
const WINDOW: usize = 64 << 10;
/// The longest run one byte of compressed data can add.
const MOST_PER_BYTE: usize = 255;

/// Writes frames, with one hash table for all of them.
pub(super) struct Writer {
    table: CompressTable,
}

impl Writer {
    pub(super) fn new() -> Writer {
        Writer { table: CompressTable::small() }
    }

    /// Writes one frame to the front of `out`, which grows as needed; its length.
    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        let blocks = input.len().div_ceil(BLOCK);
        let most = blocks.checked_mul(4 + get_maximum_output_size(BLOCK))?.checked_add(11)?;
        if out.len() < most {
            out.resize(most, 0);
        }
        out.get_mut(..HEAD.len())?.copy_from_slice(&HEAD);
        let mut at = HEAD.len();
        for block in input.chunks(BLOCK) {
            at += self.block(block, out.get_mut(at..)?)?;
        }
        out.get_mut(at..at + 4)?.fill(0);
        Some(at + 4)
    }

    fn block(&mut self, block: &[u8], out: &mut [u8]) -> Option<usize> {
        let (length, body) = out.split_first_chunk_mut::<4>()?;
        let packed = compress_into_with_table(block, body, &mut self.table).ok()?;
        let (len, flag) = if packed < block.len() {
            (packed, 0)
        } else {
            body.get_mut(..block.len())?.copy_from_slice(block);
            (block.len(), RAW)
        };
        *length = (len as u32 | flag).to_le_bytes();
        Some(4 + len)
    }
}

/// What a frame's descriptor says.
struct Frame {
    is_linked: bool,
    has_block_checksums: bool,
    has_content_checksum: bool,
    block_max: usize,
    content_size: Option<u64>,
}

/// Reads frames one behind the other, and those to be skipped.
pub(super) fn read(mut input: &[u8], to: &mut Plain) -> Result<(), CodecFault> {
    to.expect(most_in(input));
    loop {
        let magic = u32::from_le_bytes(*take(&mut input)?);
        match magic {
            m if m == u32::from_le_bytes(MAGIC) => frame(&mut input, to)?,
            0x184d_2a50..=0x184d_2a5f => {
                let len = u32::from_le_bytes(*take(&mut input)?);
                bytes(&mut input, len as usize)?;
            }
            _ => return Err(corrupt(format!("magic {magic:08x}"))),
        }
        if input.is_empty() {
            return Ok(());
        }
    }
}

fn frame(input: &mut &[u8], to: &mut Plain) -> Result<(), CodecFault> {
    let frame = descriptor(input)?;
    let start = to.len();
    loop {
        let word = u32::from_le_bytes(*take(input)?);
        if word == 0 {
            break;
        }
        let len = (word & !RAW) as usize;
        if len > frame.block_max {
            return Err(corrupt(format!("block of {len} bytes where {} is the most", frame.block_max)));
        }
        let block = bytes(input, len)?;
        if frame.has_block_checksums && u32::from_le_bytes(*take(input)?) != xxh32(block) {
            return Err(corrupt("wrong block checksum"));
        }
        unpack(block, word & RAW != 0, &frame, start, to)?;
    }
    let content = to.bytes().get(start..).unwrap_or_default();
    if frame.content_size.is_some_and(|size| size != content.len() as u64) {
        return Err(corrupt("not of the size it says"));
    }
    if frame.has_content_checksum && u32::from_le_bytes(*take(input)?) != xxh32(content) {
        return Err(corrupt("wrong content checksum"));
    }
    Ok(())
}

fn unpack(block: &[u8], is_raw: bool, frame: &Frame, start: usize, to: &mut Plain) -> Result<(), CodecFault> {
    if is_raw {
        return to.put(block);
    }
    let most = frame.block_max.min(block.len().saturating_mul(MOST_PER_BYTE));
    let left = to.left();
    let (history, room) = to.history_and_room(most);
    let history = history.get(start.max(history.len().saturating_sub(WINDOW))..).unwrap_or_default();
    let is_cut = room.len() < most;
    let done = match frame.is_linked && !history.is_empty() {
        true => decompress_into_with_dict(block, room, history),
        false => decompress_into(block, room),
    };
    match done {
        Ok(written) => to.advance(written),
        // The block may be sound and only longer than the limit leaves room for.
        Err(lz4_flex::block::DecompressError::OutputTooSmall { .. }) if is_cut => {
            return to.room(left.saturating_add(1)).map(drop);
        }
        Err(error) => return Err(corrupt(error.to_string())),
    }
    Ok(())
}

fn descriptor(input: &mut &[u8]) -> Result<Frame, CodecFault> {
    let start = *input;
    let &[flags, sizes] = take(input)?;
    if flags >> 6 != 1 {
        return Err(corrupt(format!("version {} of the frame format", flags >> 6)));
    }
    if flags & 1 != 0 {
        return Err(corrupt("needs a dictionary"));
    }
    let block_max = match (sizes >> 4) & 7 {
        code @ 4..=7 => 1usize << (8 + 2 * code),
        code => return Err(corrupt(format!("block size code {code}"))),
    };
    let content_size = if flags & 8 != 0 { Some(u64::from_le_bytes(*take(input)?)) } else { None };
    let described = start.get(..start.len() - input.len()).unwrap_or_default();
    let &[checksum] = take(input)?;
    if checksum != header_checksum(described) && checksum != legacy_checksum(described) {
        return Err(corrupt("wrong header checksum"));
    }
    Ok(Frame {
        is_linked: flags & 0x20 == 0,
        has_block_checksums: flags & 0x10 != 0,
        has_content_checksum: flags & 4 != 0,
        block_max,
        content_size,
    })
}

fn header_checksum(described: &[u8]) -> u8 {
    (xxh32(described) >> 8) as u8
}

/// Kafka before 0.10 took the magic into the checksum (KAFKA-3160), and some clients still do.
fn legacy_checksum(described: &[u8]) -> u8 {
    let mut whole = [0; 14];
    let len = (4 + described.len()).min(whole.len());
    whole[..4].copy_from_slice(&MAGIC);
    whole[4..len].copy_from_slice(&described[..len - 4]);
    header_checksum(&whole[..len])
}

/// The most the blocks of all frames can hold, found by walking their lengths up to where they make no sense.
pub(super) fn most_in(mut rest: &[u8]) -> usize {
    let mut most = 0usize;
    while let Ok(magic) = take(&mut rest) {
        if *magic == MAGIC {
            let Ok(held) = most_in_frame(&mut rest) else { break };
            most = most.saturating_add(held);
        } else if take(&mut rest).and_then(|len| bytes(&mut rest, u32::from_le_bytes(*len) as usize)).is_err() {
            break;
        }
    }
    most
}

fn most_in_frame(rest: &mut &[u8]) -> Result<usize, CodecFault> {
    let frame = descriptor(rest)?;
    let mut most = 0usize;
    while let Ok(word) = take(rest) {
        let word = u32::from_le_bytes(*word);
        let len = (word & !RAW) as usize;
        let skip = len.saturating_add(if frame.has_block_checksums { 4 } else { 0 });
        if word == 0 {
            bytes(rest, if frame.has_content_checksum { 4 } else { 0 })?;
            break;
        }
        if bytes(rest, skip).is_err() {
            break;
        }
        let expanded = len.saturating_mul(if word & RAW != 0 { 1 } else { MOST_PER_BYTE });
        most = most.saturating_add(expanded.min(frame.block_max));
    }
    Ok(most)
}

fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], CodecFault> {
    let (taken, rest) = input.split_first_chunk().ok_or_else(cut)?;
    *input = rest;
    Ok(taken)
}

fn bytes<'a>(input: &mut &'a [u8], len: usize) -> Result<&'a [u8], CodecFault> {
    let (taken, rest) = input.split_at_checked(len).ok_or_else(cut)?;
    *input = rest;
    Ok(taken)
}

fn cut() -> CodecFault {
    corrupt("cut off")
}

fn corrupt(reason: impl Into<Cow<'static, str>>) -> CodecFault {
    super::corrupt(Compression::Lz4, reason)
}
