//! Security settings as people write them for Java and librdkafka, and every way in which they contradict each other.

use std::path::PathBuf;

use super::*;
use crate::config::Config;
use crate::config::security::{Identity, OAuthBearer, Pem, Roots, SaslMechanism, TlsVersion};

fn security(text: &str) -> Result<Security> {
    let mut config = Config::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once('=').unwrap();
        config.set(name, value)?;
    }
    config.check_together()?;
    Ok(config.client.security)
}

const PLAIN: &str = "org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";";

fn alice() -> (String, Secret) {
    ("alice".into(), Secret::new("a;b\" c"))
}

#[test]
fn every_mechanism_is_set_as_java_users_set_it() {
    let (username, password) = alice();
    let module = |name: &str| format!("a.b.{name} required username=\"alice\" password=\"a;b\\\" c\";");
    for (mechanism, expected) in [
        ("PLAIN", SaslMechanism::Plain { username: username.clone(), password: password.clone() }),
        ("SCRAM-SHA-256", SaslMechanism::ScramSha256 { username: username.clone(), password: password.clone() }),
        ("SCRAM-SHA-512", SaslMechanism::ScramSha512 { username, password }),
    ] {
        let class = if mechanism == "PLAIN" { "PlainLoginModule" } else { "ScramLoginModule" };
        let jaas = module(class);
        let java = format!("sasl.jaas.config={jaas}\nsasl.mechanism={mechanism}\nsecurity.protocol=SASL_SSL");
        assert_eq!(security(&java).unwrap().sasl, Some(expected.clone()), "{mechanism}");
        let librdkafka = format!(
            "security.protocol=sasl_ssl\nsasl.mechanisms={mechanism}\nsasl.username=alice\nsasl.password=a;b\" c"
        );
        let security = security(&librdkafka).unwrap();
        assert_eq!((security.protocol, security.sasl), (SecurityProtocol::SaslSsl, Some(expected)));
    }
}

#[test]
fn tokens_come_from_an_endpoint_or_are_unsigned_by_their_own_name() {
    let begin = "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\n";
    let url = "sasl.oauthbearer.token.endpoint.url=https://id.example/token\n";
    let module = "x.OAuthBearerLoginModule required";
    let java = format!(
        "{begin}{url}sasl.jaas.config={module} clientId=\"me\" clientSecret=\"s\" scope=\"kafka\" extension_cluster=\"lkc\" \
         ssl.truststore.location=\"/id.pem\";"
    );
    let librdkafka = format!(
        "{begin}{url}sasl.oauthbearer.client.id=me\nsasl.oauthbearer.client.secret=s\nsasl.oauthbearer.scope=kafka\n\
         sasl.oauthbearer.extensions=cluster=lkc\nhttps.ca.location=/id.pem"
    );
    let java = security(&java).unwrap().sasl;
    assert_eq!(java, security(&librdkafka).unwrap().sasl);
    let Some(SaslMechanism::OAuthBearer(OAuthBearer::ClientCredentials(oidc))) = java else { panic!("{java:?}") };
    assert_eq!((oidc.token_endpoint.as_str(), oidc.client_id.as_str()), ("https://id.example/token", "me"));
    assert_eq!((oidc.scope.as_deref(), oidc.client_secret.expose()), (Some("kafka"), "s"));
    assert_eq!(oidc.extensions, [("cluster".into(), "lkc".into())]);
    assert_eq!(oidc.roots, Roots::Pem(Pem::File(PathBuf::from("/id.pem"))));
    let unsigned = format!("{begin}sasl.jaas.config={module} unsecuredLoginStringClaim_sub=\"admin\";");
    let Some(SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token))) = security(&unsigned).unwrap().sasl
    else {
        panic!("an unsigned token");
    };
    assert_eq!((token.subject.as_str(), token.lifetime.as_secs()), ("admin", 3600));
}

