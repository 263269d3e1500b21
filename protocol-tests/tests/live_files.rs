//! The command with the files, names and variables people already have, against secured real Kafka, Java as the judge.
//!
//! `MILENA_BIN` names the program to run: CI runs this with the static one.
#![cfg(feature = "live-kafka")]

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use protocol_tests::live::{Listener, SecuredKafka};
use protocol_tests::milena_bin::{Finished, Milena, Scratch, milena, milena_bin};
use protocol_tests::security::{CANARY, Validity, assert_nothing_leaked};

const RECORDS: usize = 2000;

/// Runs a command at TRACE; neither output may hold a secret.
fn run(command: Milena) -> Finished {
    let finished = command.args(["-vvv"]).run();
    assert_nothing_leaked(&finished.stderr);
    assert_nothing_leaked(&finished.stdout);
    finished
}

/// Writes lines and reads them back by commands that `reach` tells how to connect, and lets Java read them too.
fn write_and_read(kafka: &SecuredKafka, topic: &str, reach: impl Fn(Milena) -> Milena) {
    let (java, open) = (kafka.kafka.java(), kafka.kafka.bootstrap());
    java.create_topic(&open, topic, 1, 1, &[]);
    let lines: String = (0..RECORDS).map(|n| format!("{topic} {n}\n")).collect();
    let written = run(reach(milena(["produce", "-t", topic])).stdin(lines.as_str()));
    assert!(written.stderr.contains("DEBUG"), "all is logged: {}", written.stderr);
    assert_eq!(written.ok(), "");
    assert_eq!(run(reach(milena(["consume", "-t", topic, "-e"]))).ok(), lines);
    let held: String = java.read_committed(&open, topic).iter().map(|r| r.value_text() + "\n").collect();
    assert_eq!(held, lines, "Java reads the same");
}

#[test]
fn files_names_and_variables_that_people_have_reach_a_secured_broker() {
    println!("running {}", milena_bin().display());
    for version in ["4.4.0", "3.9.1"] {
        let (kafka, scratch) = (SecuredKafka::start(version, CANARY), Scratch::new(&format!("files-{version}")));
        reach(&kafka, &scratch);
        if version == "4.4.0" {
            convert(&kafka, &scratch);
        }
    }
}

fn reach(kafka: &SecuredKafka, scratch: &Scratch) {
    let file = |name: &str, text: &str| {
        let path = scratch.path(name);
        fs::write(&path, text).expect("scratch is writable");
        path
    };
    let trusted = file("ca.pem", &kafka.authority.certificate);
    let alice = kafka.authority.client("alice-cert", Validity::Now);
    let identity = file("alice.pem", &format!("{}{}", alice.key.expose(), alice.chain));
    let (sasl, mutual) = (kafka.address(Listener::SaslTls), kafka.address(Listener::MutualTls));
    let module = "org.apache.kafka.common.security";
    let scram = format!("{module}.scram.ScramLoginModule required username=\"alice\" password=\"{CANARY}\";");

    // A Java client's file, as its documentation writes it.
    let java = format!(
        "# of the old consumer\nbootstrap.servers={sasl}\nsecurity.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n\
         sasl.jaas.config={module}.scram.ScramLoginModule required \\\n    username=\"alice\" \\\n    password=\"{CANARY}\";\n\
         ssl.truststore.type=PEM\nssl.truststore.location={trusted}\n"
    );
    let path = file("java.properties", &java);
    write_and_read(kafka, "java-names", |command| command.args(["--config", &path]));

    let librdkafka = format!(
        "metadata.broker.list={sasl}\nsecurity.protocol=sasl_ssl\nsasl.mechanisms=PLAIN\nsasl.username=alice\n\
         sasl.password={CANARY}\nssl.ca.location={trusted}\n"
    );
    let path = file("librdkafka.conf", &librdkafka);
    write_and_read(kafka, "librdkafka-names", |command| command.args(["-F", &path]));

    write_and_read(kafka, "variables", |command| {
        let command = command.env("MILENA_BOOTSTRAP_SERVERS", &sasl).env("MILENA_SECURITY_PROTOCOL", "SASL_SSL");
        let command = command.env("MILENA_SASL_MECHANISM", "SCRAM-SHA-256").env("MILENA_SASL_JAAS_CONFIG", &scram);
        command.env("MILENA_SSL_TRUSTSTORE_LOCATION", &trusted)
    });

    let certificate = format!(
        "bootstrap.servers={mutual}\nsecurity.protocol=SSL\nssl.truststore.location={trusted}\n\
         ssl.keystore.type=PEM\nssl.keystore.location={identity}\n"
    );
    let path = file("certificate.properties", &certificate);
    write_and_read(kafka, "certificate", |command| command.args(["-F", &path]));

    // The same in the file itself, each in one line, as Java takes it too.
    let one_line = |pem: &str| pem.replace('\n', " ");
    let inline = format!(
        "bootstrap.servers={mutual}\nsecurity.protocol=SSL\nssl.truststore.type=PEM\nssl.keystore.type=PEM\n\
         ssl.truststore.certificates={}\nssl.keystore.certificate.chain={}\nssl.keystore.key={}\n",
        one_line(&kafka.authority.certificate),
        one_line(&alice.chain),
        one_line(alice.key.expose())
    );
    let path = file("inline.properties", &inline);
    write_and_read(kafka, "inline", |command| command.args(["-F", &path]));

    // Nobody to trust is named: then the system's authorities are, of which ours is made one.
    let system = java.replace(&format!("ssl.truststore.type=PEM\nssl.truststore.location={trusted}\n"), "");
    let path = file("system.properties", &system);
    write_and_read(kafka, "the-system-trusts", |command| command.args(["-F", &path]).env("SSL_CERT_FILE", &trusted));

    let open = librdkafka.replace(&sasl, &kafka.address(Listener::Sasl)).replace("sasl_ssl", "sasl_plaintext");
    let path = file("open.conf", &open.replace(&format!("ssl.ca.location={trusted}\n"), ""));
    write_and_read(kafka, "in-the-clear", |command| command.args(["-F", &path]));
    let warned = run(milena(["consume", "-t", "in-the-clear", "-e", "-F", &path])).stderr;
    assert_eq!(warned.matches("anybody on the way can read").count(), 1, "one warning: {warned}");

    let wrong = java.replace(CANARY, &format!("{CANARY}-wrong"));
    let path = file("wrong.properties", &wrong);
    let refused = run(milena(["consume", "-t", "java-names", "-e", "-F", &path]));
    refused.failed(1, &["SCRAM-SHA-512 as `alice`", "SASL_AUTHENTICATION_FAILED", "sasl.jaas.config", &sasl]);
}

