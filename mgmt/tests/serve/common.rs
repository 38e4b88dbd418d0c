//! A site, a server of it, and clients with addresses.

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use statelite_mgmt::server::ca::{Authority, Pair};
use statelite_mgmt::server::config::Config;
use statelite_mgmt::server::listen::Port;
use statelite_mgmt::server::reverse::Fixed;
use statelite_mgmt::server::run::Server;
use statelite_mgmt::tables::schema::{
    HOSTS, LINUXIMAGE, LITEFILE, LITETREE, NODELIST, NODERES, NODETYPE, OSIMAGE, SITE,
};
use statelite_mgmt::tables::{Row, Site, Store, Table};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::client::TlsStream;

/// A server and where its files are.
pub struct Site1 {
    pub dir: tempfile::TempDir,
    pub server: Option<Server>,
}

pub const N01: &str = "127.0.1.1";
pub const N02: &str = "127.0.1.2";
pub const SN1: &str = "127.0.1.9";
pub const STRANGER: &str = "127.0.9.9";

pub fn row(table: &Table, cells: &str) -> Row {
    let mut row = Row::new(table);
    for cell in cells.split_whitespace() {
        let (column, value) = cell.split_once('=').unwrap();
        assert!(row.set(table, column, Some(value.to_owned())), "{column}");
    }
    row
}

/// The tables; the policy table is the one a new store has.
pub fn fill(site: &mut Site, partition_file: &Path) {
    let image = format!(
        "imagename=img rootimgdir=/install/img partitionfile={}",
        partition_file.display()
    );
    let rows: Vec<(&'static Table, String)> = vec![
        (&NODELIST, "node=n01 groups=compute".into()),
        (&NODELIST, "node=n02 groups=compute".into()),
        (&NODELIST, "node=sn1 groups=service".into()),
        (&HOSTS, format!("node=n01 ip={N01}")),
        (&HOSTS, format!("node=n02 ip={N02}")),
        (&HOSTS, format!("node=sn1 ip={SN1}")),
        (
            &NODETYPE,
            "node=compute os=debian12 arch=x86_64 profile=compute provmethod=img".into(),
        ),
        (
            &NODERES,
            "node=compute servicenode=sn1 xcatmaster=sn1 nfsserver=10.0.0.1".into(),
        ),
        (
            &OSIMAGE,
            "imagename=img provmethod=statelite profile=compute osvers=debian12 osarch=x86_64"
                .into(),
        ),
        (&LINUXIMAGE, image),
        (
            &LITEFILE,
            "image=ALL file=/etc/adjtime options=tmpfs".into(),
        ),
        (
            &LITEFILE,
            "image=ALL file=/var/log/ options=persistent".into(),
        ),
        (
            &LITETREE,
            "priority=1 image=ALL directory=$noderes.nfsserver:/statelite/$node".into(),
        ),
        (
            &LITETREE,
            "priority=2 image=ALL directory=cnfs:/gpfs/dallas".into(),
        ),
    ];
    for (table, cells) in rows {
        site.add(table, row(table, &cells));
    }
    let mut settings: Vec<Row> = site.rows(&SITE).to_vec();
    settings.retain(|row| row.get(&SITE, "key") != Some("master"));
    settings.push(row(&SITE, "key=master value=mn"));
    site.put(&SITE, settings);
}

impl Site1 {
    pub fn new() -> Self {
        Self::with(|_| {})
    }

    pub fn with(change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let partition = dir.path().join("partition");
        std::fs::copy(
            Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/samples/partitionfile.sample"),
            &partition,
        )
        .unwrap();
        let this = Self { dir, server: None };
        this.change(|site| fill(site, &partition));
        this.start(change)
    }

    /// A server of tables that are elsewhere.
    pub fn on(db: &str, change: impl FnOnce(&mut Config)) -> Self {
        let this = Self {
            dir: tempfile::tempdir().unwrap(),
            server: None,
        };
        this.start_on(db, change)
    }

    pub fn start(self, change: impl FnOnce(&mut Config)) -> Self {
        let db = self.db();
        self.start_on(db.to_str().unwrap(), change)
    }

