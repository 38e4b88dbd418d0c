//! A mount table of one's own.
#![allow(unsafe_code)]

use super::Result;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// The mount table that this process has now, to come back to.
///
/// # Errors
/// `ENOENT` when `/proc` is not mounted.
pub fn current() -> Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::CLOEXEC;
    rustix::fs::open("/proc/self/ns/mnt", flags, Mode::empty())
}

/// Takes a copy of the mount table; changes there no longer show here, nor the other way round.
/// Call before there are further threads.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn own() -> Result<()> {
    // SAFETY: only mount table and working directory are separated, not the descriptors, of
    // which Rust's I/O safety speaks.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS) }?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private)
}

/// Runs `work` in another mount table, on a thread of its own; this process stays in its own.
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`.
pub fn inside<R: Send>(table: impl AsFd + Sync, work: impl FnOnce() -> R + Send) -> Result<R> {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            // SAFETY: the thread gets a working directory of its own; descriptors stay shared.
            unsafe { unshare_unsafe(UnshareFlags::FS) }?;
            move_into_link_name_space(table.as_fd(), Some(LinkNameSpaceType::Mount))?;
            Ok(work())
        });
        thread.join().unwrap_or(Err(rustix::io::Errno::IO))
    })
}
