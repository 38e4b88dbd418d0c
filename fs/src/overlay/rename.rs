//! Renaming and exchanging names.
//!
//! Within one store a rename is a rename there, plus what the union needs so that the lower layers
//! keep showing the right thing: a whiteout where the name was, a redirect on a directory that
//! still shows its old lower directories, an opaque mark on one that must not show new ones.
//! Between stores it is `EXDEV`, as between mounts.

use super::copyup::Amount;
use super::find::Found;
use super::node::{Body, Link, Node};
use super::remove::{clear_whiteouts, existing, is_indexed, kept, set_lower_names, set_opaque};
use super::store::{self, Store};
use super::view::{Place, View};
use super::{Overlay, attr};
use crate::sys::stat::stat_at;
use crate::sys::{Result, change, xattr};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::Arc;

/// What to do if the new name is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// Replace it.
    Replace,
    /// Fail with `EEXIST` (`RENAME_NOREPLACE`).
    Refuse,
    /// Exchange the two (`RENAME_EXCHANGE`).
    Exchange,
}

/// One end of a rename.
#[derive(Debug)]
struct End<'a> {
    parent: &'a Arc<Node>,
    name: &'a [u8],
    place: Place,
    root: bool,
    dir: Arc<OwnedFd>,
}

impl Overlay {
    /// Renames `from` (directory number and name) to `to`.
    ///
    /// # Errors
    /// `EXDEV` between rules of different stores; `EROFS` where no rule allows changes; `EBUSY` if
    /// another rule lies in a directory to be moved; else as `rename(2)`.
    pub fn rename(&self, from: (u64, &[u8]), to: (u64, &[u8]), onto: Onto) -> Result<()> {
        let view = self.view();
        let (from_parent, to_parent) = (self.node(from.0)?, self.node(to.0)?);
        if to.1.len() > super::find::NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        let source = self
            .find(&view, &from_parent, from.1)?
            .ok_or(Errno::NOENT)?;
        let target = self.find(&view, &to_parent, to.1)?;
        if onto == Onto::Refuse && target.is_some() {
            return Err(Errno::EXIST);
        }
        if onto == Onto::Exchange && target.is_none() {
            return Err(Errno::NOENT);
        }
        let to_place = self.child_place(&view, &to_parent, to.1)?;
        check_regions(&view, &source, &to_place, target.as_ref(), onto)?;
        if target
            .as_ref()
            .is_some_and(|t| t.identity == source.identity && !t.stat.is_dir())
        {
            // Two names of one file: nothing to do.
            return Ok(());
        }
        let a = self.enter(&view, &from_parent, from.1)?.node;
        let b = match target {
            Some(_) => match self.enter(&view, &to_parent, to.1) {
                Ok(entry) => Some(entry.node),
                Err(e) => {
                    self.nodes.release(a.ino, 1);
                    return Err(e);
                }
            },
            None => None,
        };
        let result = self.rename_nodes(
            &view,
            (&from_parent, from.1),
            (&to_parent, to.1),
            to_place,
            &a,
            b.as_ref(),
            onto,
        );
        self.nodes.release(a.ino, 1);
        if let Some(b) = b {
            self.nodes.release(b.ino, 1);
        }
        result
    }

    #[allow(clippy::too_many_arguments)]
    fn rename_nodes(
        &self,
        view: &View,
        from: (&Arc<Node>, &[u8]),
        to: (&Arc<Node>, &[u8]),
        to_place: Place,
        a: &Arc<Node>,
        b: Option<&Arc<Node>>,
        onto: Onto,
    ) -> Result<()> {
        let from_place = self.child_place(view, from.0, from.1)?;
        let store = Arc::clone(from_place.region.store.as_ref().ok_or(Errno::ROFS)?);
        let from = self.end(view, from, from_place, &store)?;
        let to = self.end(view, to, to_place, &store)?;
        self.prepare(view, a, &from, &store)?;
        if let Some(b) = b {
            check_kinds(a, b, onto)?;
            if onto == Onto::Exchange {
                self.prepare(view, b, &to, &store)?;
            } else if b.is_dir() && !self.is_empty_dir(view, b)? {
                return Err(Errno::NOTEMPTY);
            }
        }
        let leaves_whiteout =
            self.needs_whiteout(from.parent, &from.place.region, from.name, from.root)?;
        let covers = self.shows_below(to.parent, &to.place.region, to.name, to.root)?;
        let _busy = lock_both(a, b);
        let _names = store.change_names();
        match (onto, b) {
            (Onto::Exchange, Some(b)) => {
                self.carry_lowers(a, &from, covers)?;
                self.carry_lowers(b, &to, leaves_whiteout)?;
                super::create::exchange(from.dir.as_fd(), from.name, to.dir.as_fd(), to.name)?;
                self.move_link(a, &from, &to);
                self.move_link(b, &to, &from);
                Ok(())
            }
            _ => {
                self.carry_lowers(a, &from, covers)?;
                self.replace(&store, &from, &to, a, b, leaves_whiteout)
            }
        }
    }

