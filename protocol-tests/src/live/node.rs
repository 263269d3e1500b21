//! One broker process: formatted, spawned in its own process group, signalled, and waited for.

use std::fs::{self, OpenOptions};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::artifacts;
use super::options::{Options, zookeeper_properties};

/// A fixed cluster id: a random one that begins with `-` makes Kafka's argument parser fail.
const CLUSTER_ID: &str = "AAAAAAAAAAAAAAAAAAAAAA";

/// How long a node may take to end after SIGTERM; the last of three has no quorum left to ask and takes 7 s.
const STOP_PATIENCE: Duration = Duration::from_secs(30);

/// Flags of every JVM here: small, and no time spent on optimising compilers.
pub(super) const JVM_FLAGS: &[&str] = &["-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto"];

/// One node and, while it runs, its process.
#[derive(Debug)]
pub(super) struct Node {
    dir: PathBuf,
    id: u16,
    main: &'static str,
    java_args: Vec<String>,
    process: Option<Child>,
    is_frozen: bool,
}

impl Node {
    /// A node in `dir` (the cluster's) with a formatted data directory; not running. `properties` names that directory.
    pub(super) fn prepare(dir: &Path, id: u16, options: &Options, properties: &str, java_args: Vec<String>) -> Node {
        let node = Node::new(dir, id, "kafka.Kafka", properties, java_args);
        if options.has_zookeeper() {
            return node;
        }
        let formatted = artifacts::once(&options.format_name(id), |made| node.format(options, made));
        copy_dir(&formatted, &data_dir(dir, id));
        node
    }

    /// The ZooKeeper of a cluster in `dir`; not running. It is node 0.
    pub(super) fn zookeeper(dir: &Path, port: u16, java_args: Vec<String>) -> Node {
        let main = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
        Node::new(dir, 0, main, &zookeeper_properties(port, &data_dir(dir, 0)), java_args)
    }

    fn new(dir: &Path, id: u16, main: &'static str, properties: &str, java_args: Vec<String>) -> Node {
        let node = Node { dir: dir.into(), id, main, java_args, process: None, is_frozen: false };
        fs::write(node.file("properties"), properties).expect("the run directory is writable");
        node
    }

    fn format(&self, options: &Options, made: &Path) {
        let mut java = artifacts::java();
        java.args(&self.java_args).args(["kafka.tools.StorageTool", "format", "-t", CLUSTER_ID, "-c"]);
        java.arg(self.file("properties"));
        for (name, level) in &options.features {
            java.args(["--feature", &format!("{name}={level}")]);
        }
        for user in &options.scram {
            java.args(["--add-scram", user]);
        }
        artifacts::run(&mut java, "formatting a broker's directory");
        copy_dir(&data_dir(&self.dir, self.id), made);
        fs::remove_dir_all(data_dir(&self.dir, self.id)).expect("the run directory is writable");
    }

