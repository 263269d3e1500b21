//! The `milena` command as a person runs it: built once, started, fed, signalled, killed, and heard to its end.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// The longest a command of a test may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program's path. Built on first use, in the profile of the tests; `MILENA_BIN` names one that is built already.
pub fn milena_bin() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| std::env::var_os("MILENA_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let profile = if cfg!(debug_assertions) { "test" } else { "release" };
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    // The whole workspace, though only this is built: then the dependencies are those the tests were built with.
    command.args(["build", "--workspace", "--bin", "milena", "--features", "milena/cli", "--profile", profile]);
    command.arg("--message-format=json-render-diagnostics").current_dir(root).stderr(Stdio::piped());
    let output = command.output().unwrap_or_else(|e| panic!("cannot run cargo to build the command: {e}"));
    assert!(output.status.success(), "the command does not build\n{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let messages = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut executables = messages.filter_map(|message| message["executable"].as_str().map(PathBuf::from));
    executables.next_back().expect("cargo names the executable it built")
}

/// A command line of `milena`, not started yet.
#[derive(Debug)]
pub struct Milena {
    command: Command,
    stdin: Vec<u8>,
}

/// `milena` with these arguments and nothing on stdin.
pub fn milena<A: AsRef<OsStr>>(arguments: impl IntoIterator<Item = A>) -> Milena {
    let mut command = Command::new(milena_bin());
    command.args(arguments);
    Milena { command, stdin: Vec::new() }
}

impl Milena {
    /// More arguments.
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// A variable of its environment.
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    /// What the process reads on stdin, before its end.
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// Starts the process. Both outputs are collected from the beginning.
    pub fn spawn(mut self) -> Running {
        self.command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = self.command.spawn().unwrap_or_else(|e| panic!("cannot start {:?}: {e}", self.command));
        let mut stdin = child.stdin.take().expect("piped");
        let bytes = self.stdin;
        // A process that ends without reading everything breaks the pipe, as it may.
        std::thread::spawn(move || drop(stdin.write_all(&bytes)));
        let stdout = Collected::from(child.stdout.take().expect("piped"));
        let stderr = Collected::from(child.stderr.take().expect("piped"));
        Running { child, stdout, stderr, is_over: false }
    }

    /// Runs the process to its end. Panics if it takes longer than a minute and a half.
    pub fn run(self) -> Finished {
        self.spawn().wait()
    }
}

/// An output of a process, as far as it has come.
#[derive(Debug)]
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Collected {
    fn from(mut pipe: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&bytes);
        let reader = std::thread::spawn(move || {
            let mut chunk = [0; 16 * 1024];
            while let Ok(n @ 1..) = pipe.read(&mut chunk) {
                into.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&chunk[..n]);
            }
        });
        Collected { bytes, reader: Some(reader) }
    }

    fn so_far(&self) -> Vec<u8> {
        self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Everything, once the process has closed its end.
    fn all(&mut self) -> Vec<u8> {
        self.reader.take().map(JoinHandle::join);
        self.so_far()
    }
}

/// A started process; dropping it kills it.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdout: Collected,
    stderr: Collected,
    is_over: bool,
}

impl Running {
    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Whether it has not ended yet.
    pub fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// What it printed on stdout so far.
    pub fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.stdout.so_far()).into_owned()
    }

    /// What it printed on stderr so far.
    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.stderr.so_far()).into_owned()
    }

    /// The first line of stderr that contains `text`. Panics with everything it printed if none comes.
    pub fn line_with(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let has_ended = !self.is_running();
            let printed = self.stderr();
            let complete = printed.rfind('\n').map_or("", |end| &printed[..end]);
            if let Some(line) = complete.lines().find(|line| line.contains(text)) {
                return line.into();
            }
            assert!(!has_ended && Instant::now() < deadline, "never said `{text}`: {printed}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, and waits for its end: what it held, as a lock on a directory, is free when this returns.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        self.is_over = true;
    }

    /// A signal by its name: `TERM`, `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -{name} {} failed", self.id());
    }

    /// Waits for its end. Panics with what it printed if that takes longer than a minute and a half.
    pub fn wait(self) -> Finished {
        self.wait_for(PATIENCE)
    }

    /// As [`Running::wait`], with another patience.
    pub fn wait_for(mut self, patience: Duration) -> Finished {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.child.try_wait().expect("the process is ours") {
                return self.finished(status);
            }
            assert!(Instant::now() < deadline, "hangs; printed\n{}\n{}", self.stdout(), self.stderr());
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn finished(mut self, status: ExitStatus) -> Finished {
        self.is_over = true;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Finished { status, stdout: text(self.stdout.all()), stderr: text(self.stderr.all()) }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            let _ = self.child.kill();
            let _ = self.child.wait();
            if std::thread::panicking() {
                eprintln!("milena ({}) had printed: {}", self.id(), self.stderr());
            }
        }
    }
}

/// How a process ended and what it printed.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status.
    pub status: ExitStatus,
    /// Everything it printed on stdout.
    pub stdout: String,
    /// Everything it printed on stderr.
    pub stderr: String,
}

impl Finished {
    /// Its stdout. Panics unless it succeeded.
    pub fn ok(self) -> String {
        assert!(self.status.success(), "{}: {}", self.status, self.stderr);
        self.stdout
    }

    /// Its stderr. Panics unless it ended with this exit code, printed no record, and said each of `words`.
    pub fn failed(self, code: i32, words: &[&str]) -> String {
        assert_eq!(self.status.code(), Some(code), "{}", self.stderr);
        assert_eq!(self.stdout, "", "stdout is for records");
        for word in words {
            assert!(self.stderr.contains(word), "`{word}` is not said in: {}", self.stderr);
        }
        self.stderr
    }
}

/// A directory of a test's own, removed at its end.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty directory under `target`, on a real disk. Tests of one program give different names.
    pub fn new(name: &str) -> Self {
        let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
        let target = target.unwrap_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"));
        let path = target.join("scratch").join(format!("{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap_or_else(|e| panic!("cannot create {}: {e}", path.display()));
        Scratch(path.canonicalize().expect("a directory that was just created resolves"))
    }

    /// A path in it that does not exist yet, as text.
    pub fn path(&self, name: &str) -> String {
        self.0.join(name).into_os_string().into_string().expect("test paths are text")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }
}
