//! Copy-up: giving a lower file or directory a place in the store before it changes.
//!
//! The copy is made aside in the work directory, complete with owner, mode, times and attributes,
//! and renamed into place, so that a crash leaves either the lower file or the whole copy. While a
//! file is copied its `busy` lock is held: of many writers one copies and the others wait and then
//! write to the copy.

use super::fds::FdKey;
use super::layer::LayerDir;
use super::metrics::{add, count};
use super::node::{Body, Link, Node, Presence};
use super::store::{self, Store};
use super::view::View;
use super::{Overlay, concat, lower};
use crate::sys::stat::{Stat, Time, stat_fd};
use crate::sys::{Result, xattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, SeekFrom, Timestamps, Uid};
use rustix::io::Errno;
use std::sync::Arc;

/// How much of a file's content a copy-up takes along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Amount {
    /// All of it.
    All,
    /// Nothing: the file is about to be cut to zero.
    Nothing,
}

impl Overlay {
    /// Makes sure that `node` is in its region's store, so that it can change.
    ///
    /// # Errors
    /// `EROFS` if the region allows no change; `ESTALE` if the node is out of date or had to be
    /// given a new number; those of the copy: `ENOSPC`, `EIO`, ...
    pub(super) fn make_upper(&self, view: &View, node: &Arc<Node>, amount: Amount) -> Result<()> {
        let region = self.place(view, node)?.region;
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        match node.body() {
            Body::Upper { .. } | Body::Orphan(_) => return Ok(()),
            Body::Gone(_) => return Err(Errno::STALE),
            Body::Dir(_) => return self.make_store_dir(view, node, store).map(drop),
            Body::Lower { .. } | Body::Concat { .. } | Body::Symlink(_) => {}
        }
        let _busy = node.busy.lock();
        let body = node.body();
        if matches!(body, Body::Upper { .. } | Body::Orphan(_)) {
            return Ok(());
        }
        if node.opens.lock().as_ref().is_some_and(|o| o.is_passthrough()) {
            // The kernel reads the lower file under this number; the copy needs another one.
            return self.displace(node);
        }
        let link = node.link().ok_or(Errno::STALE)?;
        let parent = self.make_store_dir(view, &link.parent, store)?;
        let stat = self.stat(view, node)?;
        let tmp = store.tmp_name();
        let copied = self.copy_file(store, &tmp, &body, &stat, amount);
        let placed = copied
            .and_then(|()| settle(store, &tmp, &stat, amount))
            .and_then(|()| self.mark_origin(store, &tmp, node.identity))
            .and_then(|()| self.put_in_place(node, store, &parent, &tmp, &link, &stat));
        match placed {
            Ok(()) => {
                count(&store.layer.counters.copy_ups);
                Ok(())
            }
            Err(e) => {
                store.discard(&tmp);
                Err(e)
            }
        }
    }

    /// Takes the number away from a node whose old content stays open, so that the next lookup of
    /// its name gets a new one.
    fn displace(&self, node: &Arc<Node>) -> Result<()> {
        node.state.write().dead = true;
        Err(Errno::STALE)
    }

    fn mark_origin(&self, store: &Store, tmp: &[u8], identity: u64) -> Result<()> {
        let value = identity.to_le_bytes();
        xattr::set(store.work(), tmp, store::XATTR_ORIGIN, &value, 0)
    }

    /// Renames a finished copy to its name; a file with several lower names also enters the index.
    fn put_in_place(
        &self,
        node: &Node,
        store: &Store,
        parent: &OwnedFd,
        tmp: &[u8],
        link: &Link,
        stat: &Stat,
    ) -> Result<()> {
        let indexed = stat.nlink > 1;
        let index = Store::index_name(node.identity);
        if indexed {
            let below = (stat.nlink - 1).to_le_bytes();
            xattr::set(store.work(), tmp, store::XATTR_LOWER_NAMES, &below, 0)?;
            rustix::fs::linkat(store.work(), tmp, store.index(), index.as_slice(), AtFlags::empty())?;
        }
        let names = store.change_names();
        let still = node.state.read().links.iter().any(|l| {
            l.name == link.name && Arc::ptr_eq(&l.parent, &link.parent)
        });
        let times = stat_fd(parent)?;
        let placed = if still {
            rustix::fs::renameat_with(store.work(), tmp, parent, &*link.name, RenameFlags::NOREPLACE)
        } else {
            Err(Errno::STALE)
        };
        if placed.is_ok() {
            node.state.write().body = Body::Upper { indexed };
        }
        drop(names);
        if let Err(e) = placed {
            if indexed {
                let _ = rustix::fs::unlinkat(store.index(), index.as_slice(), AtFlags::empty());
            }
            return Err(e);
        }
        // The directory as shown did not change.
        set_times(parent, b"", times.atime, times.mtime)
    }

