//! The schema table as Rust source: structs inside first, each name and each default once.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde_json::Value;

use crate::Result;
use crate::definitions::{
    Definitions, NONE, Range, camel_case, contains, field_versions, is_spoken_by_brokers, versions,
};
use crate::types::{Type, default_of, scalar};

/// The whole file `src/wire/schema_table.rs`.
pub(crate) fn render(definitions: &Definitions) -> Result<String> {
    let mut table = Table::default();
    for definition in definitions.values().filter(|d| is_spoken_by_brokers(d, definitions)) {
        table.message(definition).map_err(|e| format!("{}: {e}", definition["name"]))?;
    }
    for ((key, _), definition) in definitions.iter().filter(|((_, kind), _)| kind == "data") {
        table.control_record(*key, definition).map_err(|e| format!("{}: {e}", definition["name"]))?;
    }
    table.render()
}

#[derive(Default)]
struct Table {
    names: String,
    defaults: Vec<String>,
    fields: Vec<String>,
    structs: Vec<String>,
    schemas: Vec<String>,
    control_records: Vec<String>,
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

impl Message {
    fn of(definition: &Value) -> Result<Self> {
        let (valid, flexible) = (versions(&definition["validVersions"])?, versions(&definition["flexibleVersions"])?);
        let mut common = BTreeMap::new();
        for of in definition["commonStructs"].as_array().into_iter().flatten() {
            let name = of["name"].as_str().ok_or("a common struct without name")?;
            common.insert(name.to_string(), of["fields"].clone());
        }
        Ok(Self { valid, flexible, common })
    }
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

impl Table {
    fn message(&mut self, definition: &Value) -> Result<()> {
        let message = Message::of(definition)?;
        if message.valid.0 > message.valid.1 {
            return Ok(());
        }
        let direction = if definition["type"] == "request" { "Request" } else { "Response" };
        let full = definition["name"].as_str().ok_or("a message without name")?;
        let name = full.strip_suffix(direction).ok_or("a name that does not end in its type")?;
        let key = definition["apiKey"].as_i64().ok_or("no API key")?;
        let row = self.schema((key, direction, name), &message, definition)?;
        self.schemas.push(format!("{row} // {full}"));
        Ok(())
    }

    /// A control record has a schema as a message does; what stands for the API's key is the record's type.
    fn control_record(&mut self, key: i64, definition: &Value) -> Result<()> {
        let name = definition["name"].as_str().ok_or("a record without name")?;
        let row = self.schema((key, "Response", name), &Message::of(definition)?, definition)?;
        self.control_records.push(format!("{row} // {name}"));
        Ok(())
    }

    fn schema(&mut self, of: (i64, &str, &str), message: &Message, definition: &Value) -> Result<String> {
        let (key, direction, name) = of;
        let root = self.structure(message, &definition["fields"])?.index;
        let Message { valid, flexible, .. } = message;
        let (at, len) = (self.name(name), name.len());
        Ok(format!("m({key}, Direction::{direction}, {at}, {len}, {valid:?}, {flexible:?}, {root}),"))
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
        let name = camel_case(field["name"].as_str().ok_or("a field without name")?);
        let row = self.row(message, field).map_err(|e| format!("{name}: {e}"))?;
        let ignorable = field["ignorable"].as_bool().unwrap_or(false);
        let tag = field["tag"].as_u64().unwrap_or(0);
        let default = self.default_index(default_of(&row.type_of, row.is_array, &field["default"])?);
        let text = format!(
            "f({}, {}, {}, {}, {ignorable}, {:?}, {:?}, {}, {tag}, {default}), // {name}",
            self.name(&name),
            name.len(),
            row.type_of.kind,
            row.is_array,
            row.versions,
            row.nullable,
            row.tagged.0,
        );
        Ok(Row { text, ..row })
    }

    fn row(&mut self, message: &Message, field: &Value) -> Result<Row> {
        let type_name = field["type"].as_str().ok_or("no type")?;
        let (is_array, element) = match type_name.strip_prefix("[]") {
            Some(element) => (true, element),
            None => (false, type_name),
        };
        if !field["flexibleVersions"].is_null() {
            return Err("a field with flexible versions of its own".into());
        }
        let type_of = self.type_of(message, field, element)?;
        let row = Row {
            versions: field_versions(field)?,
            tagged: versions(&field["taggedVersions"])?,
            nullable: versions(&field["nullableVersions"])?,
            memory: if is_array { 24 } else { type_of.memory },
            is_array,
            type_of,
            text: String::new(),
        };
        match () {
            () if row.tagged != NONE && row.tagged.1 != 127 => Err("tagged versions that end".into()),
            () if row.is_tagged_nullable_struct() => Err("a nullable tagged struct has another encoding".into()),
            () => Ok(row),
        }
    }

    fn type_of(&mut self, message: &Message, field: &Value, name: &str) -> Result<Type> {
        if let Some(scalar) = scalar(name) {
            return Ok(scalar);
        }
        let fields = message.common.get(name).unwrap_or(&field["fields"]);
        let Placed { index, min_wire, memory } = self.structure(message, fields)?;
        Ok(Type { kind: format!("Kind::Struct({index})"), min: (min_wire, min_wire), memory })
    }

    /// Where `name` stands among the names, each text once.
    fn name(&mut self, name: &str) -> usize {
        self.names.find(name).unwrap_or_else(|| {
            self.names.push_str(name);
            self.names.len() - name.len()
        })
    }

    /// Where `default` stands among the defaults, each value once.
    fn default_index(&mut self, default: String) -> usize {
        self.defaults.iter().position(|known| *known == default).unwrap_or_else(|| {
            self.defaults.push(default);
            self.defaults.len() - 1
        })
    }

    fn render(&self) -> Result<String> {
        let mut out = String::from(include_str!("head.txt"));
        writeln!(out, "\npub(super) static NAMES: &str = \"\\")?;
        let mut rest = self.names.as_str();
        while !rest.is_empty() {
            let (line, next) = rest.split_at(rest.len().min(110));
            writeln!(out, "    {line}\\")?;
            rest = next;
        }
        writeln!(out, "\";")?;
        let defaults: Vec<String> = self.defaults.iter().map(|default| format!("{default},")).collect();
        for (name, of, rows) in [
            ("DEFAULTS", "DefaultValue", &defaults),
            ("SCHEMAS", "Schema", &self.schemas),
            ("CONTROL_RECORDS", "Schema", &self.control_records),
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

impl Row {
    fn is_struct(&self) -> bool {
        self.type_of.kind.starts_with("Kind::Struct") && !self.is_array
    }

    fn is_tagged_nullable_struct(&self) -> bool {
        self.is_struct() && self.nullable != NONE && self.tagged != NONE
    }

    fn min_wire(&self, message: &Message, version: i8) -> usize {
        let flexible = contains(message.flexible, version);
        if !contains(self.versions, version) || contains(self.tagged, version) {
            0
        } else if self.is_array {
            if flexible { 1 } else { 4 }
        } else if self.is_struct() && contains(self.nullable, version) {
            1
        } else if flexible {
            self.type_of.min.1
        } else {
            self.type_of.min.0
        }
    }
}
