//! Lengths and counts that lie, in both of Kafka's forms, and frames that are all one byte.

/// An unsigned varint.
pub(super) fn uvarint(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}

/// Numbers that a length should not be where `left` bytes follow: none, negative, the most, just above what is there.
pub(super) fn numbers(left: usize) -> [i64; 8] {
    let left = left as i64;
    [-2, -1, 0, i64::from(i32::MAX), i64::from(i32::MIN), left, left + 1, left / 2 + 1]
}

/// `bytes` with each lie in place of what stands at `at`: as 16 and 32 bits, and as a varint, overlong ones too.
pub fn lies_at(bytes: &[u8], at: usize) -> Vec<Vec<u8>> {
    let left = bytes.len() - at;
    let mut lies = Vec::new();
    let mut put = |lie: &[u8], instead_of: usize| {
        let rest = bytes.get(at + instead_of..).unwrap_or_default();
        lies.push([&bytes[..at], lie, rest].concat());
    };
    for number in numbers(left.saturating_sub(4)) {
        put(&(number as i32).to_be_bytes(), 4);
        put(&(number as i16).to_be_bytes(), 2);
        put(&uvarint(u64::from(number as u32)), 1);
        put(&uvarint(number as u64), 1);
    }
    put(&[0x80; 5], 1);
    put(&[0x80, 0x80, 0x80, 0x80, 0], 1);
    put(&[0xff, 0xff, 0xff, 0xff, 0x7f], 1);
    put(&[0x80; 20], 1);
    lies
}

/// Frames of nothing but one byte: every count the same lie, every array inside the other as deep as the schema goes.
pub fn monotonous() -> impl Iterator<Item = Vec<u8>> {
    let bytes = [0, 1, 2, 3, 4, 5, 8, 16, 32, 64, 0x7f, 0x80, 0x81, 0xfe, 0xff];
    let most = |byte| if byte <= 2 { 200_000 } else { 20_000 };
    bytes.into_iter().flat_map(move |byte| [0, 1, 17, 300, most(byte)].map(|len| vec![byte; len]))
}
