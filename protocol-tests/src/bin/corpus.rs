//! Writes the fuzzers' first corpus from the fixtures: `corpus <directory>`, one directory in it for each target.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use milena::wire::Direction;
use milena::wire::api::api_by_number;
use milena::wire::batch::{BATCH_HEADER_LEN, Batch, Batches};
use protocol_tests::golden;
use protocol_tests::hostile::{Chosen, Target, seeds};

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
