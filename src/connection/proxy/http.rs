//! The CONNECT method of HTTP/1.1 (RFC 9110 section 9.3.6), as a plain state machine.

use std::io;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use zeroize::Zeroizing;

use super::{Step, Tunnel, broken};

/// A head longer than this is none: proxies answer in a few lines.
const LONGEST_HEAD: usize = 16 * 1024;

/// The opening of one tunnel.
pub(super) struct Connect {
    request: Option<Zeroizing<Vec<u8>>>,
    head: Vec<u8>,
}

impl Connect {
    /// To `host:port`, which holds no blank or line end.
    pub(super) fn new(host: &str, port: u16, credentials: Option<(&str, &str)>) -> Self {
        let address = crate::connection::display_address(host, port);
        let head = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n");
        let authorization = credentials.map(|(user, password)| {
            let pair = Zeroizing::new([user, ":", password].concat());
            Zeroizing::new(BASE64_STANDARD.encode(pair.as_bytes()))
        });
        let request = match &authorization {
            Some(encoded) => [&head, "Proxy-Authorization: Basic ", encoded, "\r\n\r\n"].concat(),
            None => [&head, "\r\n"].concat(),
        };
        Self { request: Some(Zeroizing::new(request.into_bytes())), head: Vec::new() }
    }
}

impl Tunnel for Connect {
    /// Reads a byte at a time: the byte behind the empty line is the broker's.
    fn handle(&mut self, bytes: &[u8]) -> io::Result<Step> {
        if let Some(request) = self.request.take() {
            return Ok(Step::Send(request));
        }
        self.head.extend_from_slice(bytes);
        let begin = self.head.len().min(5);
        if self.head.get(..begin) != b"HTTP/".get(..begin) {
            return Err(broken("it does not speak HTTP"));
        }
        if !self.head.ends_with(b"\r\n\r\n") && !self.head.ends_with(b"\n\n") {
            return if self.head.len() < LONGEST_HEAD {
                Ok(Step::Read(1))
            } else {
                Err(broken("its answer does not end"))
            };
        }
        verdict(&self.head).map(|()| Step::Open)
    }
}

/// Whether the status is one of success (2xx).
fn verdict(head: &[u8]) -> io::Result<()> {
    let line = head.split(|b| matches!(b, b'\r' | b'\n')).next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let status =
        line.split(' ').nth(1).filter(|status| status.len() == 3).and_then(|status| status.parse::<u16>().ok());
    match status {
        Some(200..=299) => Ok(()),
        Some(407) => {
            let words = "it asks for user and password (407): check user:password@ before the host of proxy.url";
            Err(io::Error::new(io::ErrorKind::PermissionDenied, words))
        }
        Some(status) => {
            let reason: String = line.split(' ').skip(2).collect::<Vec<_>>().join(" ");
            let reason: String = reason.chars().take(80).flat_map(char::escape_debug).collect();
            Err(io::Error::new(io::ErrorKind::ConnectionRefused, format!("it answered {status} {reason}")))
        }
        None => Err(broken("its answer has no status")),
    }
}
