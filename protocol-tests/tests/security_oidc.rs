//! Tokens from an endpoint over HTTPS: asked for once, never sent where they should not be, every fault in words.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use milena::broker::{MemoryCluster, SaslSettings, Settings, TcpCluster};
use milena::config::ClientConfig;
use milena::config::security::{
    CryptoProvider, OAuthBearer, OidcClientCredentials, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol,
};
use milena::connection::{BoxFuture, Connection, Dial, Environment, ProxyDial, Stream, TcpDial};
use milena::wire::messages::MetadataRequest;
use milena::{BrokerId, ErrorKind, Recovery, Result};
use protocol_tests::security::{Authority, CANARY, Validity, assert_nothing_leaked, traced};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, duplex};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

const SECOND: Duration = Duration::from_secs(1);

/// An unsigned token of `alice`, as the in-memory broker takes it.
const TOKEN: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImlhdCI6MTAwMCwiZXhwIjo0NjAwfQ.";

struct TokenEndpoint {
    url: String,
    roots: Roots,
    asked: Arc<AtomicU32>,
}

/// An endpoint's end of TLS, and whom to trust for it.
fn secured() -> (TlsAcceptor, Roots) {
    let authority = Authority::new("id");
    let issued = authority.server(&["localhost", "token.example"], Validity::Now);
    let provider = CryptoProvider::for_this_cpu().unwrap();
    let chain: Vec<_> = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).map(|c| c.unwrap()).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).unwrap();
    let config = ServerConfig::builder_with_provider(provider.get().clone()).with_safe_default_protocol_versions();
    let config = config.unwrap().with_no_client_auth().with_single_cert(chain, key).unwrap();
    (Arc::new(config).into(), Roots::Pem(Pem::Text(Secret::new(authority.certificate))))
}

/// Answers one request, and checks that it is a right one; false if there was none.
async fn serve(acceptor: &TlsAcceptor, stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str) -> bool {
    let Ok(mut stream) = acceptor.accept(stream).await else { return false };
    let mut request = vec![0; 4096];
    let read = stream.read(&mut request).await.unwrap();
    let request = String::from_utf8_lossy(&request[..read]).into_owned();
    assert!(request.starts_with("POST /token HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("Authorization: Basic "), "{request}");
    assert!(request.ends_with("grant_type=client_credentials&scope=kafka%20all"), "{request}");
    stream.write_all(answer.as_bytes()).await.unwrap();
    let _ = stream.shutdown().await;
    true
}

/// Answers every request with `answer`.
async fn endpoint(answer: String) -> TokenEndpoint {
    let (acceptor, roots) = secured();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/token", listener.local_addr().unwrap().port());
    let asked = Arc::new(AtomicU32::new(0));
    let count = asked.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(u32::from(serve(&acceptor, stream, &answer).await), Ordering::Relaxed);
        }
    });
    TokenEndpoint { url, roots, asked }
}

