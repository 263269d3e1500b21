//! A way to the in-memory broker, behind TLS or not, on which what the broker says breaks at one chosen byte.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use milena::broker::MemoryCluster;
use milena::config::security::CryptoProvider;
use milena::connection::{BoxFuture, Dial, Stream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, copy_bidirectional, duplex};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::NoServerSessionStorage;
use tokio_rustls::rustls::{ServerConfig, SupportedProtocolVersion};

use super::Issued;

/// What happens to the broker's bytes from the chosen one on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The connection ends.
    Close,
    /// Nothing comes any more, and the connection stands.
    Stall,
    /// Other bytes come, then nothing.
    Garbage,
    /// This one is another, and all goes on.
    Flip,
}

/// Every fault.
pub const FAULTS: [Fault; 4] = [Fault::Close, Fault::Stall, Fault::Garbage, Fault::Flip];

/// What was said on one connection, up to now.
#[derive(Clone, Default, Debug)]
pub struct Said {
    /// By the broker, as it reached the client.
    pub broker: Vec<u8>,
    /// By the client.
    pub client: Vec<u8>,
}

/// Dials the cluster; every connection breaks at the same byte.
#[derive(Clone)]
pub struct FaultyDial {
    cluster: MemoryCluster,
    tls: Option<TlsAcceptor>,
    fault: Option<(usize, Fault)>,
    said: Arc<Mutex<Vec<Arc<Mutex<Said>>>>>,
}

impl FaultyDial {
    /// To a cluster without TLS.
    pub fn new(cluster: &MemoryCluster) -> Self {
        Self { cluster: cluster.clone(), tls: None, fault: None, said: Arc::default() }
    }

    /// The same behind TLS of one version.
    pub fn behind_tls(self, shows: &Issued, version: &'static SupportedProtocolVersion) -> Self {
        let provider = CryptoProvider::for_this_cpu().expect("this machine's processor is known").get().clone();
        let chain = CertificateDer::pem_slice_iter(shows.chain.as_bytes()).map(|c| c.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_slice(shows.key.expose().as_bytes()).expect("a key");
        let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[version]).expect("known");
        let config = config.with_no_client_auth().with_single_cert(chain, key);
        let mut config = config.expect("they belong together");
        // No session is taken up again: every handshake says all there is to say.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self { tls: Some(Arc::new(config).into()), ..self }
    }

    /// The same, with a fault at byte `at` of what the broker says on each connection, and nothing said yet.
    pub fn breaking(&self, at: usize, fault: Fault) -> Self {
        Self { fault: Some((at, fault)), said: Arc::default(), ..self.clone() }
    }

    /// What was said on each connection.
    pub fn said(&self) -> Vec<Said> {
        lock(&self.said).iter().map(|said| lock(said).clone()).collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Dial for FaultyDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let mut broker = self.cluster.connect(host, port)?;
            if let Some(acceptor) = self.tls.clone() {
                let (near, far) = duplex(1 << 16);
                tokio::spawn(async move {
                    let mut secured = acceptor.accept(far).await?;
                    copy_bidirectional(&mut secured, &mut broker).await
                });
                return Ok(self.wire(near));
            }
            Ok(self.wire(broker))
        })
    }
}

impl FaultyDial {
    fn wire(&self, inner: DuplexStream) -> Box<dyn Stream> {
        let said = Arc::new(Mutex::new(Said::default()));
        lock(&self.said).push(Arc::clone(&said));
        Box::new(Wire { inner, fault: self.fault, garbage: 64, said })
    }
}

/// The client's end.
struct Wire {
    inner: DuplexStream,
    fault: Option<(usize, Fault)>,
    /// Bytes of garbage that are left.
    garbage: usize,
    said: Arc<Mutex<Said>>,
}

impl Wire {
    /// At the chosen byte: what it has become.
    fn poll_fault(&mut self, cx: &mut Context<'_>, fault: Fault, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match fault {
            Fault::Close => Poll::Ready(Ok(())),
            Fault::Stall => Poll::Pending,
            Fault::Garbage if self.garbage == 0 => Poll::Pending,
            Fault::Garbage => {
                let count = self.garbage.min(buf.remaining());
                (0..count).for_each(|n| buf.put_slice(&[0x9e ^ n as u8]));
                self.garbage -= count;
                Poll::Ready(Ok(()))
            }
            Fault::Flip => {
                let mut byte = [0];
                let mut one = ReadBuf::new(&mut byte);
                std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, &mut one))?;
                buf.put_slice(&one.filled().iter().map(|byte| byte ^ 0x55).collect::<Vec<_>>());
                self.fault = None;
                Poll::Ready(Ok(()))
            }
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let heard = lock(&this.said).broker.len();
        let room = match this.fault {
            Some((at, fault)) if heard >= at => return this.poll_fault(cx, fault, buf),
            Some((at, _)) => (at - heard).min(buf.remaining()),
            None => buf.remaining(),
        };
        let mut bytes = vec![0; room];
        let mut part = ReadBuf::new(&mut bytes);
        std::task::ready!(Pin::new(&mut this.inner).poll_read(cx, &mut part))?;
        lock(&this.said).broker.extend_from_slice(part.filled());
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = std::task::ready!(Pin::new(&mut this.inner).poll_write(cx, bytes))?;
        lock(&this.said).client.extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
