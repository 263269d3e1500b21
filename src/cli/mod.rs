//! The `milena` command: records on stdout, everything else on stderr, exit 0 only on full success.

mod args;
mod bench;
mod broker;
mod config;
mod connect;
mod consume;
mod copy;
mod demo;
mod format;
mod measure;
mod produce;
mod specs;
mod topics;
mod wire;

use std::process::ExitCode;

use clap::Parser;

use crate::error::{Error, ErrorKind, Operation};
use args::{Arguments, Command};

/// What went wrong, with the exit code it means.
pub(crate) enum Failure {
    /// The command line or a setting is wrong: 2.
    Usage(String),
    /// Anything else: 1.
    Failed(String),
}

pub(crate) type Outcome = Result<(), Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let is_usage = error.operation() == Operation::Config && error.kind() == ErrorKind::Invalid;
        if is_usage { Failure::Usage(error.to_string()) } else { Failure::Failed(error.to_string()) }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Failure::Failed(error.to_string())
    }
}

/// Runs the command line and gives its exit code: 0 on full success, 2 on usage errors, 1 on others.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    start_logging(arguments.verbose);
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Usage(message)) => {
            eprintln!("milena: {message}");
            ExitCode::from(2)
        }
        Err(Failure::Failed(message)) => {
            eprintln!("milena: {message}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Outcome {
    let threads = command.threads();
    let mut builder = match threads {
        1 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    if threads > 1 {
        builder.worker_threads(threads);
    }
    let runtime = builder.enable_all().build()?;
    let outcome = runtime.block_on(async {
        match command {
            Command::Demo(options) => demo::run(options).await,
            Command::Broker(options) => broker::run(options).await,
            Command::Topics(options) => topics::run(options).await,
            Command::Produce(options) => produce::run(options).await,
            Command::Consume(options) => consume::run(options).await,
            Command::Copy(options) => copy::run(options).await,
            Command::Bench(options) => bench::run(options).await,
            Command::Config(options) => config::run(&options),
            Command::Wire(options) => wire::run(options),
        }
    });
    // A reader of stdin may still be blocked in its system call; nothing waits for it.
    runtime.shutdown_background();
    outcome
}

/// Warnings and errors, or more with each `-v`, to stderr.
fn start_logging(verbose: u8) {
    let level = match verbose {
        0 => tracing::Level::WARN,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).with_ansi(false).init();
}
