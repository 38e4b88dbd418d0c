//! Another policy for a running mount.
//!
//! A reload builds the new view beside the old one, refuses it if something of the node's own
//! would have to move between stores, gives new persistent and local paths their first content,
//! and then swaps the views between two requests. What is below the changed paths is looked up
//! anew: nodes that still mean the same are kept, the others live on for whoever has them open,
//! and the kernel is told to forget the names.

use super::ident;
use super::lower::is_absent;
use super::node::Body;
use super::node::Node;
use super::region::Region;
use super::store::Store;
use super::view::{Layers, Place, View, ViewError};
use super::{Overlay, root_body};
use crate::sys::Result;
use crate::sys::stat::stat_at;
use rustc_hash::FxHashSet;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use statelite_policy::{Placement, PolicyTree};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Tells the kernel what to forget.
pub trait Invalidate {
    /// Name `name` in directory `parent`, with all that is cached below it. `path` is the path in
    /// the view: a directory that others have mounted something in must not lose the mount.
    fn entry(&self, parent: u64, name: &[u8], path: &[u8]) -> Dropped;
    /// Attributes and pages of `ino`.
    fn inode(&self, ino: u64);
}

/// How much the kernel forgot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The name with all below it.
    All,
    /// The name; what is cached below it, absent names among it, stays.
    NameOnly,
}

/// Why a reload was refused. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The policy needs a layer that is not there.
    #[error(transparent)]
    View(#[from] ViewError),
    /// The node's own files would have to move from one store to another.
    #[error(
        "{path}: {from} -> {to} would have to move this node's own files to another store, which a running mount does not do; remove the files or change the rule at the next boot"
    )]
    Carry {
        /// The path whose rule changes.
        path: String,
        /// Where its files are.
        from: Placement,
        /// Where they would have to be.
        to: Placement,
    },
    /// First content could not be copied.
    #[error("{path}: cannot seed the {placement} store: {errno}")]
    Seed {
        /// The path to be seeded.
        path: String,
        /// The store.
        placement: Placement,
        /// What went wrong.
        errno: Errno,
    },
}

/// What a reload did.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct ReloadReport {
    /// Number of the view now in force.
    pub generation: u64,
    /// Paths whose placement or sources changed.
    pub changed: Vec<String>,
    /// Paths with files of the node's own that are kept but no longer shown.
    pub parked: Vec<String>,
    /// Names and inodes the kernel was told to forget.
    pub invalidated: usize,
}

/// A changed path.
#[derive(Debug)]
struct Changed {
    path: Vec<u8>,
    from: Arc<Region>,
    to: Arc<Region>,
}

impl Changed {
    /// Whether the node has files of its own there that the new rule would not show.
    fn leaves_files(&self) -> bool {
        let Some(store) = &self.from.store else {
            return false;
        };
        if self.from.copies_up() {
            !self.to.copies_up() && has_own_files(store, &self.path)
        } else {
            self.to.store.is_some()
                && self.from.placement != self.to.placement
                && exists(store, &self.path)
        }
    }
}

/// What was written between the check and the change, when it was too late to refuse: it is kept, and said to be parked.
fn left_behind(changed: &[Changed], report: &mut ReloadReport) {
    for change in changed {
        let path = text(&change.path);
        if !report.parked.contains(&path) && change.leaves_files() {
            tracing::warn!(
                "{path} was written while its rule changed: that stays in its former store"
            );
            report.parked.push(path);
        }
    }
}

impl Overlay {
    /// Puts `policy` over `layers` in force. With `everything`, the kernel also forgets what has
    /// not changed: a new generation of published layers.
    ///
    /// # Errors
    /// See [`ReloadError`].
    pub fn reload(
        &self,
        policy: PolicyTree,
        layers: Layers,
        everything: bool,
        kernel: &dyn Invalidate,
    ) -> std::result::Result<ReloadReport, ReloadError> {
        let old = self.view();
        let new = View::new(old.generation + 1, policy, layers, Some(&old))?;
        let changed = changes(&old, &new);
        let mut report = ReloadReport {
            generation: new.generation,
            ..ReloadReport::default()
        };
        for change in &changed {
            report.changed.push(text(&change.path));
            self.check_change(change, &mut report)?;
        }
        for change in changed.iter().filter(|c| c.to.is_opaque()) {
            self.seed(&change.to).map_err(|errno| ReloadError::Seed {
                path: text(&change.path),
                placement: change.to.placement,
                errno,
            })?;
        }
        *self.view.write() = Arc::new(new);
        wait_for_users(&old);
        left_behind(&changed, &mut report);
        self.fds.clear();
        self.kept.clear();
        self.listings.lock().clear();
        report.invalidated = self.invalidate(&changed, everything, kernel);
        Ok(report)
    }

