//! TLS and SASL against real Kafka: each mechanism over each transport, and everything that must not work.
#![cfg(feature = "live-kafka")]

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use milena::admin::NewTopic;
use milena::config::ClientConfig;
use milena::config::security::{
    AwsCredentials, AwsMskIam, Identity, OAuthBearer, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol,
    TlsConfig, UnsecuredToken,
};
use milena::consumer::Polled;
use milena::{Client, ErrorCode, ErrorKind, NewRecord, Position, Recovery, Result, TopicPartition};
use protocol_tests::live::{Listener, SecuredKafka};
use protocol_tests::security::{Authority, CANARY, Issued, Validity, assert_nothing_leaked, traced};

/// The newest Kafka, shared by the tests that change nothing.
fn newest() -> &'static SecuredKafka {
    static SHARED: OnceLock<SecuredKafka> = OnceLock::new();
    SHARED.get_or_init(|| SecuredKafka::start("4.4.0", CANARY))
}

/// The oldest of those that are to be let in and refused in the same words.
fn older() -> &'static SecuredKafka {
    static SHARED: OnceLock<SecuredKafka> = OnceLock::new();
    SHARED.get_or_init(|| SecuredKafka::start("3.9.1", CANARY))
}

fn plain(password: &str) -> SaslMechanism {
    SaslMechanism::Plain { username: "alice".into(), password: Secret::new(password) }
}

fn scram256(password: &str) -> SaslMechanism {
    SaslMechanism::ScramSha256 { username: "alice".into(), password: Secret::new(password) }
}

fn scram512(password: &str) -> SaslMechanism {
    SaslMechanism::ScramSha512 { username: "alice".into(), password: Secret::new(password) }
}

fn token() -> SaslMechanism {
    let token = UnsecuredToken { subject: "alice".into(), lifetime: Duration::from_secs(3600) };
    SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token))
}

fn mechanisms(password: &str) -> [SaslMechanism; 4] {
    [plain(password), scram256(password), scram512(password), token()]
}

fn trusting(certificate: &str) -> TlsConfig {
    TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(certificate))))
}

fn identity(issued: &Issued) -> Option<Identity> {
    let chain = Pem::Text(Secret::new(issued.chain.clone()));
    Some(Identity { chain, key: Pem::Text(issued.key.clone()), key_password: None })
}

/// A config for one listener of `kafka`.
fn config(kafka: &SecuredKafka, listener: Listener, sasl: Option<SaslMechanism>) -> ClientConfig {
    let protocol = match (listener, &sasl) {
        (Listener::Sasl | Listener::Reauth, _) => SecurityProtocol::SaslPlaintext,
        (_, Some(_)) => SecurityProtocol::SaslSsl,
        (_, None) => SecurityProtocol::Ssl,
    };
    let security = Security { protocol, tls: trusting(&kafka.authority.certificate), sasl };
    let bootstrap_servers = vec![kafka.address(listener)];
    ClientConfig { bootstrap_servers, security, ..ClientConfig::default() }
}

