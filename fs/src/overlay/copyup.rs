//! Copy-up: giving a lower file or directory a place in the store before it changes.
//!
//! The copy is made aside in the work directory, complete with owner, mode, times and attributes,
//! and renamed into place, so that a crash leaves either the lower file or the whole copy. While a
//! file is copied its `busy` lock is held: of many writers one copies and the others wait and then
//! write to the copy.

use super::copy::{Source, clone_attributes, copy_object, set_attributes, set_times, write_file};
use super::fds::FdKey;
use super::metrics::count;
use super::node::{Body, Link, Node, Presence};
use super::remove::set_lower_names;
use super::store::{self, Store};
use super::view::View;
use super::{Overlay, concat, lower};
use crate::sys::stat::{Stat, stat_at, stat_fd};
use crate::sys::{Result, lease, xattr};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
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
        if node
            .opens
            .lock()
            .as_ref()
            .is_some_and(|o| o.is_passthrough())
        {
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
            .and_then(|()| match &body {
                Body::Lower { dir, name } => {
                    self.copy_capability((dir, name), store.work().as_fd(), &tmp)
                }
                _ => Ok(()),
            })
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
            // One too many until the copy has its name: a crash must not make the index forget it.
            let below = stat.nlink.to_le_bytes();
            xattr::set(store.work(), tmp, store::XATTR_LOWER_NAMES, &below, 0)?;
            rustix::fs::linkat(
                store.work(),
                tmp,
                store.index(),
                index.as_slice(),
                AtFlags::empty(),
            )?;
        }
        let names = store.change_names();
        let still = node
            .state
            .read()
            .links
            .iter()
            .any(|l| l.name == link.name && Arc::ptr_eq(&l.parent, &link.parent));
        let times = stat_fd(parent)?;
        let placed = if still {
            rustix::fs::renameat_with(
                store.work(),
                tmp,
                parent,
                &*link.name,
                RenameFlags::NOREPLACE,
            )
        } else {
            Err(Errno::STALE)
        };
        if placed.is_ok() {
            if indexed {
                set_lower_names(store, node.identity, stat.nlink - 1);
            }
            let backing = stat_at(parent, &link.name).map_or(0, |st| st.ino);
            let flags = OFlags::RDONLY | OFlags::NONBLOCK;
            let moved = match node.is_open() {
                true => store
                    .layer
                    .open_entry(parent.as_fd(), &link.name, flags)
                    .ok(),
                false => None,
            };
            let mut state = node.state.write();
            state.body = Body::Upper { indexed };
            state.backing = backing;
            if let Some(fd) = moved {
                state.open_fd = Some(Arc::new(fd));
            }
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
                write_file(store.work(), tmp, &data, stat)?;
                match parts.first() {
                    Some(first) => {
                        let dir = lower::open_dir(&self.fds, first)?;
                        let first = Source {
                            dir: dir.as_fd(),
                            name,
                        };
                        clone_attributes(&first, store.work(), tmp, stat)
                    }
                    None => Ok(()),
                }
            }
            Body::Symlink(target) => {
                rustix::fs::symlinkat(*target, store.work(), tmp)?;
                Ok(())
            }
            Body::Upper { .. } | Body::Dir(_) | Body::Orphan(_) | Body::Gone(_) => {
                Err(Errno::INVAL)
            }
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
}

/// Brings a copy to disk before it takes the place of the lower file.
fn settle(store: &Store, tmp: &[u8], stat: &Stat, amount: Amount) -> Result<()> {
    if store.ram || !stat.is_file() || amount == Amount::Nothing {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW;
    rustix::fs::fdatasync(lease::openat(store.work(), tmp, flags)?)
}
