//! What changed between two releases' definitions, a line each: APIs, versions, and fields by their path.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::Result;
use crate::definitions::{Definitions, camel_case};

/// What is said of a message or a field, by the word for it: `versions` is `4-18`.
type Facts = BTreeMap<&'static str, String>;

/// One line for each difference, by API key, requests first; nothing if there is none.
///
/// `+` is new, `-` is gone, `~` has changed, with what it was and what it is.
pub(crate) fn diff(older: &Definitions, newer: &Definitions) -> Result<Vec<String>> {
    let mut lines = Vec::new();
    let keys: std::collections::BTreeSet<_> = older.keys().chain(newer.keys()).collect();
    for key in keys {
        let number = if key.1 == "data" { "control record" } else { "key" };
        let name = |definition: &Value| format!("{} ({number} {})", definition["name"].as_str().unwrap_or("?"), key.0);
        match (older.get(key), newer.get(key)) {
            (None, Some(new)) => lines.push(format!("+ {}: {}", name(new), told(&message(new)))),
            (Some(old), None) => lines.push(format!("- {}: {}", name(old), told(&message(old)))),
            (Some(old), Some(new)) => {
                lines.extend(changed(&name(new), &message(old), &message(new)));
                let (old, new) = (fields(old)?, fields(new)?);
                lines.extend(field_lines(&name(&newer[key]), &old, &new));
            }
            (None, None) => {}
        }
    }
    Ok(lines)
}

/// The fields that are gone, then those that are new or have changed.
fn field_lines(name: &str, old: &BTreeMap<String, Facts>, new: &BTreeMap<String, Facts>) -> Vec<String> {
    let gone = old.iter().filter(|(path, _)| !new.contains_key(*path));
    let mut lines: Vec<String> = gone.map(|(path, facts)| format!("- {name} {path}: {}", told(facts))).collect();
    for (path, facts) in new {
        match old.get(path) {
            None => lines.push(format!("+ {name} {path}: {}", told(facts))),
            Some(before) => lines.extend(changed(&format!("{name} {path}"), before, facts)),
        }
    }
    lines
}

fn told(facts: &Facts) -> String {
    facts.iter().map(|(word, value)| format!("{word} {value}")).collect::<Vec<_>>().join(", ")
}

fn changed(what: &str, old: &Facts, new: &Facts) -> Option<String> {
    let words: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    let value = |facts: &Facts, word: &str| facts.get(word).cloned().unwrap_or_else(|| "none".into());
    let changes = words.into_iter().filter(|word| old.get(*word) != new.get(*word));
    let changes: Vec<String> =
        changes.map(|word| format!("{word} {} -> {}", value(old, word), value(new, word))).collect();
    (!changes.is_empty()).then(|| format!("~ {what}: {}", changes.join(", ")))
}

