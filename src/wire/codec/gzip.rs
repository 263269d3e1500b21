//! gzip (RFC 1952): one member written; any number of members read, each with its checksum.

use std::borrow::Cow;

use flate2::{Compress, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::{CodecFault, Compression, Plain};

/// The most one byte of deflate gives.
const MOST: usize = 1032;

/// Writes members, with one deflate state for all of them.
pub(super) struct Writer {
    deflate: Compress,
}

impl Writer {
    /// At one of Kafka's levels: 1 to 9, or -1 for zlib's default, which is 6.
    pub(super) fn new(level: i32) -> Writer {
        let level = u32::try_from(level).map_or(6, |level| level.clamp(1, 9));
        Writer { deflate: Compress::new_gzip(flate2::Compression::new(level), 15) }
    }

    /// Writes one member to the front of `out`, which grows as needed; its length.
    pub(super) fn write(&mut self, input: &[u8], out: &mut Vec<u8>) -> Option<usize> {
        // Stored blocks add five bytes each to a header and trailer of 18.
        let most = input.len().checked_add(input.len() / 1000)?.checked_add(64)?;
        if out.len() < most {
            out.resize(most, 0);
        }
        self.deflate.reset();
        loop {
            let taken = usize::try_from(self.deflate.total_in()).ok()?;
            let written = usize::try_from(self.deflate.total_out()).ok()?;
            if written == out.len() {
                out.resize(written.checked_mul(2)?, 0);
            }
            let status =
                self.deflate.compress(input.get(taken..)?, out.get_mut(written..)?, FlushCompress::Finish).ok()?;
            if status == Status::StreamEnd {
                return usize::try_from(self.deflate.total_out()).ok();
            }
        }
    }
}

/// Reads members, with one inflate state for all of them.
#[derive(Default)]
pub(super) struct Reader {
    inflate: Option<Decompress>,
}

impl Reader {
    pub(super) fn read(&mut self, mut input: &[u8], to: &mut Plain) -> Result<(), CodecFault> {
        to.expect(size_at_the_end(input));
        loop {
            header(&mut input)?;
            self.member(&mut input, to)?;
            if input.is_empty() {
                return Ok(());
            }
        }
    }

    fn member(&mut self, input: &mut &[u8], to: &mut Plain) -> Result<(), CodecFault> {
        // Raw deflate: a state that reads the header itself would be allocated anew for each member.
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new(false));
        inflate.reset(false);
        let start = to.len();
        loop {
            let (taken, written) = (inflate.total_in(), inflate.total_out());
            let room = to.history_and_room(next_room(input.len(), to)).1;
            let is_full = room.is_empty();
            let status = inflate.decompress(input, room, FlushDecompress::None).map_err(|e| corrupt(e.to_string()))?;
            let (taken, written) = (inflate.total_in() - taken, inflate.total_out() - written);
            *input = input.get(taken as usize..).unwrap_or_default();
            to.advance(written as usize);
            match status {
                Status::StreamEnd => break,
                _ if is_full => return to.room(1).map(drop),
                _ if (taken, written) == (0, 0) => return Err(cut()),
                _ => {}
            }
        }
        trailer(input, to.bytes().get(start..).unwrap_or_default())
    }
}

/// How much room to give next: what is there already, else as much as all before, but no more than can come.
fn next_room(input: usize, to: &Plain) -> usize {
    MOST.saturating_mul(input.saturating_add(1)).min(to.ready().max(to.len()).max(16 << 10)).min(to.left())
}

/// The size the last member says it has, where it is possible at all.
fn size_at_the_end(input: &[u8]) -> usize {
    let size = input.last_chunk().map_or(0, |size| u32::from_le_bytes(*size) as usize);
    if size <= MOST.saturating_mul(input.len()) { size } else { 0 }
}

/// Passes a member's header: fixed part, extra field, name, comment, checksum.
fn header(input: &mut &[u8]) -> Result<(), CodecFault> {
    let &[id1, id2, method, flags, ..] = take::<10>(input)?;
    if (id1, id2, method) != (0x1f, 0x8b, 8) {
        return Err(corrupt("no gzip header where one should be"));
    }
    if flags & 0xe0 != 0 {
        return Err(corrupt(format!("reserved flags {:02x}", flags & 0xe0)));
    }
    if flags & 4 != 0 {
        let len = usize::from(u16::from_le_bytes(*take(input)?));
        *input = input.get(len..).ok_or_else(cut)?;
    }
    for flag in [8, 16] {
        if flags & flag != 0 {
            let end = input.iter().position(|byte| *byte == 0).ok_or_else(cut)?;
            *input = input.get(end + 1..).unwrap_or_default();
        }
    }
    if flags & 2 != 0 {
        take::<2>(input)?;
    }
    Ok(())
}

fn trailer(input: &mut &[u8], content: &[u8]) -> Result<(), CodecFault> {
    let checksum = u32::from_le_bytes(*take(input)?);
    let size = u32::from_le_bytes(*take(input)?);
    // The size counts modulo 2^32.
    if size != content.len() as u32 {
        return Err(corrupt("not of the size it says"));
    }
    let mut crc = Crc::new();
    crc.update(content);
    if crc.sum() != checksum {
        return Err(corrupt("wrong checksum"));
    }
    Ok(())
}

fn take<'a, const N: usize>(input: &mut &'a [u8]) -> Result<&'a [u8; N], CodecFault> {
    let (taken, rest) = input.split_first_chunk().ok_or_else(cut)?;
    *input = rest;
    Ok(taken)
}

fn cut() -> CodecFault {
    corrupt("cut off")
}

fn corrupt(reason: impl Into<Cow<'static, str>>) -> CodecFault {
    super::corrupt(Compression::Gzip, reason)
}
