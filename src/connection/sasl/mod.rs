//! Proves to a broker who we are (KIP-43, KIP-152): frames and the results of chores go in, frames and chores come out.

mod chore;
mod hash;
#[cfg(feature = "tls")]
mod http;
mod message;
mod msk;
mod oauth;
#[cfg(feature = "tls")]
mod oidc;
mod plain;
mod prep;
mod scram;
#[cfg(test)]
mod tests;

use std::time::Duration;

use bytes::Bytes;

pub(super) use chore::{Chore, Product};

use super::handshake::Refusal;
use crate::config::security::{OAuthBearer, SaslMechanism, Secret};
use crate::error::ErrorCode;
use crate::wire::StrBytes;
use crate::wire::api::BrokerVersions;
use crate::wire::frame::{EncodeError, RequestFrame, decode_response};
use crate::wire::messages::{ApiKey, SaslAuthenticateRequest, SaslHandshakeRequest, SaslHandshakeResponse};
use hash::Hash;
use scram::{Scram, printable};

/// The longest answer that is looked at: what a broker says here is kept and copied several times, and is short.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What to do next. Holds secrets: it has no `Debug`.
pub(super) enum Next {
    /// Write this; its answer goes to [`Authentication::handle_frame`].
    Send(RequestFrame),
    /// Do this; what comes of it goes to [`Authentication::handle_product`].
    Do(Chore),
    /// The broker knows us; it will want to know us again within this time, if it said so (KIP-368).
    Done(Option<Duration>),
}

/// One authentication on one connection, first or again.
pub(super) struct Authentication {
    mechanism: SaslMechanism,
    client_id: String,
    /// The broker's name, as it was reached.
    host: String,
    nonce: String,
    /// Of SaslAuthenticate.
    version: i16,
    /// The first message, where it was made before the mechanism was agreed on.
    ready: Option<Secret>,
    turn: Turn,
}

/// What is awaited.
enum Turn {
    /// The answer to SaslHandshake.
    Handshake,
    /// A token or key, before anything is said: requests need not wait for it on a connection that is in use.
    Credentials,
    /// The server's next message of SCRAM, or the hashed password.
    Scram(Scram),
    /// The answer to the only message there is.
    Verdict,
    /// A token was refused in words; the error that follows is awaited.
    TokenRefused(String),
}

impl Authentication {
    /// `nonce` is random, printable and without commas.
    ///
    /// Fails if the broker does not speak SASL in frames of its own (brokers before 1.0).
    pub(super) fn new(
        mechanism: &SaslMechanism,
        client_id: &str,
        host: &str,
        versions: &BrokerVersions,
        nonce: String,
    ) -> Result<Self, Refusal> {
        let missing = |_| Refusal::Security("the broker does not offer SaslAuthenticate, which SASL needs".into());
        let version = versions.negotiate(ApiKey::SaslAuthenticate).map_err(missing)?;
        let (mechanism, turn) = (mechanism.clone(), Turn::Handshake);
        Ok(Self { mechanism, client_id: client_id.into(), host: host.into(), nonce, version, ready: None, turn })
    }

    /// The first step: a token or key is got before anything is said.
    pub(super) fn begin(&mut self) -> Result<Next, Refusal> {
        let chore = match &self.mechanism {
            SaslMechanism::OAuthBearer(source) => Chore::Token(source.clone()),
            SaslMechanism::AwsMskIam(aws) => Chore::AwsKey(aws.credentials.clone()),
            _ => return self.handshake(),
        };
        self.turn = Turn::Credentials;
        Ok(Next::Do(chore))
    }

    /// Which mechanism we want. Version 1, after which messages travel in frames of their own.
    fn handshake(&mut self) -> Result<Next, Refusal> {
        self.turn = Turn::Handshake;
        let name = StrBytes::from_static_str(self.mechanism.name());
        let request = SaslHandshakeRequest::default().with_mechanism(name);
        RequestFrame::encode(&self.client_id, 1, &request).map(Next::Send).map_err(not_encoded)
    }

    /// The answer to the last request, without its length bytes.
    pub(super) fn handle_frame(&mut self, frame: Bytes) -> Result<Next, Refusal> {
        if frame.len() > LONGEST_ANSWER {
            let len = frame.len();
            return Err(Refusal::Protocol(format!(
                "an answer of {len} bytes to SASL, of which {LONGEST_ANSWER} are read"
            )));
        }
        if let Turn::Handshake = self.turn {
            let answer = decode_response::<SaslHandshakeRequest>(1, frame).map_err(malformed)?;
            return self.handle_handshake(&answer);
        }
        let answer = decode_response::<SaslAuthenticateRequest>(self.version, frame).map_err(malformed)?;
        if let Err(code) = ErrorCode(answer.error_code).ok() {
            return Err(self.refused(code, answer.error_message.as_deref().unwrap_or_default()));
        }
        let lifetime = u64::try_from(answer.session_lifetime_ms).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
        self.handle_challenge(&answer.auth_bytes, lifetime)
    }

    fn handle_handshake(&mut self, answer: &SaslHandshakeResponse) -> Result<Next, Refusal> {
        match ErrorCode(answer.error_code) {
            ErrorCode::NONE => self.first_message(),
            ErrorCode::UNSUPPORTED_SASL_MECHANISM => {
                let offered: Vec<_> = answer.mechanisms.iter().map(|name| printable(name)).collect();
                let words = format!("sasl.mechanism={} is not enabled; it offers", self.mechanism.name());
                let code = ErrorCode::UNSUPPORTED_SASL_MECHANISM;
                Err(Refusal::Authentication(code, format!("{words} {}", offered.join(", "))))
            }
            ErrorCode::ILLEGAL_SASL_STATE => {
                let words =
                    "the port does not authenticate with SASL; set security.protocol=PLAINTEXT or SSL, as it is";
                Err(Refusal::Authentication(ErrorCode::ILLEGAL_SASL_STATE, words.into()))
            }
            code => Err(Refusal::Authentication(code, "in answer to SaslHandshake".into())),
        }
    }

