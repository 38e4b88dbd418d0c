//! An authority made for one test run, and certificates that it signs.

use std::sync::Arc;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose,
    date_time_ymd,
};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// Whether a certificate is to be trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Yes.
    Good,
    /// It was, until the end of 2020.
    Expired,
    /// Another authority signed it.
    Foreign,
    /// It is for another address.
    OtherName,
}

/// A certificate authority.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl std::fmt::Debug for Authority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Authority")
    }
}

impl Authority {
    /// Makes one.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::new(Vec::new())?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params
            .distinguished_name
            .push(DnType::CommonName, "tests of statelite");
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(2100, 1, 1);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        Ok(Self { issuer })
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// A TLS server at this address.
    ///
    /// # Errors
    /// When the certificate cannot be made.
    pub fn server(&self, address: &str, validity: Validity) -> Result<Arc<ServerConfig>> {
        let name = match validity {
            Validity::OtherName => "192.0.2.1",
            _ => address,
        };
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = match validity {
            Validity::Expired => date_time_ymd(2020, 12, 31),
            _ => date_time_ymd(2100, 1, 1),
        };
        let key = KeyPair::generate()?;
        let certificate = match validity {
            Validity::Foreign => params.signed_by(&key, &Self::new()?.issuer)?,
            _ => params.signed_by(&key, &self.issuer)?,
        };
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Arc::new(config))
    }
}