fn http(status: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn config(endpoint: &TokenEndpoint) -> ClientConfig {
    let mut oidc = OidcClientCredentials::new(endpoint.url.clone(), "me", CANARY);
    oidc.roots = endpoint.roots.clone();
    oidc.scope = Some("kafka all".into());
    let sasl = Some(SaslMechanism::OAuthBearer(OAuthBearer::ClientCredentials(Box::new(oidc))));
    let security = Security { protocol: SecurityProtocol::SaslPlaintext, sasl, ..Security::default() };
    let socket_connection_setup_timeout = Duration::from_secs(3);
    ClientConfig { security, socket_connection_setup_timeout, ..ClientConfig::default() }
}

async fn open(config: &ClientConfig) -> Result<Connection> {
    open_by(&Environment::default(), config).await
}

async fn open_by(environment: &Environment, config: &ClientConfig) -> Result<Connection> {
    let settings = Settings { sasl: Some(SaslSettings::for_user("alice", "unused")), ..Settings::default() };
    let cluster = TcpCluster::bind(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let to = cluster.addresses()[0];
    Connection::open(environment, config, BrokerId(1), &to.ip().to_string(), to.port()).await
}

#[tokio::test]
async fn connections_share_one_token_until_it_grows_old() {
    let _traced = traced();
    let endpoint = endpoint(http("200 OK", &format!(r#"{{"access_token":"{TOKEN}","expires_in":3600}}"#))).await;
    let config = config(&endpoint);
    for _ in 0..3 {
        open(&config.clone()).await.unwrap();
    }
    assert_eq!(endpoint.asked.load(Ordering::Relaxed), 1);
    assert_nothing_leaked(&format!("{config:?}"));
}

/// An HTTP proxy that knows one name more than everybody else, and tells whom it was asked for.
async fn proxy() -> (u16, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, asked) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let to = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()).unwrap().to_owned();
            tell.send(to.clone()).unwrap();
            let mut server = TcpStream::connect(to.replace("token.example", "127.0.0.1")).await.unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await.unwrap();
            tokio::spawn(async move { tokio::io::copy_bidirectional(&mut client, &mut server).await });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_token_is_asked_for_through_the_proxy_that_brokers_are_reached_by() {
    let _traced = traced();
    let mut endpoint = endpoint(http("200 OK", &format!(r#"{{"access_token":"{TOKEN}","expires_in":3600}}"#))).await;
    endpoint.url = endpoint.url.replace("localhost", "token.example");
    let (port, mut asked) = proxy().await;
    let url = format!("http://127.0.0.1:{port}");
    let dial = Arc::new(ProxyDial::new(url.parse().unwrap(), Arc::new(TcpDial)));
    open_by(&Environment { dial, ..Environment::default() }, &config(&endpoint)).await.unwrap();
    let (broker, token) = (asked.recv().await.unwrap(), asked.recv().await.unwrap());
    assert!(broker.starts_with("127.0.0.1:") && token.starts_with("token.example:"), "{broker} {token}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_token_that_is_about_to_expire_is_asked_for_anew() {
    let _traced = traced();
    let endpoint = endpoint(http("200 OK", &format!(r#"{{"access_token":"{TOKEN}","expires_in":0}}"#))).await;
    let config = config(&endpoint);
    open(&config).await.unwrap();
    open(&config).await.unwrap();
    assert_eq!(endpoint.asked.load(Ordering::Relaxed), 2);
    assert_nothing_leaked("");
}

#[tokio::test]
async fn every_fault_of_the_endpoint_is_named_and_the_secret_stays_hidden() {
    let _traced = traced();
    let redirect = "HTTP/1.1 302 Found\r\nLocation: http://evil.example/\r\nContent-Length: 0\r\n\r\n".to_owned();
    for (answer, recovery, words) in [
        (http("401 Unauthorized", r#"{"error":"invalid_client"}"#), Recovery::Reconfigure, "invalid_client"),
        (redirect, Recovery::Reconfigure, "redirects"),
        (http("503 Busy", ""), Recovery::Retry, "status 503"),
        (http("200 OK", &"x".repeat(70_000)), Recovery::Bug, "larger than 64 KiB"),
        (http("200 OK", "{}"), Recovery::Reconfigure, "no access_token"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n{".into(), Recovery::Retry, "in the middle"),
        ("SSH-2.0-OpenSSH_9.6\r\n\r\n".into(), Recovery::Bug, "is not HTTP"),
        ("\u{0}\u{1}\u{2}\u{fffd}\r\n\r\n".into(), Recovery::Bug, "is not HTTP"),
        ("\u{0}\u{1}\u{2}\u{fffd}".repeat(100), Recovery::Retry, "in the middle"),
    ] {
        let endpoint = endpoint(answer).await;
        let error = open(&config(&endpoint)).await.unwrap_err();
        assert_eq!(error.recovery(), recovery, "{error}");
        let text = format!("{error} {error:?}");
        assert!(text.contains(words) && text.contains("token endpoint localhost"), "{words}: {text}");
        assert_nothing_leaked(&text);
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn an_endpoint_that_is_down_may_come_back_and_one_without_tls_gets_no_secret() {
    let _traced = traced();
    let (_, roots) = secured();
    let at = |listener: &TcpListener| format!("https://localhost:{}/token", listener.local_addr().unwrap().port());
    let down = at(&TcpListener::bind("127.0.0.1:0").await.unwrap());
    let down = TokenEndpoint { url: down, roots: roots.clone(), asked: Arc::default() };
    let error = open(&config(&down)).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Network, Recovery::Retry), "{error}");
    let text = format!("{error} {error:?}");
    assert!(text.contains("token endpoint localhost"), "{text}");
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = at(&plain);
    let heard = tokio::spawn(async move {
        let (mut stream, _) = plain.accept().await.unwrap();
        stream.write_all(b"\x00\x01\x02 nothing that TLS knows").await.unwrap();
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        heard
    });
    let error = open(&config(&TokenEndpoint { url, ..down })).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    let heard = heard.await.unwrap();
    assert_nothing_leaked(&format!("{text} {error} {error:?} {}", String::from_utf8_lossy(&heard)));
}

/// A network in memory, so that time can be virtual: a cluster, and a token endpoint that can be down.
#[derive(Clone)]
struct Network {
    cluster: MemoryCluster,
    acceptor: TlsAcceptor,
    is_down: Arc<AtomicBool>,
    /// When the endpoint was dialled, and whether it was up.
    dialled: Arc<Mutex<Vec<(Instant, bool)>>>,
}

impl Dial for Network {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, std::io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if host != "token.example" {
                return Ok(Box::new(self.cluster.connect(host, port)?) as Box<dyn Stream>);
            }
            let is_up = !self.is_down.load(Ordering::Relaxed);
            self.dialled.lock().unwrap().push((Instant::now(), is_up));
            if !is_up {
                return Err(std::io::ErrorKind::ConnectionRefused.into());
            }
            let ((near, far), acceptor) = (duplex(1 << 16), self.acceptor.clone());
            let answer = http("200 OK", &format!(r#"{{"access_token":"{TOKEN}","expires_in":0}}"#));
            tokio::spawn(async move { serve(&acceptor, far, &answer).await });
            Ok(Box::new(near))
        })
    }
}

#[tokio::test(start_paused = true)]
async fn a_login_is_renewed_with_a_new_token_ahead_of_its_end_and_outlives_an_endpoint_that_is_down_for_a_while() {
    let _traced = traced();
    let sasl = SaslSettings { max_reauth: Some(100 * SECOND), ..SaslSettings::for_user("alice", "unused") };
    let (acceptor, roots) = secured();
    let network = Network {
        cluster: MemoryCluster::start(Settings { sasl: Some(sasl), ..Settings::default() }),
        acceptor,
        is_down: Arc::default(),
        dialled: Arc::default(),
    };
    let endpoint = TokenEndpoint { url: "https://token.example/token".into(), roots, asked: Arc::default() };
    let environment = Environment { dial: Arc::new(network.clone()), ..Environment::default() };
    let began = Instant::now();
    let connection = Connection::open(&environment, &config(&endpoint), BrokerId(1), "127.0.0.1", 9092).await.unwrap();
    while began.elapsed() < 250 * SECOND {
        let is_down = (80 * SECOND..97 * SECOND).contains(&began.elapsed());
        network.is_down.store(is_down, Ordering::Relaxed);
        let asked = connection.call(&MetadataRequest::default(), SECOND).await;
        asked.unwrap_or_else(|e| panic!("after {:?}: {e}", began.elapsed()));
        tokio::time::sleep(SECOND / 2).await;
    }
    assert!(!connection.is_closed());
    let dialled = network.dialled.lock().unwrap().clone();
    let at = |wanted| -> Vec<Duration> {
        dialled.iter().filter(|(_, is_up)| *is_up == wanted).map(|(at, _)| *at - began).collect()
    };
    let [first, second, third] = at(true)[..] else { panic!("{dialled:?}") };
    assert!(first < SECOND && (97 * SECOND..99 * SECOND).contains(&second), "as soon as it is up: {dialled:?}");
    assert!((85 * SECOND..96 * SECOND).contains(&(third - second)), "ahead of the login's end: {dialled:?}");
    assert!((2..15).contains(&at(false).len()), "asked again and again, not without a pause: {dialled:?}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn an_endpoint_that_hangs_or_is_not_trusted_gets_no_secret() {
    let _traced = traced();
    let mut untrusted = endpoint(http("200 OK", "{}")).await;
    untrusted.roots = Roots::Pem(Pem::Text(Secret::new(Authority::new("other").certificate)));
    let error = open(&config(&untrusted)).await.unwrap_err();
    assert_eq!((error.recovery(), untrusted.asked.load(Ordering::Relaxed)), (Recovery::Reconfigure, 0), "{error}");
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}/token", silent.local_addr().unwrap().port());
    let error = open(&config(&TokenEndpoint { url, ..untrusted })).await.unwrap_err();
    assert!(error.to_string().contains("waiting for a token (sasl.mechanism=OAUTHBEARER) took longer"), "{error}");
    let plain = TokenEndpoint { url: "http://localhost/token".into(), roots: Roots::System, asked: Default::default() };
    let error = open(&config(&plain)).await.unwrap_err();
    assert!(format!("{error:?}").contains("https://") || error.to_string().contains("https://"), "{error}");
    assert_nothing_leaked("");
}
