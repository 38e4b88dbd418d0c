//! What a name in a directory is.
//!
//! The region of the name decides where to look:
//!
//! - a union asks its store first (a whiteout there ends the search), then the lower directories;
//! - an opaque store is asked alone, after it has been seeded;
//! - a concatenation collects every tree's file;
//! - a listed path that is nowhere is created empty in its store, and directories that exist only
//!   because a listed path lies below them are shown.

use super::layer::{FOREVER, LayerDir};
use super::lower::{self, LowerHit};
use super::node::{Body, DirBody, Link, Node, Presence};
use super::region::Region;
use super::store::{self, Store};
use super::upper::{is_opaque, is_work_dir, upper_identity};
use super::view::{Place, View};
use super::{Overlay, attr::Entry, ident};
use crate::sys::stat::{Stat, stat_at};
use crate::sys::{Result, xattr};
use rustix::fs::FileType;
use rustix::io::Errno;
use statelite_policy::Placement;
use std::sync::Arc;

/// What was found under a name.
#[derive(Debug)]
pub(super) struct Found {
    pub identity: u64,
    pub stat: Stat,
    pub body: Body,
    pub place: Place,
}

impl Found {
    /// Whether its content is in the store.
    pub fn is_upper(&self) -> bool {
        match &self.body {
            Body::Upper { .. } => true,
            Body::Dir(dir) => dir.upper == Presence::Present,
            _ => false,
        }
    }
}

impl Overlay {
    /// Looks up `name` in directory `parent` and tells the kernel about what is there: the
    /// node's reference count grows by one.
    ///
    /// # Errors
    /// `ENOENT` if nothing is shown under that name; I/O errors of the layers.
    pub fn lookup(&self, parent: u64, name: &[u8]) -> Result<Entry> {
        let view = self.view();
        let parent = self.node(parent)?;
        if name.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        self.enter(&view, &parent, name)
    }

    /// How long the kernel may believe that `name` is absent in `parent`.
    pub fn absent_ttl(&self, parent: u64, name: &[u8]) -> std::time::Duration {
        let view = self.view();
        self.node(parent)
            .and_then(|parent| self.place(&view, &parent))
            .map_or(super::layer::LIVE_TTL, |place| {
                view.step(&place, name).region.lower_ttl()
            })
    }

    /// [`Overlay::lookup`] of a name that is being listed; none where the name has to do: for the root of a rule in a store on
    /// a server, once it has been seen. So listing `/` does not wait for the server of `/home`.
    ///
    /// # Errors
    /// As [`Overlay::lookup`].
    pub fn lookup_listed(&self, parent: &Arc<Node>, name: &[u8]) -> Result<Option<Entry>> {
        let view = self.view();
        let place = self.place(&view, parent)?;
        if place.pos.is_some() && seen(&view, &view.step(&place, name)).is_some() {
            return Ok(None);
        }
        self.enter(&view, parent, name).map(Some)
    }

    /// [`Overlay::lookup`] within an operation.
    pub(super) fn enter(&self, view: &View, parent: &Arc<Node>, name: &[u8]) -> Result<Entry> {
        loop {
            let place = self.child_place(view, parent, name)?;
            let region = Arc::clone(&place.region);
            let before = region.store.as_ref().map(|store| store.epoch());
            let found = self
                .find_at(view, parent, name, place)?
                .ok_or(Errno::NOENT)?;
            // What was found must still be true when the node learns of it.
            let _names = region
                .store
                .as_ref()
                .map(|store| store.names.read_recursive());
            if before != region.store.as_ref().map(|store| store.epoch()) {
                continue;
            }
            let stat = found.stat;
            let node = self.intern(parent, name, found);
            return self.entry(node, &stat);
        }
    }

    /// The node for what was found, with this name among its links.
    pub(super) fn intern(&self, parent: &Arc<Node>, name: &[u8], found: Found) -> Arc<Node> {
        let link = Link {
            parent: Arc::clone(parent),
            name: name.into(),
        };
        let kind = found.stat.kind;
        let several = found.stat.nlink > 1 && kind != FileType::Directory;
        let identity = found.identity;
        let (node, new) = self.nodes.intern(
            identity,
            |node| node.kind == kind && fits(node, parent, &found),
            |ino| Node::new(ino, identity, &found.stat, &found.place, &found.body, &link),
        );
        if !new {
            self.refresh(&node, link, several, found);
        }
        node
    }

