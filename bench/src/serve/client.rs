//! A node: connections from its own address.

use super::server::Server;
use super::site::address;
use anyhow::{Context, Result, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// What all nodes share.
#[derive(Clone)]
pub struct Client {
    server: Arc<Server>,
    tls: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Client {
    /// Clients of this server; its certificate is verified. Nothing is kept between connections, as with nodes.
    pub fn new(server: &Arc<Server>) -> Result<Self> {
        let text = std::fs::read_to_string(server.dir.join("ca/ca.pem"))?;
        let roots = statelite_mgmt::server::tls::roots(&text)?;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        tls.resumption = rustls::client::Resumption::disabled();
        Ok(Self {
            server: Arc::clone(server),
            tls: Arc::new(tls),
            name: ServerName::try_from("localhost")?,
        })
    }

    /// A TCP connection of a node.
    pub async fn tcp(&self, number: u32, to: SocketAddr) -> Result<TcpStream> {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((address(number), 0)))?;
        let stream = socket.connect(to).await?;
        // The request follows the end of the handshake at once: without this the client would wait for an acknowledgement.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A TLS connection of a node.
    pub async fn tls(&self, number: u32, to: SocketAddr) -> Result<TlsStream<TcpStream>> {
        let stream = self.tcp(number, to).await?;
        let connector = TlsConnector::from(Arc::clone(&self.tls));
        Ok(connector.connect(self.name.clone(), stream).await?)
    }

    /// Asks on the wire and checks that the answer is the node's own.
    pub async fn ask(&self, number: u32, command: &str) -> Result<()> {
        let asked = tokio::time::timeout(PATIENCE, async {
            let mut stream = self.tls(number, self.server.wire).await?;
            let text = format!("<xcatrequest><command>{command}</command></xcatrequest>\n");
            stream.write_all(text.as_bytes()).await?;
            let mut reply = String::new();
            stream.read_to_string(&mut reply).await?;
            let own = format!("<info>{}: ", super::site::name(number));
            ensure!(
                reply.contains(&own)
                    && reply.ends_with("<serverdone></serverdone>\n</xcatresponse>\n"),
                "not an answer: {}",
                reply.get(..200).unwrap_or(&reply)
            );
            Ok(())
        });
        asked.await.context("no answer")?
    }

    /// Reports a state.
    pub async fn report(&self, number: u32) -> Result<()> {
        let reported = tokio::time::timeout(PATIENCE, async {
            let mut stream = self.tcp(number, self.server.status).await?;
            let mut ready = [0; 6];
            stream.read_exact(&mut ready).await?;
            stream.write_all(b"installstatus netbooting\n").await?;
            let mut rest = String::new();
            stream.read_to_string(&mut rest).await?;
            ensure!(rest == "done\n", "not taken: {rest:?}");
            Ok(())
        });
        reported.await.context("no answer")?
    }
}
