//! The bytes of one record: their number known first, then each written once into a slice of exactly that length.

use crate::record::{Header, NewRecord};

/// Length, attributes, timestamp delta, offset delta and nothing else, at their longest.
const MAX_FIXED: usize = 5 + 1 + 10 + 5;

/// The most a record takes in a batch's bytes, to which [`BATCH_HEADER_LEN`](super::BATCH_HEADER_LEN) comes once, so
/// that a record which cannot fit is refused before it is buffered (Java's `DefaultRecord.recordSizeUpperBound`).
pub fn record_size_upper_bound(record: &NewRecord<'_>) -> usize {
    MAX_FIXED.saturating_add(content_len(record))
}

/// A record with its deltas, measured.
pub(super) struct Measured<'r> {
    record: &'r NewRecord<'r>,
    timestamp_delta: u64,
    offset_delta: u64,
    body_len: usize,
}

impl<'r> Measured<'r> {
    /// Measures `record`. The timestamp delta wraps as Java's does, so that every pair of times round-trips.
    #[inline]
    pub(super) fn new(record: &'r NewRecord<'r>, timestamp_delta: i64, index: u32) -> Self {
        let (timestamp_delta, offset_delta) = (zigzag(timestamp_delta), zigzag(i64::from(index)));
        let fixed = 1 + varint_len(timestamp_delta) + varint_len(offset_delta);
        Self { record, timestamp_delta, offset_delta, body_len: content_len(record).saturating_add(fixed) }
    }

    /// Bytes in the batch; `None` if no batch can hold the record, because a length in it is above `i32::MAX`.
    #[inline]
    pub(super) fn wire_len(&self) -> Option<usize> {
        i32::try_from(self.body_len).ok().map(|_| self.body_len + varint_len(zigzag_len(self.body_len)))
    }

    /// Writes the record into `out`, which is exactly [`wire_len`](Self::wire_len) long.
    #[inline]
    pub(super) fn write(&self, out: &mut [u8]) {
        let mut out = Out { bytes: out, at: 0 };
        out.varint(zigzag_len(self.body_len));
        out.byte(0); // No record attribute is defined.
        out.varint(self.timestamp_delta);
        out.varint(self.offset_delta);
        out.nullable(self.record.key);
        out.nullable(self.record.value);
        out.varint(zigzag_len(self.record.headers.len()));
        for Header { key, value } in self.record.headers {
            out.nullable(Some(key));
            out.nullable(*value);
        }
    }
}

/// Key, value and headers with their lengths.
#[inline]
fn content_len(record: &NewRecord<'_>) -> usize {
    let headers = record.headers;
    nullable_len(record.key).saturating_add(nullable_len(record.value)).saturating_add(
        headers.iter().fold(varint_len(zigzag_len(headers.len())), |sum, h| {
            sum.saturating_add(nullable_len(Some(h.key))).saturating_add(nullable_len(h.value))
        }),
    )
}

#[inline]
fn nullable_len(bytes: Option<&[u8]>) -> usize {
    bytes.map_or(1, |b| varint_len(zigzag_len(b.len())) + b.len())
}

#[inline]
fn varint_len(value: u64) -> usize {
    // Seven bits a byte, without a division: exact for 1 to 64 bits.
    let bits = 64 - (value | 1).leading_zeros() as usize;
    (bits * 9 + 64) / 64
}

#[inline]
fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

#[inline]
fn zigzag_len(len: usize) -> u64 {
    (len as u64) << 1
}

/// A slice that is filled from the front.
struct Out<'b> {
    bytes: &'b mut [u8],
    at: usize,
}

impl Out<'_> {
    #[inline]
    fn byte(&mut self, byte: u8) {
        self.bytes[self.at] = byte;
        self.at += 1;
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.byte(value as u8 | 0x80);
            value >>= 7;
        }
        self.byte(value as u8);
    }

    #[inline]
    fn nullable(&mut self, bytes: Option<&[u8]>) {
        let Some(bytes) = bytes else { return self.byte(1) };
        self.varint(zigzag_len(bytes.len()));
        copy(&mut self.bytes[self.at..self.at + bytes.len()], bytes);
        self.at += bytes.len();
    }
}

/// Copies `from` over `to`, both of one length, inline where it is short: a call to memcpy costs more than 100 bytes
/// do, above all in static musl builds. There is no loop here, because the compiler makes such a call of one.
#[inline]
fn copy(to: &mut [u8], from: &[u8]) {
    match from.len() {
        0 => {}
        1 => ends::<1>(to, from),
        2..=4 => ends::<2>(to, from),
        5..=8 => ends::<4>(to, from),
        9..=16 => ends::<8>(to, from),
        17..=32 => ends::<16>(to, from),
        33..=64 => ends::<32>(to, from),
        65..=128 => ends::<64>(to, from),
        129..=256 => ends::<128>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first `N` bytes and the last, which overlap where there are less than twice as many.
#[inline(always)]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    if let (Some(t), Some(f)) = (to.first_chunk_mut::<N>(), from.first_chunk::<N>()) {
        *t = *f;
    }
    if let (Some(t), Some(f)) = (to.last_chunk_mut::<N>(), from.last_chunk::<N>()) {
        *t = *f;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_known_before_it_is_written() {
        for bits in 0..64 {
            for value in [1u64 << bits, (1u64 << bits) - 1, u64::MAX >> bits] {
                let mut bytes = [0; 10];
                let mut out = Out { bytes: &mut bytes, at: 0 };
                out.varint(value);
                assert_eq!(varint_len(value), out.at, "{value}");
            }
        }
    }

    #[test]
    fn every_length_is_copied_whole() {
        let from: Vec<u8> = (0..600).map(|i| i as u8 | 1).collect();
        for len in 0..from.len() {
            let mut to = vec![0; len];
            copy(&mut to, &from[..len]);
            assert_eq!(to, from[..len], "{len}");
        }
    }
}
