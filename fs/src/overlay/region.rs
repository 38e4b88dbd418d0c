//! Regions: the parts of the tree in which one rule decides.
//!
//! A region is a subtree (or a file) with one placement and one set of sources, cut where deeper
//! rules begin. Where to look, what a write does, what to invalidate and what to count are
//! properties of the region; nothing else in the overlay looks at a placement.

use super::layer::{FOREVER, Freshness, LIVE_TTL, Layer};
use super::store::Store;
use crate::sys::stat::Stat;
use parking_lot::Mutex;
use statelite_policy::{Placement, Rule};
use std::sync::Arc;
use std::time::Duration;

/// How far an opaque store (persistent, local) has got its first content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seed {
    /// Not looked at in this run.
    Unknown,
    /// The store holds the content; sources are not looked at any more.
    Done,
}

/// A part of the tree with one placement and one set of sources.
#[derive(Debug)]
pub struct Region {
    /// Path of its root, absolute; `/` for the image region.
    pub path: Box<[u8]>,
    /// The rule that made it; none for the image region.
    pub rule: Option<Rule>,
    /// Where its files live.
    pub placement: Placement,
    /// Where changes go; none if nothing may change.
    pub store: Option<Arc<Store>>,
    /// Read-only layers that show through, first match first. For an opaque store these are only
    /// what it is seeded from.
    pub sources: Arc<[Arc<Layer>]>,
    /// Progress of seeding; the lock is held while a seed runs.
    pub seed: Mutex<Seed>,
    /// Its root directory as it was last found in a store on a server; see [`Region::seen`].
    root: Mutex<Option<Stat>>,
    ttl: Duration,
}

impl Region {
    /// A region governed by `rule` (or the image region if none).
    pub fn new(
        path: &[u8],
        rule: Option<Rule>,
        store: Option<Arc<Store>>,
        sources: Arc<[Arc<Layer>]>,
    ) -> Region {
        let placement = rule.as_ref().map_or(Placement::Image, |r| r.placement);
        let live = sources.iter().any(|l| l.freshness == Freshness::Live);
        Region {
            path: path.into(),
            rule,
            placement,
            store,
            sources,
            seed: Mutex::new(Seed::Unknown),
            root: Mutex::new(None),
            ttl: if live { LIVE_TTL } else { FOREVER },
        }
    }

    /// Whether the store alone answers, once seeded.
    pub fn is_opaque(&self) -> bool {
        matches!(self.placement, Placement::Persistent | Placement::Local)
    }

    /// Whether lower files may be copied up, i.e. change identity of content under one number.
    pub fn copies_up(&self) -> bool {
        self.store.is_some() && !self.is_opaque()
    }

    /// Layers that show through under the store (none below an opaque store).
    pub fn lowers(&self) -> &[Arc<Layer>] {
        if self.is_opaque() { &[] } else { &self.sources }
    }

    /// How long the kernel may believe that a name is absent, or what a lower file looks like.
    pub fn lower_ttl(&self) -> Duration {
        if self.is_opaque() {
            self.store_ttl()
        } else {
            self.ttl
        }
    }

    /// How long the kernel may believe what a file of the store looks like.
    pub fn store_ttl(&self) -> Duration {
        match &self.store {
            // An administrator may edit a node's state on the server.
            Some(store) if store.layer.remote => LIVE_TTL,
            _ => FOREVER,
        }
    }

    /// Keeps what its root was found to be; none if it is not there.
    pub(super) fn see(&self, root: Option<&Stat>) {
        let waits = self.is_opaque() && self.store.as_ref().is_some_and(|store| store.layer.remote);
        *self.root.lock() = root.filter(|stat| waits && stat.is_dir()).copied();
    }

    /// Its root directory as it was last found in a store on a server: enough to list its name, which then does not wait
    /// until that server is back.
    pub(super) fn seen(&self) -> Option<Stat> {
        *self.root.lock()
    }

    /// Whether both show the same files and change them in the same way.
    pub fn same_as(&self, other: &Region) -> bool {
        self.placement == other.placement
            && self.path == other.path
            && same_store(self.store.as_ref(), other.store.as_ref())
            && self.same_sources(other)
    }

    /// Whether a directory can move between the two with nothing but a rename in the store.
    pub fn shares_store_with(&self, other: &Region) -> bool {
        self.is_opaque() == other.is_opaque()
            && self.store.is_some()
            && same_store(self.store.as_ref(), other.store.as_ref())
            && self.same_sources(other)
    }

    fn same_sources(&self, other: &Region) -> bool {
        self.sources.len() == other.sources.len()
            && self
                .sources
                .iter()
                .zip(other.sources.iter())
                .all(|(a, b)| Arc::ptr_eq(a, b))
    }
}

fn same_store(a: Option<&Arc<Store>>, b: Option<&Arc<Store>>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    }
}
