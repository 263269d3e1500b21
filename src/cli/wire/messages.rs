//! `milena wire decode --lines` and `encode --lines`: messages as Kafka's JSON converters have them, and back.

use serde_json::Value;

use super::args;
use super::input::to_hex;
use super::lines::{Fault, Line, hex};
use crate::wire::{Direction, Malformed, json};

impl From<Malformed> for Fault {
    fn from(fault: Malformed) -> Self {
        Fault::Malformed { offset: fault.offset, field: fault.path, reason: fault.reason }
    }
}

/// Puts the `value` of the line's `hex` into it.
pub(super) fn decode(line: &mut Line) -> Result<(), Fault> {
    line.shift_remove("value");
    let (api, version, direction) = message(line)?;
    let value = json::decode(api, version, direction, &hex(line)?)?;
    line.insert("value".into(), value);
    Ok(())
}

/// Puts the `hex` of the line's `value` into it.
pub(super) fn encode(line: &mut Line) -> Result<(), Fault> {
    line.shift_remove("hex");
    let (api, version, direction) = message(line)?;
    let value = line.get("value").ok_or_else(|| Fault::NoRequest("no value".into()))?;
    let bytes = json::encode(api, version, direction, value)?;
    line.insert("hex".into(), to_hex(&bytes).into());
    Ok(())
}

/// Which message the line is about: `api` is a name or a number.
fn message(line: &Line) -> Result<(i16, i16, Direction), Fault> {
    let no = |what: &str| Fault::NoRequest(format!("{what} is missing or no {what} that there is"));
    let number = |value: &Value| value.as_i64().and_then(|number| i16::try_from(number).ok());
    let api = match line.get("api") {
        Some(Value::String(name)) => args::api(name).ok(),
        other => other.and_then(number),
    };
    let version = line.get("version").and_then(number);
    let direction = line.get("direction").and_then(Value::as_str).and_then(|text| args::direction(text).ok());
    Ok((
        api.ok_or_else(|| no("api"))?,
        version.ok_or_else(|| no("version"))?,
        direction.ok_or_else(|| no("direction"))?,
    ))
}
