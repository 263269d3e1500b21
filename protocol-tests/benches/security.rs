//! What TLS and logging in cost the client's processor: beside bare rustls, and for a hundred connections.
//!
//! `cargo bench -p protocol-tests --bench security` runs both; `-- tls` or `-- scram` one of them. The peer is this program
//! in a second process, so that only the client's own threads are counted (`/proc/self/task/*/schedstat`, nanoseconds).

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes, BytesMut};
use milena::BrokerId;
use milena::broker::{SaslSettings, Settings, TcpCluster};
use milena::config::ClientConfig;
use milena::config::security::{
    CryptoProvider, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig,
};
use milena::connection::{Connection, Environment};
use milena::wire::frame::{RequestFrame, encode_response};
use milena::wire::messages::api_versions_response::ApiVersion;
use milena::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use protocol_tests::security::{Authority, Validity};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::crypto::CryptoProvider as Provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{CipherSuite, ClientConfig as TlsClient, RootCertStore, ServerConfig, version};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A request as a producer writes it: a head, and batches that are not copied.
const BATCHES: usize = 32;
const BATCH: usize = 16 * 1024;
/// Requests of one round, and how many may wait for the socket.
const REQUESTS: usize = 2048;
const AHEAD: usize = 4;
const ROUNDS: usize = 7;
const CONNECTIONS: usize = 100;
const PASSWORD: &str = "a password of usual length";

fn main() {
    // Cargo adds --bench; the rest is ours.
    let arguments: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    match arguments.first().map(String::as_str) {
        Some("swallow") => runtime.block_on(swallow()),
        Some("broker") => runtime.block_on(broker()),
        Some("tls") => runtime.block_on(tls()),
        Some("scram") => runtime.block_on(scram()),
        _ => runtime.block_on(async { (tls().await, scram().await) }).0,
    }
}

/// Nanoseconds that this process's threads have run, those of the pool for blocking work too.
fn cpu() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux");
    let ran =
        |path: std::path::PathBuf| fs::read_to_string(path.join("schedstat")).ok()?.split(' ').next()?.parse().ok();
    tasks.flatten().filter_map(|task| -> Option<u64> { ran(task.path()) }).sum()
}

/// This program as a peer, and the lines it begins with.
fn peer(mode: &str, lines: usize) -> (Child, Vec<String>) {
    let program = std::env::current_exe().expect("a running program has a path");
    let mut child = Command::new(program).arg(mode).stdout(Stdio::piped()).spawn().expect("it starts again");
    let output = BufReader::new(child.stdout.take().expect("piped"));
    let said = output.lines().take(lines).map(|line| line.expect("text")).collect();
    (child, said)
}

/// Only AES-256-GCM, of the provider that both sides use.
fn provider() -> Arc<Provider> {
    let provider = CryptoProvider::for_this_cpu().expect("a processor that it runs on");
    let mut provider = Provider::clone(provider.get());
    provider.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_256_GCM_SHA384);
    Arc::new(provider)
}

/// A peer that takes all it is sent, on two ports: one reads TLS, the other TLS behind an answer to ApiVersions.
async fn swallow() {
    let authority = Authority::new("bench");
    let issued = authority.server(&["127.0.0.1"], Validity::Now);
    let chain = CertificateDer::pem_slice_iter(issued.chain.as_bytes()).map(|c| c.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_slice(issued.key.expose().as_bytes()).expect("a key");
    let config = ServerConfig::builder_with_provider(provider()).with_protocol_versions(&[&version::TLS13]);
    let config = config.expect("spoken").with_no_client_auth().with_single_cert(chain, key).expect("they match");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    println!("{}", listener.local_addr().expect("bound"));
    println!("{}", authority.certificate.replace('\n', "|"));
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let mut stream = acceptor.accept(stream).await.expect("TLS");
            let mut buffer = vec![0; 256 * 1024];
            let first = stream.read(&mut buffer).await.unwrap_or(0);
            // ApiVersions has key 18; what bare rustls sends begins with zeros.
            if buffer.get(4..6) == Some(&[0, 18][..]) && first > 8 {
                let row = ApiVersion::default().with_api_key(18).with_max_version(4);
                let answer = ApiVersionsResponse::default().with_api_keys(vec![row]);
                let answer = encode_response::<ApiVersionsRequest>(4, 0, &answer).expect("it encodes");
                stream.write_all(&answer).await.expect("it is read");
                stream.flush().await.expect("it is read");
            }
            while let Ok(1..) = stream.read(&mut buffer).await {}
        });
    }
}

/// The same bytes for both: a head of 4 bytes length and 60 more, then the batches.
fn request() -> (BytesMut, Vec<Bytes>) {
    let batch = Bytes::from(vec![0x5a; BATCH]);
    let mut head = BytesMut::zeroed(64);
    head[..4].copy_from_slice(&u32::try_from(60 + BATCHES * BATCH).expect("small").to_be_bytes());
    (head, vec![batch; BATCHES])
}

const ROUND_BYTES: usize = REQUESTS * (64 + BATCHES * BATCH);

async fn bare(client: &Arc<TlsClient>, at: SocketAddr) -> u64 {
    let stream = TcpStream::connect(at).await.expect("the peer listens");
    stream.set_nodelay(true).expect("a TCP option");
    let name = ServerName::try_from("127.0.0.1").expect("a name");
    let mut stream = TlsConnector::from(Arc::clone(client)).connect(name, stream).await.expect("TLS");
    stream.write_all(&[0; 64]).await.expect("it is read");
    let (head, batches) = request();
    let before = cpu();
    for _ in 0..REQUESTS {
        let mut slices = Slices(std::iter::once(head.clone().freeze()).chain(batches.iter().cloned()).collect());
        stream.write_all_buf(&mut slices).await.expect("it is read");
        stream.flush().await.expect("it is read");
    }
    cpu() - before
}

