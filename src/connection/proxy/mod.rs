//! Connections through a proxy: a dialer around another dialer. A proxy that lies, stalls or hangs up costs one attempt.

mod http;
mod socks5;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::transport::{BoxFuture, Dial, Stream};
use zeroize::Zeroizing;

use crate::config::{Proxy, ProxyScheme};

/// Dials brokers through a proxy, which is itself dialled through another dialer. The proxy looks the names up.
///
/// Nothing of a broker's is sent before the proxy has said that the way is open. An error of the kind
/// `PermissionDenied` means that the proxy refuses our user: trying again does not help.
#[derive(Clone)]
pub struct ProxyDial {
    proxy: Proxy,
    through: Arc<dyn Dial>,
}

impl ProxyDial {
    /// Through `proxy`, reached by `through`.
    pub fn new(proxy: Proxy, through: Arc<dyn Dial>) -> Self {
        Self { proxy, through }
    }
}

impl Dial for ProxyDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let opened = self.open(host, port).await;
            opened.map_err(|e| io::Error::new(e.kind(), format!("by the proxy {}: {e}", self.proxy)))
        })
    }
}

/// What a tunnel's state machine wants next.
#[derive(PartialEq, Eq, Debug)]
enum Step {
    /// Write these bytes, then read.
    Send(Zeroizing<Vec<u8>>),
    /// Read exactly this many more bytes (at least one) and hand them in.
    Read(usize),
    /// The way is open; the next byte is the broker's.
    Open,
}

/// One tunnel's opening: fed with exactly the bytes it asks for, so that none of the broker's is ever swallowed.
trait Tunnel: Send {
    /// What to do after these bytes; the first call has none.
    fn handle(&mut self, bytes: &[u8]) -> io::Result<Step>;
}

impl ProxyDial {
    async fn open(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        check_host(host)?;
        let credentials = self.proxy.credentials.as_ref().map(|(user, password)| (user.as_str(), password.expose()));
        let mut tunnel: Box<dyn Tunnel + '_> = match self.proxy.scheme {
            ProxyScheme::Socks5 => Box::new(socks5::Socks5::new(host, port, credentials)?),
            ProxyScheme::Http => Box::new(http::Connect::new(host, port, credentials)),
        };
        let mut stream = self.through.dial(&self.proxy.host, self.proxy.port).await?;
        let mut read = Vec::new();
        loop {
            let step = tunnel.handle(&read)?;
            read.clear();
            match step {
                Step::Open => return Ok(stream),
                Step::Send(bytes) => {
                    stream.write_all(&bytes).await?;
                    stream.flush().await?;
                }
                Step::Read(count) => {
                    read.resize(count, 0);
                    stream.read_exact(&mut read).await.map_err(hung_up)?;
                }
            }
        }
    }
}

/// A broker's host comes from other brokers: nothing of it may end a line of the proxy's protocol.
fn check_host(host: &str) -> io::Result<()> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'%');
    if !host.is_empty() && host.len() <= 255 && host.bytes().all(is_plain) {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "the broker's host is not a name that a proxy can look up"))
}

fn hung_up(e: io::Error) -> io::Error {
    match e.kind() {
        io::ErrorKind::UnexpectedEof => io::Error::new(e.kind(), "it hung up before the way was open"),
        _ => e,
    }
}

fn broken(words: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, words)
}
