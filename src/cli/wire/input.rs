//! Bytes as people and scripts give them: hex with any spaces in it, or as they are.

use std::fmt::Write;
use std::io::Read;

use super::super::Failure;

/// The most that is read: a frame of the largest size as hex, twice over.
pub(super) const MAX_INPUT: u64 = 400 << 20;

/// Everything there is to read; fails if that is more than a message can be.
pub(super) fn read_all(from: impl Read) -> Result<Vec<u8>, Failure> {
    let mut input = Vec::new();
    from.take(MAX_INPUT).read_to_end(&mut input)?;
    match input.len() as u64 {
        MAX_INPUT.. => Err(Failure::Failed(format!("the input has more than {MAX_INPUT} bytes"))),
        _ => Ok(input),
    }
}

/// The bytes that `input` stands for: those of its hex, or itself if it holds anything else than hex.
pub(super) fn from_hex_or_raw(input: Vec<u8>) -> Result<Vec<u8>, Failure> {
    if input.iter().all(|c| c.is_ascii_hexdigit() || c.is_ascii_whitespace()) {
        return from_hex(&input).map_err(Failure::Failed);
    }
    Ok(input)
}

/// The bytes of hex, spaces anywhere.
pub(super) fn from_hex(text: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(text.len() / 2);
    let mut high = None;
    for (at, &c) in text.iter().enumerate().filter(|(_, c)| !c.is_ascii_whitespace()) {
        let digit = char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let digit = digit.ok_or_else(|| format!("not hex at byte {at}"))?;
        high = match high {
            None => Some(digit),
            Some(high) => {
                bytes.push(high << 4 | digit);
                None
            }
        };
    }
    if high.is_some() { Err("an odd number of hex digits".into()) } else { Ok(bytes) }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().saturating_mul(2));
    for byte in bytes {
        _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_is_read_with_spaces_anywhere_and_anything_else_is_taken_as_it_is() {
        assert_eq!(from_hex(b" 0 0 fF\n10 ").unwrap(), [0, 0xff, 0x10]);
        assert_eq!(to_hex(&[0, 0xff, 0x10]), "00ff10");
        assert_eq!(from_hex(b"0g").unwrap_err(), "not hex at byte 1");
        assert_eq!(from_hex(b"012").unwrap_err(), "an odd number of hex digits");
        assert_eq!(from_hex_or_raw(b"\0a".to_vec()).ok().unwrap(), b"\0a");
        assert_eq!(from_hex_or_raw(b"0a".to_vec()).ok().unwrap(), b"\x0a");
    }
}
