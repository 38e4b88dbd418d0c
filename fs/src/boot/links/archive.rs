//! `cp -a`: trees with owners, modes, times, attributes and links.

use crate::overlay::copy::{Source, clone_attributes, copy_data};
use crate::sys::stat::{Stat, stat_at};
use rustix::fd::{AsFd as _, OwnedFd};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

/// One `cp -a`. Names of one file that it copies are names of one file again, and what fails is left out.
#[derive(Debug, Default)]
pub struct Copy {
    /// Where the copy of a file with several names is, by device and inode.
    copied: HashMap<((u32, u32), u64), PathBuf>,
    failed: Vec<String>,
}

impl Copy {
    /// Copies `source` to `target`, which is overwritten if it is a file, and filled up if it is a directory.
    pub fn add(&mut self, source: &Path, target: &Path) {
        let opened = split(source).and_then(|from| Ok((from, split(target)?)));
        match opened {
            Ok(((from, name), (to, to_name))) => self.entry(&from, name, &to, to_name, target),
            Err(error) => self.failed.push(format!("{}: {error}", source.display())),
        }
    }

    /// Ends it.
    ///
    /// # Errors
    /// What could not be copied; of many the first few, and how many.
    pub fn end(self) -> io::Result<()> {
        const TOLD: usize = 3;
        if self.failed.is_empty() {
            return Ok(());
        }
        let told = self.failed.iter().take(TOLD).cloned();
        let more = self.failed.len().saturating_sub(TOLD);
        let more = (more > 0).then(|| format!("and {more} more"));
        let told: Vec<_> = told.chain(more).collect();
        Err(io::Error::other(told.join("; ")))
    }

    fn entry(&mut self, from: &OwnedFd, name: &[u8], to: &OwnedFd, to_name: &[u8], target: &Path) {
        let copied = stat_at(from, name).and_then(|stat| {
            let source = Source {
                dir: from.as_fd(),
                name,
            };
            if stat.is_dir() {
                self.directory(&source, to, to_name, target)?;
            } else if !self.file(&source, &stat, to, to_name, target)? {
                return Ok(());
            }
            clone_attributes(&source, to.as_fd(), to_name, &stat)
        });
        if let Err(error) = copied {
            self.failed.push(format!("{}: {error}", target.display()));
        }
    }

    fn directory(
        &mut self,
        source: &Source<'_>,
        to: &OwnedFd,
        to_name: &[u8],
        target: &Path,
    ) -> rustix::io::Result<()> {
        let below = open_dir(source.dir, source.name)?;
        match rustix::fs::mkdirat(to, to_name, Mode::RWXU) {
            Err(Errno::EXIST) if stat_at(to, to_name).is_ok_and(|found| found.is_dir()) => {}
            other => other?,
        }
        let into = open_dir(to, to_name)?;
        for found in crate::sys::dir::read(&below)? {
            let target = target.join(OsStr::from_bytes(&found.name));
            self.entry(&below, &found.name, &into, &found.name, &target);
        }
        Ok(())
    }

    /// False if it has become a further name of a file that is copied already, attributes and all.
    fn file(
        &mut self,
        source: &Source<'_>,
        stat: &Stat,
        to: &OwnedFd,
        to_name: &[u8],
        target: &Path,
    ) -> rustix::io::Result<bool> {
        match rustix::fs::unlinkat(to, to_name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
        if stat.nlink > 1 {
            let key = (stat.dev, stat.ino);
            if let Some(first) = self.copied.get(&key) {
                rustix::fs::linkat(CWD, first.as_path(), to, to_name, AtFlags::empty())?;
                return Ok(false);
            }
            content(source, stat, to, to_name)?;
            self.copied.insert(key, target.to_owned());
        } else {
            content(source, stat, to, to_name)?;
        }
        Ok(true)
    }
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

fn content(
    source: &Source<'_>,
    stat: &Stat,
    to: &OwnedFd,
    to_name: &[u8],
) -> rustix::io::Result<()> {
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
