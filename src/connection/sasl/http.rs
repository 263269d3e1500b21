//! One HTTPS request and its answer, of bounded size: all of HTTP that a token endpoint needs.

use std::fmt;
use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use crate::config::security::{Secret, Security, SecurityProtocol, TlsConfig};
use crate::connection::handshake::Refusal;
use crate::connection::tls;
use crate::connection::transport::Dial;
use crate::error::{Error, ErrorKind, Operation, Result};

/// Tokens are a few kilobytes; an answer beyond this is none.
const LARGEST: usize = 64 * 1024;
/// What is read at once.
const CHUNK: usize = 16 * 1024;

/// Where to ask: an `https` URL, taken apart.
pub(super) struct Endpoint {
    host: String,
    port: u16,
    path: String,
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "token endpoint {}:{}", self.host, self.port)
    }
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Endpoint {
    /// Fails on anything but `https://host[:port]/path`: a secret is sent there.
    pub(super) fn parse(url: &str) -> std::result::Result<Self, String> {
        let rest = url.strip_prefix("https://").ok_or("must begin with https://: the client's secret is sent there")?;
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let is_plain = |c: char| c.is_ascii_graphic();
        if authority.contains('@') || !url.chars().all(is_plain) {
            return Err("must be https://host[:port]/path, without a user and without spaces".into());
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => {
                (host, port.parse().map_err(|_| "has a port that is no number up to 65535")?)
            }
            _ => (authority, 443),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() {
            return Err("names no host".into());
        }
        Ok(Self { host: host.to_owned(), port, path })
    }
}

/// Sends a form and reads the answer, the way brokers are reached: through a proxy, if there is one. The caller bounds
/// the time.
pub(super) async fn post(
    endpoint: &Endpoint,
    dial: &dyn Dial,
    tls: &TlsConfig,
    authorization: &Secret,
    form: &str,
) -> Result<Answer> {
    let network =
        |e: &dyn fmt::Display| Error::new(Operation::Connect, ErrorKind::Network, endpoint.to_string(), e.to_string());
    let stream = dial.dial(&endpoint.host, endpoint.port).await.map_err(|e| not_dialled(endpoint, &e))?;
    let security = Security { protocol: SecurityProtocol::Ssl, tls: tls.clone(), sasl: None };
    let secured = tls::secure(&security, &endpoint.host, stream).await;
    let mut stream = secured.map_err(|refusal| refused(endpoint, refusal))?;
    let host = crate::connection::display_address(&endpoint.host, endpoint.port);
    let length = form.len().to_string();
    let request = Secret::concat(&[
        "POST ",
        &endpoint.path,
        " HTTP/1.1\r\nHost: ",
        &host,
        "\r\nAuthorization: ",
        authorization.expose(),
        "\r\nContent-Type: application/x-www-form-urlencoded\r\nAccept: application/json\r\nContent-Length: ",
        &length,
        "\r\nConnection: close\r\n\r\n",
        form,
    ]);
    stream.write_all(request.expose().as_bytes()).await.map_err(|e| network(&e))?;
    stream.flush().await.map_err(|e| network(&e))?;
    // It holds a token: room for all of it, since a buffer that grows leaves copies behind.
    let mut answer = Zeroizing::new(Vec::with_capacity(LARGEST + CHUNK));
    loop {
        match answered(&answer) {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(why) => {
                return Err(Error::new(Operation::Connect, ErrorKind::Protocol, endpoint.to_string(), why));
            }
        }
        let read = (&mut stream).take(CHUNK as u64).read_buf(&mut *answer).await;
        if read.map_err(|e| network(&e))? == 0 {
            return Err(network(&"it closed the connection in the middle of its answer"));
        }
    }
}

/// A proxy that refuses our user does so again.
fn not_dialled(endpoint: &Endpoint, e: &io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::PermissionDenied => ErrorKind::Security,
        _ => ErrorKind::Network,
    };
    Error::new(Operation::Connect, kind, endpoint.to_string(), e.to_string())
}

fn refused(endpoint: &Endpoint, refusal: Refusal) -> Error {
    let (kind, why) = match refusal {
        Refusal::Peer(why) => (ErrorKind::Network, why),
        Refusal::Foreign(_) => (ErrorKind::Security, "it does not speak TLS".into()),
        Refusal::Invalid(why) => (ErrorKind::Invalid, why),
        Refusal::Security(why) => (ErrorKind::Security, why.replace("the broker", "the endpoint")),
        other => (ErrorKind::Security, format!("{other:?}")),
    };
    Error::new(Operation::Connect, kind, endpoint.to_string(), why)
}

