//! `ssl.*`: roots, identity, versions and the check of the name.

use super::{Raw, at_most_one, stores};
use crate::config::security::{Identity, Pem, Roots, Secret, TlsConfig, TlsVersion};
use crate::error::{Error, Result};

const TRUSTSTORE: [&str; 2] = ["ssl.truststore.location", "ssl.truststore.certificates"];
const CHAINS: [&str; 3] = ["ssl.keystore.location", "ssl.certificate.location", "ssl.keystore.certificate.chain"];
const KEYS: [&str; 3] = ["ssl.keystore.location", "ssl.key.location", "ssl.keystore.key"];

/// `before` with what the properties say.
pub(super) fn settings(raw: &Raw, before: &TlsConfig) -> Result<TlsConfig> {
    stores::refuse_by_type(raw)?;
    if raw.get("enable.ssl.certificate.verification").is_some_and(|value| value.eq_ignore_ascii_case("false")) {
        let detail =
            "certificates are always verified: give the CA that signed the broker's in ssl.truststore.location";
        return Err(Error::invalid("enable.ssl.certificate.verification", detail));
    }
    let mut tls = before.clone();
    if let Some(roots) = roots(raw)? {
        tls.roots = roots;
    }
    if let Some(identity) = identity(raw)? {
        tls.identity = Some(identity);
    }
    if let Some(algorithm) = raw.get("ssl.endpoint.identification.algorithm") {
        tls.verify_hostname = algorithm.eq_ignore_ascii_case("https");
    }
    versions(raw, &mut tls)?;
    Ok(tls)
}

/// PEM from a file if the setting's name says so, else the text itself.
pub(super) fn pem(name: &str, value: &str) -> Pem {
    if name.ends_with(".location") { Pem::File(value.into()) } else { Pem::Text(Secret::new(value)) }
}

fn roots(raw: &Raw) -> Result<Option<Roots>> {
    Ok(match at_most_one(raw, &TRUSTSTORE)? {
        // librdkafka's word for the system's own.
        Some((_, "probe")) => Some(Roots::System),
        Some((name, value)) => Some(Roots::Pem(pem(name, value))),
        None => None,
    })
}

fn identity(raw: &Raw) -> Result<Option<Identity>> {
    let (chain, key) = (at_most_one(raw, &CHAINS)?, at_most_one(raw, &KEYS)?);
    let missing = |given: &str, names: [&str; 3]| {
        let detail = format!("is set and the other half is not; give {} or {} too", names[1], names[2]);
        Err(Error::invalid(given, detail))
    };
    match (chain, key) {
        (Some(chain), Some(key)) => {
            let key_password = raw.secret("ssl.key.password");
            Ok(Some(Identity { chain: pem(chain.0, chain.1), key: pem(key.0, key.1), key_password }))
        }
        (Some((given, _)), None) => missing(given, KEYS),
        (None, Some((given, _))) => missing(given, CHAINS),
        (None, None) if raw.get("ssl.key.password").is_some() => {
            Err(Error::invalid("ssl.key.password", "is set without a key; give ssl.keystore.location too"))
        }
        (None, None) => Ok(None),
    }
}

fn versions(raw: &Raw, tls: &mut TlsConfig) -> Result<()> {
    // Java's `ssl.protocol` caps what its context speaks; `TLS` caps nothing.
    if let Some(newest) = raw.get("ssl.protocol").filter(|name| !name.eq_ignore_ascii_case("TLS")) {
        tls.max_version = version("ssl.protocol", newest)?;
    }
    let Some(enabled) = raw.get("ssl.enabled.protocols") else { return Ok(()) };
    let enabled = enabled.split(',').map(|name| version("ssl.enabled.protocols", name.trim()));
    let enabled = enabled.collect::<Result<Vec<_>>>()?;
    let capped = |version: &TlsVersion| raw.get("ssl.protocol").is_none() || *version <= tls.max_version;
    let (oldest, newest) = (enabled.iter().min(), enabled.iter().filter(|v| capped(v)).max());
    let (Some(oldest), Some(newest)) = (oldest, newest) else {
        return Err(Error::invalid("ssl.enabled.protocols", "has no version that ssl.protocol allows"));
    };
    (tls.min_version, tls.max_version) = (*oldest, *newest);
    Ok(())
}

fn version(setting: &str, name: &str) -> Result<TlsVersion> {
    match name {
        "TLSv1.2" => Ok(TlsVersion::Tls12),
        "TLSv1.3" => Ok(TlsVersion::Tls13),
        _ => Err(Error::invalid(setting, format!("`{}` is not spoken: TLSv1.2 and TLSv1.3 are", short(name)))),
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
