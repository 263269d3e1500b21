//! An answer as text that does not depend on which broker gave it: ids by order of appearance, no ports, no times.

use std::fmt::Debug;

use milena::error::ErrorCode;

use super::records;

/// Fields that say nothing about behaviour, or differ by nature.
const DROPPED: &[&str] = &[
    "throttle_time_ms",
    "unknown_tagged_fields",
    "error_message",
    "batch_index_error_message",
    "cluster_id",
    "host",
    "port",
    "rack",
    "configs",
    "api_keys",
    "supported_features",
    "finalized_features",
    "finalized_features_epoch",
    "cluster_authorized_operations",
    "topic_authorized_operations",
    "zk_migration_ready",
];
/// Fields left out when everything in them is -1 or empty: not present in most answers.
const OPTIONAL: &[&str] =
    &["diverging_epoch", "snapshot_id", "current_leader", "node_endpoints", "record_errors", "offline_replicas"];
/// Fields that name a broker.
const NODES: &[&str] =
    &["node_id", "leader_id", "controller_id", "preferred_read_replica", "replica_nodes", "isr_nodes"];
/// Fields of which only "none" and "some" are comparable.
const VOLATILE: &[&str] = &["session_id", "transaction_start_time_ms", "last_timestamp", "log_append_time_ms"];
/// Longest line.
const WIDTH: usize = 110;

/// Names volatile ids by the order in which they appear.
#[derive(Debug, Default)]
pub(super) struct Normaliser {
    producers: Vec<String>,
    topics: Vec<String>,
}

/// `Debug` text as a tree.
#[derive(Debug)]
enum Tree {
    Fields(Vec<(String, Tree)>),
    List(Vec<Tree>),
    Bytes(Vec<u8>),
    Atom(String),
}

impl Normaliser {
    /// The text of `answer`.
    pub(super) fn text(&mut self, answer: &impl Debug) -> String {
        let text = format!("{answer:?}");
        let tree = Parser { rest: &text }.tree();
        self.render("", &tree, 1).unwrap_or_default()
    }

    fn render(&mut self, field: &str, tree: &Tree, depth: usize) -> Option<String> {
        if DROPPED.contains(&field) || OPTIONAL.contains(&field) && is_nothing(tree) {
            return None;
        }
        Some(match tree {
            Tree::Atom(atom) => self.atom(field, atom),
            Tree::Bytes(bytes) => records::describe(bytes, |pid| name(&mut self.producers, "producer", pid)),
            Tree::List(items) => {
                let items = items.iter().filter_map(|item| self.render(field, item, depth + 1)).collect();
                wrap("[", items, "]", depth)
            }
            Tree::Fields(fields) => {
                let each = |(name, tree): &(String, Tree)| {
                    self.render(name, tree, depth + 1).map(|text| format!("{name}: {text}"))
                };
                wrap("{", fields.iter().filter_map(each).collect(), "}", depth)
            }
        })
    }

    fn atom(&mut self, field: &str, atom: &str) -> String {
        match field {
            _ if field.ends_with("error_code") => code(atom),
            "producer_id" => name(&mut self.producers, "producer", atom),
            "topic_id" => name(&mut self.topics, "topic", atom),
            _ if NODES.contains(&field) && !atom.starts_with('-') => "node".into(),
            _ if VOLATILE.contains(&field) && atom != "-1" && atom != "0" => "some".into(),
            _ => atom.into(),
        }
    }
}

fn code(number: &str) -> String {
    number.parse().map_or_else(|_| number.into(), |n| format!("{:?}", ErrorCode(n)))
}

/// `kind` and the place of `id` in the order of appearance; no id stays what it is.
fn name(known: &mut Vec<String>, kind: &str, id: &str) -> String {
    if id == "-1" || id.starts_with("00000000-0000-0000") {
        return "none".into();
    }
    let at = known.iter().position(|other| other == id).unwrap_or_else(|| {
        known.push(id.into());
        known.len() - 1
    });
    format!("{kind}-{}", at + 1)
}

fn is_nothing(tree: &Tree) -> bool {
    match tree {
        Tree::Atom(atom) => atom == "-1" || atom == "0" || atom == "None",
        Tree::List(items) => items.is_empty(),
        Tree::Bytes(bytes) => bytes.is_empty(),
        Tree::Fields(fields) => fields.iter().all(|(name, tree)| DROPPED.contains(&name.as_str()) || is_nothing(tree)),
    }
}

fn wrap(open: &str, items: Vec<String>, close: &str, depth: usize) -> String {
    let line = format!("{open}{}{close}", items.join(", "));
    if line.len() + depth * 2 <= WIDTH && !line.contains('\n') {
        return line;
    }
    let indent = "  ".repeat(depth);
    let inner: String = items.iter().map(|item| format!("{indent}{item}\n")).collect();
    format!("{open}\n{inner}{}{close}", "  ".repeat(depth - 1))
}

