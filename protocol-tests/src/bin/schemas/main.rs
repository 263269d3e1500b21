//! Turns Kafka's own message definitions into the wire room's schema table, and tells what changed between two releases.
//!
//! The definitions are the JSON files under `common/message/` of the `kafka-clients` jar (4.4.0 at present):
//!
//! ```text
//! unzip -d target/messages kafka-clients-4.4.0.jar 'common/message/*.json'
//! cargo run -p protocol-tests --bin schemas -- table target/messages/common/message src/wire/schema_table.rs
//! cargo run -p protocol-tests --bin schemas -- diff older/common/message newer/common/message
//! ```
//!
//! Requests and responses that brokers listen for are taken, all versions of them, and what KRaft writes into control
//! records.

mod definitions;
mod diff;
mod table;
mod types;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use definitions::read_definitions;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const USAGE: &str = "usage: schemas table <definitions> <table to write>
       schemas diff <older definitions> <newer definitions>";

fn main() -> ExitCode {
    let args: Vec<String> = env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("schemas: {error}");
            ExitCode::from(2)
        }
    }
}

/// `diff` ends as diff(1) does: 0 if nothing differs, 1 if something does.
fn run(args: &[&str]) -> Result<ExitCode> {
    match *args {
        ["table", directory, table] => {
            fs::write(table, table::render(&read_definitions(Path::new(directory))?)?)?;
            Ok(ExitCode::SUCCESS)
        }
        ["diff", older, newer] => {
            let changes = diff::diff(&read_definitions(Path::new(older))?, &read_definitions(Path::new(newer))?)?;
            changes.iter().for_each(|line| println!("{line}"));
            Ok(ExitCode::from(u8::from(!changes.is_empty())))
        }
        _ => Err(USAGE.into()),
    }
}
