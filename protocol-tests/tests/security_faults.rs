//! Handshakes of TLS and SASL that end, stall or go wrong at each byte: an error in time, and no secret before its turn.

use std::sync::Arc;
use std::time::Duration;

use milena::broker::{MemoryCluster, SaslSettings, Settings};
use milena::config::ClientConfig;
use milena::config::security::{
    CryptoProvider, OAuthBearer, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig,
    UnsecuredToken,
};
use milena::connection::{Connection, Environment};
use milena::{BrokerId, ErrorKind, Operation, Result};
use protocol_tests::security::{
    Authority, CANARY, FAULTS, Fault, FaultyDial, Said, Validity, assert_nothing_leaked, traced,
};
use tokio::time::{Instant, advance};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{CipherSuite, SupportedProtocolVersion};

/// Longer than any refusal is remembered.
const FORGOTTEN: Duration = Duration::from_secs(11);
/// By so much may two handshakes of TLS differ in length: signatures do.
const SLACK: usize = 16;

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
            Fault::Garbage | Fault::Flip => assert_ne!(error.kind(), ErrorKind::Closed, "{place}"),
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

/// Breaks a login without TLS at each byte of the answers to SaslHandshake and SaslAuthenticate.
async fn each_byte_of_a_login(user: &str, mechanism: SaslMechanism, secret: Option<&str>) {
    let cluster = cluster(user);
    let config = config(SecurityProtocol::SaslPlaintext, TlsConfig::default(), mechanism);
    let dial = FaultyDial::new(&cluster);
    drop(open(&config, &dial).await.unwrap_or_else(|e| panic!("{user}: {e}")));
    let whole = dial.said().remove(0);
    let ends = ends_of_frames(&whole.broker);
    let (versions, agreed, last) = (ends[0], ends[1], whole.broker.len());
    assert!(ends.len() >= 3 && ends.last() == Some(&last), "ApiVersions, SaslHandshake, SaslAuthenticate: {ends:?}");
    if let Some(secret) = secret {
        assert!(holds(&whole.client, secret), "the secret is what it is looked for as");
    }
    for at in versions..last {
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
    let plain = SaslMechanism::Plain { username: "by-plain".into(), password: Secret::new(CANARY) };
    each_byte_of_a_login("by-plain", plain, Some(CANARY)).await;
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
    let token = UnsecuredToken { subject: "by-token".into(), lifetime: Duration::from_secs(1 << 40) };
    let token = SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token));
    each_byte_of_a_login("by-token", token, Some("auth=Bearer")).await;
    assert_nothing_leaked("");
}

/// Breaks TLS and the login inside it at each byte that the broker sends.
async fn each_byte_of_tls(user: &str, version: &'static SupportedProtocolVersion) {
    let cluster = cluster(user);
    let authority = Authority::new("faulty");
    let shown = authority.server(&["127.0.0.1"], Validity::Now);
    let roots = Roots::Pem(Pem::Text(Secret::new(authority.certificate.clone())));
    let plain = SaslMechanism::Plain { username: user.into(), password: Secret::new(CANARY) };
    let config = config(SecurityProtocol::SaslSsl, TlsConfig::default().with_roots(roots), plain);
    let dial = FaultyDial::new(&cluster).behind_tls(&shown, version);
    drop(open(&config, &dial).await.unwrap_or_else(|e| panic!("{user}: {e}")));
    let whole = dial.said().remove(0).broker.len();
    let mut unnoticed = Vec::new();
    for at in 0..whole - SLACK {
        for fault in FAULTS {
            let (opened, said) = broken(&config, &dial, at, fault).await;
            match opened {
                Err(_) => {}
                Ok(()) if fault == Fault::Flip => unnoticed.push(at),
                Ok(()) => panic!("{user}: {fault:?} at {at} of {whole}"),
            }
            let heard = said.iter().any(|said| holds(&said.client, CANARY) || holds(&said.client, user));
            assert!(!heard, "{user}: {fault:?} at {at}: said in the clear");
        }
    }
    // The version in the head of a record means nothing, and nobody vouches for it while nothing is encrypted yet.
    assert!(unnoticed.len() <= 8, "{user}: a changed byte goes unnoticed at {unnoticed:?}");
}

#[tokio::test(start_paused = true)]
async fn tls_1_3_that_breaks_at_any_byte_is_an_error_in_time_and_tells_no_secret() {
    let _traced = traced();
    each_byte_of_tls("by-tls13", &TLS13).await;
    assert_nothing_leaked("");
}

#[tokio::test(start_paused = true)]
async fn tls_1_2_that_breaks_at_any_byte_is_an_error_in_time_and_tells_no_secret() {
    let _traced = traced();
    each_byte_of_tls("by-tls12", &TLS12).await;
    assert_nothing_leaked("");
}

#[tokio::test]
async fn the_brokers_name_and_a_provider_of_ones_own_go_into_the_handshake() {
    let _traced = traced();
    let (cluster, authority) = (cluster("by-name"), Authority::new("named"));
    let shown = authority.server(&["kafka.example.com"], Validity::Now);
    let plain = SaslMechanism::Plain { username: "by-name".into(), password: Secret::new(CANARY) };
    let mut tls = TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(authority.certificate.clone()))));
    tls.server_name = Some("kafka.example.com".into());
    let mut own = CryptoProvider::for_this_cpu().unwrap().get().as_ref().clone();
    own.cipher_suites.retain(|suite| suite.suite() == CipherSuite::TLS13_AES_128_GCM_SHA256);
    tls.provider = Some(CryptoProvider::new(own));
    let config = config(SecurityProtocol::SaslSsl, tls, plain);
    let dial = FaultyDial::new(&cluster).behind_tls(&shown, &TLS13);
    open(&config, &dial).await.unwrap();
    assert!(holds(&dial.said()[0].client, "kafka.example.com"), "the name is asked for (SNI)");
    let older = FaultyDial::new(&cluster).behind_tls(&shown, &TLS12);
    let error = open(&config, &older).await.expect_err("the provider has nothing for TLS 1.2");
    assert_eq!(error.kind(), ErrorKind::Security, "{error}");
    assert_nothing_leaked(&format!("{error} {error:?}"));
}