/// Reads what derived `Debug` writes.
struct Parser<'a> {
    rest: &'a str,
}

impl Parser<'_> {
    fn tree(&mut self) -> Tree {
        self.space();
        if let Some(rest) = self.rest.strip_prefix("b\"") {
            self.rest = rest;
            return Tree::Bytes(unescape(self.quoted()));
        }
        if let Some(rest) = self.rest.strip_prefix('"') {
            self.rest = rest;
            return Tree::Atom(format!("\"{}\"", self.quoted()));
        }
        if let Some(rest) = self.rest.strip_prefix('[') {
            self.rest = rest;
            return Tree::List(self.items(']'));
        }
        self.named()
    }

    /// A struct, a tuple of one (`Some(..)`, shown as what it holds), or a plain word.
    fn named(&mut self) -> Tree {
        let end = self.rest.find([' ', ',', '(', ')', '{', '}', '[', ']']).unwrap_or(self.rest.len());
        let word = &self.rest[..end];
        self.rest = &self.rest[end..];
        if let Some(rest) = self.rest.strip_prefix('(') {
            self.rest = rest;
            return self.items(')').pop().unwrap_or(Tree::Atom("()".into()));
        }
        match self.rest.trim_start().strip_prefix('{') {
            Some(rest) => {
                self.rest = rest;
                Tree::Fields(self.fields())
            }
            None => Tree::Atom(word.into()),
        }
    }

    fn items(&mut self, close: char) -> Vec<Tree> {
        let mut items = Vec::new();
        while !self.takes(close) {
            items.push(self.tree());
            self.takes(',');
        }
        items
    }

    fn fields(&mut self) -> Vec<(String, Tree)> {
        let mut fields = Vec::new();
        while !self.takes('}') {
            let (name, rest) = self.rest.split_once(':').expect("a field has a name");
            self.rest = rest;
            fields.push((name.trim().into(), self.tree()));
            self.takes(',');
        }
        fields
    }

    fn takes(&mut self, token: char) -> bool {
        self.space();
        match self.rest.strip_prefix(token) {
            Some(rest) => self.rest = rest,
            None => return false,
        }
        true
    }

    /// Up to the quote that ends a text, escapes left as they are.
    fn quoted(&mut self) -> &str {
        let mut is_escaped = false;
        let end = self.rest.find(|c| {
            let ends = c == '"' && !is_escaped;
            is_escaped = c == '\\' && !is_escaped;
            ends
        });
        let (text, rest) = self.rest.split_at(end.expect("a text ends"));
        self.rest = &rest[1..];
        text
    }

    fn space(&mut self) {
        self.rest = self.rest.trim_start();
        assert!(!self.rest.is_empty(), "Debug text ends early");
    }
}

/// The bytes behind `Debug` of `Bytes`.
fn unescape(text: &str) -> Vec<u8> {
    let mut out = Vec::new();
    let mut chars = text.bytes();
    while let Some(byte) = chars.next() {
        match (byte, byte == b'\\') {
            (_, false) => out.push(byte),
            _ => out.push(match chars.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'0') => 0,
                Some(b'x') => hex(chars.next()) << 4 | hex(chars.next()),
                other => other.unwrap_or_default(),
            }),
        }
    }
    out
}

fn hex(digit: Option<u8>) -> u8 {
    let digit = char::from(digit.unwrap_or(b'0'));
    digit.to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::messages::{EndTxnResponse, FetchResponse, ProducerId};

    #[test]
    fn ids_are_named_by_appearance_and_times_vanish() {
        let mut normaliser = Normaliser::default();
        let answer = |id| EndTxnResponse::default().with_producer_id(ProducerId(id)).with_throttle_time_ms(7);
        assert_eq!(
            normaliser.text(&answer(812)),
            "{error_code: NONE (0), producer_id: producer-1, producer_epoch: -1}"
        );
        assert!(normaliser.text(&answer(4)).contains("producer-2"));
        assert!(normaliser.text(&answer(812)).contains("producer-1"));
        assert_eq!(normaliser.text(&FetchResponse::default()), "{error_code: NONE (0), session_id: 0, responses: []}");
    }

    #[test]
    fn bytes_survive_their_debug_text() {
        let bytes: Vec<u8> = (0..=255).collect();
        let text = format!("{:?}", bytes::Bytes::from(bytes.clone()));
        assert_eq!(unescape(Parser { rest: &text[2..] }.quoted()), bytes);
    }
}
