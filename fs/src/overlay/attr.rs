//! What `stat` shows.

use super::layer::{FOREVER, LIVE_TTL};
use super::node::{Body, DirBody, Node, Presence};
use super::store::{Store, XATTR_LOWER_NAMES};
use super::view::View;
use super::{Overlay, concat, lower};
use crate::sys::stat::{Stat, stat_at, stat_fd};
use crate::sys::{Result, xattr};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

/// Attributes of a node, and how long they may be believed.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The node.
    pub node: Arc<Node>,
    /// Its attributes; `ino` and `dev` are those of the layer, callers show `node.ino`.
    pub stat: Stat,
    /// How long name and attributes may be cached.
    pub ttl: Duration,
}

/// Whether this is the root or the directory that `/proc` and its like are mounted on.
///
/// At shutdown systemd stops every process, this one too, and only then walks `/proc`: the kernel must not ask
/// anything about the way there. What an edit on the server changes about these directories themselves shows after
/// a reload.
fn is_way_to_proc(node: &Node, links: &[super::node::Link]) -> bool {
    const MOUNTED: [&[u8]; 4] = [b"proc", b"sys", b"dev", b"run"];
    node.ino == super::ident::ROOT
        || node.is_dir()
            && links
                .iter()
                .any(|link| link.parent.ino == super::ident::ROOT && MOUNTED.contains(&&*link.name))
}

impl Overlay {
    /// Attributes of node `ino`.
    ///
    /// # Errors
    /// `ESTALE` if its file was replaced or removed behind our back.
    pub fn getattr(&self, ino: u64) -> Result<Entry> {
        let view = self.view();
        let node = self.node(ino)?;
        self.place(&view, &node)?;
        let stat = self.stat(&view, &node)?;
        self.entry(node, &stat)
    }

    /// An answer about `node`.
    pub(super) fn entry(&self, node: Arc<Node>, stat: &Stat) -> Result<Entry> {
        let mut stat = *stat;
        let state = node.state.read();
        let region = &state.place.region;
        let ttl = match &state.body {
            Body::Upper { .. } | Body::Orphan(_) | Body::Gone(_) => region.store_ttl(),
            Body::Dir(dir) => {
                present_dir(&mut stat, dir);
                if dir.lowers.is_empty() && dir.upper == Presence::Present {
                    region.store_ttl()
                } else {
                    region.lower_ttl()
                }
            }
            Body::Symlink(_) => FOREVER,
            Body::Concat { .. } => LIVE_TTL.min(region.lower_ttl()),
            Body::Lower { .. } => region.lower_ttl(),
        };
        let ttl = if is_way_to_proc(&node, &state.links) {
            FOREVER
        } else {
            ttl
        };
        drop(state);
        Ok(Entry { node, stat, ttl })
    }

    /// Attributes of `node` as its present content has them.
    pub(super) fn stat(&self, view: &View, node: &Arc<Node>) -> Result<Stat> {
        let (body, place) = {
            let state = node.state.read();
            (state.body.clone(), state.place.clone())
        };
        match body {
            Body::Dir(dir) => self.stat_dir(view, node, &dir),
            Body::Upper { .. } => {
                let Some(store) = &place.region.store else {
                    return Err(Errno::STALE);
                };
                self.stat_upper(node, store)
            }
            Body::Lower { dir, name } => match lower::stat_in(&self.fds, &dir, &name)? {
                Some(mut st) if dir.layer.identity(&st) == node.identity => {
                    if let Some(store) = place
                        .region
                        .store
                        .as_ref()
                        .filter(|_| place.region.copies_up())
                    {
                        subtract_gone(store, node.identity, &mut st);
                    }
                    if node.link().is_none() {
                        st.nlink = st.nlink.saturating_sub(1);
                    }
                    Ok(st)
                }
                // Replaced in the layer; whoever has it open still sees the old one.
                _ => self.stat_open(node),
            },
            Body::Concat { parts, .. } if parts.is_empty() => {
                Ok(self.synthetic(FileType::RegularFile, 0o644))
            }
            Body::Concat { parts, name } => concat::stat(&self.fds, &parts, &name, node.identity),
            Body::Symlink(target) => {
                let mut stat = self.synthetic(FileType::Symlink, 0o777);
                stat.size = target.len() as u64;
                Ok(stat)
            }
            Body::Orphan(fd) => stat_fd(&*fd),
            // Opened while its last name was removed, or not open at all.
            Body::Gone(stat) => self.stat_open(node).or(Ok(*stat)),
        }
    }

