//! What a client takes from outside itself: the network, the clock and the seed, so that a test can give all three.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rand::TryRng;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::dns;
use super::proxy::ProxyDial;
use crate::config::Proxy;

/// A byte stream to a broker.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A boxed future that may move between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Opens byte streams to brokers.
pub trait Dial: Send + Sync {
    /// A stream to `host:port`, or why there is none. The caller bounds the time.
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;

    /// The names to dial in place of a bootstrap host, with `client.dns.lookup=resolve_canonical_bootstrap_servers_only`.
    /// Only the host itself, unless the dialer knows better.
    fn canonical<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(async move { Ok(vec![host.to_owned()]) })
    }
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

impl Environment {
    /// The same, with every connection made through `proxy` if there is one.
    pub(crate) fn through(self, proxy: Option<&Proxy>) -> Self {
        match proxy {
            Some(proxy) => Self { dial: Arc::new(ProxyDial::new(proxy.clone(), Arc::clone(&self.dial))), ..self },
            None => self,
        }
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

/// How long one address may keep the next one waiting (RFC 8305).
const HEAD_START: Duration = Duration::from_millis(250);

/// Plain TCP, with Nagle's algorithm off. Tries every address of the name, the next one after a failure or 250 ms, both
/// families in turn: one dead address costs a quarter of a second.
#[derive(Clone, Copy, Debug)]
pub struct TcpDial;

impl Dial for TcpDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((host, port)).await;
            let found = found.map_err(|e| named(&e, format!("the name {host} could not be looked up: {e}")))?;
            let stream = connect_any(alternate(found), TcpStream::connect).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }

    /// The names of the host's addresses, by the system's resolver and name servers.
    fn canonical<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        Box::pin(dns::canonical(&dns::SystemNames, host))
    }
}

/// The first of `addresses` that lets itself be connected to. Dropping it drops all attempts.
async fn connect_any<S, F>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<S>
where
    S: Send + 'static,
    F: Future<Output = io::Result<S>> + Send + 'static,
{
    let mut untried = addresses.into_iter();
    let mut attempts = JoinSet::new();
    let mut failures: Vec<(SocketAddr, io::Error)> = Vec::new();
    loop {
        match untried.next() {
            Some(address) => {
                let attempt = connect(address);
                attempts.spawn(async move { (address, attempt.await) });
            }
            None if attempts.is_empty() => return Err(all_failed(failures)),
            None => {}
        }
        tokio::select! {
            biased;
            Some(attempt) = attempts.join_next() => match attempt.map_err(io::Error::other)? {
                (_, Ok(stream)) => return Ok(stream),
                (address, Err(e)) => failures.push((address, e)),
            },
            () = tokio::time::sleep(HEAD_START), if untried.len() > 0 => {}
        }
    }
}

/// Both families in turn, in the resolver's order, so that one family without a route delays the other only once.
fn alternate(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let (preferred, other): (Vec<_>, Vec<_>) = {
        let found: Vec<SocketAddr> = found.collect();
        let is_v6 = found.first().is_some_and(SocketAddr::is_ipv6);
        found.into_iter().partition(|address| address.is_ipv6() == is_v6)
    };
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let turns = preferred.len().max(other.len());
    (0..turns).flat_map(|_| [preferred.next(), other.next()]).flatten().collect()
}

fn all_failed(failures: Vec<(SocketAddr, io::Error)>) -> io::Error {
    let causes: Vec<String> = failures.iter().map(|(address, e)| format!("{address}: {e}")).collect();
    match failures.first() {
        Some((_, first)) => named(first, format!("no connection to {}", causes.join(", "))),
        None => io::Error::new(io::ErrorKind::NotFound, "the name has no address"),
    }
}

fn named(cause: &io::Error, words: String) -> io::Error {
    io::Error::new(cause.kind(), words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_take_turns_in_the_resolvers_order() {
        let addresses = |texts: &[&str]| texts.iter().map(|t| t.parse().unwrap()).collect::<Vec<SocketAddr>>();
        let found = addresses(&["[::1]:1", "[::2]:1", "[::3]:1", "10.0.0.1:1"]);
        assert_eq!(alternate(found.into_iter()), addresses(&["[::1]:1", "10.0.0.1:1", "[::2]:1", "[::3]:1"]));
        assert_eq!(alternate([].into_iter()), []);
    }

    #[tokio::test]
    async fn an_address_that_refuses_does_not_hide_one_that_listens() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let alive = listener.local_addr().unwrap();
        let refused = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
        let stream = connect_any(vec![refused, alive], TcpStream::connect).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), alive);
        let error = connect_any(vec![refused], TcpStream::connect).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&refused.to_string()), "{error}");
    }

    /// Connects to the second of two addresses after `second`, to the first after `first` or never; which, and when.
    async fn race(first: Option<Duration>, second: Duration) -> (SocketAddr, Duration) {
        let addresses: Vec<SocketAddr> = ["[::1]:1", "10.0.0.1:1"].map(|text| text.parse().unwrap()).to_vec();
        let slow = addresses[0];
        let connect = move |to| async move {
            match (to == slow, first) {
                (true, Some(first)) => tokio::time::sleep(first).await,
                (true, None) => std::future::pending().await,
                (false, _) => tokio::time::sleep(second).await,
            }
            Ok(to)
        };
        let began = tokio::time::Instant::now();
        let connected = tokio::time::timeout(Duration::from_secs(60), connect_any(addresses, connect)).await;
        (connected.expect("the other one answers").unwrap(), began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_never_answers_costs_the_head_start_and_no_more() {
        let (connected, took) = race(None, Duration::from_millis(10)).await;
        assert!(connected.is_ipv4() && took >= HEAD_START && took < HEAD_START * 2, "{connected} after {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_address_that_is_slow_is_used_if_it_answers_before_the_next_one() {
        let (connected, took) = race(Some(Duration::from_millis(100)), Duration::ZERO).await;
        assert!(connected.is_ipv6() && took < HEAD_START, "within its head start: {connected} after {took:?}");
        let (connected, took) = race(Some(HEAD_START * 2), HEAD_START * 4).await;
        assert!(connected.is_ipv6() && took < HEAD_START * 3, "the race goes on: {connected} after {took:?}");
    }

    #[tokio::test]
    async fn a_name_that_does_not_exist_is_named() {
        let error = TcpDial.dial("no-such-host.invalid", 9092).await.err().unwrap();
        assert!(error.to_string().contains("no-such-host.invalid could not be looked up"), "{error}");
    }
}
