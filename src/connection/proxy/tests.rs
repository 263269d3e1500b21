//! Proxies that work, refuse, lie, stall and hang up, byte by byte.

use std::time::Duration;

use super::*;
use crate::config::Secret;
use crate::connection::scripted::{Network, Peer, network};

fn proxy(url: &str) -> (Network, ProxyDial) {
    let (network, environment) = network(1 << 16);
    (network, ProxyDial::new(url.parse().unwrap(), environment.dial))
}

/// What the proxy says (`<`) and has to hear (`>`), in turn.
type Talk<'a> = &'a [(char, &'a [u8])];

async fn follow(peer: &mut Peer, talk: Talk<'_>) {
    for (who, bytes) in talk {
        if *who == '<' {
            peer.write(bytes).await;
        } else {
            let mut heard = vec![0; bytes.len()];
            peer.stream.read_exact(&mut heard).await.unwrap();
            assert_eq!(heard, *bytes, "{}", String::from_utf8_lossy(&heard));
        }
    }
}

/// Dials `host:9092` through a proxy that follows `talk` and then hangs up.
async fn dial(url: &str, host: &str, talk: Talk<'_>) -> io::Result<Box<dyn Stream>> {
    let (mut network, dial) = proxy(url);
    let script = async {
        let mut peer = network.accept().await;
        assert_eq!(peer.address, "proxy:1080");
        follow(&mut peer, talk).await;
    };
    tokio::join!(dial.dial(host, 9092), script).0
}

const OPEN_4: &[u8] = &[5, 0, 0, 1, 10, 0, 0, 1, 4, 56];

/// An opened way must hand over every byte behind the proxy's answer.
async fn opens(url: &str, host: &str, talk: Talk<'_>) {
    let talk = [talk, &[('<', b"the broker's")]].concat();
    let mut stream = dial(url, host, &talk).await.unwrap();
    let mut read = String::new();
    stream.read_to_string(&mut read).await.unwrap();
    assert_eq!(read, "the broker's");
}

#[tokio::test(start_paused = true)]
async fn socks_opens_a_way_to_names_and_addresses_with_and_without_a_user() {
    let nobody: (char, &[u8]) = ('>', &[5, 1, 0]);
    let name = [&[5, 1, 0, 3, 7][..], b"kafka-1", &[0x23, 0x84]].concat();
    opens("socks5://proxy:1080", "kafka-1", &[nobody, ('<', &[5, 0]), ('>', &name), ('<', OPEN_4)]).await;
    let v4 = [5, 1, 0, 1, 10, 1, 2, 3, 0x23, 0x84];
    let by_name = [&[5, 0, 0, 3, 3][..], b"abc", &[0, 1]].concat();
    opens("socks5://proxy:1080", "10.1.2.3", &[nobody, ('<', &[5, 0]), ('>', &v4), ('<', &by_name)]).await;
    let v6 = [&[5, 1, 0, 4][..], &[0; 15], &[1, 0x23, 0x84]].concat();
    let by_v6 = [&[5, 0, 0, 4][..], &[9; 18]].concat();
    opens("socks5://proxy:1080", "::1", &[nobody, ('<', &[5, 0]), ('>', &v6), ('<', &by_v6)]).await;
    let somebody: (char, &[u8]) = ('>', &[5, 2, 0, 2]);
    let login = [&[1, 2][..], b"me", &[2], b"pw"].concat();
    let url = "socks5://me:pw@proxy:1080";
    let talk: Talk<'_> = &[somebody, ('<', &[5, 2]), ('>', &login), ('<', &[1, 0]), ('>', &name), ('<', OPEN_4)];
    opens(url, "kafka-1", talk).await;
    opens(url, "kafka-1", &[somebody, ('<', &[5, 0]), ('>', &name), ('<', OPEN_4)]).await;
}

const CONNECT: &[u8] = b"CONNECT kafka-1:9092 HTTP/1.1\r\nHost: kafka-1:9092\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn http_opens_a_way_with_and_without_a_user() {
    let established = b"HTTP/1.1 200 Connection established\r\nVia: 1.1 x\r\n\r\n";
    opens("http://proxy:1080", "kafka-1", &[('>', CONNECT), ('<', established)]).await;
    opens("http://proxy:1080", "kafka-1", &[('>', CONNECT), ('<', b"HTTP/1.0 200\n\n")]).await;
    let with_user = b"CONNECT [::1]:9092 HTTP/1.1\r\nHost: [::1]:9092\r\nProxy-Authorization: Basic bWU6cHc=\r\n\r\n";
    opens("http://me:pw@proxy:1080", "::1", &[('>', with_user), ('<', established)]).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusal_names_the_proxy_the_reason_and_the_way_out_and_no_password() {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, InvalidData, PermissionDenied};
    let name = [&[5, 1, 0, 3, 7][..], b"kafka-1", &[0x23, 0x84]].concat();
    let socks = |reply| [('>', &[5, 1, 0][..]), ('<', &[5, 0]), ('>', &name), ('<', reply)];
    let login: &[u8] = &[1, 2, b'm', b'e', 2, b'p', b'w'];
    let (plain, user, http) = ("socks5://proxy:1080", "socks5://me:pw@proxy:1080", "http://me:pw@proxy:1080");
    let table: &[(&str, Talk<'_>, io::ErrorKind, &str)] = &[
        (plain, &[('<', &[5, 0xff])], PermissionDenied, "user:password@"),
        (user, &[('<', &[5, 0xff])], PermissionDenied, "accepts neither"),
        (user, &[('>', &[5, 2, 0, 2]), ('<', &[5, 2]), ('>', login), ('<', &[1, 1])], PermissionDenied, "refuses user"),
        (plain, &[('<', &[5, 2])], InvalidData, "not offered"),
        (plain, &[('<', &[4, 0])], InvalidData, "does not speak SOCKS"),
        (plain, &[('<', b"HTTP/1.1 400 Bad Request\r\n\r\n")], InvalidData, "does not speak SOCKS"),
        (plain, &socks(&[5, 2, 0, 1]), ConnectionRefused, "rules do not allow"),
        (plain, &socks(&[5, 4, 0, 1]), HostUnreachable, "host cannot be reached"),
        (plain, &socks(&[5, 5, 0, 1]), ConnectionRefused, "port refused"),
        (plain, &socks(&[5, 0, 0, 9]), InvalidData, "unknown kind"),
        (http, &[('<', b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")], PermissionDenied, "407"),
        (http, &[('<', b"HTTP/1.1 403 For\x1bbidden\r\n\r\n")], ConnectionRefused, "it answered 403 For\\u{1b}bidden"),
        (http, &[('<', b"HTTP/1.1 OK\r\n\r\n")], InvalidData, "no status"),
        (http, &[('<', &[5, 0])], InvalidData, "does not speak HTTP"),
        (http, &[('<', &[0x15, 3, 3, 0, 2, 2, 40])], InvalidData, "does not speak HTTP"),
    ];
    for (url, talk, kind, words) in table {
        let error = dial(url, "kafka-1", talk).await.err().unwrap();
        let text = error.to_string();
        assert!(error.kind() == *kind && text.contains(words) && text.contains("proxy:1080"), "{text}");
        assert!(!text.contains("pw"), "{text}");
    }
}

/// Everything a proxy says on a good day.
const SAYS: [(&str, &[u8]); 2] = [
    ("socks5://me:pw@proxy:1080", &[5, 2, 1, 0, 5, 0, 0, 3, 3, b'a', b'b', b'c', 0, 1]),
    ("http://me:pw@proxy:1080", b"HTTP/1.1 200 OK\r\nVia: x\r\n\r\n"),
];

/// Dials while the proxy says `bytes` and then hangs up or stays silent.
async fn hears(url: &str, bytes: &[u8], stays: bool) -> Option<io::Result<()>> {
    let (mut network, dial) = proxy(url);
    let script = async {
        let mut peer = network.accept().await;
        peer.write(bytes).await;
        if stays {
            tokio::time::sleep(Duration::from_secs(60)).await;
        }
    };
    let dialled = async { tokio::time::timeout(Duration::from_secs(10), dial.dial("kafka-1", 9092)).await };
    let (dialled, ()) = tokio::join!(dialled, script);
    dialled.ok().map(|opened| opened.map(drop))
}

#[tokio::test(start_paused = true)]
async fn a_proxy_that_hangs_up_or_stalls_at_any_byte_opens_nothing() {
    for (url, whole) in SAYS {
        for kept in 0..whole.len() {
            let ended = hears(url, &whole[..kept], false).await;
            assert!(ended.is_some_and(|opened| opened.is_err()), "{url} hung up after {kept} bytes");
            assert!(hears(url, &whole[..kept], true).await.is_none(), "{url} stalled after {kept} bytes");
        }
        assert!(hears(url, whole, true).await.unwrap().is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn a_changed_byte_is_noticed_or_says_nothing_to_us() {
    for (url, whole) in SAYS {
        for at in 0..whole.len() {
            let mut bytes = whole.to_vec();
            bytes[at] ^= 0x55;
            // Not a panic and not an endless wait: an error, an open way, or the caller's timeout.
            let outcome = hears(url, &bytes, true).await;
            let tells = if url.starts_with("socks") {
                (0..=5).contains(&at) || at == 7
            } else {
                at < 5 || (9..12).contains(&at)
            };
            assert!(!tells || !matches!(outcome, Some(Ok(()))), "{url} with byte {at} changed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_head_without_an_end_is_bounded() {
    let endless = [b"HTTP/1.1 200 OK\r\nX: ".to_vec(), vec![b'x'; 60_000]].concat();
    let error = hears("http://proxy:1080", &endless, true).await.unwrap().unwrap_err();
    assert!(error.to_string().contains("does not end"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_would_end_a_line_never_reaches_the_proxy() {
    for host in ["kafka\r\nX-Evil: 1", "kafka evil", "", &"k".repeat(256)] {
        let (network, dial) = proxy("http://proxy:1080");
        let error = dial.dial(host, 9092).await.err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        drop(dial);
        let mut network = network;
        assert!(network.next().await.is_none(), "nothing was dialled");
    }
}

#[test]
fn a_user_too_long_for_the_protocol_is_refused() {
    let proxy = Proxy {
        scheme: ProxyScheme::Socks5,
        host: "p".into(),
        port: 1,
        credentials: Some(("u".repeat(256), Secret::new("p"))),
    };
    let (user, password) = proxy.credentials.as_ref().unwrap();
    assert!(socks5::Socks5::new("h", 1, Some((user, password.expose()))).is_err());
}
