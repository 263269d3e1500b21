//! Certificates and keys out of PEM, with the setting in every complaint and no key in any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};
use zeroize::Zeroizing;

use crate::config::security::{Pem, Secret};

/// Largest file read: a few thousand certificates.
const MAX_FILE: u64 = 16 * 1024 * 1024;

/// The text of `pem`; `setting` is what a complaint is about.
pub(super) fn text(pem: &Pem, setting: &str) -> Result<Zeroizing<Vec<u8>>, String> {
    let path = match pem {
        Pem::Text(text) => return Ok(Zeroizing::new(text.expose().as_bytes().to_vec())),
        Pem::File(path) => path,
    };
    let complain = |e: &dyn std::fmt::Display| format!("{setting}: {} cannot be read: {e}", path.display());
    let length = std::fs::metadata(path).map_err(|e| complain(&e))?.len();
    if length > MAX_FILE {
        return Err(complain(&format!("it has {length} bytes")));
    }
    std::fs::read(path).map(Zeroizing::new).map_err(|e| complain(&e))
}

/// Every certificate of the text; at least one.
pub(super) fn certificates(text: &[u8], setting: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let lines = lossy(text);
    let certificates = sections(&lines).filter(|section| section.label == "CERTIFICATE");
    let der = |section: Section<'_>| Ok(CertificateDer::from(section.der(setting)?.to_vec()));
    let found = certificates.map(der).collect::<Result<Vec<_>, String>>()?;
    if found.is_empty() {
        let looks = if text.first() == Some(&0x30) || text.starts_with(&[0xfe, 0xed]) {
            " (it looks like a JKS or PKCS#12 store: `keytool -importkeystore -deststoretype PKCS12` and `openssl \
             pkcs12 -in STORE -out FILE.pem` convert it)"
        } else {
            ""
        };
        return Err(format!("{setting}: it holds no certificate in PEM{looks}"));
    }
    Ok(found)
}

/// The private key of the text, decrypted if it is encrypted.
pub(super) fn key(text: &[u8], setting: &str, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    let lines = lossy(text);
    for section in sections(&lines) {
        let der = |section: &Section<'_>| Ok::<_, String>(section.der(setting)?.to_vec());
        return match section.label {
            "ENCRYPTED PRIVATE KEY" => decrypted(&section.der(setting)?, setting, password),
            "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(der(&section)?).into()),
            "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(der(&section)?).into()),
            "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(der(&section)?).into()),
            _ => continue,
        };
    }
    Err(format!("{setting}: it holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)"))
}

/// As text, overwritten when it is dropped. What is not UTF-8 can only be a comment between the sections, or no PEM.
fn lossy(text: &[u8]) -> Zeroizing<String> {
    Zeroizing::new(String::from_utf8_lossy(text).into_owned())
}

/// What stands between a `BEGIN` and its `END`; lines do not matter, since a text in a file of properties has one.
struct Section<'a> {
    label: &'a str,
    /// `None` without an end.
    body: Option<&'a str>,
}

fn sections(text: &str) -> impl Iterator<Item = Section<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (label, behind) = rest.split_once("-----BEGIN ")?.1.split_once("-----")?;
        let body = behind.split_once(&format!("-----END {label}-----"));
        rest = body.map_or(behind, |(_, behind)| behind);
        Some(Section { label, body: body.map(|(body, _)| body) })
    })
}

impl Section<'_> {
    /// The bytes it stands for. No complaint repeats any of them.
    fn der(&self, setting: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let label = self.label;
        let body = self.body.ok_or_else(|| format!("{setting}: the {label} has no `-----END {label}-----`"))?;
        if body.contains("Proc-Type: 4,ENCRYPTED") {
            let way_out = "`openssl pkcs8 -topk8 -in OLD.key -out NEW.key` converts it to PKCS#8";
            return Err(format!("{setting}: a key encrypted in OpenSSL's old format is not read; {way_out}"));
        }
        let mut packed = Zeroizing::new(String::with_capacity(body.len()));
        packed.extend(body.chars().filter(|c| !c.is_ascii_whitespace()));
        let decoded = BASE64.decode(packed.as_bytes()).map(Zeroizing::new);
        decoded.map_err(|_| format!("{setting}: the {label} is damaged: it is not base64"))
    }
}

