//! One real broker with a listener for every way of being secured, and certificates good and bad.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::artifacts;
use super::cluster::{LiveKafka, free_port};
use super::options::Options;
use crate::security::{Authority, Issued, Validity};

/// What one listener of a secured broker is like.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Listener {
    /// SASL without TLS.
    Sasl,
    /// SASL inside TLS.
    SaslTls,
    /// TLS.
    Tls,
    /// TLS that wants a certificate of the client.
    MutualTls,
    /// SASL without TLS, whose logins hold for two seconds.
    Reauth,
    /// TLS with a certificate that has expired.
    Expired,
    /// TLS with a certificate of the future.
    NotYetValid,
    /// TLS with a certificate for another name.
    WrongHost,
    /// TLS with a certificate that signed itself.
    SelfSigned,
}

/// Every listener with its name, protocol and whether it shows a certificate of its own.
const LISTENERS: &[(Listener, &str, &str)] = &[
    (Listener::Sasl, "SASL", "SASL_PLAINTEXT"),
    (Listener::SaslTls, "SASLS", "SASL_SSL"),
    (Listener::Tls, "TLS", "SSL"),
    (Listener::MutualTls, "MTLS", "SSL"),
    (Listener::Reauth, "REAUTH", "SASL_PLAINTEXT"),
    (Listener::Expired, "EXPIRED", "SSL"),
    (Listener::NotYetValid, "FUTURE", "SSL"),
    (Listener::WrongHost, "WRONGHOST", "SSL"),
    (Listener::SelfSigned, "SELFSIGNED", "SSL"),
];

const MECHANISMS: &str = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER";
const NAMES: &[&str] = &["localhost", "127.0.0.1"];

/// A broker of LISTENERS beside an open one, where `alice` has the given password.
pub struct SecuredKafka {
    /// The broker; its own address is the open listener.
    pub kafka: LiveKafka,
    /// Who signed the broker's certificates and is trusted by it.
    pub authority: Authority,
    version: String,
    directory: PathBuf,
    ports: Vec<(Listener, u16)>,
}

impl SecuredKafka {
    /// Starts a broker of this version (`4.4.0`). Principals are let in everywhere until a rule says otherwise.
    pub fn start(version: &str, password: &str) -> Self {
        let authority = Authority::new("live-ca");
        let directory = artifacts::root().join(format!("secured-{}-{}", std::process::id(), free_port()));
        fs::create_dir_all(&directory).expect("the directory of the live suite is writable");
        let ports: Vec<(Listener, u16)> = LISTENERS.iter().map(|(listener, ..)| (*listener, free_port())).collect();
        let mut options = Options::one_node().version(version);
        for ((_, port), (_, name, protocol)) in ports.iter().zip(LISTENERS) {
            options = options.listener(name, protocol, *port);
        }
        options = stores(options, &directory, &authority);
        options = logins(options, password);
        let kafka = LiveKafka::start(options);
        Self { kafka, authority, version: version.into(), directory, ports }
    }

    /// Where a listener listens, as `127.0.0.1:port`.
    pub fn address(&self, listener: Listener) -> String {
        let found = self.ports.iter().find(|(of, _)| *of == listener);
        format!("127.0.0.1:{}", found.expect("every listener has a port").1)
    }

    /// Deletes a user's SCRAM credentials.
    pub fn forget(&self, user: &str) {
        self.change(&["forget", user]);
    }

    /// Forbids a user everything on a `TOPIC`, `GROUP` or `TRANSACTIONAL_ID`.
    pub fn deny(&self, user: &str, kind: &str, name: &str) {
        self.change(&["deny", user, kind, name]);
    }

    /// Has a listener show another certificate and trust others, without a restart (KIP-226). Takes effect soon.
    pub fn roll(&self, listener: Listener, shows: &Issued, trusts: &str) {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let store = write(&self.directory, &format!("shows-{count}.pem"), &keystore(shows));
        let trusted = write(&self.directory, &format!("trusts-{count}.pem"), trusts);
        let (_, name, _) = LISTENERS.iter().find(|(of, ..)| *of == listener).expect("every listener has a name");
        self.change(&["roll", &name.to_ascii_lowercase(), &store, &trusted]);
    }

