//! Handshakes of TLS and SASL that end, stall or go wrong at each byte: an error in time, and no secret before its turn.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use milena::broker::{MemoryCluster, SaslSettings, Settings};
use milena::config::ClientConfig;
use milena::config::security::{
    CryptoProvider, Identity, OAuthBearer, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig,
    UnsecuredToken,
};
use milena::connection::{Connection, Environment};
use milena::{BrokerId, ErrorKind, Operation, Result};
use protocol_tests::security::{
    Authority, CANARY, FAULTS, Fault, FaultyDial, Issued, Said, Validity, assert_nothing_leaked, traced,
};
use tokio::time::{Instant, advance};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CipherSuite, SupportedProtocolVersion};

/// Longer than any refusal is remembered.
const FORGOTTEN: Duration = Duration::from_secs(11);
/// By so much may two handshakes of TLS differ in length: signatures do.
const SLACK: usize = 16;
/// So many bytes may a record begin earlier or later in another handshake.
const SHIFT: usize = 4;

fn cluster(user: &str) -> MemoryCluster {
    MemoryCluster::start(Settings { sasl: Some(SaslSettings::for_user(user, CANARY)), ..Settings::default() })
}

fn config(protocol: SecurityProtocol, tls: TlsConfig, sasl: SaslMechanism) -> ClientConfig {
    ClientConfig { security: Security { protocol, tls, sasl: Some(sasl) }, ..ClientConfig::default() }
}

async fn open(config: &ClientConfig, dial: &FaultyDial) -> Result<Connection> {
    let environment = Environment { dial: Arc::new(dial.clone()), ..Environment::default() };
    Connection::open(&environment, config, BrokerId(1), "127.0.0.1", 9092).await
}

fn holds(bytes: &[u8], text: &str) -> bool {
    bytes.windows(text.len()).any(|window| window == text.as_bytes())
}

/// Opens with one fault. What fails fails in time, as what it is, and as opening.
async fn broken(config: &ClientConfig, dial: &FaultyDial, at: usize, fault: Fault) -> (Result<()>, Vec<Said>) {
    advance(FORGOTTEN).await;
    let dial = dial.breaking(at, fault);
    let (began, limit) = (Instant::now(), config.socket_connection_setup_timeout);
    let opened = open(config, &dial).await.map(drop);
    let took = began.elapsed();
    let place = format!("{fault:?} at byte {at}: {opened:?} after {took:?}");
    assert!(took <= limit, "{place}");
    if let Err(error) = &opened {
        assert_eq!(error.operation(), Operation::Connect, "{place}");
        match fault {
            Fault::Close => {
                assert!(took < limit / 10, "{place}");
                assert!(matches!(error.kind(), ErrorKind::Network | ErrorKind::Security), "{place}");
            }
            Fault::Stall => assert!(error.kind() == ErrorKind::Timeout && took == limit, "{place}"),
            Fault::Garbage | Fault::Flip | Fault::Forged => assert_ne!(error.kind(), ErrorKind::Closed, "{place}"),
        }
        assert_nothing_leaked(&format!("{error} {error:?}"));
    }
    (opened, dial.said())
}

/// Where each of the broker's frames ends.
fn ends_of_frames(mut bytes: &[u8]) -> Vec<usize> {
    let (mut ends, mut at) = (Vec::new(), 0);
    while let Some(length) = bytes.first_chunk::<4>() {
        at += 4 + u32::from_be_bytes(*length) as usize;
        ends.push(at);
        bytes = bytes.get(4 + u32::from_be_bytes(*length) as usize..).unwrap_or_default();
    }
    ends
}

