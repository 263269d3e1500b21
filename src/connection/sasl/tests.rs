//! Authentications by hand: what the broker answers goes in, what the user reads comes out.

#[cfg(feature = "tls")]
use std::io;
#[cfg(feature = "tls")]
use std::time::SystemTime;

use super::*;
use crate::config::security::UnsecuredToken;
#[cfg(feature = "tls")]
use crate::config::security::{Kept, OidcClientCredentials, Token};
use crate::connection::transport::TcpDial;
#[cfg(feature = "tls")]
use crate::connection::transport::{BoxFuture, Dial, Stream};
#[cfg(feature = "tls")]
use crate::error::Recovery;
use crate::wire::frame::encode_response;
use crate::wire::messages::api_versions_response::ApiVersion;
use crate::wire::messages::{ApiVersionsResponse, SaslAuthenticateResponse};

fn versions() -> BrokerVersions {
    let row = ApiVersion::default().with_api_key(ApiKey::SaslAuthenticate as i16).with_max_version(2);
    BrokerVersions::from_response(&ApiVersionsResponse::default().with_api_keys(vec![row]))
}

fn authentication(mechanism: &SaslMechanism) -> Authentication {
    Authentication::new(mechanism, "me", "kafka-1", &versions(), "nonce".into()).ok().unwrap()
}

fn plain() -> SaslMechanism {
    SaslMechanism::Plain { username: "alice".into(), password: Secret::new("canary-pw") }
}

fn handshake(code: i16, mechanisms: &[&'static str]) -> Bytes {
    let mechanisms = mechanisms.iter().map(|name| StrBytes::from_static_str(name)).collect();
    let response = SaslHandshakeResponse::default().with_error_code(code).with_mechanisms(mechanisms);
    encode_response::<SaslHandshakeRequest>(1, 0, &response).unwrap().freeze().slice(4..)
}

fn answer(code: i16, words: &'static str, bytes: &'static [u8], lifetime_ms: i64) -> Bytes {
    let response = SaslAuthenticateResponse::default()
        .with_error_code(code)
        .with_error_message(Some(StrBytes::from_static_str(words)))
        .with_auth_bytes(Bytes::from_static(bytes))
        .with_session_lifetime_ms(lifetime_ms);
    encode_response::<SaslAuthenticateRequest>(2, 0, &response).unwrap().freeze().slice(4..)
}

/// The bytes of a request's frame, to look for what it says.
fn sent(next: Result<Next, Refusal>) -> Vec<u8> {
    match next {
        Ok(Next::Send(frame)) => [&frame.head[..], &frame.tail.concat()].concat(),
        Ok(Next::Do(chore)) => panic!("{chore:?} instead of a request"),
        Ok(Next::Done(_)) => panic!("done instead of a request"),
        Err(refusal) => panic!("{refusal:?}"),
    }
}

fn refusal(next: Result<Next, Refusal>) -> String {
    match next {
        Err(refusal) => format!("{refusal:?}"),
        Ok(_) => panic!("not refused"),
    }
}

#[test]
fn plain_says_who_after_the_mechanism_is_agreed_on() {
    let mut plain = authentication(&plain());
    let hello = sent(plain.begin());
    assert!(hello.ends_with(b"\x00\x05PLAIN") && !hello.windows(6).any(|w| w == b"canary"));
    let login = sent(plain.handle_frame(handshake(0, &["PLAIN"])));
    assert!(login.windows(16).any(|w| w == b"\0alice\0canary-pw"));
    let done = plain.handle_frame(answer(0, "", b"", 2000));
    assert!(matches!(done, Ok(Next::Done(Some(lifetime))) if lifetime == Duration::from_millis(2000)));
}

#[test]
fn a_lifetime_that_is_none_is_none() {
    for lifetime in [0, -1, i64::MIN] {
        let mut plain = authentication(&plain());
        sent(plain.handle_frame(handshake(0, &[])));
        assert!(matches!(plain.handle_frame(answer(0, "", b"", lifetime)), Ok(Next::Done(None))));
    }
}

#[test]
fn an_answer_longer_than_any_broker_gives_is_not_read() {
    let long: &[u8] = Vec::leak(vec![b'x'; LONGEST_ANSWER + 1]);
    let mut plain = authentication(&plain());
    sent(plain.begin());
    sent(plain.handle_frame(handshake(0, &["PLAIN"])));
    assert!(refusal(plain.handle_frame(answer(0, "", long, 0))).contains("bytes to SASL"));
}

#[test]
fn a_mechanism_the_broker_lacks_is_told_with_those_it_has() {
    let words = refusal(authentication(&plain()).handle_frame(handshake(33, &["SCRAM-SHA-256", "GSSAPI"])));
    assert!(words.contains("sasl.mechanism=PLAIN is not enabled; it offers SCRAM-SHA-256, GSSAPI"), "{words}");
    let words = refusal(authentication(&plain()).handle_frame(handshake(34, &[])));
    assert!(words.contains("security.protocol=PLAINTEXT or SSL"), "{words}");
}

#[test]
fn a_refusal_names_user_and_setting_and_holds_no_secret() {
    let mut plain = authentication(&plain());
    sent(plain.handle_frame(handshake(0, &[])));
    let words = refusal(plain.handle_frame(answer(58, "Authentication failed: Invalid username or password", b"", 0)));
    assert!(words.contains("PLAIN as `alice`: Authentication failed: Invalid username or password"), "{words}");
    assert!(words.contains("sasl.jaas.config") && !words.contains("canary"), "{words}");
}

#[tokio::test]
async fn a_refused_token_is_answered_before_the_error_is_read() {
    let token = UnsecuredToken { subject: "alice".into(), lifetime: Duration::from_secs(60) };
    let mut token = authentication(&SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token)));
    let Ok(Next::Do(chore)) = token.begin() else { panic!("no chore") };
    let hello = sent(token.handle_product(chore.run(&TcpDial).await));
    assert!(hello.ends_with(b"OAUTHBEARER"), "the token was got before anything was said");
    sent(token.handle_frame(handshake(0, &[])));
    let reply = sent(token.handle_frame(answer(0, "", b"{\"status\":\"invalid_token\"}", 0)));
    assert!(reply.ends_with(b"\x02\x01\x00"), "one byte, and no tagged fields: {reply:?}");
    let words = refusal(token.handle_frame(answer(58, "nope", b"", 0)));
    assert!(words.contains("invalid_token") && words.contains("nope"), "{words}");
}

