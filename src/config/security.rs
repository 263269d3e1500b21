//! How a connection is protected and who it says it is: plain values that hold secrets without ever printing them.

mod sasl;
mod secret;
mod tls;

pub use sasl::{
    AwsCredentials, AwsCredentialsProvider, AwsMskIam, AwsSource, OAuthBearer, OidcClientCredentials, SaslMechanism,
    Token, TokenFuture, TokenProvider, TokenSource, UnsecuredToken,
};
#[cfg(feature = "tls")]
pub(crate) use sasl::{Kept, KeptToken};
pub use secret::Secret;
#[cfg(feature = "tls")]
pub use tls::CryptoProvider;
#[cfg(feature = "tls")]
pub(crate) use tls::Loaded;
pub use tls::{Identity, Pem, Roots, TlsConfig, TlsVersion};

use crate::error::{Error, Result};

/// What brokers are spoken to through (`security.protocol`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum SecurityProtocol {
    /// TCP alone: anybody on the way can read and change everything.
    #[default]
    Plaintext,
    /// TLS; the client has a name only if it shows a certificate.
    Ssl,
    /// SASL over plain TCP: everything but SCRAM's password can be read on the way.
    SaslPlaintext,
    /// SASL inside TLS.
    SaslSsl,
}

impl SecurityProtocol {
    /// Kafka's name, as in `SASL_SSL`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "PLAINTEXT",
            Self::Ssl => "SSL",
            Self::SaslPlaintext => "SASL_PLAINTEXT",
            Self::SaslSsl => "SASL_SSL",
        }
    }

    /// Whether the socket speaks TLS.
    pub fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    /// Whether the client authenticates with SASL.
    pub fn has_sasl(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How every connection of a client is protected. The default is no protection at all, as Kafka's is.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Security {
    /// Which of TLS and SASL are spoken (`security.protocol`). Nothing ever falls back to less.
    pub protocol: SecurityProtocol,
    /// Settings of TLS (`ssl.*`); unused unless the protocol has TLS.
    pub tls: TlsConfig,
    /// How the client authenticates (`sasl.*`); unused unless the protocol has SASL.
    pub sasl: Option<SaslMechanism>,
}

impl Security {
    /// Settings that contradict each other, checked before anything connects. Reads no file.
    pub fn check(&self) -> Result<()> {
        if self.protocol.has_sasl() && self.sasl.is_none() {
            let detail = format!("is not set, which security.protocol={} needs", self.protocol.name());
            return Err(Error::invalid("sasl.mechanism", detail));
        }
        if self.protocol.has_tls() && cfg!(not(feature = "tls")) {
            let detail = format!("{} needs Milena built with its feature `tls`", self.protocol.name());
            return Err(Error::invalid("security.protocol", detail));
        }
        if self.tls.min_version > self.tls.max_version {
            return Err(Error::invalid("ssl.enabled.protocols", "the oldest version is newer than the newest"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_protocol_with_sasl_needs_a_mechanism() {
        let mut security = Security { protocol: SecurityProtocol::SaslPlaintext, ..Security::default() };
        let error = security.check().unwrap_err().to_string();
        assert!(error.contains("sasl.mechanism") && error.contains("SASL_PLAINTEXT"), "{error}");
        security.sasl = Some(SaslMechanism::Plain { username: "alice".into(), password: Secret::new("canary-1") });
        security.check().unwrap();
    }

    #[test]
    fn nothing_secret_is_printed() {
        let secret = || Secret::new("canary-1");
        let plain = SaslMechanism::Plain { username: "alice".into(), password: secret() };
        let aws = AwsCredentials::Static {
            access_key_id: "AKIA".into(),
            secret_access_key: secret(),
            session_token: Some(secret()),
        };
        let aws = SaslMechanism::AwsMskIam(AwsMskIam { region: None, credentials: aws });
        let oidc = OidcClientCredentials::new("https://id/token", "me", secret());
        let oidc = SaslMechanism::OAuthBearer(OAuthBearer::ClientCredentials(Box::new(oidc)));
        let key = Identity { chain: Pem::Text(secret()), key: Pem::Text(secret()), key_password: Some(secret()) };
        let tls = TlsConfig { identity: Some(key), ..TlsConfig::default() };
        for sasl in [plain, aws, oidc] {
            let security = Security { sasl: Some(sasl), tls: tls.clone(), ..Security::default() };
            for text in [format!("{security:?}"), format!("{security:#?}")] {
                assert!(!text.contains("canary"), "{text}");
            }
        }
        assert_eq!(format!("{:?} {}", secret(), secret()), "… …");
    }
}
