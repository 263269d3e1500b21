//! From the texts of `security.protocol`, `ssl.*` and `sasl.*`, in whatever order they came, to typed settings.

mod sasl;
mod stores;
mod tls;

use std::collections::BTreeMap;
use std::fmt;

use super::security::{Secret, Security, SecurityProtocol};
use crate::error::{Error, Result};

pub(super) use stores::check as check_stores;

/// Values of properties that mean something only together, by Kafka's name.
#[derive(Clone, Default)]
pub(super) struct Raw(BTreeMap<&'static str, Secret>);

impl Raw {
    pub(super) fn insert(&mut self, name: &'static str, value: &str) {
        self.0.insert(name, Secret::new(value));
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Secret::expose)
    }

    fn secret(&self, name: &str) -> Option<Secret> {
        self.0.get(name).cloned()
    }

    /// The names that are set and begin with `prefix`.
    fn beginning<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = &'static str> + 'a {
        self.0.keys().copied().filter(move |name| name.starts_with(prefix))
    }
}

impl fmt::Debug for Raw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The protocol alone: known even where the rest contradicts itself, so that nothing falls back to less.
pub(super) fn protocol(raw: &Raw, before: SecurityProtocol) -> SecurityProtocol {
    let all = [
        SecurityProtocol::Plaintext,
        SecurityProtocol::Ssl,
        SecurityProtocol::SaslPlaintext,
        SecurityProtocol::SaslSsl,
    ];
    let named =
        raw.get("security.protocol").and_then(|name| all.into_iter().find(|p| p.name().eq_ignore_ascii_case(name)));
    named.unwrap_or(before)
}

/// `before` with what the properties say; fails on what they leave out and where they contradict each other.
pub(super) fn assemble(raw: &Raw, before: &Security) -> Result<Security> {
    let protocol = protocol(raw, before.protocol);
    if !protocol.has_tls() {
        unused(raw, "ssl.", protocol)?;
    }
    if !protocol.has_sasl() {
        unused(raw, "sasl.", protocol)?;
    }
    sasl::check_https(raw)?;
    let sasl = if raw.beginning("sasl.").next().is_some() { Some(sasl::mechanism(raw)?) } else { before.sasl.clone() };
    let sasl = if protocol.has_sasl() && sasl.is_none() { Some(sasl::mechanism(raw)?) } else { sasl };
    Ok(Security { protocol, tls: tls::settings(raw, &before.tls)?, sasl })
}

/// A setting that the protocol does not use was meant for another protocol.
fn unused(raw: &Raw, prefix: &str, protocol: SecurityProtocol) -> Result<()> {
    let Some(name) = raw.beginning(prefix).next() else { return Ok(()) };
    let better = match (prefix, protocol) {
        ("ssl.", SecurityProtocol::SaslPlaintext) | ("sasl.", SecurityProtocol::Ssl) => "SASL_SSL",
        ("ssl.", _) => "SSL",
        _ => "SASL_SSL (or SASL_PLAINTEXT)",
    };
    let protocol = protocol.name();
    let detail = format!(
        "is set, and security.protocol={protocol} does not use it; set security.protocol={better} or leave it out"
    );
    Err(Error::invalid(name, detail))
}

/// Of settings that say the same thing in different ways at most one is given.
fn at_most_one<'a>(raw: &'a Raw, names: &[&'static str]) -> Result<Option<(&'static str, &'a str)>> {
    let mut given = names.iter().filter_map(|name| Some((*name, raw.get(name)?)));
    match (given.next(), given.next()) {
        (Some((first, _)), Some((second, _))) => {
            Err(Error::invalid(first, format!("says the same thing as {second}; give one of them")))
        }
        (first, _) => Ok(first),
    }
}

#[cfg(test)]
mod tests;
