//! Files below tftpdir: each is written beside its place and renamed over it, so that a node that asks meanwhile gets the
//! old one or the new one, whole.

use super::BootError;
use super::facts::KnownAs;
use super::loader::Alias;
use super::plan::{Copy, NodePlan};
use super::stale::{Names, Stale};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

/// Carries out the plan of a node, but for its copies, and removes what the node must not have: see [`super::stale`].
/// `names` is kept from node to node.
///
/// # Errors
/// [`BootError::Io`]; the files that were not reached are as before.
pub fn apply(plan: &NodePlan, names: &mut Names) -> Result<Stale, BootError> {
    let stale = Stale::of_plan(plan, names)?;
    let first = plan.tftpdir.join(plan.loader.path(&plan.node, ""));
    for (path, text) in &plan.files {
        replace(&plan.tftpdir.join(path), text.as_bytes())?;
    }
    for alias in &plan.aliases {
        link(alias, &first, &plan.tftpdir.join(alias.path()))?;
    }
    stale.remove.iter().try_for_each(|path| remove(path))?;
    Ok(stale)
}

/// Removes all that a node has below tftpdir: see [`Stale::of_gone`].
///
/// # Errors
/// [`BootError`]; the files that were not reached are as before.
pub fn clear(tftpdir: &Path, known_as: &KnownAs, names: &mut Names) -> Result<Stale, BootError> {
    let stale = Stale::of_gone(tftpdir, known_as, names)?;
    stale.remove.iter().try_for_each(|path| remove(path))?;
    Ok(stale)
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

fn remove(path: &Path) -> Result<(), BootError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(BootError::io(path, &error)),
        _ => Ok(()),
    }
}
