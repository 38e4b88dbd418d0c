//! Extended attributes and ACLs.
//!
//! They are those of the file that is shown; setting one copies the file up. The union's own
//! attributes (`trusted.overlay.*`, `trusted.statelite.*`) are neither shown nor settable.

use super::change::{acl_clears_setgid, clear_setgid};
use super::copyup::Amount;
use super::node::{Body, Node};
use super::store::is_private_xattr;
use super::view::View;
use super::{Overlay, caps, lower};
use crate::sys::caller::Caller;
use crate::sys::stat::stat_at;
use crate::sys::{Result, xattr};
use rustix::fd::{AsFd, BorrowedFd};
use rustix::io::Errno;
use std::sync::Arc;

const ACL_ACCESS: &[u8] = b"system.posix_acl_access";
const ACL_DEFAULT: &[u8] = b"system.posix_acl_default";

impl Overlay {
    /// Value of attribute `key`.
    ///
    /// # Errors
    /// `ENODATA` if absent, and for an ACL also if the layer has none at all; `EOPNOTSUPP` if the layer has no such
    /// attributes.
    pub fn getxattr(&self, ino: u64, key: &[u8]) -> Result<Vec<u8>> {
        if is_private_xattr(key) {
            return Err(Errno::NODATA);
        }
        match self.on_shown(ino, |dir, name| xattr::get(dir, name, key)) {
            // The kernel asks for the ACL of every directory that somebody but its owner walks through, and lets
            // nobody pass if the answer is an error. NFS 4 is such a layer.
            Err(Errno::OPNOTSUPP) if key == ACL_ACCESS || key == ACL_DEFAULT => Err(Errno::NODATA),
            Err(Errno::OPNOTSUPP) if key == caps::KEY => self
                .listed_capability(&*self.node(ino)?)?
                .ok_or(Errno::OPNOTSUPP),
            other => other,
        }
    }

    /// Names of all attributes, each ended by NUL.
    ///
    /// # Errors
    /// I/O errors of the layer.
    pub fn listxattr(&self, ino: u64) -> Result<Vec<u8>> {
        let mut names = match self.on_shown(ino, |dir, name| xattr::list(dir, name)) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Vec::new(),
            other => other?,
        };
        if !names.split(|b| *b == 0).any(|name| name == caps::KEY)
            && self.listed_capability(&*self.node(ino)?)?.is_some()
        {
            names.extend_from_slice(caps::KEY);
            names.push(0);
        }
        let shown = names
            .split_inclusive(|b| *b == 0)
            .filter(|name| !is_private_xattr(name));
        Ok(shown.flatten().copied().collect())
    }

    /// Sets attribute `key`.
    ///
    /// # Errors
    /// `EPERM` for the union's own; `EROFS` where no rule allows changes; else as `setxattr(2)`.
    pub fn setxattr(
        &self,
        ino: u64,
        key: &[u8],
        value: &[u8],
        flags: u32,
        caller: Caller,
    ) -> Result<()> {
        if is_private_xattr(key) {
            return Err(Errno::PERM);
        }
        self.on_store(ino, key, |dir, name| {
            let before = stat_at(dir, name)?;
            xattr::set(dir, name, key, value, flags)?;
            if key == ACL_ACCESS && acl_clears_setgid(before.perm, before.gid, caller) {
                clear_setgid(dir, name)?;
            }
            Ok(())
        })
    }

    /// Removes attribute `key`.
    ///
    /// # Errors
    /// `ENODATA` if absent; `EROFS` where no rule allows changes.
    pub fn removexattr(&self, ino: u64, key: &[u8]) -> Result<()> {
        if is_private_xattr(key) {
            return Err(Errno::NODATA);
        }
        self.on_store(ino, key, |dir, name| xattr::remove(dir, name, key))
    }

    /// Calls `f` on the file that is shown.
    fn on_shown<R>(&self, ino: u64, f: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<R>) -> Result<R> {
        let view = self.view();
        let node = self.node(ino)?;
        let region = self.place(&view, &node)?.region;
        if node.state.read().plain {
            return Err(Errno::NODATA);
        }
        match node.body() {
            Body::Lower { dir, name } => f((*lower::open_dir(&self.fds, &dir)?).as_fd(), &name),
            Body::Upper { .. } => {
                let store = region.store.as_ref().ok_or(Errno::STALE)?;
                self.at_upper(&node, store, f)
            }
            Body::Orphan(fd) => f((*fd).as_fd(), b""),
            Body::Dir(body) => {
                if let Some(store) = &region.store
                    && let Some(dir) = self.store_dir(&node, store)?
                {
                    return f((*dir).as_fd(), b"");
                }
                match body.lowers.first() {
                    Some(dir) => f((*lower::open_dir(&self.fds, dir)?).as_fd(), b""),
                    None => Err(Errno::NODATA),
                }
            }
            Body::Concat { parts, name } => match parts.first() {
                Some(dir) => f((*lower::open_dir(&self.fds, dir)?).as_fd(), &name),
                None => Err(Errno::NODATA),
            },
            Body::Symlink(_) | Body::Gone(_) => Err(Errno::NODATA),
        }
    }

    /// Copies the file up and calls `f` on it.
    fn on_store(
        &self,
        ino: u64,
        key: &[u8],
        f: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let view = self.view();
        let node = self.node(ino)?;
        let region = self.place(&view, &node)?.region;
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        self.make_upper(&view, &node, Amount::All)?;
        node.state.write().plain = false;
        if key == ACL_DEFAULT {
            node.with_dir(|body| body.inherits = None);
        }
        if matches!(node.body(), Body::Dir(_)) {
            return f((*self.make_store_dir(&view, &node, store)?).as_fd(), b"");
        }
        self.at_upper(&node, store, f)
    }

    /// Target of symlink `ino`.
    ///
    /// # Errors
    /// `EINVAL` for anything else.
    pub fn readlink(&self, ino: u64) -> Result<Vec<u8>> {
        let view = self.view();
        let node = self.node(ino)?;
        self.read_link(&view, &node)
    }

    fn read_link(&self, view: &View, node: &Arc<Node>) -> Result<Vec<u8>> {
        let region = self.place(view, node)?.region;
        let read = |dir: BorrowedFd<'_>, name: &[u8]| crate::sys::lease::readlinkat(dir, name);
        match node.body() {
            Body::Symlink(target) => Ok(target.as_bytes().to_vec()),
            Body::Lower { dir, name } => read((*lower::open_dir(&self.fds, &dir)?).as_fd(), &name),
            Body::Upper { .. } => {
                let store = region.store.as_ref().ok_or(Errno::STALE)?;
                self.at_upper(node, store, read)
            }
            Body::Orphan(fd) => read((*fd).as_fd(), b""),
            _ => Err(Errno::INVAL),
        }
    }
}
