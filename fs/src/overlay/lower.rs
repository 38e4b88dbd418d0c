//! The read-only part of a merge: several layer directories seen as one.
//!
//! First match wins; directories merge until a layer has something else under the name. A
//! whiteout (character device 0:0) or an opaque directory in any layer ends the search, as in
//! overlayfs.

use super::fds::{DirFds, FdKey};
use super::layer::{LayerDir, TRANSIENT};
use super::metrics::count;
use crate::sys::Result;
use crate::sys::stat::{Stat, stat_at};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

/// What a name is in merged read-only directories.
#[derive(Debug)]
pub enum LowerHit {
    /// Not there.
    None,
    /// A file (anything but a directory) of one layer.
    File {
        /// The layer directory that has it.
        dir: Arc<LayerDir>,
        /// What it is.
        stat: Stat,
    },
    /// A directory, merged from these.
    Dirs {
        /// The directories, first match first.
        dirs: Vec<Arc<LayerDir>>,
        /// The first, whose attributes are shown.
        stat: Stat,
        /// The last, whose identity is shown: the image is the most stable layer.
        identity: u64,
    },
}

/// Descriptor of a layer directory, from the cache.
///
/// # Errors
/// `ENOENT`, `ENOTDIR`, `ELOOP` if the layer has no such directory (any more).
pub fn open_dir(fds: &DirFds, dir: &LayerDir) -> Result<Arc<OwnedFd>> {
    let open = || {
        dir.layer
            .open_at(&dir.path, OFlags::PATH | OFlags::DIRECTORY)
    };
    if dir.id == TRANSIENT {
        return Ok(Arc::new(open()?));
    }
    fds.get(FdKey::Lower(dir.id), dir.layer.freshness.ttl(), open)
}

/// Whether the error means that there simply is no such file.
pub fn is_absent(e: Errno) -> bool {
    matches!(e, Errno::NOENT | Errno::NOTDIR | Errno::LOOP)
}

/// Whether `dir` has an entry `name`. What cannot be found out is no answer.
///
/// # Errors
/// I/O errors of the layer.
pub fn is_there(dir: impl AsFd, name: &[u8]) -> Result<bool> {
    match stat_at(dir, name) {
        Ok(_) => Ok(true),
        Err(e) if is_absent(e) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Stats `name` in `dir`; none if absent, or not to be shown.
///
/// # Errors
/// I/O errors of the layer.
pub fn stat_in(fds: &DirFds, dir: &LayerDir, name: &[u8]) -> Result<Option<Stat>> {
    let fd = match open_dir(fds, dir) {
        Ok(fd) => fd,
        Err(e) if is_absent(e) => return Ok(None),
        Err(e) => return Err(e),
    };
    if fds.names.lacks(dir, &*fd, name) {
        return Ok(None);
    }
    if dir.layer.hides(&dir.path, name) {
        return Ok(None);
    }
    count(&dir.layer.counters.lookups);
    match stat_at(&*fd, name) {
        Ok(st) => match dir.layer.is_liteimg_link((*fd).as_fd(), name, &st) {
            Ok(hidden) => Ok((!hidden).then_some(st)),
            // Replaced by something else a moment ago.
            Err(Errno::INVAL) => Ok(Some(st)),
            Err(e) if is_absent(e) => Ok(None),
            Err(e) => Err(e),
        },
        Err(e) if is_absent(e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Looks `name` up in `dirs`.
///
/// # Errors
/// I/O errors of a layer.
pub fn lookup(fds: &DirFds, dirs: &[Arc<LayerDir>], name: &[u8]) -> Result<LowerHit> {
    let mut found: Vec<Arc<LayerDir>> = Vec::new();
    let mut first: Option<Stat> = None;
    let mut identity = 0;
    for (at, dir) in dirs.iter().enumerate() {
        let Some(st) = stat_in(fds, dir, name)? else {
            continue;
        };
        if st.is_whiteout() {
            break;
        }
        if st.is_dir() {
            identity = dir.layer.identity(&st);
            found.push(dir.child(name));
            first.get_or_insert(st);
            if at + 1 < dirs.len() && super::upper::is_opaque(&*open_dir(fds, dir)?, name) {
                break;
            }
        } else if first.is_none() {
            return Ok(LowerHit::File {
                dir: Arc::clone(dir),
                stat: st,
            });
        } else {
            break;
        }
    }
    Ok(match first {
        Some(stat) => LowerHit::Dirs {
            dirs: found,
            stat,
            identity,
        },
        None => LowerHit::None,
    })
}

/// Opens file `name` of `dir`, which must still be the file `expect` describes.
///
/// # Errors
/// `ESTALE` if another file has taken the name.
pub fn open_file(fds: &DirFds, dir: &LayerDir, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let fd = open_dir(fds, dir)?;
    count(&dir.layer.counters.opens);
    dir.layer.open_entry((*fd).as_fd(), name, flags)
}

/// Whether some lower directory has `name`, i.e. removing it above needs a whiteout.
///
/// # Errors
/// I/O errors of a layer.
pub fn exists_below(fds: &DirFds, dirs: &[Arc<LayerDir>], name: &[u8]) -> Result<bool> {
    for dir in dirs {
        if let Some(st) = stat_in(fds, dir, name)? {
            return Ok(!st.is_whiteout());
        }
    }
    Ok(false)
}
