//! Whole trees: copied with everything that belongs to them, compared, removed. No link is followed.

use super::root::{Root, names};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Stat, Timespec, Timestamps, Uid, XattrFlags,
};
use rustix::io::Errno;
use std::collections::HashMap;
use std::ffi::CStr;
use std::io;

/// Bytes read at a time.
const BLOCK: usize = 256 * 1024;
/// Largest attribute and largest list of attributes the kernel has (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const XATTR_MAX: usize = 65536;

fn status(dir: impl AsFd, name: &[u8]) -> io::Result<Stat> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Opens a directory below another, if it is one.
fn enter(dir: impl AsFd, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?)
}

/// Opens a file for reading without changing its access time, where that is allowed.
fn open_file(dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(dir, name, flags, Mode::empty())?),
        result => Ok(result?),
    }
}

/// Sets owner and group of a name (of the descriptor itself, if the name is empty).
pub(crate) fn chown(dir: impl AsFd, name: &CStr, uid: u32, gid: u32) -> io::Result<()> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::EMPTY_PATH;
    let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
    Ok(rustix::fs::chownat(dir, name, Some(uid), Some(gid), flags)?)
}

/// A path by which the kernel reaches a name of an open directory.
fn proc_path(dir: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// The attributes of a name, sorted.
pub(in crate::image) fn xattrs(
    dir: BorrowedFd<'_>,
    name: &[u8],
) -> io::Result<Vec<(Vec<u8>, Vec<u8>)>> {
    let path = proc_path(dir, name);
    let mut list = vec![0; XATTR_MAX];
    let count = match rustix::fs::llistxattr(&*path, &mut list[..]) {
        Err(Errno::NOTSUP) => return Ok(Vec::new()),
        result => result?,
    };
    list.truncate(count);
    let mut attributes = Vec::new();
    for key in list.split(|byte| *byte == 0).filter(|key| !key.is_empty()) {
        let mut value = vec![0; XATTR_MAX];
        let count = rustix::fs::lgetxattr(&*path, key, &mut value[..])?;
        value.truncate(count);
        attributes.push((key.to_vec(), value));
    }
    attributes.sort();
    Ok(attributes)
}

/// Copies of one tree in progress.
#[derive(Debug)]
struct Copier<'r> {
    root: &'r Root,
    /// Where the copy is made.
    top: BorrowedFd<'r>,
    /// Where the first name of each file with several names went, below `top`.
    links: HashMap<(u64, u64), Vec<u8>>,
}

/// Copies `from` in one directory to `to` in another; nothing has that name yet.
///
/// # Errors
/// As reading and writing; a partial copy stays.
pub fn copy<'r>(
    root: &'r Root,
    from_dir: impl AsFd,
    from: &[u8],
    to_dir: &'r OwnedFd,
    to: &[u8],
) -> io::Result<()> {
    let top = to_dir.as_fd();
    let links = HashMap::new();
    let mut copier = Copier { root, top, links };
    copier.entry(from_dir.as_fd(), from, top, to, to)
}

impl Copier<'_> {
    fn entry(
        &mut self,
        from_dir: BorrowedFd<'_>,
        from: &[u8],
        to_dir: BorrowedFd<'_>,
        to: &[u8],
        path: &[u8],
    ) -> io::Result<()> {
        let stat = status(from_dir, from)?;
        let shared = stat.st_nlink > 1 && kind(&stat) != FileType::Directory;
        if shared && let Some(first) = self.links.get(&(stat.st_dev, stat.st_ino)) {
            self.root.tick()?;
            let flags = AtFlags::empty();
            return Ok(rustix::fs::linkat(self.top, &**first, to_dir, to, flags)?);
        }
        self.root.tick()?;
        match kind(&stat) {
            FileType::Directory => {
                rustix::fs::mkdirat(to_dir, to, Mode::RWXU)?;
                let (source, target) = (enter(from_dir, from)?, enter(to_dir, to)?);
                let mut inside = names(&source)?;
                inside.sort();
                for name in inside {
                    let path = [path, b"/", &name].concat();
                    self.entry(source.as_fd(), &name, target.as_fd(), &name, &path)?;
                }
            }
            FileType::RegularFile => content(from_dir, from, to_dir, to, &stat)?,
            FileType::Symlink => {
                let text = rustix::fs::readlinkat(from_dir, from, Vec::new())?;
                rustix::fs::symlinkat(text, to_dir, to)?;
            }
            other => {
                let mode = Mode::from_raw_mode(stat.st_mode);
                rustix::fs::mknodat(to_dir, to, other, mode, stat.st_rdev)?;
            }
        }
        self.root.tick()?;
        belongings(from_dir, from, to_dir, to, &stat)?;
        if shared {
            self.links.insert((stat.st_dev, stat.st_ino), path.to_vec());
        }
        Ok(())
    }
}

