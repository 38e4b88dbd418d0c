//! Changes of attributes: mode, owner, size, times.

use super::Overlay;
use super::attr::Entry;
use super::copy::utimes;
use super::copyup::Amount;
use super::handles::Content;
use super::node::{Body, Node};
use super::store::Store;
use super::view::View;
use crate::sys::caller::Caller;
use crate::sys::stat::{Time, stat_at};
use crate::sys::{Result, lease, procfd};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_NOW, UTIME_OMIT, Uid,
};
use rustix::io::Errno;
use std::sync::Arc;

/// A time to be set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetTime {
    /// The present.
    Now,
    /// This one.
    To(Time),
}

/// What `setattr` is asked to change; `None` leaves a field alone.
#[derive(Clone, Copy, Debug, Default)]
pub struct Change {
    /// Permission bits.
    pub mode: Option<u32>,
    /// Owner.
    pub uid: Option<u32>,
    /// Group.
    pub gid: Option<u32>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Access time.
    pub atime: Option<SetTime>,
    /// Modification time.
    pub mtime: Option<SetTime>,
}

impl Overlay {
    /// Changes attributes of node `ino`, through handle `fh` if it is open for writing.
    ///
    /// # Errors
    /// `EROFS` where no rule allows changes; else as `chmod(2)`, `chown(2)`, `truncate(2)`,
    /// `utimensat(2)` on the store.
    pub fn setattr(
        &self,
        ino: u64,
        fh: Option<u64>,
        change: Change,
        caller: Caller,
    ) -> Result<Entry> {
        let view = self.view();
        let node = self.node(ino)?;
        let amount = match change.size {
            Some(0) => Amount::Nothing,
            _ => Amount::All,
        };
        self.make_upper(&view, &node, amount)?;
        if let Some(size) = change.size {
            self.truncate(&view, &node, fh, size, caller)?;
        }
        self.apply(&view, &node, &change)?;
        let stat = self.stat(&view, &node)?;
        self.entry(node, &stat)
    }

    fn apply(&self, view: &View, node: &Arc<Node>, change: &Change) -> Result<()> {
        let region = self.place(view, node)?.region;
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        if node.is_dir() && matches!(node.body(), Body::Dir(_)) {
            let dir = self.make_store_dir(view, node, store)?;
            node.with_dir(|body| body.inherits = None);
            return apply_at((*dir).as_fd(), b"", node.kind, change);
        }
        self.at_upper(node, store, |dir, name| {
            apply_at(dir, name, node.kind, change)
        })
    }

    fn truncate(
        &self,
        view: &View,
        node: &Arc<Node>,
        fh: Option<u64>,
        size: u64,
        caller: Caller,
    ) -> Result<()> {
        if node.kind != FileType::RegularFile {
            return Err(Errno::INVAL);
        }
        if let Some(handle) = fh.and_then(|fh| self.handles.file(fh).ok())
            && handle.write
            && matches!(&*handle.file.read(), Content::Upper(_))
        {
            let fd = self.content_fd(&handle)?;
            self.kill_privileges(&fd, caller)?;
            return lease::kept(&*fd, || rustix::fs::ftruncate(&*fd, size));
        }
        let region = self.place(view, node)?.region;
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        let fd = self.at_upper(node, store, |dir, name| open_for_write(store, dir, name))?;
        self.kill_privileges(&fd, caller)?;
        lease::kept(&fd, || rustix::fs::ftruncate(&fd, size))
    }
}

fn open_for_write(store: &Store, dir: BorrowedFd<'_>, name: &[u8]) -> Result<rustix::fd::OwnedFd> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK;
    if name.is_empty() {
        return procfd::reopen(dir, flags);
    }
    store.layer.open_entry(dir, name, flags)
}

/// Applies owner, mode and times to entry `name` of `dir`, or to `dir` itself.
fn apply_at(dir: BorrowedFd<'_>, name: &[u8], kind: FileType, change: &Change) -> Result<()> {
    // An entry by (dir, name), or what an O_PATH descriptor refers to by its path in /proc.
    let own = name.is_empty();
    let path = if own {
        procfd::entry(dir, b"")
    } else {
        name.to_vec()
    };
    let at = if own { rustix::fs::CWD } else { dir };
    let follow = if own {
        AtFlags::empty()
    } else {
        AtFlags::SYMLINK_NOFOLLOW
    };
    if change.uid.is_some() || change.gid.is_some() {
        let uid = change.uid.map(Uid::from_raw);
        let gid = change.gid.map(Gid::from_raw);
        lease::kept(dir, || {
            rustix::fs::chownat(at, path.as_slice(), uid, gid, follow)
        })?;
    }
    if let Some(mode) = change.mode {
        if kind == FileType::Symlink {
            return Err(Errno::OPNOTSUPP);
        }
        let mode = Mode::from_raw_mode(mode & 0o7777);
        lease::kept(dir, || {
            rustix::fs::chmodat(at, path.as_slice(), mode, AtFlags::empty())
        })?;
    }
    if change.atime.is_some() || change.mtime.is_some() {
        let spec = |t: Option<SetTime>| match t {
            None => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_OMIT,
            },
            Some(SetTime::Now) => Timespec {
                tv_sec: 0,
                tv_nsec: UTIME_NOW,
            },
            Some(SetTime::To(t)) => Timespec {
                tv_sec: t.sec,
                tv_nsec: t.nsec.into(),
            },
        };
        let times = Timestamps {
            last_access: spec(change.atime),
            last_modification: spec(change.mtime),
        };
        utimes(dir, name, &times)?;
    }
    Ok(())
}

/// Whether `caller` setting an access ACL on a file with `perm` and group `gid` loses it the
/// setgid bit, as `chmod` would.
pub(super) fn acl_clears_setgid(perm: u16, gid: u32, caller: Caller) -> bool {
    perm & 0o2000 != 0 && !caller.in_group(gid) && !caller.has_fsetid()
}

/// Clears the setgid bit of entry `name`.
pub(super) fn clear_setgid(dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    let perm = stat_at(dir, name)?.perm;
    let change = Change {
        mode: Some(u32::from(perm & !0o2000)),
        ..Change::default()
    };
    apply_at(dir, name, FileType::RegularFile, &change)
}
