//! A way to the in-memory broker, behind TLS or not, on which what the broker says breaks at one chosen byte: of the
//! opening, or of what is said on open connections.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use milena::broker::MemoryCluster;
use milena::config::security::CryptoProvider;
use milena::connection::{BoxFuture, Dial, Stream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf, copy_bidirectional, duplex};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::CryptoProvider as Provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::danger::ClientCertVerifier;
use tokio_rustls::rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};

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
    /// A record comes that looks like one of TLS and was sealed by nobody, then nothing.
    Forged,
}

/// Those that are faults of any connection, with TLS or without.
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
    lines: Arc<Mutex<Vec<Arc<Mutex<Line>>>>>,
}

/// One connection: what was said, and where it breaks.
struct Line {
    said: Said,
    fault: Option<(usize, Fault)>,
}

impl FaultyDial {
    /// To a cluster without TLS.
    pub fn new(cluster: &MemoryCluster) -> Self {
        Self { cluster: cluster.clone(), tls: None, fault: None, lines: Arc::default() }
    }

    /// The same behind TLS of one version, for all clients or for those only whose certificates `clients` (PEM) signed.
    pub fn behind_tls(self, shows: &Issued, version: &'static SupportedProtocolVersion, clients: Option<&str>) -> Self {
        let provider = CryptoProvider::for_this_cpu().expect("this machine's processor is known").get().clone();
        let chain = CertificateDer::pem_slice_iter(shows.chain.as_bytes()).map(|c| c.expect("a certificate")).collect();
        let key = PrivateKeyDer::from_pem_slice(shows.key.expose().as_bytes()).expect("a key");
        let config =
            ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(&[version]).expect("known");
        let config = match clients {
            None => config.with_no_client_auth(),
            Some(signer) => config.with_client_cert_verifier(signed_by(signer, provider)),
        };
        let mut config = config.with_single_cert(chain, key).expect("they belong together");
        // No session is taken up again: every handshake says all there is to say.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Self { tls: Some(Arc::new(config).into()), ..self }
    }

    /// The same, with a fault at byte `at` of what the broker says on each connection, and nothing said yet.
    pub fn breaking(&self, at: usize, fault: Fault) -> Self {
        Self { fault: Some((at, fault)), lines: Arc::default(), ..self.clone() }
    }

    /// Breaks the connections that are open: each at its broker's next byte but `left`.
    pub fn break_open(&self, left: usize, fault: Fault) {
        for line in lock(&self.lines).iter() {
            let mut line = lock(line);
            line.fault = Some((line.said.broker.len() + left, fault));
        }
    }

    /// What was said on each connection.
    pub fn said(&self) -> Vec<Said> {
        lock(&self.lines).iter().map(|line| lock(line).said.clone()).collect()
    }
}

fn signed_by(authority: &str, provider: Arc<Provider>) -> Arc<dyn ClientCertVerifier> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.as_bytes()).expect("a certificate")).expect("an authority's");
    WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build().expect("there is an authority")
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
        let line = Arc::new(Mutex::new(Line { said: Said::default(), fault: self.fault }));
        lock(&self.lines).push(Arc::clone(&line));
        Box::new(Wire { inner, broken: None, line })
    }
}

/// The client's end.
struct Wire {
    inner: DuplexStream,
    /// What comes from here on, once it is broken; then nothing.
    broken: Option<(Vec<u8>, Fault)>,
    line: Arc<Mutex<Line>>,
}

/// What comes instead of the chosen byte.
fn instead(fault: Fault, byte: u8) -> Vec<u8> {
    match fault {
        Fault::Close | Fault::Stall => Vec::new(),
        Fault::Garbage => (0..64).map(|n| 0x9e ^ n).collect(),
        Fault::Flip => vec![byte ^ 0x55],
        Fault::Forged => [&[23, 3, 3, 0, 64][..], &[0x9e; 64]].concat(),
    }
}

impl Wire {
    /// Of a broken connection: what is left to come.
    fn poll_broken(&mut self, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Some((rest, fault)) = &mut self.broken else { return Poll::Pending };
        let count = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..count]);
        rest.drain(..count);
        match fault {
            Fault::Flip if rest.is_empty() => self.broken = None,
            Fault::Stall | Fault::Garbage | Fault::Forged if count == 0 => return Poll::Pending,
            _ => {}
        }
        Poll::Ready(Ok(()))
    }

    /// Some of what the broker says, as far as `room`, or what has become of the one byte at which it breaks.
    fn poll_inner(&mut self, cx: &mut Context<'_>, room: usize, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut bytes = vec![0; room.max(1)];
        let mut part = ReadBuf::new(&mut bytes);
        std::task::ready!(Pin::new(&mut self.inner).poll_read(cx, &mut part))?;
        let mut line = lock(&self.line);
        if let (0, Some((_, fault)), [byte]) = (room, line.fault, part.filled()) {
            line.fault = None;
            self.broken = Some((instead(fault, *byte), fault));
            drop(line);
            return self.poll_broken(buf);
        }
        line.said.broker.extend_from_slice(part.filled());
        buf.put_slice(part.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.broken.is_some() {
            return this.poll_broken(buf);
        }
        let (heard, fault) = {
            let line = lock(&this.line);
            (line.said.broker.len(), line.fault)
        };
        let room = fault.map_or(usize::MAX, |(at, _)| at.saturating_sub(heard)).min(buf.remaining());
        this.poll_inner(cx, room, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = std::task::ready!(Pin::new(&mut this.inner).poll_write(cx, bytes))?;
        lock(&this.line).said.client.extend_from_slice(&bytes[..written]);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}
