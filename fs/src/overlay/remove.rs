//! Removing names.
//!
//! A name that a lower layer also has leaves a whiteout. The whiteout takes the name's place in
//! one step, so a crash never shows the lower file again. A listed path leaves one in any case, or
//! it would be made again.

use super::create::{exchange, make_whiteout};
use super::fds::FdKey;
use super::node::{Body, Link, Node};
use super::region::Region;
use super::store::{self, Store, XATTR_LOWER_NAMES};
use super::view::View;
use super::{Overlay, attr, lower};
use crate::sys::stat::{Stat, stat_at};
use crate::sys::{Result, change, xattr};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::Arc;

impl Overlay {
    /// Removes file `name` from directory `parent`.
    ///
    /// # Errors
    /// `EROFS` where no rule allows changes, `EISDIR` for a directory, those of the store.
    pub fn unlink(&self, parent: u64, name: &[u8]) -> Result<()> {
        let view = self.view();
        let parent = self.node(parent)?;
        let found = self.find(&view, &parent, name)?.ok_or(Errno::NOENT)?;
        if found.stat.is_dir() {
            return Err(Errno::ISDIR);
        }
        let region = Arc::clone(&found.place.region);
        let root = found.place.is_rule_root(&view);
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        let node = self.nodes.find(found.identity);
        let dir = self.make_store_dir(&view, &parent, store)?;
        let whiteout = self.needs_whiteout(&parent, &region, name, root)?;
        let _busy = node.as_ref().map(|node| node.busy.lock());
        let _names = store.change_names();
        if region.copies_up() && found.stat.nlink > 1 && matches!(found.body, Body::Lower { .. }) {
            // Its other names show one link less.
            store.count_gone(found.identity)?;
        }
        let here = match &found.body {
            Body::Upper { indexed: false } => Some(found.stat),
            _ => existing(store, &dir, name)?,
        };
        self.drop_file(
            store,
            &dir,
            name,
            here,
            whiteout,
            node.as_ref(),
            &parent,
            found.identity,
        )
    }

    /// Removes empty directory `name` from directory `parent`.
    ///
    /// # Errors
    /// `ENOTEMPTY`; `EBUSY` if rules lie in it; `EROFS`; those of the store.
    pub fn rmdir(&self, parent: u64, name: &[u8]) -> Result<()> {
        let view = self.view();
        let parent = self.node(parent)?;
        let found = self.find(&view, &parent, name)?.ok_or(Errno::NOENT)?;
        if !found.stat.is_dir() {
            return Err(Errno::NOTDIR);
        }
        let region = Arc::clone(&found.place.region);
        let root = found.place.is_rule_root(&view);
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        if found
            .place
            .pos
            .is_some_and(|pos| view.policy.has_rules_below(pos))
        {
            return Err(Errno::BUSY);
        }
        let node = self.enter(&view, &parent, name)?.node;
        let removed = self.remove_dir(&view, &parent, name, &node, &region, store, root);
        self.nodes.release(node.ino, 1);
        removed
    }

    #[allow(clippy::too_many_arguments)]
    fn remove_dir(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
        node: &Arc<Node>,
        region: &Region,
        store: &Arc<Store>,
        root: bool,
    ) -> Result<()> {
        if !self.is_empty_dir(view, node)? {
            return Err(Errno::NOTEMPTY);
        }
        let dir = self.make_store_dir(view, parent, store)?;
        let whiteout = self.needs_whiteout(parent, region, name, root)?;
        let keep = self.store_dir(node, store)?;
        let _names = store.change_names();
        drop_dir(store, &dir, name, whiteout)?;
        if root {
            region.see(None);
        }
        self.fds.remove(FdKey::Store(store.id(), node.ino));
        self.bury(node, keep.map(Body::Orphan));
        Ok(())
    }

    /// Whether removing `name` must leave a whiteout.
    pub(super) fn needs_whiteout(
        &self,
        parent: &Arc<Node>,
        region: &Region,
        name: &[u8],
        root: bool,
    ) -> Result<bool> {
        Ok(region.copies_up() && (root || self.shows_below(parent, region, name, false)?))
    }

    /// Takes a file's name out of the store, where it is `here` (none if only a lower layer has
    /// it). Called with the names lock held.
    #[allow(clippy::too_many_arguments)]
    pub(super) fn drop_file(
        &self,
        store: &Store,
        dir: &OwnedFd,
        name: &[u8],
        here: Option<Stat>,
        whiteout: bool,
        node: Option<&Arc<Node>>,
        parent: &Arc<Node>,
        identity: u64,
    ) -> Result<()> {
        let indexed = is_indexed(store, identity);
        let other_names = |nlink: u32| match indexed {
            true => nlink.saturating_sub(2) + attr::lower_names(store, identity),
            false => nlink.saturating_sub(1),
        };
        // The last name: whoever has the file open, or holds it by O_PATH, keeps it.
        let keep = match (&here, node) {
            (Some(st), Some(node)) if other_names(st.nlink) == 0 => Some(kept(node, st)),
            (None, Some(node)) if indexed => {
                let st = stat_at(store.index(), &Store::index_name(identity))?;
                let others = st.nlink.saturating_sub(1) + attr::lower_names(store, identity);
                (others <= 1).then(|| kept(node, &st))
            }
            _ => None,
        };
        match (here.is_some(), whiteout) {
            (true, true) => replace_by_whiteout(store, dir, name)?,
            (true, false) => change::unlink(dir, name, AtFlags::empty())?,
            (false, true) => make_whiteout(dir, name)?,
            (false, false) => return Err(Errno::NOENT),
        }
        if indexed {
            self.drop_indexed(store, identity, here.is_none());
        }
        if let Some(node) = node {
            self.forget_link(node, parent, name, keep);
        }
        Ok(())
    }

