//! Boot files of nodes that a service node serves, where service nodes have a tftpdir of their own (`site.sharedtftp=0`).
//!
//! xCAT runs nodeset on every service node. Here the files of a service node's nodes are kept in a tree beside the tables, and
//! rsync brings that tree to the service node: it needs ssh and rsync there, nothing of this project. What is no longer in
//! the tree, and was brought there, is removed there; other files of the service node's tftpdir are left alone. After a
//! failure the next run brings what is missing.

use super::remote::Run;
use super::service;
use crate::bootconf::plan::{Copy, NodePlan};
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
        let place = tftpdir.display().to_string().replace('/', "%");
        let dir = state.join(DIR).join(host).join(place);
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
    pub fn apply(
        &self,
        plan: &NodePlan,
        copies: bool,
        known: &mut write::Names,
    ) -> Result<(), BootError> {
        if copies {
            for copy in &plan.copies {
                self.copy(copy)?;
            }
        }
        let moved = NodePlan {
            tftpdir: self.root(),
            ..plan.clone()
        };
        write::apply(&moved, known)
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

    /// The files and links of the tree, below tftpdir.
    fn names(&self) -> Result<BTreeSet<String>, BootError> {
        let root = self.root();
        let mut names = BTreeSet::new();
        for entry in walkdir::WalkDir::new(&root).follow_links(false) {
            let entry = entry.map_err(|e| BootError::io(&root, &e.into()))?;
            let below = entry.path().strip_prefix(&root).ok().and_then(Path::to_str);
            // What begins with a dot is the rest of a broken off write.
            let hidden = entry.file_name().to_string_lossy().starts_with('.');
            if let Some(below) = below.filter(|_| !entry.file_type().is_dir() && !hidden) {
                names.insert(below.to_owned());
            }
        }
        Ok(names)
    }

    /// The files that the service node got the last time.
    fn sent(&self) -> Result<BTreeSet<String>, BootError> {
        let path = self.dir.join("sent");
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
            Err(error) => return Err(BootError::io(path, &error)),
        };
        let text = String::from_utf8_lossy(&bytes);
        let names = text.split('\0').filter(|name| !name.is_empty());
        Ok(names.map(str::to_owned).collect())
    }
}

fn joined(names: &BTreeSet<String>) -> Vec<u8> {
    let mut text = Vec::new();
    for name in names {
        text.extend_from_slice(name.as_bytes());
        text.push(0);
    }
    text
}