/// Breaks a login without TLS at each byte of the answers to ApiVersions, SaslHandshake and SaslAuthenticate.
async fn each_byte_of_a_login(user: &str, mechanism: SaslMechanism, secret: Option<&str>) {
    let cluster = cluster(user);
    let config = config(SecurityProtocol::SaslPlaintext, TlsConfig::default(), mechanism);
    let dial = FaultyDial::new(&cluster);
    drop(open(&config, &dial).await.unwrap_or_else(|e| panic!("{user}: {e}")));
    let whole = dial.said().remove(0);
    let ends = ends_of_frames(&whole.broker);
    let (agreed, last) = (ends[1], whole.broker.len());
    assert!(ends.len() >= 3 && ends.last() == Some(&last), "ApiVersions, SaslHandshake, SaslAuthenticate: {ends:?}");
    if let Some(secret) = secret {
        assert!(holds(&whole.client, secret), "the secret is what it is looked for as");
    }
    for at in 0..last {
        for fault in FAULTS {
            let (opened, said) = broken(&config, &dial, at, fault).await;
            assert!(fault == Fault::Flip || opened.is_err(), "{user}: {fault:?} at {at} of {last}");
            // Whoever has not agreed to the mechanism has not heard the secret.
            if let Some(secret) = secret.filter(|_| at < agreed && fault != Fault::Flip) {
                assert!(said.iter().all(|said| !holds(&said.client, secret)), "{user}: {fault:?} at {at}");
            }
        }
    }
    advance(FORGOTTEN).await;
    drop(open(&config, &dial).await.expect("and the broker is well"));
}

#[tokio::test(start_paused = true)]
async fn a_login_by_plain_that_breaks_at_any_byte_is_an_error_in_time() {
    let _traced = traced();
    each_byte_of_a_login("by-plain", by_plain("by-plain"), Some(CANARY)).await;
    assert_nothing_leaked("");
}

#[tokio::test(start_paused = true)]
async fn a_login_by_scram_that_breaks_at_any_byte_is_an_error_in_time() {
    let _traced = traced();
    let password = Secret::new(CANARY);
    each_byte_of_a_login("by-256", SaslMechanism::ScramSha256 { username: "by-256".into(), password }, None).await;
    let password = Secret::new(CANARY);
    each_byte_of_a_login("by-512", SaslMechanism::ScramSha512 { username: "by-512".into(), password }, None).await;
    assert_nothing_leaked("");
}

#[tokio::test(start_paused = true)]
async fn a_login_by_token_that_breaks_at_any_byte_is_an_error_in_time() {
    let _traced = traced();
    each_byte_of_a_login("by-token", by_token("by-token"), Some("auth=Bearer")).await;
    assert_nothing_leaked("");
}

/// What a connection is opened with.
struct Way {
    user: &'static str,
    version: &'static SupportedProtocolVersion,
    /// Whether the broker asks for a certificate of the client.
    is_mutual: bool,
    sasl: SaslMechanism,
}

/// Breaks TLS and the login inside it at each byte of a part of what the broker sends.
async fn each_byte_of_tls(way: Way, part: fn(&[u8]) -> Range<usize>) {
    let Way { user, version, is_mutual, sasl } = way;
    let cluster = cluster(user);
    let authority = Authority::new("faulty");
    let shown = authority.server(&["127.0.0.1"], Validity::Now);
    let roots = Roots::Pem(Pem::Text(Secret::new(authority.certificate.clone())));
    let identity = is_mutual.then(|| {
        let Issued { chain, key } = authority.client("the-client", Validity::Now);
        Identity { chain: Pem::Text(Secret::new(chain)), key: Pem::Text(key), key_password: None }
    });
    let tls = TlsConfig::default().with_roots(roots).with_identity(identity);
    let config = config(SecurityProtocol::SaslSsl, tls, sasl);
    let clients = is_mutual.then_some(authority.certificate.as_str());
    let dial = FaultyDial::new(&cluster).behind_tls(&shown, version, clients);
    drop(open(&config, &dial).await.unwrap_or_else(|e| panic!("{user}: {e}")));
    let whole = dial.said().remove(0).broker;
    let heads = records(&whole);
    for at in part(&whole) {
        for fault in FAULTS {
            let (opened, said) = broken(&config, &dial, at, fault).await;
            match opened {
                Err(_) => {}
                // The version in the head of a record means nothing, and nobody vouches for it.
                Ok(()) if fault == Fault::Flip && heads.iter().any(|head| at.abs_diff(head + 1) <= SHIFT) => {}
                Ok(()) => panic!("{user}: {fault:?} at {at} of {}", whole.len()),
            }
            let secrets = [CANARY, user, "auth=Bearer"];
            let heard = said.iter().any(|said| secrets.iter().any(|secret| holds(&said.client, secret)));
            assert!(!heard, "{user}: {fault:?} at {at}: said in the clear");
        }
    }
}

/// Where each record of TLS begins, and where the last one ends.
fn records(said: &[u8]) -> Vec<usize> {
    let mut heads = vec![0];
    while let Some(&[_, _, _, a, b]) = said[*heads.last().unwrap()..].first_chunk() {
        heads.push(heads.last().unwrap() + 5 + usize::from(u16::from_be_bytes([a, b])));
    }
    heads
}