    fn end<'a>(
        &self,
        view: &View,
        at: (&'a Arc<Node>, &'a [u8]),
        place: Place,
        store: &Arc<Store>,
    ) -> Result<End<'a>> {
        let dir = self.make_store_dir(view, at.0, store)?;
        Ok(End {
            parent: at.0,
            name: at.1,
            root: place.is_rule_root(view),
            place,
            dir,
        })
    }

    /// Brings a node into the store at the name it is to be moved from.
    fn prepare(&self, view: &View, node: &Arc<Node>, at: &End<'_>, store: &Store) -> Result<()> {
        self.make_upper(view, node, Amount::All)?;
        if node.is_dir()
            || stat_at(&*at.dir, at.name).is_ok_and(|st| !store.is_whiteout(&*at.dir, at.name, &st))
        {
            return Ok(());
        }
        // A further lower name of an indexed file gets its place in the store first.
        if !is_indexed(store, node.identity) {
            return Err(Errno::STALE);
        }
        let index = Store::index_name(node.identity);
        rustix::fs::linkat(
            store.index(),
            index.as_slice(),
            &*at.dir,
            at.name,
            AtFlags::empty(),
        )?;
        let below = attr::lower_names(store, node.identity);
        set_lower_names(store, node.identity, below.saturating_sub(1));
        Ok(())
    }

    /// Marks a directory about to move, so that it goes on showing what it shows.
    fn carry_lowers(&self, node: &Arc<Node>, from: &End<'_>, covers: bool) -> Result<()> {
        let Body::Dir(body) = node.body() else {
            return Ok(());
        };
        if body.opaque || !from.place.region.copies_up() {
            return Ok(());
        }
        match body.lowers.first() {
            Some(lower) => {
                let mut path = b"/".to_vec();
                path.extend_from_slice(&lower.path);
                xattr::set(&*from.dir, from.name, store::XATTR_REDIRECT, &path, 0)
            }
            None if covers => {
                set_opaque(&*from.dir, from.name)?;
                node.with_dir(|body| body.opaque = true);
                Ok(())
            }
            None => Ok(()),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn replace(
        &self,
        store: &Store,
        from: &End<'_>,
        to: &End<'_>,
        a: &Arc<Node>,
        b: Option<&Arc<Node>>,
        leaves_whiteout: bool,
    ) -> Result<()> {
        // A further lower name of an indexed file is not in the store.
        let lower_only = existing(store, &to.dir, to.name)?.is_none();
        let keep = match b {
            Some(b) if b.is_dir() => {
                let fd = self.store_dir(b, store)?;
                if let Some(fd) = &fd {
                    // Should the rename fail, what the whiteouts hide stays hidden.
                    if to.place.region.copies_up() {
                        set_opaque(&*to.dir, to.name)?;
                    }
                    clear_whiteouts(store, fd)?;
                }
                fd.map(Body::Orphan)
            }
            Some(b) => keep_replaced(b, store, to)?,
            None => None,
        };
        // A directory cannot be renamed over the whiteout of a file.
        let over_whiteout =
            stat_at(&*to.dir, to.name).is_ok_and(|st| store.is_whiteout(&*to.dir, to.name, &st));
        if over_whiteout && a.is_dir() {
            super::create::exchange(from.dir.as_fd(), from.name, to.dir.as_fd(), to.name)?;
            if !leaves_whiteout {
                rustix::fs::unlinkat(&*from.dir, from.name, AtFlags::empty())?;
            }
        } else if leaves_whiteout {
            rename_with_whiteout(store, from, to)?;
        } else {
            change::rename(&*from.dir, from.name, &*to.dir, to.name)?;
        }
        if let Some(b) = b {
            if lower_only && matches!(b.body(), Body::Lower { .. }) {
                store.count_gone(b.identity)?;
            }
            if b.is_dir() {
                self.fds.remove(super::fds::FdKey::Store(store.id(), b.ino));
                self.bury(b, keep);
            } else {
                if is_indexed(store, b.identity) {
                    self.drop_indexed(store, b.identity, lower_only);
                }
                self.forget_link(b, to.parent, to.name, keep);
            }
        }
        self.move_link(a, from, to);
        Ok(())
    }

    /// Gives a node its new name and place.
    fn move_link(&self, node: &Arc<Node>, from: &End<'_>, to: &End<'_>) {
        let link = Link {
            parent: Arc::clone(to.parent),
            name: to.name.into(),
        };
        let mut links: Vec<Link> = {
            let state = node.state.read();
            let stays = |l: &&Link| !(&*l.name == from.name && Arc::ptr_eq(&l.parent, from.parent));
            state.links.iter().filter(stays).cloned().collect()
        };
        if node.is_dir() {
            links.clear();
        }
        links.insert(0, link);
        self.nodes.set_links(node, links);
        let old = std::mem::replace(&mut node.state.write().place, to.place.clone());
        if node.is_dir() && !Arc::ptr_eq(&old.region, &to.place.region) {
            self.move_below(node, &to.place);
        }
    }

    /// Gives everything known below a moved directory its new region. No rule lies there.
    fn move_below(&self, top: &Arc<Node>, place: &Place) {
        for node in self.nodes.all() {
            let mut at = node.link();
            while let Some(link) = at {
                if Arc::ptr_eq(&link.parent, top) {
                    node.state.write().place = Place {
                        pos: None,
                        ..place.clone()
                    };
                    break;
                }
                at = link.parent.link();
            }
        }
    }
}

/// What is left of a file that is renamed over, if that was its last name.
fn keep_replaced(b: &Node, store: &Store, to: &End<'_>) -> Result<Option<Body>> {
    Ok(existing(store, &to.dir, to.name)?.and_then(|st| {
        let others = match is_indexed(store, b.identity) {
            true => st.nlink.saturating_sub(2) + attr::lower_names(store, b.identity),
            false => st.nlink.saturating_sub(1),
        };
        (others == 0).then(|| kept(b, &st))
    }))
}

/// Locks what moves against copy-up, in the order of their numbers.
fn lock_both<'a>(
    a: &'a Arc<Node>,
    b: Option<&'a Arc<Node>>,
) -> Vec<parking_lot::MutexGuard<'a, ()>> {
    let mut nodes = vec![a];
    nodes.extend(b.filter(|b| b.ino != a.ino));
    nodes.sort_by_key(|node| node.ino);
    nodes.into_iter().map(|node| node.busy.lock()).collect()
}

