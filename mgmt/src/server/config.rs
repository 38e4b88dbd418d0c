//! What the server is told: `/etc/statelite/serve.toml`, then the command line. Every limit has a default that fits
//! a site of some thousand nodes on a small machine.

use super::reverse::Mode;
use serde::Deserialize;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// Where the file is when nothing else is said; it need not exist.
pub const DEFAULT_FILE: &str = "/etc/statelite/serve.toml";
/// Where the certificates are when nothing else is said.
pub const DEFAULT_CA: &str = "/etc/statelite/ca";

/// Everything the server is told.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Addresses to listen on.
    pub bind: Vec<IpAddr>,
    /// Port of the xCAT wire; 0 lets the system choose.
    pub port: u16,
    /// Port of the status protocol; 0 lets the system choose.
    pub status_port: u16,
    /// Port of HTTPS; 0 lets the system choose.
    pub https_port: u16,
    /// Directory of the certificates; made on the first run.
    pub ca: PathBuf,
    /// Names and addresses the server's certificate has besides those of the machine.
    pub names: Vec<String>,
    /// How peers without a certificate and without a row in `hosts` are named.
    pub reverse: Mode,
    /// Name servers for that, as `ADDRESS` or `ADDRESS:PORT`; those of `/etc/resolv.conf` when empty.
    pub name_servers: Vec<String>,
    /// Seconds between looks at the tables.
    pub poll_seconds: u64,
    /// A snapshot made by `statelite pull`, used while the database cannot be read.
    pub snapshot: Option<PathBuf>,
    /// Where records of what nodes were told are kept; beside an SQLite file, or in `/var/lib/statelite`, when not set.
    pub state: Option<PathBuf>,
    /// After this many seconds without news from the source, health says so.
    pub stale_seconds: u64,
    /// What one client, and all of them, can cost.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: vec![IpAddr::V6(Ipv6Addr::UNSPECIFIED)],
            port: 3001,
            status_port: 3002,
            https_port: 3443,
            ca: DEFAULT_CA.into(),
            names: Vec::new(),
            reverse: Mode::Confirmed,
            name_servers: Vec::new(),
            poll_seconds: 1,
            snapshot: None,
            state: None,
            stale_seconds: 300,
            limits: Limits::default(),
        }
    }
}

/// What clients can cost.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Connections at once, per port. Lowered at start to what the file limit of the process allows.
    pub connections: usize,
    /// Connections at once of one address, per port. More than a node needs, few enough that one cannot take all.
    pub per_peer: usize,
    /// Seconds from connection to finished handshake.
    pub handshake_seconds: u64,
    /// Seconds from handshake to a whole request, and for a kept HTTPS connection between requests.
    pub request_seconds: u64,
    /// Seconds for all of a connection on the xCAT wire and the status port.
    pub total_seconds: u64,
    /// Longest request on the wire, bytes.
    pub request_bytes: usize,
    /// Answers kept ready, and how much memory they may take, bytes.
    pub cached_answers: usize,
    /// Memory of kept answers, bytes.
    pub cached_bytes: usize,
    /// Answers computed at once.
    pub workers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            per_peer: 64,
            handshake_seconds: 10,
            request_seconds: 20,
            total_seconds: 120,
            request_bytes: statelite_policy::wire::REQUEST_MAX,
            cached_answers: 20_000,
            cached_bytes: 64 << 20,
            workers: 8,
        }
    }
}

/// Why the configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// {0}: {1}
    #[error("{0}: {1}")]
    Read(PathBuf, std::io::Error),
    /// {0}: {1}
    #[error("{0}: {1}")]
    Syntax(PathBuf, toml::de::Error),
    /// {0} must not be 0
    #[error("{0} must not be 0")]
    Zero(&'static str),
    /// bind is empty: name at least one address
    #[error("bind is empty: name at least one address")]
    Nowhere,
}

impl Config {
    /// Reads the file. Without a name the default one is read if it exists.
    ///
    /// # Errors
    /// [`ConfigError`] when the file cannot be read, has an unknown key or a bad value.
    pub fn load(file: Option<&Path>) -> Result<Self, ConfigError> {
        let path = file.unwrap_or(Path::new(DEFAULT_FILE));
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|error| ConfigError::Syntax(path.into(), error)),
            Err(error) if file.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
                Ok(Self::default())
            }
            Err(error) => Err(ConfigError::Read(path.into(), error)),
        }
    }

    /// Reads the text of the file.
    ///
    /// # Errors
    /// As the TOML reader; unknown keys are errors.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// Checks what no type can.
    ///
    /// # Errors
    /// [`ConfigError::Zero`] and [`ConfigError::Nowhere`].
    pub fn check(&self) -> Result<(), ConfigError> {
        let limits = &self.limits;
        for (name, value) in [
            ("limits.connections", limits.connections as u64),
            ("limits.per_peer", limits.per_peer as u64),
            ("limits.handshake_seconds", limits.handshake_seconds),
            ("limits.request_seconds", limits.request_seconds),
            ("limits.total_seconds", limits.total_seconds),
            ("limits.request_bytes", limits.request_bytes as u64),
            ("limits.cached_answers", limits.cached_answers as u64),
            ("limits.cached_bytes", limits.cached_bytes as u64),
            ("limits.workers", limits.workers as u64),
            ("poll_seconds", self.poll_seconds),
        ] {
            if value == 0 {
                return Err(ConfigError::Zero(name));
            }
        }
        if self.bind.is_empty() {
            return Err(ConfigError::Nowhere);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_said_has_its_default() {
        let config = Config::parse("port = 4001\n[limits]\nper_peer = 2\n").unwrap();
        let default = Config::default();
        assert_eq!((config.port, config.limits.per_peer), (4001, 2));
        assert_eq!(config.limits.connections, default.limits.connections);
        assert_eq!(config.https_port, default.https_port);
        config.check().unwrap();
    }

    #[test]
    fn the_file_shipped_tells_the_defaults() {
        let text = include_str!("../../systemd/serve.toml");
        let line = |line: &str| {
            let line = line.strip_prefix("# ").filter(|rest| rest.contains(" = "));
            line.map(str::to_owned)
        };
        let mut told = String::new();
        for one in text.lines() {
            told.push_str(&line(one).unwrap_or_else(|| one.to_owned()));
            told.push('\n');
        }
        let mut config = Config::parse(&told).unwrap();
        assert!(config.snapshot.take().is_some() && config.state.take().is_some());
        assert_eq!(config, Config::default());
        assert_eq!(Config::parse(text).unwrap(), Config::default());
    }

    #[test]
    fn unknown_keys_and_zero_limits_are_refused() {
        for text in [
            "prot = 1",
            "[limits]\nconnection = 1",
            "port = 70000",
            "reverse = \"maybe\"",
        ] {
            assert!(Config::parse(text).is_err(), "{text}");
        }
        for text in ["poll_seconds = 0", "[limits]\nworkers = 0", "bind = []"] {
            assert!(Config::parse(text).unwrap().check().is_err(), "{text}");
        }
    }

    #[test]
    fn a_named_file_must_exist() {
        let error = Config::load(Some(Path::new("/nonexistent/serve.toml"))).unwrap_err();
        assert!(error.to_string().starts_with("/nonexistent/serve.toml: "));
    }
}