/// Copies owner, attributes, mode and times, in this order: a change of owner takes privileges away.
fn belongings(
    from_dir: BorrowedFd<'_>,
    from: &[u8],
    to_dir: BorrowedFd<'_>,
    to: &[u8],
    stat: &Stat,
) -> io::Result<()> {
    let made = status(to_dir, to)?;
    if (made.st_uid, made.st_gid) != (stat.st_uid, stat.st_gid) {
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
        rustix::fs::chownat(to_dir, to, Some(uid), Some(gid), flags)?;
    }
    let path = proc_path(to_dir, to);
    if kind(stat) != FileType::Symlink {
        rustix::fs::chmodat(
            to_dir,
            to,
            Mode::from_raw_mode(stat.st_mode & 0o7777),
            AtFlags::empty(),
        )?;
    }
    for (key, value) in xattrs(from_dir, from)? {
        rustix::fs::lsetxattr(&*path, &*key, &value, XattrFlags::empty())?;
    }
    let time = |seconds, nanos: u64| Timespec {
        tv_sec: seconds,
        tv_nsec: nanos.try_into().unwrap_or(0),
    };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    let flags = AtFlags::SYMLINK_NOFOLLOW;
    Ok(rustix::fs::utimensat(to_dir, to, &times, flags)?)
}

/// Copies what is in a file; holes stay holes.
fn content(
    from_dir: BorrowedFd<'_>,
    from: &[u8],
    to_dir: BorrowedFd<'_>,
    to: &[u8],
    stat: &Stat,
) -> io::Result<()> {
    let source = open_file(from_dir, from)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let target = rustix::fs::openat(to_dir, to, flags, Mode::RUSR | Mode::WUSR)?;
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    rustix::fs::ftruncate(&target, size)?;
    let mut buffer = vec![0; BLOCK];
    let mut offset = 0;
    while offset < size {
        let (data, hole) = match rustix::fs::seek(&source, SeekFrom::Data(offset)) {
            Ok(data) => (data, rustix::fs::seek(&source, SeekFrom::Hole(data))?),
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL) => (offset, size),
            Err(error) => return Err(error.into()),
        };
        offset = data;
        while offset < hole {
            let want = usize::try_from(hole - offset).map_or(BLOCK, |left| left.min(BLOCK));
            let part = buffer.get_mut(..want).unwrap_or_default();
            let got = rustix::io::pread(&source, part, offset)?;
            if got == 0 {
                return Ok(());
            }
            let mut rest = buffer.get(..got).unwrap_or_default();
            while !rest.is_empty() {
                let put = rustix::io::pwrite(&target, rest, offset)?;
                offset += put as u64;
                rest = rest.get(put..).unwrap_or_default();
            }
        }
    }
    Ok(())
}

/// Removes a tree.
///
/// # Errors
/// As removing; what is removed by then is gone.
pub fn remove(root: &Root, dir: impl AsFd, name: &[u8]) -> io::Result<()> {
    let dir = dir.as_fd();
    let directory = kind(&status(dir, name)?) == FileType::Directory;
    if directory {
        let inner = enter(dir, name)?;
        for inside in names(&inner)? {
            remove(root, &inner, &inside)?;
        }
    }
    root.tick()?;
    let flags = if directory {
        AtFlags::REMOVEDIR
    } else {
        AtFlags::empty()
    };
    Ok(rustix::fs::unlinkat(dir, name, flags)?)
}

/// Whether two trees are the same but for inode numbers; file content counts as the same when size and time are.
///
/// # Errors
/// As reading both.
pub fn same(
    one_dir: impl AsFd,
    one: &[u8],
    other_dir: impl AsFd,
    other: &[u8],
) -> io::Result<bool> {
    let (one_dir, other_dir) = (one_dir.as_fd(), other_dir.as_fd());
    let (a, b) = (status(one_dir, one)?, status(other_dir, other)?);
    let belongs = |s: &Stat| {
        (
            s.st_mode,
            s.st_uid,
            s.st_gid,
            s.st_rdev,
            s.st_mtime,
            s.st_mtime_nsec,
        )
    };
    if belongs(&a) != belongs(&b) || xattrs(one_dir, one)? != xattrs(other_dir, other)? {
        return Ok(false);
    }
    match kind(&a) {
        FileType::Symlink => {
            let text = |dir, name| rustix::fs::readlinkat(dir, name, Vec::new());
            Ok(text(one_dir, one)? == text(other_dir, other)?)
        }
        FileType::Directory => {
            let (one, other) = (enter(one_dir, one)?, enter(other_dir, other)?);
            let (mut inside, mut there) = (names(&one)?, names(&other)?);
            inside.sort();
            there.sort();
            if inside != there {
                return Ok(false);
            }
            for name in inside {
                if !same(&one, &name, &other, &name)? {
                    return Ok(false);
                }
            }
            Ok(true)
        }
        _ => Ok(a.st_size == b.st_size),
    }
}