/// A network on which nobody listens, and how often it was tried.
#[cfg(feature = "tls")]
#[derive(Default)]
struct Refusing(std::sync::atomic::AtomicU32);

#[cfg(feature = "tls")]
impl Dial for Refusing {
    fn dial<'a>(&'a self, _: &'a str, _: u16) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) })
    }
}

#[cfg(feature = "tls")]
#[tokio::test]
async fn a_token_that_still_lives_is_used_while_its_endpoint_is_down() {
    let minute = Duration::from_secs(60);
    let now = SystemTime::now();
    for (refresh_at, expires_at, is_used, tries) in [
        (now + minute, Some(now + 2 * minute), true, 0),
        (now - minute, Some(now + minute), true, 1),
        (now - 2 * minute, Some(now - minute), false, 1),
        (now - minute, None, false, 1),
    ] {
        let oidc = OidcClientCredentials::new("https://id.example/token", "me", "canary-pw");
        let token = Token { value: Secret::new("kept"), expires_at, extensions: Vec::new() };
        *oidc.kept.0.lock().await = Some(Kept { of: oidc.clone(), token, refresh_at });
        let (source, dial) = (OAuthBearer::ClientCredentials(Box::new(oidc)), Refusing::default());
        let place = format!("refresh {refresh_at:?}, expiry {expires_at:?}, now {now:?}");
        match oauth::token(&source, &dial).await {
            Ok(token) => assert!(is_used && token.value.expose() == "kept", "{place}"),
            Err(error) => {
                assert!(!is_used && error.recovery() == Recovery::Retry, "{place}: {error}");
                assert!(error.to_string().contains("id.example") && !error.to_string().contains("canary"), "{error}");
            }
        }
        assert_eq!(dial.0.into_inner(), tries, "{place}");
    }
}

#[test]
fn frames_that_do_not_decode_and_answers_nobody_asked_for_end_it() {
    for frame in [&[][..], &[0; 4], &[0, 0, 0, 0, 0, 0, 0, 0, 0, 9], &[0xff; 20]] {
        let words = refusal(authentication(&plain()).handle_frame(Bytes::copy_from_slice(frame)));
        assert!(words.starts_with("Protocol"), "{words}");
    }
    let mut plain = authentication(&plain());
    let salted = Product::Salted(zeroize::Zeroizing::new(vec![1]));
    assert!(refusal(plain.handle_product(salted)).contains("nobody asked for"));
}

#[tokio::test]
async fn a_server_that_lies_in_scram_is_not_trusted() {
    let scram = SaslMechanism::ScramSha256 { username: "alice".into(), password: Secret::new("canary-pw") };
    let mut login = authentication(&scram);
    sent(login.handle_frame(handshake(0, &[])));
    let words = refusal(login.handle_frame(answer(0, "", b"r=other,s=AAAA,i=4096", 0)));
    assert!(words.starts_with("Security") && words.contains("nonce"), "{words}");
    let mut login = authentication(&scram);
    sent(login.handle_frame(handshake(0, &[])));
    let Ok(Next::Do(chore)) = login.handle_frame(answer(0, "", b"r=nonceX,s=AAAA,i=4096", 0)) else {
        panic!("no chore")
    };
    assert_eq!(format!("{chore:?}"), "hashing the password");
    let proof = sent(login.handle_product(chore.run(&TcpDial).await));
    assert!(!proof.windows(6).any(|w| w == b"canary"));
    let words = refusal(login.handle_frame(answer(0, "", b"v=AAAA", 0)));
    assert!(words.contains("does not know the password") && !words.contains("canary"), "{words}");
}
