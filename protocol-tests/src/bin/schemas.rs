//! Writes the wire room's schema table from Kafka's own message definitions.
//!
//! The definitions are the JSON files under `common/message/` of the `kafka-clients` jar (4.4.0 at present):
//!
//! ```text
//! unzip -d target/messages kafka-clients-4.4.0.jar 'common/message/*.json'
//! cargo run -p protocol-tests --bin schemas -- target/messages/common/message src/wire/schema_table.rs
//! ```
//!
//! Requests and responses that brokers listen for are taken, all versions of them.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use serde_json::Value;

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Range = (i8, i8);

/// Upside down: no version.
const NONE: Range = (127, -1);

fn main() -> Result<()> {
    let args: Vec<String> = env::args().collect();
    let [_, messages, table] = args.as_slice() else {
        return Err("usage: schemas <directory of message definitions> <table to write>".into());
    };
    let mut generator = Table::default();
    let definitions = read_definitions(Path::new(messages))?;
    for definition in definitions.values().filter(|d| is_spoken_by_brokers(d, &definitions)) {
        generator.message(definition).map_err(|e| format!("{}: {e}", definition["name"]))?;
    }
    fs::write(table, generator.render()?)?;
    Ok(())
}

/// Every definition by its API key and type.
fn read_definitions(directory: &Path) -> Result<BTreeMap<(i64, String), Value>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let text: String = fs::read_to_string(&path)?.lines().map(|line| without_comment(line) + "\n").collect();
            let value: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            if let (Some(key), Some(kind)) = (value["apiKey"].as_i64(), value["type"].as_str()) {
                found.insert((key, kind.to_string()), value);
            }
        }
    }
    Ok(found)
}

/// `line` up to a `//` that stands outside of quotes.
fn without_comment(line: &str) -> String {
    let mut in_quotes = false;
    let mut end = line.len();
    for (at, c) in line.char_indices() {
        in_quotes ^= c == '"';
        if !in_quotes && line[at..].starts_with("//") {
            end = at;
            break;
        }
    }
    line[..end].to_string()
}

fn is_spoken_by_brokers(definition: &Value, all: &BTreeMap<(i64, String), Value>) -> bool {
    let key = definition["apiKey"].as_i64().unwrap_or(-1);
    let request = all.get(&(key, "request".to_string()));
    let listeners = request.and_then(|r| r["listeners"].as_array());
    let is_message = definition["type"] == "request" || definition["type"] == "response";
    is_message && listeners.is_some_and(|l| l.iter().any(|l| l == "broker"))
}

#[derive(Default)]
struct Table {
    names: String,
    fields: Vec<String>,
    structs: Vec<String>,
    schemas: Vec<String>,
}

/// A struct that stands in the table.
#[derive(Clone, Copy)]
struct Placed {
    index: usize,
    min_wire: usize,
    memory: usize,
}

/// What is the same for all fields of one message.
struct Message {
    valid: Range,
    flexible: Range,
    common: BTreeMap<String, Value>,
}

impl Table {
    fn message(&mut self, definition: &Value) -> Result<()> {
        let flexible = versions(&definition["flexibleVersions"])?;
        let mut message = Message { valid: versions(&definition["validVersions"])?, flexible, common: BTreeMap::new() };
        if message.valid.0 > message.valid.1 {
            return Ok(());
        }
        for common in definition["commonStructs"].as_array().into_iter().flatten() {
            let name = common["name"].as_str().ok_or("a common struct without name")?;
            message.common.insert(name.to_string(), common["fields"].clone());
        }
        let root = self.structure(&message, &definition["fields"])?.index;
        let direction = if definition["type"] == "request" { "Request" } else { "Response" };
        self.schemas.push(format!(
            "m({}, Direction::{direction}, {:?}, {:?}, {root}), // {}",
            definition["apiKey"],
            message.valid,
            flexible,
            definition["name"].as_str().unwrap_or_default(),
        ));
        Ok(())
    }

    /// Places the structs inside first, then the fields in one run, then the struct.
    fn structure(&mut self, message: &Message, fields: &Value) -> Result<Placed> {
        let fields = fields.as_array().ok_or("no fields")?;
        let rows = fields.iter().map(|field| self.field(message, field)).collect::<Result<Vec<_>>>()?;
        let first = self.fields.len();
        let mut memory = if message.flexible.0 <= message.flexible.1 { 24 } else { 0 };
        for row in &rows {
            memory += row.memory;
            self.fields.push(row.text.clone());
        }
        let memory = memory.next_multiple_of(8);
        let min_wire = (message.valid.0..=message.valid.1)
            .map(|version| {
                let tags = usize::from(contains(message.flexible, version));
                tags + rows.iter().map(|row| row.min_wire(message, version)).sum::<usize>()
            })
            .min()
            .ok_or("no versions")?;
        self.structs.push(format!("s({first}, {}, {min_wire}, {memory}),", rows.len()));
        Ok(Placed { index: self.structs.len() - 1, min_wire, memory })
    }

