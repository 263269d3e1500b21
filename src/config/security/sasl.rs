//! Who a client says it is: the mechanisms of SASL, and where tokens and keys that expire come from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::{Roots, Secret};
use crate::error::Result;

/// A mechanism (`sasl.mechanism`) with what it needs.
#[derive(Clone, PartialEq, Debug)]
pub enum SaslMechanism {
    /// User and password, readable by whoever reads the connection.
    Plain {
        /// Who.
        username: String,
        /// Known to both sides.
        password: Secret,
    },
    /// User and password, proven without sending the password (RFC 5802, RFC 7677).
    ScramSha256 {
        /// Who.
        username: String,
        /// Stored by the broker as a salted hash only.
        password: Secret,
    },
    /// As `ScramSha256` with SHA-512.
    ScramSha512 {
        /// Who.
        username: String,
        /// Stored by the broker as a salted hash only.
        password: Secret,
    },
    /// A token of an identity provider (RFC 7628).
    OAuthBearer(OAuthBearer),
    /// IAM of Amazon MSK: a request signed by an AWS key.
    AwsMskIam(AwsMskIam),
}

impl SaslMechanism {
    /// Kafka's name, as in `SCRAM-SHA-512`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Plain { .. } => "PLAIN",
            Self::ScramSha256 { .. } => "SCRAM-SHA-256",
            Self::ScramSha512 { .. } => "SCRAM-SHA-512",
            Self::OAuthBearer(_) => "OAUTHBEARER",
            Self::AwsMskIam(_) => "AWS_MSK_IAM",
        }
    }
}

/// Where tokens come from.
#[derive(Clone, PartialEq, Debug)]
pub enum OAuthBearer {
    /// From the user's own code.
    Provider(TokenSource),
    /// From an OpenID provider's token endpoint, for a client id and its secret (RFC 6749 section 4.4).
    ClientCredentials(Box<OidcClientCredentials>),
    /// Made up on the spot and unsigned (`alg: none`), for test clusters. Anyone can make the same.
    UnsecuredForTests(UnsecuredToken),
}

impl OAuthBearer {
    /// Tokens from the user's own code.
    pub fn provider(provider: impl TokenProvider + 'static) -> Self {
        Self::Provider(TokenSource(Arc::new(provider)))
    }
}

/// A token to authenticate with.
#[derive(Clone, PartialEq, Debug)]
pub struct Token {
    /// What is sent, as it was issued.
    pub value: Secret,
    /// When it ends; it is asked for anew before that. `None` if it does not say.
    pub expires_at: Option<SystemTime>,
    /// Names and values sent beside it (KIP-342); names are letters.
    pub extensions: Vec<(String, String)>,
}

/// What [`TokenProvider::token`] returns.
pub type TokenFuture<'a> = Pin<Box<dyn Future<Output = Result<Token>> + Send + 'a>>;

/// Gives tokens when a connection authenticates, first or again.
pub trait TokenProvider: Send + Sync {
    /// A token that is valid now. Called for every authentication: cache what is costly. The connection bounds the time.
    fn token(&self) -> TokenFuture<'_>;
}

/// A shared [`TokenProvider`]; equal to its own clones only.
#[derive(Clone)]
pub struct TokenSource(pub(crate) Arc<dyn TokenProvider>);

impl PartialEq for TokenSource {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenProvider")
    }
}

/// How to get tokens from an OpenID provider (`sasl.oauthbearer.token.endpoint.url` and what goes with it).
#[derive(Clone, PartialEq, Debug)]
pub struct OidcClientCredentials {
    /// `https` only.
    pub token_endpoint: String,
    /// Who asks.
    pub client_id: String,
    /// What proves it.
    pub client_secret: Secret,
    /// What the token is for; left out of the request if `None`.
    pub scope: Option<String>,
    /// Whom to trust for the endpoint's certificate.
    pub roots: Roots,
    /// Names and values sent beside the token (KIP-342).
    pub extensions: Vec<(String, String)>,
    /// The last token, shared by all clones.
    pub(crate) kept: KeptToken,
}

/// Where the last token is kept.
#[derive(Clone, Default)]
pub(crate) struct KeptToken(
    #[cfg_attr(not(feature = "tls"), allow(dead_code))] pub(crate) Arc<tokio::sync::Mutex<Option<Kept>>>,
);

/// A token that was got, of which settings, and when the next one is to be asked for.
#[cfg_attr(not(feature = "tls"), allow(dead_code))]
pub(crate) struct Kept {
    pub(crate) of: OidcClientCredentials,
    pub(crate) token: Token,
    pub(crate) refresh_at: SystemTime,
}

impl PartialEq for KeptToken {
    /// What was got is no setting.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for KeptToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeptToken")
    }
}

impl OidcClientCredentials {
    /// With the system's roots, without scope and extensions.
    pub fn new(
        token_endpoint: impl Into<String>,
        client_id: impl Into<String>,
        client_secret: impl Into<Secret>,
    ) -> Self {
        Self {
            token_endpoint: token_endpoint.into(),
            client_id: client_id.into(),
            client_secret: client_secret.into(),
            scope: None,
            roots: Roots::System,
            extensions: Vec::new(),
            kept: KeptToken::default(),
        }
    }
}

/// What an unsigned token says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnsecuredToken {
    /// The claim `sub`: who.
    pub subject: String,
    /// How long it is valid.
    pub lifetime: Duration,
}

/// How to sign for Amazon MSK.
#[derive(Clone, PartialEq, Debug)]
pub struct AwsMskIam {
    /// The cluster's region; `None` to read it off the broker's name (`….kafka.REGION.amazonaws.com`).
    pub region: Option<String>,
    /// The key to sign with.
    pub credentials: AwsCredentials,
}

/// Where an AWS key comes from.
#[derive(Clone, PartialEq)]
pub enum AwsCredentials {
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`, read at every authentication.
    Environment,
    /// Fixed.
    Static {
        /// The key's public name.
        access_key_id: String,
        /// The key.
        secret_access_key: Secret,
        /// Goes with a temporary key.
        session_token: Option<Secret>,
    },
    /// From the user's own code, asked at every authentication. It answers with `Static`.
    Provider(AwsSource),
}

impl AwsCredentials {
    /// Keys from the user's own code.
    pub fn provider(provider: impl AwsCredentialsProvider + 'static) -> Self {
        Self::Provider(AwsSource(Arc::new(provider)))
    }
}

impl fmt::Debug for AwsCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Environment => f.write_str("Environment"),
            Self::Static { access_key_id, .. } => write!(f, "Static({access_key_id}, …)"),
            Self::Provider(_) => f.write_str("Provider"),
        }
    }
}

/// Gives AWS keys, as of an instance's role.
pub trait AwsCredentialsProvider: Send + Sync {
    /// A key that is valid now, as [`AwsCredentials::Static`]. The connection bounds the time.
    fn credentials(&self) -> Pin<Box<dyn Future<Output = Result<AwsCredentials>> + Send + '_>>;
}

/// A shared [`AwsCredentialsProvider`]; equal to its own clones only.
#[derive(Clone)]
pub struct AwsSource(pub(crate) Arc<dyn AwsCredentialsProvider>);

impl PartialEq for AwsSource {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
