//! What producing over TLS allocates, counted on the client's thread alone: the records of TLS, and nothing else that
//! grows with what is sent.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc;

use allocation_counter::AllocationInfo;
use milena::broker::{Control, Settings, TcpCluster, TlsSettings};
use milena::config::security::{Pem, Roots, Secret, Security, SecurityProtocol, TlsConfig};
use milena::config::{ClientConfig, ProducerConfig};
use milena::connection::Environment;
use milena::{Client, NewRecord};
use protocol_tests::security::{Authority, Validity};
use tokio::runtime::Builder;

const RECORD: usize = 8 * 1024;
const RECORDS: usize = 4 * 1024;
const PAYLOAD: u64 = (RECORD * RECORDS) as u64;
const MIB: u64 = 1 << 20;

/// A broker on a thread of its own, for as long as the process lives.
fn broker(tls: Option<TlsSettings>) -> SocketAddr {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let any = "127.0.0.1:0".parse().unwrap();
            let cluster = match &tls {
                Some(tls) => TcpCluster::bind_tls(Settings::default(), any, tls).await.unwrap(),
                None => TcpCluster::bind(Settings::default(), any).await.unwrap(),
            };
            let (name, configs) = ("t".to_owned(), BTreeMap::new());
            cluster.control(Control::CreateTopic { name, partitions: 1, configs });
            tell.send(cluster.addresses()[0]).unwrap();
            std::future::pending::<()>().await
        });
    });
    told.recv().unwrap()
}

/// What this thread allocates while it sends all records, after as many that made the buffers which are used again: so
/// little memory for batches that all of them are.
fn sent_to(to: SocketAddr, security: Security) -> AllocationInfo {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let config = ClientConfig { bootstrap_servers: vec![to.to_string()], security, ..ClientConfig::default() };
    let environment = Environment { wall_clock_ms: Arc::new(|| 1_700_000_000_000), ..Environment::default() };
    let client = runtime.block_on(Client::with_environment(config, environment)).unwrap();
    let producer = {
        let _inside = runtime.enter();
        client.producer(ProducerConfig { buffer_memory: MIB as usize, ..ProducerConfig::default() }).unwrap()
    };
    let topic = runtime.block_on(producer.topic("t")).unwrap();
    let value = vec![0x5a; RECORD];
    let send = || {
        runtime.block_on(async {
            for _ in 0..RECORDS {
                drop(topic.enqueue(NewRecord::value(&value)).await.unwrap());
            }
            producer.flush().await.unwrap();
        });
    };
    send();
    allocation_counter::measure(send)
}

#[test]
fn a_payload_is_copied_into_the_records_of_tls_and_nowhere_else() {
    let plain = sent_to(broker(None), Security::default());
    let authority = Authority::new("counted");
    let issued = authority.server(&["127.0.0.1"], Validity::Now);
    let shows = TlsSettings { chain: issued.chain, key: issued.key, client_roots: None, version: None };
    let roots = Roots::Pem(Pem::Text(Secret::new(authority.certificate)));
    let tls = TlsConfig::default().with_roots(roots);
    let secured =
        sent_to(broker(Some(shows)), Security { protocol: SecurityProtocol::Ssl, tls, ..Security::default() });
    eprintln!("{PAYLOAD} bytes: {plain:?} without TLS, {secured:?} with it");
    assert!(plain.bytes_total < PAYLOAD / 2, "requests without their batches, whose buffers are used again");
    assert!(secured.bytes_total < plain.bytes_total + PAYLOAD + PAYLOAD / 8, "one copy: the one that is sealed");
    assert!(secured.bytes_max < plain.bytes_max + MIB / 8, "and a few records of it at a time");
}
