//! OAUTHBEARER (RFC 7628): a token in the one message, from the user's own code, an endpoint, or made up for a test.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::config::security::{OAuthBearer, Secret, Token, UnsecuredToken};
use crate::connection::transport::Dial;
use crate::error::Result;

/// A token that is valid now.
#[cfg_attr(not(feature = "tls"), allow(unused_variables))]
pub(super) async fn token(source: &OAuthBearer, dial: &dyn Dial) -> Result<Token> {
    match source {
        OAuthBearer::Provider(source) => source.0.token().await,
        OAuthBearer::UnsecuredForTests(wanted) => Ok(unsecured(wanted, SystemTime::now())),
        #[cfg(feature = "tls")]
        OAuthBearer::ClientCredentials(oidc) => super::oidc::token(oidc, dial).await,
        #[cfg(not(feature = "tls"))]
        OAuthBearer::ClientCredentials(_) => {
            let detail = "needs Milena built with its feature `tls`";
            Err(crate::error::Error::invalid("sasl.oauthbearer.token.endpoint.url", detail))
        }
    }
}

/// The client's message. Fails on a token or extension that would not end where it should.
pub(super) fn message(token: &Token) -> std::result::Result<Secret, String> {
    let value = token.value.expose();
    // RFC 6750: b64token.
    let is_token = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    if value.is_empty() || !value.bytes().all(is_token) {
        return Err("the token is empty or holds characters that no bearer token has".into());
    }
    let mut message = vec!["n,,\u{1}auth=Bearer ", value];
    for (name, value) in &token.extensions {
        let is_name = !name.is_empty() && name != "auth" && name.bytes().all(|b| b.is_ascii_alphabetic());
        let is_value =
            value.chars().all(|c| c.is_ascii() && (!c.is_ascii_control() || matches!(c, '\t' | '\r' | '\n')));
        if !is_name || !is_value {
            return Err(format!("the SASL extension `{}` is not legal (KIP-342)", super::printable(name)));
        }
        message.extend(["\u{1}", name, "=", value]);
    }
    message.push("\u{1}\u{1}");
    Ok(Secret::concat(&message))
}

/// A token without a signature, as `OAuthBearerUnsecuredJws` of Java.
fn unsecured(wanted: &UnsecuredToken, now: SystemTime) -> Token {
    let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let expires = issued.saturating_add(wanted.lifetime.as_secs());
    let claims = format!(r#"{{"sub":"{}","iat":{issued},"exp":{expires}}}"#, json_escaped(&wanted.subject));
    let encode = |text: &str| URL_SAFE_NO_PAD.encode(text);
    let value = format!("{}.{}.", encode(r#"{"alg":"none"}"#), encode(&claims));
    Token { value: Secret::new(value), expires_at: Some(now + wanted.lifetime), extensions: Vec::new() }
}

pub(super) fn json_escaped(text: &str) -> String {
    let escape = |c: char| match c {
        '"' | '\\' => format!("\\{c}"),
        c if c.is_control() => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    text.chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn with(value: &str, extensions: &[(&str, &str)]) -> Token {
        let extensions = extensions.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
        Token { value: Secret::new(value), expires_at: None, extensions }
    }

    #[test]
    fn the_message_of_rfc_7628_with_kafkas_extensions() {
        assert_eq!(message(&with("abc.def.", &[])).unwrap().expose(), "n,,\u{1}auth=Bearer abc.def.\u{1}\u{1}");
        let extended = message(&with("t", &[("logicalCluster", "lkc-1"), ("identityPoolId", "p 2")])).unwrap();
        let expected = "n,,\u{1}auth=Bearer t\u{1}logicalCluster=lkc-1\u{1}identityPoolId=p 2\u{1}\u{1}";
        assert_eq!(extended.expose(), expected);
    }

    #[test]
    fn nothing_is_smuggled_into_the_message() {
        for token in [
            with("", &[]),
            with("a\u{1}auth=Bearer b", &[]),
            with("a b", &[]),
            with("t", &[("auth", "x")]),
            with("t", &[("a1", "x")]),
            with("t", &[("", "x")]),
            with("t", &[("a", "x\u{1}y")]),
            with("t", &[("a", "é")]),
        ] {
            assert!(message(&token).is_err());
        }
    }

    #[test]
    fn an_unsecured_token_is_three_parts_the_last_one_empty() {
        let wanted = UnsecuredToken { subject: "al\"ice".into(), lifetime: Duration::from_secs(3600) };
        let token = unsecured(&wanted, UNIX_EPOCH + Duration::from_secs(1000));
        let parts: Vec<_> = token.value.expose().split('.').collect();
        let decoded = |part: &str| String::from_utf8(URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap();
        assert_eq!(decoded(parts[0]), r#"{"alg":"none"}"#);
        assert_eq!(decoded(parts[1]), r#"{"sub":"al\"ice","iat":1000,"exp":4600}"#);
        assert_eq!(parts[2..], [""]);
        message(&token).unwrap();
    }
}
