//! Where each length, count, marker, tag and value of a message stands, as the schema table has it: what a liar lies about.

use std::collections::HashMap;
use std::ops::Range;

use milena::wire::Direction;
use milena::wire::api::api_by_number;
use milena::wire::json::{Row, dump};

use super::feed::Target;
use super::seeds::Seed;

/// What a piece of a message is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Kind {
    /// A value that takes as many bytes in every message.
    Value,
    /// The length of a string.
    Text,
    /// The length of bytes or records.
    Bytes,
    /// The count of an array.
    Count,
    /// Says whether a struct is there or null.
    Mark,
    /// The count of a section of tagged fields.
    Tags,
    /// The number of a tagged field.
    TagNumber,
    /// The size of a tagged field.
    TagSize,
    /// An element of an array, all of it.
    Element,
}

/// How the number of a piece is written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// Signed, in as many bytes as it has.
    Int,
    /// An unsigned varint, of one more than the number.
    Compact,
    /// An unsigned varint.
    Uvarint,
    /// There is no number.
    None,
}

/// A piece of a frame.
#[derive(Clone, Debug)]
pub struct Piece {
    /// What it is.
    pub kind: Kind,
    /// How its number is written.
    pub form: Form,
    /// The bytes of the number; empty if it has none.
    pub head: Range<usize>,
    /// Where what the number tells the size of, or the element, ends.
    pub end: usize,
    /// Of an element its array's count, of a tag its section's, by their place among the pieces.
    pub owner: Option<usize>,
}

/// The pieces of `body`, in the order in which they begin; of a malformed one those before its fault.
pub fn layout(key: i16, version: i16, direction: Direction, body: &[u8]) -> Vec<Piece> {
    let is_flexible = api_by_number(key).is_some_and(|api| version >= api.flexible_from);
    let mut layout = Layout { is_flexible, len: body.len(), ..Layout::default() };
    // Where it ends is where the fault is.
    let _ = dump(key, version, direction, body, &mut |row| layout.row(&row));
    layout.pieces
}

/// The pieces of a seed's header and body; none of a seed that is no message.
pub fn layout_of(seed: &Seed) -> Vec<Piece> {
    let (header, body) = seed.bytes.split_at(seed.header);
    let number = |at: usize| i16::from_be_bytes([header[at], header[at + 1]]);
    let piece = |kind, form, head: Range<usize>, end| Piece { kind, form, head, end, owner: None };
    let (mut pieces, in_body, tags_at) = match seed.target {
        Target::Request => {
            let client_id = piece(Kind::Text, Form::Int, 8..10, 11);
            (vec![client_id], layout(number(0), number(2), Direction::Request, body), 11)
        }
        Target::Response { key, version } => (Vec::new(), layout(key, version, Direction::Response, body), 4),
        Target::Batches => return Vec::new(),
    };
    if tags_at < seed.header {
        pieces.push(piece(Kind::Tags, Form::Uvarint, tags_at..seed.header, seed.header));
    }
    let (before, by) = (pieces.len(), seed.header);
    let moved = |piece: Piece| Piece {
        head: piece.head.start + by..piece.head.end + by,
        end: piece.end + by,
        owner: piece.owner.map(|owner| owner + before),
        ..piece
    };
    pieces.extend(in_body.into_iter().map(moved));
    pieces
}

#[derive(Default)]
struct Layout {
    is_flexible: bool,
    len: usize,
    pieces: Vec<Piece>,
    /// Elements, arrays and sections of tags by the way to them.
    elements: HashMap<String, usize>,
    arrays: HashMap<String, usize>,
    sections: HashMap<String, usize>,
    /// Where the last records end; what is in them is no part of the schema.
    records_end: usize,
}

impl Layout {
    fn row(&mut self, row: &Row<'_>) {
        if row.offset < self.records_end {
            return;
        }
        let (start, end) = (row.offset, row.offset + row.bytes.len());
        self.within_elements(&row.path, start, end);
        let length = if self.is_flexible { Form::Compact } else { Form::Int };
        let number = start..start + self.number_len(row);
        match row.type_name {
            "tag" => return self.tag(row),
            "tags" => {
                self.sections.insert(row.path.clone(), self.pieces.len());
                self.push(Kind::Tags, Form::Uvarint, start..end, end);
            }
            "array" => {
                self.arrays.insert(row.path.clone(), self.pieces.len());
                self.push(Kind::Count, length, start..end, end);
            }
            "struct" => self.push(Kind::Mark, Form::Int, start..end, end),
            "string" => self.push(Kind::Text, length, number, end),
            "bytes" => self.push(Kind::Bytes, length, number, end),
            "records" => {
                // The row has the length alone.
                let len = row.value.split_once(' ').and_then(|(len, _)| len.parse().ok()).unwrap_or(0);
                self.records_end = end + len;
                self.push(Kind::Bytes, length, start..end, end + len);
            }
            _ => self.push(Kind::Value, if end - start <= 8 { Form::Int } else { Form::None }, start..end, end),
        }
        // The last elements hold what their last field holds.
        self.within_elements(&row.path, start, self.records_end.max(end));
    }

    /// Bytes of the length that a row begins with.
    fn number_len(&self, row: &Row<'_>) -> usize {
        match row.type_name {
            _ if self.is_flexible => uvarint_len(row.bytes),
            "string" => 2,
            _ => 4,
        }
    }

    fn push(&mut self, kind: Kind, form: Form, head: Range<usize>, end: usize) {
        self.pieces.push(Piece { kind, form, head, end, owner: None });
    }

    fn tag(&mut self, row: &Row<'_>) {
        let number = uvarint_len(row.bytes);
        let size = row.bytes.get(number..).unwrap_or_default();
        let (start, middle) = (row.offset, row.offset + number);
        let head_end = middle + uvarint_len(size);
        let end = (head_end + uvarint_value(size)).min(self.len);
        let owner = self.sections.get(&row.path).copied();
        let piece = |kind, head| Piece { kind, form: Form::Uvarint, head, end, owner };
        self.pieces.extend([piece(Kind::TagNumber, start..middle), piece(Kind::TagSize, middle..head_end)]);
    }

    /// Stretches every element that `path` leads through to `end`; those it is the first piece of begin at `start`.
    fn within_elements(&mut self, path: &str, start: usize, end: usize) {
        for (close, _) in path.match_indices(']') {
            let element = &path[..=close];
            if let Some(at) = self.elements.get(element) {
                let piece = &mut self.pieces[*at];
                piece.end = piece.end.max(end);
                continue;
            }
            let open = element.rfind('[').unwrap_or(0);
            let owner = self.arrays.get(&element[..open]).copied();
            self.elements.insert(element.to_string(), self.pieces.len());
            self.pieces.push(Piece { kind: Kind::Element, form: Form::None, head: start..start, end, owner });
        }
    }
}

fn uvarint_len(bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| *byte < 0x80).map_or(bytes.len(), |last| last + 1)
}

/// The value of the unsigned varint that `bytes` begin with.
pub(super) fn uvarint_value(bytes: &[u8]) -> usize {
    let groups = bytes.iter().take(uvarint_len(bytes)).take(5);
    (0..).zip(groups).fold(0, |value, (group, byte)| value | usize::from(byte & 0x7f) << (7 * group))
}
