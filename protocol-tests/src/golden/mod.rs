//! The golden fixtures: bytes as Kafka's own classes wrote them, and what those classes say they mean.

mod batches;
mod typed;

use std::io::{BufRead, BufReader};

use flate2::bufread::GzDecoder;
use milena::wire::Direction;
use serde_json::Value;

pub use batches::{GoldenBatches, batches, described, described_record, incompressible};
pub use typed::typed_round_trip;

// How they were made is in fixtures/README.md.
const MESSAGES: &[u8] = include_bytes!("../../../fixtures/golden/messages-4.4.0.jsonl.gz");
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
        let mut line: Value = serde_json::from_str(line).expect("a JSON line");
        let text = |name: &str| line[name].as_str().expect(name).to_string();
        let number = |name: &str| i16::try_from(line[name].as_i64().expect(name)).expect(name);
        Self {
            api: text("api"),
            key: number("key"),
            version: number("version"),
            direction: if line["direction"] == "request" { Direction::Request } else { Direction::Response },
            kind: text("kind"),
            bytes: unhex(&text("hex")),
            reencodes: line["reencodes"].as_bool().expect("reencodes"),
            value: line["value"].take(),
        }
    }

    /// Where it stands, for a failure's message: `Fetch v17 Response random-3`.
    pub fn name(&self) -> String {
        format!("{} v{} {:?} {}", self.api, self.version, self.direction, self.kind)
    }
}

/// Every golden message; each is parsed as it is asked for.
pub fn messages() -> impl Iterator<Item = GoldenMessage> {
    gzip_lines(MESSAGES).map(|line| GoldenMessage::parse(&line))
}

/// Request and response headers.
pub fn headers() -> impl Iterator<Item = GoldenMessage> {
    HEADERS.lines().map(GoldenMessage::parse)
}

fn gzip_lines(compressed: &'static [u8]) -> impl Iterator<Item = String> {
    BufReader::with_capacity(1 << 16, GzDecoder::new(compressed)).lines().map(|line| line.expect("a sound fixture"))
}

fn unhex(hex: &str) -> Vec<u8> {
    let digit = |c: u8| (c as char).to_digit(16).expect("hex") as u8;
    hex.as_bytes().chunks_exact(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect()
}