/// Writes a record and reads it back.
async fn round_trip(config: ClientConfig, topic: &str) -> Result<()> {
    let client = Client::with_config(config).await?;
    let wanted = NewTopic { name: topic.into(), partitions: 1, replication_factor: 1, configs: Default::default() };
    client.admin().create_topic(&wanted).await?;
    let producer = client.producer(Default::default())?;
    let written = producer.send(topic, NewRecord::value(topic.as_bytes())).await?;
    let mut consumer = client.consumer(Default::default())?;
    consumer.assign([(TopicPartition::new(topic, 0), Position::Offset(written.offset))]);
    loop {
        if let Polled::Records(records) = consumer.poll().await? {
            let read = records.iter().next().expect("a record")?;
            assert_eq!(read.value, Some(topic.as_bytes()));
            return Ok(());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_mechanism_and_certificate_lets_us_write_and_read() {
    let _traced = traced();
    round_trips(newest()).await;
    round_trips(older()).await;
    assert_nothing_leaked("");
}

async fn round_trips(kafka: &SecuredKafka) {
    for (n, mechanism) in mechanisms(CANARY).into_iter().enumerate() {
        for listener in [Listener::Sasl, Listener::SaslTls, Listener::Reauth] {
            let topic = format!("ok-{n}-{listener:?}");
            let done = round_trip(config(kafka, listener, Some(mechanism.clone())), &topic).await;
            done.unwrap_or_else(|e| panic!("{} over {listener:?}: {e}", mechanism.name()));
        }
    }
    round_trip(config(kafka, Listener::Tls, None), "ok-tls").await.unwrap();
    let mut mutual = config(kafka, Listener::MutualTls, None);
    mutual.security.tls.identity = identity(&kafka.authority.client("alice-cert", Validity::Now));
    round_trip(mutual, "ok-mtls").await.unwrap();
}

/// How it fails, and that it fails at once.
async fn failure(config: ClientConfig) -> milena::Error {
    let started = Instant::now();
    let error = Client::with_config(config).await.expect_err("it must not work");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}: {error}", started.elapsed());
    assert_nothing_leaked(&format!("{error} {error:?}"));
    error
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_and_final() {
    let _traced = traced();
    refusals(newest()).await;
    refusals(older()).await;
    assert_nothing_leaked("");
}

async fn refusals(kafka: &SecuredKafka) {
    for mechanism in [plain("wrong"), scram256("wrong"), scram512("wrong")] {
        for listener in [Listener::Sasl, Listener::SaslTls] {
            let name = mechanism.name();
            let error = failure(config(kafka, listener, Some(mechanism.clone()))).await;
            assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
            let text = error.to_string();
            assert!(text.contains(name) && text.contains("SASL_AUTHENTICATION_FAILED"), "{text}");
            assert!(text.contains(&kafka.address(listener)), "{text}");
        }
    }
    for (listener, words) in [
        (Listener::Expired, "has expired"),
        (Listener::NotYetValid, "not yet valid"),
        (Listener::WrongHost, "kafka.example.com"),
        (Listener::SelfSigned, "by itself"),
    ] {
        let error = failure(config(kafka, listener, None)).await;
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Security, Recovery::Reconfigure), "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
    let mut wrong = config(kafka, Listener::Tls, None);
    wrong.security.tls = trusting(&Authority::new("another-ca").certificate);
    let error = failure(wrong).await;
    assert!(error.to_string().contains("ssl.truststore.location"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_certificate_that_is_missing_or_bad_is_named() {
    let _traced = traced();
    refused_certificates(newest()).await;
    refused_certificates(older()).await;
    assert_nothing_leaked("");
}

async fn refused_certificates(kafka: &SecuredKafka) {
    let stranger = Authority::new("stranger").client("alice-cert", Validity::Now);
    let late = kafka.authority.client("alice-cert", Validity::Past);
    for (identity, words) in [
        (None, "ssl.keystore.location"),
        (identity(&stranger), "client's certificate"),
        (identity(&late), "client's certificate"),
    ] {
        let mut mutual = config(kafka, Listener::MutualTls, None);
        mutual.security.tls.identity = identity;
        let error = failure(mutual).await;
        assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
        assert!(error.to_string().contains(words), "{words}: {error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ports_and_settings_that_do_not_match_are_named() {
    let _traced = traced();
    mismatches(newest()).await;
    mismatches(older()).await;
    assert_nothing_leaked("");
}

async fn mismatches(kafka: &SecuredKafka) {
    // A key is got before the broker is asked whether it knows the mechanism, so this one is given.
    let unknown = SaslMechanism::AwsMskIam(AwsMskIam {
        region: Some("eu-west-1".into()),
        credentials: AwsCredentials::Static {
            access_key_id: "AKIA".into(),
            secret_access_key: CANARY.into(),
            session_token: None,
        },
    });
    let error = failure(config(kafka, Listener::Sasl, Some(unknown))).await;
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert!(error.to_string().contains("it offers") && error.to_string().contains("SCRAM-SHA-512"), "{error}");
    let mut to_tls = config(kafka, Listener::Tls, None);
    to_tls.security.protocol = SecurityProtocol::Plaintext;
    let error = failure(to_tls).await;
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert!(error.to_string().contains("security.protocol=SSL"), "{error}");
    // The reverse looks like a broker that goes away, which may pass: only the words tell.
    let mut to_plain = config(kafka, Listener::Sasl, Some(plain(CANARY)));
    to_plain.security.protocol = SecurityProtocol::SaslSsl;
    to_plain.default_api_timeout = Duration::from_secs(2);
    let mut to_open = config(kafka, Listener::Tls, None);
    to_open.bootstrap_servers = vec![kafka.kafka.address(1)];
    to_open.default_api_timeout = Duration::from_secs(2);
    for config in [to_plain, to_open] {
        let error = failure(config).await;
        assert_eq!(error.recovery(), Recovery::Retry, "{error}");
        assert!(error.to_string().contains("security.protocol=PLAINTEXT"), "{error}");
    }
    let mut no_sasl = config(kafka, Listener::Sasl, None);
    no_sasl.security.protocol = SecurityProtocol::Plaintext;
    no_sasl.default_api_timeout = Duration::from_secs(2);
    let error = failure(no_sasl).await;
    assert!(error.to_string().contains("security.protocol=SASL_PLAINTEXT"), "{error}");
    let mut open = config(kafka, Listener::Sasl, Some(plain(CANARY)));
    open.bootstrap_servers = vec![kafka.kafka.address(1)];
    let error = failure(open).await;
    assert_eq!(error.code(), Some(ErrorCode::ILLEGAL_SASL_STATE), "{error}");
    assert!(error.to_string().contains("security.protocol=PLAINTEXT or SSL"), "{error}");
}
