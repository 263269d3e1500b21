//! Brokers that are given up, names that are looked up backwards, proxies: how a cluster is found, and found again.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::config::{ClientDnsLookup, MetadataRecoveryStrategy};
use crate::connection::scripted::speaks;
use crate::connection::{BoxFuture, Dial, Stream};
use crate::wire::messages::{ApiVersionsRequest, MetadataResponse};

fn required() -> MetadataResponse {
    MetadataResponse::default().with_error_code(ErrorCode::REBOOTSTRAP_REQUIRED.0)
}

#[tokio::test(start_paused = true)]
async fn a_broker_that_requires_it_sends_us_to_the_bootstrap_addresses_and_no_other_broker() {
    let scene = scene(|q| match (q.api, q.address) {
        (ApiKey::Metadata, "boot:9092") if q.nth > 0 => Some(reply::<MetadataRequest>(q, &brokers(&[7]))),
        (ApiKey::Metadata, "kafka-1:9092" | "kafka-2:9092") => Some(reply::<MetadataRequest>(q, &required())),
        _ => None,
    });
    let cluster = scene.connect().await;
    cluster.connection(BrokerId(2), Lane::Data).await.unwrap();
    let metadata = cluster.all_topics(60 * SECOND).await.unwrap();
    assert_eq!(metadata.brokers.keys().copied().collect::<Vec<_>>(), [BrokerId(7)]);
    let asked = ["kafka-1:9092", "kafka-2:9092"].map(|address| scene.count(address, ApiKey::Metadata));
    assert_eq!(asked.iter().sum::<usize>(), 1, "the first that says so is believed");
    assert_eq!(scene.count("boot:9092", ApiKey::Metadata), 2);
    let error = cluster.connection(BrokerId(2), Lane::Data).await.unwrap_err();
    assert!(error.to_string().contains("does not know this broker"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn without_the_strategy_the_bootstrap_addresses_are_asked_at_the_beginning_only() {
    let scene = scene(|q| match (q.api, q.address) {
        (ApiKey::Metadata, "kafka-1:9092" | "kafka-2:9092") => Some(reply::<MetadataRequest>(q, &required())),
        _ => None,
    });
    let strategy = MetadataRecoveryStrategy::None;
    let config = ClientConfig { metadata_recovery_strategy: strategy, ..ClientConfig::default() };
    let cluster = scene.connect_with(&["boot:9092"], config).await.unwrap();
    let error = cluster.all_topics(5 * SECOND).await.unwrap_err();
    assert!(error.to_string().contains("REBOOTSTRAP_REQUIRED"), "{error}");
    assert_eq!(scene.count("boot:9092", ApiKey::Metadata), 1);
    assert!(scene.count_all(ApiKey::Metadata) > 3, "the known brokers were asked again and again");
}

/// A dialer around the scene's that knows the canonical names of `boot`.
struct Canonical(Arc<dyn Dial>);

impl Dial for Canonical {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        self.0.dial(host, port)
    }

    fn canonical<'a>(&'a self, host: &'a str) -> BoxFuture<'a, io::Result<Vec<String>>> {
        assert_eq!(host, "boot");
        Box::pin(async { Ok(vec!["dead".into(), "kafka-2".into()]) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_bootstrap_alias_is_connected_to_by_its_canonical_names() {
    let mut scene = scene(|_| None);
    scene.refuse("dead:9092");
    scene.environment.dial = Arc::new(Canonical(Arc::clone(&scene.environment.dial)));
    let client_dns_lookup = ClientDnsLookup::ResolveCanonicalBootstrapServersOnly;
    let config = ClientConfig { client_dns_lookup, ..ClientConfig::default() };
    scene.connect_with(&["boot:9092"], config).await.unwrap();
    assert_eq!(scene.count("boot:9092", ApiKey::Metadata), 0);
    assert_eq!(scene.count("kafka-2:9092", ApiKey::Metadata), 1);
    scene.connect_to(&["boot:9092"]).await.unwrap();
    assert_eq!(scene.count("boot:9092", ApiKey::Metadata), 1, "not with the default");
}

/// A dialer whose every stream leads to a SOCKS proxy in front of the scene's brokers, which the proxy finds by name.
struct Proxied {
    brokers: Arc<dyn Dial>,
    reply: u8,
}

impl Dial for Proxied {
    fn dial<'a>(&'a self, host: &'a str, port: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        assert_eq!((host, port), ("proxy", 1080), "no broker is dialled but by the proxy");
        let (ours, mut theirs) = tokio::io::duplex(1 << 16);
        let (brokers, reply) = (Arc::clone(&self.brokers), self.reply);
        tokio::spawn(async move {
            let mut head = [0; 3 + 5];
            theirs.read_exact(&mut head[..3]).await?;
            theirs.write_all(&[5, 0]).await?;
            theirs.read_exact(&mut head[3..]).await?;
            let mut name = vec![0; usize::from(head[7]) + 2];
            theirs.read_exact(&mut name).await?;
            let port = u16::from_be_bytes([name.pop().unwrap_or(0), name.pop().unwrap_or(0)]).swap_bytes();
            let mut broker = brokers.dial(std::str::from_utf8(&name).unwrap(), port).await?;
            theirs.write_all(&[5, reply, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
            tokio::io::copy_bidirectional(&mut theirs, &mut broker).await.map(drop)
        });
        Box::pin(async move { Ok(Box::new(ours) as Box<dyn Stream>) })
    }
}

#[tokio::test(start_paused = true)]
async fn a_cluster_behind_a_proxy_is_reached_by_its_brokers_own_names() {
    let mut scene = scene(|_| None);
    let brokers = Arc::clone(&scene.environment.dial);
    scene.environment.dial = Arc::new(Proxied { brokers: Arc::clone(&brokers), reply: 0 });
    let proxy = Some("socks5://proxy:1080".parse().unwrap());
    let config = ClientConfig { proxy, ..ClientConfig::default() };
    let cluster = scene.connect_with(&["boot:9092"], config.clone()).await.unwrap();
    cluster.connection(BrokerId(2), Lane::Data).await.unwrap();
    assert_eq!(scene.count("kafka-2:9092", ApiKey::ApiVersions), 1);
    scene.environment.dial = Arc::new(Proxied { brokers, reply: 2 });
    let impatient = ClientConfig { default_api_timeout: SECOND, ..config };
    let error = scene.connect_with(&["boot:9092"], impatient).await.unwrap_err().to_string();
    assert!(error.contains("boot:9092") && error.contains("by the proxy socks5://proxy:1080: its rules"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_was_closed_for_being_idle_is_opened_again_without_a_wait() {
    let scene = scene(|_| None);
    let cluster = scene.connect().await;
    let first = cluster.connection(BrokerId(1), Lane::Data).await.unwrap();
    tokio::time::sleep(ClientConfig::default().connections_max_idle + SECOND).await;
    assert!(first.is_closed());
    let began = Instant::now();
    assert!(!cluster.connection(BrokerId(1), Lane::Data).await.unwrap().is_closed());
    assert_eq!(began.elapsed(), Duration::ZERO, "an idle connection is no failure");
}

#[tokio::test(start_paused = true)]
async fn a_broker_of_another_cluster_is_passed_over_and_named_when_there_is_no_other() {
    let of = |id: &'static str| brokers(&[1, 2]).with_cluster_id(Some(crate::wire::StrBytes::from_static_str(id)));
    let is_moved = Arc::new(AtomicBool::new(false));
    let moved = Arc::clone(&is_moved);
    let scene = scene(move |q| {
        let strays =
            if moved.load(Ordering::Relaxed) { &["kafka-1:9092", "kafka-2:9092", "boot:9092"][..] } else { &[] };
        let id = if q.address == "kafka-1:9092" || strays.contains(&q.address) { "theirs" } else { "ours" };
        (q.api == ApiKey::Metadata).then(|| reply::<MetadataRequest>(q, &of(id)))
    });
    let cluster = scene.connect().await;
    for _ in 0..10 {
        let metadata = cluster.all_topics(SECOND).await.expect("the others are asked");
        assert_eq!(metadata.cluster_id.as_deref(), Some("ours"));
    }
    assert!(scene.count("kafka-1:9092", ApiKey::Metadata) > 0, "the stray broker was asked");
    is_moved.store(true, Ordering::Relaxed);
    let began = Instant::now();
    let error = cluster.all_topics(60 * SECOND).await.unwrap_err();
    assert!(began.elapsed() < SECOND && error.kind() == ErrorKind::Security, "at once: {error}");
    let text = error.to_string();
    assert!(text.contains("cluster theirs") && text.contains("cluster ours") && text.contains("boot:9092"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn a_refused_login_is_final_although_another_broker_is_down() {
    let refused = speaks(&[]).with_error_code(ErrorCode::SASL_AUTHENTICATION_FAILED.0);
    let scene = scene(move |q| (q.api == ApiKey::ApiVersions).then(|| reply::<ApiVersionsRequest>(q, &refused)));
    scene.refuse("dead:9092");
    let began = Instant::now();
    for order in [["dead:9092", "boot:9092"], ["boot:9092", "dead:9092"]] {
        let error = scene.connect_to(&order).await.unwrap_err();
        assert_eq!((error.recovery(), error.is_retriable()), (Recovery::Reconfigure, false), "{error}");
        assert!(error.to_string().contains("dead:9092") && error.to_string().contains("boot:9092"), "{error}");
    }
    assert!(began.elapsed() < SECOND, "at once: {:?}", began.elapsed());
    assert_eq!(scene.count("boot:9092", ApiKey::ApiVersions), 2, "once for each client");
}
