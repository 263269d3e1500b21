//! The shape of the schema table: what the generated rows of `schema_table.rs` mean, packed to 16 bytes a field.

use super::Direction;
use super::schema_table::{DEFAULTS, FIELDS, NAMES, SCHEMAS, STRUCTS};

/// Versions from the first to the second, both included; empty if upside down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Versions(pub(super) i8, pub(super) i8);

impl Versions {
    pub(super) fn contains(self, version: i8) -> bool {
        self.0 <= version && version <= self.1
    }
}

/// One message of one API.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) api_key: i16,
    pub(super) direction: Direction,
    /// Where the API's name stands in the table's names, and how long it is.
    pub(super) name: (u16, u8),
    pub(super) versions: Versions,
    pub(super) flexible: Versions,
    /// Index of the body in the table's structs.
    pub(super) root: u16,
}

impl Schema {
    /// The message's schema, if the table has it at this version.
    pub(super) fn find(api_key: i16, version: i16, direction: Direction) -> Option<(&'static Schema, i8)> {
        let version = i8::try_from(version).ok()?;
        let found = SCHEMAS.binary_search_by_key(&(api_key, direction), |s| (s.api_key, s.direction));
        let schema = SCHEMAS.get(found.ok()?)?;
        schema.versions.contains(version).then_some((schema, version))
    }

    /// The API's name as Kafka has it, as `Fetch`.
    pub(super) fn name(&self) -> &'static str {
        text(self.name)
    }

    pub(super) fn root(&self) -> &'static Struct {
        Struct::at(self.root)
    }
}

/// Fields that stand together.
#[derive(Debug)]
pub(super) struct Struct {
    /// Index of the first field; the others follow it.
    pub(super) first: u16,
    pub(super) count: u8,
    /// Bytes on the wire that every version needs at least.
    pub(super) min_wire: u8,
    /// Bytes of the generated Rust struct, at most.
    pub(super) memory: u16,
}

impl Struct {
    #[inline]
    pub(super) fn at(index: u16) -> &'static Struct {
        &STRUCTS[usize::from(index)]
    }

    #[inline]
    pub(super) fn fields(&self) -> &'static [Field] {
        let first = usize::from(self.first);
        &FIELDS[first..first + usize::from(self.count)]
    }
}

/// One field. From version `tagged_from` on it travels in the tagged section under `tag`, before in its place.
#[derive(Debug)]
pub(super) struct Field {
    /// Where its name stands in the table's names, and how long it is.
    pub(super) name_at: u16,
    pub(super) name_len: u8,
    pub(super) kind: Kind,
    pub(super) is_array: bool,
    /// Whether a version that lacks the field drops a value, instead of refusing it.
    pub(super) ignorable: bool,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    pub(super) tagged_from: i8,
    pub(super) tag: u8,
    /// Index in the table's defaults.
    pub(super) default: u8,
}

impl Field {
    /// Kafka's name in JSON, as `topicId`.
    pub(super) fn name(&self) -> &'static str {
        text((self.name_at, self.name_len))
    }

    #[inline]
    pub(super) fn is_tagged(&self, version: i8) -> bool {
        version >= self.tagged_from
    }

    /// Whether it is numbered `tag` in some version, not necessarily in that which is read.
    pub(super) fn is_tag(&self, tag: u32) -> bool {
        u32::from(self.tag) == tag && self.tagged_from < i8::MAX
    }

    /// Whether `version` may have it among its tagged fields.
    pub(super) fn is_tag_of(&self, version: i8) -> bool {
        self.is_tagged(version) && self.versions.contains(version)
    }

    /// Whether it stands in its place at `version`, not among the tagged fields.
    #[inline]
    pub(super) fn is_inline(&self, version: i8) -> bool {
        self.versions.contains(version) && !self.is_tagged(version)
    }

    /// Bytes on the wire, if they are the same for every value.
    #[inline]
    pub(super) fn fixed_size(&self) -> Option<usize> {
        match self.kind {
            Kind::Fixed(of) if !self.is_array => Some(of.size()),
            _ => None,
        }
    }

    /// What the field is where nobody has set it.
    pub(super) fn default(&self) -> DefaultValue {
        DEFAULTS[usize::from(self.default)]
    }
}

/// What a field, or each element of an array, is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    Fixed(Fixed),
    String,
    Bytes,
    Records,
    /// The struct at this index.
    Struct(u16),
}

/// A type of which every value takes the same number of bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fixed {
    Bool,
    Int8,
    Int16,
    Uint16,
    Int32,
    // No message of Kafka 4.4 has one; the generator writes it where a definition does.
    #[allow(dead_code)]
    Uint32,
    Int64,
    Float64,
    Uuid,
}

