//! Who a connection belongs to: SaslHandshake and SaslAuthenticate, and what is closed to those who are nobody yet.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::api::{Call, Outcome, Serve, text};
use super::core::Core;
use super::scram::{self, Exchange, Hash};
use crate::config::security::Secret;
use crate::error::ErrorCode;
use crate::wire::Request;
use crate::wire::messages::*;

/// Who may log in, and how.
#[derive(Clone, Debug)]
pub struct SaslSettings {
    /// Mechanisms by Kafka's names: `PLAIN`, `SCRAM-SHA-256`, `SCRAM-SHA-512`, `OAUTHBEARER` (unsecured tokens).
    pub mechanisms: Vec<String>,
    /// Passwords by user. Any subject of an unexpired unsecured token is let in.
    pub users: BTreeMap<String, Secret>,
    /// How often SCRAM hashes a password.
    pub iterations: u32,
    /// How long a login is good for (`connections.max.reauth.ms`); `None` for ever.
    pub max_reauth: Option<Duration>,
}

impl SaslSettings {
    /// All mechanisms for one user.
    pub fn for_user(user: &str, password: &str) -> Self {
        let mechanisms = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"].map(str::to_owned).to_vec();
        let users = BTreeMap::from([(user.to_owned(), Secret::new(password))]);
        Self { mechanisms, users, iterations: 4096, max_reauth: None }
    }
}

/// One connection's way to a name.
#[derive(Debug, Default)]
pub(super) struct Login {
    known: Option<Known>,
    step: Step,
}

/// Who it is, how that was proven, and until when it holds.
#[derive(Clone, Debug)]
struct Known {
    user: String,
    mechanism: String,
    until: Option<Instant>,
}

#[derive(Debug, Default)]
enum Step {
    #[default]
    Idle,
    Chosen(String),
    Scram(String, Exchange),
    /// A token was refused; whatever comes now is answered with an error.
    Refused,
}

/// What a message led to.
enum Said {
    Challenge(String),
    Known { user: String, until: Option<Instant>, last: String },
    Wrong(String),
}

impl Core {
    /// Whether a connection may ask this now: before it has a name, and once the name has expired, only for one.
    pub(super) fn is_admitted(&self, call: &Call) -> bool {
        if self.settings.sasl.is_none()
            || [SaslHandshakeRequest::KEY, SaslAuthenticateRequest::KEY].contains(&call.api_key)
        {
            return true;
        }
        let Some(login) = self.login(call) else { return false };
        match &login.known {
            None => call.api_key == ApiVersionsRequest::KEY,
            Some(known) => known.until.is_none_or(|until| self.now < until),
        }
    }

    fn choose(&mut self, call: &Call, mechanism: &str) -> ErrorCode {
        let Some(settings) = self.settings.sasl.clone() else { return ErrorCode::ILLEGAL_SASL_STATE };
        let Some(login) = self.login_mut(call) else { return ErrorCode::ILLEGAL_SASL_STATE };
        match &login.known {
            // A second name is asked for only where names expire (KIP-368), and by the mechanism of the first.
            Some(_) if settings.max_reauth.is_none() => return ErrorCode::ILLEGAL_SASL_STATE,
            Some(known) if known.mechanism != mechanism => return ErrorCode::ILLEGAL_SASL_STATE,
            _ => {}
        }
        if !settings.mechanisms.iter().any(|offered| offered == mechanism) {
            return ErrorCode::UNSUPPORTED_SASL_MECHANISM;
        }
        login.step = Step::Chosen(mechanism.to_owned());
        ErrorCode::NONE
    }

    fn said(&mut self, call: &Call, message: &[u8]) -> Option<(String, Said)> {
        let settings = self.settings.sasl.clone()?;
        let now = (self.now, self.now_ms());
        let login = self.login_mut(call)?;
        match std::mem::take(&mut login.step) {
            Step::Idle => None,
            Step::Refused => Some(("OAUTHBEARER".into(), Said::Wrong("the token was refused".into()))),
            Step::Scram(mechanism, mut exchange) => {
                let said = match exchange.handle_final(message) {
                    Some((user, last)) => Said::Known { user, until: None, last },
                    None => Said::Wrong(format!("invalid credentials with SASL mechanism {mechanism}")),
                };
                Some((mechanism, said))
            }
            Step::Chosen(mechanism) => {
                let said = login.begin(&settings, &mechanism, message, call.connection.0, now);
                Some((mechanism, said))
            }
        }
    }
}

impl Login {
    fn begin(
        &mut self,
        settings: &SaslSettings,
        mechanism: &str,
        message: &[u8],
        seed: u64,
        now: (Instant, i64),
    ) -> Said {
        let hash = match mechanism {
            "PLAIN" => return plain(settings, message),
            "OAUTHBEARER" => return self.token(message, now),
            "SCRAM-SHA-256" => Hash::Sha256,
            _ => Hash::Sha512,
        };
        let password = |user: &str| settings.users.get(user).map(|secret| secret.expose().to_owned());
        match scram::begin(hash, message, password, settings.iterations, seed) {
            Some((exchange, challenge)) => {
                self.step = Step::Scram(mechanism.to_owned(), exchange);
                Said::Challenge(challenge)
            }
            None => Said::Wrong(format!("invalid credentials with SASL mechanism {mechanism}")),
        }
    }

