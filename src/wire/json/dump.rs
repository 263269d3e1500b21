//! A message told byte by byte: each piece of it as a row, in the order of the wire, up to the end or to the fault.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::super::schema::{Field, Struct};
use super::super::{Direction, Malformed};
use super::walk::{At, Build, Fault, Framing, Scalar, path, walk};
use super::{batches, find, malformed};

/// A piece of a message: a value, or what stands between values.
#[derive(Clone, Debug)]
pub struct Row<'a> {
    /// Bytes into the message (after its header) where the piece begins; of a record that was compressed, its batch.
    pub offset: usize,
    /// The bytes themselves, length prefix included; empty for a record that was compressed.
    pub bytes: &'a [u8],
    /// The way to the value, as `topics[3].name`, in the names that the JSON has.
    pub path: String,
    /// Kafka's name of the type, as `int32`; `array`, `struct`, `tags` and `tag` for what stands between values.
    pub type_name: &'static str,
    /// The value as text: a string in quotes, a uuid in Kafka's form, the number of bytes or of elements.
    pub value: String,
}

/// Gives every row of `body` to `sink`, in the order of the wire, then the fault, if the message has one.
///
/// Reads what [`decode`](super::decode) reads. Records are told batch by batch and record by record; a batch that
/// cannot be read has a row of type `fault`, and is the fault of the message if that has no other. Holds one row at a
/// time, and a copy of one records field.
pub fn dump(
    api_key: i16,
    version: i16,
    direction: Direction,
    body: &[u8],
    sink: &mut dyn FnMut(Row<'_>),
) -> Result<(), Malformed> {
    let (schema, at) = find(api_key, version, direction)?;
    let (dump, result) = walk(schema, at, body, Dump { body, sink, fault: None });
    let fault = result.err().or(dump.fault);
    fault.map_or(Ok(()), |fault| Err(malformed(schema, version, fault)))
}

struct Dump<'a> {
    body: &'a [u8],
    sink: &'a mut dyn FnMut(Row<'_>),
    /// The first batch that cannot be read.
    fault: Option<Fault>,
}

impl Dump<'_> {
    fn row(&mut self, at: At<'_>, value: String) {
        let bytes = self.body.get(at.start..at.end).unwrap_or_default();
        (self.sink)(Row { offset: at.start, bytes, path: path(at.path), type_name: at.type_name, value });
    }
}

impl Build for Dump<'_> {
    type Value = ();

    fn scalar(&mut self, at: At<'_>, scalar: Scalar<'_>) {
        match scalar {
            Scalar::Records(records) => {
                // The row has the length; the bytes have rows of their own.
                let start = at.end.saturating_sub(records.len());
                self.row(At { end: start, ..at }, format!("{} bytes", records.len()));
                let fault = batches::rows(records, start, &path(at.path), self.sink);
                self.fault = self.fault.take().or(fault);
            }
            scalar => self.row(at, as_text(scalar)),
        }
    }

    fn array(&mut self, _values: Vec<()>) {}

    fn structure(&mut self, _of: &'static Struct, _fields: Vec<Option<()>>) {}

    fn is_default(&self, _field: &'static Field, _value: &()) -> bool {
        false
    }

    fn framing(&mut self, at: At<'_>, framing: Framing<'_>) {
        let value = match framing {
            Framing::Count(1) => "1 element".into(),
            Framing::Count(count) => format!("{count} elements"),
            Framing::Present => "present".into(),
            Framing::Tags(count) => format!("{count} tagged"),
            Framing::Tag { tag, size } => format!("tag {tag} of {size} bytes"),
            Framing::Unknown { tag, bytes } => format!("tag {tag}, unknown, of {} bytes", bytes.len()),
        };
        self.row(at, value);
    }
}

fn as_text(scalar: Scalar<'_>) -> String {
    match scalar {
        Scalar::Null => "null".into(),
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => format!("{value:?}"),
        Scalar::Uuid(bytes) => URL_SAFE_NO_PAD.encode(bytes),
        Scalar::String(text) => quoted(text),
        Scalar::Bytes(bytes) | Scalar::Records(bytes) => format!("{} bytes", bytes.len()),
    }
}

/// As JSON has it: nothing in it moves a terminal's cursor.
pub(super) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