/// Renames and leaves a whiteout in one step where the store can, else in an order in which the
/// old name is never missing its whiteout once the new one is there for good.
fn rename_with_whiteout(store: &Store, from: &End<'_>, to: &End<'_>) -> Result<()> {
    match rustix::fs::renameat_with(
        &*from.dir,
        from.name,
        &*to.dir,
        to.name,
        RenameFlags::WHITEOUT,
    ) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::PERM) => {}
        other => return other,
    }
    let tmp = store.tmp_name();
    super::create::make_whiteout(store.work(), &tmp)?;
    let moved = rustix::fs::renameat(&*from.dir, from.name, &*to.dir, to.name)
        .and_then(|()| rustix::fs::renameat(store.work(), tmp.as_slice(), &*from.dir, from.name));
    if moved.is_err() {
        store.discard(&tmp);
    }
    moved
}

/// Refuses moves that no single store can do.
fn check_regions(
    view: &View,
    source: &Found,
    to: &Place,
    target: Option<&Found>,
    onto: Onto,
) -> Result<()> {
    let (a, b) = (&source.place.region, &to.region);
    if a.store.is_none() && b.store.is_none() {
        return Err(Errno::ROFS);
    }
    if a.store.is_none() || b.store.is_none() {
        // As between a read-only and a writable mount.
        return Err(Errno::XDEV);
    }
    if !a.shares_store_with(b) {
        return Err(Errno::XDEV);
    }
    let holds_rules = |place: &Place| {
        place
            .pos
            .is_some_and(|pos| view.policy.has_rules_below(pos))
    };
    let is_root_dir = |found: &Found| found.stat.is_dir() && found.place.is_rule_root(view);
    let moved_dirs = [Some(source), target.filter(|_| onto == Onto::Exchange)];
    for found in moved_dirs.into_iter().flatten().filter(|f| f.stat.is_dir()) {
        if holds_rules(&found.place) || holds_rules(to) || is_root_dir(found) {
            return Err(Errno::BUSY);
        }
    }
    if source.stat.is_dir() && target.is_some_and(is_root_dir) {
        return Err(Errno::BUSY);
    }
    Ok(())
}

fn check_kinds(a: &Node, b: &Node, onto: Onto) -> Result<()> {
    match (a.is_dir(), b.is_dir()) {
        _ if onto == Onto::Exchange => Ok(()),
        (true, false) => Err(Errno::NOTDIR),
        (false, true) => Err(Errno::ISDIR),
        _ => Ok(()),
    }
}
