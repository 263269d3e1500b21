//! The client's half of SCRAM (RFC 5802, RFC 7677): believes a server only that extends our nonce and knows the password.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::hash::Hash;
use super::prep;
use crate::config::security::Secret;

/// Fewer make guessing too cheap for whoever recorded the exchange (RFC 7677).
const MIN_ITERATIONS: u32 = 4_096;
/// More would let a server keep our CPU busy.
const MAX_ITERATIONS: u32 = 1_000_000;
/// A salt longer than this is no salt.
const MAX_SALT: usize = 1024;
/// "n" for no channel binding, no authorization identity; and the same in base64 as the last message repeats it.
const GS2_HEADER: &str = "n,,";
const GS2_HEADER_BASE64: &str = "biws";

/// What is costly, to be done where it holds nobody up: the password hashed with salt and iterations.
#[derive(Clone, PartialEq)]
pub(in crate::connection) struct Hashing {
    pub(super) hash: Hash,
    pub(super) password: Secret,
    pub(super) salt: Vec<u8>,
    pub(super) iterations: u32,
}

impl Hashing {
    /// The salted password: some milliseconds for every ten thousand iterations.
    pub(in crate::connection) fn run(&self) -> Zeroizing<Vec<u8>> {
        self.hash.salted(self.password.expose().as_bytes(), &self.salt, self.iterations)
    }
}

impl fmt::Debug for Hashing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hashing({:?}, {} iterations)", self.hash, self.iterations)
    }
}

/// One exchange. Every message is taken in its turn only.
pub(super) struct Scram {
    hash: Hash,
    password: Secret,
    first_bare: Zeroizing<String>,
    nonce: String,
    state: State,
}

enum State {
    First,
    /// The server's first message is checked; its salted password is awaited.
    Hashing {
        server_first: String,
        combined_nonce: String,
    },
    /// Our proof is out; this is what the server has to answer.
    Proven {
        signature: Zeroizing<Vec<u8>>,
    },
    Done,
}

/// Why the exchange failed, in words that hold no secret.
pub(super) type Bad = String;

impl Scram {
    /// Prepares names and passwords (SASLprep). `nonce` is printable and without commas.
    pub(super) fn new(hash: Hash, username: &str, password: &Secret, nonce: String) -> Result<Self, Bad> {
        let username = prep::prepare(username).ok_or("sasl.username holds a character that SASLprep forbids")?;
        let password =
            prep::prepare(password.expose()).ok_or("sasl.password holds a character that SASLprep forbids")?;
        let username = username.replace('=', "=3D").replace(',', "=2C");
        let first_bare = Zeroizing::new(format!("n={username},r={nonce}"));
        Ok(Self { hash, password: Secret::new(password), first_bare, nonce, state: State::First })
    }

    /// The client's first message.
    pub(super) fn first(&self) -> Secret {
        Secret::new(format!("{GS2_HEADER}{}", *self.first_bare))
    }

    /// The server's first message: what has to be hashed now.
    pub(super) fn handle_first(&mut self, message: &[u8]) -> Result<Hashing, Bad> {
        let State::First = self.state else { return Err("a second first message".into()) };
        let text = text(message)?;
        let mut attributes = text.split(',');
        let combined_nonce = value(attributes.next(), 'r')?.to_owned();
        let is_longer = combined_nonce.strip_prefix(&self.nonce).is_some_and(|own| !own.is_empty());
        if !is_longer || !is_printable(&combined_nonce) {
            return Err("a nonce that does not extend the client's".into());
        }
        let salt = BASE64.decode(value(attributes.next(), 's')?).map_err(|_| "a salt that is not base64")?;
        if salt.is_empty() || salt.len() > MAX_SALT {
            return Err(format!("a salt of {} bytes", salt.len()));
        }
        let iterations = value(attributes.next(), 'i')?;
        if attributes.next().is_some() {
            return Err("a first message with more than nonce, salt and iterations".into());
        }
        let iterations = iterations_of(iterations)?;
        self.state = State::Hashing { server_first: text.to_owned(), combined_nonce };
        Ok(Hashing { hash: self.hash, password: self.password.clone(), salt, iterations })
    }