    /// By Java's administrative client, over the open listener.
    fn change(&self, arguments: &[&str]) {
        let mut java = artifacts::java();
        java.args(["-cp", &artifacts::class_path(&self.version)]).arg(artifacts::sources().join("Secure.java"));
        java.arg(self.kafka.bootstrap()).args(arguments);
        artifacts::run(&mut java, "changing users, rights and certificates");
    }
}

impl Drop for SecuredKafka {
    fn drop(&mut self) {
        // Certificates of a test: whoever dies before this leaves a few kilobytes under target.
        let _ = fs::remove_dir_all(&self.directory);
    }
}

fn write(directory: &Path, name: &str, text: &str) -> String {
    let path = directory.join(name);
    fs::write(&path, text).expect("the directory of the live suite is writable");
    path.display().to_string()
}

/// Key and certificates in one file, as Kafka reads them.
fn keystore(issued: &Issued) -> String {
    format!("{}{}", issued.key.expose(), issued.chain)
}

fn stores(options: Options, directory: &Path, authority: &Authority) -> Options {
    let trusted = write(directory, "ca.pem", &authority.certificate);
    let own = write(directory, "server.pem", &keystore(&authority.server(NAMES, Validity::Now)));
    let mut options = options
        .property("ssl.keystore.type", "PEM")
        .property("ssl.truststore.type", "PEM")
        .property("ssl.keystore.location", &own)
        .property("ssl.truststore.location", &trusted)
        .property("listener.name.mtls.ssl.client.auth", "required")
        .property("listener.name.mtls.ssl.principal.mapping.rules", "RULE:^CN=([^,]+).*$/$1/,DEFAULT");
    for (name, issued) in [
        ("expired", authority.server(NAMES, Validity::Past)),
        ("future", authority.server(NAMES, Validity::Future)),
        ("wronghost", authority.server(&["kafka.example.com"], Validity::Now)),
        ("selfsigned", Authority::self_signed(NAMES)),
    ] {
        let path = write(directory, &format!("{name}.pem"), &keystore(&issued));
        options = options
            .property(&format!("listener.name.{name}.ssl.keystore.type"), "PEM")
            .property(&format!("listener.name.{name}.ssl.keystore.location"), &path);
    }
    options
}

fn logins(options: Options, password: &str) -> Options {
    let module = |class: &str, rest: &str| format!("org.apache.kafka.common.security.{class} required{rest};");
    let plain = module("plain.PlainLoginModule", &format!(" user_admin=\"admin-pw\" user_alice=\"{password}\""));
    let scram = module("scram.ScramLoginModule", "");
    let token = module("oauthbearer.OAuthBearerLoginModule", " unsecuredLoginStringClaim_sub=\"broker\"");
    let mut options = options
        .property("inter.broker.listener.name", "PLAINTEXT")
        .property("authorizer.class.name", "org.apache.kafka.metadata.authorizer.StandardAuthorizer")
        .property("allow.everyone.if.no.acl.found", "true")
        .property("super.users", "User:ANONYMOUS;User:admin")
        .scram(&format!("SCRAM-SHA-256=[name=alice,password={password}]"))
        .scram(&format!("SCRAM-SHA-512=[name=alice,password={password},iterations=8192]"));
    for listener in ["sasl", "sasls", "reauth"] {
        let key = |rest: &str| format!("listener.name.{listener}.{rest}");
        options = options
            .property(&key("sasl.enabled.mechanisms"), MECHANISMS)
            .property(&key("plain.sasl.jaas.config"), &plain)
            .property(&key("scram-sha-256.sasl.jaas.config"), &scram)
            .property(&key("scram-sha-512.sasl.jaas.config"), &scram)
            .property(&key("oauthbearer.sasl.jaas.config"), &token);
    }
    for mechanism in MECHANISMS.split(',') {
        let key = format!("listener.name.reauth.{}.connections.max.reauth.ms", mechanism.to_ascii_lowercase());
        options = options.property(&key, "2000");
    }
    options
}
