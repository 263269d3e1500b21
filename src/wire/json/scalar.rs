//! Values of JSON as bytes on the wire: a number in its range, a uuid of sixteen bytes, base64 that is base64.

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

use super::super::schema::Fixed;
use super::super::varint;

/// With or without padding, as Java reads both.
const LENIENT: GeneralPurposeConfig = GeneralPurposeConfig::new()
    .with_decode_padding_mode(DecodePaddingMode::Indifferent)
    .with_decode_allow_trailing_bits(true);
const UUID: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);
const BYTES: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);

/// What a value is, for messages to people.
pub(super) fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// Appends a value of fixed size.
pub(super) fn fixed(out: &mut Vec<u8>, of: Fixed, value: &Value) -> Result<(), String> {
    match of {
        Fixed::Bool => out.push(value.as_bool().ok_or_else(|| wanted("a boolean", value))?.into()),
        Fixed::Int8 => out.extend_from_slice(&integer::<i8>(of, value)?.to_be_bytes()),
        Fixed::Int16 => out.extend_from_slice(&integer::<i16>(of, value)?.to_be_bytes()),
        Fixed::Uint16 => out.extend_from_slice(&integer::<u16>(of, value)?.to_be_bytes()),
        Fixed::Int32 => out.extend_from_slice(&integer::<i32>(of, value)?.to_be_bytes()),
        Fixed::Uint32 => out.extend_from_slice(&integer::<u32>(of, value)?.to_be_bytes()),
        Fixed::Int64 => out.extend_from_slice(&integer::<i64>(of, value)?.to_be_bytes()),
        Fixed::Float64 => out.extend_from_slice(&float(value)?.to_be_bytes()),
        Fixed::Uuid => out.extend_from_slice(&uuid(value)?),
    }
    Ok(())
}

fn wanted(what: &str, value: &Value) -> String {
    format!("{what} is wanted, not {}", type_of(value))
}

fn integer<T: TryFrom<i64>>(of: Fixed, value: &Value) -> Result<T, String> {
    let Value::Number(number) = value else { return Err(wanted(&format!("an {}", of.name()), value)) };
    let fits = number.as_i64().and_then(|number| T::try_from(number).ok());
    fits.ok_or_else(|| format!("{number} is no {}", of.name()))
}

/// A number, or Java's word for what is none.
fn float(value: &Value) -> Result<f64, String> {
    match value.as_str() {
        Some("NaN") => Ok(f64::NAN),
        Some("Infinity") => Ok(f64::INFINITY),
        Some("-Infinity") => Ok(f64::NEG_INFINITY),
        _ => value.as_f64().ok_or_else(|| wanted("a number", value)),
    }
}

fn uuid(value: &Value) -> Result<[u8; 16], String> {
    let text = value.as_str().ok_or_else(|| wanted("a uuid", value))?;
    let bytes = UUID.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("{text:?} is no uuid: 22 characters of url-safe base64 are wanted"))
}

/// The bytes that a string of base64 stands for.
pub(crate) fn from_base64(value: &Value) -> Result<Vec<u8>, String> {
    let text = value.as_str().ok_or_else(|| wanted("base64", value))?;
    BYTES.decode(text).map_err(|e| format!("not base64: {e}"))
}

/// Appends an unsigned varint, which has at most 32 bits.
pub(super) fn uvarint(out: &mut Vec<u8>, value: usize) -> Result<(), String> {
    let value = u32::try_from(value).map_err(|_| "longer than a message can be")?;
    out.extend(varint::uvarint(value.into()));
    Ok(())
}
