//! A copy of a body without the tagged fields that nobody knows: no longer than the body, and only made where it has any.

use bytes::Bytes;
use std::ops::Range;

use super::varint::uvarint;

/// What is known, as far as the body has been copied.
#[derive(Debug, Default)]
pub(super) struct Known {
    bytes: Vec<u8>,
    /// How far into the body the copy has come.
    copied: usize,
}

impl Known {
    /// Copies `body` up to `range`, of which the copy has nothing. Ranges come in rising order.
    pub(super) fn leave_out(&mut self, body: &[u8], range: Range<usize>) {
        if self.bytes.capacity() == 0 {
            self.bytes.reserve_exact(body.len());
        }
        self.bytes.extend_from_slice(body.get(self.copied..range.start).unwrap_or_default());
        self.copied = range.end;
    }

    /// Puts a varint in place of what was left out last, which must have been at least as long.
    pub(super) fn put_uvarint(&mut self, value: u32) {
        self.bytes.extend(uvarint(value.into()));
    }

    /// By how much the copy is shorter so far.
    pub(super) fn left_out(&self) -> usize {
        self.copied.saturating_sub(self.bytes.len())
    }

    /// Tells anew the `size` of the tagged value that was copied last, if part of it was left out. It stands in the body
    /// at `size_at`; `before` it so much had been left out.
    pub(super) fn resize(&mut self, size_at: Range<usize>, size: usize, before: usize) {
        let shorter = self.left_out().saturating_sub(before);
        let place = size_at.start.saturating_sub(before)..size_at.end.saturating_sub(before);
        if shorter > 0 && place.end <= self.bytes.len() {
            self.bytes.splice(place, uvarint(size.saturating_sub(shorter) as u64));
        }
    }

    /// The copy to its end; `None` if nothing was left out.
    pub(super) fn all_of(mut self, body: &[u8]) -> Option<Bytes> {
        if self.copied == 0 {
            return None;
        }
        self.leave_out(body, body.len()..body.len());
        Some(self.bytes.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_out_of_a_value_is_taken_from_its_size() {
        // A value of 200 bytes, of which 150 are left out, so that its size takes one byte less as well.
        let body = [&[9, 0xc8, 1][..], &[1; 200], &[7]].concat();
        let mut known = Known::default();
        known.leave_out(&body, 10..160);
        known.resize(1..3, 200, 0);
        assert_eq!(known.left_out(), 151);
        assert_eq!(known.all_of(&body).unwrap(), [&[9, 50][..], &[1; 50], &[7]].concat());
        assert_eq!(Known::default().all_of(&body), None);
    }
}