    /// Copies what `body` stands for to `tmp` in the work directory.
    fn copy_file(
        &self,
        store: &Store,
        tmp: &[u8],
        body: &Body,
        stat: &Stat,
        amount: Amount,
    ) -> Result<()> {
        match body {
            Body::Lower { dir, name } => {
                let source = lower::open_dir(&self.fds, dir)?;
                let source = Source {
                    dir: source.as_fd(),
                    name,
                };
                copy_object(store.work(), tmp, &source, stat, amount, store)
            }
            Body::Concat { parts, name } => {
                let data = match amount {
                    Amount::All => concat::read(&self.fds, parts, name)?,
                    Amount::Nothing => Vec::new(),
                };
                write_file(store.work(), tmp, &data, stat)
            }
            Body::Symlink(target) => {
                rustix::fs::symlinkat(*target, store.work(), tmp)?;
                Ok(())
            }
            Body::Upper { .. } | Body::Dir(_) | Body::Orphan(_) | Body::Gone(_) => Err(Errno::INVAL),
        }
    }

    /// Directory `dir` as mirrored in `store`, made (with its parents) if it is not there yet.
    pub(super) fn make_store_dir(
        &self,
        view: &View,
        dir: &Arc<Node>,
        store: &Arc<Store>,
    ) -> Result<Arc<OwnedFd>> {
        if let Some(fd) = self.store_dir(dir, store)? {
            return Ok(fd);
        }
        let _busy = dir.busy.lock();
        if let Some(fd) = self.store_dir(dir, store)? {
            return Ok(fd);
        }
        let link = dir.link().ok_or(Errno::NOENT)?;
        let parent = self.make_store_dir(view, &link.parent, store)?;
        let stat = self.stat(view, dir)?;
        let region = self.place(view, dir)?.region;
        let own = region.store.as_ref().is_some_and(|s| Arc::ptr_eq(s, store));
        let tmp = store.tmp_name();
        let made = self
            .copy_dir(store, &tmp, dir, &stat)
            .and_then(|()| {
                if own && region.copies_up() {
                    self.mark_origin(store, &tmp, dir.identity)
                } else {
                    Ok(())
                }
            })
            .and_then(|()| {
                let times = stat_fd(&*parent)?;
                rustix::fs::renameat_with(
                    store.work(),
                    tmp.as_slice(),
                    &*parent,
                    &*link.name,
                    RenameFlags::NOREPLACE,
                )?;
                set_times(&*parent, b"", times.atime, times.mtime)
            });
        if let Err(e) = made {
            store.discard(&tmp);
            return Err(e);
        }
        if own {
            dir.with_dir(|body| body.upper = Presence::Present);
        }
        let key = FdKey::Store(store.id(), dir.ino);
        self.fds.remove(key);
        self.store_dir(dir, store)?.ok_or(Errno::NOENT)
    }

    fn copy_dir(&self, store: &Store, tmp: &[u8], dir: &Node, stat: &Stat) -> Result<()> {
        rustix::fs::mkdirat(store.work(), tmp, Mode::from_raw_mode(0o700))?;
        let body = dir.dir_body();
        if let Some(source) = body.lowers.first() {
            let source = lower::open_dir(&self.fds, source)?;
            let source = Source {
                dir: source.as_fd(),
                name: b"",
            };
            return clone_attributes(&source, store.work(), tmp, stat);
        }
        set_attributes(store.work(), tmp, stat)
    }

    /// Calls `f` with the directory and name under which the store has `node`'s file. Names do
    /// not change meanwhile.
    pub(super) fn at_upper<R>(
        &self,
        node: &Arc<Node>,
        store: &Store,
        f: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<R>,
    ) -> Result<R> {
        let _names = store.names.read_recursive();
        self.at_upper_locked(node, store, f)
    }

    /// [`Overlay::at_upper`] for callers that hold the names lock.
    pub(super) fn at_upper_locked<R>(
        &self,
        node: &Arc<Node>,
        store: &Store,
        f: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<R>,
    ) -> Result<R> {
        let (body, links) = {
            let state = node.state.read();
            (state.body.clone(), state.links.clone())
        };
        match body {
            Body::Upper { indexed: true } => {
                f(store.index(), &Store::index_name(node.identity))
            }
            Body::Upper { indexed: false } => {
                let mut result = Err(Errno::STALE);
                for link in &links {
                    let Some(dir) = self.store_dir(&link.parent, store)? else {
                        continue;
                    };
                    result = f((*dir).as_fd(), &link.name);
                    if !matches!(result, Err(Errno::NOENT)) {
                        break;
                    }
                }
                match result {
                    Err(Errno::NOENT) => Err(Errno::STALE),
                    other => other,
                }
            }
            Body::Orphan(fd) => f((*fd).as_fd(), b""),
            _ => Err(Errno::STALE),
        }
    }
}