    fn check_change(
        &self,
        change: &Changed,
        report: &mut ReloadReport,
    ) -> std::result::Result<(), ReloadError> {
        let (from, to) = (&change.from, &change.to);
        if !change.leaves_files() {
            return Ok(());
        }
        if from.is_opaque() || to.is_opaque() {
            return Err(ReloadError::Carry {
                path: text(&change.path),
                from: from.placement,
                to: to.placement,
            });
        }
        report.parked.push(text(&change.path));
        Ok(())
    }

    /// Place of `node` in the present view, and its content if that changed with the rule.
    pub(super) fn follow_reload(&self, view: &View, node: &Arc<Node>) -> Result<Place> {
        let old = node.state.read().place.clone();
        if old.generation > view.generation {
            // A newer view has been here; this operation began before it.
            return Ok(old);
        }
        if node.ino == ident::ROOT {
            let place = view.root();
            let mut state = node.state.write();
            if !Arc::ptr_eq(&state.place.region, &place.region) {
                state.body = Body::Dir(root_body(&place.region));
            }
            state.place = place.clone();
            return Ok(place);
        }
        let link = match node.link() {
            Some(link) if !node.is_dead() => link,
            _ => return Ok(self.stay(view, node, old)),
        };
        let parent = self.place(view, &link.parent)?;
        let place = view.step(&parent, &link.name);
        if Arc::ptr_eq(&old.region, &place.region) {
            node.state.write().place = place.clone();
            return Ok(place);
        }
        let found = self.find_at(view, &link.parent, &link.name, place.clone());
        match found {
            Ok(Some(found))
                if found.identity == node.identity
                    && found.stat.kind == node.kind
                    && (!node.is_open() || found.is_upper() == is_upper(node)) =>
            {
                let mut state = node.state.write();
                state.body = found.body;
                state.place = place.clone();
                Ok(place)
            }
            Ok(_) => {
                node.state.write().dead = true;
                Ok(self.stay(view, node, old))
            }
            Err(e) => Err(e),
        }
    }

    /// A node without a name in the view goes on as what it was.
    fn stay(&self, view: &View, node: &Node, old: Place) -> Place {
        let place = Place {
            generation: view.generation,
            pos: None,
            region: old.region,
        };
        node.state.write().place = place.clone();
        place
    }

    /// Has the kernel forget each name a directory now shows: it may believe them to be absent.
    fn drop_names_in(&self, node: &Arc<Node>, path: &[u8], kernel: &dyn Invalidate) -> usize {
        let Ok(listing) = self.list(&self.view(), node) else {
            return 0;
        };
        let names = listing.after(0);
        for entry in names {
            kernel.entry(
                node.ino,
                &entry.name,
                &super::layer::join(path, &entry.name),
            );
        }
        names.len()
    }

    fn invalidate(&self, changed: &[Changed], everything: bool, kernel: &dyn Invalidate) -> usize {
        if changed.is_empty() && !everything {
            return 0;
        }
        let paths: FxHashSet<&[u8]> = changed.iter().map(|c| c.path.as_slice()).collect();
        // Names on the way to a changed path: they may appear or go with it.
        let mut on_the_way: FxHashSet<&[u8]> = FxHashSet::default();
        for path in &paths {
            for (at, _) in path.iter().enumerate().filter(|(_, b)| **b == b'/') {
                on_the_way.extend(path.get(..at));
            }
        }
        let nodes = self.nodes.all();
        let mut known: FxHashSet<Vec<u8>> = FxHashSet::default();
        let mut count = 0;
        for node in &nodes {
            let Some(path) = node.path() else { continue };
            let below = everything || is_below(&path, &paths);
            let synthetic = ident::layer_of(node.identity) == ident::SYNTHETIC;
            if (below || synthetic)
                && let Some(link) = node.link()
            {
                let dropped = kernel.entry(link.parent.ino, &link.name, &path);
                count += 1;
                if dropped == Dropped::NameOnly && node.is_dir() {
                    count += self.drop_names_in(node, &path, kernel);
                }
            } else if below && node.ino == ident::ROOT {
                count += self.drop_names_in(node, &path, kernel);
            }
            if below {
                node.with_dir(|body| body.told = None);
                kernel.inode(node.ino);
                count += 1;
            }
            if node.is_dir() || on_the_way.contains(path.as_slice()) {
                known.insert(path);
            }
        }
        for node in nodes.iter().filter(|node| node.is_dir()) {
            let Some(path) = node.path() else { continue };
            let mut touched = false;
            for target in paths.iter().chain(&on_the_way) {
                let Some(name) = direct_child(&path, target) else {
                    continue;
                };
                if paths.contains(target) || !known.contains(*target) {
                    kernel.entry(node.ino, name, target);
                    count += 1;
                    touched = true;
                }
            }
            if touched {
                kernel.inode(node.ino);
                count += 1;
            }
        }
        count
    }
}