    /// Brings a known node up to date with what a lookup found.
    fn refresh(&self, node: &Arc<Node>, link: Link, several: bool, found: Found) {
        let upper = found.is_upper();
        let known = |l: &Link| l.name == link.name && Arc::ptr_eq(&l.parent, &link.parent);
        let mut links = None;
        {
            let mut state = node.state.write();
            if !several {
                if !(state.links.len() == 1 && state.links.iter().all(known)) {
                    links = Some(vec![link]);
                }
            } else if !state.links.iter().any(known) {
                let mut all = state.links.clone();
                all.push(link);
                links = Some(all);
            }
            state.place = found.place;
            state.backing = if upper { found.stat.ino } else { 0 };
            match (&mut state.body, found.body) {
                (Body::Dir(old), Body::Dir(mut new)) => {
                    // Keep the objects whose descriptors are cached when they mean the same.
                    if same_dirs(&old.lowers, &new.lowers) {
                        new.lowers = std::mem::take(&mut old.lowers);
                    }
                    new.inherits = old.inherits;
                    *old = new;
                }
                (body, new) => *body = new,
            }
        }
        if let Some(links) = links {
            self.nodes.set_links(node, links);
        }
    }

    /// Present place of `node`, brought up to the view's generation.
    pub(super) fn place(&self, view: &View, node: &Arc<Node>) -> Result<Place> {
        {
            let state = node.state.read();
            if state.place.generation == view.generation {
                return Ok(state.place.clone());
            }
        }
        self.follow_reload(view, node)
    }

    /// Place of `name` in `parent`.
    pub(super) fn child_place(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
    ) -> Result<Place> {
        Ok(view.step(&self.place(view, parent)?, name))
    }

    /// What `name` in `parent` is; none if nothing is shown there.
    pub(super) fn find(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
    ) -> Result<Option<Found>> {
        let place = self.child_place(view, parent, name)?;
        self.find_at(view, parent, name, place)
    }

    /// [`Overlay::find`] for a listing, which takes the root of a rule as it was last seen.
    pub(super) fn find_listed(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
    ) -> Result<Option<Found>> {
        let place = self.child_place(view, parent, name)?;
        if let Some((identity, stat)) = seen(view, &place) {
            return Ok(Some(Found {
                identity,
                stat,
                body: opaque_dir(),
                place,
            }));
        }
        self.find_at(view, parent, name, place)
    }

    pub(super) fn find_at(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
        place: Place,
    ) -> Result<Option<Found>> {
        if is_work_dir(parent, name) {
            return Ok(None);
        }
        let root = place.is_rule_root(view);
        let region = Arc::clone(&place.region);
        let found = if region.is_opaque() {
            if root {
                self.seed(&region)?;
            }
            match region.store.as_ref().filter(|_| root) {
                None => self.find_opaque(parent, name, &region, &place)?,
                Some(store) => {
                    let before = store.epoch();
                    let found = self.find_opaque(parent, name, &region, &place)?;
                    let _names = store.names.read_recursive();
                    if before == store.epoch() {
                        region.see(found.stat());
                    }
                    found
                }
            }
        } else {
            self.find_union(view, parent, name, &region, &place, root)?
        };
        match found {
            Search::Found(found) => Ok(Some(*found)),
            Search::Deleted => Ok(None),
            Search::Absent if root && !region.is_opaque() => {
                self.create_listed(view, parent, name, &place)
            }
            Search::Absent if !root && self.has_rules(view, &place) => {
                self.show_parent(view, parent, name, &place)
            }
            Search::Absent => Ok(None),
        }
    }

    fn has_rules(&self, view: &View, place: &Place) -> bool {
        place
            .pos
            .is_some_and(|pos| view.policy.has_rules_below(pos))
    }

    fn find_opaque(
        &self,
        parent: &Arc<Node>,
        name: &[u8],
        region: &Arc<Region>,
        place: &Place,
    ) -> Result<Search> {
        let Some(store) = &region.store else {
            return Ok(Search::Absent);
        };
        let Some(dir) = self.store_dir(parent, store)? else {
            return Ok(Search::Absent);
        };
        super::metrics::count(&store.layer.counters.lookups);
        let stat = match stat_at(&*dir, name) {
            Ok(stat) => stat,
            Err(e) if lower::is_absent(e) => return Ok(Search::Absent),
            Err(e) => return Err(e),
        };
        let body = if stat.is_dir() {
            opaque_dir()
        } else {
            Body::Upper { indexed: false }
        };
        Search::found(store.layer.identity(&stat), stat, body, place)
    }

