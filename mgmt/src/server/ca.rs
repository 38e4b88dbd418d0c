//! The site's own certificate authority: a directory with one key that signs servers and nodes.
//!
//! | file | what it is |
//! |---|---|
//! | `ca.pem` | certificate of the authority; goes into initramfs as `/etc/statelite/ca.pem` |
//! | `ca.key` | its key; never leaves the management node |
//! | `server.pem`, `server.key` | what this server shows; made again before it expires or when a name is missing |
//! | `issued/NODE.pem`, `issued/NODE.key` | what a node or service node shows |
//!
//! A node's certificate says its name and nothing else; it counts only as long as the node is in the tables. There is
//! no list of withdrawn certificates: take the node out of the tables, or start a new authority.

mod names;

pub use names::{machine, machine_names};

use crate::hierarchy::snapshot::replace;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

const DAY: u64 = 24 * 60 * 60;
/// The authority outlives the machines it was made for.
const CA_DAYS: u64 = 7300;
/// Servers renew themselves, so theirs may be short.
const SERVER_DAYS: u64 = 397;
/// Renewed when less than this is left: a server that is started once a quarter still renews in time.
const RENEW_DAYS: u64 = 120;
/// Nodes without a battery boot with a clock that is behind.
const BACKDATED_DAYS: u64 = 2;

/// The directory.
#[derive(Debug, Clone)]
pub struct Authority {
    dir: PathBuf,
}

/// A certificate and its key, as text.
#[derive(Debug, Clone)]
pub struct Pair {
    /// The certificate.
    pub certificate: String,
    /// Its key.
    pub key: String,
}

/// What a certificate says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Facts {
    /// Its common name.
    pub name: String,
    /// Names and addresses it stands for.
    pub names: BTreeSet<String>,
    /// The end of its validity, seconds since 1970.
    pub expires: u64,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum CaError {
    /// {0}: {1}
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// {0}: no certificate or key in it: {1}
    #[error("{0}: no certificate or key in it: {1}")]
    Content(PathBuf, String),
    /// {0} is already there; an authority is never overwritten, since every certificate it signed would be void
    #[error(
        "{0} is already there; an authority is never overwritten, since every certificate it signed would be void"
    )]
    Exists(PathBuf),
    /// "{0}" cannot be the name of a node
    #[error("\"{0}\" cannot be the name of a node")]
    Name(String),
    /// making a certificate: {0}
    #[error("making a certificate: {0}")]
    Make(#[from] rcgen::Error),
}

impl Authority {
    /// The authority in a directory, which need not exist yet.
    #[must_use]
    pub fn new(dir: &Path) -> Self {
        Self { dir: dir.into() }
    }

    /// Path of a file of it.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Makes the authority.
    ///
    /// # Errors
    /// [`CaError::Exists`] when there is one, or as writing files.
    pub fn init(&self) -> Result<(), CaError> {
        for name in ["ca.pem", "ca.key"] {
            if self.path(name).exists() {
                return Err(CaError::Exists(self.path(name)));
            }
        }
        let mut params = CertificateParams::default();
        let name = format!("statelite authority of {}", machine());
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        validity(&mut params, CA_DAYS);
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?;
        self.write("ca.key", &key.serialize_pem())?;
        self.write("ca.pem", &certificate.pem())
    }

    /// Whether there is an authority that can sign.
    #[must_use]
    pub fn can_sign(&self) -> bool {
        self.path("ca.key").exists()
    }

    /// The certificate and key of this server: made if there are none, and made anew when they expire soon or lack one of
    /// these names. A directory without `ca.key` (a service node, whose pair was made by the master) is used as it is.
    ///
    /// # Errors
    /// [`CaError`] when it cannot be made or read.
    pub fn server(&self, names: &BTreeSet<String>) -> Result<Pair, CaError> {
        if self.can_sign() {
            let facts = self.facts("server.pem");
            let good = facts.is_ok_and(|facts| {
                facts.expires > now() + RENEW_DAYS * DAY && facts.names.is_superset(names)
            });
            if !good || !self.path("server.key").exists() {
                let pair = self.sign_server(names)?;
                self.write("server.key", &pair.key)?;
                self.write("server.pem", &pair.certificate)?;
            }
        }
        Ok(Pair {
            certificate: self.read("server.pem")?,
            key: self.read("server.key")?,
        })
    }

    /// Signs a certificate for a server of these names and addresses.
    ///
    /// # Errors
    /// [`CaError`] when there is no authority or a name is none.
    pub fn sign_server(&self, names: &BTreeSet<String>) -> Result<Pair, CaError> {
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        let named =
            |name: &&String| *name != "localhost" && name.parse::<std::net::IpAddr>().is_err();
        let name = names
            .iter()
            .find(named)
            .map_or("statelite server", String::as_str);
        params.distinguished_name.push(DnType::CommonName, name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        validity(&mut params, SERVER_DAYS);
        self.sign(params)
    }

    /// Signs a certificate by which a node is known, and keeps it in `issued/`.
    ///
    /// # Errors
    /// [`CaError`] when there is no authority or the name is none.
    pub fn issue(&self, node: &str, days: u64) -> Result<Pair, CaError> {
        let good = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if node.is_empty() || node.len() > 64 || node.starts_with('.') || !node.chars().all(good) {
            return Err(CaError::Name(node.to_owned()));
        }
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, node);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        validity(&mut params, days);
        let pair = self.sign(params)?;
        self.write(&format!("issued/{node}.key"), &pair.key)?;
        self.write(&format!("issued/{node}.pem"), &pair.certificate)?;
        Ok(pair)
    }

