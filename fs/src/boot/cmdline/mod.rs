//! What the kernel command line asks for: the form of xCAT's first release, the current forms,
//! and words of our own. Reading it does no I/O.
//!
//! | module | what it is |
//! |---|---|
//! | [`keys`] | every word, defined once |
//! | [`words`] | text to words, as the kernel splits it |
//! | [`address`] | `ip=`, `BOOTIF=` and hosts with ports |
//!
//! Of a word that is there several times the last counts, as addkcmdline is appended.

pub mod address;
pub mod keys;
pub mod words;

use super::nfs;
use crate::config::implied::Implied;
use crate::overlay::layer::Freshness;
use address::{Host, Ip, Mac};
use keys::KEYS;
use statelite_policy::{Dialect, Source};
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How the root is put together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One merged file system.
    #[default]
    Fuse,
    /// Links and bind mounts, as xCAT's boot script makes them.
    Links,
}

/// Where the policy comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum PolicyFrom {
    /// The management server.
    #[default]
    Server,
    /// Tables in this directory of the initramfs.
    Tables(PathBuf),
}

/// What a kernel command line asks for.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommandLine {
    /// The image.
    pub image: Option<Source>,
    /// Mount options of the image that came with it.
    pub image_options: Vec<String>,
    /// Mount options of image and trees that win over all others.
    pub nfs_options: Vec<String>,
    /// Directory above the nodes' persistent stores.
    pub statemnt: Option<Source>,
    /// Mount options of the persistent store.
    pub mntopts: Vec<String>,
    /// The management server.
    pub server: Option<Host>,
    /// The node's name.
    pub node: Option<String>,
    /// Stop for a shell at the known places.
    pub shell: bool,
    /// The local disk is to be partitioned.
    pub partition: bool,
    /// Address of the network card to use.
    pub bootif: Option<Mac>,
    /// Name of the network card to use.
    pub netdev: Option<String>,
    /// How to configure the network; none: DHCP on the card that answers.
    pub ip: Option<Ip>,
    /// Name servers.
    pub nameservers: Vec<IpAddr>,
    /// What becomes process 1.
    pub init: Option<PathBuf>,
    /// How the root is put together.
    pub mode: Mode,
    /// Meaning of option words.
    pub dialect: Dialect,
    /// Name of the image in tables.
    pub image_name: Option<String>,
    /// How soon edits show.
    pub freshness: Option<Freshness>,
    /// What is volatile without a row.
    pub implied: Option<Implied>,
    /// Where the policy comes from.
    pub policy: PolicyFrom,
    /// Size limit of volatile files, where it is not the usual one.
    pub volatile_size: Option<String>,
    /// When to give up on a server.
    pub timeout: Option<Duration>,
    /// When to start again after a failure.
    pub reboot: Option<Duration>,
    /// The management server is not told that this node boots.
    pub no_status: bool,
    /// Tell everything.
    pub debug: bool,
    /// What is odd and was passed over.
    pub warnings: Vec<String>,
    /// Words about the network that cannot be read, with the reason. They may be meant for the program that has
    /// brought the network up, so they matter only where it is not up.
    pub unread: Vec<String>,
}

/// A word that cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("kernel command line: {word}: {reason}")]
pub struct WordError {
    /// The word.
    pub word: String,
    /// Why not.
    pub reason: String,
}

/// Reads a kernel command line.
///
/// # Errors
/// Every word that is understood and cannot be followed.
pub fn parse(text: &str) -> Result<CommandLine, Vec<WordError>> {
    let mut line = CommandLine::default();
    let mut errors = Vec::new();
    let mut images = Images::default();
    for word in words::split(text) {
        let (key, value) = match word.split_once('=') {
            Some((key, value)) => (key, Some(value)),
            None => (word.as_str(), None),
        };
        if let Err(reason) = line.word(key, value, &mut images) {
            errors.push(WordError {
                word: word.clone(),
                reason,
            });
        }
    }
    let doubts = images.choose(&mut line);
    // Another word says where the image is: that one may well be meant for somebody else.
    if line.image.is_some() {
        let passed_over = |e: WordError| format!("{}: {}; passed over", e.word, e.reason);
        line.warnings.extend(doubts.into_iter().map(passed_over));
    } else {
        errors.extend(doubts);
    }
    if errors.is_empty() {
        Ok(line)
    } else {
        Err(errors)
    }
}

/// A place and mount options.
type Place = (Source, Vec<String>);

/// Says in which word a place is wrong.
fn of_word(key: &str, value: &str, place: Result<Place, String>) -> Result<Place, WordError> {
    place.map_err(|reason| WordError {
        word: format!("{key}={value}"),
        reason,
    })
}

