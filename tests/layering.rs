//! A room imports only rooms to its left, so that each can be understood, tested and replaced without the ones above it.
//!
//! ```text
//! error types record < config < wire < connection < cluster < {producer, consumer, admin}
//!                    < client < connector < {runtime, timely} < cli          wire < broker
//! ```

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

#[path = "layering/paths.rs"]
mod paths;

use paths::{Import, imports};

/// Rooms by level. Those of one level do not import each other, except in the first, which is one room in three files.
const LEVELS: &[&[&str]] = &[
    &["error", "types", "record"],
    &["config"],
    &["wire"],
    &["connection"],
    &["cluster"],
    &["producer", "consumer", "admin"],
    &["client"],
    &["connector"],
    &["runtime", "timely"],
];

/// The in-memory broker shares no code with the client it tests: only the words and the bytes.
const BROKER_MAY: &[&str] = &["error", "types", "record", "config", "wire"];

/// May import everything: what the user runs, and the list of rooms itself.
const TOPS: &[&str] = &["cli", "bin", "lib"];

fn level(room: &str) -> Option<usize> {
    LEVELS.iter().position(|rooms| rooms.contains(&room))
}

/// The rule that an import breaks, if any.
fn broken(from: &str, to: &str) -> Option<String> {
    if from == to || TOPS.contains(&from) {
        return None;
    }
    if from == "broker" {
        let only = format!("broker may import only {}", BROKER_MAY.join(", "));
        return (!BROKER_MAY.contains(&to)).then_some(only);
    }
    let Some(ours) = level(from) else { return Some(format!("{from} is no room: give it a place in LEVELS")) };
    let Some(theirs) = level(to) else { return Some(format!("{from} may not import {to}")) };
    match theirs.cmp(&ours) {
        std::cmp::Ordering::Less => None,
        std::cmp::Ordering::Equal if ours == 0 => None,
        std::cmp::Ordering::Equal => Some(format!("{from} and {to} are siblings and may not import each other")),
        std::cmp::Ordering::Greater => Some(format!("{from} is left of {to} and may not import it")),
    }
}

/// Sources by their path below `src/`, as `cluster/mod.rs`.
type Sources = BTreeMap<String, String>;

/// Every broken rule as `src/file:line: rule`, a line each.
fn faults(sources: &Sources) -> String {
    let reexported = sources.get("lib.rs").map(|lib| paths::reexports(lib)).unwrap_or_default();
    let mut text = String::new();
    for (file, source) in sources {
        for Import { line, name } in imports(file, source) {
            // `crate::Error` is `crate::error::Error`.
            let to = reexported.get(&name).unwrap_or(&name);
            if let Some(rule) = broken(paths::room(file), to) {
                let _ = writeln!(text, "src/{file}:{line}: {rule}");
            }
        }
    }
    text
}

fn sources() -> Sources {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Sources::new();
    let mut open: Vec<PathBuf> = vec![root.clone()];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().replace('\\', "/");
            found.insert(name, std::fs::read_to_string(&path).unwrap());
        }
    }
    assert!(found.len() > 50 && found.contains_key("lib.rs"), "the sources are where they used to be");
    found
}

#[test]
fn every_arrow_points_to_the_left() {
    let faults = faults(&sources());
    assert!(faults.is_empty(), "\n{faults}");
}

/// Whether a file opens with its sentence, below the line that marks it as generated. The crate's is its README.
fn has_sentence(source: &str) -> bool {
    let first = source.lines().find(|line| !line.starts_with("// @generated")).unwrap_or_default();
    first.starts_with("//! ") || first == "#![doc = include_str!(\"../README.md\")]"
}

#[test]
fn every_file_says_what_it_keeps_true() {
    let silent: Vec<_> = sources().into_iter().filter(|(_, source)| !has_sentence(source)).collect();
    let names: Vec<_> = silent.iter().map(|(name, _)| name).collect();
    assert!(names.is_empty(), "these do not begin with a `//!` sentence: {names:?}");
    assert!(!has_sentence("use std::fmt;\n//! Late.\n") && !has_sentence(""));
}

