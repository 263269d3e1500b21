//! What a client takes from outside itself: the network, the clock and the seed, so that a test can give all three.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use rand::TryRng;
use tokio::io::{AsyncRead, AsyncWrite};

/// A byte stream to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens byte streams to brokers.
pub trait Dial: Send + Sync {
    /// A stream to `host:port`, or why there is none. The caller bounds the time.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// Network, wall clock and seed of one client.
#[derive(Clone)]
pub struct Environment {
    /// Opens connections.
    pub dial: Arc<dyn Dial>,
    /// Milliseconds since the epoch, for timestamps of records only; deadlines use the monotonic clock.
    pub wall_clock_ms: Arc<dyn Fn() -> i64 + Send + Sync>,
    /// Where all randomness comes from: jitter, sticky partitions.
    pub seed: u64,
}

impl Default for Environment {
    /// TCP, the system's clock and a seed from the system.
    fn default() -> Self {
        Self { dial: Arc::new(TcpDial), wall_clock_ms: Arc::new(system_clock_ms), seed: system_seed() }
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("seed", &self.seed).finish_non_exhaustive()
    }
}

/// A seed from the system; from the clock where the system has no randomness to give.
fn system_seed() -> u64 {
    rand::rngs::SysRng.try_next_u64().unwrap_or_else(|_| system_clock_ms().unsigned_abs())
}

fn system_clock_ms() -> i64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
}

/// Plain TCP over every address of the name, with Nagle's algorithm off.
#[derive(Clone, Copy, Debug)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = tokio::net::TcpStream::connect((host, port)).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}