    /// Starts the process. Its id is on disk before Java runs, so the watchdog never misses it.
    pub(super) fn spawn(&mut self) {
        assert!(self.process.is_none(), "node {} is running", self.id);
        let log = OpenOptions::new().create(true).append(true).open(self.file("log"));
        let log = log.expect("the run directory is writable");
        let mut shell = Command::new("sh");
        shell.args(["-c", r#"echo $$ > "$0"; exec java "$@""#]).arg(self.file("pid"));
        shell.args(&self.java_args).arg(self.main).arg(self.file("properties"));
        shell.stdin(Stdio::null()).stdout(log.try_clone().expect("a file handle is cloned")).stderr(log);
        // Its own group: Ctrl-C in the terminal must not end it before the test wants it ended.
        let child = shell.process_group(0).spawn().unwrap_or_else(|e| artifacts::spawn_failed("sh", &e));
        self.process = Some(child);
        self.is_frozen = false;
    }

    /// Whether the process was started and has not been seen to end.
    pub(super) fn is_running(&mut self) -> bool {
        self.process.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Whether the process can answer: running and not frozen.
    pub(super) fn can_answer(&mut self) -> bool {
        self.is_running() && !self.is_frozen
    }

    /// Where it keeps its data.
    pub(super) fn data_dir(&self) -> PathBuf {
        data_dir(&self.dir, self.id)
    }

    /// SIGKILL, and waits for the end.
    pub(super) fn kill9(&mut self) {
        if let Some(mut child) = self.process.take() {
            let _ = child.kill();
            let _ = child.wait();
            let _ = fs::remove_file(self.file("pid"));
        }
    }

    /// SIGTERM, and waits for the end.
    pub(super) fn stop(&mut self) {
        self.signal("TERM");
        let deadline = Instant::now() + STOP_PATIENCE;
        while self.is_running() {
            assert!(Instant::now() < deadline, "node {} ignores SIGTERM\n{}", self.id, self.log_tail(60));
            std::thread::sleep(Duration::from_millis(20));
        }
        self.kill9();
    }

    /// SIGSTOP: the process keeps its sockets and answers nothing.
    pub(super) fn freeze(&mut self) {
        self.signal("STOP");
        self.is_frozen = true;
    }

    /// SIGCONT.
    pub(super) fn thaw(&mut self) {
        self.signal("CONT");
        self.is_frozen = false;
    }

    fn signal(&self, name: &str) {
        let child = self.process.as_ref().unwrap_or_else(|| panic!("node {} is not running", self.id));
        let status = Command::new("kill").arg(format!("-{name}")).arg(child.id().to_string()).status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name} of node {} failed", self.id);
    }

    /// The last `lines` lines the broker printed.
    pub(super) fn log_tail(&self, lines: usize) -> String {
        let bytes = fs::read(self.file("log")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<_> = text.lines().collect();
        format!("--- log of node {} ---\n{}\n", self.id, all[all.len().saturating_sub(lines)..].join("\n"))
    }

    fn file(&self, extension: &str) -> PathBuf {
        self.dir.join(format!("node-{}.{extension}", self.id))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
    }
}

/// Where node `id` of the cluster in `dir` keeps its data.
pub(super) fn data_dir(dir: &Path, id: u16) -> PathBuf {
    dir.join(format!("data-{id}"))
}

/// What every JVM of a broker is started with, but for its main class.
pub(super) fn java_args(class_path: &str, archive: Option<&str>) -> Vec<String> {
    let mut args: Vec<String> = JVM_FLAGS.iter().map(|flag| (*flag).into()).collect();
    args.extend(archive.map(String::from));
    args.push("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn".into());
    args.push("-Dorg.slf4j.simpleLogger.showDateTime=true".into());
    args.push("-Dorg.slf4j.simpleLogger.logFile=System.out".into());
    args.extend(["-cp".into(), class_path.into()]);
    args
}

/// Copies files and directories below `from` to `to`, which is created.
fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("the run directory is writable");
    for entry in fs::read_dir(from).expect("a formatted directory is readable").flatten() {
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if source.is_dir() {
            copy_dir(&source, &target);
        } else {
            fs::copy(&source, &target).expect("the run directory is writable");
        }
    }
}

/// Ends what a test process leaves behind, however it dies.
///
/// A shell that reads a pipe only we hold: our end, clean or not, closes it, and the shell kills every broker
/// whose process id is on disk and removes the directory. No polling, no process id of ours to be mistaken.
#[derive(Debug)]
pub(super) struct Watchdog(Child);

impl Watchdog {
    const SCRIPT: &str = r#"cat > /dev/null
        for file in "$0"/*.pid; do [ -e "$file" ] && kill -9 "$(cat "$file")"; done
        rm -rf "$0" || { sleep 1; rm -rf "$0"; }"#;

    /// Watches over `dir`.
    pub(super) fn over(dir: &Path) -> Watchdog {
        let mut shell = Command::new("sh");
        shell.args(["-c", Self::SCRIPT]).arg(dir);
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Watchdog(shell.process_group(0).spawn().unwrap_or_else(|e| artifacts::spawn_failed("sh", &e)))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}