/// Brings a copy to disk before it takes the place of the lower file.
fn settle(store: &Store, tmp: &[u8], stat: &Stat, amount: Amount) -> Result<()> {
    if store.ram || !stat.is_file() || amount == Amount::Nothing {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::fdatasync(rustix::fs::openat(store.work(), tmp, flags, Mode::empty())?)
}

/// A file to be copied: entry `name` of `dir`.
#[derive(Debug)]
pub(super) struct Source<'a> {
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
            let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
            let from = rustix::fs::openat(source.dir, source.name, flags, Mode::empty())?;
            let now = stat_fd(&from)?;
            if !now.is_file() {
                return Err(Errno::STALE);
            }
            let file = create_private(to, name)?;
            if amount == Amount::All {
                let copied = copy_data(&from, &file, now.size)?;
                add(&store.layer.counters.copied_bytes, copied);
            }
            clone_attributes(source, to, name, stat)
        }
        FileType::Symlink => {
            let target = rustix::fs::readlinkat(source.dir, source.name, Vec::new())?;
            rustix::fs::symlinkat(target, to, name)?;
            clone_attributes(source, to, name, stat)
        }
        kind => {
            rustix::fs::mknodat(to, name, kind, Mode::from_raw_mode(0o600), stat.rdev)?;
            clone_attributes(source, to, name, stat)
        }
    }
}

fn write_file(to: BorrowedFd<'_>, name: &[u8], data: &[u8], stat: &Stat) -> Result<()> {
    let file = create_private(to, name)?;
    let mut done = 0;
    while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
        done += rustix::io::write(&file, rest)?;
    }
    set_attributes(to, name, stat)
}

fn create_private(to: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    rustix::fs::openat(to, name, flags, Mode::from_raw_mode(0o600))
}

/// Copies `size` bytes, holes as holes. Returns the bytes copied.
pub(super) fn copy_data(from: &OwnedFd, to: &OwnedFd, size: u64) -> Result<u64> {
    let mut at = 0;
    let mut copied = 0;
    while at < size {
        let start = match rustix::fs::seek(from, SeekFrom::Data(at)) {
            Ok(start) => start,
            // No data to the end, or a file system without holes.
            Err(Errno::NXIO) => break,
            Err(_) => at,
        };
        let end = rustix::fs::seek(from, SeekFrom::Hole(start)).unwrap_or(size).max(start);
        if end == start {
            break;
        }
        copy_extent(from, to, start, end)?;
        copied += end - start;
        at = end;
    }
    rustix::fs::ftruncate(to, size)?;
    Ok(copied)
}

fn copy_extent(from: &OwnedFd, to: &OwnedFd, start: u64, end: u64) -> Result<()> {
    const CHUNK: u64 = 1 << 20;
    let (mut source, mut target) = (start, start);
    let mut by_hand: Option<Vec<u8>> = None;
    while target < end {
        let want = (end - target).min(CHUNK * 16) as usize;
        if by_hand.is_none() {
            match rustix::fs::copy_file_range(from, Some(&mut source), to, Some(&mut target), want) {
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
            let got = rustix::io::pread(from, &mut *buf, source)?;
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
pub(super) fn clone_attributes(
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
    rustix::fs::chownat(dir, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)
}

fn set_mode_and_times(dir: BorrowedFd<'_>, name: &[u8], stat: &Stat) -> Result<()> {
    if stat.kind != FileType::Symlink {
        let mode = Mode::from_raw_mode(u32::from(stat.perm));
        rustix::fs::chmodat(dir, name, mode, AtFlags::empty())?;
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
        return rustix::fs::utimensat(rustix::fs::CWD, path, times, AtFlags::empty());
    }
    rustix::fs::utimensat(dir, name, times, AtFlags::SYMLINK_NOFOLLOW)
}

/// Whether some lower directory has `name`, i.e. removing it above needs a whiteout.
pub(super) fn exists_below(fds: &super::fds::DirFds, dirs: &[Arc<LayerDir>], name: &[u8]) -> Result<bool> {
    for dir in dirs {
        match lower::stat_in(fds, dir, name)? {
            Some(st) => return Ok(!st.is_whiteout()),
            None => {}
        }
    }
    Ok(false)
}
