//! Warnings of what is not as safe as it looks: each once in a process, by those only whom it concerns.

use std::process::Command;

use milena::broker::{SaslSettings, Settings, TcpCluster, TlsSettings};
use milena::config::ClientConfig;
use milena::config::security::{
    OAuthBearer, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig, UnsecuredToken,
};
use milena::connection::{Connection, Environment};
use milena::{BrokerId, Result};
use protocol_tests::security::{Authority, CANARY, Validity, assert_nothing_leaked, logged, traced};

const READABLE: &str = "anybody on the way can read the secret";
const ANY_NAME: &str = "ssl.endpoint.identification.algorithm";
/// What the process of its own does: protocol and mechanism.
const CASE: &str = "PROTOCOL_AND_MECHANISM";

async fn open(config: &ClientConfig, cluster: &TcpCluster) -> Result<Connection> {
    let to = cluster.addresses()[0];
    Connection::open(&Environment::default(), config, BrokerId(1), &to.ip().to_string(), to.port()).await
}

async fn bind(settings: Settings, shows: &TlsSettings) -> TcpCluster {
    TcpCluster::bind_tls(settings, "127.0.0.1:0".parse().unwrap(), shows).await.unwrap()
}

fn shown(authority: &Authority) -> TlsSettings {
    let issued = authority.server(&["127.0.0.1"], Validity::Now);
    TlsSettings { chain: issued.chain, key: issued.key, client_roots: None, version: None }
}

fn warnings(log: &str, words: &str) -> usize {
    log.lines().filter(|line| line.contains(" WARN ") && line.contains(words)).count()
}

fn mechanism(name: &str) -> SaslMechanism {
    let (username, password) = ("alice".to_owned(), Secret::new(CANARY));
    match name {
        "PLAIN" => SaslMechanism::Plain { username, password },
        "SCRAM-SHA-256" => SaslMechanism::ScramSha256 { username, password },
        "SCRAM-SHA-512" => SaslMechanism::ScramSha512 { username, password },
        _ => SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(UnsecuredToken {
            subject: username,
            lifetime: std::time::Duration::from_secs(3600),
        })),
    }
}

#[tokio::test]
#[ignore = "a process that logs in three times, started by the test below"]
async fn logging_in() {
    let _traced = traced();
    let case = std::env::var(CASE).expect("the test that starts it says what to do");
    let (protocol, name) = case.split_once(' ').unwrap();
    let authority = Authority::new("warned");
    let settings = Settings { sasl: Some(SaslSettings::for_user("alice", CANARY)), ..Settings::default() };
    let (protocol, cluster) = match protocol {
        "SASL_SSL" => (SecurityProtocol::SaslSsl, bind(settings, &shown(&authority)).await),
        _ => {
            let cluster = TcpCluster::bind(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap();
            (SecurityProtocol::SaslPlaintext, cluster)
        }
    };
    let tls = TlsConfig::default().with_roots(Roots::Pem(Pem::Text(Secret::new(authority.certificate))));
    for _ in 0..3 {
        let security = Security { protocol, tls: tls.clone(), sasl: Some(mechanism(name)) };
        open(&ClientConfig { security, ..ClientConfig::default() }, &cluster).await.unwrap();
    }
    assert_nothing_leaked("");
    println!("{}", logged());
}

#[test]
fn who_sends_a_secret_in_the_clear_is_warned_once_and_nobody_else() {
    for (protocol, mechanism, expected) in [
        ("SASL_PLAINTEXT", "PLAIN", 1),
        ("SASL_PLAINTEXT", "OAUTHBEARER", 1),
        ("SASL_PLAINTEXT", "SCRAM-SHA-256", 0),
        ("SASL_PLAINTEXT", "SCRAM-SHA-512", 0),
        ("SASL_SSL", "PLAIN", 0),
        ("SASL_SSL", "OAUTHBEARER", 0),
        ("SASL_SSL", "SCRAM-SHA-512", 0),
    ] {
        // Once in a process: so each case has one.
        let mut process = Command::new(std::env::current_exe().unwrap());
        process.args(["--exact", "logging_in", "--ignored", "--nocapture"]);
        let output = process.env(CASE, format!("{protocol} {mechanism}")).output().unwrap();
        let log = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && log.contains("connected"), "{protocol} {mechanism}: {log}");
        assert_eq!(warnings(&log, READABLE), expected, "{protocol} {mechanism}: {log}");
        assert!(expected == 0 || log.contains(mechanism), "it is named: {log}");
    }
}

#[tokio::test]
async fn the_check_of_the_name_is_switched_off_with_one_warning_where_there_is_tls_and_none_where_there_is_not() {
    let _traced = traced();
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let path = std::env::temp_dir().join(format!("milena-warned-{}.pem", std::process::id()));
    std::fs::write(&path, &old.certificate).unwrap();
    let mut tls = TlsConfig::default().with_roots(Roots::Pem(Pem::File(path.clone())));
    tls.verify_hostname = false;
    let over = |protocol, tls: &TlsConfig| ClientConfig {
        security: Security { protocol, tls: tls.clone(), ..Security::default() },
        ..ClientConfig::default()
    };
    let plain = TcpCluster::bind(Settings::default(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    open(&over(SecurityProtocol::Plaintext, &tls), &plain).await.unwrap();
    assert_eq!(warnings(&logged(), ANY_NAME), 0, "there is no name to check");
    let cluster = bind(Settings::default(), &shown(&old)).await;
    let config = over(SecurityProtocol::Ssl, &tls);
    open(&config, &cluster).await.unwrap();
    assert_eq!(warnings(&logged(), ANY_NAME), 1);
    cluster.set_tls(&shown(&new)).unwrap();
    std::fs::write(&path, format!("{}{}", old.certificate, new.certificate)).unwrap();
    open(&config, &cluster).await.expect("the file was read anew");
    let mut another = tls.clone();
    another.min_version = another.max_version;
    open(&over(SecurityProtocol::Ssl, &another), &cluster).await.unwrap();
    assert_eq!(warnings(&logged(), ANY_NAME), 1, "whoever switched it off has been told");
    std::fs::remove_file(&path).unwrap();
}
