//! `milena wire decode`: one message as a table of its bytes, up to its end or to its fault.

use std::fmt::Write as _;
use std::io::{BufWriter, Write};

use super::super::{Failure, Outcome};
use super::args::MessageOptions;
use super::input;
use crate::wire::json::{self, Row};

/// Bytes shown of a row; the others are behind an ellipsis.
const SHOWN: usize = 12;

/// Prints a row for each piece of the message, then the fault if there is one, which is the failure too.
pub(super) fn run(options: &MessageOptions) -> Outcome {
    let (Some(api), Some(version), Some(direction)) = (options.api, options.version, options.direction) else {
        return Err(Failure::Usage("--api, --version and --direction are needed".into()));
    };
    let bytes = input::read_all(std::io::stdin().lock())?;
    let bytes = if options.raw { bytes } else { input::from_hex_or_raw(bytes)? };
    let mut out = BufWriter::new(std::io::stdout().lock());
    let mut written = Ok(());
    let dumped = json::dump(api, version, direction, &bytes, &mut |row| {
        if written.is_ok() {
            written = print(&mut out, &row);
        }
    });
    written?;
    if let Err(fault) = &dumped {
        let (offset, path, reason) = (fault.offset, &fault.path, &fault.reason);
        writeln!(out, "fault at byte {offset}{}{path}: {reason}", if path.is_empty() { "" } else { ", in " })?;
    }
    out.flush()?;
    dumped.map_err(|fault| Failure::Failed(fault.to_string()))
}

/// Offset, bytes, type, field, value.
fn print(out: &mut impl Write, row: &Row<'_>) -> std::io::Result<()> {
    let mut bytes = String::new();
    for byte in row.bytes.iter().take(SHOWN) {
        _ = write!(bytes, "{byte:02x} ");
    }
    if row.bytes.len() > SHOWN {
        bytes.push('…');
    }
    let width = SHOWN * 3 + 1;
    writeln!(out, "{:>8}  {bytes:<width$}  {:<8}  {}  {}", row.offset, row.type_name, row.path, row.value)
}
