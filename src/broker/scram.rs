//! The server's half of SCRAM (RFC 5802), written apart from the client's.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256, Sha512};

/// Which hash.
#[derive(Clone, Copy, Debug)]
pub(super) enum Hash {
    Sha256,
    Sha512,
}

/// A login whose proof is awaited.
pub(super) struct Exchange {
    hash: Hash,
    user: String,
    client_first_bare: String,
    server_first: String,
    nonce: String,
    salted: Vec<u8>,
}

impl std::fmt::Debug for Exchange {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Exchange({:?}, {})", self.hash, self.user)
    }
}

/// The client's first message: its challenge, if the user is known.
pub(super) fn begin(
    hash: Hash,
    message: &[u8],
    password: impl FnOnce(&str) -> Option<String>,
    iterations: u32,
    seed: u64,
) -> Option<(Exchange, String)> {
    let text = std::str::from_utf8(message).ok()?;
    let bare = text.strip_prefix("n,,")?;
    let (name, nonce) = bare.strip_prefix("n=")?.split_once(",r=")?;
    let user = name.replace("=2C", ",").replace("=3D", "=");
    let password = password(&user)?;
    let salt = format!("salt of {user}");
    let nonce = format!("{nonce}server{seed}");
    let server_first = format!("r={nonce},s={},i={iterations}", STANDARD.encode(&salt));
    let salted = hash.pbkdf2(password.as_bytes(), salt.as_bytes(), iterations);
    let client_first_bare = bare.to_owned();
    Some((Exchange { hash, user, client_first_bare, server_first: server_first.clone(), nonce, salted }, server_first))
}

impl Exchange {
    /// The client's proof: the user and the server's signature, if the proof is right.
    pub(super) fn handle_final(&mut self, message: &[u8]) -> Option<(String, String)> {
        let text = std::str::from_utf8(message).ok()?;
        let (without_proof, proof) = text.rsplit_once(",p=")?;
        if without_proof != format!("c=biws,r={}", self.nonce) {
            return None;
        }
        let auth = format!("{},{},{without_proof}", self.client_first_bare, self.server_first);
        let client_key = self.hash.mac(&self.salted, b"Client Key");
        let stored_key = self.hash.digest(&client_key);
        let signature = self.hash.mac(&stored_key, auth.as_bytes());
        let proof = STANDARD.decode(proof).ok()?;
        let recovered: Vec<u8> = proof.iter().zip(&signature).map(|(a, b)| a ^ b).collect();
        if self.hash.digest(&recovered) != stored_key {
            return None;
        }
        let server_key = self.hash.mac(&self.salted, b"Server Key");
        let verifier = STANDARD.encode(self.hash.mac(&server_key, auth.as_bytes()));
        Some((self.user.clone(), format!("v={verifier}")))
    }
}

impl Hash {
    fn digest(self, data: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha256 => Sha256::digest(data).to_vec(),
            Self::Sha512 => Sha512::digest(data).to_vec(),
        }
    }

    fn mac(self, key: &[u8], data: &[u8]) -> Vec<u8> {
        let keyed = "HMAC takes keys of every length";
        match self {
            Self::Sha256 => {
                Hmac::<Sha256>::new_from_slice(key).expect(keyed).chain_update(data).finalize().into_bytes().to_vec()
            }
            Self::Sha512 => {
                Hmac::<Sha512>::new_from_slice(key).expect(keyed).chain_update(data).finalize().into_bytes().to_vec()
            }
        }
    }

    fn pbkdf2(self, password: &[u8], salt: &[u8], iterations: u32) -> Vec<u8> {
        let mut block = self.mac(password, &[salt, &[0, 0, 0, 1]].concat());
        let mut sum = block.clone();
        for _ in 1..iterations {
            block = self.mac(password, &block);
            sum.iter_mut().zip(&block).for_each(|(sum, byte)| *sum ^= byte);
        }
        sum
    }
}
