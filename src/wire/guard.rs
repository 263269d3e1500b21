//! The guard: walks a message by its schema before any decoder sees it, so that no count is believed on its word.
//!
//! What it promises of memory: reading a body allocates at most 8 times its bytes plus 1 MiB, because a Rust struct is
//! larger than its bytes on the wire (see `MEMORY_FACTOR`). Of that the guard itself takes nothing, or once the body
//! where that has tagged fields nobody knows.

use bytes::Bytes;
use std::ops::Range;

use super::api::api_name;
use super::cursor::Cursor;
use super::known::Known;
use super::schema::{Field, Kind, Schema, Struct};
use super::{Direction, Malformed};

/// How much larger than its bytes a decoded message may be.
///
/// An empty partition in a Fetch answer takes 30 bytes on the wire at version 4 and 232 in memory, the widest ratio of
/// what brokers send in numbers. Structs of empty strings would reach 16 and more, and no honest peer sends many.
const MEMORY_FACTOR: usize = 8;
const MEMORY_FREE: usize = 1024 * 1024;
/// Kafka's limit for arrays; only needed where an element takes no bytes.
const MAX_EMPTY_ELEMENTS: usize = 1_000_000;

/// Checks every length, count and tag of a message body (after its header) against the bytes that remain.
///
/// `Ok` means that the generated decoder can read what [`readable`] makes of the body. A known tag must fill its declared
/// size exactly and a nullable struct must be marked -1 or 1: Kafka is laxer, but writes nothing else, and the generated
/// decoder would lose its place. Costs one pass and allocates only for a fault.
pub fn check(api_key: i16, version: i16, direction: Direction, body: &[u8]) -> Result<(), Malformed> {
    walk(api_key, version, direction, body, None).map(drop)
}

/// The body as the generated decoder may read it, if [`check`] has nothing against it: that decoder will neither run past
/// the end nor reserve more than the bytes can hold.
///
/// It is the body itself, or a copy without the tagged fields that nobody knows, if it has any: the decoder would make a
/// map node of some 500 bytes of each, and an answer of a newer broker may have one in every partition.
pub fn readable(api_key: i16, version: i16, direction: Direction, body: Bytes) -> Result<Bytes, Malformed> {
    let known = walk(api_key, version, direction, &body, Some(Known::default()))?;
    Ok(known.and_then(|known| known.all_of(&body)).unwrap_or(body))
}

fn walk(
    api_key: i16,
    version: i16,
    direction: Direction,
    body: &[u8],
    known: Option<Known>,
) -> Result<Option<Known>, Malformed> {
    let malformed = |api, offset, path, reason| Malformed { api, version, direction, offset, path, reason };
    let Some((schema, version)) = Schema::find(api_key, version, direction) else {
        return Err(malformed(api_name(api_key), 0, String::new(), "no schema for this version".into()));
    };
    let budget = body.len().saturating_mul(MEMORY_FACTOR).saturating_add(MEMORY_FREE);
    let flexible = schema.flexible.contains(version);
    let mut walk = Walk { body, cursor: Cursor::new(body), version, flexible, budget, has_unknown: false, known };
    match walk.message(schema.root()) {
        Ok(()) => Ok(walk.known),
        Err(fault) => Err(malformed(schema.name(), walk.cursor.position(), fault.path(), fault.reason)),
    }
}

/// What is wrong, and the way to it from the inside out.
#[derive(Debug)]
struct Fault {
    reason: String,
    steps: Vec<Step>,
}

#[derive(Debug)]
enum Step {
    Field(&'static str),
    Element(usize),
}

impl From<String> for Box<Fault> {
    fn from(reason: String) -> Self {
        Box::new(Fault { reason, steps: Vec::new() })
    }
}

impl Fault {
    fn within(mut self: Box<Self>, step: Step) -> Box<Self> {
        self.steps.push(step);
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for step in self.steps.iter().rev() {
            match step {
                Step::Field(name) if path.is_empty() => path.push_str(name),
                Step::Field(name) => path.extend([".", name]),
                Step::Element(index) => path.push_str(&format!("[{index}]")),
            }
        }
        path
    }
}

type Walked = Result<(), Box<Fault>>;

struct Walk<'a> {
    body: &'a [u8],
    cursor: Cursor<'a>,
    version: i8,
    flexible: bool,
    /// Bytes of memory the decoded message may still take.
    budget: usize,
    has_unknown: bool,
    /// The body without unknown tags, if that is wanted.
    known: Option<Known>,
}

/// Where the walk of a struct stops: at a field that tells its own length, or at the end of the fields.
#[derive(Clone, Copy)]
struct Stop {
    /// Bytes of the fields of fixed size before it.
    run: usize,
    /// Those fields, and what follows them.
    fields: &'static [Field],
    at: Option<&'static Field>,
}

