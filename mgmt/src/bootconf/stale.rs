//! What a node must not have below tftpdir: files and names of another loader or of an address it no longer has, and names
//! of its addresses that lead to another node's file. Firmware that asks for such a name would boot the node as it was, or as
//! the other one, which then has two machines writing to its persistent directory.
//!
//! Only what nodeset writes is touched: a file that does not begin with a state, and a link to anything but a node's file,
//! is somebody's own; it is named and stays.

use super::facts::KnownAs;
use super::loader::{Alias, LOADERS, Loader};
use super::plan::NodePlan;
use super::{BootError, names};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How much of a file is read to see its state, bytes.
const HEAD: u64 = 512;

/// A file's device and inode.
type Inode = (u64, u64);

/// The names in the directories of aliases, each directory read once: thousands of nodes share one.
#[derive(Debug, Default)]
pub struct Names {
    dirs: HashMap<PathBuf, ByFile>,
}

/// The names in one directory by what they are names of: the inode, or the target of a link.
#[derive(Debug, Default)]
struct ByFile {
    inodes: HashMap<Inode, Vec<PathBuf>>,
    targets: HashMap<PathBuf, Vec<PathBuf>>,
}

/// A name that led to another node's file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The name.
    pub path: PathBuf,
    /// The other node.
    pub from: String,
}

/// What a node must not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stale {
    /// What is removed.
    pub remove: BTreeSet<PathBuf>,
    /// Which names, removed or replaced, were another node's.
    pub taken: Vec<Taken>,
    /// What is not of nodeset and stays.
    pub foreign: BTreeSet<PathBuf>,
}

/// Whose a name is.
enum Holder {
    /// Nobody's: it is not there.
    Nobody,
    /// The node's own.
    Own,
    /// Another node's, by name where that can be told.
    Other(Option<String>),
    /// Not of nodeset.
    Foreign,
}

impl Stale {
    /// What is stale before this plan is carried out.
    ///
    /// # Errors
    /// [`BootError::Io`].
    pub fn of_plan(plan: &NodePlan, names: &mut Names) -> Result<Self, BootError> {
        Self::look(&plan.tftpdir, &plan.known_as, Some(plan), names)
    }

    /// Everything of a node that is to have nothing there, and every name of its addresses.
    ///
    /// # Errors
    /// [`BootError::Io`], and [`BootError::Name`] for a node that can have no files.
    pub fn of_gone(
        tftpdir: &Path,
        known_as: &KnownAs,
        names: &mut Names,
    ) -> Result<Self, BootError> {
        names::node(&known_as.node)?;
        Self::look(tftpdir, known_as, None, names)
    }

    fn look(
        tftpdir: &Path,
        known_as: &KnownAs,
        plan: Option<&NodePlan>,
        names: &mut Names,
    ) -> Result<Self, BootError> {
        let mut stale = Self::default();
        let files = plan.map(|plan| plan.files.as_slice()).unwrap_or_default();
        let aliases = plan.map(|plan| plan.aliases.as_slice()).unwrap_or_default();
        let mut kept: HashSet<PathBuf> = files.iter().map(|(path, _)| tftpdir.join(path)).collect();
        kept.extend(aliases.iter().map(|alias| tftpdir.join(alias.path())));
        for loader in LOADERS {
            let at = At {
                tftpdir,
                node: &known_as.node,
                loader,
                before: inode(&tftpdir.join(loader.path(&known_as.node, "")))?,
            };
            let current = plan.is_some_and(|plan| plan.loader.dir == loader.dir);
            at.files(current, &mut stale)?;
            at.own_names(names, &mut stale)?;
            at.claimed((loader.aliases)(known_as), &kept, &mut stale)?;
        }
        stale.remove.retain(|path| !kept.contains(path));
        stale.foreign.retain(|path| !kept.contains(path));
        stale.taken.sort_by(|a, b| a.path.cmp(&b.path));
        stale.taken.dedup();
        Ok(stale)
    }
}

/// A node's place with one loader.
struct At<'a> {
    tftpdir: &'a Path,
    node: &'a str,
    loader: &'static Loader,
    /// The first file it has there.
    before: Option<Inode>,
}

