//! Opens a connection: dial, handshake, hand the socket to its driver. Whatever fails names address and cause.

use std::io;
use std::sync::Arc;

use bytes::Buf;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;

use super::driver::Driver;
use super::failure::Peer;
use super::frames::Frames;
use super::handshake::{Handshake, Refusal, Step};
use super::transport::{Environment, Stream};
use super::{Connection, Inner, address};
use crate::config::ClientConfig;
use crate::error::{Error, ErrorKind, Operation, Result};
use crate::types::BrokerId;
use crate::wire::api::BrokerVersions;

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
        let peer = Peer::new(broker, address::display(host, port));
        let limit = config.socket_connection_setup_timeout;
        let mut stage = "connecting";
        let shaken = tokio::time::timeout(limit, shake_hands(environment, config, host, port, &mut stage)).await;
        let (stream, frames, versions) = match shaken {
            Ok(Ok(parts)) => parts,
            Ok(Err(refusal)) => return Err(connect_error(&peer, refusal)),
            Err(_) => {
                let detail = format!("{stage} took longer than socket.connection.setup.timeout.ms ({limit:?})");
                return Err(Error::new(Operation::Connect, ErrorKind::Timeout, peer.to_string(), detail));
            }
        };
        let peer = Arc::new(peer);
        let (commands, inbox) = mpsc::unbounded_channel();
        tokio::spawn(Driver::new(stream, frames, inbox, config.connections_max_idle, Arc::clone(&peer)));
        tracing::debug!(%peer, "connected");
        Ok(Connection(Arc::new(Inner { peer, versions, client_id: config.client_id.clone(), commands })))
    }
}

type Shaken = (Box<dyn Stream>, Frames, BrokerVersions);

async fn shake_hands(
    environment: &Environment,
    config: &ClientConfig,
    host: &str,
    port: u16,
    stage: &mut &'static str,
) -> Result<Shaken, Refusal> {
    let mut handshake = Handshake::new(&config.client_id);
    loop {
        *stage = "connecting";
        let dialled = environment.dial.dial(host, port).await;
        let mut stream = dialled.map_err(|e| Refusal::Peer(e.to_string()))?;
        *stage = "waiting for the answer to ApiVersions";
        let mut frames = Frames::default();
        if let Some(versions) = exchange(&mut handshake, &mut stream, &mut frames).await? {
            return Ok((stream, frames, versions));
        }
    }
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
                let mut bytes = frame.head.freeze().chain(frame.tail.into_iter().flatten().collect::<bytes::Bytes>());
                let written = stream.write_all_buf(&mut bytes).await;
                let flushed = if written.is_ok() { stream.flush().await } else { written };
                step = read_step(handshake, stream, frames, flushed.err()).await?;
            }
        }
    }
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
        match stream.read_buf(&mut frames.spare()).await {
            Ok(0) => return handshake.handle_closed(frames.unread()),
            Ok(_) => {}
            Err(_) if write_error.is_some() => return handshake.handle_closed(frames.unread()),
            Err(e) if e.kind() == io::ErrorKind::ConnectionReset => return handshake.handle_closed(frames.unread()),
            Err(e) => return Err(Refusal::Peer(format!("reading the answer to ApiVersions failed: {e}"))),
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
    };
    Error::new(Operation::Connect, kind, peer.to_string(), detail)
}
