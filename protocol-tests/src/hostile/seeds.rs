//! The sound frames that damage starts from: Kafka's own bytes, under the headers they travel with.

use milena::wire::Direction;
use milena::wire::api::{Api, api_by_number};

use super::feed::Target;
use crate::golden::{self, GoldenBatches, GoldenMessage};

/// One sound frame, without its length bytes.
#[derive(Clone, Debug)]
pub struct Seed {
    /// Where it comes from, for a failure's message.
    pub name: String,
    /// Who reads it.
    pub target: Target,
    /// All of it.
    pub bytes: Vec<u8>,
    /// Bytes of the frame before the body.
    pub header: usize,
}

/// Every golden message of every version that has types, at most `longest` bytes long, and every golden batch.
pub fn seeds(longest: usize) -> Vec<Seed> {
    let messages = golden::messages().filter_map(|message| Some(framed(api_by_number(message.key)?, message)));
    messages.chain(batches()).filter(|seed| seed.bytes.len() <= longest).collect()
}

/// Those of one kind only, as `typical`: one for every version of every message.
pub fn of_kind(kind: &str) -> Vec<Seed> {
    let messages = golden::messages().filter(|message| message.kind == kind);
    messages.filter_map(|message| Some(framed(api_by_number(message.key)?, message))).collect()
}

/// The golden partitions that are at most `longest` bytes long: batches of every codec and shape.
pub fn partitions(longest: usize) -> Vec<Seed> {
    batches().filter(|seed| seed.bytes.len() <= longest).collect()
}

fn framed(api: &Api, message: GoldenMessage) -> Seed {
    let (key, version) = (message.key, message.version);
    let is_flexible = version >= api.flexible_from;
    let mut bytes = Vec::with_capacity(message.bytes.len() + 16);
    let target = match message.direction {
        Direction::Request => {
            bytes.extend_from_slice(&key.to_be_bytes());
            bytes.extend_from_slice(&version.to_be_bytes());
            bytes.extend_from_slice(&[0, 0, 0, 1, 0, 1, b'c']);
            Target::Request
        }
        Direction::Response => {
            bytes.extend_from_slice(&[0, 0, 0, 1]);
            Target::Response { key, version }
        }
    };
    let is_old_header = target != Target::Request && api.name == "ApiVersions";
    if is_flexible && !is_old_header {
        bytes.push(0);
    }
    let header = bytes.len();
    bytes.extend_from_slice(&message.bytes);
    Seed { name: message.name(), target, bytes, header }
}

const BATCHES: &str = include_str!("../../../fixtures/batches/kafka-4.4.0.txt");

fn batches() -> impl Iterator<Item = Seed> {
    let seed = |batches: GoldenBatches| {
        let GoldenBatches { name, bytes, .. } = batches;
        Seed { name: format!("batches {name}"), target: Target::Batches, bytes, header: 0 }
    };
    plain_batches().chain(golden::batches().map(seed))
}

fn plain_batches() -> impl Iterator<Item = Seed> {
    BATCHES.lines().filter_map(|line| {
        let (name, hex) = line.strip_prefix("batch ")?.split_once(" x")?;
        let bytes = golden::unhex(hex);
        Some(Seed { name: format!("batch {name}"), target: Target::Batches, bytes, header: 0 })
    })
}

const BOMBS: &str = include_str!("../../../fixtures/hostile.txt");

/// Frames that ended a reader once, or end a careless one; and whether they are sound all the same.
pub fn bombs() -> Vec<(Seed, bool)> {
    let lines = BOMBS.lines().filter(|line| !line.starts_with('#'));
    let bomb = |line: &str| {
        let (target, rest) = line.split_once(" x")?;
        let (hex, story) = rest.split_once(' ')?;
        let (target, is_sound) = match target.strip_prefix("sound ") {
            Some(target) => (target, true),
            None => (target, false),
        };
        let words: Vec<_> = target.split(' ').collect();
        let target = match words[..] {
            ["request"] => Target::Request,
            ["batches"] => Target::Batches,
            ["response", key, version] => Target::Response { key: key.parse().ok()?, version: version.parse().ok()? },
            _ => return None,
        };
        Some((Seed { name: story.to_string(), target, bytes: golden::unhex(hex), header: 0 }, is_sound))
    };
    lines.map(|line| bomb(line).unwrap_or_else(|| panic!("a line that is no bomb: {line}"))).collect()
}
