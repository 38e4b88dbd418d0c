//! What another policy does to the node's own files, path by path, before anything happens.

use super::super::Overlay;
use super::super::lower::is_absent;
use super::super::node::Node;
use super::super::region::Region;
use super::super::seed;
use super::super::store::Store;
use super::super::view::View;
use super::{Changed, text};
use crate::sys::stat::stat_at;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use statelite_policy::Placement;
use std::fmt;
use std::sync::Arc;

/// What happens to what the node has at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fate {
    /// It has nothing of its own there: the path shows what its new rule says.
    Nothing,
    /// It has nothing of its own there: the path is copied to the store first.
    Seeded,
    /// What the store had before shows again.
    Shown,
    /// Its changes stay as they are.
    Kept,
    /// What it shows now, deletions included, is carried over to the new place.
    Carried,
    /// Its changes stay in memory and are no longer shown.
    Parked,
    /// What is in the store stays there and is no longer shown.
    Stored,
}

impl Fate {
    /// Whether something of the node's own would no longer be shown.
    #[must_use]
    pub fn hides(self) -> bool {
        matches!(self, Fate::Parked | Fate::Stored)
    }
}

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Fate::Nothing => "nothing of the node's own is there",
            Fate::Seeded => "copied to the store first",
            Fate::Shown => "what is in the store shows again",
            Fate::Kept => "the node's changes stay",
            Fate::Carried => "the node's files are carried over",
            Fate::Parked => "the node's changes are kept but no longer shown",
            Fate::Stored => "the node's files stay in the store but are no longer shown",
        })
    }
}

/// What happens at one path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Planned {
    /// The path.
    pub path: String,
    /// Where its files live now.
    pub from: Placement,
    /// Where they are going to live.
    pub to: Placement,
    /// What happens to what the node has there.
    pub fate: Fate,
    /// Files in it that are open. What is carried over does not take along who has it open.
    pub open: usize,
}

/// What a reload would do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// All paths whose rule or sources change.
    pub changes: Vec<Planned>,
}

impl Plan {
    /// Whether something of the node's own would no longer be shown.
    #[must_use]
    pub fn hides(&self) -> bool {
        self.changes.iter().any(|change| change.fate.hides())
    }
}

impl Overlay {
    /// What happens at each of `changed`.
    pub(super) fn planned(&self, changed: &[Changed], old: &View, new: &View) -> Plan {
        let changes = changed.iter().map(|change| Planned {
            path: text(&change.path),
            from: change.from.placement,
            to: change.to.placement,
            fate: fate(change, old, new),
            open: self.open_in(change),
        });
        Plan {
            changes: changes.collect(),
        }
    }

    /// Files at the path that changes that are open.
    fn open_in(&self, change: &Changed) -> usize {
        let nodes = self.nodes.all();
        nodes
            .iter()
            .filter(|node| node.is_open() && concerns(node, change))
            .count()
    }

    /// Files at the path that changes that are open for writing.
    pub(super) fn written_in(&self, change: &Changed) -> usize {
        let mut writers = self.handles.writers();
        writers.sort_by_key(|node| node.ino);
        writers.dedup_by_key(|node| node.ino);
        writers.iter().filter(|node| concerns(node, change)).count()
    }
}

fn concerns(node: &Node, change: &Changed) -> bool {
    let of_region = Arc::ptr_eq(&node.state.read().place.region, &change.from);
    of_region && node.path().is_some_and(|path| is_in(&path, &change.path))
}

/// What happens at one path.
pub(super) fn fate(change: &Changed, old: &View, new: &View) -> Fate {
    let (from, to) = (&change.from, &change.to);
    let nested = |path: &[u8]| !Arc::ptr_eq(&old.place(path).region, from);
    let has_own = match &from.store {
        None => false,
        Some(store) if !from.copies_up() => has_content(store, &change.path),
        // To carry a directory too many over does no harm; to leave one behind would.
        Some(store) if to.is_opaque() => exists(store, &change.path),
        Some(store) => has_own_files(store, &change.path, &nested),
    };
    let same_store = match (&from.store, &to.store) {
        (Some(a), Some(b)) => Arc::ptr_eq(a, b),
        _ => false,
    };
    let waiting = |region: &Arc<Region>, store: &Arc<Store>| match region.is_opaque() {
        true => has_content(store, &change.path),
        false => has_own_files(store, &change.path, &|path| {
            !Arc::ptr_eq(&new.place(path).region, region)
        }),
    };
    match (has_own, &to.store) {
        (true, Some(_)) if same_store => Fate::Kept,
        (true, Some(_)) => Fate::Carried,
        (true, None) if from.is_opaque() => Fate::Stored,
        (true, None) => Fate::Parked,
        (false, Some(store)) if !same_store && waiting(to, store) => Fate::Shown,
        (false, Some(_)) if to.is_opaque() && !same_store => Fate::Seeded,
        (false, _) => Fate::Nothing,
    }
}

/// Whether `path` is `root` or below it.
pub(super) fn is_in(path: &[u8], root: &[u8]) -> bool {
    root.is_empty()
        || path
            .strip_prefix(root)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether an opaque store has been given `path`, be it that the node has removed it since.
fn has_content(store: &Store, path: &[u8]) -> bool {
    match path.is_empty() {
        true => seed::root_was_seeded(store),
        false => exists(store, path) || seed::was_seeded(store, path),
    }
}

fn exists(store: &Store, path: &[u8]) -> bool {
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    !matches!(store.layer.open_at(path, flags), Err(e) if is_absent(e))
}

/// Whether a union's store has anything at `path` but directories made to hold something, leaving out what is `nested`.
pub(super) fn has_own_files(store: &Store, path: &[u8], nested: &dyn Fn(&[u8]) -> bool) -> bool {
    match store.layer.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
        Ok(fd) => holds_files(&fd, path, nested),
        Err(e) => !is_absent(e),
    }
}

fn holds_files(fd: &OwnedFd, path: &[u8], nested: &dyn Fn(&[u8]) -> bool) -> bool {
    let is_dir = stat_at(fd, b"").is_ok_and(|st| st.is_dir());
    if !is_dir {
        return true;
    }
    let Ok(entries) = crate::sys::dir::read(fd.as_fd()) else {
        return true;
    };
    entries.iter().any(|entry| {
        let below = super::super::layer::join(path, &entry.name);
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        !nested(&below)
            && rustix::fs::openat(fd, &*entry.name, flags, Mode::empty())
                .is_ok_and(|fd| holds_files(&fd, &below, nested))
    })
}