/// The stops of a struct at one version. The last is its end.
fn stops(of: &'static Struct, version: i8) -> impl Iterator<Item = Stop> {
    let mut rest = Some(of.fields());
    std::iter::from_fn(move || {
        let (fields, mut run) = (rest?, 0);
        for (index, field) in fields.iter().enumerate().filter(|(_, field)| field.is_inline(version)) {
            let Some(size) = field.fixed_size() else {
                rest = fields.get(index + 1..);
                return Some(Stop { run, fields, at: Some(field) });
            };
            run += size;
        }
        rest = None;
        Some(Stop { run, fields, at: None })
    })
}

impl Walk<'_> {
    fn message(&mut self, root: &'static Struct) -> Walked {
        self.structure(root)?;
        match self.cursor.remaining() {
            0 => Ok(()),
            left => Err(format!("{left} bytes left over").into()),
        }
    }

    /// Depth is that of the definitions, which do not recurse.
    fn structure(&mut self, of: &'static Struct) -> Walked {
        self.by_stops(of, stops(of, self.version))
    }

    /// Elements of an array: where they stop is looked up once for all of them, if that is worth a list.
    fn structures(&mut self, of: &'static Struct, count: usize) -> Walked {
        const FEW: usize = 4;
        let stops: Vec<Stop> = if count > FEW { stops(of, self.version).collect() } else { Vec::new() };
        for index in 0..count {
            let walked = if count > FEW { self.by_stops(of, stops.iter().copied()) } else { self.structure(of) };
            walked.map_err(|fault| fault.within(Step::Element(index)))?;
        }
        Ok(())
    }

    #[inline]
    fn by_stops(&mut self, of: &'static Struct, stops: impl Iterator<Item = Stop>) -> Walked {
        for stop in stops {
            self.run(stop.run, stop.fields)?;
            if let Some(field) = stop.at {
                self.value(field).map_err(|fault| fault.within(Step::Field(field.name())))?;
            }
        }
        if self.flexible { self.tagged_fields(of) } else { Ok(()) }
    }

    /// Passes `bytes` that the first of `fields` take together.
    #[inline]
    fn run(&mut self, bytes: usize, fields: &'static [Field]) -> Walked {
        if self.cursor.remaining() < bytes { self.short_run(fields) } else { Ok(self.cursor.skip(bytes)?) }
    }

    /// Passes them one by one, to find the one that is cut short.
    #[cold]
    fn short_run(&mut self, fields: &'static [Field]) -> Walked {
        let version = self.version;
        for field in fields.iter().filter(|field| field.is_inline(version)) {
            self.value(field).map_err(|fault| fault.within(Step::Field(field.name())))?;
        }
        Err("a run of fields is longer than its fields".to_string().into())
    }

    fn tagged_fields(&mut self, of: &'static Struct) -> Walked {
        if self.cursor.eat_zero() {
            return Ok(());
        }
        self.some_tagged_fields(of)
    }

    fn some_tagged_fields(&mut self, of: &'static Struct) -> Walked {
        let start = self.cursor.position();
        let count = self.cursor.tag_count()?;
        let unknown = self.unknown_tags(of, count);
        if unknown > 0 {
            self.leave_out(start..self.cursor.position())?;
            self.known.iter_mut().for_each(|known| known.put_uvarint(count.saturating_sub(unknown)));
        }
        for _ in 0..count {
            let start = self.cursor.position();
            let tag = self.cursor.uvarint()?;
            match of.fields().iter().find(|field| field.is_tag(tag)) {
                Some(field) => self.tagged_value(field).map_err(|fault| fault.within(Step::Field(field.name())))?,
                None => {
                    let size = self.cursor.uvarint()?;
                    self.cursor.skip(size as usize)?;
                    self.leave_out(start..self.cursor.position())?;
                }
            }
        }
        Ok(())
    }

    /// How many of the next `count` tagged fields nobody knows. What is wrong with one is told when the walk comes by.
    fn unknown_tags(&self, of: &'static Struct, count: u32) -> u32 {
        let mut ahead = self.cursor.clone();
        let mut next = || {
            let tag = ahead.uvarint()?;
            let size = ahead.uvarint()?;
            ahead.skip(size as usize).map(|()| tag)
        };
        let tags = (0..count).map_while(|_| next().ok());
        tags.filter(|tag| !of.fields().iter().any(|field| field.is_tag(*tag))).count() as u32
    }

    /// Leaves `range` out of what the decoder reads, which is then a copy and counts against the budget.
    fn leave_out(&mut self, range: Range<usize>) -> Walked {
        if !std::mem::replace(&mut self.has_unknown, true) {
            self.charge(self.body.len())?;
        }
        self.known.iter_mut().for_each(|known| known.leave_out(self.body, range.clone()));
        Ok(())
    }

    fn tagged_value(&mut self, field: &'static Field) -> Walked {
        if !field.is_tag_of(self.version) {
            return Err(format!("tag {} is not valid for version {}", field.tag, self.version).into());
        }
        let size_at = self.cursor.position();
        let size = self.cursor.uvarint()? as usize;
        let start = self.cursor.position();
        let left_out = self.known.as_ref().map_or(0, Known::left_out);
        self.value(field)?;
        match self.cursor.position().saturating_sub(start) {
            len if len == size => {}
            len => return Err(format!("tag {} of {size} bytes holds {len}", field.tag).into()),
        }
        self.known.iter_mut().for_each(|known| known.resize(size_at..start, size, left_out));
        Ok(())
    }

    fn value(&mut self, field: &'static Field) -> Walked {
        let nullable = field.nullable.contains(self.version);
        if field.is_array {
            return self.array(field.kind, nullable);
        }
        match field.kind {
            Kind::Struct(index) if nullable => match self.cursor.i8()? {
                -1 => Ok(()),
                1 => self.structure(Struct::at(index)),
                mark => Err(format!("nullable struct marked {mark}").into()),
            },
            kind => self.single(kind, nullable),
        }
    }

    fn single(&mut self, kind: Kind, nullable: bool) -> Walked {
        match kind {
            Kind::Fixed(of) => Ok(self.cursor.skip(of.size())?),
            Kind::String => self.string(nullable),
            Kind::Bytes | Kind::Records => match self.length(nullable, "bytes")? {
                Some(len) => Ok(self.cursor.skip(len)?),
                None => Ok(()),
            },
            Kind::Struct(index) => self.structure(Struct::at(index)),
        }
    }

    fn string(&mut self, nullable: bool) -> Walked {
        let len = if self.flexible {
            self.length(nullable, "string")?
        } else {
            let len = i32::from(self.cursor.i16()?);
            signed_length(len, nullable, "string")?
        };
        let text = self.cursor.take(len.unwrap_or(0))?;
        match std::str::from_utf8(text) {
            Ok(_) => Ok(()),
            Err(_) => Err("string is not UTF-8".to_string().into()),
        }
    }

    fn array(&mut self, kind: Kind, nullable: bool) -> Walked {
        let Some(count) = self.length(nullable, "array")? else { return Ok(()) };
        let (min_wire, memory) = self.element_sizes(kind);
        let left = self.cursor.remaining();
        let fits = left.checked_div(min_wire).unwrap_or(MAX_EMPTY_ELEMENTS);
        if count > fits {
            return Err(format!("array of {count} elements in {left} bytes").into());
        }
        self.charge(count.saturating_mul(memory))?;
        if let Kind::Fixed(of) = kind {
            return Ok(self.cursor.skip(count.saturating_mul(of.size()))?);
        }
        if let Kind::Struct(index) = kind {
            return self.structures(Struct::at(index), count);
        }
        for index in 0..count {
            self.single(kind, false).map_err(|fault| fault.within(Step::Element(index)))?;
        }
        Ok(())
    }

    /// Fewest bytes on the wire and bytes in memory of one element.
    fn element_sizes(&self, kind: Kind) -> (usize, usize) {
        match kind {
            Kind::Fixed(of) => (of.size(), of.size()),
            Kind::String => (if self.flexible { 1 } else { 2 }, 32),
            Kind::Bytes | Kind::Records => (if self.flexible { 1 } else { 4 }, 32),
            Kind::Struct(index) => {
                let of = Struct::at(index);
                (usize::from(of.min_wire), usize::from(of.memory))
            }
        }
    }

    fn charge(&mut self, memory: usize) -> Walked {
        match self.budget.checked_sub(memory) {
            Some(left) => self.budget = left,
            None => return Err(format!("decoded message larger than {MEMORY_FACTOR} times its bytes").into()),
        }
        Ok(())
    }

    /// A length or count: varint less one in flexible versions, else 32 bits. `None` is null.
    fn length(&mut self, nullable: bool, what: &str) -> Result<Option<usize>, Box<Fault>> {
        if !self.flexible {
            let len = self.cursor.i32()?;
            return signed_length(len, nullable, what);
        }
        match self.cursor.uvarint()?.checked_sub(1) {
            Some(len) => Ok(Some(len as usize)),
            None => null(nullable, what),
        }
    }
}

fn signed_length(len: i32, nullable: bool, what: &str) -> Result<Option<usize>, Box<Fault>> {
    match usize::try_from(len) {
        Ok(len) => Ok(Some(len)),
        Err(_) if len == -1 => null(nullable, what),
        Err(_) => Err(format!("{what} of length {len}").into()),
    }
}

fn null(nullable: bool, what: &str) -> Result<Option<usize>, Box<Fault>> {
    if nullable { Ok(None) } else { Err(format!("{what} is null where it must not be").into()) }
}
