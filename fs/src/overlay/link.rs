//! Hard links.

use super::attr::Entry;
use super::copyup::Amount;
use super::find::{Found, NAME_MAX};
use super::node::Body;
use super::{Overlay, create, remove};
use crate::sys::stat::stat_at;
use crate::sys::{Result, change};
use rustix::fs::AtFlags;
use rustix::io::Errno;
use std::sync::Arc;

impl Overlay {
    /// Gives file `ino` the further name `name` in directory `parent`.
    ///
    /// # Errors
    /// `EXDEV` between rules of different stores; `EROFS` where no rule allows changes; `EEXIST`;
    /// `EMLINK`; else as `link(2)` on the store.
    pub fn link(&self, ino: u64, parent: u64, name: &[u8]) -> Result<Entry> {
        let view = self.view();
        let (node, parent) = (self.node(ino)?, self.node(parent)?);
        if name.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if node.is_dir() {
            return Err(Errno::PERM);
        }
        let source = self.place(&view, &node)?;
        let place = self.child_place(&view, &parent, name)?;
        let store = match (&source.region.store, &place.region.store) {
            (None, None) => return Err(Errno::ROFS),
            (Some(a), Some(b)) if Arc::ptr_eq(a, b) => Arc::clone(a),
            _ => return Err(Errno::XDEV),
        };
        if self.find(&view, &parent, name)?.is_some() {
            return Err(Errno::EXIST);
        }
        self.make_upper(&view, &node, Amount::All)?;
        let dir = self.make_store_dir(&view, &parent, &store)?;
        let stat = {
            let _names = store.change_names();
            if let Body::Orphan(_) = node.body() {
                return Err(Errno::NOENT);
            }
            self.link_upper(&node, &store, &dir, name)?;
            stat_at(&*dir, name)?
        };
        let mut stat = stat;
        let indexed = remove::is_indexed(&store, node.identity)
            && self.fix_indexed_nlink(&store, node.identity, &mut stat);
        let found = Found {
            identity: node.identity,
            stat,
            body: Body::Upper { indexed },
            place,
        };
        let linked = self.intern(&parent, name, found);
        self.entry(linked, &stat)
    }

    /// Links the store's file of `node` to `name` in `dir`. Called with the names lock held.
    fn link_upper(
        &self,
        node: &Arc<super::node::Node>,
        store: &super::store::Store,
        dir: &rustix::fd::OwnedFd,
        name: &[u8],
    ) -> Result<()> {
        let flags = AtFlags::empty();
        let tmp = store.tmp_name();
        let over = stat_at(dir, name).is_ok_and(|st| store.is_whiteout(dir, name, &st));
        self.at_upper_locked(node, store, |from, from_name| {
            if over {
                // Over the whiteout of a deleted name in one step.
                rustix::fs::linkat(from, from_name, store.work(), tmp.as_slice(), flags)?;
                rustix::fs::renameat(store.work(), tmp.as_slice(), dir, name)
            } else {
                change::link(from, from_name, dir, name)
            }
        })
        .inspect_err(|e| {
            if over && !create::absent(*e) {
                store.discard(&tmp);
            }
        })
    }
}
