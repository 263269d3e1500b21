//! Snappy as Kafka's Java client frames it (xerial's snappy-java), and bare as some other clients write it.

use std::borrow::Cow;

use snap::raw::{Decoder, Encoder, decompress_len, max_compress_len};

use super::{CodecFault, Compression, Plain, most_decompressed};

const MAGIC: [u8; 8] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
/// The magic, then version and lowest compatible version, both 1.
const HEADER: [u8; 16] = [0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
/// The magic's first half where a length would be: another stream follows, as snappy-java allows.
const MAGIC_HEAD: u32 = 0x8253_4e41;
/// Bytes of input in one block, as Kafka's Java client has it. Readers take any number.
const BLOCK: usize = 32 << 10;

/// Writes one stream to the front of `out`, which grows as needed; its length.
pub(super) fn write(encoder: &mut Encoder, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
    let blocks = input.len().div_ceil(BLOCK);
    let most = blocks.checked_mul(4 + max_compress_len(BLOCK))?.checked_add(HEADER.len())?;
    if out.len() < most {
        out.resize(most, 0);
    }
    out.get_mut(..HEADER.len())?.copy_from_slice(&HEADER);
    let mut at = HEADER.len();
    for block in input.chunks(BLOCK) {
        let (length, body) = out.get_mut(at..)?.split_first_chunk_mut::<4>()?;
        let packed = encoder.compress(block, body).ok()?;
        *length = (packed as u32).to_be_bytes();
        at += 4 + packed;
    }
    Some(at)
}

/// Reads a stream of blocks of any size and version, or one bare block where the magic is absent.
pub(super) fn read(decoder: &mut Decoder, input: &[u8], to: &mut Plain) -> Result<(), CodecFault> {
    let Some(mut rest) = input.strip_prefix(&MAGIC) else { return block(decoder, input, to) };
    to.expect(declared(rest));
    versions(&mut rest)?;
    while !rest.is_empty() {
        let len = length(&mut rest)?;
        if len == MAGIC_HEAD {
            rest = rest.strip_prefix(&MAGIC[4..]).ok_or_else(|| corrupt("half a magic"))?;
            versions(&mut rest)?;
            continue;
        }
        let (packed, after) = rest.split_at_checked(len as usize).ok_or_else(cut)?;
        block(decoder, packed, to)?;
        rest = after;
    }
    Ok(())
}

fn block(decoder: &mut Decoder, packed: &[u8], to: &mut Plain) -> Result<(), CodecFault> {
    let len = length_of(packed)?;
    let written = decoder.decompress(packed, to.room(len)?).map_err(|error| corrupt(error.to_string()))?;
    to.advance(written);
    Ok(())
}

/// What a block says it decompresses to, if that is possible at all.
fn length_of(packed: &[u8]) -> Result<usize, CodecFault> {
    let len = decompress_len(packed).map_err(|error| corrupt(error.to_string()))?;
    if packed.is_empty() || len > most_decompressed(Compression::Snappy, packed) {
        return Err(corrupt(format!("{} bytes that claim to hold {len}", packed.len())));
    }
    Ok(len)
}

/// What the blocks of the first stream say they hold in all, up to the first that makes no sense.
fn declared(mut rest: &[u8]) -> usize {
    let mut sum = 0usize;
    if versions(&mut rest).is_ok() {
        while let Ok(len) = length(&mut rest)
            && let Some((packed, after)) = rest.split_at_checked(len as usize)
            && let Ok(len) = length_of(packed)
        {
            sum = sum.saturating_add(len);
            rest = after;
        }
    }
    sum
}

fn versions(rest: &mut &[u8]) -> Result<(), CodecFault> {
    *rest = rest.split_first_chunk::<8>().ok_or_else(cut)?.1;
    Ok(())
}

fn length(rest: &mut &[u8]) -> Result<u32, CodecFault> {
    let (length, after) = rest.split_first_chunk().ok_or_else(cut)?;
    *rest = after;
    Ok(u32::from_be_bytes(*length))
}

fn cut() -> CodecFault {
    corrupt("cut off")
}

fn corrupt(reason: impl Into<Cow<'static, str>>) -> CodecFault {
    super::corrupt(Compression::Snappy, reason)
}
