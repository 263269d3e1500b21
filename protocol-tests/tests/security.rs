//! TLS and SASL against the in-memory broker on real sockets, everything logged at TRACE and searched for the secrets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use milena::broker::{SaslSettings, Settings, TcpCluster};
use milena::config::ClientConfig;
use milena::config::security::{
    OAuthBearer, SaslMechanism, Secret, Security, SecurityProtocol, TokenFuture, TokenProvider, UnsecuredToken,
};
use milena::connection::{Connection, Environment};
use milena::{BrokerId, Client, ErrorCode, ErrorKind, Recovery, Result};

use protocol_tests::security::{CANARY, assert_nothing_leaked, traced};

const USER: &str = "alice";

async fn cluster(change: impl FnOnce(&mut SaslSettings)) -> TcpCluster {
    let mut sasl = SaslSettings::for_user(USER, CANARY);
    change(&mut sasl);
    let settings = Settings { sasl: Some(sasl), ..Settings::default() };
    TcpCluster::bind(settings, "127.0.0.1:0".parse().unwrap()).await.unwrap()
}

fn with(mechanism: SaslMechanism) -> ClientConfig {
    let security = Security { protocol: SecurityProtocol::SaslPlaintext, sasl: Some(mechanism), ..Security::default() };
    ClientConfig { security, ..ClientConfig::default() }
}

async fn open(config: &ClientConfig, to: SocketAddr) -> Result<Connection> {
    Connection::open(&Environment::default(), config, BrokerId(1), &to.ip().to_string(), to.port()).await
}

/// A request that nobody may make who is not logged in.
async fn ask(connection: &Connection) -> Result<()> {
    let request = milena::wire::messages::MetadataRequest::default();
    connection.call(&request, Duration::from_secs(5)).await.map(drop)
}

fn plain(username: &str, password: &str) -> SaslMechanism {
    SaslMechanism::Plain { username: username.into(), password: Secret::new(password) }
}

fn scram256(username: &str, password: &str) -> SaslMechanism {
    SaslMechanism::ScramSha256 { username: username.into(), password: Secret::new(password) }
}

fn scram512(username: &str, password: &str) -> SaslMechanism {
    SaslMechanism::ScramSha512 { username: username.into(), password: Secret::new(password) }
}

fn token(subject: &str) -> SaslMechanism {
    let token = UnsecuredToken { subject: subject.into(), lifetime: Duration::from_secs(3600) };
    SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token))
}

