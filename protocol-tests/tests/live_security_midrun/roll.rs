//! Certificates of both sides go from an old authority to a new one while records flow: old, both, new, nothing lost.

use std::fs;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use milena::config::ClientConfig;
use milena::config::security::{Identity, Pem, Roots, Secret, Security, SecurityProtocol, TlsConfig};
use milena::connection::{BoxFuture, Dial, Environment, Stream, TcpDial};
use milena::{Client, ErrorKind};
use protocol_tests::live::{Listener, SecuredKafka};
use protocol_tests::milena_bin::Scratch;
use protocol_tests::security::{Authority, Issued, Validity, assert_nothing_leaked, traced};
use tokio::io::{copy_bidirectional, duplex};
use tokio::task::AbortHandle;

use crate::load::Load;
use crate::{create, secured};

/// Names and addresses of the broker's certificates.
const NAMES: &[&str] = &["localhost", "127.0.0.1"];
/// How often every connection is cut, so that each state of the certificates is met by new ones.
const CUT_EVERY: Duration = Duration::from_millis(250);

/// TCP whose connections can all be cut.
#[derive(Clone, Default)]
struct CutDial(Arc<Mutex<Vec<AbortHandle>>>);

impl CutDial {
    fn cut(&self) -> usize {
        let cut = std::mem::take(&mut *self.0.lock().unwrap());
        cut.iter().filter(|connection| !connection.is_finished()).map(AbortHandle::abort).count()
    }
}

impl Dial for CutDial {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let mut outside = TcpDial.dial(host, port).await?;
            let (ours, mut inside) = duplex(1 << 20);
            let carrying = tokio::spawn(async move { copy_bidirectional(&mut inside, &mut outside).await });
            self.0.lock().unwrap().push(carrying.abort_handle());
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

/// The files of a client, which it has been told of once.
struct Files(Scratch);

impl Files {
    fn trust(&self, certificates: &str) {
        fs::write(self.0.path("ca.pem"), certificates).unwrap();
    }

    fn show(&self, issued: &Issued) {
        fs::write(self.0.path("client.pem"), &issued.chain).unwrap();
        fs::write(self.0.path("client.key"), issued.key.expose()).unwrap();
    }

    fn tls(&self) -> TlsConfig {
        let file = |name: &str| Pem::File(self.0.path(name).into());
        let identity = Identity { chain: file("client.pem"), key: file("client.key"), key_password: None };
        TlsConfig::default().with_identity(Some(identity)).with_roots(Roots::Pem(file("ca.pem")))
    }
}

fn config(kafka: &SecuredKafka, tls: TlsConfig) -> ClientConfig {
    let security = Security { protocol: SecurityProtocol::Ssl, tls, sasl: None };
    let bootstrap_servers = vec![kafka.address(Listener::MutualTls)];
    ClientConfig { bootstrap_servers, security, ..ClientConfig::default() }
}

/// A client that has nothing but what it is given here.
async fn stranger(kafka: &SecuredKafka, trusts: &Authority, shows: &Issued) -> milena::Result<Client> {
    let text = |text: &str| Pem::Text(Secret::new(text));
    let identity = Identity { chain: text(&shows.chain), key: Pem::Text(shows.key.clone()), key_password: None };
    let roots = Roots::Pem(text(&trusts.certificate));
    let tls = TlsConfig::default().with_identity(Some(identity)).with_roots(roots);
    Client::with_config(config(kafka, tls)).await
}

/// The broker takes what it is told a moment later.
async fn soon(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so().await {
        assert!(Instant::now() < deadline, "{what}: never");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

async fn roll(kafka: &Arc<SecuredKafka>, shows: &Issued, trusts: &[&Authority]) {
    let trusts: String = trusts.iter().map(|authority| authority.certificate.as_str()).collect();
    let (kafka, shows) = (Arc::clone(kafka), shows.clone());
    tokio::task::spawn_blocking(move || kafka.roll(Listener::MutualTls, &shows, &trusts)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_that_roll_from_old_over_both_to_new_lose_and_double_nothing_under_load() {
    let _traced = traced();
    for version in ["4.4.0", "3.9.1"] {
        let kafka = secured(version).await;
        create(&kafka, "rolled").await;
        let (old, new) = (&kafka.authority, &Authority::new("new-ca"));
        let (old_alice, new_alice) = (old.client("alice-cert", Validity::Now), new.client("alice-cert", Validity::Now));
        let (old_broker, new_broker) = (old.server(NAMES, Validity::Now), new.server(NAMES, Validity::Now));
        let files = Files(Scratch::new(&format!("roll-{version}")));
        files.trust(&old.certificate);
        files.show(&old_alice);
        let dial = CutDial::default();
        let environment = Environment { dial: Arc::new(dial.clone()), ..Environment::default() };
        let client = Client::with_environment(config(&kafka, files.tls()), environment).await.unwrap();
        let load = Load::start(&client, "rolled");
        load.goes_on(1000).await;
        let cutting = tokio::spawn(async move {
            let mut cut = 0;
            loop {
                tokio::time::sleep(CUT_EVERY).await;
                cut += dial.cut();
                tracing::info!(cut, "connections cut");
            }
        });
        load.goes_on(1000).await;
        // Everybody trusts both before anybody shows what is new, and only then forgets what is old.
        roll(&kafka, &old_broker, &[old, new]).await;
        files.trust(&format!("{}{}", old.certificate, new.certificate));
        soon("the broker trusts both", async || stranger(&kafka, old, &new_alice).await.is_ok()).await;
        load.goes_on(2000).await;
        roll(&kafka, &new_broker, &[old, new]).await;
        files.show(&new_alice);
        soon("the broker shows the new one", async || stranger(&kafka, new, &new_alice).await.is_ok()).await;
        load.goes_on(2000).await;
        roll(&kafka, &new_broker, &[new]).await;
        files.trust(&new.certificate);
        soon("the broker forgets the old one", async || stranger(&kafka, new, &old_alice).await.is_err()).await;
        load.goes_on(2000).await;
        for (trusts, shows) in [(old, &new_alice), (new, &old_alice)] {
            let error = stranger(&kafka, trusts, shows).await.expect_err("the old authority is gone");
            assert_eq!(error.kind(), ErrorKind::Security, "{error}");
        }
        cutting.abort();
        let records = load.judge(&kafka).await;
        println!("{version}: {records} records while certificates rolled and connections were cut every {CUT_EVERY:?}");
    }
    assert_nothing_leaked("");
}
