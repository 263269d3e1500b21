//! Addresses as people write them: `host:port`, an IPv6 address in brackets, and errors that name the setting.

use crate::error::{Error, Result};

/// Splits `host:port`, the host without its brackets. Fails with the entry and what is wrong with it.
pub(crate) fn parse_bootstrap(entry: &str) -> Result<(String, u16)> {
    split(entry.trim()).map_err(|reason| Error::invalid("bootstrap.servers", format!("`{entry}`: {reason}")))
}

/// `host:port` as it is written: an IPv6 address gets its brackets back.
pub(crate) fn display(host: &str, port: u16) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

/// The host of `host:port`, without brackets; all of it if that is no address.
pub(crate) fn host_of(address: &str) -> &str {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host)
}

fn split(entry: &str) -> Result<(String, u16), String> {
    if entry.contains("://") {
        return Err("give host:port without a scheme; security.protocol is a setting of its own".into());
    }
    let (host, port) = match entry.strip_prefix('[') {
        Some(rest) => rest.split_once("]:").ok_or("an IPv6 address is written [address]:port")?,
        None => entry.rsplit_once(':').ok_or("the port is missing; write host:port")?,
    };
    if host.is_empty() {
        return Err("the host is missing; write host:port".into());
    }
    if host.contains(':') && !entry.starts_with('[') {
        return Err(format!("an IPv6 address needs brackets: [{host}]:{port}"));
    }
    let port = port.parse().ok().filter(|port| *port != 0);
    Ok((host.to_string(), port.ok_or("the port is a number from 1 to 65535")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_bracketed_addresses_are_split_and_written_back() {
        for (entry, host, port) in
            [("kafka-1:9092", "kafka-1", 9092), ("10.0.0.1:1", "10.0.0.1", 1), ("[::1]:9092", "::1", 9092)]
        {
            assert_eq!(parse_bootstrap(entry).unwrap(), (host.to_string(), port));
            assert_eq!(display(host, port), entry);
            assert_eq!(host_of(entry), host);
        }
    }

    #[test]
    fn a_wrong_address_names_the_setting_and_the_way_out() {
        for (entry, words) in [
            ("::1:9092", "needs brackets: [::1]:9092"),
            ("[::1]9092", "[address]:port"),
            ("kafka", "port is missing"),
            ("kafka:0", "from 1 to 65535"),
            ("kafka:99999", "from 1 to 65535"),
            (":9092", "host is missing"),
            ("ssl://kafka:9092", "without a scheme"),
        ] {
            let text = parse_bootstrap(entry).unwrap_err().to_string();
            assert!(text.contains("bootstrap.servers") && text.contains(words), "{text}");
        }
    }
}