#[tokio::test]
async fn every_mechanism_lets_the_right_user_in() {
    let _traced = traced();
    let cluster = cluster(|_| {}).await;
    for mechanism in [plain(USER, CANARY), scram256(USER, CANARY), scram512(USER, CANARY), token(USER)] {
        let name = mechanism.name();
        let config = with(mechanism);
        let connection = open(&config, cluster.addresses()[0]).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        ask(&connection).await.unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_nothing_leaked(&format!("{config:?} {config:#?} {connection:?}"));
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_wrong_password_or_user_is_final_and_named() {
    let _traced = traced();
    let cluster = cluster(|_| {}).await;
    let wrong = format!("{CANARY}-wrong");
    for (mechanism, user) in [
        (plain(USER, &wrong), USER),
        (scram256(USER, &wrong), USER),
        (scram512(USER, &wrong), USER),
        (plain("mallory", CANARY), "mallory"),
        (scram256("mallory", CANARY), "mallory"),
    ] {
        let name = mechanism.name();
        let error = open(&with(mechanism), cluster.addresses()[0]).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::SASL_AUTHENTICATION_FAILED), "{error}");
        assert_eq!(error.recovery(), Recovery::Reconfigure);
        let text = error.to_string();
        assert!(text.contains(name) && text.contains(user) && text.contains("sasl.jaas.config"), "{text}");
        assert!(text.contains(&cluster.addresses()[0].to_string()), "{text}");
        assert_nothing_leaked(&format!("{error} {error:?}"));
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_mechanism_the_broker_lacks_is_answered_with_those_it_has() {
    let _traced = traced();
    let cluster = cluster(|sasl| sasl.mechanisms = vec!["SCRAM-SHA-512".into(), "OAUTHBEARER".into()]).await;
    let error = open(&with(plain(USER, CANARY)), cluster.addresses()[0]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::UNSUPPORTED_SASL_MECHANISM));
    assert_eq!(error.recovery(), Recovery::Reconfigure);
    assert!(error.to_string().contains("it offers SCRAM-SHA-512, OAUTHBEARER"), "{error}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_server_that_wants_too_few_or_too_many_iterations_is_refused_before_anything_is_hashed() {
    let _traced = traced();
    for iterations in [1, 4_095] {
        let cluster = cluster(|sasl| sasl.iterations = iterations).await;
        let error = open(&with(scram256(USER, CANARY)), cluster.addresses()[0]).await.unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Security, Recovery::Reconfigure), "{error}");
        assert!(error.to_string().contains("4096 to 1000000"), "{error}");
    }
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_client_without_sasl_is_told_what_a_sasl_port_wants_and_the_reverse() {
    let _traced = traced();
    let secured = cluster(|_| {}).await;
    let connection = open(&ClientConfig::default(), secured.addresses()[0]).await.unwrap();
    let error = ask(&connection).await.unwrap_err();
    assert!(error.to_string().contains("security.protocol=SASL_PLAINTEXT"), "{error}");
    let open_to_all = TcpCluster::bind(Settings::default(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let error = open(&with(plain(USER, CANARY)), open_to_all.addresses()[0]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::ILLEGAL_SASL_STATE), "{error}");
    assert!(error.to_string().contains("security.protocol=PLAINTEXT"), "{error}");
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_token_that_has_expired_is_refused() {
    let _traced = traced();
    let cluster = cluster(|_| {}).await;
    let expired = UnsecuredToken { subject: USER.into(), lifetime: Duration::ZERO };
    let mechanism = SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(expired));
    let error = open(&with(mechanism), cluster.addresses()[0]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::SASL_AUTHENTICATION_FAILED));
    assert!(error.to_string().contains("invalid_token"), "{error}");
    assert_nothing_leaked("");
}

/// Requests in a row, four at a time, for as long as three logins hold.
async fn keep_asking(connection: &Connection, time: Duration) -> u32 {
    let (until, mut asked) = (tokio::time::Instant::now() + time, 0);
    while tokio::time::Instant::now() < until {
        let (a, b, c, d) = tokio::join!(ask(connection), ask(connection), ask(connection), ask(connection));
        for answer in [a, b, c, d] {
            answer.unwrap_or_else(|e| panic!("request {asked}: {e}"));
            asked += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    asked
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_is_renewed_between_requests_and_none_is_lost() {
    let _traced = traced();
    let cluster = cluster(|sasl| sasl.max_reauth = Some(Duration::from_millis(400))).await;
    for mechanism in [plain(USER, CANARY), scram256(USER, CANARY), token(USER)] {
        let connection = open(&with(mechanism), cluster.addresses()[0]).await.unwrap();
        assert!(keep_asking(&connection, Duration::from_millis(1500)).await > 20);
        assert!(!connection.is_closed(), "one connection served them all");
    }
    assert_nothing_leaked("");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_slept_past_its_login_logs_in_before_it_asks() {
    let _traced = traced();
    let cluster = cluster(|sasl| sasl.max_reauth = Some(Duration::from_millis(200))).await;
    for mechanism in [scram512(USER, CANARY), token(USER)] {
        let connection = open(&with(mechanism), cluster.addresses()[0]).await.unwrap();
        ask(&connection).await.unwrap();
        tokio::time::sleep(Duration::from_millis(700)).await;
        ask(&connection).await.unwrap();
        assert!(!connection.is_closed());
    }
    assert_nothing_leaked("");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_who_is_gone_is_told_so_by_the_next_connection() {
    let _traced = traced();
    let mut sasl = SaslSettings::for_user(USER, CANARY);
    sasl.max_reauth = Some(Duration::from_millis(300));
    let settings = Settings { sasl: Some(sasl.clone()), ..Settings::default() };
    let cluster = TcpCluster::bind(settings.clone(), "127.0.0.1:0".parse().unwrap()).await.unwrap();
    let config = with(scram256(USER, CANARY));
    let connection = open(&config, cluster.addresses()[0]).await.unwrap();
    ask(&connection).await.unwrap();
    sasl.users.clear();
    let settings = Settings { sasl: Some(sasl), ..settings };
    cluster.control(milena::broker::Control::Configure(Box::new(settings)));
    tokio::time::sleep(Duration::from_millis(400)).await;
    let error = ask(&connection).await.unwrap_err();
    assert!(!error.maybe_applied() && error.recovery() == Recovery::Retry, "{error}");
    let error = open(&config, cluster.addresses()[0]).await.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::SASL_AUTHENTICATION_FAILED), "{error}");
    assert_nothing_leaked("");
}

/// Counts the SaslAuthenticate requests that reach the cluster.
fn logins(cluster: &TcpCluster) -> Arc<AtomicU32> {
    let logins = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&logins);
    let tap: milena::broker::Tap = Box::new(move |seen| {
        if let milena::broker::Seen::Request(info) = seen
            && info.header.api_key == 36
        {
            count.fetch_add(1, Ordering::Relaxed);
        }
    });
    cluster.control(milena::broker::Control::Tap(Some(tap)));
    logins
}

#[tokio::test]
async fn a_refused_login_is_not_repeated_at_once_and_a_changed_password_is_tried_at_once() {
    let _traced = traced();
    let cluster = cluster(|_| {}).await;
    let logins = logins(&cluster);
    let wrong = with(plain(USER, "wrong"));
    for _ in 0..5 {
        let error = open(&wrong, cluster.addresses()[0]).await.unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::SASL_AUTHENTICATION_FAILED), "{error}");
    }
    // One, and another if the five took longer than the first pause.
    assert!(logins.load(Ordering::Relaxed) <= 2, "the account is not locked by trying again");
    open(&with(plain(USER, CANARY)), cluster.addresses()[0]).await.unwrap();
    assert_nothing_leaked("");
}

#[tokio::test]
async fn a_client_with_a_wrong_password_fails_at_once_and_locks_no_account() {
    let _traced = traced();
    let cluster = cluster(|_| {}).await;
    let logins = logins(&cluster);
    let mut config = with(scram256(USER, &format!("{CANARY}-wrong-for-a-client")));
    config.bootstrap_servers = vec![cluster.addresses()[0].to_string()];
    let began = std::time::Instant::now();
    let error = Client::with_config(config).await.expect_err("it is wrong");
    assert_eq!(error.recovery(), Recovery::Reconfigure, "{error}");
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    // Each try of SCRAM is two requests.
    assert!(logins.load(Ordering::Relaxed) <= 4, "{logins:?} requests");
    assert_nothing_leaked(&format!("{error} {error:?}"));
}

/// Counts how often it is asked, and gives no token: an error, or nothing for ever.
struct Failing(Arc<AtomicU32>, Option<fn() -> milena::Error>);

impl TokenProvider for Failing {
    fn token(&self) -> TokenFuture<'_> {
        self.0.fetch_add(1, Ordering::Relaxed);
        let error = self.1.map(|error| error());
        Box::pin(async move {
            match error {
                Some(error) => Err(error),
                None => std::future::pending().await,
            }
        })
    }
}

