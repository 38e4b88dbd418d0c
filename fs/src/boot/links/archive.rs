//! `cp -a`: a tree with owners, modes, times, attributes and links.

use crate::overlay::copy::{Source, clone_attributes, copy_data};
use crate::sys::stat::{Stat, stat_at};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Copies `source` to `target`, which is overwritten if it is a file, and filled up if it is a directory.
///
/// # Errors
/// As the system calls behind it; what was copied until then stays.
pub fn copy(source: &Path, target: &Path) -> io::Result<()> {
    let (from_dir, from_name) = split(source)?;
    let (to_dir, to_name) = split(target)?;
    entry(&from_dir, from_name, &to_dir, to_name).map_err(Into::into)
}

fn split(path: &Path) -> io::Result<(OwnedFd, &[u8])> {
    let name = path.file_name().ok_or(Errno::INVAL)?.as_bytes();
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    Ok((open_dir(CWD, dir.unwrap_or(Path::new(".")))?, name))
}

fn open_dir(
    at: impl rustix::fd::AsFd,
    path: impl rustix::path::Arg,
) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(at, path, flags, Mode::empty())
}

fn entry(from: &OwnedFd, name: &[u8], to: &OwnedFd, to_name: &[u8]) -> rustix::io::Result<()> {
    let stat = stat_at(from, name)?;
    let source = Source {
        dir: from.as_fd(),
        name,
    };
    if stat.is_dir() {
        match rustix::fs::mkdirat(to, to_name, Mode::RWXU) {
            Err(Errno::EXIST) if stat_at(to, to_name).is_ok_and(|found| found.is_dir()) => {}
            other => other?,
        }
        let (below, into) = (open_dir(from, name)?, open_dir(to, to_name)?);
        for found in crate::sys::dir::read(&below)? {
            entry(&below, &found.name, &into, &found.name)?;
        }
    } else {
        file(&source, &stat, to, to_name)?;
    }
    clone_attributes(&source, to.as_fd(), to_name, &stat)
}

fn file(source: &Source<'_>, stat: &Stat, to: &OwnedFd, to_name: &[u8]) -> rustix::io::Result<()> {
    match rustix::fs::unlinkat(to, to_name, rustix::fs::AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error),
    }
    match stat.kind {
        FileType::RegularFile => {
            let read = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let content = rustix::fs::openat(source.dir, source.name, read, Mode::empty())?;
            let write = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            let made = rustix::fs::openat(to, to_name, write, Mode::RUSR | Mode::WUSR)?;
            copy_data(&content, &made, stat.size).map(drop)
        }
        FileType::Symlink => {
            let text = rustix::fs::readlinkat(source.dir, source.name, Vec::new())?;
            rustix::fs::symlinkat(text, to, to_name)
        }
        kind => rustix::fs::mknodat(to, to_name, kind, Mode::RUSR | Mode::WUSR, stat.rdev),
    }
}
