//! A proxy as people write it, `socks5://user:password@host:port`, and never its password again.

use std::fmt;
use std::str::FromStr;

use super::security::Secret;

/// What kind of proxy it is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ProxyScheme {
    /// SOCKS version 5 (RFC 1928), with user and password (RFC 1929).
    Socks5,
    /// The CONNECT method of HTTP/1.1 (RFC 9110), with basic authorization.
    Http,
}

impl ProxyScheme {
    fn name(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Http => "http",
        }
    }
}

/// A proxy that every connection goes through (`proxy.url`). It looks the brokers' names up itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// How it is spoken to.
    pub scheme: ProxyScheme,
    /// Where it is; an IPv6 address without brackets.
    pub host: String,
    /// Where it listens.
    pub port: u16,
    /// User and password, if it asks for them. They travel unencrypted.
    pub credentials: Option<(String, Secret)>,
}

/// What a proxy's URL has to look like.
pub(super) const FORM: &str =
    "socks5://host:port or http://host:port, with user:password@ before the host if need be (as %40 for @, %3A for :)";

impl FromStr for Proxy {
    type Err = &'static str;

    /// Reads a URL; user and password are percent-encoded. The error tells the form and repeats nothing.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        parse(url.trim()).ok_or(FORM)
    }
}

fn parse(url: &str) -> Option<Proxy> {
    let (scheme, rest) = url.split_once("://")?;
    let scheme = match scheme.to_ascii_lowercase().as_str() {
        // With `socks5h` others mean that the proxy looks names up, which it always does here.
        "socks5" | "socks5h" => ProxyScheme::Socks5,
        "http" => ProxyScheme::Http,
        _ => return None,
    };
    let (user, address) = match rest.rsplit_once('@') {
        Some((user, address)) => (Some(user), address),
        None => (None, rest),
    };
    let (host, port) = address.strip_suffix('/').unwrap_or(address).rsplit_once(':')?;
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let is_host = |host: &str| !host.is_empty() && host.bytes().all(|b| b.is_ascii_graphic() && !b"/@[]".contains(&b));
    let host = bracketed.or((!host.contains(':')).then_some(host)).filter(|host| is_host(host))?;
    let port = port.parse().ok().filter(|port| *port != 0)?;
    let credentials = match user {
        Some(user) => Some(credentials(scheme, user)?),
        None => None,
    };
    Some(Proxy { scheme, host: host.to_owned(), port, credentials })
}

fn credentials(scheme: ProxyScheme, text: &str) -> Option<(String, Secret)> {
    let (user, password) = text.split_once(':')?;
    let (user, password) = (decoded(user)?, decoded(password)?);
    // RFC 1929 counts both in one byte; RFC 7617 ends the user with a colon.
    let fits = match scheme {
        ProxyScheme::Socks5 => [&user, &password].iter().all(|part| (1..=255).contains(&part.len())),
        ProxyScheme::Http => !user.contains(':') && !user.chars().chain(password.chars()).any(char::is_control),
    };
    fits.then(|| (user, Secret::new(password)))
}

/// Percent-decoded text.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(b) = rest.next() {
        let byte = if b == b'%' { hex(rest.next()?)? << 4 | hex(rest.next()?)? } else { b };
        bytes.push(byte);
    }
    String::from_utf8(bytes).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

impl fmt::Display for Proxy {
    /// `socks5://host:port`, without user and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, host, port) = (self.scheme.name(), &self.host, self.port);
        if host.contains(':') { write!(f, "{scheme}://[{host}]:{port}") } else { write!(f, "{scheme}://{host}:{port}") }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let who = self.credentials.as_ref().map(|(user, _)| user.as_str());
        write!(f, "Proxy({self}")?;
        who.map_or(Ok(()), |who| write!(f, ", {who}:…"))?;
        f.write_str(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_printed_without_their_password() {
        let proxy: Proxy = "socks5://me:p%40ss%3aw@proxy.example:1080".parse().unwrap();
        assert_eq!((proxy.scheme, proxy.host.as_str(), proxy.port), (ProxyScheme::Socks5, "proxy.example", 1080));
        assert_eq!(proxy.credentials, Some(("me".into(), Secret::new("p@ss:w"))));
        assert_eq!(
            format!("{proxy} {proxy:?}"),
            "socks5://proxy.example:1080 Proxy(socks5://proxy.example:1080, me:…)"
        );
        let proxy: Proxy = "HTTP://[::1]:3128/".parse().unwrap();
        assert_eq!((proxy.scheme, proxy.host.as_str(), proxy.credentials.is_none()), (ProxyScheme::Http, "::1", true));
        assert_eq!(proxy.to_string(), "http://[::1]:3128");
        assert_eq!("socks5h://a:1".parse::<Proxy>().unwrap().scheme, ProxyScheme::Socks5);
    }

    #[test]
    fn what_is_no_proxy_is_refused() {
        let long = format!("socks5://{}:p@h:1", "u".repeat(256));
        for url in [
            "",
            "proxy:1080",
            "https://proxy:3128",
            "socks4://proxy:1080",
            "socks5://proxy",
            "socks5://proxy:0",
            "socks5://:1080",
            "socks5://::1:1080",
            "socks5://user@proxy:1080",
            "socks5://user:@proxy:1080",
            "socks5://user:%4@proxy:1080",
            "socks5://user:%ff@proxy:1080",
            "http://proxy:3128/path",
            "http://a b:3128",
            "http://u:p%0d%0aX@proxy:3128",
            &long,
        ] {
            assert_eq!(url.parse::<Proxy>().err(), Some(FORM), "{url}");
        }
    }
}
