//! What people get wrong with TLS and SASL, each through a whole client: the error says what to do, names the broker and
//! the setting, and a permanent one comes at once, after no more than one more try.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use milena::broker::{SaslSettings, Settings, TcpCluster, TlsSettings};
use milena::config::ClientConfig;
use milena::config::security::{
    Identity, OAuthBearer, Pem, Roots, SaslMechanism, Secret, Security, SecurityProtocol, TlsConfig, TokenFuture,
    TokenProvider,
};
use milena::connection::{BoxFuture, Dial, Environment, Stream, TcpDial};
use milena::{Client, Error, Recovery};
use protocol_tests::security::{Authority, CANARY, Issued, Validity, assert_nothing_leaked, traced};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const ANY: &str = "127.0.0.1:0";
const NAMES: &[&str] = &["localhost", "127.0.0.1"];

/// Counts the sockets that were opened.
struct Counted(AtomicU32);

impl Dial for Counted {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        TcpDial.dial(host, port)
    }
}

/// A mistake: what it is, the settings, where they lead.
struct Mistake {
    name: &'static str,
    security: Security,
    to: SocketAddr,
    recovery: Recovery,
    /// What the error says beside the broker's address.
    words: &'static [&'static str],
}

/// The error of a client, how long it took and how many sockets it opened.
async fn failure(security: &Security, to: SocketAddr) -> (Error, Duration, u32) {
    let bootstrap_servers = vec![to.to_string()];
    let security = security.clone();
    let config = ClientConfig {
        bootstrap_servers,
        security,
        default_api_timeout: Duration::from_secs(2),
        ..ClientConfig::default()
    };
    let dial = Arc::new(Counted(AtomicU32::new(0)));
    let environment = Environment { dial: Arc::clone(&dial) as Arc<dyn Dial>, ..Environment::default() };
    let began = Instant::now();
    let error = Client::with_environment(config, environment).await.expect_err("a mistake");
    (error, began.elapsed(), dial.0.load(Ordering::Relaxed))
}

impl Mistake {
    async fn judge(self) {
        let (error, took, sockets) = failure(&self.security, self.to).await;
        let (name, text) = (self.name, error.to_string());
        assert_eq!(error.recovery(), self.recovery, "{name}: {text}");
        for word in self.words {
            assert!(text.contains(word), "{name}: `{word}` is not in: {text}");
        }
        assert!(text.contains(&self.to.to_string()), "{name} does not name the broker: {text}");
        if self.recovery == Recovery::Reconfigure {
            assert!(took < Duration::from_millis(1500) && sockets <= 2, "{name}: {took:?}, {sockets} sockets");
        } else {
            assert!(sockets <= 12, "{name}: {sockets} sockets in {took:?} is a hot loop");
        }
        assert_nothing_leaked(&format!("{text} {error:?} {:?}", self.security));
    }
}

/// One broker behind each kind of listener, and a web server.
struct Ports {
    authority: Authority,
    plain: TcpCluster,
    tls: TcpCluster,
    sasl: TcpCluster,
    web: SocketAddr,
}

impl Ports {
    async fn open() -> Self {
        let authority = Authority::new("ca");
        let any = || ANY.parse().unwrap();
        let mut scram_only = SaslSettings::for_user("alice", CANARY);
        scram_only.mechanisms = vec!["SCRAM-SHA-512".into(), "OAUTHBEARER".into()];
        let sasl = Settings { sasl: Some(scram_only), ..Settings::default() };
        let server = authority.server(NAMES, Validity::Now);
        let shown = TlsSettings { chain: server.chain, key: server.key, client_roots: None, version: None };
        Ports {
            authority,
            plain: TcpCluster::bind(Settings::default(), any()).await.unwrap(),
            tls: TcpCluster::bind_tls(Settings::default(), any(), &shown).await.unwrap(),
            sasl: TcpCluster::bind(sasl, any()).await.unwrap(),
            web: web_server().await,
        }
    }

