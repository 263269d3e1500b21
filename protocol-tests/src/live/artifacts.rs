//! What the live suite needs on disk, made once under `target/live-kafka` and shared by every test process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

/// How to get what is missing, in the words of the panic.
const JAVA_HELP: &str = "install a JDK of version 17 or newer (Debian: apt-get install openjdk-17-jdk-headless)";
const MAVEN_HELP: &str =
    "install Maven (Debian: apt-get install maven); it downloads Apache Kafka from Maven Central once";

/// The newest kafka-tools there is.
const TOOLS_VERSION: &str = "4.3.1";

/// A lock older than this was left behind by a process that died.
const STALE_LOCK: Duration = Duration::from_secs(300);

/// `target/live-kafka`, created.
pub(super) fn root() -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = target.unwrap_or_else(|| manifest.join("../target")).join("live-kafka");
    fs::create_dir_all(&root).unwrap_or_else(|e| panic!("cannot create {}: {e}", root.display()));
    root.canonicalize().expect("a directory that was just created resolves")
}

/// The directory of committed live files (`pom.xml`, the Java side).
pub(super) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("live")
}

/// The class path of Kafka `version`: its jars in sorted order, so that a class data archive stays valid.
pub(super) fn class_path(version: &str) -> String {
    jars(&once(&format!("libs-{version}"), |dir| download("kafka_2.13", version, dir)))
}

/// The class path of Kafka's command line tools, which are not published for every version of the broker.
pub(super) fn tools_class_path() -> String {
    jars(&once(&format!("tools-{TOOLS_VERSION}"), |dir| download("kafka-tools", TOOLS_VERSION, dir)))
}

fn jars(jars: &Path) -> String {
    let mut paths: Vec<_> = fs::read_dir(jars)
        .unwrap_or_else(|e| panic!("cannot read {}: {e}", jars.display()))
        .filter_map(|entry| entry.ok().map(|e| e.path().display().to_string()))
        .filter(|path| path.ends_with(".jar"))
        .collect();
    paths.sort();
    paths.join(":")
}

fn download(artifact: &str, version: &str, dir: &Path) {
    let mut mvn = Command::new("mvn");
    mvn.args(["-q", "-B", "-f"]).arg(sources().join("pom.xml"));
    mvn.arg(format!("-Dkafka.artifact={artifact}")).arg(format!("-Dkafka.version={version}"));
    mvn.arg("dependency:copy-dependencies");
    mvn.arg(format!("-DoutputDirectory={}", dir.display()));
    run(&mut mvn, MAVEN_HELP);
}

/// The compiled Java side: the directory of its classes, cached by the content of its source.
pub(super) fn java_side_classes(class_path: &str) -> PathBuf {
    let source = sources().join("Reader.java");
    let text = fs::read(&source).unwrap_or_else(|e| panic!("cannot read {}: {e}", source.display()));
    once(&format!("classes-{:08x}", fingerprint(&text)), |dir| {
        let mut javac = Command::new("javac");
        javac.args(["-nowarn", "-cp", class_path, "-d"]).arg(dir).arg(&source);
        run(&mut javac, JAVA_HELP);
    })
}

/// A stable 32-bit name for some bytes (FNV-1a); not for anything a stranger chooses.
pub(super) fn fingerprint(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// A `java` command; the panic of a failed spawn is the caller's, with [`spawn_failed`].
pub(super) fn java() -> Command {
    Command::new("java")
}

/// Panics naming the program that could not be started and how to get it.
pub(super) fn spawn_failed(program: &str, error: &std::io::Error) -> ! {
    let help = if program == "mvn" { MAVEN_HELP } else { JAVA_HELP };
    panic!("the live suite needs `{program}`, which could not be started ({error}): {help}")
}

/// What one of Kafka's command line tools (a class of `org.apache.kafka.tools`) prints, in UTF-8. Panics if it fails.
pub fn kafka_tool(class: &str, arguments: &[&str]) -> Vec<u8> {
    let mut java = java();
    java.args(["-Dstdout.encoding=UTF-8", "-Dfile.encoding=UTF-8", "-cp", &tools_class_path()]);
    java.arg(format!("org.apache.kafka.tools.{class}")).args(arguments);
    run(&mut java, "one of Kafka's tools")
}

/// Runs a command to its end, for what it prints on stdout; panics with everything it printed if it fails.
pub(super) fn run(command: &mut Command, help: &str) -> Vec<u8> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => spawn_failed(&program, &error),
    };
    if !output.status.success() {
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        panic!("`{program}` failed ({}); {help}\n{command:?}\n{out}\n{err}", output.status);
    }
    output.stdout
}

/// The directory `name` under the root, filled by `make` if it is not there yet.
///
/// `make` works in a temporary directory that is renamed when complete: a killed process leaves nothing half done, and
/// of several processes one makes it while the others wait.
pub(super) fn once(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let root = root();
    let done = root.join(name);
    if done.exists() {
        return done;
    }
    let _lock = Lock::take(&root.join(format!("{name}.lock")));
    if done.exists() {
        return done;
    }
    let partial = root.join(format!("{name}.partial"));
    let _ = fs::remove_dir_all(&partial);
    fs::create_dir_all(&partial).unwrap_or_else(|e| panic!("cannot create {}: {e}", partial.display()));
    make(&partial);
    fs::rename(&partial, &done).unwrap_or_else(|e| panic!("cannot create {}: {e}", done.display()));
    done
}

/// A lock file between test processes, held while it lives.
struct Lock(PathBuf);

impl Lock {
    fn take(path: &Path) -> Lock {
        let deadline = Instant::now() + STALE_LOCK + Duration::from_secs(60);
        while let Err(error) = File::create_new(path) {
            let age = fs::metadata(path).and_then(|m| m.modified()).map(|at| SystemTime::now().duration_since(at));
            if matches!(age, Ok(Ok(age)) if age > STALE_LOCK) {
                let _ = fs::remove_file(path);
            }
            assert!(Instant::now() < deadline, "cannot lock {}: {error}", path.display());
            std::thread::sleep(Duration::from_millis(50));
        }
        Lock(path.to_path_buf())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
