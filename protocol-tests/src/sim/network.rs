//! The wires between a process and the cluster: each can break after a byte, fall silent, trickle, or die with its process.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use milena::broker::MemoryCluster;
use milena::connection::{BoxFuture, Dial, Stream};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use super::plan::Fault;
use super::random::Random;
use super::weather::Weather;

/// The network as one process sees it. When the process is killed, all its wires end at once.
#[derive(Clone, Debug)]
pub(super) struct Network {
    cluster: MemoryCluster,
    weather: Weather,
    has_unseeded_draw: bool,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    random: Random,
    is_killed: bool,
    wires: Vec<Arc<Mutex<Line>>>,
}

impl Network {
    /// The network of one process; `random` is for its wires alone.
    pub(super) fn new(cluster: MemoryCluster, weather: Weather, random: Random, has_unseeded_draw: bool) -> Self {
        let shared = Arc::new(Mutex::new(Shared { random, is_killed: false, wires: Vec::new() }));
        Self { cluster, weather, has_unseeded_draw, shared }
    }

    /// Ends every wire and makes no more: the process is gone, whatever its tasks still believe.
    pub(super) fn kill(&self) {
        let mut shared = lock(&self.shared);
        shared.is_killed = true;
        shared.wires.drain(..).for_each(|line| lock(&line).end());
    }

    fn unseeded_wait(&self) -> Duration {
        let nanos = || SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        if self.has_unseeded_draw { Duration::from_millis((nanos() / 64 % 1_000).into()) } else { Duration::ZERO }
    }

    fn open(&self, host: &str, port: u16) -> io::Result<Box<dyn Stream>> {
        let mut shared = lock(&self.shared);
        if shared.is_killed {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let mut line = Line::new(self.cluster.connect(host, port)?);
        let Shared { random, wires, .. } = &mut *shared;
        line.spoil(&self.weather, random);
        let line = Arc::new(Mutex::new(line));
        wires.retain(|line| Arc::strong_count(line) > 1);
        wires.push(line.clone());
        Ok(Box::new(Wire(line)))
    }
}

impl Dial for Network {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (wait, refusal) = {
                let random = &mut lock(&self.shared).random;
                (Duration::from_micros(random.within(20..2_000)), self.weather.strikes(Fault::Refuse, random))
            };
            tokio::time::sleep(wait + self.unseeded_wait()).await;
            match refusal.then(|| lock(&self.shared).random.chance(0.3)) {
                Some(true) => std::future::pending().await,
                Some(false) => Err(io::ErrorKind::ConnectionRefused.into()),
                None => self.open(host, port),
            }
        })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One connection's state.
#[derive(Debug)]
struct Line {
    stream: Option<DuplexStream>,
    /// Bytes after which it breaks, by direction.
    read_left: Option<usize>,
    write_left: Option<usize>,
    /// Bytes read after which nothing more comes, though the connection stands.
    heard_left: Option<usize>,
    /// Bytes that come one at a time.
    trickle: usize,
    waker: Option<Waker>,
}

impl Line {
    fn new(stream: DuplexStream) -> Self {
        Self { stream: Some(stream), read_left: None, write_left: None, heard_left: None, trickle: 0, waker: None }
    }

    /// Decides at birth what becomes of the connection.
    fn spoil(&mut self, weather: &Weather, random: &mut Random) {
        let bytes = |random: &mut Random| usize::try_from(random.within(1..20_000)).unwrap_or(1);
        if weather.strikes(Fault::Cut, random) {
            let left = Some(bytes(random));
            if random.chance(0.5) { self.read_left = left } else { self.write_left = left }
        }
        if weather.strikes(Fault::Mute, random) {
            self.heard_left = Some(bytes(random));
        }
        if weather.strikes(Fault::Trickle, random) {
            self.trickle = 600;
        }
    }

    fn end(&mut self) {
        self.stream = None;
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn broken<T>(&mut self) -> Poll<io::Result<T>> {
        self.stream = None;
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }

    /// How many bytes the next read may give.
    fn read_room(&self) -> usize {
        let trickle = if self.trickle > 0 { 1 } else { usize::MAX };
        [self.read_left, self.heard_left, Some(trickle)].into_iter().flatten().min().unwrap_or(usize::MAX)
    }

    fn heard(&mut self, count: usize) {
        self.trickle = self.trickle.saturating_sub(count);
        for left in [&mut self.read_left, &mut self.heard_left].into_iter().flatten() {
            *left = left.saturating_sub(count);
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read_left == Some(0) {
            return self.broken();
        }
        let room = self.read_room();
        let Some(stream) = &mut self.stream else { return self.broken() };
        self.waker = Some(cx.waker().clone());
        if self.heard_left == Some(0) {
            return Poll::Pending;
        }
        if room >= buf.remaining() {
            let before = buf.filled().len();
            let polled = Pin::new(stream).poll_read(cx, buf);
            self.heard(buf.filled().len() - before);
            return polled;
        }
        let mut part = buf.take(room);
        let polled = Pin::new(stream).poll_read(cx, &mut part);
        let count = part.filled().len();
        let bytes = part.filled().to_vec();
        buf.put_slice(&bytes);
        self.heard(count);
        polled
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.write_left == Some(0) {
            return self.broken();
        }
        let room = self.write_left.unwrap_or(usize::MAX).min(bytes.len());
        let Some(stream) = &mut self.stream else { return self.broken() };
        let polled = Pin::new(stream).poll_write(cx, &bytes[..room]);
        if let (Poll::Ready(Ok(count)), Some(left)) = (&polled, &mut self.write_left) {
            *left -= count;
        }
        polled
    }
}

/// The end of a connection that the client holds.
struct Wire(Arc<Mutex<Line>>);

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        lock(&self.0).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        lock(&self.0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut lock(&self.0).stream {
            Some(stream) => Pin::new(stream).poll_flush(cx),
            None => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut lock(&self.0).stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}