/// Runs a line as a shell does, in `directory` and without a terminal, and answers what it asks for.
fn shell(directory: &str, line: &str, answers: &str) {
    let mut shell = Command::new("setsid");
    shell.args(["-w", "sh", "-c", line]).current_dir(directory);
    let mut child = shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("a shell");
    child.stdin.take().expect("piped").write_all(answers.as_bytes()).expect("it listens");
    let done = child.wait_with_output().expect("it ends");
    assert!(done.status.success(), "{line}: {}", String::from_utf8_lossy(&done.stderr));
}

/// What `milena` says of a file that names a store of Java: the command between its backquotes.
fn command_named(file: &str) -> String {
    let refused = run(milena(["config", "--config", file]));
    let command = refused.stderr.split('`').nth(1).unwrap_or_else(|| panic!("no command: {}", refused.stderr));
    command.to_owned()
}

/// Stores of Java as people have them, converted by the very commands that the refusals name, let us in.
fn convert(kafka: &SecuredKafka, scratch: &Scratch) {
    let directory = scratch.path("");
    let write = |name: &str, text: &str| fs::write(scratch.path(name), text).expect("scratch is writable");
    let alice = kafka.authority.client("alice-cert", Validity::Now);
    write("ca.pem", &kafka.authority.certificate);
    write("me.pem", &format!("{}{}", alice.key.expose(), alice.chain));
    shell(&directory, "openssl pkcs12 -export -in me.pem -out me.p12 -passout pass:changeit", "");
    let trust = "keytool -importcert -noprompt -alias ca -file ca.pem -storepass changeit";
    shell(&directory, &format!("{trust} -keystore ca.jks -storetype JKS"), "");
    shell(&directory, &format!("{trust} -keystore ca.p12 -storetype PKCS12"), "");
    let import = "keytool -importkeystore -srckeystore me.p12 -srcstorepass changeit -deststorepass changeit";
    shell(&directory, &format!("{import} -destkeystore me.jks -deststoretype JKS"), "");
    for form in ["jks", "p12"] {
        let path = scratch.path(&format!("{form}.properties"));
        let at = |name: &str| scratch.path(name);
        let begin = format!("bootstrap.servers={}\nsecurity.protocol=SSL\n", kafka.address(Listener::MutualTls));
        // No type is given: Java's default is its own store, and no file is PEM that has a password.
        let ours = format!("ssl.truststore.type=PEM\nssl.truststore.location={}\n", at("truststore.pem"));
        let (trust, key) = (at(&format!("ca.{form}")), at(&format!("me.{form}")));
        let key = format!("ssl.keystore.location={key}\nssl.keystore.password=changeit\n");
        let trust = format!("ssl.truststore.location={trust}\nssl.truststore.password=changeit\n");
        write(&format!("{form}.properties"), &format!("{begin}{trust}{key}"));
        shell(&directory, &command_named(&path), "changeit\n");
        write(&format!("{form}.properties"), &format!("{begin}{ours}{key}"));
        for part in command_named(&path).split(" && ") {
            // keytool asks for the new store's password twice and for the old one's, openssl for the store's and twice
            // for the key's.
            shell(&directory, part, "changeit\nchangeit\nchangeit\n");
        }
        let key = format!("ssl.keystore.type=PEM\nssl.keystore.location={}\n", at("keystore.pem"));
        write(&format!("{form}.properties"), &format!("{begin}{ours}{key}ssl.key.password=changeit\n"));
        write_and_read(kafka, &format!("stores-{form}"), |command| command.args(["-F", &path]));
    }
}
