//! Reads any message by its schema, as Kafka's generated classes read it, and tells a builder what it meets.
//!
//! Bounded by the definitions in depth and by the message in memory: an array has no more elements than bytes follow it,
//! and all arrays together no more than the message has bytes.

use std::fmt::Write;

use super::super::cursor::Cursor;
use super::super::schema::{Field, Fixed, Kind, Schema, Struct};

/// Longest string there is, in bytes, as Kafka's own reader and writer have it.
pub(super) const MAX_STRING: usize = 0x7fff;

/// One step from a message to a value within.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    Field(&'static str),
    Element(usize),
}

/// `topics[3].partitions[0].records`: the way to a value, in the names JSON has.
pub(super) fn path(steps: &[Step]) -> String {
    let mut path = String::new();
    for step in steps {
        match step {
            Step::Field(name) if path.is_empty() => path.push_str(name),
            Step::Field(name) => path.extend([".", name]),
            Step::Element(index) => _ = write!(path, "[{index}]"),
        }
    }
    path
}

/// Where a piece of a message stands, and what it is part of.
#[derive(Clone, Copy, Debug)]
pub(super) struct At<'a> {
    pub(super) path: &'a [Step],
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) type_name: &'static str,
}

/// A value that holds no others.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Scalar<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Uuid([u8; 16]),
    String(&'a str),
    Bytes(&'a [u8]),
    Records(&'a [u8]),
}

/// What stands between the values.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Framing<'a> {
    /// An array of so many elements begins.
    Count(usize),
    /// A struct that may be null is there.
    Present,
    /// So many tagged fields follow.
    Tags(u32),
    /// A known tagged field begins; the size is what it claims.
    Tag { tag: u32, size: u32 },
    /// A tagged field that the definitions do not have.
    Unknown { tag: u32, bytes: &'a [u8] },
}

/// Makes of a message what its user wants.
pub(super) trait Build {
    type Value;

    fn scalar(&mut self, at: At<'_>, scalar: Scalar<'_>) -> Self::Value;

    fn array(&mut self, values: Vec<Self::Value>) -> Self::Value;

    /// The struct's fields in the order of the definition; `None` is not there, or tagged and at its default.
    fn structure(&mut self, of: &'static Struct, fields: Vec<Option<Self::Value>>) -> Self::Value;

    /// Whether a tagged field reads as if it had not been sent.
    fn is_default(&self, field: &'static Field, value: &Self::Value) -> bool;

    fn framing(&mut self, _at: At<'_>, _framing: Framing<'_>) {}
}

pub(super) struct Walk<'a, B> {
    cursor: Cursor<'a>,
    version: i8,
    is_flexible: bool,
    build: B,
    path: Vec<Step>,
    elements_left: usize,
    unknown_tags: usize,
}

/// Where reading ended, and why.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) offset: usize,
    pub(super) path: String,
    pub(super) reason: String,
}

/// What `build` makes of the whole `body`; it keeps what it was told before a fault.
pub(super) fn walk<B: Build>(
    schema: &'static Schema,
    version: i8,
    body: &[u8],
    build: B,
) -> (B, Result<B::Value, Fault>) {
    let mut walk = Walk {
        cursor: Cursor::new(body),
        version,
        is_flexible: schema.flexible.contains(version),
        build,
        path: Vec::new(),
        elements_left: body.len(),
        unknown_tags: 0,
    };
    let result = walk.message(schema.root());
    let (offset, steps) = (walk.cursor.position(), &walk.path);
    let result = result.map_err(|reason| Fault { offset, path: path(steps), reason });
    (walk.build, result)
}

impl<B: Build> Walk<'_, B> {
    fn message(&mut self, root: &'static Struct) -> Result<B::Value, String> {
        let value = self.structure(root)?;
        match self.cursor.remaining() {
            0 => Ok(value),
            left => Err(format!("{left} bytes left over")),
        }
    }

    fn framing(&mut self, start: usize, type_name: &'static str, framing: Framing<'_>) {
        let at = At { path: &self.path, start, end: self.cursor.position(), type_name };
        self.build.framing(at, framing);
    }

    fn structure(&mut self, of: &'static Struct) -> Result<B::Value, String> {
        let mut values = Vec::new();
        for field in of.fields() {
            let is_in_place = field.is_inline(self.version);
            values.push(if is_in_place { Some(self.field(field)?) } else { None });
        }
        if self.is_flexible {
            self.tagged_fields(of, &mut values)?;
        }
        Ok(self.build.structure(of, values))
    }

    /// Of a tag that comes twice the last counts; the order and the sizes of known tags do not, as in Kafka.
    fn tagged_fields(&mut self, of: &'static Struct, values: &mut [Option<B::Value>]) -> Result<(), String> {
        let start = self.cursor.position();
        let count = self.cursor.tag_count()?;
        self.framing(start, "tags", Framing::Tags(count));
        for _ in 0..count {
            let start = self.cursor.position();
            let (tag, size) = (self.cursor.uvarint()?, self.cursor.uvarint()?);
            let known = of.fields().iter().zip(values.iter_mut()).find(|(field, _)| field.is_tag(tag));
            let Some((field, slot)) = known else {
                let bytes = self.cursor.take(size as usize)?;
                self.unknown_tags += 1;
                self.framing(start, "tag", Framing::Unknown { tag, bytes });
                continue;
            };
            if !field.is_tag_of(self.version) {
                return Err(format!("tag {tag} is not valid for version {}", self.version));
            }
            self.framing(start, "tag", Framing::Tag { tag, size });
            let unknown_before = self.unknown_tags;
            let value = self.field(field)?;
            // Unknown tags inside count as a difference from the default: Kafka then keeps the struct they are in.
            let is_plain = self.unknown_tags == unknown_before;
            *slot = if is_plain && self.build.is_default(field, &value) { None } else { Some(value) };
        }
        Ok(())
    }

    fn field(&mut self, field: &'static Field) -> Result<B::Value, String> {
        self.path.push(Step::Field(field.name()));
        let is_nullable = field.nullable.contains(self.version);
        let value = match field.kind {
            kind if field.is_array => self.array(kind, is_nullable)?,
            Kind::Struct(index) if is_nullable => self.nullable_structure(Struct::at(index))?,
            kind => self.single(kind, is_nullable)?,
        };
        self.path.pop();
        Ok(value)
    }

    fn nullable_structure(&mut self, of: &'static Struct) -> Result<B::Value, String> {
        let start = self.cursor.position();
        if self.cursor.i8()? < 0 {
            return Ok(self.scalar(start, "struct", Scalar::Null));
        }
        self.framing(start, "struct", Framing::Present);
        self.structure(of)
    }

    fn scalar(&mut self, start: usize, type_name: &'static str, scalar: Scalar<'_>) -> B::Value {
        let at = At { path: &self.path, start, end: self.cursor.position(), type_name };
        self.build.scalar(at, scalar)
    }

    fn array(&mut self, kind: Kind, is_nullable: bool) -> Result<B::Value, String> {
        let start = self.cursor.position();
        let Some(count) = self.length(is_nullable, "array")? else {
            return Ok(self.scalar(start, "array", Scalar::Null));
        };
        let left = self.cursor.remaining();
        self.elements_left = match self.elements_left.checked_sub(count) {
            Some(rest) if count <= left => rest,
            _ => return Err(format!("array of {count} elements in {left} bytes")),
        };
        self.framing(start, "array", Framing::Count(count));
        let mut values = Vec::new();
        for index in 0..count {
            self.path.push(Step::Element(index));
            values.push(self.single(kind, false)?);
            self.path.pop();
        }
        Ok(self.build.array(values))
    }

    fn single(&mut self, kind: Kind, is_nullable: bool) -> Result<B::Value, String> {
        let start = self.cursor.position();
        let (type_name, scalar) = match kind {
            Kind::Fixed(of) => (of.name(), self.fixed(of)?),
            Kind::String => ("string", self.string(is_nullable)?),
            Kind::Bytes => ("bytes", self.bytes(is_nullable, "bytes")?.map_or(Scalar::Null, Scalar::Bytes)),
            Kind::Records => ("records", self.bytes(is_nullable, "records")?.map_or(Scalar::Null, Scalar::Records)),
            Kind::Struct(index) => return self.structure(Struct::at(index)),
        };
        Ok(self.scalar(start, type_name, scalar))
    }
}

/// The values themselves.
impl<'a, B> Walk<'a, B> {
    fn fixed(&mut self, of: Fixed) -> Result<Scalar<'a>, String> {
        let cursor = &mut self.cursor;
        Ok(match of {
            Fixed::Bool => Scalar::Bool(cursor.i8()? != 0),
            Fixed::Int8 => Scalar::Int(cursor.i8()?.into()),
            Fixed::Int16 => Scalar::Int(cursor.i16()?.into()),
            Fixed::Uint16 => Scalar::Int(cursor.array().map(u16::from_be_bytes)?.into()),
            Fixed::Int32 => Scalar::Int(cursor.i32()?.into()),
            Fixed::Uint32 => Scalar::Int(cursor.array().map(u32::from_be_bytes)?.into()),
            Fixed::Int64 => Scalar::Int(cursor.array().map(i64::from_be_bytes)?),
            Fixed::Float64 => Scalar::Float(cursor.array().map(f64::from_be_bytes)?),
            Fixed::Uuid => Scalar::Uuid(cursor.array()?),
        })
    }

    fn string(&mut self, is_nullable: bool) -> Result<Scalar<'a>, String> {
        let len = if self.is_flexible {
            self.length(is_nullable, "string")?
        } else {
            let len = self.cursor.i16()?;
            length(len.into(), is_nullable, "string")?
        };
        let Some(len) = len else { return Ok(Scalar::Null) };
        if len > MAX_STRING {
            return Err(format!("string of {len} bytes: Kafka has none above {MAX_STRING}"));
        }
        let text = self.cursor.take(len)?;
        std::str::from_utf8(text).map(Scalar::String).map_err(|_| "string is not UTF-8".to_string())
    }

    fn bytes(&mut self, is_nullable: bool, what: &str) -> Result<Option<&'a [u8]>, String> {
        match self.length(is_nullable, what)? {
            Some(len) => self.cursor.take(len).map(Some),
            None => Ok(None),
        }
    }

    /// A length or count: varint less one in flexible versions, else 32 bits. `None` is null.
    fn length(&mut self, is_nullable: bool, what: &str) -> Result<Option<usize>, String> {
        let len = if self.is_flexible { i64::from(self.cursor.uvarint()?) - 1 } else { self.cursor.i32()?.into() };
        length(len, is_nullable, what)
    }
}

/// Any negative length is null, as in Kafka.
fn length(len: i64, is_nullable: bool, what: &str) -> Result<Option<usize>, String> {
    match usize::try_from(len) {
        Ok(len) => Ok(Some(len)),
        Err(_) if is_nullable => Ok(None),
        Err(_) if len == -1 => Err(format!("{what} is null where it must not be")),
        Err(_) => Err(format!("{what} of length {len}")),
    }
}
