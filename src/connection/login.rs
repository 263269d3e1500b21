//! What authenticating takes from the settings and from chance; one warning where it says secrets in the clear.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use rand::TryRng;
use sha2::{Digest, Sha256};

use super::display_address;
use super::handshake::Refusal;
use super::refused::LoginKey;
use super::sasl::Authentication;
use super::transport::Dial;
use crate::config::ClientConfig;
use crate::config::security::{OAuthBearer, SaslMechanism, SecurityProtocol};
use crate::wire::api::BrokerVersions;

/// All that logging in on one connection takes, first or again.
pub(super) struct Credentials {
    /// The way to a token endpoint.
    pub(super) dial: Arc<dyn Dial>,
    mechanism: SaslMechanism,
    client_id: String,
    host: String,
    versions: BrokerVersions,
}

impl Credentials {
    /// What the settings say, if the protocol has SASL.
    pub(super) fn new(
        config: &ClientConfig,
        dial: &Arc<dyn Dial>,
        host: &str,
        versions: &BrokerVersions,
    ) -> Result<Option<Self>, Refusal> {
        if !config.security.protocol.has_sasl() {
            return Ok(None);
        }
        let missing = || Refusal::Invalid("sasl.mechanism is not set, which security.protocol needs".into());
        let mechanism = config.security.sasl.clone().ok_or_else(missing)?;
        warn_of_plaintext(config.security.protocol, &mechanism);
        let (client_id, host) = (config.client_id.clone(), host.to_owned());
        Ok(Some(Self { dial: Arc::clone(dial), mechanism, client_id, host, versions: versions.clone() }))
    }

    /// Names this login at this broker without telling the secrets: they are hashed. A secret for a token endpoint is the
    /// same login at every broker. `None` where they change with time.
    pub(super) fn key(&self, port: u16) -> Option<LoginKey> {
        let port = port.to_string();
        let (username, password) = match &self.mechanism {
            SaslMechanism::Plain { username, password }
            | SaslMechanism::ScramSha256 { username, password }
            | SaslMechanism::ScramSha512 { username, password } => (username, password),
            SaslMechanism::OAuthBearer(OAuthBearer::ClientCredentials(oidc)) => {
                let parts = ["OAUTHBEARER", &oidc.token_endpoint, &oidc.client_id, oidc.client_secret.expose()];
                return Some(hashed(&parts));
            }
            SaslMechanism::OAuthBearer(_) | SaslMechanism::AwsMskIam(_) => return None,
        };
        Some(hashed(&[self.mechanism.name(), &self.host, &port, username, password.expose()]))
    }

    /// Where it logs in, for the log.
    pub(super) fn address(&self, port: u16) -> String {
        display_address(&self.host, port)
    }

    /// An authentication that has not begun.
    pub(super) fn authentication(&self) -> Result<Authentication, Refusal> {
        Authentication::new(&self.mechanism, &self.client_id, &self.host, &self.versions, nonce()?)
    }
}

/// The parts' hash, each with its length, so that no two lists have the same.
fn hashed(parts: &[&str]) -> LoginKey {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update(u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(part.as_bytes());
    }
    LoginKey(hash.finalize().to_vec())
}

/// 192 bits that nobody can guess, from the system: a nonce a seed could tell would let an old exchange be replayed.
fn nonce() -> Result<String, Refusal> {
    let mut bytes = [0; 24];
    let none = |_| Refusal::Invalid("the system gives no randomness, which SASL needs".into());
    rand::rngs::SysRng.try_fill_bytes(&mut bytes).map_err(none)?;
    Ok(STANDARD_NO_PAD.encode(bytes))
}

/// Once in a process: whoever sets it has been told.
fn warn_of_plaintext(protocol: SecurityProtocol, mechanism: &SaslMechanism) {
    static WARNED: AtomicBool = AtomicBool::new(false);
    let is_readable = matches!(mechanism, SaslMechanism::Plain { .. } | SaslMechanism::OAuthBearer(_));
    if is_readable && !protocol.has_tls() && !WARNED.swap(true, Ordering::Relaxed) {
        let mechanism = mechanism.name();
        tracing::warn!(mechanism, "security.protocol=SASL_PLAINTEXT: anybody on the way can read the secret");
    }
}
