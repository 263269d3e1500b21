//! The system's names: its resolver forwards; backwards `/etc/hosts`, then the name servers of `/etc/resolv.conf`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::TryRng;
use tokio::net::UdpSocket;

use super::{Names, message};
use crate::connection::BoxFuture;

/// How long one name server may take; resolvers wait five seconds, but here the fallback is an address.
const PATIENCE: Duration = Duration::from_secs(2);
/// Name servers asked, as many as resolvers ask.
const MOST_SERVERS: usize = 3;

/// The operating system's names. Where there is no `/etc/resolv.conf` addresses have no names.
#[derive(Clone, Copy, Debug)]
pub(in crate::connection) struct SystemNames;

impl Names for SystemNames {
    fn addresses<'a>(&'a self, name: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name, 0))
                .await
                .map_err(|e| io::Error::new(e.kind(), format!("the name {name} could not be looked up: {e}")))?;
            Ok(found.map(|socket| socket.ip()).collect())
        })
    }

    fn name(&self, address: IpAddr) -> BoxFuture<'_, Option<String>> {
        Box::pin(async move {
            let read = || (read("/etc/hosts"), read("/etc/resolv.conf"));
            let (hosts, servers) = tokio::task::spawn_blocking(read).await.unwrap_or_default();
            if let Some(name) = in_hosts(&hosts, address) {
                return Some(name);
            }
            for server in servers_in(&servers) {
                if let Ok(Some(name)) = tokio::time::timeout(PATIENCE, ask(server, address)).await {
                    return Some(name);
                }
            }
            None
        })
    }
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

/// The first name of the first line for `address`.
fn in_hosts(hosts: &str, address: IpAddr) -> Option<String> {
    hosts.lines().find_map(|line| {
        let mut words = line.split('#').next()?.split_whitespace();
        let is_line = words.next()?.parse::<IpAddr>().ok()? == address;
        words.next().filter(|_| is_line).map(str::to_owned)
    })
}

fn servers_in(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let is_server = words.next()? == "nameserver";
        let address: IpAddr = words.next().filter(|_| is_server)?.parse().ok()?;
        Some(SocketAddr::new(address, 53))
    };
    text.lines().filter_map(server).take(MOST_SERVERS).collect()
}

/// One question to one server. Answers of others are dropped by the socket, those to other questions here.
async fn ask(server: SocketAddr, address: IpAddr) -> Option<String> {
    let any: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await.ok()?;
    socket.connect(server).await.ok()?;
    // Unforeseeable, so that nobody answers in the server's place.
    let id = rand::rngs::SysRng.try_next_u32().ok()? as u16;
    let question = message::question(id, address);
    socket.send(&question).await.ok()?;
    let mut bytes = [0; 512];
    loop {
        let read = socket.recv(&mut bytes).await.ok()?;
        let answer = bytes.get(..read)?;
        if answer.get(..2) == question.get(..2) {
            return message::answer(&question, answer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_the_system_are_read_as_resolvers_read_them() {
        let hosts = "# 10.0.0.1 no\n127.0.0.1 localhost\n10.0.0.1\tkafka-1 alias # why\n10.0.0.1 later\n::1 six\n";
        assert_eq!(in_hosts(hosts, "10.0.0.1".parse().unwrap()).as_deref(), Some("kafka-1"));
        assert_eq!(in_hosts(hosts, "::1".parse().unwrap()).as_deref(), Some("six"));
        assert_eq!(in_hosts(hosts, "10.0.0.2".parse().unwrap()), None);
        let servers = servers_in("search a\nnameserver 10.0.0.53\noptions x\nnameserver ::1\nnameserver nonsense\n");
        assert_eq!(servers, ["10.0.0.53:53".parse().unwrap(), "[::1]:53".parse().unwrap()]);
    }

    #[tokio::test]
    async fn a_name_server_is_asked_and_a_stranger_s_answer_is_passed_over() {
        let server = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let at = server.local_addr().unwrap();
        let serve = async {
            let mut bytes = [0; 512];
            let (read, from) = server.recv_from(&mut bytes).await.unwrap();
            let mut answer = bytes[..read].to_vec();
            answer[2] |= 0x80;
            answer[7] = 1;
            answer.extend_from_slice(b"\xc0\x0c\0\x0c\0\x01\0\0\0\x3c\0\x09\x07kafka-1\0");
            let mut stranger = answer.clone();
            stranger[0] ^= 0xff;
            server.send_to(&stranger, from).await.unwrap();
            server.send_to(&answer, from).await.unwrap();
        };
        let (name, ()) = tokio::join!(ask(at, "10.1.2.3".parse().unwrap()), serve);
        assert_eq!(name.as_deref(), Some("kafka-1"));
    }
}
