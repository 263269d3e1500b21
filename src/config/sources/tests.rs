//! Files, environment and arguments: who wins, what is told, and what is never printed.

use std::path::PathBuf;

use super::*;
use crate::config::Acks;

/// A file of this test, gone with it.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str, text: impl AsRef<[u8]>) -> Self {
        let path = std::env::temp_dir().join(format!("milena-{test}-{}.properties", std::process::id()));
        std::fs::write(&path, text).unwrap();
        Self(path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn variables(pairs: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
    pairs.iter().map(|(name, value)| (name.into(), value.into())).collect()
}

fn value(resolved: &Resolved, name: &str) -> (String, String) {
    let value = resolved.values.iter().find(|value| value.property.name == name).unwrap();
    (value.shown.clone(), value.source.to_string())
}

#[test]
fn a_later_source_wins_in_whatever_order_they_are_added() {
    let file = Scratch::new("wins", "linger.ms=1\nbatch.size=1\nclient.id=file\n");
    let path = file.0.display().to_string();
    let environment = variables(&[("MILENA_LINGER_MS", "2"), ("MILENA_BATCH_SIZE", "2")]);
    let sources = Sources::default().argument("linger.ms", "3").unwrap().environment(environment).unwrap();
    let resolved = sources.file(&file.0).unwrap().resolve().unwrap();
    assert_eq!(value(&resolved, "linger.ms"), ("3".into(), "argument".into()));
    assert_eq!(value(&resolved, "batch.size"), ("2".into(), "MILENA_BATCH_SIZE".into()));
    assert_eq!(value(&resolved, "client.id"), ("file".into(), format!("{path}:3")));
    assert_eq!(value(&resolved, "acks"), ("all".into(), "default".into()));
    assert_eq!(resolved.config.producer.linger.as_millis(), 3);
    assert_eq!((resolved.config.producer.batch_size, resolved.config.client.client_id.as_str()), (2, "file"));
}

#[test]
fn a_java_client_s_file_works_and_tells_what_it_passed_over() {
    let text = "bootstrap.servers=kafka-1:9092,[::1]:9093\nkey.serializer=org.apache.kafka.StringSerializer\nacks=all\n\
                group.id=g\nenable.auto.commit=false\n";
    let file = Scratch::new("java", text);
    let resolved = Sources::default().file(&file.0).unwrap().resolve().unwrap();
    assert_eq!(resolved.config.client.bootstrap_servers, ["kafka-1:9092", "[::1]:9093"]);
    assert_eq!((resolved.config.producer.acks, resolved.config.consumer.group_id.as_deref()), (Acks::All, Some("g")));
    let warnings = resolved.warnings.join("\n");
    assert!(warnings.contains(":2: key.serializer is passed over: ") && warnings.contains(":5: enable.auto.commit"));
    assert_eq!(resolved.warnings.len(), 2);
}

#[test]
fn a_mistake_is_told_with_its_place_its_value_and_the_way_out() {
    for (text, words) in [
        ("a=1\nlingr.ms=5", &[":1", "a:", "did you mean"][..]),
        ("#\nlinger.ms=soon", &[":2", "linger.ms", "`soon`", "milliseconds from 0"]),
        ("linger.ms=5\nqueue.buffering.max.ms=6", &["queue.buffering.max.ms", "linger.ms", "give one of them"]),
        ("config.providers=file", &[":1", "config.providers", "write them out"]),
        ("interceptor.classes=a.B", &["interceptor.classes", "would silently stop"]),
        ("linger.ms=\\u12", &["line 1", "\\u"]),
        ("acks=1\nenable.idempotence=true", &["acks", "enable.idempotence"]),
        ("delivery.timeout.ms=1000\nlinger.ms=5", &["delivery.timeout.ms", "linger.ms", "request.timeout.ms"]),
        ("batch.size=99999999999999999999", &["batch.size", "0 to 67108864"]),
        (
            "proxy.url=http://p:1\nclient.dns.lookup=resolve_canonical_bootstrap_servers_only",
            &["client.dns.lookup", "proxy.url"],
        ),
        ("proxy.url=p:1", &["proxy.url", "socks5://host:port"]),
        ("acks=\\u0000", &["acks", "one of all"]),
    ] {
        let file = Scratch::new("mistake", text);
        let error = Sources::default().file(&file.0).and_then(Sources::resolve).err().unwrap().to_string();
        for word in words {
            assert!(error.contains(word), "`{word}` is not in: {error}");
        }
    }
}

#[test]
fn the_last_of_a_repeated_name_counts_and_another_name_may_say_the_same() {
    let file = Scratch::new("last", "linger.ms=1\nlinger.ms=2\nqueue.buffering.max.ms=2\n");
    let resolved = Sources::default().file(&file.0).unwrap().resolve().unwrap();
    assert_eq!(resolved.config.producer.linger.as_millis(), 2);
    let sources = Sources::default().file(&file.0).unwrap().argument("linger.ms", "7").unwrap();
    let resolved = sources.argument("linger.ms", "8").unwrap().resolve().unwrap();
    assert_eq!(resolved.config.producer.linger.as_millis(), 8, "arguments overrule the file under any name");
}

#[test]
fn a_variable_that_misses_a_name_is_an_error_and_a_stranger_s_is_left_alone() {
    let error = Sources::default().environment(variables(&[("MILENA_LINGR_MS", "1")])).err().unwrap().to_string();
    assert!(error.contains("MILENA_LINGR_MS") && error.contains("MILENA_LINGER_MS"), "{error}");
    let strangers = [("MILENA_SEED", "7"), ("MILENA_PORT", "tcp://10.0.0.1:80"), ("LINGER_MS", "9"), ("PATH", "/")];
    let resolved = Sources::default().environment(variables(&strangers)).unwrap().resolve().unwrap();
    assert!(resolved.values.iter().all(|value| value.source == Source::Default) && resolved.warnings.is_empty());
    let error = Sources::default().environment(variables(&[("MILENA_ACKS", "2")])).err().unwrap().to_string();
    assert!(error.contains("MILENA_ACKS") && error.contains("one of all"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let error = Sources::default().file("/no/such/client.properties").err().unwrap().to_string();
    assert!(error.contains("/no/such/client.properties") && error.contains("cannot be opened"), "{error}");
    let large = Scratch::new("large", "#".repeat(2 << 20));
    let error = Sources::default().file(&large.0).err().unwrap().to_string();
    assert!(error.contains("1 MiB"), "{error}");
    let long = Scratch::new("long", format!("linger.ms={}", "9".repeat(1_000_000)));
    let error = Sources::default().file(&long.0).err().unwrap().to_string();
    assert!(error.len() < 400, "a value of a megabyte is not repeated");
}

#[test]
fn a_secret_is_nowhere_in_what_is_printed() {
    const CANARY: &str = "canary-7f3a";
    let jaas = |options: &str| format!("org.apache.kafka.common.security.plain.PlainLoginModule required {options};");
    let good = jaas(&format!("username=\"alice\" password=\"{CANARY}\""));
    let text = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nssl.key.password={CANARY}\n\
                        ssl.keystore.location=/k.pem\nsasl.jaas.config={good}\n"
    );
    let file = Scratch::new("secret", text);
    let resolved = Sources::default().file(&file.0).unwrap().resolve().unwrap();
    let printed: Vec<String> = resolved.values.iter().map(|v| format!("{}={}", v.property.name, v.shown)).collect();
    let printed = format!("{printed:?} {:?} {:#?}", resolved.config, resolved.config);
    assert!(!printed.contains(CANARY) && printed.contains("alice"), "{printed}");
    for wrong in [
        format!("sasl.jaas.config=C required password={CANARY}"),
        format!("sasl.jaas.config=C required password=\"{CANARY};"),
        format!("security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nsasl.jaas.config={good}"),
        format!("sasl.pasword={CANARY}"),
        format!("sasl.password={CANARY}\nsasl.username=a"),
        format!("proxy.url=socks9://user:{CANARY}@host:1"),
        format!("ssl.truststore.password={CANARY}\nsecurity.protocol=SSL"),
    ] {
        let file = Scratch::new("wrong-secret", &wrong);
        let error = Sources::default().file(&file.0).and_then(Sources::resolve).err().unwrap();
        let printed = format!("{error} {error:?} {error:#?}");
        assert!(!printed.contains(CANARY), "{printed}");
    }
}
