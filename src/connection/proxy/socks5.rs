//! SOCKS version 5 (RFC 1928) with user and password (RFC 1929), as a plain state machine.

use std::io;
use std::net::IpAddr;

use zeroize::Zeroizing;

use super::{Step, Tunnel, broken};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NOTHING_ACCEPTABLE: u8 = 0xff;

/// What the next bytes are.
enum State {
    Begin,
    Method,
    Verdict,
    /// Version, reply, a zero, and the kind of address.
    Reply,
    /// One byte: how long the name is that follows.
    NameLength,
    /// The address that the proxy uses, which says nothing to us.
    Rest,
}

/// The opening of one tunnel.
pub(super) struct Socks5 {
    state: State,
    is_sent: bool,
    greeting: Vec<u8>,
    /// The request of RFC 1929, if there is a user.
    login: Option<Zeroizing<Vec<u8>>>,
    connect: Vec<u8>,
}

impl Socks5 {
    /// To `host:port`; fails on a user or password that is too long for the protocol.
    pub(super) fn new(host: &str, port: u16, credentials: Option<(&str, &str)>) -> io::Result<Self> {
        let methods: &[u8] =
            if credentials.is_some() { &[NO_AUTHENTICATION, USER_AND_PASSWORD] } else { &[NO_AUTHENTICATION] };
        let greeting = [&[VERSION, count(methods.len())?], methods].concat();
        let login = match credentials {
            Some((user, password)) => {
                let (user_len, password_len) = (count(user.len())?, count(password.len())?);
                Some(Zeroizing::new([&[1, user_len], user.as_bytes(), &[password_len], password.as_bytes()].concat()))
            }
            None => None,
        };
        let connect = [&[VERSION, 1, 0], &address(host)?[..], &port.to_be_bytes()].concat();
        Ok(Self { state: State::Begin, is_sent: false, greeting, login, connect })
    }

    fn send(&mut self, bytes: Zeroizing<Vec<u8>>, then: State) -> Step {
        (self.state, self.is_sent) = (then, true);
        Step::Send(bytes)
    }

    fn read(&mut self, count: usize, then: State) -> Step {
        self.state = then;
        Step::Read(count)
    }
}

impl Tunnel for Socks5 {
    fn handle(&mut self, bytes: &[u8]) -> io::Result<Step> {
        if std::mem::take(&mut self.is_sent) {
            let count = if matches!(self.state, State::Reply) { 4 } else { 2 };
            return Ok(Step::Read(count));
        }
        match (&self.state, bytes) {
            (State::Begin, _) => {
                let greeting = std::mem::take(&mut self.greeting);
                Ok(self.send(greeting.into(), State::Method))
            }
            (State::Method, &[VERSION, method]) => self.handle_method(method),
            (State::Verdict, &[1, 0]) => {
                let connect = self.connect.clone();
                Ok(self.send(connect.into(), State::Reply))
            }
            (State::Verdict, &[1, _]) => {
                Err(io::Error::new(io::ErrorKind::PermissionDenied, "it refuses user and password of proxy.url"))
            }
            (State::Reply, &[VERSION, 0, _, kind]) => match kind {
                1 => Ok(self.read(4 + 2, State::Rest)),
                3 => Ok(self.read(1, State::NameLength)),
                4 => Ok(self.read(16 + 2, State::Rest)),
                _ => Err(broken("it answered with an address of an unknown kind")),
            },
            (State::Reply, &[VERSION, reply, ..]) => Err(refused(reply)),
            (State::NameLength, &[length]) => Ok(self.read(usize::from(length) + 2, State::Rest)),
            (State::Rest, _) => Ok(Step::Open),
            _ => Err(broken("it does not speak SOCKS version 5")),
        }
    }
}

impl Socks5 {
    fn handle_method(&mut self, method: u8) -> io::Result<Step> {
        match (method, self.login.take()) {
            (NO_AUTHENTICATION, _) => {
                let connect = self.connect.clone();
                Ok(self.send(connect.into(), State::Reply))
            }
            (USER_AND_PASSWORD, Some(login)) => Ok(self.send(login, State::Verdict)),
            (NOTHING_ACCEPTABLE, login) => {
                let words = match login {
                    None => "it asks for a user: put user:password@ before the host of proxy.url",
                    Some(_) => "it accepts neither user and password nor nobody",
                };
                Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
            }
            _ => Err(broken("it chose a way to authenticate that was not offered")),
        }
    }
}

fn count(len: usize) -> io::Result<u8> {
    u8::try_from(len).map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a text is longer than 255 bytes"))
}

/// The kind of address and the address; a name is sent as it is, for the proxy to look up.
fn address(host: &str) -> io::Result<Vec<u8>> {
    Ok(match host.parse() {
        Ok(IpAddr::V4(v4)) => [&[1], &v4.octets()[..]].concat(),
        Ok(IpAddr::V6(v6)) => [&[4], &v6.octets()[..]].concat(),
        Err(_) => [&[3, count(host.len())?], host.as_bytes()].concat(),
    })
}

/// What the reply's number means (RFC 1928 section 6).
fn refused(reply: u8) -> io::Error {
    use io::ErrorKind::{
        ConnectionAborted, ConnectionRefused, HostUnreachable, NetworkUnreachable, TimedOut, Unsupported,
    };
    let (kind, words) = match reply {
        1 => (ConnectionAborted, "it failed"),
        2 => (ConnectionRefused, "its rules do not allow the connection"),
        3 => (NetworkUnreachable, "the network cannot be reached from it"),
        4 => (HostUnreachable, "the host cannot be reached from it"),
        5 => (ConnectionRefused, "the broker's port refused the connection"),
        6 => (TimedOut, "the broker did not answer it"),
        7 => (Unsupported, "it does not open connections (CONNECT)"),
        8 => (Unsupported, "it does not know this kind of address"),
        _ => (ConnectionAborted, "it failed with an unknown reply"),
    };
    io::Error::new(kind, words)
}
