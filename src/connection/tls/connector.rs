//! What rustls makes of the settings, once for all connections, and again when a file it was made of has changed.

use std::any::Any;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::SystemTime;

use rustls::client::WebPkiServerVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, Error, RootCertStore, SupportedProtocolVersion};

use super::pem;
use super::verifier::AnyName;
use crate::config::security::{CryptoProvider, Identity, Loaded, Pem, Roots, TlsConfig, TlsVersion};

/// What was made, of which settings and which state of their files.
struct Made {
    of: TlsConfig,
    stamps: Vec<Stamp>,
    client: Arc<ClientConfig>,
}

/// A file as it was: when it was written and how long it is.
#[derive(Clone, PartialEq)]
struct Stamp {
    path: PathBuf,
    state: Option<(SystemTime, u64)>,
}

/// The client half for a new connection. Files are looked at every time and read when they have changed.
///
/// Fails with the setting that is wrong. If files that were good have become bad (a change is half done), what was made
/// before goes on, with a warning.
pub(super) async fn client(config: &TlsConfig) -> Result<Arc<ClientConfig>, String> {
    let config = config.clone();
    let made = tokio::task::spawn_blocking(move || current(&config)).await;
    made.unwrap_or_else(|_| Err("the runtime shuts down".into()))
}

fn current(config: &TlsConfig) -> Result<Arc<ClientConfig>, String> {
    let stamps = stamps(config);
    let before = made_before(config);
    if let Some(made) = &before
        && made.stamps == stamps
    {
        return Ok(Arc::clone(&made.client));
    }
    match (make(config), before) {
        (Ok(client), before) => {
            if before.is_some() {
                tracing::info!("certificates or keys have changed: new connections use the new ones");
            }
            let client = Arc::new(client);
            let of = TlsConfig { loaded: Loaded::default(), ..config.clone() };
            keep(config, Made { of, stamps, client: Arc::clone(&client) });
            Ok(client)
        }
        (Err(error), Some(before)) => {
            tracing::warn!(error, "changed certificates or keys cannot be used: new connections use the old ones");
            Ok(Arc::clone(&before.client))
        }
        (Err(error), None) => Err(error),
    }
}

fn made_before(config: &TlsConfig) -> Option<Arc<Made>> {
    let kept = config.loaded.0.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
    let made = kept.downcast::<Made>().ok()?;
    (made.of == *config).then_some(made)
}

fn keep(config: &TlsConfig, made: Made) {
    let made: Arc<dyn Any + Send + Sync> = Arc::new(made);
    *config.loaded.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
}

fn stamps(config: &TlsConfig) -> Vec<Stamp> {
    let roots = match &config.roots {
        Roots::Pem(pem) => Some(pem),
        Roots::System => None,
    };
    let identity = config.identity.iter().flat_map(|identity| [&identity.chain, &identity.key]);
    let path = |pem: &Pem| match pem {
        Pem::File(path) => Some(path.clone()),
        Pem::Text(_) => None,
    };
    let stamp = |path: PathBuf| {
        let state = std::fs::metadata(&path).ok().and_then(|file| Some((file.modified().ok()?, file.len())));
        Stamp { path, state }
    };
    roots.into_iter().chain(identity).filter_map(path).map(stamp).collect()
}

fn make(config: &TlsConfig) -> Result<ClientConfig, String> {
    let provider = match &config.provider {
        Some(provider) => provider.clone(),
        None => CryptoProvider::for_this_cpu().map_err(|e| e.to_string())?,
    };
    let provider = provider.get();
    let roots = Arc::new(roots(&config.roots)?);
    let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(provider)).build();
    let verifier = verifier.map_err(|e| format!("ssl.truststore.location: {e}"))?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&versions(config))
        .map_err(|e| format!("ssl.enabled.protocols: {e}"))?;
    let builder = if config.verify_hostname {
        builder.with_webpki_verifier(verifier)
    } else {
        warn_of_any_name();
        builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
    };
    Ok(match &config.identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = certified(identity, provider)?;
            builder.with_client_cert_resolver(Arc::new(SingleCertAndKey::from(key)))
        }
    })
}

/// Once in a process, however often files are read anew: whoever switched it off has been told.
fn warn_of_any_name() {
    static WARNED: AtomicBool = AtomicBool::new(false);
    if !WARNED.swap(true, Ordering::Relaxed) {
        let setting = "ssl.endpoint.identification.algorithm";
        tracing::warn!("{setting} is off: whoever has a certificate of the same authority can pose as a broker");
    }
}

fn versions(config: &TlsConfig) -> Vec<&'static SupportedProtocolVersion> {
    let wanted = config.min_version..=config.max_version;
    let known = [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
    known.into_iter().filter(|(version, _)| wanted.contains(version)).map(|(_, version)| version).collect()
}

fn roots(roots: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::System => {
            let found = rustls_native_certs::load_native_certs();
            let (_, ignored) = store.add_parsable_certificates(found.certs);
            tracing::debug!(roots = store.len(), ignored, "trusting the system's certificates");
            if store.is_empty() {
                let why = found.errors.first().map(|e| format!(": {e}")).unwrap_or_default();
                return Err(format!("ssl.truststore.location is not set, and the system trusts no certificates{why}"));
            }
        }
        Roots::Pem(pem) => {
            let setting = by_form(pem, "ssl.truststore.location", "ssl.truststore.certificates");
            for certificate in pem::certificates(&pem::text(pem, setting)?, setting)? {
                store.add(certificate).map_err(|e| format!("{setting}: a certificate cannot be trusted: {e}"))?;
            }
        }
    }
    Ok(store)
}

fn certified(identity: &Identity, provider: &Arc<rustls::crypto::CryptoProvider>) -> Result<Arc<CertifiedKey>, String> {
    let is_one_file = identity.chain == identity.key;
    let file = |apart| if is_one_file { "ssl.keystore.location" } else { apart };
    let setting = by_form(&identity.chain, file("ssl.certificate.location"), "ssl.keystore.certificate.chain");
    let chain = pem::certificates(&pem::text(&identity.chain, setting)?, setting)?;
    let setting = by_form(&identity.key, file("ssl.key.location"), "ssl.keystore.key");
    let key = pem::key(&pem::text(&identity.key, setting)?, setting, identity.key_password.as_ref())?;
    let certified = CertifiedKey::from_der(chain, key, provider).map_err(|e| match e {
        Error::InconsistentKeys(_) => format!(
            "{setting}: the private key does not belong to the certificate; give the key its request was made with, \
             and the client's own certificate before those that signed it"
        ),
        e => format!("{setting}: the private key cannot be used: {e}"),
    })?;
    Ok(Arc::new(certified))
}

/// The setting a text in PEM came from.
fn by_form(pem: &Pem, location: &'static str, text: &'static str) -> &'static str {
    match pem {
        Pem::File(_) => location,
        Pem::Text(_) => text,
    }
}
