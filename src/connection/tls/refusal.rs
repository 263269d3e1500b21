//! What failed TLS means for a person: which setting, which side, and what to do.

use std::io;

use rustls::{AlertDescription, CertificateError, Error, PeerIncompatible};

use super::super::handshake::Refusal;

const NO_TLS: &str = "the broker does not speak TLS here: it answered with something else; set \
                      security.protocol=PLAINTEXT (or SASL_PLAINTEXT) or use a port with TLS";
const HUNG_UP: &str = "it closed the connection in the TLS handshake; a port without TLS does so: then set \
                       security.protocol=PLAINTEXT (or SASL_PLAINTEXT) or use a port with TLS";

/// Why a handshake failed. What only the network did may pass; what TLS says does not.
pub(super) fn of_handshake(error: &io::Error) -> Refusal {
    match of_tls(error) {
        Some(refusal) => refusal,
        None if is_hang_up(error) => Refusal::Peer(HUNG_UP.into()),
        None => Refusal::Peer(format!("the TLS handshake failed: {error}")),
    }
}

fn is_hang_up(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

/// What TLS itself says, if it is TLS that failed.
pub(super) fn of_tls(error: &io::Error) -> Option<Refusal> {
    let error = error.get_ref()?.downcast_ref::<Error>()?;
    Some(match error {
        Error::InvalidMessage(_) => Refusal::Foreign(NO_TLS),
        Error::InvalidCertificate(error) => Refusal::Security(certificate(error)),
        Error::AlertReceived(alert) => Refusal::Security(told(*alert)),
        Error::PeerIncompatible(error) => Refusal::Security(incompatible(error)),
        error => Refusal::Security(format!("TLS failed: {error}")),
    })
}

/// Why we do not accept the broker's certificate.
fn certificate(error: &CertificateError) -> String {
    use CertificateError as E;
    let why = match error {
        E::Expired | E::ExpiredContext { .. } => {
            "has expired; renew it at the broker (or set this machine's clock right)".into()
        }
        E::NotValidYet | E::NotValidYetContext { .. } => {
            "is not yet valid; set the clocks right (this machine's too), or have the broker show another".into()
        }
        E::UnknownIssuer => "is signed by nobody we trust, or by itself; set ssl.truststore.location (or \
                             ssl.truststore.certificates) to the certificate of the authority that signed it"
            .into(),
        E::NotValidForNameContext { expected, presented } => {
            let names = presented.join(", ");
            let expected = expected.to_str();
            format!(
                "is not for {expected} but for {names}; connect by one of its names, or set the advertised listener to one"
            )
        }
        E::NotValidForName => "is not for the name the broker was reached by; connect by a name it is for".into(),
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => {
            "is not for servers (its extended key usage leaves serverAuth out)".into()
        }
        E::BadSignature => "is signed by an authority with the name of one we trust and another key; set \
                            ssl.truststore.location to the certificate of the authority as it is now"
            .into(),
        E::Revoked => "has been revoked".into(),
        error => format!("is not acceptable: {error}"),
    };
    format!("the broker's certificate {why}")
}

/// Why the broker does not go on.
fn told(alert: AlertDescription) -> String {
    use AlertDescription as A;
    let why = match alert {
        A::CertificateRequired | A::BadCertificate | A::NoCertificate => {
            "wants a certificate of the client, and got none or a bad one; set ssl.keystore.location (or \
             ssl.keystore.certificate.chain and ssl.keystore.key)"
        }
        A::UnknownCA | A::CertificateUnknown | A::UnsupportedCertificate | A::AccessDenied => {
            "does not accept the client's certificate; have it signed by an authority the broker trusts \
             (its ssl.truststore)"
        }
        A::CertificateExpired => "says that the client's certificate has expired; renew it (ssl.keystore.location)",
        A::CertificateRevoked => "says that the client's certificate has been revoked (ssl.keystore.location)",
        A::ProtocolVersion => "speaks none of our versions of TLS; see ssl.enabled.protocols",
        A::HandshakeFailure | A::InsufficientSecurity => {
            "has no cipher or version of TLS in common with us, or wants a certificate of the client \
             (ssl.keystore.location)"
        }
        A::UnrecognisedName => "does not know the name it was asked for",
        _ => "ended TLS",
    };
    format!("the broker {why} (alert {alert:?})")
}

fn incompatible(error: &PeerIncompatible) -> String {
    format!("the broker and we have no way of TLS in common; see ssl.enabled.protocols: {error:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(error: Error) -> String {
        match of_handshake(&io::Error::new(io::ErrorKind::InvalidData, error)) {
            Refusal::Security(words) => words,
            other => panic!("{other:?} is not about security"),
        }
    }

    #[test]
    fn every_refusal_says_what_to_set() {
        for (error, words) in [
            (Error::InvalidCertificate(CertificateError::Expired), "has expired"),
            (Error::InvalidCertificate(CertificateError::NotValidYet), "not yet valid"),
            (Error::InvalidCertificate(CertificateError::UnknownIssuer), "ssl.truststore.location"),
            (Error::AlertReceived(AlertDescription::CertificateRequired), "ssl.keystore.location"),
            (Error::AlertReceived(AlertDescription::BadCertificate), "ssl.keystore.location"),
            (Error::AlertReceived(AlertDescription::ProtocolVersion), "ssl.enabled.protocols"),
            (Error::General("odd".into()), "odd"),
        ] {
            assert!(of(error).contains(words), "{words}");
        }
    }

    #[test]
    fn a_lost_connection_may_be_tried_again_and_another_protocol_not() {
        let eof = io::Error::new(io::ErrorKind::UnexpectedEof, "tls handshake eof");
        assert!(matches!(of_handshake(&eof), Refusal::Peer(words) if words.contains("security.protocol=PLAINTEXT")));
        let other = io::Error::other(Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType));
        assert!(matches!(of_handshake(&other), Refusal::Foreign(words) if words.contains("does not speak TLS here")));
    }
}
