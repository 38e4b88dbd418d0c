//! Another policy for a running mount.
//!
//! A reload builds the new view beside the old one, refuses it if something of the node's own
//! would have to move between stores, gives new persistent and local paths their first content,
//! and then swaps the views between two requests. What is below the changed paths is looked up
//! anew: nodes that still mean the same are kept, the others live on for whoever has them open,
//! and the kernel is told to forget the names.

use super::ident;
use super::node::Body;
use super::node::Node;
use super::plan::{Changed, Effect, changes, text};
use super::view::{Layers, Place, View, ViewError};
use super::{Overlay, root_body};
use crate::sys::Result;
use rustc_hash::FxHashSet;
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
    /// A store could not be asked what it has, or first content not be copied.
    #[error("{path}: the {placement} store cannot be asked or seeded: {errno}")]
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
    /// Paths with files of the node's own that stay in a persistent or local store and are no longer shown.
    #[serde(default)]
    pub left: Vec<String>,
    /// Names and inodes the kernel was told to forget.
    pub invalidated: usize,
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
            match change.effect(self)? {
                Effect::Refused => {
                    return Err(ReloadError::Carry {
                        path: text(&change.path),
                        from: change.from.placement,
                        to: change.to.placement,
                    });
                }
                Effect::Parked => report.parked.push(text(&change.path)),
                Effect::Left => report.left.push(text(&change.path)),
                _ => {}
            }
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
        self.fds.clear();
        self.kept.clear();
        self.listings.lock().clear();
        report.invalidated = self.invalidate(&changed, everything, kernel);
        self.left_behind(&changed, &mut report);
        Ok(report)
    }

    /// What was written between the check and the change, when it was too late to refuse: it is kept, and said to be parked.
    fn left_behind(&self, changed: &[Changed], report: &mut ReloadReport) {
        for change in changed {
            let path = text(&change.path);
            if !report.parked.contains(&path) && change.leaves_volatile(self) {
                tracing::warn!(
                    "{path} was written while its rule changed: that stays in its former store"
                );
                report.parked.push(path);
            }
        }
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
