//! Cuts a byte stream into frames: memory follows the bytes that arrived, never the length a peer claims.

use std::sync::Arc;

use bytes::buf::Limit;
use bytes::{BufMut, Bytes};

use super::pool::BufferPool;
use crate::wire::frame::{BadLength, MAX_FRAME_BYTES, frame_len};

/// Frames up to this size are read with their neighbours in one system call and copied out.
const SCRATCH: usize = 16 * 1024;
/// What a large frame gets before any of it has arrived.
const FIRST_CAPACITY: usize = 1024 * 1024;

/// Collects bytes and yields whole frames without their length bytes.
#[derive(Debug)]
pub(super) struct Frames {
    scratch: Vec<u8>,
    /// Bytes of `scratch` already consumed.
    start: usize,
    large: Option<Large>,
    pool: Arc<BufferPool>,
}

/// A frame that does not fit the scratch, read straight into its own buffer.
#[derive(Debug)]
struct Large {
    len: usize,
    buffer: Vec<u8>,
}

impl Default for Frames {
    fn default() -> Self {
        let scratch = Vec::with_capacity(SCRATCH);
        Self { scratch, start: 0, large: None, pool: Arc::new(BufferPool::default()) }
    }
}

impl Frames {
    /// Where the next bytes of the stream belong. Never empty, if [`next`](Frames::next) was asked until `None` before.
    pub(super) fn spare(&mut self) -> Limit<&mut Vec<u8>> {
        if let Some(large) = &mut self.large {
            large.grow();
            let room = large.len.min(large.buffer.capacity()) - large.buffer.len();
            return (&mut large.buffer).limit(room);
        }
        self.scratch.drain(..self.start);
        self.start = 0;
        let room = SCRATCH - self.scratch.len();
        (&mut self.scratch).limit(room)
    }

    /// The next whole frame; `None` while bytes are missing. A bad length is final: the stream cannot be read any more.
    pub(super) fn next(&mut self) -> Result<Option<Bytes>, BadLength> {
        if let Some(large) = self.large.take_if(|large| large.buffer.len() == large.len) {
            return Ok(Some(self.pool.share(large.buffer)));
        }
        if self.large.is_some() {
            return Ok(None);
        }
        let Some((prefix, rest)) = self.unread().split_first_chunk::<4>() else { return Ok(None) };
        let len = frame_len(*prefix, MAX_FRAME_BYTES)?;
        if let Some(body) = rest.get(..len) {
            let frame = Bytes::copy_from_slice(body);
            self.start += 4 + len;
            return Ok(Some(frame));
        }
        if 4 + len > SCRATCH {
            self.begin_large(len);
        }
        Ok(None)
    }

    /// What arrived and is not part of a yielded frame: for messages about peers that do not speak Kafka.
    pub(super) fn unread(&self) -> &[u8] {
        self.scratch.get(self.start..).unwrap_or_default()
    }

    /// Whether the stream stands between two frames.
    pub(super) fn is_between_frames(&self) -> bool {
        self.large.is_none() && self.unread().is_empty()
    }

    fn begin_large(&mut self, len: usize) {
        let mut buffer = self.pool.take();
        buffer.reserve(len.min(FIRST_CAPACITY));
        buffer.extend_from_slice(self.unread().get(4..).unwrap_or_default());
        self.scratch.clear();
        self.start = 0;
        self.large = Some(Large { len, buffer });
    }
}

impl Large {
    /// Makes room by at most doubling what has arrived.
    fn grow(&mut self) {
        if self.buffer.len() == self.buffer.capacity() {
            let missing = self.len - self.buffer.len();
            self.buffer.reserve_exact(missing.min(self.buffer.len().max(FIRST_CAPACITY)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn feed(frames: &mut Frames, mut bytes: &[u8], step: usize) -> Result<Vec<Bytes>, BadLength> {
        let mut out = Vec::new();
        while !bytes.is_empty() {
            let mut spare = frames.spare();
            let n = step.min(spare.remaining_mut()).min(bytes.len());
            assert!(n > 0, "a reader is always given room");
            spare.put_slice(&bytes[..n]);
            bytes = &bytes[n..];
            while let Some(frame) = frames.next()? {
                out.push(frame);
            }
        }
        Ok(out)
    }

    fn framed(bodies: &[Vec<u8>]) -> Vec<u8> {
        let frame = |b: &Vec<u8>| [&u32::try_from(b.len()).unwrap().to_be_bytes()[..], b].concat();
        bodies.iter().flat_map(frame).collect()
    }

    #[test]
    fn frames_are_the_same_however_the_bytes_are_cut() {
        let sizes = [4, 5, SCRATCH - 4, SCRATCH - 3, 4, 3 * FIRST_CAPACITY + 7, 9];
        let bodies: Vec<Vec<u8>> = sizes.iter().enumerate().map(|(i, n)| vec![u8::try_from(i).unwrap(); *n]).collect();
        let stream = framed(&bodies);
        for step in [1, 7, 4096, usize::MAX] {
            let mut frames = Frames::default();
            assert_eq!(feed(&mut frames, &stream, step).unwrap(), bodies, "cut in steps of {step}");
            assert!(frames.is_between_frames());
        }
    }

    #[test]
    fn a_claimed_length_alone_allocates_no_more_than_a_mebibyte() {
        let mut frames = Frames::default();
        let claim = u32::try_from(MAX_FRAME_BYTES).unwrap().to_be_bytes();
        assert_eq!(feed(&mut frames, &claim, 4).unwrap(), Vec::<Bytes>::new());
        frames.spare();
        assert!(frames.large.as_ref().unwrap().buffer.capacity() <= FIRST_CAPACITY);
    }

    #[test]
    fn memory_stays_below_twice_what_arrived_plus_a_mebibyte() {
        let mut frames = Frames::default();
        let claim = u32::try_from(MAX_FRAME_BYTES).unwrap().to_be_bytes();
        feed(&mut frames, &claim, 4).unwrap();
        for arrived in 1..12 {
            feed(&mut frames, &vec![0; FIRST_CAPACITY], usize::MAX).unwrap();
            let capacity = frames.large.as_ref().unwrap().buffer.capacity();
            assert!(capacity <= (2 * arrived + 1) * FIRST_CAPACITY, "{capacity} after {arrived} MiB");
        }
    }

    #[test]
    fn lengths_no_honest_peer_sends_are_refused_before_anything_is_allocated() {
        for length in [-1, i32::MIN, 0, 1, 3, 100 * 1024 * 1024 + 1, i32::MAX] {
            let mut frames = Frames::default();
            assert_eq!(feed(&mut frames, &length.to_be_bytes(), 1).unwrap_err().length, length);
            assert!(frames.large.is_none());
        }
    }
}
