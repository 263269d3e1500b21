//! A cluster inside one process: connections are pipes of memory, and time is tokio's, paused or not.

use std::io;
use std::sync::Arc;

use tokio::io::DuplexStream;
use tokio::task::AbortHandle;

use super::control::Control;
use super::core::Core;
use super::driver::Shared;
use super::settings::Settings;

/// Bytes a connection holds in each direction before its writer waits.
const PIPE_BYTES: usize = 256 * 1024;

/// A cluster to connect to without a network. Clones are the same cluster; the last one to go stops it.
#[derive(Clone, Debug)]
pub struct MemoryCluster {
    running: Arc<Running>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    clock: AbortHandle,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.clock.abort();
        let ids: Vec<i32> = self.shared.with(|core| core.addresses().into_iter().map(|(id, ..)| id).collect());
        ids.into_iter().for_each(|id| self.shared.control(Control::CloseConnections(id)));
    }
}

impl MemoryCluster {
    /// Starts a cluster on the current tokio runtime. Broker n is `127.0.0.1` with port 9091 + n.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn start(settings: Settings) -> Self {
        let shared = Arc::new(Shared::new(settings));
        let clock = tokio::spawn(shared.clone().keep_time()).abort_handle();
        Self { running: Arc::new(Running { shared, clock }) }
    }

    /// The address of the first broker, as `bootstrap.servers` takes it.
    pub fn bootstrap(&self) -> String {
        "127.0.0.1:9092".into()
    }

    /// A connection to the broker that advertises this address; refused if none does or it is stopped.
    pub fn connect(&self, host: &str, port: u16) -> io::Result<DuplexStream> {
        let broker = self.running.shared.with(|core| core.broker_at(host, port));
        let broker = broker.ok_or(io::ErrorKind::ConnectionRefused)?;
        let (near, far) = tokio::io::duplex(PIPE_BYTES);
        tokio::spawn(self.running.shared.clone().serve(broker, far));
        Ok(near)
    }

    /// Does something to the cluster.
    pub fn control(&self, control: Control) {
        self.running.shared.control(control);
    }

    /// Looks at the cluster's settings and changes them.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let mut settings = self.running.shared.with(|core: &mut Core| core.settings.clone());
        change(&mut settings);
        self.control(Control::Configure(Box::new(settings)));
    }
}
