//! Tokens from an OpenID provider's endpoint (RFC 6749 section 4.4): asked for over TLS only, kept until they grow old.

use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::http::{self, Answer, Endpoint};
use super::msk::percent_encoded;
use super::scram::printable;
use crate::config::security::{Kept, KeptToken, OidcClientCredentials, Secret, TlsConfig, Token};
use crate::connection::transport::Dial;
use crate::error::{Error, ErrorKind, Operation, Recovery, Result};

/// The part of a token's life after which the next one is asked for, while this one can still be used.
const REFRESH_AT: f64 = 0.8;
/// A token that does not say how long it lives is asked for anew after this long.
const UNKNOWN_LIFETIME: Duration = Duration::from_secs(60);

/// The token that is kept, or a new one. Connections that open together ask once.
///
/// When the endpoint fails while the kept token still lives, the kept one is used.
pub(super) async fn token(oidc: &OidcClientCredentials, dial: &dyn Dial) -> Result<Token> {
    let mut place = oidc.kept.0.lock().await;
    let now = SystemTime::now();
    let kept = place.as_ref().filter(|kept| kept.of == *oidc);
    if let Some(kept) = kept
        && now < kept.refresh_at
    {
        return Ok(kept.token.clone());
    }
    match fetch(oidc, dial, now).await {
        Ok((token, refresh_at)) => {
            // Without a place of its own: one that holds itself would never be dropped.
            let of = OidcClientCredentials { kept: KeptToken::default(), ..oidc.clone() };
            *place = Some(Kept { of, token: token.clone(), refresh_at });
            Ok(token)
        }
        Err(error) => match kept {
            Some(kept) if kept.token.expires_at.is_some_and(|at| now < at) => {
                tracing::warn!(%error, "no new token: the one at hand is used until it expires");
                Ok(kept.token.clone())
            }
            _ => Err(error),
        },
    }
}

async fn fetch(oidc: &OidcClientCredentials, dial: &dyn Dial, now: SystemTime) -> Result<(Token, SystemTime)> {
    const SETTING: &str = "sasl.oauthbearer.token.endpoint.url";
    let endpoint = Endpoint::parse(&oidc.token_endpoint).map_err(|why| Error::invalid(SETTING, why))?;
    // RFC 6749 section 2.3.1: both are encoded as in a form before they are joined.
    let (id, secret) = (percent_encoded(&oidc.client_id), Secret::new(percent_encoded(oidc.client_secret.expose())));
    let joined = Secret::concat(&[&id, ":", secret.expose()]);
    let encoded = Secret::new(STANDARD.encode(joined.expose()));
    let authorization = Secret::concat(&["Basic ", encoded.expose()]);
    let scope = oidc.scope.as_ref().map(|scope| format!("&scope={}", percent_encoded(scope)));
    let body = format!("grant_type=client_credentials{}", scope.unwrap_or_default());
    let tls = TlsConfig::default().with_roots(oidc.roots.clone());
    let answer = http::post(&endpoint, dial, &tls, &authorization, &body).await?;
    read(answer, &endpoint, oidc, now)
}

fn read(
    answer: Answer,
    endpoint: &Endpoint,
    oidc: &OidcClientCredentials,
    now: SystemTime,
) -> Result<(Token, SystemTime)> {
    let mut json: Option<Value> = serde_json::from_slice(&answer.body).ok();
    let fail = |recovery, why: String| {
        let error = Error::new(Operation::Connect, ErrorKind::Security, endpoint.to_string(), why);
        Err(error.with_recovery(recovery))
    };
    match answer.status {
        200 => {}
        300..=399 => {
            let why = "it redirects, which is not followed: a secret goes nowhere but where it was sent";
            return fail(Recovery::Reconfigure, format!("{why} (status {})", answer.status));
        }
        status @ (408 | 429 | 500..) => return fail(Recovery::Retry, format!("it answered with status {status}")),
        status => {
            let code = json.as_ref().and_then(|json| json.get("error")?.as_str());
            let code = printable(code.unwrap_or("no reason given"));
            let why = format!("it refused with status {status} ({code}); check the client id, secret and scope");
            return fail(Recovery::Reconfigure, why);
        }
    }
    // Taken, not copied: what is left of the answer is not overwritten.
    let token = json.as_mut().and_then(|json| Some(json.get_mut("access_token")?.take()));
    let Some(Value::String(value)) = token.filter(|token| token.as_str() != Some("")) else {
        return fail(Recovery::Reconfigure, "its answer holds no access_token".into());
    };
    let seconds = json.as_ref().and_then(|json| json.get("expires_in")?.as_u64());
    // A century is for ever, and within what clocks can add.
    let lifetime = seconds.map(|seconds| Duration::from_secs(seconds.min(100 * 365 * 24 * 3600)));
    let expires_at = lifetime.map(|lifetime| now + lifetime);
    let refresh_at = now + lifetime.map_or(UNKNOWN_LIFETIME, |lifetime| lifetime.mul_f64(REFRESH_AT));
    let extensions = oidc.extensions.clone();
    Ok((Token { value: Secret::new(value), expires_at, extensions }, refresh_at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(status: u16, body: &str) -> Result<(Token, SystemTime)> {
        let oidc = OidcClientCredentials::new("https://id/token", "me", "canary");
        let endpoint = Endpoint::parse(&oidc.token_endpoint).unwrap();
        read(Answer { status, body: body.as_bytes().to_vec().into() }, &endpoint, &oidc, SystemTime::UNIX_EPOCH)
    }

    #[test]
    fn a_token_is_refreshed_before_it_expires() {
        let (token, refresh_at) = read_of(200, r#"{"access_token":"a.b.c","expires_in":1000}"#).unwrap();
        assert_eq!(token.value.expose(), "a.b.c");
        assert_eq!(token.expires_at, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1000)));
        assert_eq!(refresh_at, SystemTime::UNIX_EPOCH + Duration::from_secs(800));
        assert!(read_of(200, r#"{"access_token":"t","expires_in":18446744073709551615}"#).is_ok());
    }

    #[test]
    fn what_may_pass_is_told_from_what_has_to_be_changed() {
        for (status, body, recovery, words) in [
            (401, r#"{"error":"invalid_client"}"#, Recovery::Reconfigure, "invalid_client"),
            (400, "<html>", Recovery::Reconfigure, "status 400"),
            (302, "", Recovery::Reconfigure, "redirects"),
            (503, "", Recovery::Retry, "status 503"),
            (429, "", Recovery::Retry, "status 429"),
            (200, "{}", Recovery::Reconfigure, "no access_token"),
            (200, "not json", Recovery::Reconfigure, "no access_token"),
            (200, r#"{"access_token":7}"#, Recovery::Reconfigure, "no access_token"),
        ] {
            let error = read_of(status, body).unwrap_err();
            assert_eq!(error.recovery(), recovery, "{error}");
            assert!(error.to_string().contains(words) && !error.to_string().contains("canary"), "{error}");
        }
    }
}
