//! Settings of TLS: whom to trust, who we are, and how strict to be. Files are named here and read where they are used.

use std::any::Any;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::Secret;
#[cfg(feature = "tls")]
use crate::error::{Error, ErrorKind, Operation, Result};

/// A version of TLS.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum TlsVersion {
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

/// Text in PEM, from memory or from a file that is read again for new connections once it has changed.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// The text itself; a private key makes it a secret.
    Text(Secret),
    /// Where the text is.
    File(PathBuf),
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(_) => f.write_str("inline PEM"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

/// Whose certificates a broker's must go back to (`ssl.truststore.*`).
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub enum Roots {
    /// Those the operating system trusts.
    #[default]
    System,
    /// The certificates of this PEM and no others.
    Pem(Pem),
}

/// The certificate a client shows (`ssl.keystore.*`).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Identity {
    /// The client's certificate first, then those that signed it.
    pub chain: Pem,
    /// Its private key in PKCS#8 (encrypted or not), PKCS#1 or SEC1. May be the same file as `chain`.
    pub key: Pem,
    /// What the key is encrypted with (`ssl.key.password`).
    pub key_password: Option<Secret>,
}

/// Settings of TLS. The default trusts the system's roots, checks names and speaks TLS 1.2 and 1.3.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Whom to trust.
    pub roots: Roots,
    /// Who we are, to brokers that ask for a certificate.
    pub identity: Option<Identity>,
    /// Whether the broker's certificate must be for the name it was reached by (`ssl.endpoint.identification.algorithm`).
    /// Without it anyone with any certificate of the roots can pose as a broker: a warning is logged.
    pub verify_hostname: bool,
    /// Oldest version spoken.
    pub min_version: TlsVersion,
    /// Newest version spoken.
    pub max_version: TlsVersion,
    /// The name to ask for and to check instead of the broker's host, for brokers behind a tunnel.
    pub server_name: Option<String>,
    /// Who does the cryptography; `None` for the default of this machine's CPU.
    #[cfg(feature = "tls")]
    pub provider: Option<CryptoProvider>,
    /// What was made of these settings, for all connections of all clones.
    #[cfg_attr(not(feature = "tls"), allow(dead_code))]
    pub(crate) loaded: Loaded,
}

/// What the connections made of a config last, kept where all its clones find it.
#[derive(Clone, Default)]
pub(crate) struct Loaded(#[cfg_attr(not(feature = "tls"), allow(dead_code))] pub(crate) Arc<Mutex<Option<Kept>>>);

/// Only the room that keeps it knows what it is.
type Kept = Arc<dyn Any + Send + Sync>;

impl fmt::Debug for Loaded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Loaded")
    }
}

impl Default for TlsConfig {
    fn default() -> Self {
        Self {
            roots: Roots::System,
            identity: None,
            verify_hostname: true,
            min_version: TlsVersion::Tls12,
            max_version: TlsVersion::Tls13,
            server_name: None,
            #[cfg(feature = "tls")]
            provider: None,
            loaded: Loaded::default(),
        }
    }
}

impl TlsConfig {
    /// The same, trusting these.
    pub fn with_roots(self, roots: Roots) -> Self {
        Self { roots, ..self }
    }

    /// The same, with this certificate to show, or none.
    pub fn with_identity(self, identity: Option<Identity>) -> Self {
        Self { identity, ..self }
    }
}

impl PartialEq for TlsConfig {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(feature = "tls")]
        let same_provider = self.provider == other.provider;
        #[cfg(not(feature = "tls"))]
        let same_provider = true;
        same_provider
            && (&self.roots, &self.identity, self.verify_hostname)
                == (&other.roots, &other.identity, other.verify_hostname)
            && (self.min_version, self.max_version) == (other.min_version, other.max_version)
            && self.server_name == other.server_name
    }
}

/// An implementation of TLS's cryptography: any `rustls::crypto::CryptoProvider` of rustls 0.23.
#[cfg(feature = "tls")]
#[derive(Clone)]
pub struct CryptoProvider(Arc<rustls::crypto::CryptoProvider>);

#[cfg(feature = "tls")]
impl CryptoProvider {
    /// Takes a provider that was built elsewhere, as `rustls::crypto::ring::default_provider()`.
    pub fn new(provider: rustls::crypto::CryptoProvider) -> Self {
        Self(Arc::new(provider))
    }

    /// The provider in Rust, if this machine's CPU has what it needs (on x86-64: AVX2, AES and the like).
    ///
    /// Fails elsewhere with the way out: another provider in [`TlsConfig::provider`].
    pub fn for_this_cpu() -> Result<Self> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        let is_supported = graviola::util::is_cpu_supported();
        #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
        let is_supported = false;
        Self::for_cpu(is_supported)
    }

    /// For a CPU that has what it needs, or has not.
    fn for_cpu(is_supported: bool) -> Result<Self> {
        #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
        if is_supported {
            static SHARED: std::sync::OnceLock<CryptoProvider> = std::sync::OnceLock::new();
            return Ok(SHARED.get_or_init(|| Self::new(rustls_graviola::default_provider())).clone());
        }
        let _ = is_supported;
        let detail = "the CPU lacks instructions that TLS's cryptography in Rust needs; give another rustls \
                      CryptoProvider in TlsConfig::provider";
        Err(Error::new(Operation::Config, ErrorKind::Unsupported, "security.protocol", detail))
    }

    /// The provider inside.
    pub fn get(&self) -> &Arc<rustls::crypto::CryptoProvider> {
        &self.0
    }
}

#[cfg(feature = "tls")]
impl PartialEq for CryptoProvider {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

#[cfg(feature = "tls")]
impl fmt::Debug for CryptoProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CryptoProvider")
    }
}

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;
    use crate::error::Recovery;

    #[test]
    fn a_cpu_without_the_instructions_is_told_the_way_out() {
        let error = CryptoProvider::for_cpu(false).unwrap_err();
        assert_eq!((error.kind(), error.recovery()), (ErrorKind::Unsupported, Recovery::Reconfigure), "{error}");
        assert!(error.to_string().contains("security.protocol"), "{error}");
        assert!(error.to_string().contains("CryptoProvider in TlsConfig::provider"), "{error}");
    }

    #[test]
    fn all_who_ask_share_one_provider() {
        assert_eq!(CryptoProvider::for_this_cpu().unwrap(), CryptoProvider::for_this_cpu().unwrap());
    }
}
