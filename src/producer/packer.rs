//! Compression of closed batches: on the thread that closes one, before it is handed over, with tables used again.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};

use super::budget::lock;
use crate::config::ProducerConfig;
use crate::error::{Error, Result};
use crate::types::Compression;
use crate::wire::batch::BatchBuilder;
use crate::wire::codec::Compressor;

/// How many times `batch.size` a batch may hold that is expected to compress as well.
const MOST_STRETCH: usize = 4;
/// A ratio of one, in thousandths: what compresses to nothing has 0.
const WHOLE: u32 = 1000;
/// How far an estimate goes towards a better ratio, and towards a worse one, with each batch, and what is added for
/// safety (Java's `CompressionRatioEstimator`, in its thousandths).
const IMPROVING: u32 = 5;
const DETERIORATING: u32 = 50;
const MARGIN: u64 = 1050;

/// The compressors of one producer, as many as threads compress at the same time.
#[derive(Debug)]
pub(super) struct Packer {
    codec: Compression,
    level: i32,
    idle: Mutex<Vec<Compressor>>,
    batch_size: usize,
    /// Bytes a batch holds at the most, however well its topic compresses.
    largest: usize,
}

/// What batches of one topic compress to, as far as was seen.
#[derive(Debug)]
pub(super) struct Ratio(AtomicU32);

impl Default for Ratio {
    fn default() -> Self {
        Self(AtomicU32::new(WHOLE))
    }
}

impl Packer {
    /// Fails if the build lacks the codec.
    pub(super) fn new(config: &ProducerConfig) -> Result<Packer> {
        let (codec, level) = (config.compression_type, config.compression_level());
        let first =
            Compressor::new(codec, level).map_err(|fault| Error::invalid("compression.type", fault.to_string()))?;
        // A batch of no bytes would never be full.
        let batch_size = config.batch_size.max(1);
        let largest = match codec {
            Compression::None => batch_size,
            _ => batch_size.saturating_mul(MOST_STRETCH).min(config.max_request_size.max(batch_size)),
        };
        Ok(Packer { codec, level, idle: Mutex::new(vec![first]), batch_size, largest })
    }

    /// Bytes a batch holds at the most.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Bytes at which a batch of a topic is full: `batch.size` of them are to be left when they are compressed.
    pub(super) fn max_bytes(&self, ratio: &Ratio) -> usize {
        if self.codec == Compression::None {
            return self.batch_size;
        }
        let expected = u64::from(ratio.0.load(Ordering::Relaxed).max(1)) * MARGIN / u64::from(WHOLE);
        let stretched = (self.batch_size as u64).saturating_mul(u64::from(WHOLE)) / expected.max(1);
        usize::try_from(stretched).unwrap_or(usize::MAX).clamp(self.batch_size, self.largest)
    }

    /// Compresses a batch that takes no more records, and learns from it what the next one will come to.
    pub(super) fn pack(&self, builder: &mut BatchBuilder, ratio: &Ratio) {
        if self.codec == Compression::None || builder.is_empty() {
            return;
        }
        let before = builder.wire_len();
        let idle = lock(&self.idle).pop();
        // Its first one was made when the producer was.
        let Some(mut compressor) = idle.or_else(|| Compressor::new(self.codec, self.level).ok()) else { return };
        builder.compress(&mut compressor);
        lock(&self.idle).push(compressor);
        ratio.learn(before, builder.wire_len());
    }
}

impl Ratio {
    fn learn(&self, before: usize, after: usize) {
        let seen = (after as u64).saturating_mul(u64::from(WHOLE)) / (before as u64).max(1);
        let seen = u32::try_from(seen).unwrap_or(WHOLE).min(WHOLE);
        let next = |old: u32| match seen {
            _ if seen > old => Some(old.saturating_add(DETERIORATING).max(seen)),
            _ => Some(old.saturating_sub(IMPROVING).max(seen)),
        };
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next);
    }

    /// A batch was too large for its broker: the next ones are not to be.
    pub(super) fn forget(&self) {
        self.0.store(WHOLE, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packer(compression_type: Compression) -> Packer {
        let config =
            ProducerConfig { compression_type, batch_size: 1000, max_request_size: 3000, ..Default::default() };
        Packer::new(&config).unwrap()
    }

    #[test]
    fn without_a_codec_a_batch_is_full_at_batch_size() {
        let packer = packer(Compression::None);
        let ratio = Ratio::default();
        ratio.learn(1000, 10);
        assert_eq!((packer.max_bytes(&ratio), packer.largest()), (1000, 1000));
    }

    /// What a batch comes to at this level of its codec, with the first compressor of a producer and with a later one.
    #[cfg(any(feature = "gzip", feature = "zstd"))]
    fn packed_len(config: ProducerConfig) -> usize {
        let packer = Packer::new(&config).unwrap();
        let pack = || {
            let mut builder = BatchBuilder::new(Vec::new(), 1 << 20);
            for i in 0..2_000u32 {
                let value = format!("{{\"id\":{},\"state\":\"{}\"}}", i.wrapping_mul(2_654_435_761), i % 7);
                builder.append(&crate::record::NewRecord::value(value.as_bytes()), 7).expect("room");
            }
            packer.pack(&mut builder, &Ratio::default());
            builder.wire_len()
        };
        let first = pack();
        lock(&packer.idle).clear();
        assert_eq!(pack(), first, "one that is made on the way has the level too");
        first
    }

    #[test]
    #[cfg(feature = "gzip")]
    fn the_level_of_gzip_is_the_one_that_was_set() {
        let len = |compression_gzip_level| {
            let compression_type = Compression::Gzip;
            packed_len(ProducerConfig { compression_type, compression_gzip_level, ..Default::default() })
        };
        assert!(len(9) < len(1), "{} {}", len(9), len(1));
        assert_eq!(len(-1), len(6));
    }

    #[test]
    #[cfg(feature = "zstd")]
    fn the_level_of_zstd_is_the_one_that_was_set() {
        let len = |compression_zstd_level| {
            let compression_type = Compression::Zstd;
            packed_len(ProducerConfig { compression_type, compression_zstd_level, ..Default::default() })
        };
        assert!(len(22) < len(-7), "{} {}", len(22), len(-7));
    }

    #[test]
    #[cfg(feature = "lz4")]
    fn a_topic_that_compresses_well_gets_longer_batches_slowly_and_loses_them_at_once() {
        let packer = packer(Compression::Lz4);
        let ratio = Ratio::default();
        assert_eq!(packer.max_bytes(&ratio), 1000, "nothing is known");
        for _ in 0..100 {
            ratio.learn(1000, 300);
        }
        assert_eq!(packer.max_bytes(&ratio), 1000 * 1000 / (500 * 1050 / 1000));
        for _ in 0..100 {
            ratio.learn(1000, 300);
        }
        assert_eq!(packer.max_bytes(&ratio), 3000, "never above max.request.size");
        ratio.learn(1000, 900);
        assert_eq!(packer.max_bytes(&ratio), 1000 * 1000 / (900 * 1050 / 1000));
        ratio.forget();
        assert_eq!(packer.max_bytes(&ratio), 1000);
    }
}
