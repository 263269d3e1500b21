//! Every API that a broker offers, asked at every version that both it and Milena know; each answer has to be read whole
//! and written back as it came.
//!
//! `fixtures/live/apis.txt` holds what real brokers answered, recorded by the live suite with `MILENA_RECORD=1`; the live
//! columns of `docs/conformance.md` are made from it.

mod line;
mod requests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use milena::ErrorCode;
use milena::wire::Direction::{self, Request, Response};
use milena::wire::{guard, json};
use serde_json::Value;

use crate::golden::{self, GoldenMessage, typed_round_trip};
use line::Line;
pub use requests::TOPIC;
use requests::{Words, merge, over};

/// How long an answer that says "not yet" is asked for again.
const PATIENCE: Duration = Duration::from_secs(20);
/// Coordinators that load, markers that are being written.
const NOT_YET: [i16; 4] = [14, 15, 16, 51];
/// Of these there are no types: brokers keep the state of share groups with them among themselves.
const BETWEEN_BROKERS: std::ops::RangeInclusive<i16> = 83..=87;
const FIND_COORDINATOR: i16 = 10;
const API_VERSIONS: i16 = 18;

/// What one API answered, over all versions that both know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answered {
    /// The version of the broker, as `4.4.0`.
    pub kafka: String,
    /// The API's key.
    pub key: i16,
    /// The oldest and newest version that was answered; none if there is none that both know.
    pub versions: Option<(i16, i16)>,
    /// The rest of the line.
    text: String,
}

/// Where the answers of real brokers are kept.
pub fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/live/apis.txt")
}

/// What the fixture holds.
pub fn recorded() -> Vec<Answered> {
    let text = std::fs::read_to_string(fixture()).unwrap_or_default();
    text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(Answered::parse).collect()
}

impl Answered {
    /// Reads a line as [`Answered::line`] writes it.
    fn parse(line: &str) -> Self {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or_else(|| panic!("a short line: {line}"));
        let (kafka, name, versions, text) = (word(), word(), word(), word());
        let number = |text: &str| text.parse().unwrap_or_else(|_| panic!("no version: {line}"));
        let versions = versions.split_once('-').filter(|(first, _)| !first.is_empty());
        Answered {
            kafka: kafka.into(),
            key: json::api_key(name).or_else(|| name.parse().ok()).unwrap_or_else(|| panic!("no API: {line}")),
            versions: versions.map(|(first, last)| (number(first), number(last))),
            text: text.into(),
        }
    }

    /// The line of the fixture, as `4.4.0 Fetch 4-18 of 4-18: NONE UNKNOWN_TOPIC_ID`.
    pub fn line(&self) -> String {
        let name = json::messages().find(|(key, ..)| *key == self.key).map_or(self.key.to_string(), |row| row.1.into());
        let versions = self.versions.map_or("-".into(), |(first, last)| format!("{first}-{last}"));
        format!("{} {name} {versions} {}", self.kafka, self.text)
    }
}

/// Asks the broker of version `kafka` at `address`, where [`TOPIC`] has the id `topic_id`, everything it offers. Blocks.
///
/// Panics, naming API and version, where an answer is not read whole or not written back as it came, and where the
/// broker closes the connection.
pub fn ask_everything(kafka: &str, address: &str, topic_id: &str) -> Vec<Answered> {
    let line = Line::connect(address);
    let mut survey = Survey { line, address, topic_id, has_shares: false, typical: typical(), faults: 0 };
    let offered = survey.offered();
    survey.has_shares = offered.contains_key(BETWEEN_BROKERS.start());
    let mut codes: BTreeMap<i16, BTreeSet<i16>> = BTreeMap::new();
    // Brokers begin to keep positions and states when they are first asked who does. The second time around there is
    // something to describe, list and delete.
    let first = offered.get_key_value(&FIND_COORDINATOR);
    for (key, at) in first.into_iter().chain(&offered).chain(&offered) {
        for version in both(*key, *at) {
            codes.entry(*key).or_default().extend(survey.try_ask(*key, version));
        }
    }
    assert!(survey.faults == 0, "Kafka {kafka}: {} answers as described above", survey.faults);
    offered.iter().map(|(&key, &at)| answered(kafka, key, at, codes.remove(&key).unwrap_or_default())).collect()
}

/// The versions that the broker offers and the schema table has.
fn both(key: i16, (oldest, newest): (i16, i16)) -> std::ops::RangeInclusive<i16> {
    let known = json::messages().find(|(of, _, direction, _)| (*of, *direction) == (key, Request));
    let (first, last) = known.map_or((0, -1), |(.., versions)| versions);
    first.max(oldest)..=last.min(newest)
}

fn answered(kafka: &str, key: i16, (oldest, newest): (i16, i16), codes: BTreeSet<i16>) -> Answered {
    let both = both(key, (oldest, newest));
    let mut text = format!("of {oldest}-{newest}:");
    for code in codes {
        write!(text, " {}", ErrorCode(code).name()).expect("a string");
    }
    let versions = (!both.is_empty()).then_some((*both.start(), *both.end()));
    Answered { kafka: kafka.into(), key, versions, text }
}

/// Kafka's typical and default instances of every request, and the version of the header in front of every answer.
type Typical = BTreeMap<(i16, i16), Instances>;

#[derive(Default)]
struct Instances {
    typical: Value,
    default: Value,
    request_header: i16,
    response_header: i16,
}

