//! Reads Java's `.properties` syntax as `java.util.Properties` does: comments, continued lines, escapes, separators.

use zeroize::{Zeroize, Zeroizing};

use crate::config::security::Secret;
use crate::error::{Error, Result};

/// One property of a file, as it was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// Any value may be a password: what the reader makes on the way to it is overwritten.
    pub(super) value: Secret,
    /// The line it begins on, from 1.
    pub(super) line: usize,
}

/// Every entry in the order of the file; of a key that is there twice the last one counts, as in Java.
///
/// Fails on a `\u` that is not a character, with `file` and the line. Bytes that are not UTF-8 are read as ISO 8859-1,
/// as Java reads all of them.
pub(super) fn parse(bytes: &[u8], file: &str) -> Result<Vec<Entry>> {
    let text = Zeroizing::new(match std::str::from_utf8(bytes) {
        Ok(text) => text.strip_prefix('\u{feff}').unwrap_or(text).to_owned(),
        Err(_) => latin1(bytes),
    });
    logical_lines(&text).into_iter().map(|(logical, line)| entry(&logical, line, file)).collect()
}

/// With room for all of it from the start: text that grows leaves copies behind.
fn latin1(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    text.extend(bytes.iter().copied().map(char::from));
    text
}

fn entry(logical: &str, line: usize, file: &str) -> Result<Entry> {
    let (key, value) = split(logical);
    let malformed = || {
        Error::invalid(file, format!("line {line}: \\u must be followed by the four hexadecimal digits of a character"))
    };
    let (key, value) = unescape(key).zip(unescape(value)).ok_or_else(malformed)?;
    if key.is_empty() {
        return Err(Error::invalid(file, format!("line {line}: a value without a name; write name=value")));
    }
    Ok(Entry { key, value: Secret::new(value), line })
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\u{c}')
}

/// Lines that hold a property, their continuations joined, and where each begins. Blank lines and comments are gone.
fn logical_lines(text: &str) -> Vec<(Zeroizing<String>, usize)> {
    let mut lines = Vec::new();
    let (mut open, mut began) = (Zeroizing::new(String::with_capacity(text.len())), 0);
    for (number, natural) in (1..).zip(natural_lines(text)) {
        let natural = natural.trim_start_matches(is_blank);
        if open.is_empty() {
            began = number;
            if natural.starts_with(['#', '!']) {
                continue;
            }
        }
        // Two backslashes are one of the text; the last of an odd number joins the next line to this one.
        let backslashes = natural.len() - natural.trim_end_matches('\\').len();
        let is_continued = backslashes % 2 == 1;
        open.push_str(if is_continued { &natural[..natural.len() - 1] } else { natural });
        if !is_continued && !open.is_empty() {
            lines.push((Zeroizing::new(open.as_str().to_owned()), began));
            open.zeroize();
        }
    }
    if !open.is_empty() {
        lines.push((open, began));
    }
    lines
}

/// Lines that end in `\n`, `\r\n` or `\r`.
fn natural_lines(text: &str) -> impl Iterator<Item = &str> {
    let lines = text.split_inclusive('\n').map(|line| line.strip_suffix('\n').unwrap_or(line));
    lines.flat_map(|line| line.strip_suffix('\r').unwrap_or(line).split('\r'))
}

/// Key and value as they are written: the key ends at the first `=`, `:` or blank that no backslash precedes.
fn split(logical: &str) -> (&str, &str) {
    let mut is_escaped = false;
    let end = logical.find(|c| {
        let is_end = !is_escaped && (is_blank(c) || matches!(c, '=' | ':'));
        is_escaped = c == '\\' && !is_escaped;
        is_end
    });
    let (key, rest) = logical.split_at(end.unwrap_or(logical.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

/// The text that escapes stand for; `None` if a `\u` stands for none.
fn unescape(text: &str) -> Option<String> {
    let mut units = Zeroizing::new(Vec::with_capacity(text.len()));
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        let c = if c == '\\' {
            rest.next()?
        } else {
            units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
            continue;
        };
        let plain = match c {
            't' => '\t',
            'n' => '\n',
            'r' => '\r',
            'f' => '\u{c}',
            'u' => {
                units.push(unit(&mut rest)?);
                continue;
            }
            other => other,
        };
        units.extend_from_slice(plain.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

/// Four hexadecimal digits.
fn unit(rest: &mut std::str::Chars<'_>) -> Option<u16> {
    (0..4).try_fold(0, |unit, _| Some(unit << 4 | u16::try_from(rest.next()?.to_digit(16)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(text: &str) -> Vec<(String, String)> {
        let entries = parse(text.as_bytes(), "f").unwrap();
        entries.into_iter().map(|e| (e.key, e.value.expose().to_owned())).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.into(), value.into())
    }

    /// The file holds every rule of the syntax; Java's own reading of it stands beside it, key and value a line each.
    #[test]
    fn a_nasty_file_is_read_as_java_reads_it() {
        let bytes = include_bytes!("../../fixtures/properties/nasty.properties");
        let mut ours: std::collections::BTreeMap<String, String> = Default::default();
        ours.extend(parse(bytes, "nasty").unwrap().into_iter().map(|e| (e.key, e.value.expose().to_owned())));
        let java = include_str!("../../fixtures/properties/nasty.tsv");
        let line = |(key, value): (&String, &String)| format!("{}\t{}", key.escape_default(), value.escape_default());
        let ours: Vec<String> = ours.iter().map(line).collect();
        let java: Vec<String> = java.lines().map(str::to_owned).collect();
        assert_eq!(ours, java);
        assert!(java.len() >= 30, "the fixture is there");
    }

    #[test]
    fn an_entry_tells_the_line_it_begins_on() {
        let entries = parse(b"# one\r\n\r\n a = 1 \\\r\n   2\rb:3", "f").unwrap();
        let lines: Vec<_> = entries.iter().map(|e| (e.key.as_str(), e.value.expose(), e.line)).collect();
        assert_eq!(lines, [("a", "1 2", 3), ("b", "3", 5)]);
    }

    #[test]
    fn the_last_backslash_of_a_file_joins_nothing() {
        assert_eq!(pairs("a=b\\"), [pair("a", "b")]);
        assert_eq!(pairs("a=b\\\n"), [pair("a", "b")]);
        assert_eq!(pairs("\\"), []);
    }

    #[test]
    fn a_file_that_is_not_utf8_is_latin_1() {
        let entries = parse(b"client.id=caf\xe9", "f").unwrap();
        assert_eq!(entries[0].value.expose(), "café");
        assert_eq!(pairs("client.id=café"), [pair("client.id", "café")]);
        assert_eq!(pairs("\u{feff}a=1"), [pair("a", "1")], "an editor's byte order mark is no part of the name");
    }

    #[test]
    fn what_is_no_character_or_has_no_name_is_refused_with_file_and_line() {
        for text in ["\na=\\u12", "\na=\\u12g4", "\na=\\ud83d", "\na=\\ud83d\\u0041", "\n=hidden", "\n:hidden"] {
            let error = parse(text.as_bytes(), "client.properties").unwrap_err().to_string();
            assert!(error.contains("client.properties") && error.contains("line 2"), "{error}");
            assert!(!error.contains("hidden"), "a value may be a secret: {error}");
        }
    }
}
