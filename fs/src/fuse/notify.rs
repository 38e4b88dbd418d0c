//! Telling the kernel what to forget.
//!
//! Invalidating a name makes the kernel detach whatever is mounted on it or below. On a root file
//! system that would take `/proc` away, so names on the way to a mount point are only marked as
//! expired: the kernel asks again at their next use and keeps the mount.

use crate::overlay::reload::{Dropped, Invalidate};
use fuser::{INodeNo, Notifier};
use rustix::fd::{AsFd, OwnedFd};
use std::ffi::OsStr;
use std::io::IoSlice;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// `FUSE_NOTIFY_INVAL_ENTRY`.
const INVAL_ENTRY: i32 = 3;
/// `FUSE_EXPIRE_ONLY` (kernel 6.2).
const EXPIRE_ONLY: u32 = 1;

/// The kernel's end of the session.
#[derive(Debug)]
pub struct Kernel {
    notifier: Notifier,
    device: OwnedFd,
    mountpoint: PathBuf,
}

/// What one reload tells the kernel.
#[derive(Debug)]
pub struct Round<'a> {
    kernel: &'a Kernel,
    /// Paths in the view that something is mounted on.
    mounts: Vec<Vec<u8>>,
}

impl Kernel {
    /// For the session on `device`, mounted at `mountpoint`.
    ///
    /// # Errors
    /// As `dup(2)`.
    pub fn new(
        notifier: Notifier,
        device: impl AsFd,
        mountpoint: &Path,
    ) -> std::io::Result<Kernel> {
        Ok(Kernel {
            notifier,
            device: device.as_fd().try_clone_to_owned()?,
            mountpoint: mountpoint.to_owned(),
        })
    }

    /// Begins a round of invalidations.
    pub fn round(&self) -> Round<'_> {
        let mut mounts = Vec::new();
        // The node's mounts are those of its first process; the daemon may have its own.
        for table in ["/proc/1/mountinfo", "/proc/self/mountinfo"] {
            let text = std::fs::read_to_string(table).unwrap_or_default();
            mounts.extend(mounts_below(&text, &self.mountpoint));
        }
        Round {
            kernel: self,
            mounts,
        }
    }

    /// Marks a name as expired.
    fn expire(&self, parent: u64, name: &[u8]) {
        let Ok(len) = u32::try_from(name.len()) else {
            return;
        };
        let mut body = Vec::with_capacity(16 + name.len() + 1);
        body.extend_from_slice(&parent.to_ne_bytes());
        body.extend_from_slice(&len.to_ne_bytes());
        body.extend_from_slice(&EXPIRE_ONLY.to_ne_bytes());
        body.extend_from_slice(name);
        body.push(0);
        self.send(INVAL_ENTRY, &body);
    }

    /// Writes one notification: a `fuse_out_header` with the code in place of the error.
    fn send(&self, code: i32, body: &[u8]) {
        let Ok(len) = u32::try_from(16 + body.len()) else {
            return;
        };
        let mut header = [0; 16];
        for (to, from) in header
            .iter_mut()
            .zip(len.to_ne_bytes().into_iter().chain(code.to_ne_bytes()))
        {
            *to = from;
        }
        if let Err(e) =
            rustix::io::writev(&self.device, &[IoSlice::new(&header), IoSlice::new(body)])
        {
            tracing::debug!("notification {code}: {e}");
        }
    }
}

impl Invalidate for Round<'_> {
    fn entry(&self, parent: u64, name: &[u8], path: &[u8]) -> Dropped {
        if self.mounts.iter().any(|mount| is_at_or_below(mount, path)) {
            self.kernel.expire(parent, name);
            return Dropped::NameOnly;
        }
        let name = OsStr::from_bytes(name);
        if let Err(e) = self.kernel.notifier.inval_entry(INodeNo(parent), name) {
            tracing::debug!("invalidation of a name: {e}");
        }
        Dropped::All
    }

    fn inode(&self, ino: u64) {
        if let Err(e) = self.kernel.notifier.inval_inode(INodeNo(ino), 0, 0) {
            tracing::debug!("invalidation of an inode: {e}");
        }
    }
}

/// Whether `path` is `dir` or lies in it; both without leading slash.
fn is_at_or_below(path: &[u8], dir: &[u8]) -> bool {
    match path.strip_prefix(dir) {
        Some(rest) => dir.is_empty() || rest.is_empty() || rest.starts_with(b"/"),
        None => false,
    }
}

/// Mount points strictly below `root` in the text of a mountinfo file, relative to it.
fn mounts_below(text: &str, root: &Path) -> Vec<Vec<u8>> {
    text.lines()
        .filter_map(|line| line.split(' ').nth(4))
        .filter_map(|path| {
            let path = PathBuf::from(crate::control::client::unescape(path));
            let inner = path.strip_prefix(root).ok()?;
            (!inner.as_os_str().is_empty()).then(|| inner.as_os_str().as_bytes().to_vec())
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_on_the_way_are_seen() {
        let text = "20 1 0:5 / /proc rw - proc proc rw\n21 1 0:6 / /mnt rw - fuse.statelitefs s rw\n\
            22 21 0:7 / /mnt/dev/pts rw - devpts d rw\n";
        let mounts = mounts_below(text, Path::new("/mnt"));
        assert_eq!(mounts, [b"dev/pts".to_vec()]);
        assert!(is_at_or_below(&mounts[0], b"dev"));
        assert!(is_at_or_below(&mounts[0], b"dev/pts"));
        assert!(!is_at_or_below(&mounts[0], b"de"));
        assert_eq!(mounts_below(text, Path::new("/")).len(), 3);
    }
}
