//! Kafka's message definitions as read from a directory: JSON with comments, version ranges as text.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::Result;

pub(crate) type Range = (i8, i8);

/// Upside down: no version.
pub(crate) const NONE: Range = (127, -1);

/// What KRaft writes into control records, by the record's type.
const CONTROL_RECORDS: [(i64, &str); 5] = [
    (2, "LeaderChangeMessage"),
    (3, "SnapshotHeaderRecord"),
    (4, "SnapshotFooterRecord"),
    (5, "KRaftVersionRecord"),
    (6, "VotersRecord"),
];

/// Definitions of requests and responses by API key and type (`request`, `response`), and those of control records
/// (`data`) by the record's type.
pub(crate) type Definitions = BTreeMap<(i64, String), Value>;

/// Every request, response and control record defined by a file of `directory`.
pub(crate) fn read_definitions(directory: &Path) -> Result<Definitions> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(directory).map_err(|e| format!("{}: {e}", directory.display()))? {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "json") {
            let text: String = fs::read_to_string(&path)?.lines().map(|line| without_comment(line) + "\n").collect();
            let value: Value = serde_json::from_str(&text).map_err(|e| format!("{}: {e}", path.display()))?;
            let control = CONTROL_RECORDS.iter().find(|(_, name)| value["name"] == *name);
            let key = value["apiKey"].as_i64().or(control.map(|(key, _)| *key));
            if let (Some(key), Some(kind)) = (key, value["type"].as_str()) {
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

/// A request or response of an API that brokers listen for; the others pass between controllers and brokers only.
pub(crate) fn is_spoken_by_brokers(definition: &Value, all: &Definitions) -> bool {
    let key = definition["apiKey"].as_i64().unwrap_or(-1);
    let request = all.get(&(key, "request".to_string()));
    let listeners = request.and_then(|r| r["listeners"].as_array());
    let is_message = definition["type"] == "request" || definition["type"] == "response";
    is_message && listeners.is_some_and(|l| l.iter().any(|l| l == "broker"))
}

pub(crate) fn contains(range: Range, version: i8) -> bool {
    range.0 <= version && version <= range.1
}

/// `3+`, `3-7`, `3` or `none`.
pub(crate) fn versions(value: &Value) -> Result<Range> {
    let text = value.as_str().unwrap_or("none");
    Ok(match (text.strip_suffix('+'), text.split_once('-')) {
        _ if text == "none" => NONE,
        (Some(from), _) => (from.parse()?, 127),
        (_, Some((from, to))) => (from.parse()?, to.parse()?),
        _ => (text.parse()?, text.parse()?),
    })
}

/// The versions a field is there in: those it is tagged in, if it names no others.
pub(crate) fn field_versions(field: &Value) -> Result<Range> {
    versions(if field["versions"].is_null() { &field["taggedVersions"] } else { &field["versions"] })
}

/// The name as Kafka's JSON has it: `TopicId` is `topicId`.
pub(crate) fn camel_case(name: &str) -> String {
    let mut letters = name.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn comments_and_version_ranges_are_read_as_kafka_writes_them() {
        assert_eq!(without_comment(r#"  "about": "see https://x" // of old"#), r#"  "about": "see https://x" "#);
        assert_eq!(versions(&json!("3+")).unwrap(), (3, 127));
        assert_eq!(versions(&json!("3-7")).unwrap(), (3, 7));
        assert_eq!(versions(&json!("3")).unwrap(), (3, 3));
        assert_eq!(versions(&Value::Null).unwrap(), NONE);
        assert_eq!(field_versions(&json!({ "taggedVersions": "2+", "tag": 0 })).unwrap(), (2, 127));
        assert!(versions(&json!("new")).is_err());
    }
}