#[test]
fn tls_is_set_by_files_or_texts_under_either_clients_names() {
    let java = "security.protocol=SSL\nssl.truststore.location=/ca.pem\nssl.truststore.type=PEM\n\
                ssl.keystore.location=/me.pem\nssl.key.password=k";
    let tls = security(java).unwrap().tls;
    assert_eq!(tls.roots, Roots::Pem(Pem::File(PathBuf::from("/ca.pem"))));
    let me = || Pem::File("/me.pem".into());
    assert_eq!(tls.identity, Some(Identity { chain: me(), key: me(), key_password: Some(Secret::new("k")) }));
    let librdkafka = "security.protocol=ssl\nssl.ca.location=/ca.pem\nssl.certificate.location=/me.pem\n\
                      ssl.key.location=/me.pem\nssl.key.password=k";
    assert_eq!(security(librdkafka).unwrap().tls, tls);
    let texts = "security.protocol=SSL\nssl.ca.pem=CA\nssl.certificate.pem=CHAIN\nssl.key.pem=KEY";
    let tls = security(texts).unwrap().tls;
    assert_eq!(tls.roots, Roots::Pem(Pem::Text(Secret::new("CA"))));
    let text = |text: &str| Pem::Text(Secret::new(text));
    assert_eq!(tls.identity, Some(Identity { chain: text("CHAIN"), key: text("KEY"), key_password: None }));
}

#[test]
fn versions_and_the_check_of_the_name_are_as_java_s() {
    let tls = |text: &str| security(&format!("security.protocol=SSL\n{text}")).unwrap().tls;
    let versions = |text: &str| (tls(text).min_version, tls(text).max_version);
    use TlsVersion::{Tls12, Tls13};
    assert_eq!(versions(""), (Tls12, Tls13));
    assert_eq!(versions("ssl.enabled.protocols=TLSv1.3"), (Tls13, Tls13));
    assert_eq!(versions("ssl.enabled.protocols=TLSv1.3, TLSv1.2"), (Tls12, Tls13));
    assert_eq!(versions("ssl.protocol=TLSv1.2"), (Tls12, Tls12));
    assert_eq!(versions("ssl.protocol=TLSv1.2\nssl.enabled.protocols=TLSv1.2,TLSv1.3"), (Tls12, Tls12));
    assert_eq!(versions("ssl.protocol=TLS"), (Tls12, Tls13));
    for (value, is_checked) in [("https", true), ("HTTPS", true), ("", false), ("none", false)] {
        let tls = tls(&format!("ssl.endpoint.identification.algorithm={value}"));
        assert_eq!(tls.verify_hostname, is_checked, "{value}");
    }
}

/// Each: settings, then what the error must name.
const CONTRADICTIONS: &[(&str, &[&str])] = &[
    ("sasl.mechanism=PLAIN", &["sasl.mechanism", "security.protocol=PLAINTEXT", "SASL_SSL"]),
    ("ssl.truststore.location=/ca.pem", &["ssl.truststore.location", "security.protocol=PLAINTEXT", "=SSL"]),
    ("security.protocol=SASL_PLAINTEXT\nssl.key.password=x", &["ssl.key.password", "=SASL_SSL"]),
    ("security.protocol=SASL_SSL", &["sasl.mechanism", "GSSAPI", "SCRAM-SHA-512"]),
    ("security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI", &["sasl.mechanism", "GSSAPI", "SCRAM-SHA-512"]),
    ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN", &["sasl.username", "sasl.jaas.config"]),
    ("security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.username=u", &["sasl.password"]),
    (
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=a.ScramLoginModule required;",
        &["sasl.jaas.config", "ScramLoginModule", "PlainLoginModule", "sasl.mechanism=PLAIN"],
    ),
    (
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=PlainLoginModule required username=\"u\";",
        &["sasl.jaas.config", "option password is missing"],
    ),
    (
        "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER",
        &["token.endpoint.url", "unsecuredLoginStringClaim_sub"],
    ),
    (
        "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=http://id/token",
        &["token.endpoint.url", "https://"],
    ),
    (
        "security.protocol=SASL_SSL\nsasl.mechanism=OAUTHBEARER\nsasl.oauthbearer.token.endpoint.url=https://id/token",
        &["client.credentials.client.id", "token.endpoint.url"],
    ),
    ("security.protocol=SSL\nssl.truststore.location=/a\nssl.truststore.certificates=B", &["location", "certificates"]),
    (
        "security.protocol=SSL\nssl.keystore.location=/a\nssl.key.location=/b",
        &["ssl.keystore.location", "ssl.key.location"],
    ),
    ("security.protocol=SSL\nssl.certificate.location=/a", &["ssl.certificate.location", "ssl.key.location"]),
    ("security.protocol=SSL\nssl.keystore.key=K", &["ssl.keystore.key", "ssl.keystore.certificate.chain"]),
    ("security.protocol=SSL\nssl.key.password=x", &["ssl.key.password", "ssl.keystore.location"]),
    ("security.protocol=SSL\nssl.enabled.protocols=TLSv1.1", &["ssl.enabled.protocols", "TLSv1.1", "TLSv1.2"]),
    (
        "security.protocol=SSL\nssl.protocol=TLSv1.2\nssl.enabled.protocols=TLSv1.3",
        &["ssl.enabled.protocols", "ssl.protocol"],
    ),
    ("security.protocol=SSL\nssl.truststore.password=x", &["ssl.truststore.password", "PEM"]),
    (
        "security.protocol=SSL\nssl.truststore.location=/no/such.jks\nssl.truststore.password=x",
        &["ssl.truststore.location", "JKS", "keytool -list -rfc -keystore '/no/such.jks' > truststore.pem"],
    ),
    (
        "security.protocol=SSL\nssl.keystore.location=/no/such.p12\nssl.keystore.password=x",
        &["ssl.keystore.location", "PKCS12", "openssl pkcs12 -in '/no/such.p12' -out keystore.pem"],
    ),
    (
        "security.protocol=SSL\nssl.keystore.location=/no/such.pem\nssl.keystore.password=x",
        &["ssl.keystore.password", "ssl.key.password"],
    ),
    ("security.protocol=SSL\nssl.keystore.password=x", &["ssl.keystore.password", "ssl.key.password"]),
    (
        "security.protocol=SSL\nenable.ssl.certificate.verification=false",
        &["enable.ssl.certificate.verification", "CA"],
    ),
    (
        "security.protocol=SSL\nssl.truststore.type=JKS\nssl.truststore.location=/t.jks",
        &["ssl.truststore.type", "keytool -list -rfc -keystore '/t.jks' > truststore.pem"],
    ),
    (
        "security.protocol=SSL\nssl.keystore.type=PKCS12\nssl.keystore.location=/k.p12",
        &["ssl.keystore.type", "openssl pkcs12 -in '/k.p12' -out keystore.pem", "ssl.key.password"],
    ),
    ("https.ca.location=/ca.pem", &["https.ca.location", "sasl.oauthbearer.token.endpoint.url"]),
    ("security.protocol=TLS", &["security.protocol", "`TLS`", "SASL_SSL"]),
    ("ssl.truststore.type=BCFKS", &["ssl.truststore.type", "PEM"]),
];

