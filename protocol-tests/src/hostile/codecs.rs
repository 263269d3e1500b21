//! What a codec must do with any bytes: keep to its limit as it reads them, and give them back if it wrote them.

use milena::wire::batch::Compression;
use milena::wire::codec::{Compressor, Decompressor};

const LIMIT: usize = 1024 * 1024;

/// Decompresses `data` as if a peer had sent it; then compresses it and back.
pub fn there_and_back(codec: Compression, data: &[u8]) {
    let mut decompressor = Decompressor::new(LIMIT);
    if let Ok(plain) = decompressor.decompress(codec, data) {
        assert!(plain.len() <= LIMIT, "{} bytes", plain.len());
    }
    let mut compressor = Compressor::new(codec, 1).expect("every codec is built in");
    if let Some(packed) = compressor.compress(data) {
        let plain = decompressor.decompress(codec, packed).expect("what was written can be read");
        assert!(plain == data, "{codec} gives back other bytes");
    }
}