/// Slices to write in one go, as many as the connection's driver offers.
struct Slices(std::collections::VecDeque<Bytes>);

impl Buf for Slices {
    fn remaining(&self) -> usize {
        self.0.iter().map(Bytes::len).sum()
    }

    fn chunk(&self) -> &[u8] {
        self.0.front().map_or(&[], |slice| slice)
    }

    fn advance(&mut self, mut count: usize) {
        while let Some(front) = self.0.front_mut() {
            let step = front.len().min(count);
            front.advance(step);
            count -= step;
            if !front.is_empty() {
                return;
            }
            self.0.pop_front();
        }
    }

    fn chunks_vectored<'a>(&'a self, into: &mut [std::io::IoSlice<'a>]) -> usize {
        let pairs = into.iter_mut().zip(&self.0);
        pairs.map(|(slot, slice)| *slot = std::io::IoSlice::new(slice)).count()
    }
}

async fn ours(config: &ClientConfig, at: SocketAddr) -> u64 {
    let opened = Connection::open(&Environment::default(), config, BrokerId(1), &at.ip().to_string(), at.port()).await;
    let connection = opened.expect("the peer answers");
    let (head, tail) = request();
    let before = cpu();
    let mut waiting = std::collections::VecDeque::new();
    for _ in 0..REQUESTS {
        let frame = RequestFrame { api_key: 0, api_version: 9, head: head.clone(), tail: tail.clone() };
        let deadline = tokio::time::Instant::now() + Duration::from_secs(60);
        waiting.push_back(connection.submit(frame, deadline, false));
        if waiting.len() >= AHEAD {
            waiting.pop_front().expect("some wait").await.expect("it is written");
        }
    }
    for written in waiting {
        written.await.expect("it is written");
    }
    cpu() - before
}

fn median(mut of: Vec<f64>) -> f64 {
    of.sort_by(f64::total_cmp);
    of[of.len() / 2]
}

async fn tls() {
    let (mut child, said) = peer("swallow", 2);
    let at: SocketAddr = said[0].parse().expect("an address");
    let certificate = said[1].replace('|', "\n");
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate.as_bytes()).expect("PEM")).expect("a certificate");
    let client = TlsClient::builder_with_provider(provider()).with_protocol_versions(&[&version::TLS13]);
    let client = Arc::new(client.expect("spoken").with_root_certificates(roots).with_no_client_auth());
    let mut tls = TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(certificate))));
    tls.provider = Some(CryptoProvider::new(Provider::clone(&provider())));
    let security = Security { protocol: SecurityProtocol::Ssl, tls, sasl: None };
    let config = ClientConfig { security, ..ClientConfig::default() };
    let (mut of_bare, mut of_ours) = (Vec::new(), Vec::new());
    let per_second = |nanos: u64| ROUND_BYTES as f64 / 1e6 / (nanos as f64 / 1e9);
    // In turn, so that a neighbour's noise meets both; the first round of each warms up.
    for round in 0..=ROUNDS {
        let (bare, ours) = (per_second(bare(&client, at).await), per_second(ours(&config, at).await));
        if round > 0 {
            of_bare.push(bare);
            of_ours.push(ours);
        }
    }
    let ratios = median(of_ours.iter().zip(&of_bare).map(|(ours, bare)| ours / bare).collect());
    let (bare, ours) = (median(of_bare), median(of_ours));
    println!(
        "TLS 1.3 AES-256-GCM, {BATCHES} batches of {BATCH} B a request, MB per CPU second of the sender: \
         bare rustls {bare:.0}, milena {ours:.0}, ratio {ratios:.3} (medians of {ROUNDS})"
    );
    let _ = child.kill();
    let _ = child.wait();
}

/// A broker where `alice` logs in.
async fn broker() {
    let settings = Settings { sasl: Some(SaslSettings::for_user("alice", PASSWORD)), ..Settings::default() };
    let cluster =
        TcpCluster::bind(settings, "127.0.0.1:0".parse().expect("an address")).await.expect("a loopback port");
    println!("{}", cluster.addresses()[0]);
    std::future::pending::<()>().await;
}

async fn scram() {
    let (mut child, said) = peer("broker", 1);
    let at: SocketAddr = said[0].parse().expect("an address");
    let sasl = SaslMechanism::ScramSha512 { username: "alice".into(), password: Secret::new(PASSWORD) };
    let security = Security { protocol: SecurityProtocol::SaslPlaintext, sasl: Some(sasl), ..Security::default() };
    let config = Arc::new(ClientConfig { security, ..ClientConfig::default() });
    let (before, began) = (cpu(), Instant::now());
    let mut opening = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let config = Arc::clone(&config);
        opening.spawn(async move {
            let host = at.ip().to_string();
            Connection::open(&Environment::default(), &config, BrokerId(1), &host, at.port()).await.expect("let in")
        });
    }
    let open = opening.join_all().await;
    let (took, ran) = (began.elapsed(), Duration::from_nanos(cpu() - before));
    println!(
        "{} connections at once, SCRAM-SHA-512 with 4096 iterations: {ran:?} of the client's CPU in {took:?}",
        open.len()
    );
    let _ = child.kill();
    let _ = child.wait();
}
