//! Carries bytes and time between connections and the core: read a frame, step, write what came of it, sleep.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use tokio::time::Instant;

use super::api::ConnectionId;
use super::control::Control;
use super::core::{Core, Effect, Event};
use super::settings::Settings;
use crate::wire::frame::{MAX_FRAME_BYTES, frame_len};

/// Bytes of answers a client may leave unread before we stop reading its requests.
const UNREAD_MAX: usize = 8 * 1024 * 1024;
/// Requests of a connection that may wait behind the one being worked on.
const BACKLOG_MAX: usize = 64;
/// How long the timer task sleeps when nothing is due.
const IDLE: Duration = Duration::from_secs(3600);
/// Room made for reading when no frame has begun.
const READ_CHUNK: usize = 64 * 1024;

/// A running cluster, shared by its connections and by those who control it.
#[derive(Debug)]
pub(super) struct Shared {
    inner: Mutex<Inner>,
    timer_moved: Notify,
}

#[derive(Debug)]
struct Inner {
    core: Core,
    outlets: BTreeMap<ConnectionId, Outlet>,
    connections: u64,
}

#[derive(Debug)]
struct Outlet {
    replies: mpsc::UnboundedSender<Bytes>,
    unread: Arc<AtomicUsize>,
}

/// The answers of one connection on their way out.
struct Inlet {
    replies: mpsc::UnboundedReceiver<Bytes>,
    unread: Arc<AtomicUsize>,
}

impl Shared {
    pub(super) fn new(settings: Settings) -> Self {
        let core = Core::new(settings, Instant::now().into_std());
        let inner = Inner { core, outlets: BTreeMap::new(), connections: 0 };
        Self { inner: Mutex::new(inner), timer_moved: Notify::new() }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic inside a test's hook must not hide itself behind a second one here.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at the core or sets it up; nothing that leads to effects.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Core) -> T) -> T {
        work(&mut self.lock().core)
    }

    /// Does something to the cluster.
    pub(super) fn control(&self, control: Control) {
        self.step(Event::Control(control));
    }

    fn step(&self, event: Event) {
        let mut inner = self.lock();
        let before = inner.core.poll_timeout();
        let effects = inner.core.step(Instant::now().into_std(), event);
        inner.route(effects);
        if inner.core.poll_timeout() != before {
            self.timer_moved.notify_one();
        }
    }

    fn connect(&self, broker: i32) -> (ConnectionId, Inlet) {
        let (sender, replies) = mpsc::unbounded_channel();
        let unread = Arc::new(AtomicUsize::new(0));
        let id = {
            let mut inner = self.lock();
            inner.connections += 1;
            let id = ConnectionId(inner.connections);
            inner.outlets.insert(id, Outlet { replies: sender, unread: unread.clone() });
            id
        };
        self.step(Event::Connected(id, broker));
        (id, Inlet { replies, unread })
    }

    fn disconnected(&self, id: ConnectionId) {
        self.lock().outlets.remove(&id);
        self.step(Event::Disconnected(id));
    }

    /// Ticks the core whenever something is due, until dropped.
    pub(super) async fn keep_time(self: Arc<Self>) {
        loop {
            let next = self.lock().core.poll_timeout();
            let until = next.map_or_else(|| Instant::now() + IDLE, Instant::from_std);
            tokio::select! {
                biased;
                () = self.timer_moved.notified() => {}
                () = tokio::time::sleep_until(until) => self.step(Event::Tick),
            }
        }
    }

    /// Serves one connection until either side closes it.
    pub(super) async fn serve<S: AsyncRead + AsyncWrite>(self: Arc<Self>, broker: i32, stream: S) {
        let (id, inlet) = self.connect(broker);
        let _leave = Leave { shared: &self, id };
        let (reader, writer) = tokio::io::split(stream);
        let drained = Notify::new();
        let unread = inlet.unread.clone();
        tokio::select! {
            biased;
            _ = write_replies(inlet, writer, &drained) => {}
            _ = self.read_requests(id, reader, &unread, &drained) => {}
        }
    }

    async fn read_requests(
        &self,
        id: ConnectionId,
        mut reader: impl AsyncRead + Unpin,
        unread: &AtomicUsize,
        drained: &Notify,
    ) -> io::Result<()> {
        let mut buffer = BytesMut::new();
        loop {
            while let Some(frame) = next_frame(&mut buffer)? {
                self.step(Event::Request(id, frame));
            }
            while unread.load(Ordering::Relaxed) > UNREAD_MAX || self.lock().core.backlog(id) > BACKLOG_MAX {
                drained.notified().await;
            }
            if reader.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        }
    }
}

impl Inner {
    fn route(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Reply(id, frame) => {
                    if let Some(outlet) = self.outlets.get(&id) {
                        outlet.unread.fetch_add(frame.len(), Ordering::Relaxed);
                        // A connection whose task has ended needs no answer.
                        drop(outlet.replies.send(frame));
                    }
                }
                Effect::Close(id) => drop(self.outlets.remove(&id)),
            }
        }
    }
}

/// Tells the core that a connection is gone however its task ends.
struct Leave<'a> {
    shared: &'a Shared,
    id: ConnectionId,
}

impl Drop for Leave<'_> {
    fn drop(&mut self) {
        self.shared.disconnected(self.id);
    }
}

async fn write_replies(mut inlet: Inlet, mut writer: impl AsyncWrite + Unpin, drained: &Notify) -> io::Result<()> {
    while let Some(frame) = inlet.replies.recv().await {
        writer.write_all(&frame).await?;
        inlet.unread.fetch_sub(frame.len(), Ordering::Relaxed);
        drained.notify_one();
    }
    writer.shutdown().await
}

/// The next whole frame at the front of `buffer`, without its length; makes room for it if it is not whole.
fn next_frame(buffer: &mut BytesMut) -> io::Result<Option<Bytes>> {
    let Some(prefix) = buffer.first_chunk::<4>() else {
        buffer.reserve(READ_CHUNK);
        return Ok(None);
    };
    let length = frame_len(*prefix, MAX_FRAME_BYTES).map_err(|_| io::ErrorKind::InvalidData)?;
    if buffer.len() < 4 + length {
        // Room for what has been promised, but no more than doubles what has come.
        let missing = 4 + length - buffer.len();
        buffer.reserve(missing.min(buffer.len().max(READ_CHUNK)));
        return Ok(None);
    }
    buffer.advance(4);
    Ok(Some(buffer.split_to(length).freeze()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_that_claims_much_gets_room_for_what_it_sent() {
        let mut buffer = BytesMut::new();
        buffer.extend_from_slice(&i32::try_from(MAX_FRAME_BYTES).unwrap().to_be_bytes());
        while buffer.len() < 8 * 1024 * 1024 {
            assert_eq!(next_frame(&mut buffer).unwrap(), None);
            let arrived = buffer.len();
            assert!(buffer.capacity() <= 2 * arrived + 2 * READ_CHUNK, "{} for {arrived}", buffer.capacity());
            buffer.resize(buffer.capacity(), 0);
        }
        for length in [-1, i32::MIN, 0, 3, i32::MAX] {
            let mut buffer = BytesMut::from(&length.to_be_bytes()[..]);
            assert!(next_frame(&mut buffer).is_err());
        }
    }
}
