//! SHA-2 as SCRAM and request signing use it: digest, keyed digest, and the iterated one.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};
use zeroize::Zeroizing;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// Overwritten when it is dropped: every one of these is a key or leads to one.
type Digested = Zeroizing<Vec<u8>>;

impl Hash {
    pub(super) fn digest(self, data: &[u8]) -> Digested {
        Zeroizing::new(match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        })
    }

    /// HMAC (RFC 2104).
    pub(super) fn mac(self, key: &[u8], data: &[u8]) -> Digested {
        match self {
            Self::Sha256 => mac::<Hmac<Sha256>>(key, data),
            Self::Sha512 => mac::<Hmac<Sha512>>(key, data),
        }
    }

    /// `Hi` of RFC 5802: PBKDF2 with an output as long as the hash.
    pub(super) fn salted(self, password: &[u8], salt: &[u8], iterations: u32) -> Digested {
        match self {
            Self::Sha256 => iterated::<Hmac<Sha256>>(password, salt, iterations),
            Self::Sha512 => iterated::<Hmac<Sha512>>(password, salt, iterations),
        }
    }
}

fn keyed<M: Mac + KeyInit>(key: &[u8]) -> M {
    <M as KeyInit>::new_from_slice(key).expect("HMAC takes keys of every length")
}

fn mac<M: Mac + KeyInit>(key: &[u8], data: &[u8]) -> Digested {
    Zeroizing::new(keyed::<M>(key).chain_update(data).finalize().into_bytes().to_vec())
}

/// The key is absorbed once: each iteration clones the state behind it.
fn iterated<M: Mac + KeyInit + Clone>(password: &[u8], salt: &[u8], iterations: u32) -> Digested {
    let keyed = keyed::<M>(password);
    let mut block = keyed.clone().chain_update(salt).chain_update(1u32.to_be_bytes()).finalize().into_bytes();
    let mut result = Zeroizing::new(block.to_vec());
    for _ in 1..iterations {
        block = keyed.clone().chain_update(&block).finalize().into_bytes();
        result.iter_mut().zip(&block).for_each(|(sum, byte)| *sum ^= byte);
    }
    result
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