    fn token(&mut self, message: &[u8], now: (Instant, i64)) -> Said {
        match unsecured(message, now.1) {
            Some((user, lifetime)) => Said::Known { user, until: Some(now.0 + lifetime), last: String::new() },
            None => {
                self.step = Step::Refused;
                Said::Challenge(r#"{"status":"invalid_token"}"#.into())
            }
        }
    }

    /// Takes a name on. A connection that has one keeps it.
    fn know(&mut self, known: Known) -> bool {
        let is_same = self.known.as_ref().is_none_or(|before| before.user == known.user);
        if is_same {
            self.known = Some(known);
        }
        is_same
    }
}

fn plain(settings: &SaslSettings, message: &[u8]) -> Said {
    let parts: Vec<&[u8]> = message.split(|byte| *byte == 0).collect();
    let [_, user, password] = parts[..] else { return Said::Wrong("Invalid SASL/PLAIN response".into()) };
    let user = String::from_utf8_lossy(user).into_owned();
    let is_right = settings.users.get(&user).is_some_and(|known| known.expose().as_bytes() == password);
    match is_right {
        true => Said::Known { user, until: None, last: String::new() },
        false => Said::Wrong("Authentication failed: Invalid username or password".into()),
    }
}

/// Subject and what is left of an unsigned token's life. No JSON library: such tokens are flat and ours.
fn unsecured(message: &[u8], now_ms: i64) -> Option<(String, Duration)> {
    use base64::Engine as _;
    let text = std::str::from_utf8(message).ok()?;
    let token = text.split('\u{1}').find_map(|pair| pair.strip_prefix("auth=Bearer "))?;
    let mut parts = token.split('.');
    let decode = |part: &str| base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(part).ok();
    let header = decode(parts.next()?)?;
    let claims = String::from_utf8(decode(parts.next()?)?).ok()?;
    if !header.windows(4).any(|window| window == b"none") || parts.next() != Some("") {
        return None;
    }
    let subject = claims.split_once(r#""sub":""#)?.1.split_once('"')?.0;
    let expires = claims.split_once(r#""exp":"#)?.1;
    let expires: i64 = expires.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()?;
    // The cluster's clock is its own: tokens are as fresh as their own times say.
    let issued = claims
        .split_once(r#""iat":"#)
        .and_then(|(_, rest)| rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok());
    let left = expires.checked_sub(issued.unwrap_or(now_ms / 1000))?;
    let left = u64::try_from(left).ok().filter(|seconds| *seconds > 0)?;
    Some((subject.to_owned(), Duration::from_secs(left)))
}

impl Serve for SaslHandshakeRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<SaslHandshakeResponse> {
        let code = core.choose(call, &self.mechanism);
        let offered = core.settings.sasl.iter().flat_map(|settings| settings.mechanisms.iter().map(text)).collect();
        let response = SaslHandshakeResponse::default().with_error_code(code.0).with_mechanisms(offered);
        if code == ErrorCode::NONE { Outcome::Reply(response) } else { Outcome::Last(response) }
    }

    fn refuse(self, code: i16, _version: i16) -> SaslHandshakeResponse {
        SaslHandshakeResponse::default().with_error_code(code)
    }
}

impl Serve for SaslAuthenticateRequest {
    fn serve(self, core: &mut Core, call: &Call) -> Outcome<SaslAuthenticateResponse> {
        let illegal = || SaslAuthenticateResponse::default().with_error_code(ErrorCode::ILLEGAL_SASL_STATE.0);
        let Some((mechanism, said)) = core.said(call, &self.auth_bytes) else { return Outcome::Last(illegal()) };
        let wrong = |words: String| {
            let response = SaslAuthenticateResponse::default().with_error_message(Some(text(words)));
            Outcome::Last(response.with_error_code(ErrorCode::SASL_AUTHENTICATION_FAILED.0))
        };
        let answer = |bytes: String| SaslAuthenticateResponse::default().with_auth_bytes(bytes.into_bytes().into());
        match said {
            Said::Wrong(words) => wrong(words),
            Said::Challenge(bytes) => Outcome::Reply(answer(bytes)),
            Said::Known { user, until, last } => {
                let longest = core.settings.sasl.as_ref().and_then(|settings| settings.max_reauth);
                let until =
                    until.into_iter().chain(longest.map(|time| core.now + time)).min().filter(|_| longest.is_some());
                let now = core.now;
                let Some(login) = core.login_mut(call) else { return Outcome::Close };
                if !login.know(Known { user, mechanism, until }) {
                    return wrong("Cannot change principals during re-authentication".into());
                }
                let left = until.map_or(0, |until| until.saturating_duration_since(now).as_millis());
                Outcome::Reply(answer(last).with_session_lifetime_ms(i64::try_from(left).unwrap_or(i64::MAX)))
            }
        }
    }

    fn refuse(self, code: i16, _version: i16) -> SaslAuthenticateResponse {
        SaslAuthenticateResponse::default().with_error_code(code)
    }
}
