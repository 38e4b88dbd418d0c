//! Reaching what only takes a path (xattrs, reopening) through descriptors.
//!
//! The daemon's working directory is `/proc/self/fd`, entered once at the start. `N/name` then
//! means "entry `name` of directory descriptor N", whatever happens to `/proc` or to the root
//! directory later, and no path is ever resolved through the daemon's own mount.

use super::Result;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};

/// Makes `/proc/self/fd` the working directory. Call after the last `fork`.
///
/// # Errors
/// `ENOENT` when `/proc` is not mounted.
pub fn enter() -> Result<()> {
    rustix::process::chdir(c"/proc/self/fd")
}

/// Relative path of entry `name` in directory `dir`; of `dir` itself if `name` is empty.
pub fn entry(dir: impl AsFd, name: &[u8]) -> Vec<u8> {
    use std::io::Write as _;
    let mut path = Vec::with_capacity(name.len() + 12);
    // Writing to a Vec cannot fail.
    let _ = write!(path, "{}", dir.as_fd().as_raw_fd());
    if !name.is_empty() {
        path.push(b'/');
        path.extend_from_slice(name);
    }
    path
}

/// Opens again what `fd` (maybe `O_PATH`) refers to, with new flags.
///
/// # Errors
/// As `open(2)` on that file.
pub fn reopen(fd: impl AsFd, flags: OFlags) -> Result<OwnedFd> {
    let path = entry(&fd, b"");
    super::lease::kept(&fd, || {
        rustix::fs::openat(CWD, &*path, flags | OFlags::CLOEXEC, Mode::empty())
    })
}
