//! TLS against the in-memory broker: who is let in, who is not and in which words, and certificates that change.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use milena::broker::{Control, SaslSettings, Settings, TcpCluster, TlsSettings};
use milena::config::security::{
    Identity, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig, TlsVersion,
};
use milena::config::{ClientConfig, ProducerConfig};
use milena::connection::{Connection, Environment};
use milena::{BrokerId, Client, ErrorKind, NewRecord, Recovery, Result};
use protocol_tests::security::{Authority, CANARY, Issued, Validity, assert_nothing_leaked, traced};

const ANY: &str = "127.0.0.1:0";
const NAMES: &[&str] = &["localhost", "127.0.0.1"];

fn shown(issued: &Issued) -> TlsSettings {
    TlsSettings { chain: issued.chain.clone(), key: issued.key.clone(), client_roots: None, version: None }
}

async fn cluster(tls: &TlsSettings) -> TcpCluster {
    TcpCluster::bind_tls(Settings::default(), ANY.parse().unwrap(), tls).await.unwrap()
}

fn trusting(certificate: &str) -> TlsConfig {
    TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(certificate))))
}

fn identity(issued: &Issued) -> Identity {
    let chain = Pem::Text(Secret::new(issued.chain.clone()));
    Identity { chain, key: Pem::Text(issued.key.clone()), key_password: None }
}

fn over(tls: TlsConfig) -> ClientConfig {
    let security = Security { protocol: SecurityProtocol::Ssl, tls, ..Security::default() };
    ClientConfig { security, ..ClientConfig::default() }
}

async fn open(config: &ClientConfig, to: SocketAddr) -> Result<Connection> {
    Connection::open(&Environment::default(), config, BrokerId(1), &to.ip().to_string(), to.port()).await
}

async fn ask(connection: &Connection) -> Result<()> {
    let request = milena::wire::messages::MetadataRequest::default();
    connection.call(&request, Duration::from_secs(5)).await.map(drop)
}

#[tokio::test]
async fn both_versions_carry_requests_to_a_broker_we_trust() {
    let _traced = traced();
    let authority = Authority::new("ca");
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let tls = TlsSettings { version: Some(version), ..shown(&authority.server(NAMES, Validity::Now)) };
        let cluster = cluster(&tls).await;
        let connection = open(&over(trusting(&authority.certificate)), cluster.addresses()[0]).await.unwrap();
        ask(&connection).await.unwrap();
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_certificate_that_is_not_to_be_trusted_is_named_and_final() {
    let _traced = traced();
    let (authority, other) = (Authority::new("ca"), Authority::new("ca"));
    for (issued, words) in [
        (authority.server(NAMES, Validity::Past), "has expired"),
        (authority.server(NAMES, Validity::Future), "not yet valid"),
        (authority.server(&["kafka.example.com"], Validity::Now), "kafka.example.com"),
        (other.server(NAMES, Validity::Now), "ssl.truststore.location"),
        (Authority::self_signed(NAMES), "by itself"),
        (authority.client("alice", Validity::Now), "not for"),
    ] {
        let cluster = cluster(&shown(&issued)).await;
        let error = open(&over(trusting(&authority.certificate)), cluster.addresses()[0]).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Security, Recovery::Reconfigure), "{error}");
        let text = error.to_string();
        assert!(text.contains(words), "{words}: {text}");
        assert!(text.contains(&cluster.addresses()[0].to_string()), "{text}");
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn the_name_alone_may_be_waived_or_replaced() {
    let _traced = traced();
    let authority = Authority::new("ca");
    let cluster = cluster(&shown(&authority.server(&["kafka.example.com"], Validity::Now))).await;
    let to = cluster.addresses()[0];
    let mut tls = trusting(&authority.certificate);
    tls.server_name = Some("kafka.example.com".into());
    ask(&open(&over(tls), to).await.unwrap()).await.unwrap();
    let mut tls = trusting(&authority.certificate);
    tls.verify_hostname = false;
    ask(&open(&over(tls.clone()), to).await.unwrap()).await.unwrap();
    tls.roots = trusting(&Authority::new("ca").certificate).roots;
    let error = open(&over(tls), to).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Security, "without the name the authority still counts: {error}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_client_shows_its_certificate_where_one_is_asked_for() {
    let _traced = traced();
    let (authority, other) = (Authority::new("ca"), Authority::new("other"));
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let issued = authority.server(NAMES, Validity::Now);
        let client_roots = Some(authority.certificate.clone());
        let cluster = cluster(&TlsSettings { client_roots, version: Some(version), ..shown(&issued) }).await;
        let with = |identity| TlsConfig::with_identity(trusting(&authority.certificate), identity);
        let alice = with(Some(identity(&authority.client("alice", Validity::Now))));
        ask(&open(&over(alice), cluster.addresses()[0]).await.unwrap()).await.unwrap();
        for (wrong, words) in [
            (None, "wants a certificate of the client"),
            (Some(identity(&other.client("mallory", Validity::Now))), "ssl.truststore"),
            (Some(identity(&authority.client("alice", Validity::Past))), "has expired"),
        ] {
            let error = open(&over(with(wrong)), cluster.addresses()[0]).await.unwrap_err();
            assert_eq!((error.kind(), error.recovery()), (ErrorKind::Security, Recovery::Reconfigure), "{error}");
            assert!(error.to_string().contains(words), "{version:?} {words}: {error}");
        }
    }
    assert_nothing_leaked("");
}

