//! From the configuration to a running server and to its end.

use super::answers::Cache;
use super::ca::{Authority, machine_names};
use super::config::Config;
use super::gate::Gate;
use super::keeper::{Keeper, Running};
use super::listen::{self, Port};
use super::metrics::Metrics;
use super::reverse::{Reverse, System};
use super::state::State;
use super::tls::{self, Shown};
use super::{ca, notify};
use anyhow::Context as _;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

/// Descriptors for everything but connections: database, files, name servers, children.
const RESERVED_FILES: usize = 512;
/// The certificate is looked at this often.
const RENEWAL: Duration = Duration::from_secs(6 * 60 * 60);
/// Requests under way may take this long when the server ends.
const DRAIN: Duration = Duration::from_secs(5);
/// Threads for blocking work beyond the workers: partition files, snapshots.
const SPARE_THREADS: usize = 4;

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    runtime: Runtime,
    keeper: Running,
    stop: watch::Sender<bool>,
    state: Arc<State>,
    addresses: Vec<(Port, SocketAddr)>,
}

impl Server {
    /// Opens everything and starts to answer.
    ///
    /// # Errors
    /// When the tables, the certificates or a port cannot be opened.
    pub fn start(db: &str, config: Config) -> anyhow::Result<Self> {
        let reverse = System::new(config.reverse, &config.name_servers);
        Self::start_with(db, config, Arc::new(reverse))
    }

    /// The same with somebody else naming addresses.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn start_with(db: &str, config: Config, reverse: Arc<dyn Reverse>) -> anyhow::Result<Self> {
        config.check()?;
        let authority = authority(&config)?;
        let mut names = machine_names();
        names.extend(config.names.iter().cloned());
        let shown = Shown::new(authority.clone(), names).context("the server's certificate")?;
        let wire_tls = tls::server_config(&authority, &shown, &[])?;
        let http_tls = tls::server_config(&authority, &shown, &[b"http/1.1"])?;

