//! JSON lines in, JSON lines out: every line is answered, in order, and at once if no other waits.

use std::io::{BufRead, BufReader, BufWriter, Read, Write};

use serde_json::{Map, Value, json};

use super::super::{Failure, Outcome};
use super::input::MAX_INPUT;

/// A line as it came; what is not replaced is given back.
pub(super) type Line = Map<String, Value>;

/// What is wrong with one line; the others are answered all the same.
pub(super) enum Fault {
    /// It asks nothing: no JSON object, or one without what has to be in it.
    NoRequest(String),
    /// The answer: the message or the value is at fault here.
    Malformed { offset: usize, field: String, reason: String },
}

/// Answers every line of stdin: what `answer` makes of it, or the line with an `error` of offset, field and reason.
///
/// A fault in a message is an answer. Fails at the end if a line was no request, which has an `error` line too.
pub(super) fn answer(mut answer: impl FnMut(&mut Line) -> Result<(), Fault>) -> Outcome {
    let mut input = BufReader::with_capacity(1 << 16, std::io::stdin().lock());
    let mut output = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
    let mut bytes = Vec::new();
    let (mut count, mut unanswered) = (0u64, 0u64);
    loop {
        bytes.clear();
        if (&mut input).take(MAX_INPUT).read_until(b'\n', &mut bytes)? == 0 {
            break;
        }
        if bytes.len() as u64 == MAX_INPUT && bytes.last() != Some(&b'\n') {
            return Err(Failure::Failed(format!("line {}: more than {MAX_INPUT} bytes", count.saturating_add(1))));
        }
        if bytes.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        count = count.saturating_add(1);
        let (line, is_request) = answer_line(&bytes, &mut answer);
        unanswered = unanswered.saturating_add(u64::from(!is_request));
        serde_json::to_writer(&mut output, &line).map_err(std::io::Error::from)?;
        output.write_all(b"\n")?;
        if input.buffer().is_empty() {
            output.flush()?;
        }
    }
    output.flush()?;
    match unanswered {
        0 => Ok(()),
        n => Err(Failure::Failed(format!("{n} of {count} lines are no request"))),
    }
}

/// The answer to one line, and whether the line asked anything.
fn answer_line(bytes: &[u8], answer: &mut impl FnMut(&mut Line) -> Result<(), Fault>) -> (Value, bool) {
    let parsed = serde_json::from_slice(bytes).map_err(|e| e.to_string());
    let (mut line, result) = match parsed {
        Ok(Value::Object(mut line)) => {
            let result = answer(&mut line);
            (line, result)
        }
        Ok(_) => (Line::new(), Err(Fault::NoRequest("not a JSON object".into()))),
        Err(reason) => (Line::new(), Err(Fault::NoRequest(format!("not JSON: {reason}")))),
    };
    let (offset, field, reason, is_request) = match result {
        Ok(()) => return (line.into(), true),
        Err(Fault::NoRequest(reason)) => (0, String::new(), reason, false),
        Err(Fault::Malformed { offset, field, reason }) => (offset, field, reason, true),
    };
    line.insert("error".into(), json!({ "offset": offset, "field": field, "reason": reason }));
    (line.into(), is_request)
}

/// The bytes of the line's `hex`.
pub(super) fn hex(line: &Line) -> Result<Vec<u8>, Fault> {
    let text = line.get("hex").and_then(Value::as_str).ok_or_else(|| Fault::NoRequest("no hex".into()))?;
    super::input::from_hex(text.as_bytes()).map_err(|reason| Fault::NoRequest(format!("hex: {reason}")))
}
