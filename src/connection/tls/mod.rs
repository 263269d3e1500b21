//! TLS around a byte stream. What is asked for is done or refused: nothing ever goes on without it.

#[cfg(feature = "tls")]
mod connector;
#[cfg(feature = "tls")]
mod pem;
#[cfg(feature = "tls")]
mod refusal;
#[cfg(feature = "tls")]
mod verifier;

use std::io;

use super::handshake::Refusal;
use super::transport::Stream;
use crate::config::security::Security;

/// The stream as the protocol wants it: itself, or TLS inside it, its handshake done and the peer's name checked.
#[cfg(feature = "tls")]
pub(super) async fn secure(
    security: &Security,
    host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Refusal> {
    if !security.protocol.has_tls() {
        return Ok(stream);
    }
    let client = connector::client(&security.tls).await.map_err(Refusal::Invalid)?;
    let name = security.tls.server_name.as_deref().unwrap_or(host);
    let is_no_name = |_| Refusal::Invalid(format!("`{name}` is no name that TLS can ask for"));
    let name = rustls::pki_types::ServerName::try_from(name.to_owned()).map_err(is_no_name)?;
    match tokio_rustls::TlsConnector::from(client).connect(name, stream).await {
        Ok(secured) => Ok(Box::new(secured)),
        Err(e) => Err(refusal::of_handshake(&e)),
    }
}

/// Without the feature there is no TLS.
#[cfg(not(feature = "tls"))]
pub(super) async fn secure(
    security: &Security,
    _host: &str,
    stream: Box<dyn Stream>,
) -> Result<Box<dyn Stream>, Refusal> {
    security.check().map(|()| stream).map_err(|e| Refusal::Invalid(e.to_string()))
}

/// What a failed read means, if it is TLS that failed: under TLS 1.3 a broker tells only after the handshake that it
/// does not accept the client's certificate.
pub(super) fn refusal_of_read(error: &io::Error) -> Option<Refusal> {
    #[cfg(feature = "tls")]
    return refusal::of_tls(error);
    #[cfg(not(feature = "tls"))]
    {
        let _ = error;
        None
    }
}