impl Fixed {
    /// Bytes on the wire.
    #[inline]
    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::Int8 => 1,
            Self::Int16 | Self::Uint16 => 2,
            Self::Int32 | Self::Uint32 => 4,
            Self::Int64 | Self::Float64 => 8,
            Self::Uuid => 16,
        }
    }

    /// Kafka's name of the type.
    #[cfg(feature = "json")]
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Bool => "bool",
            Self::Int8 => "int8",
            Self::Int16 => "int16",
            Self::Uint16 => "uint16",
            Self::Int32 => "int32",
            Self::Uint32 => "uint32",
            Self::Int64 => "int64",
            Self::Float64 => "float64",
            Self::Uuid => "uuid",
        }
    }
}

/// The value of a field that nobody has set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum DefaultValue {
    /// Zero, false, or empty.
    Zero,
    Null,
    /// This number; of a boolean, 1 for true.
    Int(i64),
}

fn text(name: (u16, u8)) -> &'static str {
    let start = usize::from(name.0);
    &NAMES[start..start + usize::from(name.1)]
}

/// `topic_id` for `topicId`: the name that the Rust struct has.
#[cfg(test)]
pub(super) fn snake_case(name: &str) -> String {
    let mut out = String::with_capacity(name.len() + 4);
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.extend(c.to_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::schema_table::CONTROL_RECORDS;
    use super::*;

    #[test]
    fn the_table_stays_small_enough_for_a_small_binary() {
        assert_eq!(size_of::<Field>(), 16);
        let rows = size_of_val(FIELDS) + size_of_val(STRUCTS) + size_of_val(SCHEMAS) + size_of_val(DEFAULTS);
        let bytes = rows + size_of_val(CONTROL_RECORDS) + NAMES.len();
        assert!(bytes < 40 * 1024, "{bytes} bytes");
    }

    #[test]
    fn structs_nest_downwards_so_that_no_walk_is_endless() {
        for (index, parent) in STRUCTS.iter().enumerate() {
            for field in parent.fields() {
                assert!(!matches!(field.kind, Kind::Struct(child) if usize::from(child) >= index));
            }
        }
    }

    #[test]
    fn every_default_fits_its_field() {
        for field in FIELDS {
            let fits = match (field.default(), field.kind) {
                (DefaultValue::Zero, _) => true,
                // Kafka's classes hold null for records that nobody has set, even where it cannot be written.
                (DefaultValue::Null, Kind::Records) => true,
                (DefaultValue::Null, _) => field.nullable.0 <= field.versions.0 && field.nullable.1 >= field.versions.1,
                (DefaultValue::Int(n), Kind::Fixed(Fixed::Bool)) => n == 1,
                (DefaultValue::Int(n), Kind::Fixed(Fixed::Int8)) => i8::try_from(n).is_ok(),
                (DefaultValue::Int(n), Kind::Fixed(Fixed::Int16)) => i16::try_from(n).is_ok(),
                (DefaultValue::Int(n), Kind::Fixed(Fixed::Int32)) => i32::try_from(n).is_ok(),
                (DefaultValue::Int(_), Kind::Fixed(Fixed::Int64)) => true,
                (DefaultValue::Int(_), _) => false,
            };
            assert!(fits, "{}: {:?} of {:?}", field.name(), field.default(), field.kind);
        }
    }

    #[test]
    fn a_name_has_one_form_in_json_and_one_in_rust() {
        assert_eq!(snake_case("topicId"), "topic_id");
        assert_eq!(snake_case("enable2Pc"), "enable2_pc", "as kafka-protocol has it");
        for field in FIELDS {
            let name = field.name();
            assert!(name.chars().next().is_some_and(char::is_lowercase), "{name}");
            let mut parts = snake_case(name).split('_').map(str::to_owned).collect::<Vec<_>>();
            for part in parts.iter_mut().skip(1) {
                let first = part.remove(0).to_ascii_uppercase();
                part.insert(0, first);
            }
            assert_eq!(parts.concat(), name);
        }
    }

    #[test]
    fn every_api_that_brokers_listen_for_is_there_both_ways_and_no_other() {
        let keys: Vec<i16> = SCHEMAS.iter().map(|schema| schema.api_key).collect();
        for pair in SCHEMAS.chunks(2) {
            let [request, response] = pair else { panic!("a message without its counterpart") };
            assert_eq!((request.api_key, request.direction), (response.api_key, Direction::Request));
            assert_eq!(response.direction, Direction::Response);
            assert_eq!(request.name(), response.name());
        }
        let controllers_only = [52, 53, 54, 56, 58, 59, 62, 63, 67, 70, 73, 82];
        let expected: Vec<i16> =
            (0..=94).filter(|key| !matches!(key, 4..=7) && !controllers_only.contains(key)).collect();
        assert_eq!(keys.iter().step_by(2).copied().collect::<Vec<_>>(), expected);
    }
}
