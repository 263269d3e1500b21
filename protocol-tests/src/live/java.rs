//! The long-lived JVM that reads, writes and judges with Apache's own client, command by command over its pipes.

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead, BufReader, Write as _};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::options::DEFAULT_VERSION;
use super::typed::{CopyReport, EndOffsets, GroupOffset, ReadRecord, TopicInfo, TransactionInfo};
use super::{artifacts, node};

/// The longest a command may be silent; a broker that was killed is back long before.
const PATIENCE: Duration = Duration::from_secs(120);

type Waiting = Arc<Mutex<HashMap<u64, Sender<Value>>>>;

/// Apache's Java client in a JVM of its own, which ends with the test process. Commands of several threads run side by side.
#[derive(Debug)]
pub struct JavaSide {
    stdin: Mutex<(ChildStdin, u64)>,
    waiting: Waiting,
    _process: Child,
}

/// What a command's exception said.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JavaError {
    /// The exception's class, as `TopicExistsException`.
    pub class: String,
    /// Its message.
    pub message: String,
}

/// What [`JavaSide::write`] writes: record i goes to partition i % `partitions` and says `partition:sequence`.
#[derive(Clone, Copy, Debug)]
pub struct Write<'a> {
    /// How many records, over all partitions.
    pub records: u64,
    /// Over how many partitions.
    pub partitions: u32,
    /// Sequence of the first record of each partition.
    pub first_sequence: u64,
    /// Bytes of each value (at least what the text needs).
    pub size: u32,
    /// In one transaction of this id.
    pub transactional_id: Option<&'a str>,
    /// Whether that transaction is aborted.
    pub abort: bool,
    /// Kafka's `compression.type`.
    pub compression: &'a str,
    /// Whether the values are padded with bytes that no codec makes smaller, instead of dots.
    pub incompressible: bool,
}

impl Write<'_> {
    /// `records` records of 100 bytes over `partitions`, without a transaction, from sequence 0, uncompressed.
    pub fn records(records: u64, partitions: u32) -> Self {
        let (first_sequence, size, compression) = (0, 100, "none");
        let (transactional_id, abort, incompressible) = (None, false, false);
        Self { records, partitions, first_sequence, size, transactional_id, abort, compression, incompressible }
    }
}