    /// What a certificate of the directory says.
    ///
    /// # Errors
    /// [`CaError`] when there is none.
    pub fn facts(&self, name: &str) -> Result<Facts, CaError> {
        let bad = |text: String| CaError::Content(self.path(name), text);
        let text = self.read(name)?;
        let (_, pem) = x509_parser::pem::parse_x509_pem(text.as_bytes())
            .map_err(|error| bad(error.to_string()))?;
        facts(&pem.contents).ok_or_else(|| bad("not X.509".to_owned()))
    }

    fn sign(&self, mut params: CertificateParams) -> Result<Pair, CaError> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::from_pem(&self.read("ca.key")?)?;
        let issuer = Issuer::from_ca_cert_pem(&self.read("ca.pem")?, key)?;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &issuer)?;
        Ok(Pair {
            certificate: certificate.pem(),
            key: key.serialize_pem(),
        })
    }

    fn write(&self, name: &str, text: &str) -> Result<(), CaError> {
        let path = self.path(name);
        replace(&path, text.as_bytes()).map_err(|error| CaError::File(path, error))
    }

    pub(crate) fn read(&self, name: &str) -> Result<String, CaError> {
        let path = self.path(name);
        std::fs::read_to_string(&path).map_err(|error| CaError::File(path, error))
    }
}

/// What a certificate in binary form says; `None` when it is none.
#[must_use]
pub fn facts(der: &[u8]) -> Option<Facts> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    let subject = certificate.subject();
    let name = subject.iter_common_name().next()?.as_str().ok()?.to_owned();
    let names = certificate.subject_alternative_name().ok().flatten();
    let names = names.map(|extension| &extension.value.general_names);
    let names = names.into_iter().flatten().filter_map(general_name);
    let expires = certificate.validity().not_after.timestamp();
    Some(Facts {
        name,
        names: names.collect(),
        expires: u64::try_from(expires).unwrap_or(0),
    })
}

fn general_name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(bytes) => {
            let v4 = <[u8; 4]>::try_from(*bytes).map(std::net::IpAddr::from);
            let v6 = || <[u8; 16]>::try_from(*bytes).map(std::net::IpAddr::from);
            Some(v4.or_else(|_| v6()).ok()?.to_string())
        }
        _ => None,
    }
}

fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

fn validity(params: &mut CertificateParams, days: u64) {
    let now = SystemTime::now();
    params.not_before = (now - Duration::from_secs(BACKDATED_DAYS * DAY)).into();
    params.not_after = (now + Duration::from_secs(days * DAY)).into();
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn names(list: &[&str]) -> BTreeSet<String> {
        list.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn keys_are_their_owners_alone() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(&dir.path().join("ca"));
        authority.init().unwrap();
        authority.server(&names(&["mn", "10.0.0.1"])).unwrap();
        authority.issue("n01", 30).unwrap();
        for name in ["ca.key", "server.key", "issued/n01.key"] {
            let meta = std::fs::metadata(authority.path(name)).unwrap();
            assert_eq!(meta.permissions().mode() & 0o777, 0o600, "{name}");
        }
        assert!(matches!(authority.init(), Err(CaError::Exists(_))));
        for name in ["", "../n01", "n 1", ".n", "a/b"] {
            assert!(
                matches!(authority.issue(name, 1), Err(CaError::Name(_))),
                "{name}"
            );
        }
    }

    #[test]
    fn a_server_certificate_is_kept_until_it_must_change() {
        let dir = tempfile::tempdir().unwrap();
        let authority = Authority::new(dir.path());
        authority.init().unwrap();
        let first = authority
            .server(&names(&["mn", "10.0.0.1", "::1"]))
            .unwrap();
        let facts = authority.facts("server.pem").unwrap();
        assert_eq!(facts.names, names(&["10.0.0.1", "::1", "mn"]));
        assert_eq!(facts.name, "mn");
        let same = authority.server(&names(&["mn"])).unwrap();
        assert_eq!(
            same.certificate, first.certificate,
            "fewer names are no reason"
        );
        let other = authority.server(&names(&["mn", "mn2"])).unwrap();
        assert_ne!(other.certificate, first.certificate);
        // One that expires soon is made again.
        let mut params = CertificateParams::new(vec!["mn".to_owned(), "mn2".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "mn");
        validity(&mut params, RENEW_DAYS - 1);
        let short = authority.sign(params).unwrap();
        authority.write("server.pem", &short.certificate).unwrap();
        authority.write("server.key", &short.key).unwrap();
        let renewed = authority.server(&names(&["mn"])).unwrap();
        assert_ne!(renewed.certificate, short.certificate);
        assert!(authority.facts("server.pem").unwrap().expires > now() + RENEW_DAYS * DAY);
    }

    #[test]
    fn a_service_node_uses_what_it_was_given() {
        let dir = tempfile::tempdir().unwrap();
        let master = Authority::new(&dir.path().join("master"));
        master.init().unwrap();
        let service = Authority::new(&dir.path().join("service"));
        assert!(service.server(&names(&["sn1"])).is_err());
        let pair = master.sign_server(&names(&["sn1"])).unwrap();
        service.write("server.pem", &pair.certificate).unwrap();
        service.write("server.key", &pair.key).unwrap();
        let shown = service.server(&names(&["sn1", "10.1.1.1"])).unwrap();
        assert_eq!(shown.certificate, pair.certificate);
    }
}
