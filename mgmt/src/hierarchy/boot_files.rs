//! Boot files of nodes that a service node serves, where service nodes have a tftpdir of their own (`site.sharedtftp=0`).
//!
//! xCAT runs nodeset on every service node. Here the files of a service node's nodes are kept in a tree beside the tables, and
//! rsync brings that tree to the service node: it needs ssh and rsync there, nothing of this project. What is no longer in
//! the tree, and was brought there, is removed there; other files of the service node's tftpdir are left alone. After a
//! failure the next run brings what is missing.

use super::remote::Run;
use super::service;
use crate::bootconf::facts::KnownAs;
use crate::bootconf::loader::{Alias, LOADERS};
use crate::bootconf::plan::{Copy, NodePlan};
use crate::bootconf::stale::Names;
use crate::bootconf::{BootError, names, write};
use crate::tables::Site;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// The directory below the state directory.
const DIR: &str = "boot-files";
/// How long a service node may take to answer, seconds. Without it a dead one holds the command for minutes.
const ANSWER: u32 = 15;
/// How long a transfer may stand still, seconds.
const STALLED: u32 = 60;

/// Whether all hosts share one tftpdir, as is usual: `site.sharedtftp` says otherwise by 0 or no.
#[must_use]
pub fn shared(site: &Site) -> bool {
    let value = site.setting("sharedtftp").unwrap_or("1");
    !(value == "0" || value.eq_ignore_ascii_case("n") || value.eq_ignore_ascii_case("no"))
}

/// The nodes of every service node, those for which it stands by too: it may be the one that answers a node.
#[must_use]
pub fn by_service_node<'a>(
    site: &Site,
    nodes: impl IntoIterator<Item = &'a String>,
) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for node in nodes {
        for name in service::service_nodes_of(site, node) {
            let list = found.entry(name).or_default();
            if list.last() != Some(node) {
                list.push(node.clone());
            }
        }
    }
    found
}

/// A tree that is there, with what its service node has or is to have.
#[derive(Debug)]
pub struct Kept {
    /// The service node.
    pub host: String,
    /// Its tftpdir.
    pub tftpdir: PathBuf,
    /// Files and links, below tftpdir.
    pub names: BTreeSet<String>,
}

impl Kept {
    /// Whether the service node may have something of a node, or under a name of its addresses.
    #[must_use]
    pub fn concerns(&self, known_as: &KnownAs) -> bool {
        LOADERS.iter().any(|loader| {
            let mut files = loader.suffixes.iter();
            files.any(|suffix| self.names.contains(&loader.path(&known_as.node, suffix)))
                || (loader.aliases)(known_as).iter().any(|alias| {
                    !matches!(alias, Alias::Shared(..)) && self.names.contains(alias.path())
                })
        })
    }
}

/// Forgets what a service node has. Returns whether there was anything.
///
/// # Errors
/// [`BootError`].
pub fn forget(state: &Path, host: &str) -> Result<bool, BootError> {
    names::component(host)?;
    let dir = state.join(DIR).join(host);
    match fs::remove_dir_all(&dir) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(BootError::io(dir, &error)),
    }
}

/// The name of the tree for a tftpdir.
fn place(tftpdir: &Path) -> String {
    let path = tftpdir.display().to_string();
    let path = path.replace('=', "=e").replace('%', "=p");
    path.replace('/', "%")
}

fn tftpdir_of(place: &str) -> PathBuf {
    let path = place.replace('%', "/").replace("=p", "%");
    path.replace("=e", "=").into()
}

/// The trees below the state directory. Nothing is made or changed.
///
/// # Errors
/// [`BootError::Io`].
pub fn kept(state: &Path) -> Result<Vec<Kept>, BootError> {
    let mut found = Vec::new();
    for host in entries(&state.join(DIR))? {
        for place in entries(&state.join(DIR).join(&host))? {
            let dir = state.join(DIR).join(&host).join(&place);
            let mut names = names_below(&dir.join("tree"))?;
            names.extend(sent(&dir)?);
            found.push(Kept {
                host: host.clone(),
                tftpdir: tftpdir_of(&place),
                names,
            });
        }
    }
    Ok(found)
}

/// The names in a directory, sorted; none when it is not there.
fn entries(dir: &Path) -> Result<BTreeSet<String>, BootError> {
    let io = |e: io::Error| BootError::io(dir, &e);
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(io(error)),
    };
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().into_string().ok());
    let names: io::Result<Vec<_>> = entries.map(name).collect();
    Ok(names.map_err(io)?.into_iter().flatten().collect())
}

/// The tree of one service node's boot files. While it is there no other command writes to it.
#[derive(Debug)]
pub struct Tree {
    host: String,
    tftpdir: PathBuf,
    dir: PathBuf,
    _lock: File,
}