        let metrics = Arc::new(Metrics::default());
        let (keeper, running) = Keeper::start(db, &config, &metrics)?;
        let (stop, stopping) = watch::channel(false);
        let source = keeper.world().site().setting("master").map(str::to_owned);
        let state = Arc::new(State {
            cache: Arc::new(Cache::new(
                config.limits.cached_answers,
                config.limits.cached_bytes,
            )),
            gates: gates(&config),
            workers: Semaphore::new(config.limits.workers),
            source: source.unwrap_or_else(ca::machine),
            config,
            keeper,
            reverse,
            metrics,
            stopping,
        });
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .max_blocking_threads(state.config.limits.workers + SPARE_THREADS)
            .thread_name("serve")
            .build()?;
        let mut addresses = Vec::new();
        let opened = runtime.block_on(async { open(&state.config) });
        let opened = match opened {
            Ok(opened) => opened,
            Err(error) => {
                running.stop();
                return Err(error);
            }
        };
        for (port, listener) in opened {
            addresses.push((port, listener.local_addr()?));
            let tls = if port == Port::Https {
                &http_tls
            } else {
                &wire_tls
            };
            let acceptor = TlsAcceptor::from(Arc::clone(tls));
            runtime.spawn(listen::accept(Arc::clone(&state), port, listener, acceptor));
        }
        runtime.spawn(renew(Arc::clone(&state), shown));
        Ok(Self {
            runtime,
            keeper: running,
            stop,
            state,
            addresses,
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> &[(Port, SocketAddr)] {
        &self.addresses
    }

    /// The number of a port; 0 if it is not open.
    #[must_use]
    pub fn port(&self, port: Port) -> u16 {
        let mut ports = self.addresses.iter();
        ports
            .find(|open| open.0 == port)
            .map_or(0, |open| open.1.port())
    }

    /// What connections share.
    #[must_use]
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// Waits for SIGTERM or SIGINT.
    ///
    /// # Errors
    /// When signals cannot be received.
    pub fn wait(&self) -> anyhow::Result<()> {
        use tokio::signal::unix::{SignalKind, signal};
        self.runtime.block_on(async {
            let mut term = signal(SignalKind::terminate())?;
            let mut interrupt = signal(SignalKind::interrupt())?;
            notify::systemd("READY=1");
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
            Ok(())
        })
    }

    /// Ends it: no new connections, requests under way are finished, reports are written down.
    pub fn stop(self) {
        notify::systemd("STOPPING=1");
        let _ = self.stop.send(true);
        let state = Arc::clone(&self.state);
        let drained = async move {
            let open = || state.gates.iter().map(|gate| gate.open()).sum::<usize>();
            while open() > 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let _ = self
            .runtime
            .block_on(async { tokio::time::timeout(DRAIN, drained).await });
        self.runtime.shutdown_timeout(Duration::from_secs(1));
        self.keeper.stop();
    }
}

/// The authority; a new one on the first run. A service node has a certificate of the master's instead.
fn authority(config: &Config) -> anyhow::Result<Authority> {
    let authority = Authority::new(&config.ca);
    let given = ["ca.pem", "server.pem", "server.key"];
    if !authority.can_sign() && !given.iter().all(|name| authority.path(name).exists()) {
        if authority.path("ca.pem").exists() {
            anyhow::bail!(
                "{}: it has the authority's certificate but neither its key nor a server's; make the server's on the \
                 management node with `statelite ca server NAME...` and put server.pem and server.key here",
                config.ca.display()
            );
        }
        authority
            .init()
            .context("making the site's certificate authority")?;
        tracing::info!("new certificate authority in {}", config.ca.display());
    }
    Ok(authority)
}

/// Every port on every address. An IPv6 wildcard falls back to IPv4 where IPv6 is off.
fn open(config: &Config) -> anyhow::Result<Vec<(Port, TcpListener)>> {
    let mut listeners = Vec::new();
    for (port, number) in [
        (Port::Wire, config.port),
        (Port::Status, config.status_port),
        (Port::Https, config.https_port),
    ] {
        for address in &config.bind {
            let opened = listen::open(*address, number).or_else(|error| {
                if address.is_unspecified() && address.is_ipv6() {
                    listen::open(std::net::Ipv4Addr::UNSPECIFIED.into(), number)
                } else {
                    Err(error)
                }
            });
            listeners.push((port, opened?));
        }
    }
    Ok(listeners)
}

/// As many places as were asked for, and no more than there are descriptors: most for HTTPS, whose connections stay.
fn gates(config: &Config) -> [Arc<Gate>; 3] {
    let files = raise_file_limit().saturating_sub(RESERVED_FILES).max(16);
    let [wire, status, https] = [files / 4, files / 8, files * 5 / 8].map(|share| {
        let most = config.limits.connections.min(share);
        Gate::new(most, config.limits.per_peer)
    });
    if config.limits.connections > files / 4 {
        tracing::info!(
            "the file limit allows {files} connections in all: 5/8 of them for HTTPS, 1/4 for the wire"
        );
    }
    [wire, status, https]
}

/// Raises the soft limit of open files to the hard one and returns it.
fn raise_file_limit() -> usize {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    let now = match setrlimit(Resource::Nofile, raised) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    now.map_or(usize::MAX / 4, |files| {
        usize::try_from(files).unwrap_or(usize::MAX / 4)
    })
}

async fn renew(state: Arc<State>, shown: Arc<Shown>) {
    loop {
        tokio::select! {
            () = state.stop() => return,
            () = tokio::time::sleep(RENEWAL) => {}
        }
        let shown = Arc::clone(&shown);
        match tokio::task::spawn_blocking(move || shown.refresh()).await {
            Ok(Ok(true)) => tracing::info!("the server's certificate is new"),
            Ok(Ok(false)) => {}
            Ok(Err(error)) => tracing::error!("the server's certificate: {error}"),
            Err(error) => tracing::error!("the server's certificate: {error}"),
        }
    }
}
