//! How a connection to PostgreSQL is protected.
//!
//! With `sslrootcert=FILE` in the URL the connection is encrypted and the server has to show a certificate for its name,
//! signed by the authority in FILE. Without it the connection is not encrypted. Nothing in between: encryption that
//! takes any certificate protects against nobody who can reach the network.

use postgres::config::SslMode;
use postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use postgres::{Client, Config, NoTls};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use std::future::Future;
use std::io;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream as Encrypted;

/// The word in the URL.
const ROOT: &str = "sslrootcert=";

/// The URL without our word, and its value.
pub(super) fn split(db: &str) -> (String, Option<String>) {
    let Some((base, query)) = db.split_once('?') else {
        return (db.to_owned(), None);
    };
    let mut root = None;
    let mut words = Vec::new();
    for word in query.split('&') {
        match word.strip_prefix(ROOT) {
            Some(value) => root = Some(decoded(value)),
            None => words.push(word),
        }
    }
    if words.is_empty() {
        (base.to_owned(), root)
    } else {
        (format!("{base}?{}", words.join("&")), root)
    }
}

/// `%2F` and the like.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        bytes.extend_from_slice(before.as_bytes());
        let hex = after
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (hex, after.get(2..)) {
            (Some(byte), Some(after)) => {
                bytes.push(byte);
                rest = after;
            }
            _ => {
                bytes.push(b'%');
                rest = after;
            }
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Makes connections, encrypted or not.
#[derive(Clone)]
pub(super) enum Connector {
    Plain,
    Tls(TlsConnector),
}

impl Connector {
    /// Prepares for a URL. The reason of a failure names the file.
    pub(super) fn new(config: &mut Config, root: Option<&str>) -> Result<Self, String> {
        let Some(root) = root else {
            return match config.get_ssl_mode() {
                SslMode::Require => Err(
                    "sslmode=require needs sslrootcert=FILE, the certificate of the authority that signed the server's"
                        .to_owned(),
                ),
                _ => Ok(Self::Plain),
            };
        };
        config.ssl_mode(SslMode::Require);
        let client = authority(Path::new(root)).map_err(|reason| format!("{root}: {reason}"))?;
        Ok(Self::Tls(TlsConnector::from(Arc::new(client))))
    }

    pub(super) fn connect(&self, config: &Config) -> Result<Client, postgres::Error> {
        match self {
            Self::Plain => config.connect(NoTls),
            Self::Tls(_) => config.connect(self.clone()),
        }
    }
}

/// A client that trusts the certificates in a file.
fn authority(file: &Path) -> Result<rustls::ClientConfig, String> {
    let mut roots = rustls::RootCertStore::empty();
    let certificates = CertificateDer::pem_file_iter(file).map_err(|error| error.to_string())?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("no certificate in this file".to_owned());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

type Failure = Box<dyn std::error::Error + Send + Sync>;

/// One handshake to come.
pub(super) struct Handshake {
    connector: TlsConnector,
    name: ServerName<'static>,
}

impl<S> MakeTlsConnect<S> for Connector
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type TlsConnect = Handshake;
    type Error = Failure;

    fn make_tls_connect(&mut self, domain: &str) -> Result<Handshake, Failure> {
        let Self::Tls(connector) = self else {
            return Err("not an encrypted connection".into());
        };
        Ok(Handshake {
            connector: connector.clone(),
            name: ServerName::try_from(domain.to_owned())?,
        })
    }
}

impl<S> TlsConnect<S> for Handshake
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Stream<S>;
    type Error = Failure;
    type Future = Pin<Box<dyn Future<Output = Result<Stream<S>, Failure>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { Ok(Stream(self.connector.connect(self.name, stream).await?)) })
    }
}

/// An encrypted connection.
pub(super) struct Stream<S>(Encrypted<S>);

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Stream<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Stream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Stream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_word_is_taken_out_of_the_url() {
        for (db, url, root) in [
            ("postgresql://h/x", "postgresql://h/x", None),
            (
                "postgresql://h/x?sslrootcert=/etc/ca.pem",
                "postgresql://h/x",
                Some("/etc/ca.pem"),
            ),
            (
                "postgresql:///x?user=a&sslrootcert=%2Fa%20b%zz&host=%2Fs",
                "postgresql:///x?user=a&host=%2Fs",
                Some("/a b%zz"),
            ),
        ] {
            assert_eq!(split(db), (url.to_owned(), root.map(str::to_owned)));
        }
    }

    #[test]
    fn encryption_without_an_authority_is_refused() {
        let mut config: Config = "postgresql://h/x?sslmode=require".parse().unwrap();
        let reason = Connector::new(&mut config, None).err().unwrap();
        assert!(reason.contains("needs sslrootcert=FILE"), "{reason}");
        let reason = Connector::new(&mut config, Some("/nonesuch"))
            .err()
            .unwrap();
        assert!(reason.starts_with("/nonesuch: "), "{reason}");
    }
}
