//! A cluster on real sockets: one listener a broker.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use super::control::Control;
use super::driver::Shared;
use super::settings::Settings;
#[cfg(feature = "tls")]
use super::tls::TlsSettings;
use super::tls::Wrap;

/// A cluster that listens on TCP. Dropping it stops it.
#[derive(Debug)]
pub struct TcpCluster {
    shared: Arc<Shared>,
    addresses: Vec<SocketAddr>,
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    wrap: Wrap,
    /// The clock and the listeners, aborted when dropped.
    _tasks: JoinSet<()>,
}

impl Drop for TcpCluster {
    fn drop(&mut self) {
        let ids: Vec<i32> = self.shared.with(|core| core.addresses().into_iter().map(|(id, ..)| id).collect());
        ids.into_iter().for_each(|id| self.shared.control(Control::CloseConnections(id)));
    }
}

impl TcpCluster {
    /// Starts a cluster whose first broker listens on `first`, each other one on the port above the last one's.
    ///
    /// Port 0 lets the system choose each port. Fails if an address cannot be bound.
    pub async fn bind(settings: Settings, first: SocketAddr) -> io::Result<Self> {
        Self::bind_with(settings, first, Wrap::default()).await
    }

    /// As [`bind`](TcpCluster::bind), with TLS on every listener.
    ///
    /// Fails with `InvalidInput` on certificates or keys that cannot be used.
    #[cfg(feature = "tls")]
    pub async fn bind_tls(settings: Settings, first: SocketAddr, tls: &TlsSettings) -> io::Result<Self> {
        Self::bind_with(settings, first, Wrap::new(tls)?).await
    }

    /// Shows new connections another certificate from here on, or trusts other clients; open ones stay.
    #[cfg(feature = "tls")]
    pub fn set_tls(&self, tls: &TlsSettings) -> io::Result<()> {
        self.wrap.set(tls)
    }

    async fn bind_with(settings: Settings, first: SocketAddr, wrap: Wrap) -> io::Result<Self> {
        let brokers = settings.brokers;
        let shared = Arc::new(Shared::new(settings));
        let (mut tasks, mut addresses) = (JoinSet::new(), Vec::new());
        for (broker, above) in (1..=brokers).zip(0u16..) {
            let port = if first.port() == 0 { 0 } else { first.port().saturating_add(above) };
            let listener = TcpListener::bind(SocketAddr::new(first.ip(), port)).await?;
            let address = listener.local_addr()?;
            shared.with(|core| core.set_address(broker, advertised(address), address.port()));
            addresses.push(address);
            tasks.spawn(accept(shared.clone(), wrap.clone(), broker, listener));
        }
        tasks.spawn(shared.clone().keep_time());
        Ok(Self { shared, addresses, wrap, _tasks: tasks })
    }

    /// Where each broker listens, by id.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Does something to the cluster.
    pub fn control(&self, control: Control) {
        self.shared.control(control);
    }
}

/// A listener on every address is reached by the loopback one.
fn advertised(address: SocketAddr) -> String {
    match address {
        _ if !address.ip().is_unspecified() => address.ip().to_string(),
        SocketAddr::V4(_) => "127.0.0.1".into(),
        SocketAddr::V6(_) => "::1".into(),
    }
}

async fn accept(shared: Arc<Shared>, wrap: Wrap, broker: i32, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => serve(&shared, &wrap, broker, stream),
            Err(error) => {
                // Out of file descriptors, say: others may close theirs.
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

fn serve(shared: &Arc<Shared>, wrap: &Wrap, broker: i32, stream: TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "a connection keeps Nagle's algorithm");
    }
    tokio::spawn(wrap.clone().serve(shared.clone(), broker, stream));
}
