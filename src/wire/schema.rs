//! The shape of the schema table: what the generated rows of `schema_table.rs` mean, packed to 16 bytes a field.

use super::Direction;

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
    pub(super) versions: Versions,
    pub(super) flexible: Versions,
    /// Index of the body in the table's structs.
    pub(super) root: u16,
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

/// One field. Where `tagged` holds it travels in the tagged section under `tag`, else in its place.
#[derive(Debug)]
pub(super) struct Field {
    /// Where its name stands in the table's names, and how long it is.
    pub(super) name: (u16, u8),
    pub(super) kind: Kind,
    pub(super) is_array: bool,
    pub(super) versions: Versions,
    pub(super) nullable: Versions,
    pub(super) tagged: Versions,
    pub(super) tag: u8,
}

/// What a field, or each element of an array, is.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// So many bytes: integers, booleans, floats, uuids.
    Fixed(u8),
    String,
    /// Bytes and records.
    Bytes,
    /// The struct at this index.
    Struct(u16),
}

#[cfg(test)]
mod tests {
    use super::super::schema_table::{FIELDS, NAMES, SCHEMAS, STRUCTS};
    use super::*;

    #[test]
    fn the_table_stays_small_enough_for_a_small_binary() {
        assert_eq!(size_of::<Field>(), 16);
        let bytes = size_of_val(FIELDS) + size_of_val(STRUCTS) + size_of_val(SCHEMAS) + NAMES.len();
        assert!(bytes < 40 * 1024, "{bytes} bytes");
    }

    #[test]
    fn structs_nest_downwards_so_that_no_walk_is_endless() {
        for (index, parent) in STRUCTS.iter().enumerate() {
            let first = usize::from(parent.first);
            for field in &FIELDS[first..first + usize::from(parent.count)] {
                assert!(!matches!(field.kind, Kind::Struct(child) if usize::from(child) >= index));
            }
        }
    }
}