/// The password of the encrypted keys among the fixtures.
const KEY_PASSWORD: &str = "canary-9c1f-key";

#[tokio::test]
async fn a_client_shows_its_certificate_whatever_form_its_key_has() {
    let _traced = traced();
    let authority = Authority::new("ca");
    let ec = authority.client_for("alice", include_str!("../../fixtures/keys/ec-certificate.pem"));
    let rsa = authority.client_for("alice", include_str!("../../fixtures/keys/rsa-certificate.pem"));
    let client_roots = Some(authority.certificate.clone());
    for version in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let issued = authority.server(NAMES, Validity::Now);
        let tls = TlsSettings { client_roots: client_roots.clone(), version: Some(version), ..shown(&issued) };
        let cluster = cluster(&tls).await;
        for (form, chain, key, is_encrypted) in [
            ("EC, PKCS#8", &ec, include_str!("../../fixtures/keys/ec-pkcs8.pem"), false),
            ("EC, SEC1", &ec, include_str!("../../fixtures/keys/ec-sec1.pem"), false),
            ("EC, encrypted PKCS#8", &ec, include_str!("../../fixtures/keys/ec-pkcs8-aes256.pem"), true),
            ("RSA, PKCS#8", &rsa, include_str!("../../fixtures/keys/rsa-pkcs8.pem"), false),
            ("RSA, PKCS#1", &rsa, include_str!("../../fixtures/keys/rsa-pkcs1.pem"), false),
            ("RSA, encrypted PKCS#8", &rsa, include_str!("../../fixtures/keys/rsa-pkcs8-aes128.pem"), true),
        ] {
            let pem = |text: &str| Pem::Text(Secret::new(text));
            let key_password = is_encrypted.then(|| Secret::new(KEY_PASSWORD));
            let identity = Identity { chain: pem(chain), key: pem(key), key_password };
            let config = over(TlsConfig::with_identity(trusting(&authority.certificate), Some(identity)));
            let connection = open(&config, cluster.addresses()[0]).await;
            let connection = connection.unwrap_or_else(|e| panic!("{form}, {version:?}: {e}"));
            ask(&connection).await.unwrap_or_else(|e| panic!("{form}, {version:?}: {e}"));
        }
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn brokers_at_ipv6_addresses_are_reached_and_the_certificate_has_to_be_for_the_address() {
    let _traced = traced();
    let any: SocketAddr = "[::1]:0".parse().unwrap();
    let authority = Authority::new("ca");
    let tls = shown(&authority.server(&["::1"], Validity::Now));
    let secured =
        TcpCluster::bind_tls(Settings::default(), any, &tls).await.expect("this machine has an IPv6 loopback");
    let plain = TcpCluster::bind(Settings::default(), any).await.unwrap();
    for (cluster, config) in [(&plain, ClientConfig::default()), (&secured, over(trusting(&authority.certificate)))] {
        let (name, configs) = ("t".to_owned(), BTreeMap::new());
        cluster.control(Control::CreateTopic { name, partitions: 1, configs });
        let bootstrap = cluster.addresses()[0].to_string();
        assert!(bootstrap.starts_with("[::1]:"), "{bootstrap}");
        let config = ClientConfig { bootstrap_servers: vec![bootstrap], ..config };
        // The clock that the in-memory broker begins at.
        let environment = Environment { wall_clock_ms: Arc::new(|| 1_700_000_000_000), ..Environment::default() };
        let client = Client::with_environment(config, environment).await.unwrap();
        let producer = client.producer(ProducerConfig::default()).unwrap();
        producer.send("t", NewRecord::value(b"by the address that the broker advertises")).await.unwrap();
    }
    secured.set_tls(&shown(&authority.server(&["127.0.0.1", "localhost"], Validity::Now))).unwrap();
    let error = open(&over(trusting(&authority.certificate)), secured.addresses()[0]).await.unwrap_err();
    assert_eq!((error.kind(), error.recovery()), (ErrorKind::Security, Recovery::Reconfigure), "{error}");
    assert!(error.to_string().contains("is not for ::1 but for"), "{error}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_port_without_tls_and_a_client_without_it_are_told_apart() {
    let _traced = traced();
    let authority = Authority::new("ca");
    let secured = cluster(&shown(&authority.server(NAMES, Validity::Now))).await;
    let error = open(&ClientConfig::default(), secured.addresses()[0]).await.unwrap_err();
    assert!(error.to_string().contains("security.protocol=SSL"), "{error}");
    let plain = TcpCluster::bind(Settings::default(), ANY.parse().unwrap()).await.unwrap();
    let error = open(&over(trusting(&authority.certificate)), plain.addresses()[0]).await.unwrap_err();
    assert!(error.to_string().contains("security.protocol=PLAINTEXT"), "{error}");
    let sasl = Settings { sasl: Some(SaslSettings::for_user("alice", CANARY)), ..Settings::default() };
    let sasl = TcpCluster::bind(sasl, ANY.parse().unwrap()).await.unwrap();
    let error = open(&over(trusting(&authority.certificate)), sasl.addresses()[0]).await.unwrap_err();
    assert!(error.to_string().contains("SASL_PLAINTEXT"), "{error}");
    let web = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = web.local_addr().unwrap();
    tokio::spawn(async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut stream, _) = web.accept().await.unwrap();
        stream.read_exact(&mut [0; 64]).await.unwrap();
        stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
    });
    let error = open(&over(trusting(&authority.certificate)), address).await.unwrap_err();
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert!(error.to_string().contains("does not speak TLS here"), "{error}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn settings_that_cannot_work_are_named_before_anything_is_sent() {
    let _traced = traced();
    let authority = Authority::new("ca");
    let cluster = cluster(&shown(&authority.server(NAMES, Validity::Now))).await;
    let (alice, bob) = (authority.client("alice", Validity::Now), authority.client("bob", Validity::Now));
    let mixed = Identity { key: Pem::Text(bob.key.clone()), ..identity(&alice) };
    let locked = include_str!("../../fixtures/keys/ec-pkcs8-aes256.pem");
    let locked = Identity { key: Pem::Text(Secret::new(locked)), ..identity(&alice) };
    let no_key = Identity { key: Pem::Text(Secret::new(alice.chain.clone())), ..identity(&alice) };
    let with = |identity| TlsConfig::with_identity(trusting(&authority.certificate), Some(identity));
    let no_file = TlsConfig::default().with_roots(Roots::Pem(Pem::File("/no/such/ca.pem".into())));
    for (tls, words) in [
        (with(mixed), "does not belong to the certificate"),
        (with(no_key), "no private key"),
        (with(locked), "ssl.key.password is not set"),
        (trusting("no pem"), "ssl.truststore.certificates: it holds no certificate"),
        (no_file, "/no/such/ca.pem cannot be read"),
    ] {
        let error = open(&over(tls), cluster.addresses()[0]).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Invalid, Recovery::Reconfigure), "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn files_that_have_changed_are_read_for_new_connections_and_bad_ones_change_nothing() {
    let _traced = traced();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let cluster = cluster(&shown(&old.server(NAMES, Validity::Now))).await;
    let to = cluster.addresses()[0];
    let directory = std::env::temp_dir().join(format!("milena-tls-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let path = directory.join("ca.pem");
    std::fs::write(&path, &old.certificate).unwrap();
    let config = over(TlsConfig::default().with_roots(Roots::Pem(Pem::File(path.clone()))));
    let early = open(&config, to).await.unwrap();
    cluster.set_tls(&shown(&new.server(NAMES, Validity::Now))).unwrap();
    assert_eq!(open(&config, to).await.unwrap_err().kind(), ErrorKind::Security, "the new authority is unknown yet");
    std::fs::write(&path, format!("{}{}", old.certificate, new.certificate)).unwrap();
    ask(&open(&config, to).await.unwrap()).await.unwrap();
    ask(&early).await.expect("what was open stays open");
    std::fs::write(&path, "half a file").unwrap();
    ask(&open(&config, to).await.unwrap()).await.expect("the last good certificates go on");
    std::fs::remove_dir_all(&directory).unwrap();
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_password_travels_inside_tls_only() {
    let _traced = traced();
    let authority = Authority::new("ca");
    let settings = Settings { sasl: Some(SaslSettings::for_user("alice", CANARY)), ..Settings::default() };
    let tls = shown(&authority.server(NAMES, Validity::Now));
    let cluster = TcpCluster::bind_tls(settings, ANY.parse().unwrap(), &tls).await.unwrap();
    let mut config = over(trusting(&authority.certificate));
    config.security.protocol = SecurityProtocol::SaslSsl;
    config.security.sasl = Some(SaslMechanism::Plain { username: "alice".into(), password: Secret::new(CANARY) });
    ask(&open(&config, cluster.addresses()[0]).await.unwrap()).await.unwrap();
    // A listener that takes all and never speaks TLS sees a greeting of TLS and no more.
    let trap = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = trap.local_addr().unwrap();
    config.socket_connection_setup_timeout = Duration::from_millis(300);
    let seen = tokio::spawn(async move {
        use tokio::io::AsyncReadExt;
        let mut seen = Vec::new();
        let (mut stream, _) = trap.accept().await.unwrap();
        stream.read_to_end(&mut seen).await.unwrap();
        seen
    });
    let error = open(&config, address).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(error.to_string().contains("the TLS handshake"), "{error}");
    let seen = seen.await.unwrap();
    assert!(seen.starts_with(&[0x16, 3]), "a TLS record");
    assert_nothing_leaked(&format!("{} {error:?} {config:?}", String::from_utf8_lossy(&seen)));
}
