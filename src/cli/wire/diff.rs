//! `milena wire diff`: two messages field by field, as diff(1) tells two files.

use std::collections::HashMap;
use std::io::{BufWriter, Write};

use super::super::{Failure, Outcome};
use super::args::DiffOptions;
use super::input;
use crate::wire::json;

/// A field's path, its value as text, and its bytes.
type Field = (String, String, Vec<u8>);

/// Prints `< path value` for what the first has and `> path value` for what the second has. Fails if they differ.
pub(super) fn run(options: &DiffOptions) -> Outcome {
    let [first, second] = messages(options)?;
    let (first, second) = (fields(options, &first, "first")?, fields(options, &second, "second")?);
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut differences = 0u64;
    for (sign, path, value) in differences_of(&first, &second) {
        differences = differences.saturating_add(1);
        writeln!(out, "{sign} {path}  {value}")?;
    }
    out.flush()?;
    match differences {
        0 => Ok(()),
        _ => Err(Failure::Failed("the messages differ".into())),
    }
}

/// The bytes of both: of two files, or of two lines of hex on stdin.
fn messages(options: &DiffOptions) -> Result<[Vec<u8>; 2], Failure> {
    if let [first, second] = options.files.as_slice() {
        let read = |path: &std::path::Path| {
            let file = std::fs::File::open(path).map_err(|e| Failure::Failed(format!("{}: {e}", path.display())))?;
            input::from_hex_or_raw(input::read_all(file)?)
        };
        return Ok([read(first)?, read(second)?]);
    }
    let text = input::read_all(std::io::stdin().lock())?;
    let mut lines = text.split(|c| *c == b'\n').filter(|line| !line.iter().all(u8::is_ascii_whitespace));
    let (Some(first), Some(second), None) = (lines.next(), lines.next(), lines.next()) else {
        return Err(Failure::Usage("two files, or two lines of hex on stdin, are needed".into()));
    };
    let [first, second] = [first, second].map(|line| input::from_hex(line).map_err(Failure::Failed));
    Ok([first?, second?])
}

/// Every field with its value; offsets are left out, or one longer string would make all that follow differ.
fn fields(options: &DiffOptions, bytes: &[u8], which: &str) -> Result<Vec<Field>, Failure> {
    let mut fields = Vec::new();
    let dumped = json::dump(options.api, options.version, options.direction, bytes, &mut |row| {
        match row.type_name {
            // How many tags follow, and of which size, the fields themselves tell.
            "tags" => {}
            "tag" if !row.value.contains("unknown") => {}
            "tag" => fields.push((format!("{} {}", row.path, row.value), String::new(), row.bytes.to_vec())),
            _ => fields.push((row.path, row.value, row.bytes.to_vec())),
        }
    });
    dumped.map_err(|fault| Failure::Failed(format!("{which}: {fault}")))?;
    Ok(fields)
}

/// In the order of the first, what it has otherwise or alone; then what only the second has.
fn differences_of(first: &[Field], second: &[Field]) -> Vec<(char, String, String)> {
    let by_path: HashMap<&str, &Field> = second.iter().map(|field| (field.0.as_str(), field)).collect();
    let ours: HashMap<&str, &Field> = first.iter().map(|field| (field.0.as_str(), field)).collect();
    let mut found = Vec::new();
    for field in first {
        match by_path.get(field.0.as_str()) {
            Some(other) if field == *other => {}
            Some(other) if field.1 == other.1 => found.extend([as_bytes('<', field), as_bytes('>', other)]),
            Some(other) => found.extend([as_text('<', field), as_text('>', other)]),
            None => found.push(as_text('<', field)),
        }
    }
    found.extend(second.iter().filter(|field| !ours.contains_key(field.0.as_str())).map(|field| as_text('>', field)));
    found
}

fn as_text(sign: char, (path, value, _): &Field) -> (char, String, String) {
    (sign, path.clone(), value.clone())
}

/// For values whose text does not tell them apart.
fn as_bytes(sign: char, (path, _, bytes): &Field) -> (char, String, String) {
    (sign, path.clone(), input::to_hex(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_told_in_the_order_of_the_first_message() {
        let field = |path: &str, value: &str| (path.to_owned(), value.to_owned(), value.as_bytes().to_vec());
        let first = [field("a", "1"), field("b", "2"), field("c", "3")];
        let second = [field("a", "1"), field("b", "4"), field("d", "5")];
        let row = |sign, path: &str, value: &str| (sign, path.to_owned(), value.to_owned());
        let expected = [row('<', "b", "2"), row('>', "b", "4"), row('<', "c", "3"), row('>', "d", "5")];
        assert_eq!(differences_of(&first, &second), expected);
        assert!(differences_of(&first, &first).is_empty());
    }
}
