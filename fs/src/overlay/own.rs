//! What in the store of a union is the node's own: files, whiteouts, and directories that were made, moved or hide something. Not
//! counted are directories that were copied up only to hold something, what was made because it is listed and is empty still, what
//! rules inside decide, and attributes of directories.

use super::fds::DirFds;
use super::layer::{Layer, LayerDir, join};
use super::lower::{self, LowerHit, is_absent};
use super::store::{Store, WORK_NAME, XATTR_LISTED, XATTR_OPAQUE, XATTR_ORIGIN, XATTR_REDIRECT};
use crate::sys::stat::stat_at;
use crate::sys::{Result, lease, xattr};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

/// Where to look.
#[derive(Debug)]
pub(super) struct Own<'a> {
    pub fds: &'a DirFds,
    pub store: &'a Store,
    /// What shows through, first match first.
    pub lowers: &'a [Arc<Layer>],
    /// Paths that rules of their own decide.
    pub inside: &'a [Vec<u8>],
}

impl Own<'_> {
    /// Whether there is anything at `path` or below it. What cannot be looked at counts.
    pub fn any(&self, path: &[u8]) -> bool {
        match self
            .store
            .layer
            .open_at(path, OFlags::PATH | OFlags::NOFOLLOW)
        {
            Ok(fd) => self.holds(&fd, path, true),
            Err(e) => !is_absent(e),
        }
    }

    fn holds(&self, fd: &OwnedFd, path: &[u8], top: bool) -> bool {
        let Ok(stat) = stat_at(fd, b"") else {
            return true;
        };
        if !stat.is_dir() {
            let untouched = stat.is_file() && stat.size == 0;
            return !(untouched && matches!(mark(fd, XATTR_LISTED), Ok(Some(_))));
        }
        match self.is_plain(fd, path, top) {
            Ok(true) => {}
            Ok(false) | Err(_) => return true,
        }
        let Ok(entries) = crate::sys::dir::read(fd.as_fd()) else {
            return true;
        };
        entries.iter().any(|entry| {
            let path = join(path, &entry.name);
            if path == WORK_NAME || self.inside.contains(&path) {
                return false;
            }
            match lease::openat(fd.as_fd(), &entry.name, OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(fd) => self.holds(&fd, &path, false),
                Err(e) => !is_absent(e),
            }
        })
    }

    /// Whether a directory only holds things.
    fn is_plain(&self, fd: &OwnedFd, path: &[u8], top: bool) -> Result<bool> {
        if mark(fd, XATTR_OPAQUE)?.is_some_and(|value| value == b"y") {
            return Ok(false);
        }
        // One that was moved and came back shows what it always has.
        let moved = |from: Vec<u8>| from.strip_prefix(b"/") != Some(path);
        if mark(fd, XATTR_REDIRECT)?.is_some_and(moved) {
            return Ok(false);
        }
        // Copied up, or made because of a rule; what is left to ask was copied up for a rule inside, or somebody has made it.
        Ok(mark(fd, XATTR_ORIGIN)?.is_some()
            || mark(fd, XATTR_LISTED)?.is_some()
            || top
            || self.leads_inside(path)
            || self.covers_one(path))
    }

    fn leads_inside(&self, path: &[u8]) -> bool {
        let below = |one: &[u8]| one.strip_prefix(path).is_some_and(|r| r.starts_with(b"/"));
        self.inside.iter().any(|one| below(one))
    }

    /// Whether a lower layer shows a directory at `path`.
    fn covers_one(&self, path: &[u8]) -> bool {
        let at = path.iter().rposition(|b| *b == b'/');
        let (above, name) = match at {
            Some(at) => (path.get(..at), path.get(at + 1..)),
            None => (Some(&b""[..]), Some(path)),
        };
        let (Some(above), Some(name)) = (above, name) else {
            return false;
        };
        let dirs: Vec<_> = self
            .lowers
            .iter()
            .map(|layer| LayerDir::transient(layer, above))
            .collect();
        matches!(
            lower::lookup(self.fds, &dirs, name),
            Ok(LowerHit::Dirs { .. })
        )
    }
}

/// An attribute of the union's own, if it is there.
fn mark(fd: &OwnedFd, key: &[u8]) -> Result<Option<Vec<u8>>> {
    match xattr::get(fd, b"", key) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(e) => Err(e),
    }
}
