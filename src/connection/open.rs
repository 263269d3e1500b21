//! Opens a connection: dial, handshake, hand the socket to its driver. Whatever fails names address and cause.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use zeroize::Zeroizing;

use super::driver::Driver;
use super::failure::Peer;
use super::frames::Frames;
use super::handshake::{Handshake, Refusal, Step};
use super::login::Credentials;
use super::refused::refused;
use super::renewal::Renewal;
use super::sasl::Next;
use super::tls;
use super::transport::{Environment, Stream};
use super::{Connection, Inner, address};
use crate::config::ClientConfig;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::BrokerId;
use crate::wire::api::BrokerVersions;
use crate::wire::frame::RequestFrame;

/// What a user reads if the broker's part of it takes too long.
const AUTHENTICATING: &str = "authenticating";

impl Connection {
    /// Dials `host:port`, shakes hands and spawns the driver. `BrokerId(-1)` stands for a bootstrap address.
    ///
    /// Fails after `socket.connection.setup.timeout.ms`. Must be called inside a tokio runtime. Safe to drop.
    pub async fn open(
        environment: &Environment,
        config: &ClientConfig,
        broker: BrokerId,
        host: &str,
        port: u16,
    ) -> Result<Connection> {
        let limit = config.socket_connection_setup_timeout;
        Connection::open_within(environment, config, broker, host, port, limit).await
    }

    /// The same, within `limit` if that is less.
    pub(crate) async fn open_within(
        environment: &Environment,
        config: &ClientConfig,
        broker: BrokerId,
        host: &str,
        port: u16,
        limit: Duration,
    ) -> Result<Connection> {
        let peer = Peer::new(broker, address::display(host, port), config.security.protocol);
        let limit = limit.min(config.socket_connection_setup_timeout);
        let mut stage = "connecting";
        let shaken = tokio::time::timeout(limit, shake_hands(environment, config, host, port, &mut stage)).await;
        let (stream, frames, versions, renewal) = match shaken {
            Ok(Ok(parts)) => parts,
            Ok(Err(refusal)) => return Err(connect_error(&peer, refusal)),
            Err(_) => {
                let way = config.proxy.as_ref().map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"));
                let is_whole = limit == config.socket_connection_setup_timeout;
                let whose = if is_whole { "socket.connection.setup.timeout.ms" } else { "the time there was for it" };
                let detail = format!("{stage}{way} took longer than {whose} ({limit:?})");
                return Err(Error::new(Operation::Connect, ErrorKind::Timeout, peer.to_string(), detail));
            }
        };
        let peer = Arc::new(peer);
        let (commands, inbox) = mpsc::unbounded_channel();
        tokio::spawn(Driver::new(stream, frames, inbox, config.connections_max_idle, renewal, Arc::clone(&peer)));
        tracing::debug!(%peer, "connected");
        Ok(Connection(Arc::new(Inner { peer, versions, client_id: config.client_id.clone(), commands })))
    }
}

type Shaken = (Box<dyn Stream>, Frames, BrokerVersions, Option<Renewal>);

async fn shake_hands(
    environment: &Environment,
    config: &ClientConfig,
    host: &str,
    port: u16,
    stage: &mut &'static str,
) -> Result<Shaken, Refusal> {
    let mut handshake = Handshake::new(&config.client_id, config.security.protocol);
    loop {
        *stage = "connecting";
        let dialled = environment.dial.dial(host, port).await;
        let stream = dialled.map_err(|e| not_dialled(&e, config))?;
        *stage = "the TLS handshake";
        let mut stream = tls::secure(&config.security, host, stream).await?;
        *stage = "waiting for the answer to ApiVersions";
        let mut frames = Frames::default();
        if let Some(versions) = exchange(&mut handshake, &mut stream, &mut frames).await? {
            *stage = AUTHENTICATING;
            let Some(credentials) = Credentials::new(config, &environment.dial, host, &versions)? else {
                return Ok((stream, frames, versions, None));
            };
            let lifetime = log_in(&credentials, port, &mut stream, &mut frames, stage).await?;
            let now = now();
            let renewal = lifetime.map(|lifetime| Renewal::new(credentials, now, lifetime, config.request_timeout));
            return Ok((stream, frames, versions, renewal));
        }
    }
}

/// A proxy that refuses our user does so again: trying it in a loop could lock an account.
fn not_dialled(e: &io::Error, config: &ClientConfig) -> Refusal {
    let is_final = matches!(e.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput);
    if is_final && config.proxy.is_some() { Refusal::Invalid(e.to_string()) } else { Refusal::Peer(e.to_string()) }
}

/// One socket's part of the handshake; `None` if another socket has to be opened.
async fn exchange(
    handshake: &mut Handshake,
    stream: &mut Box<dyn Stream>,
    frames: &mut Frames,
) -> Result<Option<BrokerVersions>, Refusal> {
    let mut step = Step::Send(handshake.request()?);
    loop {
        match step {
            Step::Done(versions) => return Ok(Some(versions)),
            Step::Redial => return Ok(None),
            Step::Send(frame) => {
                // A peer that closed may still have said why: its bytes are read before a failed write is believed.
                let written = write(stream, frame).await;
                step = read_step(handshake, stream, frames, written.err()).await?;
            }
        }
    }
}

