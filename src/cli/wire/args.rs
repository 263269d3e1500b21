//! The command line of `milena wire`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::wire::{Direction, json};

#[derive(Args, Debug)]
pub(crate) struct WireOptions {
    #[command(subcommand)]
    pub(super) action: Action,
}

#[derive(Subcommand, Debug)]
pub(super) enum Action {
    /// Print a message from stdin byte by byte, or answer JSON lines {api, version, direction, hex} with the value.
    Decode(DecodeOptions),
    /// Answer JSON lines {api, version, direction, value} with the hex that Kafka writes for the value.
    Encode(LinesOptions),
    /// Answer JSON lines: {hex} of a record batch with its content, and content without hex with the hex.
    Batch(LinesOptions),
    /// Tell what differs between two messages, field by field; exit 1 if anything does.
    Diff(DiffOptions),
    /// Print every batch and record of a broker's .log segment, as DumpLogSegments does.
    Log(LogOptions),
}

#[derive(Args, Debug)]
pub(super) struct DecodeOptions {
    /// Read JSON lines and answer each, faults too; exit 1 if a line is no request.
    #[arg(long, conflicts_with_all = ["api", "version", "direction", "raw"])]
    pub(super) lines: bool,
    #[command(flatten)]
    pub(super) message: MessageOptions,
}

/// Which message the bytes are.
#[derive(Args, Debug)]
pub(super) struct MessageOptions {
    /// The API, as Fetch or 1.
    #[arg(long, value_parser = api, value_name = "NAME", required_unless_present = "lines")]
    pub(super) api: Option<i16>,
    /// The version of the message.
    #[arg(long, value_name = "V", required_unless_present = "lines")]
    pub(super) version: Option<i16>,
    /// request or response.
    #[arg(long, value_parser = direction, value_name = "request|response", required_unless_present = "lines")]
    pub(super) direction: Option<Direction>,
    /// Take the input as bytes even if it reads as hex.
    #[arg(long)]
    pub(super) raw: bool,
}

#[derive(Args, Debug)]
pub(super) struct LinesOptions {
    /// One JSON object a line on stdin, one answer a line on stdout; exit 1 if a line is no request.
    #[arg(long, required = true)]
    pub(super) lines: bool,
}

#[derive(Args, Debug)]
pub(super) struct DiffOptions {
    /// The API, as Fetch or 1.
    #[arg(long, value_parser = api, value_name = "NAME")]
    pub(super) api: i16,
    /// The version of the messages.
    #[arg(long, value_name = "V")]
    pub(super) version: i16,
    /// request or response.
    #[arg(long, value_parser = direction, value_name = "request|response")]
    pub(super) direction: Direction,
    /// Two files of hex or of bytes; two lines of hex on stdin if not given.
    #[arg(num_args = 2)]
    pub(super) files: Vec<PathBuf>,
}

#[derive(Args, Debug)]
pub(super) struct LogOptions {
    /// The segment, as 00000000000000000000.log.
    pub(super) file: PathBuf,
}

/// An API by its name, in any case, or by its number.
pub(super) fn api(text: &str) -> Result<i16, String> {
    let by_name = json::api_key(text).or_else(|| text.parse().ok());
    by_name.ok_or_else(|| format!("{text:?} is no API that brokers listen for"))
}

pub(super) fn direction(text: &str) -> Result<Direction, String> {
    match text {
        _ if text.eq_ignore_ascii_case("request") => Ok(Direction::Request),
        _ if text.eq_ignore_ascii_case("response") => Ok(Direction::Response),
        _ => Err("takes request or response".into()),
    }
}