/// The image as several words may give it.
#[derive(Debug, Default)]
struct Images {
    own: Option<Source>,
    root: Option<Result<Place, WordError>>,
    nfsroot: Option<Result<Place, WordError>>,
    seed: Option<Source>,
}

impl Images {
    /// Takes the first that there is; what is wrong with those before it is the result.
    fn choose(self, line: &mut CommandLine) -> Vec<WordError> {
        let mut doubts = Vec::new();
        if self.own.is_some() {
            line.image = self.own;
        }
        for place in [self.root, self.nfsroot].into_iter().flatten() {
            match place {
                Ok((source, options)) if line.image.is_none() => {
                    line.image = Some(source);
                    line.image_options = options;
                }
                Err(e) => doubts.push(e),
                Ok(_) => {}
            }
        }
        line.image = line.image.take().or(self.seed);
        doubts
    }
}

impl CommandLine {
    fn word(&mut self, key: &str, value: Option<&str>, images: &mut Images) -> Result<(), String> {
        match (key, value) {
            ("NFSROOT", Some(value)) if !value.is_empty() => {
                let mut image = source(value)?;
                image.path = format!("{}/rootimg", image.path.trim_end_matches('/'));
                images.seed = Some(image);
            }
            ("root", Some(value)) => {
                images.root = root(value).map(|place| of_word(key, value, place))
            }
            ("nfsroot", Some(value)) => {
                images.nfsroot = Some(of_word(key, value, with_options(value)));
            }
            ("STATEMNT", Some(value)) => self.statemnt = self.statemnt(value)?,
            ("XCAT", Some(value)) => {
                self.server = (!value.is_empty())
                    .then(|| address::host(value))
                    .transpose()?;
            }
            ("NODE", Some(value)) => self.node = node(value)?,
            ("MNTOPTS", Some(value)) => self.mntopts = options(value)?,
            ("BOOTIF", Some(value)) => {
                self.bootif = Mac::parse(value);
                if self.bootif.is_none() && !value.is_empty() {
                    self.warnings
                        .push(format!("BOOTIF={value}: not a card's address; passed over"));
                }
            }
            ("netdev", Some(value)) => {
                self.netdev = (!value.is_empty()).then(|| value.to_owned());
            }
            ("ip", Some(value)) => match Ip::parse(value) {
                Ok(Some(ip)) => self.ip = Some(ip),
                Ok(None) if value.is_empty() => {}
                Ok(None) => self.warnings.push(format!(
                    "ip={value} is left to the kernel and other programs of the initramfs"
                )),
                Err(reason) => self.unread(key, value, &reason),
            },
            ("nameserver", Some(value)) => match address::ip(value) {
                Ok(address) => self.nameservers.push(address),
                Err(_) if value.is_empty() => {}
                Err(reason) => self.unread(key, value, &reason),
            },
            ("init", Some(value)) if value.starts_with('/') => self.init = Some(value.into()),
            ("nonodestatus", None) => self.no_status = true,
            ("shell", None) => self.shell = true,
            ("PARTITION_RH" | "PARTITION_SLES", _) => self.partition = true,
            _ => {
                if let Some(own) = key.strip_prefix("statelite.") {
                    self.own_word(own, value, images)?;
                }
            }
        }
        Ok(())
    }

    fn own_word(
        &mut self,
        key: &str,
        value: Option<&str>,
        images: &mut Images,
    ) -> Result<(), String> {
        match (key, value) {
            ("mode", Some("fuse")) => self.mode = Mode::Fuse,
            ("mode", Some("links")) => self.mode = Mode::Links,
            ("dialect", Some(value)) => {
                self.dialect = value.parse().map_err(|e| format!("{e}"))?;
            }
            ("root", Some(value)) => images.own = Some(source(value)?),
            ("nfsopts", Some(value)) => self.nfs_options = options(value)?,
            ("image", Some(value)) => self.image_name = Some(value.to_owned()),
            ("freshness", Some("live")) => self.freshness = Some(Freshness::Live),
            ("freshness", Some("published")) => self.freshness = Some(Freshness::Published),
            ("implied", Some("none")) => self.implied = Some(Implied::None),
            ("implied", Some("systemd")) => self.implied = Some(Implied::Systemd),
            ("policy", Some("server")) => self.policy = PolicyFrom::Server,
            ("policy", Some(value)) => match value.strip_prefix("file:") {
                Some(dir) if dir.starts_with('/') => {
                    self.policy = PolicyFrom::Tables(dir.into());
                }
                _ => return Err(expected(key)),
            },
            ("volatile", Some(value)) if !value.is_empty() => {
                self.volatile_size = Some(value.to_owned());
            }
            ("timeout", Some(value)) => self.timeout = Some(seconds(value)?),
            ("reboot", Some(value)) => self.reboot = Some(seconds(value)?),
            ("debug", None) => self.debug = true,
            _ if KEYS
                .iter()
                .any(|k| k.name.strip_prefix("statelite.") == Some(key)) =>
            {
                return Err(expected(key));
            }
            _ => self
                .warnings
                .push(format!("statelite.{key} is not known and passed over")),
        }
        Ok(())
    }