/// In one piece, and without leaving a copy of it behind: it may hold a password.
async fn write(stream: &mut Box<dyn Stream>, frame: RequestFrame) -> io::Result<()> {
    let mut whole = Zeroizing::new(Vec::with_capacity(frame.wire_len()));
    whole.extend_from_slice(&frame.head);
    frame.tail.iter().for_each(|slice| whole.extend_from_slice(slice));
    stream.write_all(&whole).await?;
    stream.flush().await
}

async fn read_step(
    handshake: &mut Handshake,
    stream: &mut Box<dyn Stream>,
    frames: &mut Frames,
    write_error: Option<io::Error>,
) -> Result<Step, Refusal> {
    loop {
        match frames.next() {
            Ok(Some(frame)) => return handshake.handle_frame(frame),
            Ok(None) => {}
            Err(bad) => return Err(handshake.handle_bad_length(bad.length, frames.unread())),
        }
        let error = match stream.read_buf(&mut frames.spare()).await {
            Ok(0) => return handshake.handle_closed(frames.unread()),
            Ok(_) => continue,
            Err(error) => error,
        };
        if let Some(refusal) = tls::refusal_of_read(&error) {
            return Err(refusal);
        }
        if write_error.is_some() || error.kind() == io::ErrorKind::ConnectionReset {
            return handshake.handle_closed(frames.unread());
        }
        return Err(Refusal::Peer(format!("reading the answer to ApiVersions failed: {error}")));
    }
}

/// SASL on a new socket, unless the broker has just refused the same login.
async fn log_in(
    credentials: &Credentials,
    port: u16,
    stream: &mut Box<dyn Stream>,
    frames: &mut Frames,
    stage: &mut &'static str,
) -> Result<Option<Duration>, Refusal> {
    let Some(key) = credentials.key(port) else { return authenticate(credentials, stream, frames, stage).await };
    if let Some(refusal) = refused().standing(&key, now()) {
        return Err(refusal);
    }
    let tried = authenticate(credentials, stream, frames, stage).await;
    match &tried {
        Ok(_) => refused().handle_login(&key),
        Err(refusal) => {
            tracing::debug!(peer = credentials.address(port), "authentication was refused");
            refused().handle_refusal(key, now(), refusal);
        }
    }
    tried
}

/// The runtime's clock, which a test may have paused.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}

/// SASL on a new socket: how long it holds, if the broker said so.
async fn authenticate(
    credentials: &Credentials,
    stream: &mut Box<dyn Stream>,
    frames: &mut Frames,
    stage: &mut &'static str,
) -> Result<Option<Duration>, Refusal> {
    let mut authentication = credentials.authentication()?;
    let mut next = authentication.begin()?;
    loop {
        next = match next {
            Next::Done(lifetime) => return Ok(lifetime),
            Next::Do(chore) => {
                *stage = chore.stage();
                authentication.handle_product(chore.run(&*credentials.dial).await)?
            }
            Next::Send(mut frame) => {
                *stage = AUTHENTICATING;
                frame.set_correlation_id(0);
                let lost = |e: io::Error| Refusal::Peer(format!("the connection was lost while authenticating: {e}"));
                write(stream, frame).await.map_err(lost)?;
                authentication.handle_frame(read_answer(stream, frames).await?)?
            }
        }
    }
}

/// The next frame, which answers the only request there is.
async fn read_answer(stream: &mut Box<dyn Stream>, frames: &mut Frames) -> Result<Bytes, Refusal> {
    loop {
        match frames.next() {
            Ok(Some(frame)) if frame.starts_with(&[0; 4]) => return Ok(frame),
            Ok(Some(_)) => return Err(Refusal::Protocol("an answer with another correlation id".into())),
            Ok(None) => {}
            Err(bad) => return Err(Refusal::Protocol(format!("a frame length of {}", bad.length))),
        }
        match stream.read_buf(&mut frames.spare()).await {
            Ok(0) => return Err(Refusal::Peer("it closed the connection while authenticating".into())),
            Ok(_) => {}
            Err(e) => return Err(Refusal::Peer(format!("the connection was lost while authenticating: {e}"))),
        }
    }
}

fn connect_error(peer: &Peer, refusal: Refusal) -> Error {
    let (kind, detail) = match refusal {
        Refusal::Peer(detail) => (ErrorKind::Network, detail),
        Refusal::Foreign(protocol) => (ErrorKind::Unsupported, protocol.into()),
        Refusal::Broker(code) => (ErrorKind::Broker(code), "in answer to ApiVersions".into()),
        Refusal::Protocol(detail) => (ErrorKind::Protocol, format!("the peer sent {detail}")),
        Refusal::Invalid(detail) => (ErrorKind::Invalid, detail),
        Refusal::Security(detail) => (ErrorKind::Security, detail),
        Refusal::Authentication(code, detail) => (ErrorKind::Broker(code), detail),
        Refusal::Credentials(cause) => {
            let outer = Error::new(Operation::Connect, cause.kind(), peer.to_string(), "no credentials to show it");
            return outer.with_recovery(cause.recovery()).with_source(cause);
        }
    };
    Error::new(Operation::Connect, kind, peer.to_string(), detail)
}
