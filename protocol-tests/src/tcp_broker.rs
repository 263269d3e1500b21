//! The in-memory broker on loopback ports, beside a test that blocks: what the command line is tested against.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{SystemTime, UNIX_EPOCH};

use milena::broker::{Control, Settings, TcpCluster};
use tokio::runtime::{Builder, Runtime};

/// A cluster on threads of its own; dropping it ends it.
#[derive(Debug)]
pub struct TcpBroker {
    cluster: Option<TcpCluster>,
    runtime: Option<Runtime>,
}

impl TcpBroker {
    /// One broker as Kafka 4.4 is set up, without topics out of typing errors and with the system's clock.
    pub fn start() -> Self {
        Self::with(Settings::default())
    }

    /// A cluster of these settings, but for topics made on demand and the clock.
    pub fn with(settings: Settings) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let start_time_ms = i64::try_from(since_epoch.as_millis()).expect("a few more million years");
        let settings = Settings { start_time_ms, auto_create_topics: false, ..settings };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be had");
        let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let cluster = runtime.block_on(TcpCluster::bind(settings, any_port)).expect("loopback ports can be had");
        TcpBroker { cluster: Some(cluster), runtime: Some(runtime) }
    }

    fn cluster(&self) -> &TcpCluster {
        self.cluster.as_ref().expect("taken when dropped only")
    }

    /// All brokers as `host:port,host:port`.
    pub fn at(&self) -> String {
        self.cluster().addresses().iter().map(SocketAddr::to_string).collect::<Vec<_>>().join(",")
    }

    /// Does something to the cluster.
    pub fn control(&self, control: Control) {
        self.cluster().control(control);
    }

    /// Makes a topic.
    pub fn create_topic(&self, name: &str, partitions: i32) {
        self.control(Control::CreateTopic { name: name.into(), partitions, configs: BTreeMap::new() });
    }
}

impl Drop for TcpBroker {
    fn drop(&mut self) {
        let runtime = self.runtime.take();
        let _inside = runtime.as_ref().map(Runtime::enter);
        self.cluster = None;
        drop(_inside);
        if let Some(runtime) = runtime {
            runtime.shutdown_background();
        }
    }
}