    fn stat_dir(&self, view: &View, node: &Arc<Node>, dir: &DirBody) -> Result<Stat> {
        let region = self.place(view, node)?.region;
        if let Some(store) = &region.store
            && let Some(fd) = self.store_dir(node, store)?
        {
            return stat_fd(&*fd);
        }
        for lower in &dir.lowers {
            match lower::open_dir(&self.fds, lower) {
                Ok(fd) => {
                    let mut stat = stat_fd(&*fd)?;
                    let now = (stat.mtime, stat.ctime);
                    if region.lower_ttl() == FOREVER {
                        let told = node.with_dir(|body| *body.told.get_or_insert(now));
                        (stat.mtime, stat.ctime) = told.unwrap_or(now);
                    }
                    return Ok(stat);
                }
                Err(e) if lower::is_absent(e) => {}
                Err(e) => return Err(e),
            }
        }
        if dir.lowers.is_empty() {
            Ok(self.synthetic(FileType::Directory, 0o755))
        } else {
            Err(Errno::STALE)
        }
    }

    /// Attributes of a file in the store.
    pub(super) fn stat_upper(&self, node: &Arc<Node>, store: &Store) -> Result<Stat> {
        self.at_upper(node, store, |dir, name| {
            let mut stat = stat_at(dir, name)?;
            if matches!(node.body(), Body::Upper { indexed: true }) {
                self.fix_indexed_nlink(store, node.identity, &mut stat);
            }
            Ok(stat)
        })
    }

    fn stat_open(&self, node: &Arc<Node>) -> Result<Stat> {
        let fd = node.state.read().open_fd.clone().ok_or(Errno::STALE)?;
        stat_fd(&*fd)
    }

    /// Attributes of something that exists in no layer.
    pub(super) fn synthetic(&self, kind: FileType, perm: u16) -> Stat {
        Stat {
            kind,
            perm,
            uid: 0,
            gid: 0,
            ino: 0,
            dev: (0, 0),
            rdev: 0,
            nlink: if kind == FileType::Directory { 2 } else { 1 },
            size: 0,
            blocks: 0,
            blksize: 4096,
            atime: self.started,
            mtime: self.started,
            ctime: self.started,
        }
    }

    /// Corrects the link count of an indexed file: the index entry is not a name, and names that
    /// are only in a lower layer still count. True if the file is in the index.
    pub(super) fn fix_indexed_nlink(&self, store: &Store, identity: u64, stat: &mut Stat) -> bool {
        let name = Store::index_name(identity);
        match stat_at(store.index(), &name) {
            Ok(indexed) if indexed.ino == stat.ino => {
                let below = lower_names(store, identity);
                stat.nlink = stat.nlink.saturating_sub(1).saturating_add(below);
                true
            }
            _ => false,
        }
    }
}

/// How many names of an indexed file are only in a lower layer.
pub(super) fn lower_names(store: &Store, identity: u64) -> u32 {
    xattr::get(
        store.index(),
        &Store::index_name(identity),
        XATTR_LOWER_NAMES,
    )
    .ok()
    .and_then(|value| Some(u32::from_le_bytes(value.try_into().ok()?)))
    .unwrap_or(0)
}

/// Leaves removed names out of the link count of a lower file.
pub(super) fn subtract_gone(store: &Store, identity: u64, stat: &mut Stat) {
    if stat.nlink > 1 && !stat.is_dir() {
        let gone = stat_at(store.index(), &Store::gone_name(identity)).map_or(0, |st| st.size);
        stat.nlink = stat
            .nlink
            .saturating_sub(u32::try_from(gone).unwrap_or(u32::MAX))
            .max(1);
    }
}

/// A directory of several sources has no meaningful link count; 1 tells `find` and others not to
/// derive the number of subdirectories from it.
fn present_dir(stat: &mut Stat, dir: &DirBody) {
    let sources = dir.lowers.len() + usize::from(dir.upper == Presence::Present);
    if sources > 1 {
        stat.nlink = 1;
    }
}
