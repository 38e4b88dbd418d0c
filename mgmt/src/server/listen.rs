//! From a port to a connection: who is let in, TLS, and how long everything may take.

use super::gate::Pass;
use super::identity::Peer;
use super::state::State;
use super::{http, status, tls, wire};
use rustix::net::sockopt;
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

/// Connections the kernel may hold before they are accepted: a rack that is switched on together.
const BACKLOG: u32 = 4096;
/// What was sent must be taken within this time, milliseconds: a listener whose node lost power holds its place no longer.
const GONE: u32 = 60_000;
/// After a failed accept, usually for want of descriptors.
const PAUSE: Duration = Duration::from_millis(50);

/// What is spoken on a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The xCAT wire.
    Wire,
    /// The status protocol.
    Status,
    /// HTTPS.
    Https,
}

impl Port {
    /// Its place in [`State::gates`].
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }
}

/// Opens a port.
///
/// # Errors
/// As binding; the address is in the text.
pub fn open(address: IpAddr, port: u16) -> anyhow::Result<TcpListener> {
    use anyhow::Context as _;
    let address = SocketAddr::new(address, port);
    let bind = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        socket.listen(BACKLOG)
    };
    bind().with_context(|| format!("cannot listen on {address}"))
}

/// Accepts until the server ends.
pub async fn accept(state: Arc<State>, port: Port, listener: TcpListener, acceptor: TlsAcceptor) {
    let Some(gate) = state.gates.get(port.index()).cloned() else {
        return;
    };
    loop {
        let accepted = tokio::select! {
            () = state.stop() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!("accepting connections: {error}");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let peer = address.ip().to_canonical();
        let Some(pass) = gate.enter(peer) else {
            tracing::debug!(%peer, ?port, "turned away: too many connections");
            continue;
        };
        if let Err(error) = options(&stream) {
            tracing::debug!(%peer, "socket options: {error}");
        }
        let connection = Connection {
            state: Arc::clone(&state),
            peer,
            pass,
        };
        tokio::spawn(connection.serve(port, stream, acceptor.clone()));
    }
}

/// A peer that is gone, or takes nothing any more, is noticed by the kernel.
fn options(stream: &TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    sockopt::set_tcp_user_timeout(stream, GONE)?;
    sockopt::set_socket_keepalive(stream, true)?;
    Ok(())
}

struct Connection {
    state: Arc<State>,
    peer: IpAddr,
    pass: Pass,
}

impl Connection {
    /// Serves it. On the wire and the status port, where all is said in a moment, a connection may lose its place at any
    /// time; on HTTPS until its handshake is done.
    async fn serve(self, port: Port, stream: TcpStream, acceptor: TlsAcceptor) {
        let total = Duration::from_secs(self.state.config.limits.total_seconds);
        let all = async {
            match port {
                Port::Status => {
                    let peer = Peer {
                        address: self.peer,
                        certificate: None,
                    };
                    within(total, status::serve(&self.state, stream, &peer)).await;
                    None
                }
                Port::Wire => {
                    let (stream, peer) = self.handshake(stream, acceptor).await?;
                    within(total, wire::serve(&self.state, stream, &peer)).await;
                    None
                }
                Port::Https => self.handshake(stream, acceptor).await,
            }
        };
        let shaken = tokio::select! {
            shaken = all => shaken,
            () = self.pass.wanted() => None,
        };
        if let Some((stream, peer)) = shaken {
            self.pass.stay();
            http::serve(&self.state, stream, peer).await;
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        acceptor: TlsAcceptor,
    ) -> Option<(TlsStream<TcpStream>, Peer)> {
        let patience = Duration::from_secs(self.state.config.limits.handshake_seconds);
        match timeout(patience, acceptor.accept(stream)).await {
            Ok(Ok(stream)) => {
                let peer = Peer {
                    address: self.peer,
                    certificate: tls::client_name(stream.get_ref().1),
                };
                Some((stream, peer))
            }
            Ok(Err(error)) => {
                self.state.metrics.handshake_failed.add();
                tracing::debug!(peer = %self.peer, "TLS: {error}");
                None
            }
            Err(_) => {
                self.state.metrics.handshake_slow.add();
                None
            }
        }
    }
}

async fn within(total: Duration, work: impl Future<Output = ()>) {
    let _ = timeout(total, work).await;
}