fn typical() -> Typical {
    let mut all = Typical::new();
    for message in golden::messages().filter(|message| message.kind == "typical" || message.kind == "default") {
        let instances = all.entry((message.key, message.version)).or_default();
        match (message.direction, message.kind.as_str()) {
            (Response, _) => instances.response_header = message.header_version,
            (Request, "typical") => instances.take(message),
            (Request, _) => instances.default = message.value,
        }
    }
    all
}

impl Instances {
    fn take(&mut self, message: GoldenMessage) {
        (self.typical, self.request_header) = (message.value, message.header_version);
    }

    /// What is asked, and its bytes, which the types write too.
    fn request(&self, key: i16, words: &Words<'_>) -> (Value, Vec<u8>) {
        let version = words.version;
        let mut asked = self.typical.clone();
        merge(&mut asked, &over(key), &self.default, words);
        let body = json::encode(key, version, Request, &asked).unwrap_or_else(|fault| panic!("{fault}: {asked}"));
        judge("asked", key, version, Request, &body);
        (asked, body)
    }
}

struct Survey<'a> {
    line: Line,
    address: &'a str,
    topic_id: &'a str,
    has_shares: bool,
    typical: Typical,
    faults: u32,
}

impl Survey<'_> {
    /// What the broker offers, by its ApiVersions answer.
    fn offered(&mut self) -> BTreeMap<i16, (i16, i16)> {
        let (_, answer) = self.exchange(API_VERSIONS, 0);
        let int = |row: &Value, name: &str| row[name].as_i64().and_then(|n| i16::try_from(n).ok()).expect("an int16");
        let row = |row: &Value| (int(row, "apiKey"), (int(row, "minVersion"), int(row, "maxVersion")));
        answer["apiKeys"].as_array().expect("an array").iter().map(row).collect()
    }

    /// As [`Survey::ask`]; a fault is counted, and what comes after it is asked all the same.
    fn try_ask(&mut self, key: i16, version: i16) -> BTreeSet<i16> {
        catch_unwind(AssertUnwindSafe(|| self.ask(key, version))).unwrap_or_else(|_| {
            self.line = Line::connect(self.address);
            self.faults += 1;
            BTreeSet::new()
        })
    }

    /// Asks until the answer is final; the error codes in it.
    fn ask(&mut self, key: i16, version: i16) -> BTreeSet<i16> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let (what, answer) = self.exchange(key, version);
            let mut codes = BTreeSet::new();
            error_codes(&answer, &mut codes);
            if !codes.iter().any(|code| NOT_YET.contains(code)) {
                return codes;
            }
            assert!(Instant::now() < deadline, "{what} is never ready: {answer}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One question and its answer, judged.
    fn exchange(&mut self, key: i16, version: i16) -> (String, Value) {
        let instances = self.typical.get(&(key, version)).expect("golden bytes of every version");
        let words = Words { id: self.topic_id, version, has_shares: self.has_shares };
        let what = format!("{} v{version}", json::messages().find(|row| row.0 == key).expect("a row").1);
        let (asked, body) = instances.request(key, &words);
        let headers = (instances.request_header, instances.response_header);
        let answer = self.line.exchange(key, version, headers, &body);
        let answer = answer.unwrap_or_else(|error| panic!("{what}: {error}; asked {asked}"));
        let value = judge(&what, key, version, Response, &answer);
        if std::env::var_os("MILENA_SHOW").is_some() {
            eprintln!("> {what} {asked}\n{value}");
        }
        (what, value)
    }
}

/// The bytes pass the guard, and come back the same through the JSON and through the types.
fn judge(what: &str, key: i16, version: i16, direction: Direction, body: &[u8]) -> Value {
    let what = || format!("{what} {direction:?} {body:02x?}");
    guard::check(key, version, direction, body).unwrap_or_else(|fault| panic!("{}: {fault}", what()));
    let value = json::decode(key, version, direction, body).unwrap_or_else(|fault| panic!("{}: {fault}", what()));
    let again = json::encode(key, version, direction, &value).unwrap_or_else(|fault| panic!("{}: {fault}", what()));
    assert!(again == body, "{}: the JSON comes back as {again:02x?}", what());
    match typed_round_trip(key, version, direction, body) {
        Some(again) => assert!(again.as_deref() == Ok(body), "{}: the types make {again:02x?}", what()),
        None => assert!(BETWEEN_BROKERS.contains(&key), "{} has no types", what()),
    }
    value
}

/// Every error code in an answer, at any depth.
fn error_codes(value: &Value, codes: &mut BTreeSet<i16>) {
    match value {
        Value::Array(values) => values.iter().for_each(|value| error_codes(value, codes)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_i64() {
                    Some(code) if name == "errorCode" => codes.extend(i16::try_from(code)),
                    _ => error_codes(value, codes),
                }
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_fixture_is_read_as_it_was_written() {
        let text = std::fs::read_to_string(fixture()).expect("the fixture");
        let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
        assert_eq!(recorded().iter().map(Answered::line).collect::<Vec<_>>(), lines);
    }

    #[test]
    fn there_is_a_request_for_every_version_of_every_api() {
        for ((key, version), instances) in typical() {
            instances.request(key, &Words { id: "ASNFZ4mrze8AAAAAAAAAZA", version, has_shares: true });
        }
    }

    #[test]
    fn error_codes_are_found_at_any_depth() {
        let answer = serde_json::json!({"errorCode": 3, "topics": [{"errorCode": 0, "parts": [{"errorCode": 3}]}]});
        let mut codes = BTreeSet::new();
        error_codes(&answer, &mut codes);
        assert_eq!(codes, [0, 3].into());
    }
}
