//! From an address to names: `/etc/hosts`, then the name servers.
//!
//! Whoever controls the reverse zone of an address can put any name there. So by default a name counts only if it
//! resolves back to the address ([`Mode::Confirmed`]); xCAT does not ask that ([`Mode::Plain`]).

mod dns;

use lru::LruCache;
use parking_lot::Mutex;
use serde::Deserialize;
use std::future::Future;
use std::net::IpAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::{Duration, Instant, SystemTime};

/// How many addresses are remembered.
const REMEMBERED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(8191);
/// For how long: a node asks three times while it boots.
const MEMORY: Duration = Duration::from_secs(30);
/// Lookups under way at once; more wait. Each holds one socket.
const AT_ONCE: usize = 64;

/// What is believed of a reverse lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A name that resolves back to the address.
    #[default]
    Confirmed,
    /// Any name, as xCAT.
    Plain,
    /// Nothing: only certificates and the hosts table name nodes.
    Off,
}

/// The names a lookup will find.
pub type Names<'a> = Pin<Box<dyn Future<Output = Vec<String>> + Send + 'a>>;

/// Who knows the names of addresses.
pub trait Reverse: Send + Sync + std::fmt::Debug {
    /// The names of an address, best first; none when it has none or nobody answers.
    fn names(&self, address: IpAddr) -> Names<'_>;
}

/// `/etc/hosts` and DNS, with a short memory.
#[derive(Debug)]
pub struct System {
    mode: Mode,
    hosts: Mutex<HostsFile>,
    resolver: dns::Resolver,
    slots: tokio::sync::Semaphore,
    memory: Mutex<LruCache<IpAddr, (Instant, Vec<String>)>>,
}

impl System {
    /// Asks these name servers (`ADDRESS` or `ADDRESS:PORT`), or those of `/etc/resolv.conf` if none are given.
    #[must_use]
    pub fn new(mode: Mode, servers: &[String]) -> Self {
        Self {
            mode,
            hosts: Mutex::new(HostsFile::new("/etc/hosts".into())),
            resolver: dns::Resolver::new(servers),
            slots: tokio::sync::Semaphore::new(AT_ONCE),
            memory: Mutex::new(LruCache::new(REMEMBERED)),
        }
    }

    async fn look_up(&self, address: IpAddr) -> Vec<String> {
        let mut names = self.hosts.lock().names(address);
        if !names.is_empty() {
            return names;
        }
        let Ok(_slot) = self.slots.acquire().await else {
            return names;
        };
        for name in self.resolver.names(address).await {
            if self.mode == Mode::Plain || self.resolver.has_address(&name, address).await {
                names.push(name);
            } else {
                tracing::warn!(%address, name, "the name does not resolve back to the address: not believed");
            }
        }
        names
    }
}

impl Reverse for System {
    fn names(&self, address: IpAddr) -> Names<'_> {
        Box::pin(async move {
            if self.mode == Mode::Off {
                return Vec::new();
            }
            if let Some((when, names)) = self.memory.lock().get(&address)
                && when.elapsed() < MEMORY
            {
                return names.clone();
            }
            let names = self.look_up(address).await;
            let entry = (Instant::now(), names.clone());
            self.memory.lock().put(address, entry);
            names
        })
    }
}

/// `/etc/hosts`, read again when it changes.
#[derive(Debug)]
struct HostsFile {
    path: PathBuf,
    read: Option<SystemTime>,
    rows: Vec<(IpAddr, Vec<String>)>,
}

impl HostsFile {
    fn new(path: PathBuf) -> Self {
        Self {
            path,
            read: None,
            rows: Vec::new(),
        }
    }

    fn names(&mut self, address: IpAddr) -> Vec<String> {
        let changed = std::fs::metadata(&self.path)
            .and_then(|meta| meta.modified())
            .ok();
        if changed != self.read {
            let text = std::fs::read_to_string(&self.path).unwrap_or_default();
            self.rows = hosts(&text);
            self.read = changed;
        }
        let rows = self.rows.iter().filter(|row| row.0 == address);
        rows.flat_map(|row| row.1.clone()).collect()
    }
}

/// The rows of a hosts file; what is not one is passed over, as every resolver does.
fn hosts(text: &str) -> Vec<(IpAddr, Vec<String>)> {
    let row = |line: &str| {
        let line = line.split('#').next().unwrap_or_default();
        let mut words = line.split_whitespace();
        let address: IpAddr = words.next()?.parse().ok()?;
        Some((address.to_canonical(), words.map(str::to_owned).collect()))
    };
    text.lines().filter_map(row).collect()
}

/// A table made by hand, for tests.
#[derive(Debug, Default)]
pub struct Fixed {
    names: Vec<(IpAddr, String)>,
}

impl Fixed {
    /// Knows these addresses; those that are none are left out.
    #[must_use]
    pub fn new(names: &[(&str, &str)]) -> Self {
        let entry =
            |(address, name): &(&str, &str)| Some((address.parse().ok()?, (*name).to_owned()));
        Self {
            names: names.iter().filter_map(entry).collect(),
        }
    }
}

impl Reverse for Fixed {
    fn names(&self, address: IpAddr) -> Names<'_> {
        let found = self.names.iter().filter(move |entry| entry.0 == address);
        let found: Vec<_> = found.map(|entry| entry.1.clone()).collect();
        Box::pin(std::future::ready(found))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_files() {
        let text =
            "# x\n127.0.0.1 localhost\n10.0.0.1\tn01.cluster n01 # first\nnonsense\n::1 ip6\n";
        let rows = hosts(text);
        let names: Vec<_> = rows.iter().map(|row| row.1.join(" ")).collect();
        assert_eq!(names, ["localhost", "n01.cluster n01", "ip6"]);
    }

    #[test]
    fn a_changed_hosts_file_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts");
        let mut file = HostsFile::new(path.clone());
        let address = "10.0.0.1".parse().unwrap();
        assert!(file.names(address).is_empty());
        std::fs::write(&path, "10.0.0.1 n01\n").unwrap();
        assert_eq!(file.names(address), ["n01"]);
    }

    #[tokio::test]
    async fn off_asks_nobody() {
        let system = System::new(Mode::Off, &["127.0.0.1:1".to_owned()]);
        assert!(system.names("127.0.0.1".parse().unwrap()).await.is_empty());
    }
}
