//! What kind of cluster a test wants, and the `server.properties` that says so to each node.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// The version every live test runs on unless it asks for another.
pub(super) const DEFAULT_VERSION: &str = "4.4.0";

/// What kind of cluster to start.
#[derive(Clone, Debug)]
pub struct Options {
    pub(super) nodes: u16,
    pub(super) version: String,
    pub(super) features: BTreeMap<String, u16>,
    pub(super) properties: BTreeMap<String, String>,
    /// Name, protocol and port of listeners beside the open one.
    pub(super) listeners: Vec<(String, String, u16)>,
    /// Users as `--add-scram` takes them.
    pub(super) scram: Vec<String>,
}

/// Settings of every node: fast timers, records that never expire, no topics out of typing errors.
///
/// The short broker session is what makes a restart after kill -9 take 3 s instead of 11: the controller
/// refuses the new registration until the old one has expired.
const FAST: &[(&str, &str)] = &[
    ("auto.create.topics.enable", "false"),
    ("offsets.topic.num.partitions", "5"),
    ("transaction.state.log.num.partitions", "5"),
    ("share.coordinator.state.topic.num.partitions", "5"),
    ("group.initial.rebalance.delay.ms", "0"),
    ("group.min.session.timeout.ms", "1000"),
    ("group.consumer.min.session.timeout.ms", "1000"),
    ("group.consumer.session.timeout.ms", "3000"),
    ("group.consumer.min.heartbeat.interval.ms", "100"),
    ("group.consumer.heartbeat.interval.ms", "500"),
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "200"),
    ("log.retention.ms", "-1"),
    // Old record times beside the clock's (markers) would roll a segment, at whose end a fetch stops short.
    ("log.roll.ms", "9223372036854775807"),
    ("log.initial.task.delay.ms", "1000"),
    ("log.segment.delete.delay.ms", "1000"),
    ("broker.session.timeout.ms", "1500"),
    ("broker.heartbeat.interval.ms", "200"),
    ("controller.quorum.fetch.timeout.ms", "1000"),
    ("controller.quorum.election.timeout.ms", "500"),
    ("controller.quorum.election.backoff.max.ms", "200"),
];

impl Options {
    /// One node: replication factor 1 everywhere.
    pub fn one_node() -> Self {
        Self {
            nodes: 1,
            version: DEFAULT_VERSION.into(),
            features: BTreeMap::new(),
            properties: BTreeMap::new(),
            listeners: Vec::new(),
            scram: Vec::new(),
        }
    }

    /// Three nodes, each broker and controller: replication factor 3, two replicas in sync to write.
    pub fn three_nodes() -> Self {
        Self { nodes: 3, ..Self::one_node() }
    }

    /// Another Kafka version than 4.4.0; its jars are downloaded when first asked for. 2.8 comes with a ZooKeeper.
    pub fn version(mut self, version: &str) -> Self {
        self.version = version.into();
        self
    }

    /// The level a feature is formatted at, as `("transaction.version", 1)`; unnamed ones have the version's default.
    pub fn feature(mut self, name: &str, level: u16) -> Self {
        self.features.insert(name.into(), level);
        self
    }

    /// A line of every node's `server.properties`, over the harness's own. Kafka ignores unknown keys silently.
    pub fn property(mut self, key: &str, value: &str) -> Self {
        self.properties.insert(key.into(), value.into());
        self
    }

    /// One more listener, for a cluster of one node: its name, its `security.protocol` and a free port.
    pub(super) fn listener(mut self, name: &str, protocol: &str, port: u16) -> Self {
        self.listeners.push((name.into(), protocol.into(), port));
        self
    }

    /// A user that is there from the start, as `SCRAM-SHA-256=[name=alice,password=secret]`.
    pub(super) fn scram(mut self, user: &str) -> Self {
        self.scram.push(user.into());
        self
    }

    /// Whether this version keeps its metadata in ZooKeeper: that of 2.8 is here for what it was used with.
    pub(super) fn has_zookeeper(&self) -> bool {
        self.version.starts_with("2.")
    }

