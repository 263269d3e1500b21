//! Whether a value of the JSON tree is what its field holds when nobody has set it.

use serde_json::{Map, Value};

use super::super::schema::{DefaultValue, Field, Fixed, Kind, Struct};

/// The text of a uuid of zeros.
const ZERO_UUID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// As Kafka's generated classes compare. A value of another type than the field's is never the default.
pub(super) fn is_default(field: &Field, value: &Value) -> bool {
    match (field.default(), value) {
        (DefaultValue::Null, value) => value.is_null(),
        (_, Value::Null) => false,
        (DefaultValue::Int(1), Value::Bool(value)) => *value,
        (DefaultValue::Int(number), value) => value.as_i64() == Some(number),
        (DefaultValue::Zero, value) => is_zero(field, value),
    }
}

fn is_zero(field: &Field, value: &Value) -> bool {
    match (field.kind, value) {
        (_, Value::Array(values)) => field.is_array && values.is_empty(),
        _ if field.is_array => false,
        (Kind::Fixed(Fixed::Uuid), Value::String(text)) => text.trim_end_matches('=') == ZERO_UUID,
        (Kind::Fixed(Fixed::Bool), Value::Bool(value)) => !value,
        (Kind::Fixed(_), Value::Number(number)) => number.as_f64() == Some(0.0),
        (Kind::String | Kind::Bytes | Kind::Records, Value::String(text)) => text.is_empty(),
        (Kind::Struct(index), Value::Object(values)) => has_defaults_only(Struct::at(index), values),
        _ => false,
    }
}

/// Depth is that of the definitions, which do not recurse.
fn has_defaults_only(of: &'static Struct, values: &Map<String, Value>) -> bool {
    let known = |name: &str| of.fields().iter().find(|field| field.name() == name);
    values.iter().all(|(name, value)| known(name).is_some_and(|field| is_default(field, value)))
}