/// The record that answers ApiVersions: the last long one.
fn versions(said: &[u8]) -> Range<usize> {
    let heads = records(said);
    heads.windows(2).map(|ends| ends[0]..ends[1]).rfind(|record| record.len() > 300).unwrap()
}

fn everything(said: &[u8]) -> Range<usize> {
    0..said.len() - SLACK
}

fn handshake(said: &[u8]) -> Range<usize> {
    0..versions(said).start
}

fn login(said: &[u8]) -> Range<usize> {
    versions(said).end..said.len() - SLACK
}

fn by_plain(user: &str) -> SaslMechanism {
    SaslMechanism::Plain { username: user.into(), password: Secret::new(CANARY) }
}

fn by_token(user: &str) -> SaslMechanism {
    let token = UnsecuredToken { subject: user.into(), lifetime: Duration::from_secs(1 << 40) };
    SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token))
}

#[tokio::test(start_paused = true)]
async fn tls_1_3_that_breaks_at_any_byte_is_an_error_in_time_and_tells_no_secret() {
    let _traced = traced();
    let user = "by-tls13";
    each_byte_of_tls(Way { user, version: &TLS13, is_mutual: false, sasl: by_plain(user) }, everything).await;
    assert_nothing_leaked("");
}

#[tokio::test(start_paused = true)]
async fn tls_1_2_that_breaks_at_any_byte_is_an_error_in_time_and_tells_no_secret() {
    let _traced = traced();
    let user = "by-tls12";
    each_byte_of_tls(Way { user, version: &TLS12, is_mutual: false, sasl: by_plain(user) }, everything).await;
    assert_nothing_leaked("");
}

#[tokio::test(start_paused = true)]
async fn mutual_tls_that_breaks_at_any_byte_is_an_error_in_time_and_tells_no_secret() {
    let _traced = traced();
    let user = "by-mutual13";
    each_byte_of_tls(Way { user, version: &TLS13, is_mutual: true, sasl: by_plain(user) }, handshake).await;
    let user = "by-mutual12";
    each_byte_of_tls(Way { user, version: &TLS12, is_mutual: true, sasl: by_plain(user) }, handshake).await;
    assert_nothing_leaked("");
}

#[tokio::test(start_paused = true)]
async fn a_login_inside_tls_that_breaks_at_any_byte_is_an_error_in_time_and_tells_no_secret() {
    let _traced = traced();
    let (user, password) = ("by-256-in-tls", Secret::new(CANARY));
    let sasl = SaslMechanism::ScramSha256 { username: user.into(), password };
    each_byte_of_tls(Way { user, version: &TLS13, is_mutual: false, sasl }, login).await;
    let (user, password) = ("by-512-in-tls", Secret::new(CANARY));
    let sasl = SaslMechanism::ScramSha512 { username: user.into(), password };
    each_byte_of_tls(Way { user, version: &TLS12, is_mutual: false, sasl }, login).await;
    for (user, version) in [("by-token-in-tls13", &TLS13), ("by-token-in-tls12", &TLS12)] {
        each_byte_of_tls(Way { user, version, is_mutual: false, sasl: by_token(user) }, login).await;
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn the_brokers_name_and_a_provider_of_ones_own_go_into_the_handshake() {
    let _traced = traced();
    let (cluster, authority) = (cluster("by-name"), Authority::new("named"));
    let shown = authority.server(&["kafka.example.com"], Validity::Now);
    let mut tls = TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(authority.certificate.clone()))));
    tls.server_name = Some("kafka.example.com".into());
    let mut own = CryptoProvider::for_this_cpu().unwrap().get().as_ref().clone();
    own.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    tls.provider = Some(CryptoProvider::new(own));
    let config = config(SecurityProtocol::SaslSsl, tls, by_plain("by-name"));
    let dial = FaultyDial::new(&cluster).behind_tls(&shown, &TLS13, None);
    open(&config, &dial).await.unwrap();
    assert!(holds(&dial.said()[0].client, "kafka.example.com"), "the name is asked for (SNI)");
    let older = FaultyDial::new(&cluster).behind_tls(&shown, &TLS12, None);
    let error = open(&config, &older).await.expect_err("the provider has nothing for TLS 1.2");
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    assert_nothing_leaked(&format!("{error} {error:?}"));
}
