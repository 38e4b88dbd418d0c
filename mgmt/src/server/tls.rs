//! TLS as nodes of all ages speak it: 1.2 and 1.3, a certificate of ours if the client has one, none needed.

use super::ca::{Authority, CaError, Pair, facts};
use parking_lot::RwLock;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::collections::BTreeSet;
use std::sync::Arc;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// {0}
    #[error("{0}")]
    Ca(#[from] CaError),
    /// certificate or key of the server: {0}
    #[error("certificate or key of the server: {0}")]
    Pem(#[from] rustls::pki_types::pem::Error),
    /// {0}
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    /// certificate of the authority: {0}
    #[error("certificate of the authority: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
}

/// The certificate the server shows; replaced without a restart when it is renewed.
#[derive(Debug)]
pub struct Shown {
    authority: Authority,
    names: BTreeSet<String>,
    key: RwLock<Arc<CertifiedKey>>,
}

impl Shown {
    /// Reads the certificate, making it if needed.
    ///
    /// # Errors
    /// [`TlsError`] when there is none.
    pub fn new(authority: Authority, names: BTreeSet<String>) -> Result<Arc<Self>, TlsError> {
        let key = certified(&authority.server(&names)?)?;
        Ok(Arc::new(Self {
            authority,
            names,
            key: RwLock::new(key),
        }))
    }

    /// Renews the certificate when it is time, and takes one that was put in its place by hand. Returns whether
    /// another one is shown now.
    ///
    /// # Errors
    /// [`TlsError`]; the old one stays.
    pub fn refresh(&self) -> Result<bool, TlsError> {
        let key = certified(&self.authority.server(&self.names)?)?;
        let mut shown = self.key.write();
        let other = shown.cert != key.cert;
        *shown = key;
        Ok(other)
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.key.read()))
    }
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn certified(pair: &Pair) -> Result<Arc<CertifiedKey>, TlsError> {
    let chain = certificates(&pair.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes())?;
    Ok(Arc::new(CertifiedKey::from_der(chain, key, &provider())?))
}

/// The certificates in a text.
///
/// # Errors
/// When one is malformed.
pub fn certificates(
    text: &str,
) -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect()
}

/// The roots that one text of certificates makes.
///
/// # Errors
/// [`TlsError`] when one is malformed.
pub fn roots(text: &str) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(text)? {
        roots.add(certificate)?;
    }
    Ok(roots)
}

/// What the listeners need. Nothing is kept of a session after it ends, so memory does not grow with clients.
///
/// # Errors
/// [`TlsError`] when the authority's certificate is missing or malformed.
pub fn server_config(
    authority: &Authority,
    shown: &Arc<Shown>,
    protocols: &[&[u8]],
) -> Result<Arc<ServerConfig>, TlsError> {
    let roots = Arc::new(roots(&authority.read("ca.pem")?)?);
    let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider())
        .allow_unauthenticated()
        .build()?;
    let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(shown) as _;
    let mut config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(resolver);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    Ok(Arc::new(config))
}

/// The name in the certificate a client has shown and TLS has verified.
#[must_use]
pub fn client_name(connection: &rustls::ServerConnection) -> Option<String> {
    let first = connection.peer_certificates()?.first()?;
    // A verified certificate without a name is still not an anonymous client.
    Some(facts(first).map(|facts| facts.name).unwrap_or_default())
}
