//! The settings people already have: a Java client's file, variables and flags reach every command, and secrets no output.

use std::fs;

use protocol_tests::milena_bin::{Scratch, milena};
use protocol_tests::tcp_broker::TcpBroker;

const CANARY: &str = "canary-51c0-password";

#[test]
fn a_file_of_a_java_client_the_environment_and_flags_reach_a_broker() {
    let (broker, scratch) = (TcpBroker::start(), Scratch::new("config-reach"));
    broker.create_topic("letters", 1);
    let file = scratch.path("client.properties");
    let text = format!("# ours\nbootstrap.servers = {}\nkey.serializer=a.B\nlinger.ms : 0\nclient.id=j\n", broker.at());
    fs::write(&file, text).expect("scratch is writable");
    let produced = milena(["produce", "--config", &file, "-t", "letters"]).stdin("one\n").run();
    assert!(produced.stderr.contains("client.properties:3: key.serializer is passed over"), "{}", produced.stderr);
    produced.ok();
    let consumed = milena(["consume", "-t", "letters", "-e"]).env("MILENA_BOOTSTRAP_SERVERS", &broker.at()).run();
    assert_eq!(consumed.ok(), "one\n");
    // Flags overrule variables, and variables the file.
    let overruled = milena(["consume", "-F", &file, "-t", "letters", "-e", "-b", &broker.at()]);
    assert_eq!(overruled.env("MILENA_BOOTSTRAP_SERVERS", "127.0.0.1:1").run().ok(), "one\n");
    let lost = milena(["consume", "-F", &file, "-t", "letters", "-e", "-X", "default.api.timeout.ms=300"]);
    lost.env("MILENA_BOOTSTRAP_SERVERS", "127.0.0.1:1").run().failed(1, &["127.0.0.1:1"]);
}

#[test]
fn config_prints_the_table_or_what_a_file_resolves_to_without_its_secrets() {
    let scratch = Scratch::new("config-print");
    let table = milena(["config"]).run().ok();
    for property in milena::config::properties() {
        assert!(table.contains(property.name), "{}", property.name);
    }
    assert_eq!(milena(["config", "--markdown"]).run().ok(), milena::config::reference());
    let file = scratch.path("client.properties");
    let jaas = format!("x.PlainLoginModule required username=\"u\" password=\"{CANARY}\";");
    let text =
        format!("bootstrap.servers=a:1\nsecurity.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config={jaas}\n");
    fs::write(&file, text).expect("scratch is writable");
    let proxied = format!("proxy.url=http://me:{CANARY}@proxy:3128");
    let resolve = || milena(["config", "--config", &file, "-X", &proxied, "-vvv"]).env("MILENA_LINGER_MS", "7").run();
    let resolved = resolve();
    assert!(!resolved.stderr.contains(CANARY), "{}", resolved.stderr);
    let lines = resolved.ok();
    for line in [
        "bootstrap.servers=a:1  # ".to_owned() + &file + ":1",
        "sasl.jaas.config=…  # ".to_owned() + &file + ":4",
        "linger.ms=7  # MILENA_LINGER_MS".into(),
        "proxy.url=…  # argument".into(),
    ] {
        assert!(lines.lines().any(|printed| printed == line), "{line} is not in\n{lines}");
    }
    assert_eq!(lines.lines().count(), 6, "only what was given: {lines}");
    assert!(!lines.contains(CANARY));
    let of_environment = milena(["config"]).env("MILENA_LINGER_MS", "7").run().ok();
    assert_eq!(of_environment, "linger.ms=7  # MILENA_LINGER_MS\n", "the environment alone is resolved too");
    let all = milena(["config", "--config", &file, "--all", "--json"]).run().ok();
    assert_eq!(all.lines().count(), milena::config::properties().count());
    assert!(all.contains(r#"{"name":"acks","value":"all","source":"default"}"#) && !all.contains(CANARY));
}

#[test]
fn a_mistake_in_a_file_ends_every_command_with_its_place_and_no_secret() {
    let scratch = Scratch::new("config-mistake");
    let file = scratch.path("client.properties");
    for (text, words) in [
        (format!("sasl.pasword={CANARY}"), vec![":1", "sasl.pasword", "did you mean sasl.password?"]),
        (
            format!("sasl.jaas.config=x.PlainLoginModule required password={CANARY}"),
            vec!["sasl.jaas.config", "PLAINTEXT"],
        ),
        ("bootstrap.servers=a:1\nacks=1\nenable.idempotence=true".into(), vec!["acks", "enable.idempotence"]),
        ("bootstrap.servers=a:1\nssl.truststore.location=/ca.pem".into(), vec!["ssl.truststore.location", "PLAINTEXT"]),
        ("bootstrap.servers=a:1\nlinger.ms=\\u00".into(), vec!["line 2", "\\u"]),
    ] {
        fs::write(&file, &text).expect("scratch is writable");
        let printed = milena(["consume", "-t", "t", "-e", "--config", &file, "-vvv"]).run();
        assert!(!printed.stderr.contains(CANARY), "{}", printed.stderr);
        printed.failed(2, &words);
    }
    milena(["consume", "-t", "t"]).run().failed(2, &["bootstrap.servers", "host:port"]);
    milena(["consume", "-t", "t", "--config", "/no/such/file"]).run().failed(2, &["/no/such/file", "cannot be opened"]);
    let typo = milena(["consume", "-t", "t", "-b", "a:1"]).env("MILENA_LINGR_MS", "5").run();
    typo.failed(2, &["MILENA_LINGR_MS", "MILENA_LINGER_MS"]);
}