impl Tree {
    /// Opens the tree below the state directory, made when missing. Waits for another command that has it.
    ///
    /// # Errors
    /// [`BootError`] for a name that cannot be a host, and of the file system.
    pub fn open(state: &Path, host: &str, tftpdir: &Path) -> Result<Self, BootError> {
        names::component(host)?;
        let dir = state.join(DIR).join(host).join(place(tftpdir));
        let io = |e: io::Error| BootError::io(&dir, &e);
        fs::create_dir_all(dir.join("tree")).map_err(io)?;
        let lock = File::create(dir.join("lock")).map_err(io)?;
        rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockExclusive)
            .map_err(|e| io(e.into()))?;
        Ok(Self {
            host: host.to_owned(),
            tftpdir: tftpdir.to_owned(),
            dir,
            _lock: lock,
        })
    }

    fn root(&self) -> PathBuf {
        self.dir.join("tree")
    }

    /// Carries out a node's plan in the tree. Kernel and initrd are further names of this host's, where it has the same.
    ///
    /// # Errors
    /// As [`write::apply`].
    pub fn apply(&self, plan: &NodePlan, copies: bool, known: &mut Names) -> Result<(), BootError> {
        if copies {
            for copy in &plan.copies {
                self.copy(copy)?;
            }
        }
        let moved = NodePlan {
            tftpdir: self.root(),
            ..plan.clone()
        };
        // What is not of nodeset is not in a tree, and whose name is taken was said for this host.
        write::apply(&moved, known).map(drop)
    }

    /// Removes all that a node has in the tree.
    ///
    /// # Errors
    /// As [`write::clear`].
    pub fn clear(&self, known_as: &KnownAs, known: &mut Names) -> Result<(), BootError> {
        write::clear(&self.root(), known_as, known).map(drop)
    }

    fn copy(&self, copy: &Copy) -> Result<(), BootError> {
        let Ok(below) = copy.to.strip_prefix(&self.tftpdir) else {
            return write::copy(copy);
        };
        let to = self.root().join(below);
        let same = |old: &Path| {
            let (Ok(old), Ok(new)) = (fs::symlink_metadata(old), fs::metadata(&copy.from)) else {
                return false;
            };
            old.is_file() && old.len() == new.len() && old.modified().ok() == new.modified().ok()
        };
        if same(&to) {
            return Ok(());
        }
        // The place of another file is taken by the copy below.
        let linked = same(&copy.to)
            && to
                .parent()
                .is_some_and(|dir| fs::create_dir_all(dir).is_ok())
            && fs::hard_link(&copy.to, &to).is_ok();
        if linked {
            return Ok(());
        }
        let from = copy.from.clone();
        write::copy(&Copy { from, to })
    }

    /// The run of rsync that brings the tree to the service node.
    ///
    /// # Errors
    /// [`BootError::Io`].
    pub fn run(&self) -> Result<Run, BootError> {
        let mut names = self.names()?;
        names.extend(self.sent()?);
        // What may arrive before the transfer breaks off is there too.
        write::replace(&self.dir.join("sent"), &joined(&names))?;
        let list = self.dir.join("list");
        write::replace(&list, &joined(&names))?;
        let mut arguments: Vec<OsString> = [
            "-aH",
            "--protect-args",
            "--no-implied-dirs",
            "--delete-missing-args",
            "--from0",
        ]
        .map(OsString::from)
        .to_vec();
        arguments.push(format!("--timeout={STALLED}").into());
        if std::env::var_os("RSYNC_RSH").is_none() {
            let shell = format!("--rsh=ssh -o BatchMode=yes -o ConnectTimeout={ANSWER}");
            arguments.push(shell.into());
        }
        let mut from = OsString::from("--files-from=");
        from.push(&list);
        arguments.push(from);
        arguments.push("--".into());
        let mut tree = self.root().into_os_string();
        tree.push("/");
        arguments.push(tree);
        arguments.push(format!("{}:{}/", self.host, self.tftpdir.display()).into());
        Ok(Run {
            host: self.host.clone(),
            arguments,
        })
    }

    /// Notes that the service node has the tree.
    ///
    /// # Errors
    /// [`BootError::Io`].
    pub fn arrived(&self) -> Result<(), BootError> {
        write::replace(&self.dir.join("sent"), &joined(&self.names()?))
    }

    fn names(&self) -> Result<BTreeSet<String>, BootError> {
        names_below(&self.root())
    }

    fn sent(&self) -> Result<BTreeSet<String>, BootError> {
        sent(&self.dir)
    }
}

/// The files and links of a tree, below tftpdir.
fn names_below(root: &Path) -> Result<BTreeSet<String>, BootError> {
    let mut names = BTreeSet::new();
    for entry in walkdir::WalkDir::new(root).follow_links(false) {
        let entry = match entry {
            Ok(entry) => entry,
            // Another command may remove one meanwhile, and a broken off one may have left no tree.
            Err(error)
                if error
                    .io_error()
                    .is_some_and(|e| e.kind() == io::ErrorKind::NotFound) =>
            {
                continue;
            }
            Err(error) => return Err(BootError::io(root, &error.into())),
        };
        let below = entry.path().strip_prefix(root).ok().and_then(Path::to_str);
        // What begins with a dot is the rest of a broken off write.
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        if let Some(below) = below.filter(|_| !entry.file_type().is_dir() && !hidden) {
            names.insert(below.to_owned());
        }
    }
    Ok(names)
}

/// The files that a service node got the last time, or may have got when that broke off.
fn sent(dir: &Path) -> Result<BTreeSet<String>, BootError> {
    let path = dir.join("sent");
    let bytes = match fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(BootError::io(path, &error)),
    };
    let text = String::from_utf8_lossy(&bytes);
    let names = text.split('\0').filter(|name| !name.is_empty());
    Ok(names.map(str::to_owned).collect())
}

fn joined(names: &BTreeSet<String>) -> Vec<u8> {
    let mut text = Vec::new();
    for name in names {
        text.extend_from_slice(name.as_bytes());
        text.push(0);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trees_name_tells_its_tftpdir() {
        for path in ["/tftpboot", "/srv/a%b", "/srv/=p=e%", "/a//b"] {
            let name = place(Path::new(path));
            assert!(!name.contains('/'), "{name}");
            assert_eq!(tftpdir_of(&name), Path::new(path));
        }
        assert_eq!(place(Path::new("/srv/tftp")), "%srv%tftp");
    }
}
