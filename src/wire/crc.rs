//! CRC-32C (Castagnoli), the checksum of record batches and of whatever else is stored.

/// The checksum of `bytes`, by the CPU's own instructions where it has them.
#[inline]
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc_fast::crc32_iscsi(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    #[test]
    fn the_vectors_of_rfc_3720_come_out() {
        let ascending: Vec<u8> = (0..32).collect();
        let vectors: [(&[u8], u32); 5] = [
            (b"", 0),
            (b"123456789", 0xe306_9283),
            (&[0; 32], 0x8a91_36aa),
            (&[0xff; 32], 0x62a8_ab43),
            (&ascending, 0x46dd_794e),
        ];
        for (bytes, sum) in vectors {
            assert_eq!(super::crc32c(bytes), sum, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn another_crate_comes_to_the_same(bytes: Vec<u8>, times in 1..200usize) {
            let bytes = bytes.repeat(times);
            prop_assert_eq!(super::crc32c(&bytes), crc32c::crc32c(&bytes));
        }
    }
}
