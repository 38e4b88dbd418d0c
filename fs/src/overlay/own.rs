//! What in the store of a union is the node's own: files, whiteouts, and directories that were made, moved or hide something. Not
//! counted are directories that were copied up only to hold something, what rules inside decide, and attributes of directories.

use super::fds::DirFds;
use super::layer::{Layer, LayerDir, join};
use super::lower::{self, LowerHit, is_absent};
use super::store::{Store, WORK_NAME, XATTR_OPAQUE, XATTR_REDIRECT};
use crate::sys::stat::stat_at;
use crate::sys::{lease, xattr};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
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
        let is_dir = stat_at(fd, b"").is_ok_and(|stat| stat.is_dir());
        if !is_dir || is_marked(fd) {
            return true;
        }
        // The top may have been made because it is listed, and what leads to a listed path likewise.
        if !top && !self.leads_inside(path) && !self.covers_one(path) {
            return true;
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

/// Whether a directory of a store hides what is below it, or shows what was elsewhere.
fn is_marked(dir: &OwnedFd) -> bool {
    xattr::get(dir, b"", XATTR_OPAQUE).is_ok_and(|value| value == b"y")
        || xattr::get(dir, b"", XATTR_REDIRECT).is_ok()
}
