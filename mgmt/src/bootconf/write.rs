//! Files below tftpdir: each is written beside its place and renamed over it, so that a node that asks meanwhile gets the
//! old one or the new one, whole.

use super::BootError;
use super::loader::Alias;
use super::plan::{Copy, NodePlan};
use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// The names in the directories of aliases, each directory read once: thousands of nodes share one.
#[derive(Debug, Default)]
pub struct Names {
    dirs: HashMap<PathBuf, ByFile>,
}

/// The names in one directory by what they are names of: the inode, or the target of a link.
#[derive(Debug, Default)]
struct ByFile {
    inodes: HashMap<(u64, u64), Vec<PathBuf>>,
    targets: HashMap<PathBuf, Vec<PathBuf>>,
}

impl Names {
    /// The names a node's file had in a directory when it was first looked at.
    fn of(
        &mut self,
        dir: &Path,
        before: Option<(u64, u64)>,
        node: &str,
    ) -> io::Result<Vec<PathBuf>> {
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
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
            Err(error) => return Err(error),
        };
        for entry in entries {
            let path = entry?.path();
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

/// Carries out the plan of a node, but for its copies. `names` is kept from node to node.
///
/// # Errors
/// [`BootError::Io`]; the files that were not reached are as before.
pub fn apply(plan: &NodePlan, names: &mut Names) -> Result<(), BootError> {
    let first = plan.tftpdir.join(plan.loader.path(&plan.node, ""));
    let before = fs::symlink_metadata(&first)
        .ok()
        .map(|meta| (meta.dev(), meta.ino()));
    let old = old_names(plan, before, names)?;
    for (path, text) in &plan.files {
        replace(&plan.tftpdir.join(path), text.as_bytes())?;
    }
    let mut keep = BTreeSet::from([first.clone()]);
    for alias in &plan.aliases {
        let path = plan.tftpdir.join(alias.path());
        link(alias, &first, &path)?;
        keep.insert(path);
    }
    for path in old {
        if !keep.contains(&path) && is_alias(&path, before, &plan.node) {
            remove(&path)?;
        }
    }
    for alias in &plan.without {
        let path = plan.tftpdir.join(alias.path());
        if !matches!(alias, Alias::Shared(..)) && ours(alias, &path, before, &plan.node) {
            remove(&path)?;
        }
    }
    for suffix in plan.loader.suffixes {
        let path = plan.loader.path(&plan.node, suffix);
        if !plan.files.iter().any(|(written, _)| *written == path) {
            remove(&plan.tftpdir.join(path))?;
        }
    }
    Ok(())
}

/// Copies a kernel or initrd, unless the copy has its size and time already.
///
/// # Errors
/// [`BootError::Io`].
pub fn copy(copy: &Copy) -> Result<(), BootError> {
    let from = |e: io::Error| BootError::io(&copy.from, &e);
    let to = |e: io::Error| BootError::io(&copy.to, &e);
    let mut source = File::open(&copy.from).map_err(from)?;
    let meta = source.metadata().map_err(from)?;
    let same = |old: fs::Metadata| {
        old.is_file() && old.len() == meta.len() && old.modified().ok() == meta.modified().ok()
    };
    if fs::symlink_metadata(&copy.to).is_ok_and(same) {
        return Ok(());
    }
    put(&copy.to, |file| {
        io::copy(&mut source, file)?;
        if let Ok(time) = meta.modified() {
            file.set_modified(time)?;
        }
        Ok(())
    })
    .map_err(to)
}

/// The text of a node's first file, where it has one.
///
/// # Errors
/// [`BootError::Io`].
pub fn read_first(plan: &NodePlan) -> Result<Option<String>, BootError> {
    let path = plan.tftpdir.join(plan.loader.path(&plan.node, ""));
    match fs::read(&path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(BootError::io(path, &error)),
    }
}

/// Replaces a file, mode 0644, its directory made when missing.
///
/// # Errors
/// [`BootError::Io`].
pub fn replace(path: &Path, bytes: &[u8]) -> Result<(), BootError> {
    put(path, |file| file.write_all(bytes)).map_err(|e| BootError::io(path, &e))
}

fn put(path: &Path, fill: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    let beside = beside(path)?;
    let made = (|| {
        let mut file = File::create_new(&beside)?;
        fill(&mut file)?;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&beside, path)
    })();
    if made.is_err() {
        // The error that is reported is the first one; what is left over begins with a dot and is served to nobody.
        let _ = fs::remove_file(&beside);
    }
    made
}

/// A name beside the file that nobody else uses; its directory is made when missing.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    fs::create_dir_all(dir)?;
    let name = name.to_string_lossy();
    Ok(dir.join(format!(
        ".{name}.{}.{:08x}.new",
        std::process::id(),
        fastrand::u32(..)
    )))
}

fn link(alias: &Alias, first: &Path, path: &Path) -> Result<(), BootError> {
    let made = beside(path).and_then(|beside| {
        match alias {
            Alias::Hard(_) => fs::hard_link(first, &beside)?,
            Alias::Symbolic(_, target) | Alias::Loader(_, target) | Alias::Shared(_, target) => {
                std::os::unix::fs::symlink(target, &beside)?;
            }
        }
        let renamed = fs::rename(&beside, path);
        // Renaming over another name of the same file does nothing; then, and after a failure, it is still there.
        match fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => renamed,
        }
    });
    made.map_err(|e| BootError::io(path, &e))
}

/// Whether an alias is this node's: another name of the file it had, or a link to it.
fn ours(alias: &Alias, path: &Path, before: Option<(u64, u64)>, node: &str) -> bool {
    match alias {
        Alias::Loader(..) => true,
        _ => is_alias(path, before, node),
    }
}

fn is_alias(path: &Path, before: Option<(u64, u64)>, node: &str) -> bool {
    let Ok(meta) = fs::symlink_metadata(path) else {
        return false;
    };
    if meta.is_symlink() {
        return fs::read_link(path).is_ok_and(|target| target == Path::new(node));
    }
    meta.is_file() && before == Some((meta.dev(), meta.ino()))
}

/// The names that the node's file has now, also those of an address or MAC it no longer has.
fn old_names(
    plan: &NodePlan,
    before: Option<(u64, u64)>,
    names: &mut Names,
) -> Result<Vec<PathBuf>, BootError> {
    let mut old = Vec::new();
    for dir in plan.loader.alias_dirs {
        let dir = plan.tftpdir.join(dir);
        let found = names.of(&dir, before, &plan.node);
        old.extend(found.map_err(|e| BootError::io(dir, &e))?);
    }
    Ok(old)
}

fn remove(path: &Path) -> Result<(), BootError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BootError::io(path, &error)),
        _ => Ok(()),
    }
}
