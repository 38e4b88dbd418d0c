//! Cleaning up.
//!
//! The demo's directory is removed when the demo ends, also after an error. A demo that was killed
//! leaves it, and the next one removes it: a locked file in it tells the living from the dead.

use crate::cli::daemon;
use crate::control::client;
use anyhow::{Context as _, bail};
use rustix::fs::FlockOperation;
use rustix::mount::{UnmountFlags, unmount};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// How the temporary directory's name begins.
pub const PREFIX: &str = "statelitefs-demo.";
/// The file whose lock says that a demo is running.
pub const LOCK: &str = "lock";

/// Where temporary directories are made.
pub fn base() -> PathBuf {
    let given = std::env::var_os("TMPDIR").map(PathBuf::from);
    let given = given.filter(|dir| dir.is_absolute() && dir.is_dir());
    let usual = ["/var/tmp", "/tmp"]
        .map(PathBuf::from)
        .into_iter()
        .find(|dir| dir.is_dir());
    let base = given.or(usual).unwrap_or_else(|| "/".into());
    // As the kernel's list of mounts names it.
    base.canonicalize().unwrap_or(base)
}

/// Removes what earlier demos left because they were killed.
pub fn sweep() {
    let Ok(entries) = std::fs::read_dir(base()) else {
        return;
    };
    for entry in entries.flatten() {
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        // Directories of root that nobody else can enter: not bait laid by somebody.
        let ours = entry
            .path()
            .symlink_metadata()
            .is_ok_and(|meta| meta.is_dir() && meta.uid() == 0 && meta.mode() & 0o777 == 0o700);
        if !named || !ours || is_alive(&entry.path()) {
            continue;
        }
        match clear(&entry.path()) {
            Ok(()) => eprintln!(
                "removed {}, left by a demo that was killed",
                entry.path().display()
            ),
            Err(e) => eprintln!("statelitefs: {e:#}"),
        }
    }
}

fn is_alive(root: &Path) -> bool {
    File::open(root.join(LOCK)).is_ok_and(|lock| {
        rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err()
    })
}

/// Unmounts everything in `root` and removes it. What cannot be unmounted is left alone.
///
/// # Errors
/// If something has to stay.
pub fn clear(root: &Path) -> anyhow::Result<()> {
    let mnt = root.join("mnt");
    for below in ["dev/pts", "dev", "proc"] {
        let _ = unmount(
            mnt.join(below),
            UnmountFlags::DETACH | UnmountFlags::NOFOLLOW,
        );
    }
    if client::mounts().is_ok_and(|all| all.contains(&mnt)) && daemon::umount(&mnt, false).is_err()
    {
        daemon::umount(&mnt, true)?;
    }
    // A dead daemon's mount is not in that list any more.
    let _ = unmount(&mnt, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW);
    // rmdir refuses a mount point: beyond this line there is none, and removal stays in `root`.
    match std::fs::remove_dir(&mnt) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            bail!("{} is still mounted and stays: {e}", mnt.display())
        }
        _ => {}
    }
    std::fs::remove_dir_all(root).with_context(|| root.display().to_string())
}
