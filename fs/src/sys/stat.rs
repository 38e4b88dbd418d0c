//! `statx(2)` results in the form the merged view works with.

use super::Result;
use rustix::fd::AsFd;
use rustix::fs::{AtFlags, FileType, StatxFlags};

/// A point in time: seconds and nanoseconds since the epoch; seconds may be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Whole seconds since the epoch, rounded down.
    pub sec: i64,
    /// Nanoseconds after `sec`.
    pub nsec: u32,
}

/// What `stat` knows about a file of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Stat {
    /// File type.
    pub kind: FileType,
    /// Permission bits with suid, sgid and sticky.
    pub perm: u16,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Inode number in its own file system.
    pub ino: u64,
    /// Device the inode is on, as (major, minor).
    pub dev: (u32, u32),
    /// Device number of a device node, encoded as `dev_t`.
    pub rdev: u64,
    /// Hard links.
    pub nlink: u32,
    /// Bytes.
    pub size: u64,
    /// 512-byte blocks in use.
    pub blocks: u64,
    /// Preferred I/O size in bytes.
    pub blksize: u32,
    /// Last access.
    pub atime: Time,
    /// Last change of content.
    pub mtime: Time,
    /// Last change of the inode.
    pub ctime: Time,
}

impl Stat {
    /// True for a character device 0:0, which stands for a deleted name in a union.
    pub fn is_whiteout(&self) -> bool {
        self.kind == FileType::CharacterDevice && self.rdev == 0
    }

    /// True for a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// True for a regular file.
    pub fn is_file(&self) -> bool {
        self.kind == FileType::RegularFile
    }
}

/// Stats entry `name` of `dir` without following a symlink; `dir` itself if `name` is empty.
///
/// # Errors
/// As `statx(2)`.
pub fn stat_at(dir: impl AsFd, name: &[u8]) -> Result<Stat> {
    stat_with(dir, name, AtFlags::empty())
}

fn stat_with(dir: impl AsFd, name: &[u8], more: AtFlags) -> Result<Stat> {
    let mut flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT | more;
    if name.is_empty() {
        flags |= AtFlags::EMPTY_PATH;
    }
    let x = super::lease::kept(&dir, || {
        rustix::fs::statx(&dir, name, flags, StatxFlags::BASIC_STATS)
    })?;
    let time = |t: rustix::fs::StatxTimestamp| Time {
        sec: t.tv_sec,
        nsec: t.tv_nsec,
    };
    Ok(Stat {
        kind: FileType::from_raw_mode(x.stx_mode.into()),
        perm: x.stx_mode & 0o7777,
        uid: x.stx_uid,
        gid: x.stx_gid,
        ino: x.stx_ino,
        dev: (x.stx_dev_major, x.stx_dev_minor),
        rdev: rustix::fs::makedev(x.stx_rdev_major, x.stx_rdev_minor),
        nlink: x.stx_nlink,
        size: x.stx_size,
        blocks: x.stx_blocks,
        blksize: x.stx_blksize,
        atime: time(x.stx_atime),
        mtime: time(x.stx_mtime),
        ctime: time(x.stx_ctime),
    })
}

/// Stats what a descriptor refers to; a network file system asks its server, whatever it knows.
///
/// # Errors
/// As `statx(2)`.
pub fn stat_fresh(fd: impl AsFd) -> Result<Stat> {
    stat_with(fd, b"", AtFlags::STATX_FORCE_SYNC)
}

/// Stats what a descriptor refers to.
///
/// # Errors
/// As `statx(2)`.
pub fn stat_fd(fd: impl AsFd) -> Result<Stat> {
    stat_at(fd, b"")
}
