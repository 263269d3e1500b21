//! Varints as they are written: seven bits a byte, the lowest first, and no byte more than the value needs.
//!
//! Records are written by an encoder of their own (`batch/encode.rs`), which has to know each length beforehand.

/// The bytes of an unsigned varint.
pub(crate) fn uvarint(value: u64) -> impl Iterator<Item = u8> {
    let groups = (64 - (value | 1).leading_zeros()).div_ceil(7);
    (0..groups).map(move |group| (value >> (7 * group)) as u8 & 0x7f | if group + 1 < groups { 0x80 } else { 0 })
}

/// The bytes of a signed varint: zigzag, so that numbers around 0 are short.
#[cfg(any(test, feature = "cli"))]
pub(crate) fn varint(value: i64) -> impl Iterator<Item = u8> {
    uvarint(((value << 1) ^ (value >> 63)) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_varint_is_as_short_as_it_can_be() {
        for (value, bytes) in [(0, &[0][..]), (127, &[127]), (128, &[128, 1]), (300, &[0xac, 2])] {
            assert_eq!(uvarint(value).collect::<Vec<_>>(), bytes);
        }
        assert_eq!(uvarint(u32::MAX.into()).collect::<Vec<_>>(), [0xff, 0xff, 0xff, 0xff, 0x0f]);
        for (value, bytes) in [(0, &[0][..]), (-1, &[1]), (1, &[2]), (-64, &[127]), (64, &[128, 1])] {
            assert_eq!(varint(value).collect::<Vec<_>>(), bytes);
        }
        for value in [i64::MIN, i64::MAX] {
            assert_eq!(varint(value).count(), 10);
        }
    }
}