#[test]
fn nothing_is_left_to_be_done() {
    for (name, source) in sources() {
        for open in ["todo!", "unimplemented!"] {
            assert!(!source.contains(&format!("{open}(")), "{name} holds {open}");
        }
    }
}

#[test]
fn no_unsafe_code_can_come_in() {
    assert!(sources()["lib.rs"].lines().any(|line| line == "#![forbid(unsafe_code)]"));
}

/// What `faults` says of one planted file beside a small `lib.rs`.
fn planted(file: &str, source: &str) -> String {
    let lib = "pub mod error;\npub use client::Client;\npub use error::{Error, Result as Outcome};\n";
    faults(&Sources::from([("lib.rs".into(), lib.into()), (file.into(), source.into())]))
}

#[test]
fn a_planted_arrow_to_the_right_is_named_with_its_line_and_rule() {
    let text = planted("wire/frame.rs", "//! Frames.\nuse std::fmt;\nuse crate::cluster::Cluster;\n");
    assert_eq!(text, "src/wire/frame.rs:3: wire is left of cluster and may not import it\n");
}

#[test]
fn arrows_are_found_however_they_are_written() {
    for (source, count) in [
        ("use crate::{error::Error, client::{self, Client}};", 1),
        ("use crate::{\n    cluster,\n    producer::Producer,\n};", 2),
        ("fn f() { let x: crate::client::Client = y; }", 1),
        ("pub(crate) use super::cluster::Cluster;", 1),
        ("use super::{cluster, types};", 1),
        ("mod tests {\n    use super::super::cluster::Cluster;\n}", 1),
        ("mod tests { fn f() {} }\nuse super::cluster::Cluster;", 1),
        ("use crate::Client;", 1),
        ("pub(in crate::client) fn f() {}", 1),
        ("use crate::nowhere::X;", 1),
        ("use crate :: /* here */ cluster;", 1),
        ("use crate::r#cluster;", 1),
    ] {
        assert_eq!(planted("wire/mod.rs", source).lines().count(), count, "{source}");
    }
}

#[test]
fn what_is_no_arrow_to_the_right_passes() {
    for source in [
        "use crate::error::Error;\nuse crate::{Error, Outcome, types::TopicId};",
        "// crate::cluster\n/* crate::cluster /* crate::client */ crate::cluster */",
        "const A: &str = \"crate::cluster \\\" crate::client\"; const B: &str = r#\"crate::\"cluster\"#;",
        "const C: char = '\"'; fn f<'a>(x: &'a str) {} const D: &str = \"crate::cluster\";",
        "use crate::wire::batch::cluster::client;",
        "mod tests { use super::cluster; }",
        "use other::cluster::Cluster;",
    ] {
        assert_eq!(planted("wire/mod.rs", source), "", "{source}");
    }
    assert_eq!(planted("cli/mod.rs", "use crate::broker::Broker; use crate::client;"), "");
    assert_eq!(planted("bin/milena.rs", "use milena::client::Client;"), "");
}

#[test]
fn siblings_and_the_broker_keep_apart() {
    assert!(planted("producer/mod.rs", "use crate::consumer::Consumer;").contains("siblings"));
    assert!(planted("timely.rs", "use crate::runtime::Job;").contains("siblings"));
    assert!(planted("broker/core.rs", "use crate::cluster::Cluster;").contains("broker may import only error"));
    assert_eq!(planted("broker/core.rs", "use crate::wire::batch; use crate::config::Config;"), "");
    assert!(planted("client.rs", "use crate::broker::Broker;").contains("client may not import broker"));
    assert!(planted("attic/mod.rs", "use crate::error::Error;").contains("attic is no room"));
}
