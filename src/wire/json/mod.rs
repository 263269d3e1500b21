//! Any message of any version as JSON and back, exactly as the JSON converters of Kafka's own tools have it.
//!
//! For tools and tests, not for the data path: a JSON tree takes up to some hundred bytes for each byte on the wire.

mod batches;
mod default;
mod dump;
mod encode;
mod sample;
mod scalar;
#[cfg(test)]
mod tests;
mod value;
mod walk;

pub use dump::{Row, dump};
#[cfg(feature = "cli")]
pub(crate) use scalar::from_base64;

use serde_json::Value;

use super::api::api_name;
use super::schema::Schema;
#[cfg(feature = "cli")]
use super::schema_table::CONTROL_RECORDS;
use super::schema_table::SCHEMAS;
use super::{Direction, Malformed};

/// The message in `body` (after its header) as Kafka's JSON converter prints it.
///
/// Names are Kafka's (`topicId`); bytes and records are base64, uuids Kafka's url-safe base64, and tagged fields at
/// their default are left out, as are tagged fields that Kafka 4.4 does not know. What Kafka's own reader accepts is
/// accepted: tags in any order, the last of a repeated one, long varints. Fails where Kafka's reader fails, on strings
/// that are not UTF-8, and on bytes left over; the fault's `path` has the names of the JSON.
pub fn decode(api_key: i16, version: i16, direction: Direction, body: &[u8]) -> Result<Value, Malformed> {
    let (schema, at) = find(api_key, version, direction)?;
    let (_, value) = walk::walk(schema, at, body, value::Values);
    value.map_err(|fault| malformed(schema, version, fault))
}

/// The message that `value` describes as Kafka writes it, ready to be put behind a header: the way back of [`decode`].
///
/// Every field of the version must be there, except tagged ones, and no field that no version has. Refuses what the
/// version cannot carry: a value other than the default of a field it lacks (unless Kafka ignores the field there),
/// null where it must not be, a number out of range, a string above 32767 bytes. The fault's `offset` is that of the
/// field in the message that was being written, its `path` the way to it in `value`.
pub fn encode(api_key: i16, version: i16, direction: Direction, value: &Value) -> Result<Vec<u8>, Malformed> {
    let (schema, at) = find(api_key, version, direction)?;
    encode::encode(schema, at, value).map_err(|fault| malformed(schema, version, fault))
}

/// A random value that the version can carry, the same for the same seed: small, with nulls, empty arrays and tagged
/// fields now and then, and numbers of any size.
pub fn sample(api_key: i16, version: i16, direction: Direction, seed: u64) -> Result<Value, Malformed> {
    let (schema, at) = find(api_key, version, direction)?;
    Ok(sample::sample(schema, at, seed))
}

/// Every message there is: its API key, the API's name, its direction, and its oldest and newest version.
pub fn messages() -> impl Iterator<Item = (i16, &'static str, Direction, (i16, i16))> {
    let row = |s: &'static Schema| (s.api_key, s.name(), s.direction, (s.versions.0.into(), s.versions.1.into()));
    SCHEMAS.iter().map(row)
}

/// The key of the API called `name`, in any case, as `Fetch` or `fetch`.
pub fn api_key(name: &str) -> Option<i16> {
    messages().find(|(_, known, ..)| known.eq_ignore_ascii_case(name)).map(|(key, ..)| key)
}

/// What KRaft says in the `value` of a control record of this type, as Kafka's JSON converter prints it, or why it cannot
/// be read. Of the version that the value tells, as Kafka writes it; Kafka's own tool takes all for version 0.
#[cfg(feature = "cli")]
pub(crate) fn control_record(kind: i16, value: &[u8]) -> Result<Value, String> {
    let schema = CONTROL_RECORDS.iter().find(|schema| schema.api_key == kind).ok_or("a record of an unknown type")?;
    let version = value.first_chunk().map(|version| i16::from_be_bytes(*version)).ok_or("a value without version")?;
    let known = i8::try_from(version).ok().filter(|version| schema.versions.contains(*version));
    let at = known.ok_or_else(|| format!("version {version} of {}", schema.name()))?;
    let (_, value) = walk::walk(schema, at, value, value::Values);
    value.map_err(|fault| format!("{} at byte {} ({}): {}", schema.name(), fault.offset, fault.path, fault.reason))
}

fn find(api_key: i16, version: i16, direction: Direction) -> Result<(&'static Schema, i8), Malformed> {
    let known = messages().find(|message| (message.0, message.2) == (api_key, direction));
    Schema::find(api_key, version, direction).ok_or_else(|| {
        let (api, reason) = match known {
            Some((_, name, _, (min, max))) => (name, format!("versions are {min} to {max}")),
            None => (api_name(api_key), format!("API {api_key} is none that brokers listen for")),
        };
        Malformed { api, version, direction, offset: 0, path: String::new(), reason }
    })
}

fn malformed(schema: &'static Schema, version: i16, fault: walk::Fault) -> Malformed {
    let walk::Fault { offset, path, reason } = fault;
    Malformed { api: schema.name(), version, direction: schema.direction, offset, path, reason }
}