    fn find_union(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
        region: &Arc<Region>,
        place: &Place,
        root: bool,
    ) -> Result<Search> {
        let mut upper = None;
        let mut redirect = None;
        if let Some(store) = &region.store
            && let Some(dir) = self.store_dir(parent, store)?
        {
            super::metrics::count(&store.layer.counters.lookups);
            match stat_at(&*dir, name) {
                Ok(stat) if store.is_whiteout(&*dir, name, &stat) => return Ok(Search::Deleted),
                Ok(stat) => {
                    let identity = upper_identity(store, &dir, name, &stat);
                    if !stat.is_dir() {
                        return self.upper_file(store, identity, stat, place);
                    }
                    let opaque = is_opaque(&dir, name);
                    redirect = xattr::get(&*dir, name, store::XATTR_REDIRECT).ok();
                    upper = Some((stat, identity, opaque));
                }
                Err(e) if lower::is_absent(e) => {}
                Err(e) => return Err(e),
            }
        }
        if let Some((stat, identity, true)) = upper {
            return Search::found(identity, stat, opaque_dir(), place);
        }
        let below = match &redirect {
            Some(path) => LowerHit::Dirs {
                dirs: self.redirected(region, path)?,
                // Attributes and identity come from the upper directory.
                stat: upper.map_or_else(|| self.synthetic(FileType::Directory, 0o755), |u| u.0),
                identity: 0,
            },
            None if root && !continues(parent, region) => {
                let path = parent.path().ok_or(Errno::NOENT)?;
                let dirs: Vec<_> = region
                    .lowers()
                    .iter()
                    .map(|layer| LayerDir::transient(layer, &path))
                    .collect();
                if region.placement == Placement::Concat
                    && upper.is_none()
                    && let Some(found) = self.find_concat(view, &dirs, name, place)?
                {
                    return Ok(Search::Found(Box::new(found)));
                }
                lower::lookup(&self.fds, &dirs, name)?
            }
            None => lower::lookup(&self.fds, &parent.dir_body().lowers, name)?,
        };
        match (upper, below) {
            (None, LowerHit::None) => Ok(Search::Absent),
            (None, LowerHit::File { dir, stat }) => self.lower_file(region, dir, name, stat, place),
            (
                None,
                LowerHit::Dirs {
                    dirs,
                    stat,
                    identity,
                },
            ) => {
                let body = DirBody {
                    upper: if region.store.is_some() {
                        Presence::Unknown
                    } else {
                        Presence::Absent
                    },
                    lowers: dirs,
                    told: (region.lower_ttl() == FOREVER).then_some((stat.mtime, stat.ctime)),
                    ..DirBody::default()
                };
                Search::found(identity, stat, Body::Dir(body), place)
            }
            (Some((stat, identity, _)), below) => {
                let lowers = match below {
                    LowerHit::Dirs { dirs, .. } => dirs,
                    _ => Vec::new(),
                };
                let body = DirBody {
                    upper: Presence::Present,
                    lowers,
                    ..DirBody::default()
                };
                Search::found(identity, stat, Body::Dir(body), place)
            }
        }
    }

    /// A file of the store; if it has several lower names it is reached through the index.
    fn upper_file(
        &self,
        store: &Store,
        identity: u64,
        mut stat: Stat,
        place: &Place,
    ) -> Result<Search> {
        let mut indexed = false;
        if stat.nlink > 1 && ident::layer_of(identity) != store.id() {
            indexed = self.fix_indexed_nlink(store, identity, &mut stat);
        }
        Search::found(identity, stat, Body::Upper { indexed }, place)
    }

    /// A file of a read-only layer, unless it was copied up under another of its names.
    fn lower_file(
        &self,
        region: &Arc<Region>,
        dir: Arc<LayerDir>,
        name: &[u8],
        stat: Stat,
        place: &Place,
    ) -> Result<Search> {
        let identity = dir.layer.identity(&stat);
        let mut stat = stat;
        if let Some(store) = region.store.as_ref().filter(|_| region.copies_up()) {
            super::attr::subtract_gone(store, identity, &mut stat);
        }
        if stat.nlink > 1
            && region.copies_up()
            && let Some(store) = &region.store
            && let Some(found) = self.find_indexed(store, identity, place)?
        {
            return Ok(Search::Found(Box::new(found)));
        }
        let body = Body::Lower {
            dir,
            name: name.into(),
        };
        Search::found(identity, stat, body, place)
    }

