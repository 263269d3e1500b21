//! Java's key stores are not read: they are refused with the command that makes PEM of them, whatever their type is said
//! to be.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::Raw;
use crate::config::security::{Pem, Roots, TlsConfig};
use crate::error::{Error, Result};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Format {
    Jks,
    Pkcs12,
}

impl Format {
    fn name(self) -> &'static str {
        match self {
            Self::Jks => "JKS",
            Self::Pkcs12 => "PKCS12",
        }
    }
}

/// A store's setting that only Java's formats have, and types that are not PEM.
pub(super) fn refuse_by_type(raw: &Raw) -> Result<()> {
    for store in ["truststore", "keystore"] {
        let location = raw.get(&format!("ssl.{store}.location"));
        let named = |part: &str| format!("ssl.{store}.{part}");
        let format = match raw.get(&named("type")).map(str::to_ascii_uppercase).as_deref() {
            Some("JKS") => Some(Format::Jks),
            Some("PKCS12") => Some(Format::Pkcs12),
            _ => None,
        };
        if let Some(format) = format {
            return Err(refusal(store, &named("type"), format, location.unwrap_or("FILE")));
        }
        if raw.get(&named("password")).is_some() {
            return Err(useless_password(store, raw.get(&named("type")).is_some(), location));
        }
    }
    Ok(())
}

/// A password that PEM has no use for. Java's default type is JKS: who tells a password and no type has one of its stores.
fn useless_password(store: &str, is_typed: bool, location: Option<&str>) -> Error {
    let untyped = location.filter(|_| !is_typed);
    if let Some((location, format)) = untyped.and_then(|location| Some((location, likely_format(location)?))) {
        return refusal(store, &format!("ssl.{store}.location"), format, location);
    }
    let instead = if store == "keystore" { "an encrypted key's password is ssl.key.password" } else { "leave it out" };
    let detail = format!("is for JKS and PKCS12; ssl.{store}.location is PEM, which has none: {instead}");
    Error::invalid(format!("ssl.{store}.password"), detail)
}

/// Looks into the files that TLS will read, before anything connects. A file that cannot be opened is told by who needs it.
pub(in crate::config) fn check(tls: &TlsConfig) -> Result<()> {
    if let Roots::Pem(Pem::File(path)) = &tls.roots {
        refuse_by_content("truststore", path)?;
    }
    match &tls.identity {
        Some(identity) => [&identity.chain, &identity.key].into_iter().try_for_each(|pem| match pem {
            Pem::File(path) => refuse_by_content("keystore", path),
            Pem::Text(_) => Ok(()),
        }),
        None => Ok(()),
    }
}

fn refuse_by_content(store: &str, path: &Path) -> Result<()> {
    match head(path).and_then(|head| format(&head)) {
        Some(format) => Err(refusal(store, &format!("ssl.{store}.location"), format, &path.to_string_lossy())),
        None => Ok(()),
    }
}

/// The format of a store by what is in it, or, of a file that cannot be read, by its name; `None` for PEM.
fn likely_format(location: &str) -> Option<Format> {
    if let Some(head) = head(Path::new(location)) {
        return format(&head);
    }
    let name = location.to_ascii_lowercase();
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "pem" => None,
        "p12" | "pfx" | "pkcs12" => Some(Format::Pkcs12),
        _ => Some(Format::Jks),
    }
}

/// The first bytes of a file that can be read.
fn head(path: &Path) -> Option<[u8; 4]> {
    let mut head = [0; 4];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok().map(|()| head)
}

/// The format by the first bytes: Java's magic numbers, or a DER sequence, which PEM never begins with.
fn format(head: &[u8]) -> Option<Format> {
    match head {
        [0xfe, 0xed, 0xfe, 0xed] | [0xce, 0xce, 0xce, 0xce] => Some(Format::Jks),
        [0x30, length, ..] if length & 0x80 != 0 => Some(Format::Pkcs12),
        _ => None,
    }
}

/// The commands are those of Java's keytool and of OpenSSL; both ask for the store's password.
fn refusal(store: &str, setting: &str, format: Format, file: &str) -> Error {
    let quoted = format!("'{}'", file.replace('\'', "'\\''"));
    let command = match (store, format) {
        ("truststore", Format::Jks) => format!("keytool -list -rfc -keystore {quoted} > truststore.pem"),
        ("truststore", Format::Pkcs12) => format!("openssl pkcs12 -in {quoted} -nokeys -out truststore.pem"),
        (_, Format::Pkcs12) => format!("openssl pkcs12 -in {quoted} -out keystore.pem"),
        (_, Format::Jks) => format!(
            "keytool -importkeystore -srckeystore {quoted} -destkeystore keystore.p12 -deststoretype PKCS12 && \
             openssl pkcs12 -in keystore.p12 -out keystore.pem"
        ),
    };
    let password = if store == "keystore" { ", ssl.key.password=<the password openssl asked for>" } else { "" };
    let format = format.name();
    let detail = format!(
        "a {format} store is not read; make PEM of it with `{command}`, and set ssl.{store}.type=PEM, \
         ssl.{store}.location={store}.pem{password} and no ssl.{store}.password"
    );
    Error::invalid(setting, detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_is_known_by_its_first_bytes() {
        assert_eq!(format(&[0xfe, 0xed, 0xfe, 0xed]), Some(Format::Jks));
        assert_eq!(format(&[0x30, 0x82, 0x0a, 0x00]), Some(Format::Pkcs12));
        assert_eq!(format(b"----"), None);
        assert_eq!(format(b"Bag "), None);
    }

    #[test]
    fn the_command_survives_a_file_name_with_blanks_and_quotes() {
        let error = refusal("truststore", "ssl.truststore.location", Format::Jks, "it's a store.jks").to_string();
        assert!(error.contains("keytool -list -rfc -keystore 'it'\\''s a store.jks' > truststore.pem"), "{error}");
    }
}
