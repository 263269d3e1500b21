//! The golden fixtures: bytes as Kafka's own classes wrote them, and what those classes say they mean.

mod batches;
mod typed;

use std::io::{BufRead, BufReader};

use flate2::bufread::GzDecoder;
use milena::wire::Direction;
use serde_json::Value;

pub use batches::{GoldenBatches, batches, described, described_parts, described_record, incompressible};
pub use typed::typed_round_trip;

// How they were made is in fixtures/README.md.
const MESSAGES: &[u8] = include_bytes!("../../../fixtures/golden/messages-4.4.0.jsonl.gz");
const MISFITS: &[u8] = include_bytes!("../../../fixtures/golden/misfits-4.4.0.jsonl.gz");
const HEADERS: &str = include_str!("../../../fixtures/golden/headers-4.4.0.jsonl");

/// One instance of a message.
#[derive(Debug)]
pub struct GoldenMessage {
    /// As `Fetch`; of a header, as `RequestHeader`.
    pub api: String,
    /// The API's key; -1 for headers.
    pub key: i16,
    /// The version it is written at.
    pub version: i16,
    /// Which way it travels.
    pub direction: Direction,
    /// The version of the header in front of it; 0 for headers themselves.
    pub header_version: i16,
    /// What the instance is after, as `default` or `random-3`.
    pub kind: String,
    /// The message, without its header.
    pub bytes: Vec<u8>,
    /// As Kafka's JSON converter prints it.
    pub value: Value,
    /// Whether `value` holds everything that `bytes` does; unknown tagged fields are not in it.
    pub reencodes: bool,
}

impl GoldenMessage {
    fn parse(line: &str) -> Self {
        let mut line = Line(serde_json::from_str(line).expect("a JSON line"));
        Self {
            api: line.text("api"),
            key: line.number("key"),
            version: line.number("version"),
            direction: line.direction(),
            header_version: line.0["header_version"].as_i64().unwrap_or(0) as i16,
            kind: line.text("kind"),
            bytes: unhex(&line.text("hex")),
            reencodes: line.0["reencodes"].as_bool().expect("reencodes"),
            value: line.0["value"].take(),
        }
    }

    /// Where it stands, for a failure's message: `Fetch v17 Response random-3`.
    pub fn name(&self) -> String {
        format!("{} v{} {:?} {}", self.api, self.version, self.direction, self.kind)
    }
}

/// A value with one field that its version lacks, or with null where the version has none.
#[derive(Debug)]
pub struct Misfit {
    /// The API, as `Fetch`.
    pub api: String,
    /// The API's key.
    pub key: i16,
    /// The version it does not fit.
    pub version: i16,
    /// Which way it travels.
    pub direction: Direction,
    /// The way to the field, as `topics.partitions.leaderEpoch`, in the first element of each array.
    pub field: String,
    /// The message.
    pub value: Value,
    /// What Kafka's classes write, without the field; `None` if they refuse.
    pub bytes: Option<Vec<u8>>,
}

/// Every golden message; each is parsed as it is asked for.
pub fn messages() -> impl Iterator<Item = GoldenMessage> {
    gzip_lines(MESSAGES).map(|line| GoldenMessage::parse(&line))
}

/// Every misfit.
pub fn misfits() -> impl Iterator<Item = Misfit> {
    gzip_lines(MISFITS).map(|line| {
        let mut line = Line(serde_json::from_str(&line).expect("a JSON line"));
        Misfit {
            api: line.text("api"),
            key: line.number("key"),
            version: line.number("version"),
            direction: line.direction(),
            field: line.text("field"),
            bytes: line.0["hex"].as_str().map(unhex),
            value: line.0["value"].take(),
        }
    })
}

/// Request and response headers.
pub fn headers() -> impl Iterator<Item = GoldenMessage> {
    HEADERS.lines().map(GoldenMessage::parse)
}

/// The object of one line.
struct Line(Value);

impl Line {
    fn text(&self, name: &str) -> String {
        self.0[name].as_str().expect(name).to_string()
    }

    fn number(&self, name: &str) -> i16 {
        i16::try_from(self.0[name].as_i64().expect(name)).expect(name)
    }

    fn direction(&self) -> Direction {
        if self.0["direction"] == "request" { Direction::Request } else { Direction::Response }
    }
}

fn gzip_lines(compressed: &'static [u8]) -> impl Iterator<Item = String> {
    BufReader::with_capacity(1 << 16, GzDecoder::new(compressed)).lines().map(|line| line.expect("a sound fixture"))
}

/// The bytes that hexadecimal digits stand for.
pub fn unhex(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("hex") as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