#[test]
fn contradictions_name_both_settings_and_the_way_out() {
    for (text, words) in CONTRADICTIONS {
        let error = security(text).unwrap_err().to_string();
        for word in *words {
            assert!(error.contains(word), "`{word}` is not in: {error}\n{text}");
        }
    }
}

#[test]
fn settings_come_in_any_order_and_never_fall_back_to_less() {
    let lines = ["security.protocol=SASL_SSL", "sasl.mechanism=PLAIN", "ssl.truststore.location=/ca.pem"];
    let jaas = format!("sasl.jaas.config={PLAIN}");
    for first in 0..4 {
        let mut order = [lines[0], lines[1], lines[2], jaas.as_str()];
        order.rotate_left(first);
        let security = security(&order.join("\n")).unwrap();
        assert_eq!(security.sasl.unwrap().name(), "PLAIN");
        assert_ne!(security.tls.roots, Roots::System);
    }
    let mut config = Config::default();
    config.set("security.protocol", "SASL_SSL").unwrap();
    config.set("sasl.jaas.config", "does not parse").unwrap();
    assert_eq!(config.client.security.protocol, SecurityProtocol::SaslSsl, "refused, not sent without SASL");
    assert!(config.client.security.check().is_err());
}

#[test]
fn a_store_of_java_is_known_by_its_bytes_whatever_its_type_is_said_to_be() {
    let path = std::env::temp_dir().join(format!("milena-store-{}", std::process::id()));
    for (head, words) in [(&[0xfe, 0xed, 0xfe, 0xed, 0, 0][..], "keytool"), (&[0x30, 0x82, 1, 2, 3], "openssl pkcs12")]
    {
        std::fs::write(&path, head).unwrap();
        let untyped = format!("security.protocol=SSL\nssl.truststore.location={}\n", path.display());
        let error = security(&format!("{untyped}ssl.truststore.password=canary")).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains("ssl.truststore.location"), "a password and no type: {error}");
        let text =
            format!("security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location={}", path.display());
        let error = security(&text).unwrap_err().to_string();
        assert!(error.contains("ssl.truststore.location") && error.contains(words), "{error}");
    }
    let _ = std::fs::remove_file(path);
}