    /// The copied-up file with `identity`, if the index has it.
    pub(super) fn find_indexed(
        &self,
        store: &Store,
        identity: u64,
        place: &Place,
    ) -> Result<Option<Found>> {
        match stat_at(store.index(), &Store::index_name(identity)) {
            Ok(mut stat) => {
                self.fix_indexed_nlink(store, identity, &mut stat);
                Ok(Some(Found {
                    identity,
                    stat,
                    body: Body::Upper { indexed: true },
                    place: place.clone(),
                }))
            }
            Err(e) if lower::is_absent(e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Lower directories a renamed directory still shows.
    fn redirected(&self, region: &Region, path: &[u8]) -> Result<Vec<Arc<LayerDir>>> {
        let mut dirs = Vec::new();
        for layer in region.lowers() {
            let dir = LayerDir::new(layer, path);
            match lower::open_dir(&self.fds, &dir) {
                Ok(_) => dirs.push(dir),
                Err(e) if lower::is_absent(e) => {}
                Err(e) => return Err(e),
            }
        }
        Ok(dirs)
    }
}

/// Whether `region` begins in a directory of a union that differs from it by its rule alone: what was removed, moved or made
/// anew there stays so when a rule is added below it.
pub(super) fn continues(parent: &Node, region: &Region) -> bool {
    let around = Arc::clone(&parent.state.read().place.region);
    let volatile = |region: &Region| region.placement == Placement::Volatile;
    volatile(&around) && volatile(region) && around.shares_store_with(region)
}

/// Longest name, as `limits.h` has it.
pub const NAME_MAX: usize = 255;

/// Outcome of a search.
#[derive(Debug)]
enum Search {
    Found(Box<Found>),
    /// Deleted in the store: nothing below shows.
    Deleted,
    Absent,
}

/// Identity and attributes of a rule's root as it was last seen, where to ask may be to wait for a server.
fn seen(view: &View, place: &Place) -> Option<(u64, Stat)> {
    let store = place.region.store.as_ref()?;
    let stat = place.region.seen().filter(|_| place.is_rule_root(view))?;
    Some((store.layer.identity(&stat), stat))
}

/// A directory of a store that nothing shows through.
pub(super) fn opaque_dir() -> Body {
    Body::Dir(DirBody {
        upper: Presence::Present,
        opaque: true,
        ..DirBody::default()
    })
}

impl Search {
    fn stat(&self) -> Option<&Stat> {
        match self {
            Search::Found(found) => Some(&found.stat),
            Search::Deleted | Search::Absent => None,
        }
    }

    fn found(identity: u64, stat: Stat, body: Body, place: &Place) -> Result<Search> {
        Ok(Search::Found(Box::new(Found {
            identity,
            stat,
            body,
            place: place.clone(),
        })))
    }
}

/// Whether a known node can stand for what was found in `parent`. Layers change behind our back
/// and reuse inode numbers, so an equal identity is not enough: content, store and place in the
/// tree must agree as well. What does not fit is given another number.
fn fits(node: &Node, parent: &Node, found: &Found) -> bool {
    let (open, upper) = (node.is_open(), found.is_upper());
    {
        let state = node.state.read();
        let same_file = state.backing == 0 || !upper || state.backing == found.stat.ino;
        let same_store = match (&state.place.region.store, &found.place.region.store) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b),
            _ => false,
        };
        let good = match &state.body {
            _ if state.dead => false,
            Body::Orphan(_) | Body::Gone(_) => false,
            Body::Upper { .. } => upper && same_file,
            Body::Lower { .. } | Body::Concat { .. } => !upper || !open,
            Body::Dir(_) | Body::Symlink(_) => return !is_at_or_above(node, parent),
        };
        // A reload may move a file between rules; what is open stays what it is.
        if !good || !(same_store || !open && found.stat.nlink <= 1) {
            return false;
        }
    }
    true
}

/// Whether `node` is `dir` or a directory above it.
fn is_at_or_above(node: &Node, dir: &Node) -> bool {
    if node.ino == dir.ino {
        return true;
    }
    let mut at = dir.link();
    for _ in 0..super::node::MAX_DEPTH {
        match at {
            Some(link) if link.parent.ino == node.ino => return true,
            Some(link) => at = link.parent.link(),
            None => return false,
        }
    }
    true
}

fn same_dirs(a: &[Arc<LayerDir>], b: &[Arc<LayerDir>]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .all(|(a, b)| Arc::ptr_eq(&a.layer, &b.layer) && a.path == b.path)
}