    fn first_message(&mut self) -> Result<Next, Refusal> {
        let message = match (&self.mechanism, self.ready.take()) {
            (_, Some(ready)) => ready,
            (SaslMechanism::Plain { username, password }, None) => {
                plain::message(username, password).map_err(Refusal::Invalid)?
            }
            (SaslMechanism::ScramSha256 { username, password }, None) => {
                return self.first_of_scram(Hash::Sha256, &username.clone(), &password.clone());
            }
            (SaslMechanism::ScramSha512 { username, password }, None) => {
                return self.first_of_scram(Hash::Sha512, &username.clone(), &password.clone());
            }
            (_, None) => return Err(out_of_turn()),
        };
        self.turn = Turn::Verdict;
        self.say(message)
    }

    fn first_of_scram(&mut self, hash: Hash, username: &str, password: &Secret) -> Result<Next, Refusal> {
        let scram = Scram::new(hash, username, password, self.nonce.clone()).map_err(Refusal::Invalid)?;
        let first = scram.first();
        self.turn = Turn::Scram(scram);
        self.say(first)
    }

    /// The server's message, or the empty one that ends most mechanisms.
    fn handle_challenge(&mut self, message: &[u8], lifetime: Option<Duration>) -> Result<Next, Refusal> {
        let is_token = matches!(self.mechanism, SaslMechanism::OAuthBearer(_));
        match &mut self.turn {
            Turn::Scram(scram) if scram.is_first() => {
                let hashing = scram.handle_first(message).map_err(|bad| lies(&bad))?;
                Ok(Next::Do(Chore::Hash(hashing)))
            }
            Turn::Scram(scram) => {
                scram.handle_final(message).map_err(|bad| lies(&bad))?;
                Ok(Next::Done(lifetime))
            }
            Turn::Verdict if is_token && !message.is_empty() => {
                // RFC 7628: the refusal comes as a message that is answered with one byte; the error follows.
                self.turn = Turn::TokenRefused(printable(&String::from_utf8_lossy(message)));
                self.say(Secret::new("\u{1}"))
            }
            Turn::Verdict => Ok(Next::Done(lifetime)),
            Turn::TokenRefused(reason) => {
                Err(Refusal::Security(format!("the broker refused the token, then took it: {reason}")))
            }
            Turn::Handshake | Turn::Credentials => Err(Refusal::Protocol("an answer nobody asked for".into())),
        }
    }

    /// What a chore led to.
    pub(super) fn handle_product(&mut self, product: Product) -> Result<Next, Refusal> {
        match (product, &mut self.turn) {
            (Product::Failed(error), _) => Err(Refusal::Credentials(error)),
            (Product::Salted(salted), Turn::Scram(scram)) => {
                let proof = scram.handle_salted(&salted).map_err(Refusal::Protocol)?;
                self.say(proof)
            }
            (Product::Token(token), Turn::Credentials) => {
                self.ready = Some(oauth::message(&token).map_err(Refusal::Invalid)?);
                self.handshake()
            }
            (Product::AwsKey { key, now }, Turn::Credentials) => {
                let SaslMechanism::AwsMskIam(aws) = &self.mechanism else { return Err(out_of_turn()) };
                let message = msk::message(&self.host, aws.region.as_deref(), &key, now).map_err(Refusal::Invalid)?;
                self.ready = Some(message);
                self.handshake()
            }
            _ => Err(out_of_turn()),
        }
    }

    fn say(&self, message: Secret) -> Result<Next, Refusal> {
        message::frame(&self.client_id, self.version, message).map(Next::Send).map_err(not_encoded)
    }

    /// What the broker said, and which setting it is about.
    fn refused(&self, code: ErrorCode, message: &str) -> Refusal {
        let (who, check) = match &self.mechanism {
            SaslMechanism::Plain { username, .. }
            | SaslMechanism::ScramSha256 { username, .. }
            | SaslMechanism::ScramSha512 { username, .. } => (format!(" as `{username}`"), "user and password"),
            SaslMechanism::OAuthBearer(OAuthBearer::UnsecuredForTests(token)) => {
                (format!(" as `{}`", token.subject), "the token")
            }
            SaslMechanism::OAuthBearer(_) => (String::new(), "the token"),
            SaslMechanism::AwsMskIam(_) => {
                (String::new(), "the AWS key, its policy, the region and this machine's clock")
            }
        };
        let reason = match &self.turn {
            Turn::TokenRefused(reason) => format!(" ({reason})"),
            _ => String::new(),
        };
        let (mechanism, message) = (self.mechanism.name(), printable(message));
        let detail = format!("{mechanism}{who}: {message}{reason}; check {check} (sasl.jaas.config)");
        Refusal::Authentication(code, detail)
    }
}

fn not_encoded(e: EncodeError) -> Refusal {
    Refusal::Invalid(e.to_string())
}

fn malformed(malformed: crate::wire::Malformed) -> Refusal {
    Refusal::Protocol(malformed.to_string())
}

fn out_of_turn() -> Refusal {
    Refusal::Protocol("a chore's result nobody asked for".into())
}

fn lies(bad: &str) -> Refusal {
    Refusal::Security(format!("the broker's part of SCRAM is not to be trusted: it sent {bad}"))
}