    fn trusted(&self) -> TlsConfig {
        let pem = Pem::Text(Secret::new(self.authority.certificate.clone()));
        TlsConfig::default().with_roots(Roots::Pem(pem))
    }

    fn over_tls(&self) -> Security {
        Security { protocol: SecurityProtocol::Ssl, tls: self.trusted(), ..Security::default() }
    }

    fn showing(&self, identity: Identity) -> Security {
        let tls = self.trusted().with_identity(Some(identity));
        Security { protocol: SecurityProtocol::Ssl, tls, ..Security::default() }
    }
}

async fn web_server() -> SocketAddr {
    let listener = tokio::net::TcpListener::bind(ANY).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let _ = stream.read(&mut [0; 64]).await;
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            });
        }
    });
    address
}

fn login(mechanism: SaslMechanism) -> Security {
    Security { protocol: SecurityProtocol::SaslPlaintext, sasl: Some(mechanism), ..Security::default() }
}

fn scram(password: &str) -> SaslMechanism {
    SaslMechanism::ScramSha512 { username: "alice".into(), password: Secret::new(password) }
}

fn identity(issued: &Issued) -> Identity {
    let chain = Pem::Text(Secret::new(issued.chain.clone()));
    Identity { chain, key: Pem::Text(issued.key.clone()), key_password: None }
}

#[tokio::test]
async fn a_port_that_speaks_something_else_is_told_by_what_it_does() {
    let _traced = traced();
    let ports = Ports::open().await;
    let mistake = |name, security, to, recovery, words| Mistake { name, security, to, recovery, words };
    let (plain, tls, sasl) = (ports.plain.addresses()[0], ports.tls.addresses()[0], ports.sasl.addresses()[0]);
    let over_sasl_ssl = Security { protocol: SecurityProtocol::SaslSsl, tls: ports.trusted(), ..login(scram(CANARY)) };
    let (final_, passing) = (Recovery::Reconfigure, Recovery::Retry);
    for mistake in [
        mistake("plaintext to TLS", Security::default(), tls, final_, &["security.protocol=SSL"]),
        mistake("SASL without TLS to TLS", login(scram(CANARY)), tls, final_, &["security.protocol=SSL (or SASL_SSL)"]),
        // A broker hangs up on what it cannot read, as it does when it restarts: that may pass.
        mistake("TLS to plaintext", ports.over_tls(), plain, passing, &["security.protocol=PLAINTEXT"]),
        mistake("TLS to SASL_PLAINTEXT", ports.over_tls(), sasl, passing, &["SASL_PLAINTEXT"]),
        mistake("SASL_SSL to SASL_PLAINTEXT", over_sasl_ssl, sasl, passing, &["SASL_PLAINTEXT"]),
        mistake("a web server", Security::default(), ports.web, final_, &["web server's port"]),
        mistake("a web server, over TLS", ports.over_tls(), ports.web, final_, &["does not speak TLS"]),
        mistake("no SASL to SASL", Security::default(), sasl, passing, &["security.protocol=SASL_PLAINTEXT"]),
        mistake("SASL to a port without", login(scram(CANARY)), plain, final_, &["security.protocol=PLAINTEXT or SSL"]),
    ] {
        mistake.judge().await;
    }
}