    fn field(&mut self, message: &Message, field: &Value) -> Result<Row> {
        let name = snake_case(field["name"].as_str().ok_or("a field without name")?);
        let type_name = field["type"].as_str().ok_or("a field without type")?;
        let (is_array, element) = match type_name.strip_prefix("[]") {
            Some(element) => (true, element),
            None => (false, type_name),
        };
        if !field["flexibleVersions"].is_null() {
            return Err(format!("{name}: a field with flexible versions of its own").into());
        }
        let type_of = self.type_of(message, field, element)?;
        let row = Row {
            versions: versions(&field["versions"])?,
            tagged: versions(&field["taggedVersions"])?,
            nullable: versions(&field["nullableVersions"])?,
            memory: if is_array { 24 } else { type_of.memory },
            is_array,
            type_of,
            text: String::new(),
        };
        if row.is_tagged_nullable_struct() {
            return Err(format!("{name}: a nullable tagged struct has another encoding").into());
        }
        let tag = field["tag"].as_u64().unwrap_or(0);
        let text = format!(
            "f({}, {}, {}, {is_array}, {:?}, {:?}, {:?}, {tag}), // {name}",
            self.name(&name),
            name.len(),
            row.type_of.kind,
            row.versions,
            row.nullable,
            row.tagged,
        );
        Ok(Row { text, ..row })
    }

    fn type_of(&mut self, message: &Message, field: &Value, name: &str) -> Result<Type> {
        let fixed = |n: usize| Ok(Type { kind: format!("Kind::Fixed({n})"), min: (n, n), memory: n });
        match name {
            "bool" | "int8" => fixed(1),
            "int16" | "uint16" => fixed(2),
            "int32" | "uint32" => fixed(4),
            "int64" | "float64" => fixed(8),
            "uuid" => fixed(16),
            "string" => Ok(Type { kind: "Kind::String".into(), min: (2, 1), memory: 32 }),
            "bytes" | "records" => Ok(Type { kind: "Kind::Bytes".into(), min: (4, 1), memory: 32 }),
            _ => {
                let fields = message.common.get(name).unwrap_or(&field["fields"]);
                let Placed { index, min_wire, memory } = self.structure(message, fields)?;
                Ok(Type { kind: format!("Kind::Struct({index})"), min: (min_wire, min_wire), memory })
            }
        }
    }

    /// Where `name` stands among the names, each text once.
    fn name(&mut self, name: &str) -> usize {
        self.names.find(name).unwrap_or_else(|| {
            self.names.push_str(name);
            self.names.len() - name.len()
        })
    }

    fn render(&self) -> Result<String> {
        let mut out = String::from(HEAD);
        writeln!(out, "\npub(super) static NAMES: &str = \"\\")?;
        let mut rest = self.names.as_str();
        while !rest.is_empty() {
            let (line, next) = rest.split_at(rest.len().min(110));
            writeln!(out, "    {line}\\")?;
            rest = next;
        }
        writeln!(out, "\";")?;
        for (name, of, rows) in [
            ("SCHEMAS", "Schema", &self.schemas),
            ("STRUCTS", "Struct", &self.structs),
            ("FIELDS", "Field", &self.fields),
        ] {
            writeln!(out, "\n#[rustfmt::skip]\npub(super) static {name}: &[{of}] = &[")?;
            rows.iter().try_for_each(|row| writeln!(out, "    {row}"))?;
            writeln!(out, "];")?;
        }
        Ok(out)
    }
}

const HEAD: &str = "\
// @generated by `cargo run -p protocol-tests --bin schemas` from the message definitions of kafka-clients 4.4.0.
//! The fields of every message a client and a broker exchange, by version.

use super::Direction;
use super::schema::{Field, Kind, Schema, Struct, Versions};

type Range = (i8, i8);

const fn m(api_key: i16, direction: Direction, versions: Range, flexible: Range, root: u16) -> Schema {
    let versions = Versions(versions.0, versions.1);
    Schema { api_key, direction, versions, flexible: Versions(flexible.0, flexible.1), root }
}

const fn s(first: u16, count: u8, min_wire: u8, memory: u16) -> Struct {
    Struct { first, count, min_wire, memory }
}

#[rustfmt::skip]
#[allow(clippy::too_many_arguments)]
const fn f(name: u16, len: u8, kind: Kind, is_array: bool, versions: Range, nullable: Range, tagged: Range, tag: u8) -> Field {
    Field {
        name: (name, len),
        kind,
        is_array,
        versions: Versions(versions.0, versions.1),
        nullable: Versions(nullable.0, nullable.1),
        tagged: Versions(tagged.0, tagged.1),
        tag,
    }
}
";

struct Type {
    kind: String,
    /// Fewest bytes on the wire in classic and in flexible versions.
    min: (usize, usize),
    /// Bytes in the generated Rust struct.
    memory: usize,
}

struct Row {
    versions: Range,
    tagged: Range,
    nullable: Range,
    is_array: bool,
    type_of: Type,
    memory: usize,
    text: String,
}

impl Row {
    fn is_tagged_nullable_struct(&self) -> bool {
        let is_struct = self.type_of.kind.starts_with("Kind::Struct") && !self.is_array;
        is_struct && self.nullable != NONE && self.tagged != NONE
    }

    fn min_wire(&self, message: &Message, version: i8) -> usize {
        let flexible = contains(message.flexible, version);
        if !contains(self.versions, version) || contains(self.tagged, version) {
            0
        } else if self.is_array {
            if flexible { 1 } else { 4 }
        } else if self.type_of.kind.starts_with("Kind::Struct") && contains(self.nullable, version) {
            1
        } else if flexible {
            self.type_of.min.1
        } else {
            self.type_of.min.0
        }
    }
}

fn contains(range: Range, version: i8) -> bool {
    range.0 <= version && version <= range.1
}

/// `3+`, `3-7`, `3` or `none`.
fn versions(value: &Value) -> Result<Range> {
    let text = value.as_str().unwrap_or("none");
    Ok(match (text.strip_suffix('+'), text.split_once('-')) {
        _ if text == "none" => NONE,
        (Some(from), _) => (from.parse()?, 127),
        (_, Some((from, to))) => (from.parse()?, to.parse()?),
        _ => (text.parse()?, text.parse()?),
    })
}

fn snake_case(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}