/// The answer, if all of it has come; `None` while bytes are missing.
fn answered(bytes: &[u8]) -> std::result::Result<Option<Answer>, &'static str> {
    if bytes.len() > LARGEST {
        return Err("its answer is larger than 64 KiB");
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let (head, rest) = bytes.split_at(end);
    let rest = rest.get(4..).unwrap_or_default();
    let head = std::str::from_utf8(head).map_err(|_| "its answer is not HTTP")?;
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.")?.split(' ').nth(1)?.parse().ok());
    let status: u16 = status.ok_or("its answer is not HTTP")?;
    let (mut length, mut is_chunked) = (None, false);
    for (name, value) in lines.filter_map(|line| line.split_once(':')) {
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = Some(value.trim().parse::<usize>().map_err(|_| "its length is no number")?),
            "transfer-encoding" => is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
            _ => {}
        }
    }
    let body = match length {
        _ if is_chunked => unchunked(rest)?,
        Some(length) if length > LARGEST => return Err("its answer is larger than 64 KiB"),
        Some(length) => rest.get(..length).map(|body| Zeroizing::new(body.to_vec())),
        // Neither: it ends with the connection, which no endpoint needs that was asked in HTTP/1.1.
        None => return Err("its answer does not tell its length"),
    };
    Ok(body.map(|body| Answer { status, body }))
}

/// RFC 9112 section 7.1, trailers left unread.
fn unchunked(mut rest: &[u8]) -> std::result::Result<Option<Zeroizing<Vec<u8>>>, &'static str> {
    let mut body = Zeroizing::new(Vec::with_capacity(rest.len()));
    loop {
        let Some(end) = rest.windows(2).position(|window| window == b"\r\n") else { return Ok(None) };
        let size = std::str::from_utf8(rest.get(..end).unwrap_or_default()).ok();
        let size = size.and_then(|line| usize::from_str_radix(line.split(';').next()?.trim(), 16).ok());
        let size = size.filter(|size| *size <= LARGEST).ok_or("a chunk of it has no size")?;
        if size == 0 {
            return Ok(Some(body));
        }
        rest = rest.get(end + 2..).unwrap_or_default();
        let (Some(chunk), Some(after)) = (rest.get(..size), rest.get(size + 2..)) else { return Ok(None) };
        body.extend_from_slice(chunk);
        rest = after;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_https_and_nothing_else() {
        let parsed = |url| Endpoint::parse(url).map(|e| (e.host, e.port, e.path));
        assert_eq!(
            parsed("https://id.example.com/a/token?x=1#f"),
            Ok(("id.example.com".into(), 443, "/a/token?x=1".into()))
        );
        assert_eq!(parsed("https://id:8443"), Ok(("id".into(), 8443, "/".into())));
        assert_eq!(parsed("https://[::1]:8443/t"), Ok(("::1".into(), 8443, "/t".into())));
        assert_eq!(parsed("https://[::1]/t"), Ok(("::1".into(), 443, "/t".into())));
        for bad in [
            "http://id/token",
            "id/token",
            "https://",
            "https://u:p@id/",
            "https://id:x/",
            "https://id/a b",
            "https://id/\r\nX: y",
        ] {
            assert!(parsed(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_read_whole_however_they_are_framed() {
        for (text, body) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello"),
            ("HTTP/1.1 401 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", "hello"),
        ] {
            for cut in 0..text.len() {
                // The chunked answer is whole once its last size has come.
                if let Some(answer) = answered(&text.as_bytes()[..cut]).unwrap() {
                    assert_eq!(*answer.body, body.as_bytes());
                    assert!(text[cut..].chars().all(|c| matches!(c, '\r' | '\n')), "{cut}");
                }
            }
            assert_eq!(answered(text.as_bytes()).unwrap().unwrap().body[..], *body.as_bytes());
        }
    }

    #[test]
    fn what_is_no_answer_or_too_much_of_one_is_refused() {
        for text in [
            "SSH-2.0\r\n\r\n",
            "HTTP/1.1 x\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffff\r\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        ] {
            assert!(answered(text.as_bytes()).is_err(), "{text}");
        }
        assert!(answered(&vec![b'a'; LARGEST + 1]).is_err());
    }
}
