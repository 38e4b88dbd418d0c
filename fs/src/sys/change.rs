//! Changes of names, each made once although it may be asked for twice.
//!
//! What a server was asked for when it went may have been done or not when the client gives it up ([`super::lease`]). So it
//! is asked for again. That it cannot be done any more, since the name is there that was to be made or is gone that was to
//! go, is the answer of success then, and only after an `EIO`: a store is its node's own, and while the node's kernel waits for
//! a change of a directory it asks for no other in it. (What the daemon makes of its own accord there, parents of a listed path, is
//! taken as it is found.)
//!
//! What a server cannot do (whiteouts, exchanging names) is not here.

use super::stat::{stat_at, stat_fresh};
use super::{Result, lease};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Timespec, Timestamps, UTIME_NOW};
use rustix::io::Errno;

/// Makes a file that is not there, and opens it; close-on-exec.
///
/// # Errors
/// As `openat(2)` with `O_CREAT` and `O_EXCL`.
pub fn create(dir: impl AsFd, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let dir = dir.as_fd();
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut before = false;
    lease::kept(dir, || {
        let make = flags | OFlags::CREATE | OFlags::EXCL;
        match rustix::fs::openat(dir, name, make, mode) {
            Err(Errno::EXIST) if before => made_before(dir, name, flags, mode),
            made => {
                before = true;
                made
            }
        }
    })
}

/// The file that an open made which was given up: nobody has written to it or linked it since. Its mode and times may have
/// been to follow.
fn made_before(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let opened = rustix::fs::openat(dir, name, flags | OFlags::NONBLOCK, Mode::empty());
    let file = opened.map_err(|e| match e {
        // Something else, or gone again.
        Errno::ISDIR | Errno::LOOP | Errno::NXIO | Errno::ACCESS | Errno::NOENT => Errno::EXIST,
        e => e,
    })?;
    let stat = super::stat::stat_fd(&file)?;
    if !stat.is_file() || stat.size != 0 || stat.nlink != 1 {
        return Err(Errno::EXIST);
    }
    // With a default ACL the directory has made the mode.
    if super::xattr::get(dir, b"", b"system.posix_acl_default").is_err() {
        rustix::fs::fchmod(&file, mode)?;
    }
    let now = Timespec {
        tv_sec: 0,
        tv_nsec: UTIME_NOW,
    };
    let times = Timestamps {
        last_access: now,
        last_modification: now,
    };
    rustix::fs::futimens(&file, &times)?;
    Ok(file)
}

/// Makes a directory.
///
/// # Errors
/// As `mkdirat(2)`.
pub fn mkdir(dir: impl AsFd, name: &[u8], mode: Mode) -> Result<()> {
    once(&dir, Errno::EXIST, || rustix::fs::mkdirat(&dir, name, mode))
}

/// Makes a fifo, socket or device.
///
/// # Errors
/// As `mknodat(2)`.
pub fn mknod(dir: impl AsFd, name: &[u8], kind: FileType, mode: Mode, rdev: u64) -> Result<()> {
    once(&dir, Errno::EXIST, || {
        rustix::fs::mknodat(&dir, name, kind, mode, rdev)
    })
}

/// Makes a symlink.
///
/// # Errors
/// As `symlinkat(2)`.
pub fn symlink(target: &[u8], dir: impl AsFd, name: &[u8]) -> Result<()> {
    once(&dir, Errno::EXIST, || {
        rustix::fs::symlinkat(target, &dir, name)
    })
}

/// Gives a file another name.
///
/// # Errors
/// As `linkat(2)`.
pub fn link(from: impl AsFd, from_name: &[u8], to: impl AsFd, to_name: &[u8]) -> Result<()> {
    once(&to, Errno::EXIST, || {
        rustix::fs::linkat(&from, from_name, &to, to_name, AtFlags::empty())
    })
}

/// Renames, over what is there.
///
/// # Errors
/// As `renameat(2)`.
pub fn rename(from: impl AsFd, from_name: &[u8], to: impl AsFd, to_name: &[u8]) -> Result<()> {
    let mut before = false;
    lease::kept(&to, || {
        match rustix::fs::renameat(&from, from_name, &to, to_name) {
            // The client has learnt nothing of the first try, and may yet take the new name for absent.
            Err(Errno::NOENT) if before => {
                stat_fresh(&to)?;
                stat_at(&to, to_name).map(drop)
            }
            renamed => {
                before = true;
                renamed
            }
        }
    })
}

/// Removes a name; with `AT_REMOVEDIR` an empty directory.
///
/// # Errors
/// As `unlinkat(2)`.
pub fn unlink(dir: impl AsFd, name: &[u8], flags: AtFlags) -> Result<()> {
    once(&dir, Errno::NOENT, || {
        rustix::fs::unlinkat(&dir, name, flags)
    })
}

/// Calls `change` until it is done; `done` is what it says when it had been done before.
pub(super) fn once(
    dir: impl AsFd,
    done: Errno,
    mut change: impl FnMut() -> Result<()>,
) -> Result<()> {
    let mut before = false;
    lease::kept(dir, || match change() {
        Err(e) if e == done && before => Ok(()),
        other => {
            before = true;
            other
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Here nothing is asked for twice, so what is there already is an error as ever.
    #[test]
    fn without_a_server_changes_are_the_kernels() {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        let mode = Mode::from_raw_mode(0o700);
        create(&fd, b"f", OFlags::WRONLY, mode).unwrap();
        let again = create(&fd, b"f", OFlags::WRONLY, mode);
        assert_eq!(again.unwrap_err(), Errno::EXIST);
        mkdir(&fd, b"d", mode).unwrap();
        assert_eq!(mkdir(&fd, b"d", mode), Err(Errno::EXIST));
        symlink(b"f", &fd, b"l").unwrap();
        assert_eq!(symlink(b"f", &fd, b"l"), Err(Errno::EXIST));
        link(&fd, b"f", &fd, b"second").unwrap();
        assert_eq!(link(&fd, b"f", &fd, b"second"), Err(Errno::EXIST));
        rename(&fd, b"second", &fd, b"d/third").unwrap();
        assert_eq!(rename(&fd, b"second", &fd, b"x"), Err(Errno::NOENT));
        unlink(&fd, b"f", AtFlags::empty()).unwrap();
        assert_eq!(unlink(&fd, b"f", AtFlags::empty()), Err(Errno::NOENT));
    }

    #[test]
    fn only_a_file_as_it_was_made_is_taken_for_it() {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        let mode = Mode::from_raw_mode(0o640);
        let take = |name: &[u8]| made_before(fd.as_fd(), name, OFlags::RDWR, mode).map(drop);
        drop(create(&fd, b"empty", OFlags::WRONLY, Mode::empty()).unwrap());
        assert_eq!(take(b"empty"), Ok(()));
        let found = stat_at(&fd, b"empty").unwrap();
        assert_eq!(found.perm, 0o640);
        std::fs::write(dir.path().join("written"), "x").unwrap();
        assert_eq!(take(b"written"), Err(Errno::EXIST));
        std::fs::hard_link(dir.path().join("empty"), dir.path().join("linked")).unwrap();
        assert_eq!(take(b"empty"), Err(Errno::EXIST));
        mkdir(&fd, b"d", mode).unwrap();
        assert_eq!(take(b"d"), Err(Errno::EXIST));
    }
}
