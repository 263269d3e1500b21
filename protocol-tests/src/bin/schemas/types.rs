//! What a type of the definitions is in the table: its row, its sizes, and the values it has unless told otherwise.

use serde_json::Value;

use crate::Result;

pub(crate) struct Type {
    pub(crate) kind: String,
    /// Fewest bytes on the wire in classic and in flexible versions.
    pub(crate) min: (usize, usize),
    /// Bytes in the generated Rust struct.
    pub(crate) memory: usize,
}

/// The type called `name`, unless that is a struct.
pub(crate) fn scalar(name: &str) -> Option<Type> {
    let fixed = |name: &str, n| Type { kind: format!("Kind::Fixed(Fixed::{name})"), min: (n, n), memory: n };
    let sized = |name: &str, prefix| Type { kind: format!("Kind::{name}"), min: (prefix, 1), memory: 32 };
    Some(match name {
        "bool" => fixed("Bool", 1),
        "int8" => fixed("Int8", 1),
        "int16" => fixed("Int16", 2),
        "uint16" => fixed("Uint16", 2),
        "int32" => fixed("Int32", 4),
        "uint32" => fixed("Uint32", 4),
        "int64" => fixed("Int64", 8),
        "float64" => fixed("Float64", 8),
        "uuid" => fixed("Uuid", 16),
        "string" => sized("String", 2),
        "bytes" => sized("Bytes", 4),
        "records" => sized("Records", 4),
        _ => return None,
    })
}

/// The default as the table writes it; refuses one that the table could not tell.
///
/// The default of records is null in Kafka's classes, whatever the definition says.
pub(crate) fn default_of(type_of: &Type, is_array: bool, default: &Value) -> Result<String> {
    let text = match default {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let is_number = type_of.kind.contains("Int") || type_of.kind.contains("Uint");
    Ok(match text.as_str() {
        "" if type_of.kind == "Kind::Records" => "DefaultValue::Null".into(),
        "" => "DefaultValue::Zero".into(),
        "null" => "DefaultValue::Null".into(),
        "false" if type_of.kind.contains("Bool") => "DefaultValue::Zero".into(),
        "true" if type_of.kind.contains("Bool") => "DefaultValue::Int(1)".into(),
        number if is_number && !is_array => match integer(number)? {
            0 => "DefaultValue::Zero".into(),
            value => format!("DefaultValue::Int({value})"),
        },
        other => return Err(format!("a default the table has no place for: {other:?}").into()),
    })
}

fn integer(text: &str) -> Result<i64> {
    Ok(match text.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16)?,
        None => text.parse()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn default(name: &str, is_array: bool, value: Value) -> Option<String> {
        default_of(&scalar(name).unwrap(), is_array, &value).ok()
    }

    #[test]
    fn defaults_are_read_in_every_form_the_definitions_have() {
        for (name, value, expected) in [
            ("int32", json!("0x7fffffff"), "DefaultValue::Int(2147483647)"),
            ("int64", json!("0x7fffffffffffffff"), "DefaultValue::Int(9223372036854775807)"),
            ("int64", json!("9223372036854775807"), "DefaultValue::Int(9223372036854775807)"),
            ("int16", json!("-1"), "DefaultValue::Int(-1)"),
            ("int16", json!(-1), "DefaultValue::Int(-1)"),
            ("int8", json!("0"), "DefaultValue::Zero"),
            ("bool", json!(true), "DefaultValue::Int(1)"),
            ("bool", json!("false"), "DefaultValue::Zero"),
            ("string", json!("null"), "DefaultValue::Null"),
            ("string", json!(""), "DefaultValue::Zero"),
            ("records", Value::Null, "DefaultValue::Null"),
        ] {
            assert_eq!(default(name, false, value.clone()).as_deref(), Some(expected), "{name} {value}");
        }
    }

    #[test]
    fn a_default_the_table_cannot_tell_stops_the_generator() {
        assert_eq!(default("string", false, json!("none")), None);
        assert_eq!(default("int32", true, json!("1")), None);
        assert_eq!(default("int32", false, json!("many")), None);
    }
}
