//! The one question of DNS that the standard library cannot ask: the name of an address (RFC 1035, PTR).

use std::net::IpAddr;

const PTR: u16 = 12;
const INTERNET: u16 = 1;
const HEADER: usize = 12;
/// Compression may jump back this often in one name; more is a loop.
const MOST_JUMPS: usize = 16;

/// The name under which an address is found (RFC 1035 section 3.5, RFC 3596 section 2.5).
fn reverse_name(address: IpAddr) -> String {
    match address {
        IpAddr::V4(v4) => {
            let octets: String = v4.octets().iter().rev().map(|octet| format!("{octet}.")).collect();
            octets + "in-addr.arpa"
        }
        IpAddr::V6(v6) => {
            let nibbles = v6.octets().into_iter().rev().flat_map(|octet| [octet & 15, octet >> 4]);
            let nibbles: String = nibbles.map(|nibble| format!("{nibble:x}.")).collect();
            nibbles + "ip6.arpa"
        }
    }
}

/// The question for the name of `address`.
pub(super) fn question(id: u16, address: IpAddr) -> Vec<u8> {
    const RECURSION_DESIRED: u16 = 0x0100;
    let mut bytes = Vec::with_capacity(100);
    for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    for label in reverse_name(address).split('.') {
        // Labels of an address are a few digits.
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    for word in [PTR, INTERNET] {
        bytes.extend_from_slice(&word.to_be_bytes());
    }
    bytes
}

/// The first name in the answer to `question`; `None` if it is no answer to it, tells of none, or is damaged.
pub(super) fn answer(question: &[u8], bytes: &[u8]) -> Option<String> {
    let word = |at: usize| Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?));
    let (is_answer, code) = (word(2)? & 0x8000 != 0, word(2)? & 0x000f);
    let is_ours = bytes.get(..2) == question.get(..2) && bytes.get(HEADER..question.len()) == question.get(HEADER..);
    if !is_answer || code != 0 || !is_ours || word(4)? != 1 {
        return None;
    }
    let mut at = question.len();
    for _ in 0..word(6)? {
        at = end_of_name(bytes, at)?;
        let (kind, class, length) = (word(at)?, word(at + 2)?, usize::from(word(at + 8)?));
        at += 10;
        if (kind, class) == (PTR, INTERNET) {
            return name(bytes, at);
        }
        at += length;
    }
    None
}

/// Where the name that begins at `at` ends.
fn end_of_name(bytes: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match *bytes.get(at)? {
            0 => return Some(at + 1),
            length if length >= 0xc0 => return Some(at + 2),
            length if length < 0x40 => at += 1 + usize::from(length),
            _ => return None,
        }
    }
}

/// The name that begins at `at`, if it is one of a host.
fn name(bytes: &[u8], mut at: usize) -> Option<String> {
    let (mut name, mut jumps) = (String::new(), 0);
    loop {
        let length = *bytes.get(at)?;
        if length >= 0xc0 {
            jumps += 1;
            at = usize::from(length & 0x3f) << 8 | usize::from(*bytes.get(at + 1)?);
            (jumps <= MOST_JUMPS).then_some(())?;
            continue;
        }
        if length == 0 {
            return (!name.is_empty()).then_some(name);
        }
        let label = bytes.get(at + 1..at + 1 + usize::from(length))?;
        let is_plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        if length >= 0x40 || !label.iter().all(is_plain) || name.len() + label.len() > 253 {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        name.extend(label.iter().copied().map(char::from));
        at += 1 + usize::from(length);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Vec<u8> {
        question(7, "10.1.2.3".parse().unwrap())
    }

    /// An answer: flags, then records of kind and data, each for the name that was asked.
    fn answered(flags: u16, records: &[(u16, &[u8])]) -> Vec<u8> {
        let mut bytes = asked();
        bytes[2..4].copy_from_slice(&flags.to_be_bytes());
        bytes[7] = u8::try_from(records.len()).unwrap();
        for (kind, data) in records {
            bytes.extend_from_slice(&[0xc0, 12]);
            bytes.extend_from_slice(&kind.to_be_bytes());
            bytes.extend_from_slice(&[0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap()]);
            bytes.extend_from_slice(data);
        }
        bytes
    }

    const NAME: &[u8] = b"\x07kafka-1\x07example\0";

    #[test]
    fn addresses_are_asked_for_backwards() {
        assert_eq!(reverse_name("10.1.2.3".parse().unwrap()), "3.2.1.10.in-addr.arpa");
        let v6 = reverse_name("2001:db8::567:89ab".parse().unwrap());
        assert_eq!(v6, "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa");
        assert_eq!(&asked()[12..], b"\x013\x012\x011\x0210\x07in-addr\x04arpa\0\0\x0c\0\x01");
    }

    #[test]
    fn the_first_name_of_an_answer_is_taken_behind_aliases_and_compression() {
        assert_eq!(answer(&asked(), &answered(0x8180, &[(PTR, NAME)])).as_deref(), Some("kafka-1.example"));
        let alias: &[u8] = b"\x03sub\xc0\x0c";
        assert_eq!(answer(&asked(), &answered(0x8180, &[(5, alias), (PTR, NAME)])).as_deref(), Some("kafka-1.example"));
        let compressed: &[u8] = b"\x04host\xc0\x15";
        assert_eq!(answer(&asked(), &answered(0x8180, &[(PTR, compressed)])).as_deref(), Some("host.in-addr.arpa"));
    }

    #[test]
    fn what_is_no_answer_of_ours_or_no_name_of_a_host_is_none() {
        let good = answered(0x8180, &[(PTR, NAME)]);
        let mut other_id = good.clone();
        other_id[0] ^= 1;
        let mut other_question = good.clone();
        other_question[13] = b'4';
        let looped = answered(0x8180, &[(PTR, &[0xc0, u8::try_from(asked().len() + 12).unwrap()])]);
        for bytes in [
            other_id,
            other_question,
            looped,
            asked(),
            answered(0x8183, &[(PTR, NAME)]),
            answered(0x8180, &[]),
            answered(0x8180, &[(PTR, b"\x05a b/c\0")]),
            answered(0x8180, &[(PTR, b"\0")]),
            answered(0x8180, &[(PTR, b"\x41a\0")]),
        ] {
            assert_eq!(answer(&asked(), &bytes), None, "{bytes:02x?}");
        }
        for kept in 0..good.len() {
            assert_eq!(answer(&asked(), &good[..kept]), None, "cut after {kept} bytes");
        }
    }
}
