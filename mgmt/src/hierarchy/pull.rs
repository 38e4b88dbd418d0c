//! Fetching a snapshot of the tables from the master, with a certificate of the site.

use super::snapshot::{LONGEST, Snapshot};
use crate::server::tls;
use anyhow::Context as _;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{PrivateKeyDer, ServerName};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpStream;

/// For all of it: a large site over a slow line.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where a snapshot comes from.
#[derive(Debug, Clone)]
pub struct Master {
    host: String,
    port: u16,
    tls: Arc<ClientConfig>,
}

/// The files by which both sides know each other.
#[derive(Debug, Clone)]
pub struct Credentials {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// Our certificate.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

impl Master {
    /// A master at `https://HOST[:PORT]`.
    ///
    /// # Errors
    /// When the URL is another one or a file cannot be read.
    pub fn new(url: &str, credentials: &Credentials) -> anyhow::Result<Self> {
        let (host, port) = split(url).with_context(|| format!("{url}: not https://HOST[:PORT]"))?;
        let read =
            |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
        let roots = tls::roots(&read(&credentials.ca)?)?;
        let chain = tls::certificates(&read(&credentials.certificate)?)?;
        let key = PrivateKeyDer::from_pem_slice(read(&credentials.key)?.as_bytes())
            .with_context(|| credentials.key.display().to_string())?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)?;
        Ok(Self {
            host,
            port,
            tls: Arc::new(tls),
        })
    }

    /// Fetches a snapshot and puts it in place of the file.
    ///
    /// # Errors
    /// When the master cannot be reached, refuses, or answers with something else; the file is then as it was.
    pub fn pull(&self, file: &Path) -> anyhow::Result<Snapshot> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        let text = runtime.block_on(async {
            let fetched = tokio::time::timeout(PATIENCE, self.fetch("/v1/snapshot"));
            fetched
                .await
                .map_err(|_| anyhow::anyhow!("no answer within {PATIENCE:?}"))?
        });
        let text = text.with_context(|| format!("{}:{}", self.host, self.port))?;
        let snapshot = Snapshot::parse(&text)?;
        snapshot.write(file)?;
        Ok(snapshot)
    }

    async fn fetch(&self, path: &str) -> anyhow::Result<Bytes> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        let name = ServerName::try_from(self.host.clone())?;
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.tls));
        let stream = connector.connect(name, stream).await.context("TLS")?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let driver = tokio::spawn(connection);
        let request = hyper::Request::get(path).header("host", &self.host);
        let response = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?;
        let status = response.status();
        let most = usize::try_from(LONGEST).unwrap_or(usize::MAX);
        let body = Limited::new(response.into_body(), most).collect().await;
        let body = body.map_err(|error| anyhow::anyhow!("{error}"))?.to_bytes();
        driver.abort();
        if !status.is_success() {
            let text = String::from_utf8_lossy(body.get(..body.len().min(300)).unwrap_or_default());
            anyhow::bail!("the master answered {status}: {text}");
        }
        Ok(body)
    }
}

/// Host and port of `https://HOST[:PORT][/]`; IPv6 addresses in brackets.
fn split(url: &str) -> Option<(String, u16)> {
    let place = url.strip_prefix("https://")?;
    let place = place.strip_suffix('/').unwrap_or(place);
    let (host, rest) = match place.strip_prefix('[') {
        Some(inside) => inside.split_once(']')?,
        None => place.split_at(place.find(':').unwrap_or(place.len())),
    };
    let port = match rest {
        "" => 3443,
        rest => rest.strip_prefix(':')?.parse().ok()?,
    };
    let good = !host.is_empty() && !host.contains(['/', '@', '?', '#']);
    good.then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn urls() {
        for (url, wanted) in [
            ("https://mn", Some(("mn", 3443))),
            ("https://mn.cluster:1443/", Some(("mn.cluster", 1443))),
            ("https://[::1]:5", Some(("::1", 5))),
            ("http://mn", None),
            ("https://", None),
            ("https://mn:x", None),
            ("https://mn/v1", None),
            ("https://[::1", None),
        ] {
            let found = split(url);
            assert_eq!(
                found.as_ref().map(|(h, p)| (h.as_str(), *p)),
                wanted,
                "{url}"
            );
        }
    }
}
