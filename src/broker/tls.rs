//! TLS on the in-memory broker's sockets: a certificate to show, clients to ask for theirs, both changeable while it runs.

use std::sync::Arc;

use tokio::net::TcpStream;

use super::driver::Shared;

#[cfg(feature = "tls")]
pub use secured::TlsSettings;

/// What goes around each socket before frames are read from it.
#[derive(Clone, Debug, Default)]
pub(super) struct Wrap {
    #[cfg(feature = "tls")]
    server: Option<Arc<secured::Server>>,
}

impl Wrap {
    /// Serves one connection; one whose TLS handshake fails is closed, as Kafka does.
    pub(super) async fn serve(self, shared: Arc<Shared>, broker: i32, stream: TcpStream) {
        #[cfg(feature = "tls")]
        if let Some(server) = &self.server {
            match server.acceptor().accept(stream).await {
                Ok(secured) => shared.serve(broker, secured).await,
                Err(error) => tracing::debug!(%error, "a TLS handshake failed"),
            }
            return;
        }
        shared.serve(broker, stream).await;
    }
}

#[cfg(feature = "tls")]
mod secured {
    use std::io;
    use std::sync::{Arc, Mutex, PoisonError};

    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use rustls::server::WebPkiClientVerifier;
    use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
    use tokio_rustls::TlsAcceptor;

    use super::Wrap;
    use crate::config::security::{CryptoProvider, Secret, TlsVersion};

    /// What a listener shows and asks for, as PEM texts.
    #[derive(Clone, Debug)]
    pub struct TlsSettings {
        /// The broker's certificate, then those that signed it.
        pub chain: String,
        /// Its private key.
        pub key: Secret,
        /// Whose clients are let in; `None` lets in clients without a certificate (`ssl.client.auth`).
        pub client_roots: Option<String>,
        /// The only version spoken; `None` for both.
        pub version: Option<TlsVersion>,
    }

    #[derive(Debug)]
    pub(super) struct Server(Mutex<Arc<ServerConfig>>);

    impl Server {
        pub(super) fn acceptor(&self) -> TlsAcceptor {
            Arc::clone(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into()
        }
    }

    impl Wrap {
        pub(in super::super) fn new(settings: &TlsSettings) -> io::Result<Self> {
            Ok(Self { server: Some(Arc::new(Server(Mutex::new(config(settings)?)))) })
        }

        pub(in super::super) fn set(&self, settings: &TlsSettings) -> io::Result<()> {
            let Some(server) = &self.server else { return Err(bad("the cluster was bound without TLS")) };
            *server.0.lock().unwrap_or_else(PoisonError::into_inner) = config(settings)?;
            Ok(())
        }
    }

    fn bad(why: impl std::fmt::Display) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidInput, why.to_string())
    }

    fn certificates(pem: &str) -> io::Result<Vec<CertificateDer<'static>>> {
        CertificateDer::pem_slice_iter(pem.as_bytes()).collect::<Result<_, _>>().map_err(bad)
    }

    fn config(settings: &TlsSettings) -> io::Result<Arc<ServerConfig>> {
        let provider = CryptoProvider::for_this_cpu().map_err(bad)?;
        let versions: &[&SupportedProtocolVersion] = match settings.version {
            None => &[&rustls::version::TLS13, &rustls::version::TLS12],
            Some(TlsVersion::Tls12) => &[&rustls::version::TLS12],
            Some(TlsVersion::Tls13) => &[&rustls::version::TLS13],
        };
        let builder = ServerConfig::builder_with_provider(Arc::clone(provider.get()));
        let builder = builder.with_protocol_versions(versions).map_err(bad)?;
        let builder = match &settings.client_roots {
            None => builder.with_no_client_auth(),
            Some(pem) => {
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates(pem)?);
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), Arc::clone(provider.get()));
                builder.with_client_cert_verifier(verifier.build().map_err(bad)?)
            }
        };
        let key = PrivateKeyDer::from_pem_slice(settings.key.expose().as_bytes()).map_err(bad)?;
        builder.with_single_cert(certificates(&settings.chain)?, key).map(Arc::new).map_err(bad)
    }
}