    /// The text of `node`'s properties file.
    pub(super) fn server_properties(&self, node: u16, ports: &[NodePorts], data: &Path) -> String {
        let mut lines: BTreeMap<String, String> = BTreeMap::new();
        let mut set = |key: &str, value: String| lines.insert(key.into(), value);
        FAST.iter().for_each(|(key, value)| drop(set(key, (*value).into())));
        self.replication(&mut set);
        if self.has_zookeeper() {
            identity_in_zookeeper(node, ports, &mut set);
        } else {
            identity(node, ports, &mut set);
        }
        set("log.dirs", data.display().to_string());
        self.more_listeners(&mut lines);
        lines.extend(self.properties.clone());
        lines.iter().fold(String::new(), |mut text, (key, value)| {
            let _ = writeln!(text, "{key}={value}");
            text
        })
    }

    fn more_listeners(&self, lines: &mut BTreeMap<String, String>) {
        let mut append = |key: &str, text: String| {
            if let Some(line) = lines.get_mut(key) {
                line.push_str(&text);
            }
        };
        for (name, protocol, port) in &self.listeners {
            append("listeners", format!(",{name}://127.0.0.1:{port}"));
            append("advertised.listeners", format!(",{name}://127.0.0.1:{port}"));
            append("listener.security.protocol.map", format!(",{name}:{protocol}"));
        }
    }

    fn replication(&self, set: &mut impl FnMut(&str, String) -> Option<String>) {
        let min_isr = if self.nodes == 1 { 1 } else { 2 };
        for key in [
            "default.replication.factor",
            "offsets.topic.replication.factor",
            "transaction.state.log.replication.factor",
            "share.coordinator.state.topic.replication.factor",
        ] {
            set(key, self.nodes.to_string());
        }
        for key in ["min.insync.replicas", "transaction.state.log.min.isr", "share.coordinator.state.topic.min.isr"] {
            set(key, min_isr.to_string());
        }
    }

    /// Names what formatting writes: version and features. Nodes that agree on it can share a formatted directory.
    pub(super) fn format_name(&self, node: u16) -> String {
        let features: String = self.features.iter().map(|(name, level)| format!("-{name}={level}")).collect();
        let scram = if self.scram.is_empty() {
            String::new()
        } else {
            format!("-scram{:08x}", super::artifacts::fingerprint(self.scram.concat().as_bytes()))
        };
        format!("format-{}-node{node}{features}{scram}", self.version)
    }
}

/// The two ports of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NodePorts {
    pub(super) broker: u16,
    pub(super) controller: u16,
}

/// The text of ZooKeeper's properties file.
pub(super) fn zookeeper_properties(port: u16, data: &Path) -> String {
    let data = data.display();
    format!("dataDir={data}\nclientPort={port}\nmaxClientCnxns=0\nadmin.enableServer=false\ntickTime=500\n")
}

/// A broker whose cluster is known to ZooKeeper, at the port that would be the first controller's.
fn identity_in_zookeeper(node: u16, ports: &[NodePorts], set: &mut impl FnMut(&str, String) -> Option<String>) {
    let broker = ports[usize::from(node) - 1].broker;
    set("broker.id", node.to_string());
    set("zookeeper.connect", format!("127.0.0.1:{}", ports[0].controller));
    set("zookeeper.session.timeout.ms", "3000".into());
    set("listeners", format!("PLAINTEXT://127.0.0.1:{broker}"));
    set("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{broker}"));
    set("listener.security.protocol.map", "PLAINTEXT:PLAINTEXT".into());
}

fn identity(node: u16, ports: &[NodePorts], set: &mut impl FnMut(&str, String) -> Option<String>) {
    let NodePorts { broker, controller } = ports[usize::from(node) - 1];
    let voters = ports.iter().zip(1..).map(|(p, id)| format!("{id}@127.0.0.1:{}", p.controller));
    set("process.roles", "broker,controller".into());
    set("node.id", node.to_string());
    set("controller.quorum.voters", voters.collect::<Vec<_>>().join(","));
    set("listeners", format!("PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"));
    set("advertised.listeners", format!("PLAINTEXT://127.0.0.1:{broker}"));
    set("controller.listener.names", "CONTROLLER".into());
    set("listener.security.protocol.map", "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT".into());
}
