//! A message as a JSON tree: each value as Kafka's JSON converters print it.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Map, Number, Value};

use super::super::schema::{Field, Struct};
use super::default::is_default;
use super::walk::{At, Build, Scalar};

/// Builds the tree from the inside out.
pub(super) struct Values;

impl Build for Values {
    type Value = Value;

    fn scalar(&mut self, _at: At<'_>, scalar: Scalar<'_>) -> Value {
        as_json(scalar)
    }

    fn array(&mut self, values: Vec<Value>) -> Value {
        Value::Array(values)
    }

    fn structure(&mut self, of: &'static Struct, fields: Vec<Option<Value>>) -> Value {
        let named = of.fields().iter().zip(fields).filter_map(|(field, value)| Some((field.name().to_owned(), value?)));
        Value::Object(named.collect::<Map<_, _>>())
    }

    fn is_default(&self, field: &'static Field, value: &Value) -> bool {
        is_default(field, value)
    }
}

/// The value as JSON has it.
pub(super) fn as_json(scalar: Scalar<'_>) -> Value {
    match scalar {
        Scalar::Null => Value::Null,
        Scalar::Bool(value) => value.into(),
        Scalar::Int(value) => value.into(),
        Scalar::Float(value) => float(value),
        Scalar::Uuid(bytes) => URL_SAFE_NO_PAD.encode(bytes).into(),
        Scalar::String(text) => text.into(),
        Scalar::Bytes(bytes) | Scalar::Records(bytes) => STANDARD.encode(bytes).into(),
    }
}

/// JSON has no word for what is no number; Kafka's printer quotes Java's.
fn float(value: f64) -> Value {
    match Number::from_f64(value) {
        Some(number) => Value::Number(number),
        None if value.is_nan() => "NaN".into(),
        None if value > 0.0 => "Infinity".into(),
        None => "-Infinity".into(),
    }
}
