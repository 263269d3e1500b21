//! Decompressed bytes in a buffer that is used again: it grows as bytes come and never above its limit.

use super::CodecFault;

/// A buffer for decompressed bytes, kept from one batch to the next so that the steady state allocates nothing.
#[derive(Default, Debug)]
pub struct Plain {
    /// Longer than what counts: bytes once zeroed need not be zeroed again.
    buffer: Vec<u8>,
    len: usize,
    limit: usize,
}

#[cfg_attr(
    not(all(feature = "gzip", feature = "snappy", feature = "lz4", feature = "zstd")),
    allow(dead_code, reason = "each codec needs a part of it")
)]
impl Plain {
    /// An empty buffer.
    pub fn new() -> Plain {
        Plain::default()
    }

    /// What was decompressed last.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.get(..self.len).unwrap_or_default()
    }

    /// Bytes it holds allocated.
    pub fn capacity(&self) -> usize {
        self.buffer.capacity()
    }

    /// Starts over, for at most `limit` bytes.
    pub(super) fn begin(&mut self, limit: usize) {
        (self.len, self.limit) = (0, limit);
    }

    /// Copies `bytes` behind the others.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Result<(), CodecFault> {
        self.room(bytes.len())?.copy_from_slice(bytes);
        self.advance(bytes.len());
        Ok(())
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Bytes that may still come.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.len)
    }

    /// Bytes that can be written without growing.
    pub(super) fn ready(&self) -> usize {
        self.buffer.len().saturating_sub(self.len)
    }

    /// Makes room for `more` bytes in one step, or for as many as may still come.
    pub(super) fn expect(&mut self, more: usize) {
        let end = self.len + more.min(self.left());
        if end > self.buffer.len() {
            self.buffer.reserve_exact(end - self.buffer.len());
            self.buffer.resize(end, 0);
        }
    }

    /// The next `len` bytes, to be written. Fails if they would pass the limit.
    pub(super) fn room(&mut self, len: usize) -> Result<&mut [u8], CodecFault> {
        if len > self.left() {
            return Err(CodecFault::TooLarge { limit: self.limit });
        }
        Ok(self.history_and_room(len).1)
    }

    /// What was written so far, and the next `len` bytes, fewer where the limit comes first.
    pub(super) fn history_and_room(&mut self, len: usize) -> (&[u8], &mut [u8]) {
        let len = len.min(self.left());
        if self.len + len > self.buffer.len() {
            // Twice as much each time, so that many small steps cost no more than one large one.
            self.expect(len.max(self.len));
        }
        let (history, rest) = self.buffer.split_at_mut(self.len);
        (history, &mut rest[..len])
    }

    /// So many bytes of the room were written.
    pub(super) fn advance(&mut self, written: usize) {
        self.len += written;
    }

    /// Hands the buffer to a codec that appends to it, with room for `expected` bytes and `slack` more.
    #[cfg(feature = "zstd")]
    pub(super) fn fill(
        &mut self,
        expected: usize,
        slack: usize,
        append: impl FnOnce(&mut Vec<u8>, usize) -> Result<(), CodecFault>,
    ) -> Result<(), CodecFault> {
        self.buffer.clear();
        self.buffer.reserve_exact(expected.min(self.limit).saturating_add(slack));
        let result = append(&mut self.buffer, self.limit);
        self.len = self.buffer.len();
        result
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_kept_from_before_and_nothing_passes_the_limit() {
        let mut plain = Plain::new();
        plain.begin(10);
        plain.put(b"secret").unwrap();
        assert_eq!(plain.put(b"seven b"), Err(CodecFault::TooLarge { limit: 10 }));
        plain.begin(8);
        plain.put(b"ab").unwrap();
        assert_eq!(plain.bytes(), b"ab");
        assert_eq!(plain.history_and_room(100).1.len(), 6);
        plain.expect(1 << 40);
        assert!(plain.capacity() < 64, "{}", plain.capacity());
    }

    #[test]
    fn it_grows_by_doubling_up_to_the_limit() {
        let mut plain = Plain::new();
        plain.begin(1000);
        let mut sizes = Vec::new();
        for _ in 0..10 {
            plain.put(&[7; 100]).unwrap();
            sizes.push(plain.capacity());
        }
        sizes.dedup();
        assert_eq!(sizes, [100, 200, 400, 800, 1000]);
        assert_eq!(plain.bytes(), [7; 1000]);
    }
}