#[tokio::test]
async fn keys_and_certificates_that_cannot_work_name_their_setting() {
    let _traced = traced();
    let ports = Ports::open().await;
    let (alice, bob) = (ports.authority.client("a", Validity::Now), ports.authority.client("b", Validity::Now));
    let key = |key: &str| Identity { key: Pem::Text(Secret::new(key)), ..identity(&alice) };
    let locked = include_str!("../../fixtures/keys/ec-pkcs8-aes256.pem");
    let wrong_password = Identity { key_password: Some(Secret::new(CANARY)), ..key(locked) };
    let one_line = alice.key.expose().replace('\n', " ").replace("-----END", "----END");
    let missing = Pem::File("/no/such/me.pem".into());
    let no_file = Identity { chain: missing.clone(), key: missing, key_password: None };
    let no_roots = Security {
        tls: TlsConfig::default().with_roots(Roots::Pem(Pem::File("/no/such/ca.pem".into()))),
        ..ports.over_tls()
    };
    for (name, security, words) in [
        ("no key", ports.showing(key(&alice.chain)), &["ssl.keystore.key", "no private key"][..]),
        (
            "another's key",
            ports.showing(key(bob.key.expose())),
            &["ssl.keystore.key", "does not belong", "give the key"],
        ),
        ("a damaged key", ports.showing(key(&one_line)), &["ssl.keystore.key", "-----END PRIVATE KEY-----"]),
        ("no password", ports.showing(key(locked)), &["ssl.key.password is not set"]),
        ("wrong password", ports.showing(wrong_password), &["ssl.key.password does not open"]),
        ("no file", ports.showing(no_file), &["ssl.keystore.location", "/no/such/me.pem cannot be read"]),
        ("no roots", no_roots, &["ssl.truststore.location", "/no/such/ca.pem cannot be read"]),
    ] {
        let to = ports.tls.addresses()[0];
        Mistake { name, security, to, recovery: Recovery::Reconfigure, words }.judge().await;
    }
}

#[tokio::test]
async fn a_broker_that_is_not_to_be_trusted_is_named_with_the_setting_that_decides() {
    let _traced = traced();
    let ports = Ports::open().await;
    for (name, server, words) in [
        ("expired", ports.authority.server(NAMES, Validity::Past), &["has expired"][..]),
        ("not yet valid", ports.authority.server(NAMES, Validity::Future), &["not yet valid"]),
        ("another host", ports.authority.server(&["kafka.example"], Validity::Now), &["kafka.example", "127.0.0.1"]),
        ("another authority", Authority::new("ca").server(NAMES, Validity::Now), &["ssl.truststore.location"]),
        ("self-signed", Authority::self_signed(NAMES), &["by itself", "ssl.truststore.location"]),
    ] {
        let shown = TlsSettings { chain: server.chain, key: server.key, client_roots: None, version: None };
        let broker = TcpCluster::bind_tls(Settings::default(), ANY.parse().unwrap(), &shown).await.unwrap();
        let (security, to) = (ports.over_tls(), broker.addresses()[0]);
        Mistake { name, security, to, recovery: Recovery::Reconfigure, words }.judge().await;
    }
}

/// Gives no token, for good or for now, or never answers.
struct NoToken(Option<Recovery>);

impl TokenProvider for NoToken {
    fn token(&self) -> TokenFuture<'_> {
        let recovery = self.0;
        Box::pin(async move {
            match recovery {
                Some(recovery) => Err(Error::invalid("vault.role", "may not read it").with_recovery(recovery)),
                None => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn a_login_that_cannot_work_names_what_to_check_and_is_not_repeated() {
    let _traced = traced();
    let ports = Ports::open().await;
    let plain = SaslMechanism::Plain { username: "alice".into(), password: Secret::new(CANARY) };
    let no_token = |recovery| SaslMechanism::OAuthBearer(OAuthBearer::provider(NoToken(recovery)));
    let nothing = Security { protocol: SecurityProtocol::SaslPlaintext, ..Security::default() };
    let (final_, passing) = (Recovery::Reconfigure, Recovery::Retry);
    for (name, security, recovery, words) in [
        ("wrong password", login(scram(&format!("{CANARY}-x"))), final_, &["alice", "sasl.jaas.config"][..]),
        ("no such mechanism", login(plain), final_, &["sasl.mechanism=PLAIN", "it offers SCRAM-SHA-512, OAUTHBEARER"]),
        ("no mechanism", nothing, final_, &["sasl.mechanism is not set"]),
        ("a token refused", login(no_token(Some(final_))), final_, &["vault.role"]),
        ("a token delayed", login(no_token(Some(passing))), passing, &["vault.role"]),
        ("a token that never comes", login(no_token(None)), passing, &["sasl.mechanism=OAUTHBEARER", "token"]),
    ] {
        let to = ports.sasl.addresses()[0];
        Mistake { name, security, to, recovery, words }.judge().await;
    }
}
