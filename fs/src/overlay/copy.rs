//! Copying objects whole: content with its holes, owner, mode, times and attributes.

use super::copyup::Amount;
use super::metrics::add;
use super::node::Version;
use super::store::{self, Store};
use crate::sys::stat::{Stat, Time, stat_fd};
use crate::sys::{Result, change, lease, xattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, SeekFrom, Timestamps, Uid};
use rustix::io::Errno;

/// A file to be copied: entry `name` of `dir`.
#[derive(Debug)]
pub(crate) struct Source<'a> {
    pub dir: BorrowedFd<'a>,
    pub name: &'a [u8],
}

/// Copies anything but a directory to `name` in `to`, with all its attributes.
pub(super) fn copy_object(
    to: BorrowedFd<'_>,
    name: &[u8],
    source: &Source<'_>,
    stat: &Stat,
    amount: Amount,
    store: &Store,
) -> Result<()> {
    match stat.kind {
        FileType::RegularFile => {
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK;
            let from = lease::openat(source.dir, source.name, flags)?;
            let now = stat_fd(&from)?;
            if !now.is_file() || amount == Amount::All && Version::of(&now) != Version::of(stat) {
                return Err(Errno::STALE);
            }
            let file = create_private(to, name)?;
            if amount == Amount::All {
                let copied = copy_data(&from, &file, now.size)?;
                if Version::of(&stat_fd(&from)?) != Version::of(&now) {
                    // Changed while it was copied: half old, half new.
                    return Err(Errno::STALE);
                }
                add(&store.layer.counters.copied_bytes, copied);
            }
            clone_attributes(source, to, name, stat)
        }
        FileType::Symlink => {
            let target = lease::readlinkat(source.dir, source.name)?;
            change::symlink(&target, to, name)?;
            clone_attributes(source, to, name, stat)
        }
        kind => {
            change::mknod(to, name, kind, Mode::from_raw_mode(0o600), stat.rdev)?;
            clone_attributes(source, to, name, stat)
        }
    }
}

pub(super) fn write_file(to: BorrowedFd<'_>, name: &[u8], data: &[u8], stat: &Stat) -> Result<()> {
    let file = create_private(to, name)?;
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        done += rustix::io::write(&file, rest)?;
    }
    set_attributes(to, name, stat)
}

fn create_private(to: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    change::create(to, name, OFlags::WRONLY, Mode::from_raw_mode(0o600))
}

/// Copies `size` bytes, holes as holes. Returns the bytes copied.
pub(crate) fn copy_data(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<u64> {
    let mut at = 0;
    let mut copied = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data to the end, or a file system without holes.
            Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start))
            .unwrap_or(size)
            .max(start);
        if end == start {
            break;
        }
        copy_extent(from, to, start, end)?;
        copied += end - start;
        at = end;
    }
    lease::kept(to, || rustix::fs::ftruncate(to, size))?;
    Ok(copied)
}

fn copy_extent(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<()> {
    const CHUNK: u64 = 1 << 20;
    let (mut source, mut target) = (start, start);
    let mut by_hand: Option<Vec<u8>> = None;
    while target < end {
        let want = (end - target).min(CHUNK * 16) as usize;
        if by_hand.is_none() {
            let copied = lease::kept(from, || {
                rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), want)
            });
            match copied {
                Ok(0) => return Ok(()),
                Ok(_) => continue,
                Err(Errno::INTR) => continue,
                Err(Errno::XDEV | Errno::NOSYS | Errno::OPNOTSUPP | Errno::INVAL | Errno::BADF) => {
                    by_hand = Some(vec![0; CHUNK as usize]);
                }
                Err(e) => return Err(e),
            }
        }
        if let Some(buf) = by_hand.as_mut() {
            let want = (end - target).min(CHUNK) as usize;
            let Some(buf) = buf.get_mut(..want) else {
                return Err(Errno::IO);
            };
            let got = lease::kept(from, || rustix::io::pread(from, &mut *buf, source))?;
            if got == 0 {
                return Ok(());
            }
            let mut done = 0;
            while let Some(rest) = buf.get(done..got).filter(|rest| !rest.is_empty()) {
                done += rustix::io::pwrite(to, rest, target + done as u64)?;
            }
            source += got as u64;
            target += got as u64;
        }
    }
    Ok(())
}

/// Copies attributes, leaving out the union's own and those the store cannot hold.
pub(super) fn copy_xattrs(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    to: BorrowedFd<'_>,
    to_name: &[u8],
) -> Result<()> {
    let names = match xattr::list(from, from_name) {
        Ok(names) => names,
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => return Ok(()),
        Err(e) => return Err(e),
    };
    for key in names.split(|b| *b == 0).filter(|key| !key.is_empty()) {
        if store::is_private_xattr(key) {
            continue;
        }
        let value = match xattr::get(from, from_name, key) {
            Ok(value) => value,
            Err(Errno::NODATA | Errno::OPNOTSUPP) => continue,
            Err(e) => return Err(e),
        };
        match xattr::set(to, to_name, key, &value, 0) {
            Ok(()) => {}
            Err(Errno::OPNOTSUPP) => tracing::debug!(
                "{} is not supported by the store and is left behind",
                String::from_utf8_lossy(key)
            ),
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Gives entry `name` of `to` the owner, attributes, mode and times of `source`. The owner comes
/// first, as changing it clears file capabilities and set-id bits.
pub(crate) fn clone_attributes(
    source: &Source<'_>,
    to: BorrowedFd<'_>,
    name: &[u8],
    stat: &Stat,
) -> Result<()> {
    set_owner(to, name, stat)?;
    copy_xattrs(source.dir, source.name, to, name)?;
    set_mode_and_times(to, name, stat)
}

/// Gives entry `name` of `dir` the owner, mode and times of `stat`.
pub(super) fn set_attributes(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Result<()> {
    set_owner(dir, name, stat)?;
    set_mode_and_times(dir, name, stat)
}

fn set_owner(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Result<()> {
    let (uid, gid) = (Uid::from_raw(stat.uid), Gid::from_raw(stat.gid));
    lease::kept(dir, || {
        rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
    })
}

fn set_mode_and_times(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Result<()> {
    if stat.kind != FileType::Symlink {
        let mode = Mode::from_raw_mode(u32::from(stat.perm));
        lease::kept(dir, || {
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())
        })?;
    }
    set_times(dir, name, stat.atime, stat.mtime)
}

/// Sets access and modification time of entry `name` of `dir`, or of `dir` if `name` is empty.
pub(super) fn set_times(dir: impl AsFd, name: &[u8], atime: Time, mtime: Time) -> Result<()> {
    let spec = |t: Time| rustix::fs::Timespec {
        tv_sec: t.sec,
        tv_nsec: i64::from(t.nsec),
    };
    let times = Timestamps {
        last_access: spec(atime),
        last_modification: spec(mtime),
    };
    utimes(dir, name, &times)
}

/// `utimensat` on an entry without following it, or on the directory descriptor itself.
pub(super) fn utimes(dir: impl AsFd, name: &[u8], times: &Timestamps) -> Result<()> {
    if name.is_empty() {
        // O_PATH descriptors are reached by name; "." would need search permission only.
        let path = crate::sys::procfd::entry(&dir, b"");
        let path = path.as_slice();
        return lease::kept(&dir, || {
            rustix::fs::utimensat(rustix::fs::CWD, path, times, AtFlags::empty())
        });
    }
    lease::kept(&dir, || {
        rustix::fs::utimensat(&dir, name, times, AtFlags::SYMLINK_NOFOLLOW)
    })
}