    fn start_on(mut self, db: &str, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = Config {
            bind: vec!["127.0.0.1".parse().unwrap()],
            port: 0,
            status_port: 0,
            https_port: 0,
            ca: self.ca_dir(),
            state: Some(self.dir.path().to_owned()),
            ..Config::default()
        };
        change(&mut config);
        let names = Fixed::new(&[
            ("127.0.8.1", "n01-eth1.cluster."),
            ("127.0.8.2", "stranger."),
        ]);
        self.server = Some(Server::start_with(db, config, Arc::new(names)).unwrap());
        self
    }

    pub fn db(&self) -> PathBuf {
        self.dir.path().join("tables.sqlite")
    }

    pub fn ca_dir(&self) -> PathBuf {
        self.dir.path().join("ca")
    }

    pub fn change(&self, edit: impl FnOnce(&mut Site)) {
        let mut store = Store::open(self.db().to_str().unwrap()).unwrap();
        let edit = |site: &mut Site| {
            edit(site);
            Ok(())
        };
        store.change(edit, true).unwrap();
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    pub fn address(&self, port: Port) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.server().port(port)))
    }

    pub fn issue(&self, node: &str) -> Pair {
        Authority::new(&self.ca_dir()).issue(node, 30).unwrap()
    }

    /// A TLS client's settings: the server is verified; a certificate is shown if given.
    pub fn client(&self, pair: Option<&Pair>) -> Arc<ClientConfig> {
        let text = std::fs::read_to_string(self.ca_dir().join("ca.pem")).unwrap();
        let roots = statelite_mgmt::server::tls::roots(&text).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match pair {
            None => builder.with_no_client_auth(),
            Some(pair) => {
                let chain = CertificateDer::pem_slice_iter(pair.certificate.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).unwrap();
                let chain = chain.collect::<Result<_, _>>().unwrap();
                builder.with_client_auth_cert(chain, key).unwrap()
            }
        })
    }

    /// A TLS connection from an address.
    pub async fn connect(
        &self,
        port: Port,
        from: &str,
        pair: Option<&Pair>,
    ) -> std::io::Result<TlsStream<TcpStream>> {
        let stream = tcp(self.address(port), from).await?;
        let connector = tokio_rustls::TlsConnector::from(self.client(pair));
        connector
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
    }

    /// One exchange on the wire: what is sent, and everything that comes back.
    pub async fn ask(&self, from: &str, pair: Option<&Pair>, text: &[u8]) -> String {
        let mut stream = self.connect(Port::Wire, from, pair).await.unwrap();
        stream.write_all(text).await.unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        String::from_utf8(reply).unwrap()
    }

    /// One HTTPS request; status line and headers, and the body.
    pub async fn get(
        &self,
        from: &str,
        pair: Option<&Pair>,
        path: &str,
        header: &str,
    ) -> (String, String) {
        let mut stream = self.connect(Port::Https, from, pair).await.unwrap();
        let text =
            format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}\r\n");
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut reply = Vec::new();
        let _ = stream.read_to_end(&mut reply).await;
        let reply = String::from_utf8(reply).unwrap();
        let (head, body) = reply
            .split_once("\r\n\r\n")
            .unwrap_or_else(|| panic!("{reply:?}"));
        (head.to_owned(), body.to_owned())
    }
}

impl Drop for Site1 {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop();
        }
    }
}

/// A TCP connection from an address.
pub async fn tcp(to: SocketAddr, from: &str) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::new(from.parse().unwrap(), 0))?;
    socket.connect(to).await
}

pub fn request(command: &str) -> Vec<u8> {
    format!("<xcatrequest><command>{command}</command></xcatrequest>\n").into_bytes()
}

/// A runtime for a test; the server has its own.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let done =
        runtime.block_on(async { tokio::time::timeout(Duration::from_secs(120), work).await });
    done.expect("the test hangs")
}

/// Waits until something holds; gives up after a time no machine needs.
pub async fn eventually(what: &str, mut test: impl FnMut() -> bool) {
    for _ in 0..600 {
        if test() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("never: {what}");
}

/// Whether a program is there; says so loudly when it is not.
pub fn have(program: &str) -> bool {
    let there = std::process::Command::new(program)
        .arg("version")
        .output()
        .is_ok();
    if !there {
        eprintln!("SKIPPED: this test needs {program}");
    }
    there
}
