//! Warnings of what is not as safe as it looks: each once in a process, by those only whom it concerns.

use milena::broker::{Control, SaslSettings, Settings, TcpCluster, TlsSettings};
use milena::config::ClientConfig;
use milena::config::security::{Pem, Roots, Security, SecurityProtocol, TlsConfig};
use milena::connection::{Connection, Environment};
use milena::{BrokerId, Result};
use protocol_tests::milena_bin::{Scratch, milena};
use protocol_tests::security::{Authority, CANARY, Validity, assert_nothing_leaked, logged, traced};

const READABLE: &str = "anybody on the way can read the secret";
const ANY_NAME: &str = "ssl.endpoint.identification.algorithm";

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

/// `sasl.jaas.config` of alice.
fn jaas(mechanism: &str) -> String {
    match mechanism {
        "PLAIN" => format!("x.PlainLoginModule required username=\"alice\" password=\"{CANARY}\";"),
        "OAUTHBEARER" => "x.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub=\"alice\";".to_owned(),
        _ => format!("x.ScramLoginModule required username=\"alice\" password=\"{CANARY}\";"),
    }
}

/// What the command logs while it logs in at each broker it connects to. Once in a process: so each case has one.
fn logged_by_the_command(at: &str, roots: Option<&str>, mechanism: &str) -> String {
    let mut settings = vec![format!("sasl.mechanism={mechanism}"), format!("sasl.jaas.config={}", jaas(mechanism))];
    match roots {
        Some(roots) => {
            settings.extend(["security.protocol=SASL_SSL".into(), format!("ssl.truststore.location={roots}")])
        }
        None => settings.push("security.protocol=SASL_PLAINTEXT".into()),
    }
    let lines = settings.iter().flat_map(|setting| ["-X", setting]);
    let finished = milena(["consume", "-t", "warned", "-e", "-vvv", "-b", at]).args(lines).run();
    assert_nothing_leaked(&finished.stderr);
    let log = finished.stderr.clone();
    finished.ok();
    log
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_secret_in_the_clear_is_warned_once_and_nobody_else() {
    let (authority, scratch) = (Authority::new("warned"), Scratch::new("warned"));
    let settings = Settings { sasl: Some(SaslSettings::for_user("alice", CANARY)), ..Settings::default() };
    let open_to_all = TcpCluster::bind(settings.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let behind_tls = bind(settings, &shown(&authority)).await;
    for cluster in [&open_to_all, &behind_tls] {
        let (name, configs) = ("warned".to_owned(), Default::default());
        cluster.control(Control::CreateTopic { name, partitions: 1, configs });
    }
    let roots = scratch.path("ca.pem");
    std::fs::write(&roots, &authority.certificate).unwrap();
    for (is_clear, mechanism, expected) in [
        (true, "PLAIN", 1),
        (true, "OAUTHBEARER", 1),
        (true, "SCRAM-SHA-256", 0),
        (true, "SCRAM-SHA-512", 0),
        (false, "PLAIN", 0),
        (false, "OAUTHBEARER", 0),
        (false, "SCRAM-SHA-512", 0),
    ] {
        let cluster = if is_clear { &open_to_all } else { &behind_tls };
        let (at, roots) = (cluster.addresses()[0].to_string(), (!is_clear).then(|| roots.clone()));
        let run = move || logged_by_the_command(&at, roots.as_deref(), mechanism);
        let log = tokio::task::spawn_blocking(run).await.unwrap();
        let logins = log.lines().filter(|line| line.contains("connected")).count();
        assert!(logins >= 2, "{mechanism}: one login could not be warned of twice: {log}");
        assert_eq!(warnings(&log, READABLE), expected, "{mechanism}: {log}");
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
