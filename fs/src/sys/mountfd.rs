//! Private, detached copies of mounts.
//!
//! A layer is reached through a clone of the one mount its directory is on. The clone shows
//! neither what is mounted below it (so the daemon cannot walk into its own mount) nor changes
//! when the layer's mount point is moved or lazily unmounted elsewhere.
#![allow(unsafe_code)]

use super::Result;
use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{OpenTreeFlags, open_tree};
use std::path::Path;

/// How a layer root was opened.
#[derive(Debug)]
pub struct Root {
    /// Descriptor of the root directory (`O_PATH`).
    pub fd: OwnedFd,
    /// True if `fd` is on a detached clone; false if cloning was not permitted.
    pub detached: bool,
}

/// Opens `dir` as a layer root, detached if the process may do so (`CAP_SYS_ADMIN`).
///
/// # Errors
/// Whatever opening the directory gives: `ENOENT`, `ENOTDIR`, `EACCES`, ...
pub fn open_root(dir: &Path, read_only: bool) -> Result<Root> {
    open(dir, read_only, false)
}

/// The same, read-only and with everything that is mounted below `dir`.
///
/// # Errors
/// As [`open_root`].
pub fn open_root_with_mounts(dir: &Path) -> Result<Root> {
    open(dir, true, true)
}

fn open(dir: &Path, read_only: bool, recursive: bool) -> Result<Root> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
    match open_tree(CWD, dir, flags) {
        Ok(tree) => {
            // A detached clone is not yet owned by a path; open "." to check it is a directory.
            let fd = rustix::fs::openat(
                &tree,
                c".",
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            if read_only {
                set_read_only(&tree, recursive)?;
            }
            drop(fd);
            Ok(Root {
                fd: tree,
                detached: true,
            })
        }
        Err(Errno::PERM | Errno::NOSYS | Errno::INVAL) => {
            let fd = rustix::fs::open(
                dir,
                OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
                Mode::empty(),
            )?;
            Ok(Root {
                fd,
                detached: false,
            })
        }
        Err(e) => Err(e),
    }
}

/// A tmpfs that is mounted nowhere, of at most `size` (as tmpfs's option takes it; all of RAM's
/// half if none).
///
/// # Errors
/// `EPERM` without `CAP_SYS_ADMIN`; `EINVAL` for a bad size.
pub fn tmpfs(size: Option<&str>) -> Result<OwnedFd> {
    use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags};
    let fs = rustix::mount::fsopen(c"tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(&fs, c"mode", c"0755")?;
    if let Some(size) = size {
        rustix::mount::fsconfig_set_string(&fs, c"size", size)?;
    }
    rustix::mount::fsconfig_create(&fs)?;
    rustix::mount::fsmount(&fs, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

/// Makes a detached mount (and those below it, if asked) read-only, so that not even a bug here can write to an image.
/// Also `noatime`: the time of last access shows as it was last heard of. An NFS 4 client would else ask the server for it
/// at the first `stat` after every read.
fn set_read_only(tree: impl AsFd, recursive: bool) -> Result<()> {
    let below = if recursive { libc::AT_RECURSIVE } else { 0 };
    let attr = libc::mount_attr {
        attr_set: libc::MOUNT_ATTR_RDONLY | libc::MOUNT_ATTR_NOATIME,
        attr_clr: libc::MOUNT_ATTR__ATIME,
        propagation: 0,
        userns_fd: 0,
    };
    // SAFETY: the path is a NUL-terminated literal, `attr` is a live mount_attr of the size
    // passed, and the descriptor outlives the call.
    let r = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_fd().as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | below,
            &attr,
            std::mem::size_of::<libc::mount_attr>(),
        )
    };
    if r == 0 {
        return Ok(());
    }
    match Errno::from_io_error(&std::io::Error::last_os_error()) {
        // Kernels before 5.12 have no mount_setattr; the layer is still only read by us.
        Some(Errno::NOSYS) | None => Ok(()),
        Some(e) => Err(e),
    }
}