impl JavaSide {
    /// The one of this process, started on first use (0.5 s).
    pub fn shared() -> &'static JavaSide {
        static SHARED: OnceLock<JavaSide> = OnceLock::new();
        SHARED.get_or_init(JavaSide::start)
    }

    fn start() -> JavaSide {
        let libs = artifacts::class_path(DEFAULT_VERSION);
        let classes = artifacts::java_side_classes(&libs);
        let mut java = artifacts::java();
        java.args(node::JVM_FLAGS).arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=error");
        java.args(["-cp", &format!("{libs}:{}", classes.display()), "Reader"]);
        java.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
        let mut process = java.spawn().unwrap_or_else(|e| artifacts::spawn_failed("java", &e));
        let (stdin, stdout) = (process.stdin.take().expect("piped"), process.stdout.take().expect("piped"));
        let waiting = Waiting::default();
        let readers = Arc::clone(&waiting);
        std::thread::spawn(move || dispatch(stdout, &readers));
        JavaSide { stdin: Mutex::new((stdin, 0)), waiting, _process: process }
    }

    /// Runs one command and collects its lines.
    pub fn call(&self, command: &str, bootstrap: &str, arguments: Value) -> Result<Vec<Value>, JavaError> {
        let answers = self.send(command, bootstrap, arguments);
        let mut lines = Vec::new();
        loop {
            let mut answer = answers.recv_timeout(PATIENCE).unwrap_or_else(|e| panic!("Java's `{command}`: {e}"));
            if let Some(line) = answer.get_mut("line") {
                lines.push(line.take());
            } else if let Some(message) = answer.get("error") {
                return Err(JavaError { class: text(&answer["class"]), message: text(message) });
            } else {
                return Ok(lines);
            }
        }
    }

    fn send(&self, command: &str, bootstrap: &str, arguments: Value) -> Receiver<Value> {
        let mut stdin = self.stdin.lock().unwrap_or_else(PoisonError::into_inner);
        stdin.1 += 1;
        let (sender, receiver) = channel();
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).insert(stdin.1, sender);
        let mut line = match arguments {
            Value::Object(fields) => fields,
            _ => Map::new(),
        };
        line.extend([
            ("id".into(), json!(stdin.1)),
            ("cmd".into(), json!(command)),
            ("bootstrap".into(), json!(bootstrap)),
        ]);
        writeln!(stdin.0, "{}", Value::Object(line)).unwrap_or_else(|e| panic!("the Java side is gone: {e}"));
        receiver
    }

    fn expect(&self, command: &str, bootstrap: &str, arguments: Value) -> Vec<Value> {
        self.call(command, bootstrap, arguments)
            .unwrap_or_else(|e| panic!("Java's `{command}` failed with {}: {}", e.class, e.message))
    }

    /// Creates a topic and waits until every partition has its leader and all replicas.
    pub fn create_topic(&self, bootstrap: &str, topic: &str, partitions: u32, replicas: u16, configs: &[(&str, &str)]) {
        let configs: BTreeMap<_, _> = configs.iter().copied().collect();
        let arguments = json!({"topic": topic, "partitions": partitions, "replicas": replicas, "configs": configs});
        self.expect("create-topic", bootstrap, arguments);
    }

    /// Deletes a topic.
    pub fn delete_topic(&self, bootstrap: &str, topic: &str) {
        self.expect("delete-topic", bootstrap, json!({"topic": topic}));
    }

    /// Id, leaders and replicas of a topic.
    pub fn describe_topic(&self, bootstrap: &str, topic: &str) -> TopicInfo {
        TopicInfo::read(&self.expect("describe-topic", bootstrap, json!({"topic": topic}))[0])
    }

    /// Finalized features and their levels.
    pub fn features(&self, bootstrap: &str) -> BTreeMap<String, u64> {
        let lines = self.expect("features", bootstrap, json!({}));
        let fields = lines[0].as_object().expect("an object");
        fields.iter().map(|(name, level)| (name.clone(), level.as_u64().unwrap_or_default())).collect()
    }

    /// Start, high watermark and last stable offset of every partition, in order.
    pub fn end_offsets(&self, bootstrap: &str, topic: &str) -> Vec<EndOffsets> {
        self.expect("end-offsets", bootstrap, json!({"topic": topic})).iter().map(EndOffsets::read).collect()
    }

    /// What a group has committed.
    pub fn group_offsets(&self, bootstrap: &str, group: &str) -> Vec<GroupOffset> {
        self.expect("group-offsets", bootstrap, json!({"group": group})).iter().map(GroupOffset::read).collect()
    }

    /// The transactions whose id starts with `prefix`, in no order.
    pub fn transactions(&self, bootstrap: &str, prefix: &str) -> Vec<TransactionInfo> {
        self.expect("transactions", bootstrap, json!({"prefix": prefix})).iter().map(TransactionInfo::read).collect()
    }

    /// Writes known records and waits until they are acknowledged and the transaction, if any, has ended.
    pub fn write(&self, bootstrap: &str, topic: &str, write: &Write<'_>) {
        let Write { records, partitions, first_sequence, size, transactional_id, abort, compression, incompressible } =
            write;
        let arguments = json!({
            "topic": topic, "records": records, "partitions": partitions, "first_sequence": first_sequence,
            "size": size, "transactional_id": transactional_id, "abort": abort, "compression": compression,
            "incompressible": incompressible,
        });
        self.expect("write", bootstrap, arguments);
    }

    /// Every record a `read_committed` reader sees, up to the last stable offset as of now; by partition in offset order.
    pub fn read_committed(&self, bootstrap: &str, topic: &str) -> Vec<ReadRecord> {
        self.read(bootstrap, topic, "read_committed")
    }

    /// Every record a `read_uncommitted` reader sees, up to the high watermark as of now; by partition in offset order.
    pub fn read_uncommitted(&self, bootstrap: &str, topic: &str) -> Vec<ReadRecord> {
        self.read(bootstrap, topic, "read_uncommitted")
    }

    fn read(&self, bootstrap: &str, topic: &str, isolation: &str) -> Vec<ReadRecord> {
        let lines = self.expect("read", bootstrap, json!({"topic": topic, "isolation": isolation}));
        let mut records: Vec<_> = lines.iter().map(ReadRecord::read).collect();
        records.sort_by_key(|record| (record.partition, record.offset));
        records
    }

    /// Judges a copy of what [`JavaSide::write`] wrote (`records` over `partitions`, from sequence 0), read committed.
    ///
    /// Records are told by their values, so the copy's partitions need not be the source's. Millions are fine.
    pub fn verify_copy(&self, bootstrap: &str, topic: &str, records: u64, partitions: u32) -> CopyReport {
        let isolation = "read_committed";
        let arguments = json!({"topic": topic, "records": records, "partitions": partitions, "isolation": isolation});
        CopyReport::read(&self.expect("verify-copy", bootstrap, arguments)[0])
    }
}

/// Hands each answer to the command it belongs to; with Java's end every command that waits sees it.
fn dispatch(stdout: ChildStdout, waiting: &Mutex<HashMap<u64, Sender<Value>>>) {
    for line in BufReader::new(stdout).lines().map_while(Result::ok) {
        let Ok(answer) = serde_json::from_str::<Value>(&line) else { continue };
        let id = answer["id"].as_u64().unwrap_or_default();
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let is_last = answer.get("line").is_none();
        if let Some(sender) = waiting.get(&id) {
            let _ = sender.send(answer);
        }
        if is_last {
            waiting.remove(&id);
        }
    }
    waiting.lock().unwrap_or_else(PoisonError::into_inner).clear();
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().into()
}