impl At<'_> {
    /// The node's files, also those of the loader it has now. Files of another loader go when they are of nodeset.
    fn files(&self, current: bool, stale: &mut Stale) -> Result<(), BootError> {
        let path = |suffix| self.tftpdir.join(self.loader.path(self.node, suffix));
        let first = path("");
        let there = look(&first)?;
        if !current && there.is_some() && !self.has_state(&first)? {
            stale.foreign.insert(first);
            return Ok(());
        }
        for path in self.loader.suffixes.iter().map(|suffix| path(suffix)) {
            if look(&path)?.is_some() {
                stale.remove.insert(path);
            }
        }
        Ok(())
    }

    /// The names that the node's file has now, also those of an address or MAC it no longer has.
    fn own_names(&self, names: &mut Names, stale: &mut Stale) -> Result<(), BootError> {
        for dir in self.loader.alias_dirs {
            let dir = self.tftpdir.join(dir);
            let found = names.of(&dir, self.before, self.node);
            for path in found.map_err(|e| BootError::io(&dir, &e))? {
                // The directory was read before: another command may have changed it, or this one for another node.
                if matches!(self.holder(&path)?, Holder::Own) {
                    stale.remove.insert(path);
                }
            }
        }
        Ok(())
    }

    /// The names that are the node's by its addresses, whoever has them.
    fn claimed(
        &self,
        aliases: Vec<Alias>,
        kept: &HashSet<PathBuf>,
        stale: &mut Stale,
    ) -> Result<(), BootError> {
        for alias in aliases {
            let path = self.tftpdir.join(alias.path());
            match alias {
                Alias::Shared(..) => {}
                Alias::Loader(..) => {
                    if look(&path)?.is_some_and(|meta| meta.is_symlink()) {
                        stale.remove.insert(path);
                    }
                }
                Alias::Hard(_) | Alias::Symbolic(..) => match self.holder(&path)? {
                    Holder::Nobody => {}
                    Holder::Own => drop(stale.remove.insert(path)),
                    Holder::Other(from) => {
                        let from = from.filter(|_| stale.remove.insert(path.clone()));
                        stale.taken.extend(from.map(|from| Taken { path, from }));
                    }
                    Holder::Foreign if kept.contains(&path) => {}
                    Holder::Foreign => drop(stale.foreign.insert(path)),
                },
            }
        }
        Ok(())
    }

    fn holder(&self, path: &Path) -> Result<Holder, BootError> {
        let Some(meta) = look(path)? else {
            return Ok(Holder::Nobody);
        };
        if meta.is_symlink() {
            let target = fs::read_link(path).map_err(|e| BootError::io(path, &e))?;
            let target = target.to_str().filter(|name| names::node(name).is_ok());
            return Ok(match target {
                Some(name) if name == self.node => Holder::Own,
                Some(name) => Holder::Other(Some(name.to_owned())),
                None => Holder::Foreign,
            });
        }
        let same = (meta.dev(), meta.ino());
        if meta.is_file() && self.before == Some(same) {
            return Ok(Holder::Own);
        }
        match self.has_state(path)? {
            true => Ok(Holder::Other(self.file_of(same)?)),
            false => Ok(Holder::Foreign),
        }
    }

    /// The node whose file this is.
    fn file_of(&self, wanted: Inode) -> Result<Option<String>, BootError> {
        let dir = self.tftpdir.join(self.loader.dir);
        let entries = match fs::read_dir(&dir) {
            Ok(entries) => entries,
            Err(error) if gone(&error) => return Ok(None),
            Err(error) => return Err(BootError::io(dir, &error)),
        };
        for entry in entries {
            let entry = entry.map_err(|e| BootError::io(&dir, &e))?;
            let name = entry.file_name().into_string().unwrap_or_default();
            if names::node(&name).is_ok() && inode(&entry.path())? == Some(wanted) {
                return Ok(Some(name));
            }
        }
        Ok(None)
    }

    /// Whether a file has a state where the loader's files have it.
    fn has_state(&self, path: &Path) -> Result<bool, BootError> {
        let io = |e: io::Error| BootError::io(path, &e);
        let file = match look(path)? {
            Some(meta) if meta.is_file() => File::open(path).map_err(io)?,
            _ => return Ok(false),
        };
        let mut head = Vec::new();
        file.take(HEAD).read_to_end(&mut head).map_err(io)?;
        let head = String::from_utf8_lossy(&head);
        let line = head.lines().nth(self.loader.state_line);
        let state = line.and_then(|line| line.strip_prefix('#'));
        Ok(state.is_some_and(|state| state.starts_with(|c: char| c.is_ascii_alphanumeric())))
    }
}

impl Names {
    /// The names a node's file had in a directory when it was first looked at.
    fn of(&mut self, dir: &Path, before: Option<Inode>, node: &str) -> io::Result<Vec<PathBuf>> {
        if !self.dirs.contains_key(dir) {
            self.dirs.insert(dir.to_owned(), ByFile::read(dir)?);
        }
        let known = self.dirs.get(dir);
        let hard = before.and_then(|inode| known?.inodes.get(&inode));
        let links = known.and_then(|known| known.targets.get(Path::new(node)));
        Ok(hard.into_iter().chain(links).flatten().cloned().collect())
    }
}

impl ByFile {
    fn read(dir: &Path) -> io::Result<Self> {
        let mut found = Self::default();
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(error) if gone(&error) => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let entry = entry?;
            // Only what firmware asks for; among other files there may be links of somebody else.
            if !entry.file_name().to_str().is_some_and(names::alias) {
                continue;
            }
            let path = entry.path();
            // What another command removes meanwhile needs no more care.
            let Ok(meta) = fs::symlink_metadata(&path) else {
                continue;
            };
            if meta.is_symlink() {
                if let Ok(target) = fs::read_link(&path) {
                    found.targets.entry(target).or_default().push(path);
                }
            } else if meta.is_file() && meta.nlink() > 1 {
                let inode = (meta.dev(), meta.ino());
                found.inodes.entry(inode).or_default().push(path);
            }
        }
        Ok(found)
    }
}

fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
    )
}

fn look(path: &Path) -> Result<Option<Metadata>, BootError> {
    match fs::symlink_metadata(path) {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if gone(&error) => Ok(None),
        Err(error) => Err(BootError::io(path, &error)),
    }
}

fn inode(path: &Path) -> Result<Option<Inode>, BootError> {
    let meta = look(path)?.filter(Metadata::is_file);
    Ok(meta.map(|meta| (meta.dev(), meta.ino())))
}
