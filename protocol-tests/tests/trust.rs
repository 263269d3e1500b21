//! Brokers that send their clients to the wrong machine: what the user reads of it.

use std::io;
use std::sync::Arc;

use milena::broker::{Settings, TcpCluster};
use milena::config::ClientConfig;
use milena::connection::{BoxFuture, Dial, Environment, Stream, TcpDial};
use milena::{BrokerId, Client};
use protocol_tests::security::{logged, traced};

/// Finds `kafka.example` at 127.0.0.1.
struct Resolver;

impl Dial for Resolver {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move { TcpDial.dial(if host == "kafka.example" { "127.0.0.1" } else { host }, port).await })
    }
}

#[tokio::test]
async fn a_broker_whose_advertised_listener_was_left_at_localhost_is_named_in_the_log_once() {
    traced();
    let brokers = TcpCluster::bind(Settings::default(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let port = brokers.addresses()[0].port();
    let environment = Environment { dial: Arc::new(Resolver), ..Environment::default() };
    let connect = |host: &str| {
        let config = ClientConfig { bootstrap_servers: vec![format!("{host}:{port}")], ..ClientConfig::default() };
        Client::with_environment(config, environment.clone())
    };
    let told = || logged().lines().filter(|line| line.contains("WARN") && line.contains("sends us to")).count();
    let _here = connect("127.0.0.1").await.unwrap();
    assert_eq!(told(), 0, "whoever asks this machine is sent to this machine");
    let client = connect("kafka.example").await.unwrap();
    client.admin().list_topics().await.unwrap();
    assert_eq!(told(), 1, "{}", logged());
    let line = format!("kafka.example:{port} sends us to {} at 127.0.0.1:{port}", BrokerId(1));
    assert!(logged().contains(&line) && logged().contains("advertised.listeners"), "{line} is not in {}", logged());
}