    /// Passes over a word about the network.
    fn unread(&mut self, key: &str, value: &str, reason: &str) {
        let word = format!("{key}={value}: {reason}");
        self.warnings.push(format!("{word}; passed over"));
        self.unread.push(word);
    }

    /// xCAT's nodeset writes `/server:/dir` for some rows with variables.
    fn statemnt(&mut self, value: &str) -> Result<Option<Source>, String> {
        if value.is_empty() {
            return Ok(None);
        }
        let slash = value.strip_prefix('/').filter(|rest| rest.contains(":/"));
        if let Some(rest) = slash {
            self.warnings
                .push(format!("STATEMNT={value}: taken as {rest}"));
        }
        source(slash.unwrap_or(value)).map(Some)
    }
}

/// What a word of ours takes.
fn expected(key: &str) -> String {
    let name = format!("statelite.{key}");
    match KEYS.iter().find(|k| k.name == name) {
        Some(key) if key.value.is_empty() => "takes no value".into(),
        Some(key) => format!("expected {}={}", key.name, key.value),
        None => "not known".into(),
    }
}

fn source(value: &str) -> Result<Source, String> {
    value.parse().map_err(|e| format!("{e}"))
}

fn seconds(value: &str) -> Result<Duration, String> {
    let number: u32 = value.parse().map_err(|_| "expected whole seconds")?;
    Ok(Duration::from_secs(number.into()))
}

fn node(value: &str) -> Result<Option<String>, String> {
    let ok = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if value.is_empty() {
        return Ok(None);
    }
    // The name becomes a directory's.
    if !value.chars().all(ok) || value.starts_with('.') {
        return Err("not a node's name".into());
    }
    Ok(Some(value.to_owned()))
}

/// Mount options, comma separated; xCAT doubles quotes around them at times.
fn options(value: &str) -> Result<Vec<String>, String> {
    let list: Vec<String> = value
        .split(',')
        .map(|option| option.trim_matches(['"', '\'']).to_owned())
        .filter(|option| !option.is_empty())
        .collect();
    nfs::check(&list)?;
    Ok(list)
}

/// `root=`; none if it is about something else than NFS.
fn root(value: &str) -> Option<Result<Place, String>> {
    if value == "/dev/nfs" {
        // nfsroot= has the rest.
        return None;
    }
    if let Some(rest) = value.strip_prefix("nfs4:") {
        return Some(with_options(rest).map(|(source, mut options)| {
            let version = |o: &String| o.starts_with("vers=") || o.starts_with("nfsvers=");
            if !options.iter().any(version) {
                options.push("vers=4.1".into());
            }
            (source, options)
        }));
    }
    if let Some(rest) = value.strip_prefix("nfs:") {
        return Some(with_options(rest));
    }
    let other = value.starts_with('/') || !value.contains(":/") || has_scheme(value);
    (!other).then(|| with_options(value))
}

/// Whether `root=` is for another program of an initramfs: `SCHEME:` of dracut's, or any URL.
fn has_scheme(value: &str) -> bool {
    const SCHEMES: [&str; 15] = [
        "block", "cifs", "fcoe", "ftp", "http", "https", "imgurl", "iscsi", "live", "liveimg",
        "livenet", "nbd", "smb", "tftp", "zfs",
    ];
    let scheme = value.split(':').next().unwrap_or_default();
    SCHEMES.contains(&scheme) || value.contains("://")
}

/// `SERVER:DIR`, and options after a further colon or a comma.
fn with_options(text: &str) -> Result<Place, String> {
    let server_end = match text.strip_prefix('[') {
        Some(rest) => rest.find("]:").map(|at| at + 2),
        None => text.find(':'),
    };
    if text.starts_with('/') {
        return Err("no server is named: expected SERVER:DIR".into());
    }
    let Some(dir) = server_end.and_then(|at| text.get(at + 1..)) else {
        return Err("expected SERVER:DIR".into());
    };
    let end = dir.find([':', ',']).unwrap_or(dir.len());
    let given = dir.get(end + 1..).unwrap_or_default();
    let place = text.get(..text.len() - (dir.len() - end)).unwrap_or(text);
    Ok((source(place)?, options(given)?))
}

#[cfg(test)]
mod tests;
