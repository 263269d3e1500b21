//! Frame buffers that come back: the hottest one first, few and small enough that an idle connection holds little.

use std::sync::{Arc, Mutex};

use bytes::Bytes;

/// Buffers kept by one connection.
const KEPT: usize = 4;
/// A buffer that grew larger than this is given back to the allocator.
const KEPT_BYTES: usize = 2 * 1024 * 1024;

/// Empty buffers of one connection, last in first out.
#[derive(Debug, Default)]
pub(super) struct BufferPool {
    free: Mutex<Vec<Vec<u8>>>,
}

impl BufferPool {
    /// An empty buffer, possibly with capacity.
    pub(super) fn take(&self) -> Vec<u8> {
        self.free.lock().ok().and_then(|mut free| free.pop()).unwrap_or_default()
    }

    /// A filled buffer as `Bytes`; it returns here when the last slice of it is dropped.
    pub(super) fn share(self: &Arc<Self>, buffer: Vec<u8>) -> Bytes {
        Bytes::from_owner(Pooled { buffer, pool: Arc::clone(self) })
    }

    fn give_back(&self, mut buffer: Vec<u8>) {
        buffer.clear();
        if let Ok(mut free) = self.free.lock()
            && free.len() < KEPT
            && buffer.capacity() <= KEPT_BYTES
        {
            free.push(buffer);
        }
    }
}

struct Pooled {
    buffer: Vec<u8>,
    pool: Arc<BufferPool>,
}

impl AsRef<[u8]> for Pooled {
    fn as_ref(&self) -> &[u8] {
        &self.buffer
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        self.pool.give_back(std::mem::take(&mut self.buffer));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_returns_when_its_last_slice_is_gone() {
        let pool = Arc::new(BufferPool::default());
        let frame = pool.share(b"abcdef".to_vec());
        let slice = frame.slice(2..4);
        drop(frame);
        assert_eq!(pool.take().capacity(), 0, "still borrowed");
        assert_eq!(&slice[..], b"cd");
        drop(slice);
        let buffer = pool.take();
        assert!(buffer.is_empty() && buffer.capacity() >= 6);
    }

    #[test]
    fn large_and_surplus_buffers_are_not_kept() {
        let pool = Arc::new(BufferPool::default());
        drop(pool.share(Vec::with_capacity(KEPT_BYTES + 1)));
        assert_eq!(pool.take().capacity(), 0);
        let shared: Vec<Bytes> = (0..9).map(|_| pool.share(vec![1; 10])).collect();
        drop(shared);
        assert_eq!(pool.free.lock().unwrap().len(), KEPT);
    }
}
