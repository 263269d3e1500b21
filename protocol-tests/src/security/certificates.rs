//! An authority and what it signs, with keys made by the same C-free cryptography that the client uses.

use std::sync::atomic::{AtomicU64, Ordering};

use graviola::hashing::Sha256;
use graviola::signing::ecdsa::{P256, SigningKey};
use milena::config::security::Secret;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::ParsedCertificate;

/// When a certificate is good.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Validity {
    /// From 2020 to 2120.
    Now,
    /// Until 2021.
    Past,
    /// From 2110.
    Future,
}

/// A certificate and its key, as PEM.
#[derive(Clone, Debug)]
pub struct Issued {
    /// The certificate, then those that signed it.
    pub chain: String,
    /// The private key, PKCS#8.
    pub key: Secret,
}

/// Signs certificates. Two of one name are told apart by their keys.
pub struct Authority {
    issuer: Issuer<'static, Key>,
    /// Its own certificate as PEM: what to trust.
    pub certificate: String,
}

struct Key {
    key: SigningKey<P256>,
    point: Vec<u8>,
}

impl Key {
    fn generate() -> Self {
        let key = SigningKey::<P256>::generate().expect("randomness");
        let mut room = [0; 128];
        let spki = key.to_spki_der(&mut room).expect("room enough");
        // The uncompressed point ends the structure.
        let point = spki[spki.len() - 65..].to_vec();
        Self { key, point }
    }

    fn pem(&self) -> Secret {
        let mut room = [0; 256];
        let der = self.key.to_pkcs8_der(&mut room).expect("room enough");
        // Some of the private part, where the first line of its PEM has it: 24 bytes of DER are 32 characters.
        super::keep_secret(&der[24..48]);
        Secret::new(pem("PRIVATE KEY", der))
    }
}

impl PublicKeyData for Key {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for Key {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let mut room = [0; 128];
        let signature = self.key.sign_asn1::<Sha256>(&[message], &mut room);
        signature.map(<[u8]>::to_vec).map_err(|_| rcgen::Error::RemoteKeyError)
    }
}

/// The public half of a key made elsewhere.
struct PublicKey {
    key: Vec<u8>,
    algorithm: &'static SignatureAlgorithm,
}

impl PublicKey {
    /// Of a certificate for a key of P-256 or RSA.
    fn of(certificate: &str) -> Self {
        let der = CertificateDer::from_pem_slice(certificate.as_bytes()).expect("a certificate");
        let spki = ParsedCertificate::try_from(&der).expect("a certificate").subject_public_key_info();
        // The key ends the structure: an uncompressed point, or a number behind a head of ever the same length.
        let (head, algorithm) = match spki.len() {
            91 => (26, &PKCS_ECDSA_P256_SHA256),
            _ => (24, &PKCS_RSA_SHA256),
        };
        Self { key: spki[head..].to_vec(), algorithm }
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.key
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.algorithm
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn params(common_name: &str, names: &[&str], validity: Validity) -> CertificateParams {
    static SERIAL: AtomicU64 = AtomicU64::new(1);
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("names are legal");
    params.distinguished_name.push(DnType::CommonName, common_name);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    params.serial_number = Some(SerialNumber::from(serial));
    params.key_identifier_method = KeyIdMethod::PreSpecified(serial.to_be_bytes().to_vec());
    (params.not_before, params.not_after) = match validity {
        Validity::Now => (date_time_ymd(2020, 1, 1), date_time_ymd(2120, 1, 1)),
        Validity::Past => (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1)),
        Validity::Future => (date_time_ymd(2110, 1, 1), date_time_ymd(2120, 1, 1)),
    };
    params
}

impl Authority {
    /// A new authority.
    pub fn new(name: &str) -> Self {
        let mut params = params(name, &[], Validity::Now);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = Key::generate();
        let certificate = pem("CERTIFICATE", params.self_signed(&key).expect("signed").der());
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A server's certificate for these names and addresses.
    pub fn server(&self, names: &[&str], validity: Validity) -> Issued {
        self.issue("broker", names, validity, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A client's certificate, whose common name is its principal.
    pub fn client(&self, name: &str, validity: Validity) -> Issued {
        self.issue(name, &[], validity, ExtendedKeyUsagePurpose::ClientAuth)
    }

    /// A client's certificate, and this authority's, for the key that `certificate` (PEM) is for: a key made elsewhere.
    pub fn client_for(&self, name: &str, certificate: &str) -> String {
        self.sign(name, &[], Validity::Now, ExtendedKeyUsagePurpose::ClientAuth, &PublicKey::of(certificate))
    }

    fn issue(&self, name: &str, names: &[&str], validity: Validity, usage: ExtendedKeyUsagePurpose) -> Issued {
        let key = Key::generate();
        Issued { chain: self.sign(name, names, validity, usage, &key), key: key.pem() }
    }

    fn sign(
        &self,
        name: &str,
        names: &[&str],
        validity: Validity,
        usage: ExtendedKeyUsagePurpose,
        key: &impl PublicKeyData,
    ) -> String {
        let mut params = params(name, names, validity);
        params.extended_key_usages = vec![usage];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        let certificate = params.signed_by(key, &self.issuer).expect("signed");
        format!("{}{}", pem("CERTIFICATE", certificate.der()), self.certificate)
    }

    /// A server's certificate that signed itself.
    pub fn self_signed(names: &[&str]) -> Issued {
        let params = params("broker", names, Validity::Now);
        let key = Key::generate();
        let certificate = params.self_signed(&key).expect("signed");
        Issued { chain: pem("CERTIFICATE", certificate.der()), key: key.pem() }
    }
}
