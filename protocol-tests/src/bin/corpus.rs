//! Writes the fuzzers' first corpus from the fixtures: `corpus <directory>`, one directory in it for each target.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use milena::wire::Direction;
use milena::wire::api::api_by_number;
use milena::wire::batch::{BATCH_HEADER_LEN, Batch, Batches};
use protocol_tests::golden;
use protocol_tests::hostile::{Chosen, Target, seeds};

/// Logs for the target `aborted`, a byte a step: who writes how many records, or ends its transaction.
const LOGS: [(&str, &[u8]); 6] = [
    ("committed", &[write_of(1, 3), commit(1)]),
    ("aborted", &[write_of(1, 3), abort(1), plain(1)]),
    ("one producer again", &[write_of(1, 2), abort(1), write_of(1, 2), commit(1), write_of(1, 1), abort(1)]),
    ("interleaved", &[write_of(1, 2), write_of(2, 8), plain(2), abort(1), write_of(1, 1), commit(2), commit(1)]),
    ("open at the end", &[plain(1), write_of(3, 1), write_of(1, 1), abort(1), plain(4)]),
    ("markers alone", &[abort(5), commit(6), plain(1)]),
];

const fn write_of(producer: u8, count: u8) -> u8 {
    (producer + 1) << 2 | (count - 1) << 5
}

/// Of nobody's transaction.
const fn plain(count: u8) -> u8 {
    (count - 1) << 5
}

const fn abort(producer: u8) -> u8 {
    2 | producer << 2
}

const fn commit(producer: u8) -> u8 {
    3 | producer << 2
}

fn main() -> Result<(), Box<dyn Error>> {
    let directory = env::args().nth(1).ok_or("usage: corpus <directory>")?;
    let directory = PathBuf::from(directory);
    for message in golden::messages().filter(|message| api_by_number(message.key).is_some()) {
        let target = if message.direction == Direction::Request { "requests" } else { "responses" };
        let (key, version, direction) = (message.key, message.version, message.direction);
        let choice = Chosen { key, version, direction, body: &message.bytes }.choice();
        write(&directory.join(target), &message.name(), &[&choice, &message.bytes[..]].concat())?;
    }
    for seed in seeds(4_096) {
        match seed.target {
            Target::Request => {
                let length = i32::try_from(seed.bytes.len())?.to_be_bytes();
                write(&directory.join("frame_stream"), &seed.name, &[&length, &seed.bytes[..]].concat())?;
            }
            Target::Batches => write(&directory.join("batches"), &seed.name, &seed.bytes)?,
            Target::Response { .. } => {}
        }
    }
    for (name, steps) in LOGS {
        for (cut, cuts) in [("batch-by-batch", 0), ("at-once", 7), ("list-turned", 1 << 3 | 1)] {
            let seed = [steps, &vec![cuts; steps.len()]].concat();
            write(&directory.join("aborted"), &format!("{name} {cut}"), &seed)?;
        }
    }
    for partition in golden::batches() {
        for batch in Batches::new(partition.bytes.into()).flatten().filter(Batch::is_compressed) {
            let Some(codec) = batch.header.compression() else { continue };
            let packed = batch.bytes.get(BATCH_HEADER_LEN..).unwrap_or_default();
            write(&directory.join(codec.to_string()), &partition.name, packed)?;
        }
    }
    Ok(())
}

fn write(directory: &Path, name: &str, bytes: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join(name.replace([' ', '/'], "-")), bytes)
}