    /// Takes one name from a node; at the last one the node lives on through `keep` only.
    pub(super) fn forget_link(
        &self,
        node: &Arc<Node>,
        parent: &Arc<Node>,
        name: &[u8],
        keep: Option<Body>,
    ) {
        let links: Vec<Link> = {
            let state = node.state.read();
            let other = |l: &&Link| !(&*l.name == name && Arc::ptr_eq(&l.parent, parent));
            state.links.iter().filter(other).cloned().collect()
        };
        if keep.is_some() {
            self.bury(node, keep);
            return;
        }
        self.nodes.set_links(node, links);
    }

    /// Turns a node into one without a name.
    pub(super) fn bury(&self, node: &Arc<Node>, keep: Option<Body>) {
        {
            let mut state = node.state.write();
            state.dead = true;
            if let Some(body) = keep {
                state.body = body;
            }
        }
        self.nodes.set_links(node, Vec::new());
    }

    /// Accounts for a removed name of an indexed file and drops the index entry with the last.
    pub(super) fn drop_indexed(&self, store: &Store, identity: u64, was_lower: bool) {
        let name = Store::index_name(identity);
        let mut below = attr::lower_names(store, identity);
        if was_lower {
            below = below.saturating_sub(1);
            set_lower_names(store, identity, below);
        }
        let last = stat_at(store.index(), &name).is_ok_and(|st| st.nlink <= 1) && below == 0;
        if last
            && let Err(e) = rustix::fs::unlinkat(store.index(), name.as_slice(), AtFlags::empty())
        {
            tracing::warn!("index entry of a deleted file stays: {e}");
        }
    }
}

/// What is left of a file after its last name: its content if it is open, else what `stat` says.
pub(super) fn kept(node: &Node, stat: &Stat) -> Body {
    match node.state.read().open_fd.clone() {
        Some(fd) => Body::Orphan(fd),
        None => Body::Gone(Box::new(Stat { nlink: 0, ..*stat })),
    }
}

/// What the store has under a name, whiteouts aside.
pub(super) fn existing(store: &Store, dir: &OwnedFd, name: &[u8]) -> Result<Option<Stat>> {
    match stat_at(dir, name) {
        Ok(st) if store.is_whiteout(dir, name, &st) => Ok(None),
        Ok(st) => Ok(Some(st)),
        Err(e) if lower::is_absent(e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether the index has the file.
pub(super) fn is_indexed(store: &Store, identity: u64) -> bool {
    super::ident::layer_of(identity) != store.id()
        && stat_at(store.index(), &Store::index_name(identity)).is_ok()
}

/// Records how many names of an indexed file are only in a lower layer.
pub(super) fn set_lower_names(store: &Store, identity: u64, n: u32) {
    let name = Store::index_name(identity);
    if let Err(e) = xattr::set(store.index(), &name, XATTR_LOWER_NAMES, &n.to_le_bytes(), 0) {
        tracing::warn!("link count of a copied-up file is off: {e}");
    }
}

/// Puts a whiteout where a file is, in one step.
fn replace_by_whiteout(store: &Store, dir: &OwnedFd, name: &[u8]) -> Result<()> {
    let tmp = store.tmp_name();
    make_whiteout(store.work(), &tmp)?;
    let renamed = rustix::fs::renameat(store.work(), tmp.as_slice(), dir, name);
    if renamed.is_err() {
        store.discard(&tmp);
    }
    renamed
}

/// Removes a directory that shows no names from the store; whiteouts may be in it.
pub(super) fn drop_dir(store: &Store, dir: &OwnedFd, name: &[u8], whiteout: bool) -> Result<()> {
    let present = match stat_at(dir, name) {
        Ok(st) => st.is_dir(),
        Err(e) if lower::is_absent(e) => false,
        Err(e) => return Err(e),
    };
    if !present {
        return if whiteout {
            make_whiteout(dir, name)
        } else {
            Ok(())
        };
    }
    if !whiteout {
        match change::unlink(dir, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY | Errno::EXIST) => {}
            other => return other,
        }
    }
    let tmp = store.tmp_name();
    if whiteout {
        make_whiteout(store.work(), &tmp)?;
        if let Err(e) = exchange(store.work(), &tmp, dir.as_fd(), name) {
            store.discard(&tmp);
            return Err(e);
        }
    } else {
        rustix::fs::renameat_with(
            dir,
            name,
            store.work(),
            tmp.as_slice(),
            RenameFlags::NOREPLACE,
        )?;
    }
    store.discard(&tmp);
    Ok(())
}

/// Removes whiteouts from a store directory about to be renamed over, which shows no names.
pub(super) fn clear_whiteouts(store: &Store, dir: &OwnedFd) -> Result<()> {
    for entry in crate::sys::dir::read(dir)? {
        if store.is_whiteout(dir, &entry.name, &stat_at(dir, &entry.name)?) {
            rustix::fs::unlinkat(dir, &*entry.name, AtFlags::empty())?;
        }
    }
    Ok(())
}

/// Marks a store directory opaque.
pub(super) fn set_opaque(dir: impl AsFd, name: &[u8]) -> Result<()> {
    xattr::set(dir, name, store::XATTR_OPAQUE, b"y", 0)
}