    /// The password is hashed: the client's final message, which proves that we know it.
    pub(super) fn handle_salted(&mut self, salted: &[u8]) -> Result<Secret, Bad> {
        let State::Hashing { server_first, combined_nonce } = std::mem::replace(&mut self.state, State::Done) else {
            return Err("a hashed password that was not asked for".into());
        };
        let without_proof = format!("c={GS2_HEADER_BASE64},r={combined_nonce}");
        let auth_message = format!("{},{server_first},{without_proof}", *self.first_bare);
        let client_key = self.hash.mac(salted, b"Client Key");
        let client_signature = self.hash.mac(&self.hash.digest(&client_key), auth_message.as_bytes());
        let proof: Vec<u8> = client_key.iter().zip(client_signature.iter()).map(|(key, sign)| key ^ sign).collect();
        let server_key = self.hash.mac(salted, b"Server Key");
        self.state = State::Proven { signature: self.hash.mac(&server_key, auth_message.as_bytes()) };
        Ok(Secret::new(format!("{without_proof},p={}", BASE64.encode(proof))))
    }

    /// The server's final message: whether it knows the password too.
    pub(super) fn handle_final(&mut self, message: &[u8]) -> Result<(), Bad> {
        let State::Proven { signature } = std::mem::replace(&mut self.state, State::Done) else {
            return Err("a final message before its turn".into());
        };
        let text = text(message)?;
        if let Some(error) = text.strip_prefix("e=") {
            return Err(format!("the error `{}`", printable(error)));
        }
        // Extensions may follow a verifier in a final message; Kafka sends none, so nothing else is accepted.
        let verifier = text.strip_prefix("v=").ok_or("a final message without a signature")?;
        let verifier = BASE64.decode(verifier).map_err(|_| "a signature that is not base64")?;
        match bool::from(verifier.ct_eq(&signature)) {
            true => Ok(()),
            false => {
                Err("a wrong signature: the server does not know the password, so it is not the one it says".into())
            }
        }
    }

    /// What the server is asked next is its first message; else its final one.
    pub(super) fn is_first(&self) -> bool {
        matches!(self.state, State::First)
    }
}

/// The value of the attribute that has to come next. `m=` would be an extension that must not be ignored.
fn value(attribute: Option<&str>, name: char) -> Result<&str, Bad> {
    let missing = || format!("a first message without `{name}=` in its place");
    let attribute = attribute.ok_or_else(missing)?;
    if attribute.starts_with("m=") {
        return Err("a mandatory extension that is not known".into());
    }
    attribute.strip_prefix(name).and_then(|rest| rest.strip_prefix('=')).ok_or_else(missing)
}

fn iterations_of(text: &str) -> Result<u32, Bad> {
    let is_number = text.bytes().all(|b| b.is_ascii_digit()) && (1..=10).contains(&text.len());
    let number = is_number.then(|| text.parse::<u64>().ok()).flatten().ok_or("iterations that are no number")?;
    match u32::try_from(number) {
        Ok(n) if (MIN_ITERATIONS..=MAX_ITERATIONS).contains(&n) => Ok(n),
        _ => Err(format!("{number} iterations, where {MIN_ITERATIONS} to {MAX_ITERATIONS} are accepted")),
    }
}

fn text(message: &[u8]) -> Result<&str, Bad> {
    std::str::from_utf8(message).map_err(|_| "a message that is not UTF-8".into())
}

fn is_printable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_graphic())
}

/// What a peer says, fit for a message.
pub(super) fn printable(text: &str) -> String {
    text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
#[path = "scram_tests.rs"]
mod tests;