#[tokio::test]
async fn a_token_provider_that_fails_or_hangs_is_told_and_not_asked_in_a_hot_loop() {
    let _traced = traced();
    let cluster = cluster(|_| {}).await;
    let at = cluster.addresses()[0].to_string();
    fn denied() -> milena::Error {
        milena::Error::invalid("vault.role", "may not read the token")
    }
    fn busy() -> milena::Error {
        denied().with_recovery(Recovery::Retry)
    }
    for (error, recovery, words) in [
        (Some(denied as fn() -> milena::Error), Recovery::Reconfigure, "vault.role"),
        (Some(busy as fn() -> milena::Error), Recovery::Retry, "vault.role"),
        (None, Recovery::Retry, "waiting for a token (sasl.mechanism=OAUTHBEARER) took longer"),
    ] {
        let asked = Arc::new(AtomicU32::new(0));
        let provider = OAuthBearer::provider(Failing(Arc::clone(&asked), error));
        let mut config = with(SaslMechanism::OAuthBearer(provider));
        config.bootstrap_servers = vec![at.clone()];
        config.default_api_timeout = Duration::from_secs(2);
        let error = Client::with_config(config).await.expect_err("there is no token");
        let text = format!("{error} {error:?}");
        assert!(text.contains(words) && text.contains(&at), "{words}: {text}");
        assert_eq!(error.recovery(), recovery, "{text}");
        let asked = asked.load(Ordering::Relaxed);
        assert!(
            if recovery == Recovery::Reconfigure { asked <= 2 } else { asked <= 20 },
            "asked {asked} times: {text}"
        );
    }
    assert_nothing_leaked("");
}