fn is_upper(node: &Node) -> bool {
    match node.body() {
        Body::Upper { .. } => true,
        Body::Dir(_) => node.dir_body().upper == super::node::Presence::Present,
        _ => false,
    }
}

/// Waits until operations that began with the old view have ended. One that hangs on a dead
/// server is not waited for: it can only answer for what was true when it was asked.
fn wait_for_users(old: &Arc<View>) {
    let deadline = Instant::now() + LONGEST_OPERATION;
    while Arc::strong_count(old) > 1 {
        if Instant::now() > deadline {
            tracing::warn!("a request from before the reload is still waiting for its layer");
            return;
        }
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// How long a reload waits for requests that are under way.
const LONGEST_OPERATION: Duration = Duration::from_secs(10);

/// Paths (without leading slash) whose region differs between two views.
fn changes(old: &View, new: &View) -> Vec<Changed> {
    let mut paths: Vec<Vec<u8>> = vec![Vec::new()];
    for region in old.regions().chain(new.regions()) {
        let path = region.path.strip_prefix(b"/").unwrap_or(&region.path);
        paths.push(path.to_vec());
    }
    paths.sort();
    paths.dedup();
    paths
        .into_iter()
        .filter_map(|path| {
            let (from, to) = (old.place(&path).region, new.place(&path).region);
            let same = Arc::ptr_eq(&from, &to) || from.same_as(&to);
            (!same).then_some(Changed { path, from, to })
        })
        .collect()
}

fn is_below(path: &[u8], roots: &FxHashSet<&[u8]>) -> bool {
    roots.contains(path)
        || roots.contains(&b""[..])
        || path
            .iter()
            .enumerate()
            .filter(|(_, b)| **b == b'/')
            .any(|(at, _)| path.get(..at).is_some_and(|p| roots.contains(p)))
}

/// Name of `path` in directory `dir`, if it is directly in it.
fn direct_child<'a>(dir: &[u8], path: &'a [u8]) -> Option<&'a [u8]> {
    let rest = if dir.is_empty() {
        path
    } else {
        path.strip_prefix(dir)?.strip_prefix(b"/")?
    };
    (!rest.is_empty() && !rest.contains(&b'/')).then_some(rest)
}

fn text(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

fn exists(store: &Store, path: &[u8]) -> bool {
    let found = store.layer.open_at(path, OFlags::PATH | OFlags::NOFOLLOW);
    found.map_or_else(|error| !is_absent(error), |_| true)
}

/// Whether the store has anything at `path` but directories made to hold something.
fn has_own_files(store: &Store, path: &[u8]) -> bool {
    match store.layer.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(fd) => holds_files(&fd),
        Err(e) => !is_absent(e),
    }
}

fn holds_files(fd: &OwnedFd) -> bool {
    let is_dir = stat_at(fd, b"").is_ok_and(|st| st.is_dir());
    if !is_dir {
        return true;
    }
    let Ok(entries) = crate::sys::dir::read(fd.as_fd()) else {
        return true;
    };
    entries.iter().any(|entry| {
        let flags = OFlags::PATH | OFlags::NOFOLLOW;
        match crate::sys::lease::openat(fd.as_fd(), &entry.name, flags) {
            Ok(fd) => holds_files(&fd),
            Err(error) => !is_absent(error),
        }
    })
}
