//! The copying process of the demo: this program's own `copy`, started and killed.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use super::super::Failure;
use super::verify::Verifier;
use super::{INPUT, OUTPUT};

pub(super) struct Copying {
    brokers: String,
    checkpoints: PathBuf,
    child: Option<Child>,
}

impl Copying {
    pub(super) fn new(brokers: String, checkpoints: PathBuf) -> Self {
        Copying { brokers, checkpoints, child: None }
    }

    pub(super) fn start(&mut self) -> Result<(), Failure> {
        let program = std::env::current_exe().map_err(|e| Failure::Failed(format!("this program's path: {e}")))?;
        let mut command = Command::new(program);
        command.args(["copy", "-b", &self.brokers, "--from", INPUT, "--to", OUTPUT, "--start", "earliest"]);
        command.args(["--guarantee", "exactly-once", "--checkpoint-interval", "100ms", "--parallelism", "2"]);
        command.arg("--keep-partitions").arg("--checkpoint-dir").arg(&self.checkpoints).stdin(Stdio::null());
        let child = command.spawn().map_err(|e| Failure::Failed(format!("cannot start the copying process: {e}")))?;
        self.child = Some(child);
        Ok(())
    }

    /// Kills the process with -9 and gives how many records had been seen committed just then.
    ///
    /// Fails if it had ended by itself: it has no reason to.
    pub(super) fn kill(&mut self, verifier: &Arc<Verifier>) -> Result<u64, Failure> {
        let Some(mut child) = self.child.take() else { return Ok(verifier.seen()) };
        if let Some(status) = child.try_wait()? {
            return Err(Failure::Failed(format!("the copying process ended by itself: {status}")));
        }
        child.kill()?;
        child.wait()?;
        Ok(verifier.seen())
    }

    /// The number of the newest checkpoint: one was made after the other.
    pub(super) fn checkpoints(&self) -> u64 {
        let Ok(entries) = std::fs::read_dir(&self.checkpoints) else { return 0 };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        names.filter_map(|name| name.strip_prefix("checkpoint-")?.parse().ok()).max().unwrap_or(0)
    }
}

impl Drop for Copying {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