/// The properties of `definition` that say how bytes are written, as they are there.
fn facts(definition: &Value, of: &[(&'static str, &str)]) -> Facts {
    let text = |value: &Value| match value {
        Value::String(text) if text.is_empty() => "\"\"".to_string(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("+"),
        other => other.to_string(),
    };
    of.iter()
        .filter(|(_, key)| !definition[*key].is_null())
        .map(|(word, key)| (*word, text(&definition[*key])))
        .collect()
}

fn message(definition: &Value) -> Facts {
    let mut facts = facts(
        definition,
        &[
            ("flexible", "flexibleVersions"),
            ("listeners", "listeners"),
            ("name", "name"),
            ("unstable", "latestVersionUnstable"),
            ("versions", "validVersions"),
        ],
    );
    // It stands in front of every line; only a change of it is news.
    facts.retain(|word, value| *word != "name" && !(*word == "unstable" && value == "false"));
    facts
}

/// Every field by its path, as `topics.partitions.records`.
fn fields(definition: &Value) -> Result<BTreeMap<String, Facts>> {
    let mut found = BTreeMap::new();
    add_fields(definition, &definition["fields"], "", &mut found)?;
    Ok(found)
}

fn add_fields(message: &Value, fields: &Value, path: &str, found: &mut BTreeMap<String, Facts>) -> Result<()> {
    for field in fields.as_array().into_iter().flatten() {
        let name = camel_case(field["name"].as_str().ok_or("a field without name")?);
        let path = if path.is_empty() { name } else { format!("{path}.{name}") };
        let mut facts = facts(
            field,
            &[
                ("default", "default"),
                ("ignorable", "ignorable"),
                ("nullable", "nullableVersions"),
                ("tag", "tag"),
                ("tagged", "taggedVersions"),
                ("type", "type"),
                ("versions", "versions"),
            ],
        );
        facts.retain(|word, value| !(*word == "ignorable" && value == "false"));
        let element = field["type"].as_str().unwrap_or_default().trim_start_matches("[]");
        let common = message["commonStructs"].as_array().into_iter().flatten().find(|of| of["name"] == element);
        found.insert(path.clone(), facts);
        if path.split('.').count() > 16 {
            return Err(format!("{path}: structs within structs without end").into());
        }
        add_fields(message, common.map_or(&field["fields"], |common| &common["fields"]), &path, found)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definitions::read_definitions;
    use std::path::Path;

    const OLDER: &[(&str, &str)] = &[
        (
            "EchoRequest.json",
            r#"// Licensed to whom it may concern.
            { "apiKey": 900, "type": "request", "listeners": ["broker"], "name": "EchoRequest",
              "validVersions": "0-1", "flexibleVersions": "1+", "fields": [
                { "name": "Text", "type": "string", "versions": "0+" },
                { "name": "Old", "type": "int32", "versions": "0" },
                { "name": "Topics", "type": "[]Topic", "versions": "0+", "fields": [
                  { "name": "Name", "type": "string", "versions": "0+" } ] } ] }"#,
        ),
        (
            "GoneRequest.json",
            r#"{ "apiKey": 901, "type": "request", "name": "GoneRequest", "validVersions": "0",
                 "flexibleVersions": "none", "fields": [] }"#,
        ),
    ];

    const NEWER: &[(&str, &str)] = &[
        (
            "EchoRequest.json",
            r#"{ "apiKey": 900, "type": "request", "listeners": ["broker"], "name": "EchoRequest",
              "validVersions": "0-2", "latestVersionUnstable": true, "flexibleVersions": "1+", "fields": [
                { "name": "Text", "type": "string", "versions": "0+", "nullableVersions": "2+", "default": "null" },
                { "name": "Topics", "type": "[]Topic", "versions": "0+" },
                { "name": "Mood", "type": "int8", "versions": "2+", "taggedVersions": "2+", "tag": 0, "default": "-1" } ],
              "commonStructs": [ { "name": "Topic", "versions": "0+", "fields": [
                  { "name": "Name", "type": "string", "versions": "0-1" },
                  { "name": "TopicId", "type": "uuid", "versions": "2+", "ignorable": true } ] } ] }"#,
        ),
        (
            "NewResponse.json",
            r#"{ "apiKey": 902, "type": "response", "name": "NewResponse", "validVersions": "0-1",
                 "flexibleVersions": "0+", "fields": [] }"#,
        ),
    ];

    /// The definitions of `files`, read from a directory made for them.
    fn definitions(name: &str, files: &[(&str, &str)]) -> Definitions {
        let directory = std::env::temp_dir().join(format!("schemas-diff-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        for (file, text) in files {
            std::fs::write(directory.join(file), text).unwrap();
        }
        let definitions = read_definitions(Path::new(&directory)).unwrap();
        std::fs::remove_dir_all(directory).unwrap();
        definitions
    }

    #[test]
    fn every_change_that_bytes_show_is_a_line_and_nothing_else_is() {
        let (older, newer) = (definitions("older", OLDER), definitions("newer", NEWER));
        let expected = [
            "~ EchoRequest (key 900): unstable none -> true, versions 0-1 -> 0-2",
            "- EchoRequest (key 900) old: type int32, versions 0",
            "+ EchoRequest (key 900) mood: default -1, tag 0, tagged 2+, type int8, versions 2+",
            "~ EchoRequest (key 900) text: default none -> null, nullable none -> 2+",
            "~ EchoRequest (key 900) topics.name: versions 0+ -> 0-1",
            "+ EchoRequest (key 900) topics.topicId: ignorable true, type uuid, versions 2+",
            "- GoneRequest (key 901): flexible none, versions 0",
            "+ NewResponse (key 902): flexible 0+, versions 0-1",
        ];
        assert_eq!(diff(&older, &newer).unwrap(), expected);
        assert_eq!(diff(&newer, &newer).unwrap(), [""; 0], "the comment and the place of a struct do not count");
    }
}
