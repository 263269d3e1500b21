//! A JSON tree as the bytes Kafka writes for it: every value checked against what the version can carry.

use serde_json::{Map, Value};

use super::super::schema::{Field, Kind, Schema, Struct};
use super::default::is_default;
use super::scalar::{self, type_of};
use super::walk::{Fault, MAX_STRING, Step, path};

/// The body of the message, or the first thing that it cannot hold.
pub(super) fn encode(schema: &'static Schema, version: i8, value: &Value) -> Result<Vec<u8>, Fault> {
    let is_flexible = schema.flexible.contains(version);
    let mut writer = Writer { out: Vec::new(), version, is_flexible, path: Vec::new(), outer: 0 };
    match writer.structure(schema.root(), value) {
        Ok(()) => Ok(writer.out),
        Err(reason) => {
            Err(Fault { offset: writer.outer.saturating_add(writer.out.len()), path: path(&writer.path), reason })
        }
    }
}

struct Writer {
    out: Vec<u8>,
    version: i8,
    is_flexible: bool,
    /// The way to the value that is being written; left as it is by a fault.
    path: Vec<Step>,
    /// Bytes written before `out`, while that holds a tagged field alone.
    outer: usize,
}

type Written = Result<(), String>;

impl Writer {
    /// Depth is that of the definitions, which do not recurse.
    fn structure(&mut self, of: &'static Struct, value: &Value) -> Written {
        let Value::Object(values) = value else { return Err(format!("an object is wanted, not {}", type_of(value))) };
        self.refuse_unknown(of, values)?;
        let mut tagged = Vec::new();
        for field in of.fields() {
            self.path.push(Step::Field(field.name()));
            match values.get(field.name()) {
                value if !field.versions.contains(self.version) => self.absent(field, value)?,
                Some(value) if field.is_tagged(self.version) => {
                    if !is_default(field, value) {
                        tagged.push((field, value));
                    }
                }
                None if field.is_tagged(self.version) => {}
                Some(value) => self.field(field, value)?,
                None => return Err(format!("missing, and mandatory in version {}", self.version)),
            }
            self.path.pop();
        }
        if self.is_flexible { self.tagged_fields(tagged) } else { Ok(()) }
    }

    fn refuse_unknown(&mut self, of: &'static Struct, values: &Map<String, Value>) -> Written {
        match values.keys().find(|name| !of.fields().iter().any(|field| field.name() == name.as_str())) {
            Some(name) => Err(format!("there is no field {name:?} in any version")),
            None => Ok(()),
        }
    }

    /// A field that the version lacks: only its default goes without saying.
    fn absent(&self, field: &Field, value: Option<&Value>) -> Written {
        match value {
            Some(value) if !field.ignorable && !is_default(field, value) => {
                Err(format!("version {} cannot carry it, and {value} is not its default", self.version))
            }
            _ => Ok(()),
        }
    }

    fn tagged_fields(&mut self, mut fields: Vec<(&'static Field, &Value)>) -> Written {
        fields.sort_by_key(|(field, _)| field.tag);
        scalar::uvarint(&mut self.out, fields.len())?;
        for (field, value) in fields {
            self.path.push(Step::Field(field.name()));
            let before = std::mem::take(&mut self.out);
            let outer = self.outer;
            self.outer = outer.saturating_add(before.len());
            self.field(field, value)?;
            self.outer = outer;
            let bytes = std::mem::replace(&mut self.out, before);
            scalar::uvarint(&mut self.out, field.tag.into())?;
            scalar::uvarint(&mut self.out, bytes.len())?;
            self.out.extend_from_slice(&bytes);
            self.path.pop();
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field, value: &Value) -> Written {
        let is_nullable = field.nullable.contains(self.version);
        let is_single_struct = !field.is_array && matches!(field.kind, Kind::Struct(_));
        match value {
            Value::Null if !is_nullable => Err(format!("null, which version {} does not allow", self.version)),
            Value::Null if is_single_struct => {
                self.out.push(0xff);
                Ok(())
            }
            Value::Null => self.null(field.is_array, field.kind),
            value if field.is_array => self.array(field.kind, value),
            value => {
                if is_single_struct && is_nullable {
                    self.out.push(1);
                }
                self.single(field.kind, value)
            }
        }
    }

    fn array(&mut self, kind: Kind, value: &Value) -> Written {
        let Value::Array(values) = value else { return Err(format!("an array is wanted, not {}", type_of(value))) };
        self.length(values.len())?;
        for (index, value) in values.iter().enumerate() {
            self.path.push(Step::Element(index));
            self.single(kind, value)?;
            self.path.pop();
        }
        Ok(())
    }

    fn single(&mut self, kind: Kind, value: &Value) -> Written {
        match kind {
            Kind::Fixed(of) => scalar::fixed(&mut self.out, of, value),
            Kind::String => self.string(value),
            Kind::Bytes | Kind::Records => {
                let bytes = scalar::from_base64(value)?;
                self.length(bytes.len())?;
                self.out.extend_from_slice(&bytes);
                Ok(())
            }
            Kind::Struct(index) => self.structure(Struct::at(index), value),
        }
    }

    fn string(&mut self, value: &Value) -> Written {
        let Value::String(text) = value else { return Err(format!("a string is wanted, not {}", type_of(value))) };
        match i16::try_from(text.len()) {
            Err(_) => return Err(format!("a string of {} bytes: Kafka has none above {MAX_STRING}", text.len())),
            Ok(_) if self.is_flexible => self.length(text.len())?,
            Ok(len) => self.out.extend_from_slice(&len.to_be_bytes()),
        }
        self.out.extend_from_slice(text.as_bytes());
        Ok(())
    }

    fn null(&mut self, is_array: bool, kind: Kind) -> Written {
        match kind {
            _ if self.is_flexible => self.out.push(0),
            Kind::String if !is_array => self.out.extend_from_slice(&[0xff; 2]),
            _ => self.out.extend_from_slice(&[0xff; 4]),
        }
        Ok(())
    }

    /// A length or count: varint plus one in flexible versions, else 32 bits.
    fn length(&mut self, len: usize) -> Written {
        let len = i32::try_from(len).ok().filter(|len| *len < i32::MAX).ok_or("longer than a message can be")?;
        if self.is_flexible {
            return scalar::uvarint(&mut self.out, len as usize + 1);
        }
        self.out.extend_from_slice(&len.to_be_bytes());
        Ok(())
    }
}
