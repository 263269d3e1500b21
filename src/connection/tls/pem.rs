//! Certificates and keys out of PEM, with the setting in every complaint and no key in any.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use pkcs8::EncryptedPrivateKeyInfoRef;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
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
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text).collect();
    let found = found.map_err(|e| format!("{setting}: no PEM can be made of it: {e}"))?;
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
pub(super) fn key(text: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    if let Some(der) = encrypted_section(text) {
        return decrypted(&der?, password);
    }
    if String::from_utf8_lossy(text).contains("Proc-Type: 4,ENCRYPTED") {
        let way_out = "`openssl pkcs8 -topk8 -in OLD.key -out NEW.key` converts it to PKCS#8";
        return Err(format!("ssl.keystore.key: a key encrypted in OpenSSL's old format is not read; {way_out}"));
    }
    if let Some(key) = PrivateKeyDer::pem_slice_iter(text).next() {
        return key.map_err(|e| format!("ssl.keystore.key: no PEM can be made of it: {e}"));
    }
    Err("ssl.keystore.key: it holds no private key in PEM (PKCS#8, PKCS#1 or SEC1)".into())
}

/// The bytes of the first encrypted PKCS#8 section, which the PEM reader of rustls passes over.
fn encrypted_section(text: &[u8]) -> Option<Result<Zeroizing<Vec<u8>>, String>> {
    const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
    const END: &str = "-----END ENCRYPTED PRIVATE KEY-----";
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(BEGIN)?;
    let Some((body, _)) = rest.split_once(END) else {
        return Some(Err("ssl.keystore.key: the encrypted private key has no end".into()));
    };
    let body: Zeroizing<String> = Zeroizing::new(body.split_ascii_whitespace().collect());
    let damaged = |_| "ssl.keystore.key: the encrypted private key is not base64".to_owned();
    Some(BASE64.decode(body.as_bytes()).map(Zeroizing::new).map_err(damaged))
}

fn decrypted(der: &[u8], password: Option<&Secret>) -> Result<PrivateKeyDer<'static>, String> {
    let password = password.ok_or("ssl.key.password is not set, but the private key is encrypted")?;
    let info = EncryptedPrivateKeyInfoRef::try_from(der)
        .map_err(|_| "ssl.keystore.key: the encrypted key is damaged or of a kind that is not read (PBES2 is)")?;
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
            let key = key(&fixture(name), password.as_ref()).unwrap_or_else(|e| panic!("{name}: {e}"));
            let chain = certificates(&fixture(certificate), "x").unwrap();
            let certified = CertifiedKey::from_der(chain, key, &Arc::clone(provider.get())).unwrap();
            certified.keys_match().unwrap_or_else(|e| panic!("{name}: {e}"));
        }
    }

    #[test]
    fn a_key_is_found_behind_the_certificates_of_the_same_file() {
        let store = [fixture("ec-certificate"), fixture("ec-pkcs8-aes256")].concat();
        key(&store, Some(&password())).unwrap();
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
            (b"-----BEGIN PRIVATE KEY-----\n%%%\n-----END PRIVATE KEY-----\n".to_vec(), None, "no PEM"),
            (
                b"-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n".to_vec(),
                Some(&wrong),
                "damaged",
            ),
        ] {
            let error = key(&text, password).unwrap_err();
            assert!(error.contains(words) && !error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn what_is_no_pem_is_told_apart_from_a_store_of_java() {
        let error = certificates(&[0xfe, 0xed, 0xfe, 0xed, 0, 0], "ssl.truststore").unwrap_err();
        assert!(error.contains("ssl.truststore") && error.contains("keytool"), "{error}");
        assert!(!certificates(b"", "x").unwrap_err().contains("keytool"));
        let error = text(&Pem::File("/no/such/file.pem".into()), "ssl.truststore").unwrap_err();
        assert!(error.contains("ssl.truststore: /no/such/file.pem cannot be read"), "{error}");
    }
}
