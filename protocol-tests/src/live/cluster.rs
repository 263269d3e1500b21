//! A running cluster: started ready, ended with the test, its nodes killed, frozen and restarted one by one.

use std::fmt::Write;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use super::artifacts;
use super::java::JavaSide;
use super::node::{Node, Watchdog, data_dir, java_args};
use super::options::{NodePorts, Options};
use super::{cds, ready};

/// How long a cluster may take to answer; ten times what an idle machine needs.
const BOOT_PATIENCE: Duration = Duration::from_secs(60);

/// Real Kafka on loopback ports. Dropping it kills the brokers and removes their data.
#[derive(Debug)]
pub struct LiveKafka {
    // Declared first, dropped first: the nodes are dead before the watchdog removes their files.
    nodes: Mutex<Vec<Node>>,
    _zookeeper: Option<Node>,
    ports: Vec<NodePorts>,
    _watchdog: Watchdog,
}

impl LiveKafka {
    /// Starts a cluster and waits until every node answers Metadata with all of them (1 s for one node, 3 s for three).
    ///
    /// The first start on a machine downloads Kafka and prepares archives, which takes half a minute.
    /// Panics with the brokers' logs if it does not come up, and with advice if Java or Maven is missing.
    pub fn start(options: Options) -> LiveKafka {
        let class_path = artifacts::class_path(&options.version);
        let archive = cds::archive(&options.version, &class_path);
        Self::start_with(
            &options,
            java_args(&class_path, Some(&format!("-XX:SharedArchiveFile={}", archive.display()))),
        )
    }

    pub(super) fn start_with(options: &Options, java_args: Vec<String>) -> LiveKafka {
        // A port that was free may be taken before Java binds it: then one more try on others.
        Self::try_start(options, &java_args)
            .or_else(|_| Self::try_start(options, &java_args))
            .unwrap_or_else(|log| panic!("Kafka did not start\n{log}"))
    }

    fn try_start(options: &Options, java_args: &[String]) -> Result<LiveKafka, String> {
        let dir = run_dir();
        let watchdog = Watchdog::over(&dir);
        let ports: Vec<_> = (0..options.nodes).map(|_| free_ports()).collect();
        let mut nodes: Vec<_> = (1..=options.nodes).map(|id| prepare(&dir, id, options, &ports, java_args)).collect();
        let mut zookeeper =
            options.has_zookeeper().then(|| Node::zookeeper(&dir, ports[0].controller, java_args.into()));
        zookeeper.iter_mut().chain(&mut nodes).for_each(Node::spawn);
        let cluster = LiveKafka { nodes: Mutex::new(nodes), ports, _zookeeper: zookeeper, _watchdog: watchdog };
        cluster.wait_ready().map(|()| cluster)
    }

    /// The node that all tests of one test program share, with Kafka's defaults: transaction version 2.
    ///
    /// Tests name their topics, groups and ids so that they do not meet. It ends with the process.
    pub fn shared() -> &'static LiveKafka {
        static SHARED: OnceLock<LiveKafka> = OnceLock::new();
        SHARED.get_or_init(|| LiveKafka::start(Options::one_node()))
    }

    /// As [`LiveKafka::shared`], formatted with `transaction.version=1`.
    pub fn shared_tv1() -> &'static LiveKafka {
        static SHARED: OnceLock<LiveKafka> = OnceLock::new();
        SHARED.get_or_init(|| LiveKafka::start(Options::one_node().feature("transaction.version", 1)))
    }

    /// All nodes as `host:port,host:port`, running or not.
    pub fn bootstrap(&self) -> String {
        (1..).take(self.ports.len()).map(|node| self.address(node)).collect::<Vec<_>>().join(",")
    }

    /// One node (1, 2, ...) as `host:port`.
    pub fn address(&self, node: u16) -> String {
        format!("127.0.0.1:{}", self.ports[usize::from(node) - 1].broker)
    }

    /// The directory in which a node keeps a partition's segments.
    pub fn partition_dir(&self, node: u16, topic: &str, partition: i32) -> PathBuf {
        self.nodes()[usize::from(node) - 1].data_dir().join(format!("{topic}-{partition}"))
    }

    /// Apache's Java client, connected to nothing yet; one JVM for the whole process.
    pub fn java(&self) -> &'static JavaSide {
        JavaSide::shared()
    }

    /// kill -9.
    pub fn kill9(&self, node: u16) {
        self.nodes()[usize::from(node) - 1].kill9();
    }

    /// SIGTERM, and waits for the end of the process.
    pub fn stop(&self, node: u16) {
        self.nodes()[usize::from(node) - 1].stop();
    }

    /// SIGSTOP: the sockets stay open and nothing answers.
    pub fn freeze(&self, node: u16) {
        self.nodes()[usize::from(node) - 1].freeze();
    }

    /// SIGCONT.
    pub fn thaw(&self, node: u16) {
        self.nodes()[usize::from(node) - 1].thaw();
    }

    /// Starts a node that was killed or stopped, on its old port and data, and waits until it is a broker again.
    ///
    /// 1 s after [`LiveKafka::stop`]; 3 s after [`LiveKafka::kill9`], until the old registration has expired.
    pub fn restart(&self, node: u16) {
        self.nodes()[usize::from(node) - 1].spawn();
        self.wait_ready().unwrap_or_else(|log| panic!("node {node} did not come back\n{log}"));
    }

    /// The last lines every node printed.
    pub fn log_tail(&self) -> String {
        self.nodes().iter().fold(String::new(), |mut text, node| {
            let _ = write!(text, "{}", node.log_tail(60));
            text
        })
    }

    fn nodes(&self) -> MutexGuard<'_, Vec<Node>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Until every node that runs answers with all that run; the logs if one ends or time is up.
    fn wait_ready(&self) -> Result<(), String> {
        let expected: Vec<_> = self.nodes().iter_mut().map(Node::can_answer).collect();
        let brokers = expected.iter().filter(|runs| **runs).count();
        let deadline = Instant::now() + BOOT_PATIENCE;
        let is_ready = |(ports, runs): (&NodePorts, &bool)| !runs || ready::answers_with(ports.broker, brokers);
        while !self.ports.iter().zip(&expected).all(is_ready) {
            let now: Vec<_> = self.nodes().iter_mut().map(Node::can_answer).collect();
            if now != expected || Instant::now() > deadline {
                return Err(self.log_tail());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }
}

impl Drop for LiveKafka {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

fn prepare(dir: &Path, id: u16, options: &Options, ports: &[NodePorts], java_args: &[String]) -> Node {
    let properties = options.server_properties(id, ports, &data_dir(dir, id));
    Node::prepare(dir, id, options, &properties, java_args.to_vec())
}

/// A new directory for one cluster.
fn run_dir() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let dir = artifacts::root().join(format!("run-{}-{count}", std::process::id()));
    let _ = fs::remove_dir_all(&dir);
    fs::create_dir_all(&dir).unwrap_or_else(|e| panic!("cannot create {}: {e}", dir.display()));
    dir
}

fn free_ports() -> NodePorts {
    NodePorts { broker: free_port(), controller: free_port() }
}

/// A free port below the range from which the system gives ports to outgoing connections.
///
/// From within that range a client that keeps trying a dead broker's port would one day connect to itself.
pub(super) fn free_port() -> u16 {
    const FIRST: u32 = 12_000;
    const COUNT: u32 = 20_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(97);
    (0..COUNT)
        .map(|_| start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed)) % COUNT + FIRST)
        .map(|port| u16::try_from(port).expect("32000 is the largest"))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("one of 20000 ports is free")
}