fn decrypted(der: &[u8], setting: &str, password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.ok_or("ssl.key.password is not set, but the private key is encrypted")?;
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|_| format!("{setting}: the encrypted key is damaged or of a kind that is not read (PBES2 is)"))?;
    let opened = info.decrypt(password.expose()).map_err(|_| {
        "ssl.key.password does not open the private key, or it is encrypted in a way that is not read (PBES2 with AES is)"
    })?;
    Ok(PrivatePkcs8KeyDer::from(opened.as_bytes().to_vec()).into())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use rustls::sign::CertifiedKey;

    use super::*;
    use crate::config::security::CryptoProvider;

    fn fixture(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/fixtures/keys/{name}.pem", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn password() -> Secret {
        Secret::new("canary-9c1f-key")
    }

    #[test]
    fn every_form_of_key_opens_and_belongs_to_its_certificate() {
        let provider = CryptoProvider::for_this_cpu().unwrap();
        for (name, certificate, password) in [
            ("ec-sec1", "ec-certificate", None),
            ("ec-pkcs8", "ec-certificate", None),
            ("ec-pkcs8-aes256", "ec-certificate", Some(password())),
            ("rsa-pkcs1", "rsa-certificate", None),
            ("rsa-pkcs8", "rsa-certificate", None),
            ("rsa-pkcs8-aes128", "rsa-certificate", Some(password())),
        ] {
            let key = key(&fixture(name), "x", password.as_ref()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let chain = certificates(&fixture(certificate), "x").unwrap();
            let certified = CertifiedKey::from_der(chain, key, &Arc::clone(provider.get())).unwrap();
            certified.keys_match().unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn pem_in_one_line_is_read_as_java_reads_it() {
        let one_line = |name| String::from_utf8(fixture(name)).unwrap().replace('\n', " ").into_bytes();
        for (name, password) in
            [("ec-sec1", None), ("ec-pkcs8", None), ("rsa-pkcs1", None), ("rsa-pkcs8-aes128", Some(password()))]
        {
            let whole = key(&fixture(name), "x", password.as_ref()).unwrap();
            assert_eq!(key(&one_line(name), "x", password.as_ref()), Ok(whole), "{name}");
        }
        let chain = [one_line("ec-certificate"), one_line("rsa-certificate")].concat();
        assert_eq!(certificates(&chain, "x").unwrap().len(), 2);
    }

    #[test]
    fn a_key_is_found_behind_the_certificates_of_the_same_file() {
        let store = [fixture("ec-certificate"), fixture("ec-pkcs8-aes256")].concat();
        key(&store, "x", Some(&password())).unwrap();
        assert_eq!(certificates(&store, "x").unwrap().len(), 1);
    }

    #[test]
    fn what_is_wrong_with_a_key_is_said_without_the_key_or_its_password() {
        let wrong = Secret::new("canary-9c1f-wrong");
        for (text, password, words) in [
            (fixture("ec-pkcs8-aes256"), None, "ssl.key.password is not set"),
            (fixture("ec-pkcs8-aes256"), Some(&wrong), "ssl.key.password does not open"),
            (fixture("rsa-old-encrypted"), Some(&wrong), "openssl pkcs8 -topk8"),
            (fixture("ec-certificate"), None, "no private key"),
            (b"hello".to_vec(), None, "no private key"),
            (b"-----BEGIN PRIVATE KEY-----\n%%%\n-----END PRIVATE KEY-----\n".to_vec(), None, "not base64"),
            (b"-----BEGIN PRIVATE KEY-----\ncanary-9c1f\n-----END PRIVATE".to_vec(), None, "no `-----END PRIVATE KEY"),
            (b"-----BEGIN PRIVATE KEY-----canary-9c1f-----END PRIVATE KEY-----".to_vec(), None, "not base64"),
            (b"-----BEGIN PRIVATE KEY canary-9c1f".to_vec(), None, "no private key"),
            (
                b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_vec(),
                Some(&wrong),
                "damaged",
            ),
        ] {
            let error = key(&text, "ssl.key.location", password).unwrap_err();
            assert!(error.contains(words) && error.contains("ssl.key."), "{error}");
            assert!(!error.contains("canary") && !error.contains(&format!("{:?}", &b"canary"[..])[1..20]), "{error}");
        }
    }

    #[test]
    fn what_is_no_pem_is_told_apart_from_a_store_of_java() {
        let error = certificates(&[0xfe, 0xed, 0xfe, 0xed, 0, 0], "ssl.truststore.location").unwrap_err();
        assert!(error.contains("ssl.truststore.location") && error.contains("keytool"), "{error}");
        assert!(!certificates(b"", "x").unwrap_err().contains("keytool"));
        let error = text(&Pem::File("/no/such/file.pem".into()), "ssl.truststore.location").unwrap_err();
        assert!(error.contains("ssl.truststore.location: /no/such/file.pem cannot be read"), "{error}");
    }
}
