//! Copying what a region shows, changes and deletions included, to a place beside another store.
//!
//! The copy is made twice: first while the node goes on, then, with all operations held, once more for what has changed
//! since. A file is taken as copied if its number, size and times are the same as then, and the times were old enough then
//! that a later change must have given it others.

use super::super::copy::{Source, clone_attributes, copy_object};
use super::super::copyup::Amount;
use super::super::layer::join;
use super::super::node::{Body, Node, Version};
use super::super::region::Region;
use super::super::store::{self, Store, remove_tree};
use super::super::view::{Place, View};
use super::super::{Overlay, ident};
use crate::sys::stat::{Stat, stat_at};
use crate::sys::{Result, xattr};
use rustc_hash::{FxHashMap, FxHashSet};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How often a file is copied again that changes while it is copied.
const TRIES: usize = 5;
/// Within this time two changes may get the same time, here and on a server whose clock may be another.
const TICK: Duration = Duration::from_millis(100);
const TICK_REMOTE: Duration = Duration::from_secs(10);

/// What a region shows at a path, on its way to another store.
#[derive(Debug)]
pub(super) struct Carried<'a> {
    pub overlay: &'a Overlay,
    /// The views before and after; what another region shows in either is left out.
    pub old: &'a View,
    pub new: &'a View,
    pub path: &'a [u8],
    pub from: &'a Arc<Region>,
    pub to: &'a Arc<Region>,
    /// Where it goes.
    pub store: &'a Arc<Store>,
    /// The copy in that store's work directory, once there is one.
    pub aside: Vec<u8>,
    /// Whether something is shown at all.
    pub shown: bool,
    /// What has been copied, by path below the copy.
    done: FxHashMap<Vec<u8>, (u64, Version)>,
    /// Where a file with several names was copied to.
    links: FxHashMap<u64, Vec<u8>>,
    /// All operations are held.
    last: bool,
}

/// An object to be copied, and where to.
#[derive(Debug)]
struct Object<'a> {
    node: &'a Arc<Node>,
    stat: &'a Stat,
    /// Its places in both views.
    places: (&'a Place, &'a Place),
    to: BorrowedFd<'a>,
    name: &'a [u8],
    /// Path below the copy.
    below: Vec<u8>,
}

impl<'a> Carried<'a> {
    pub fn new(
        overlay: &'a Overlay,
        (old, new): (&'a View, &'a View),
        path: &'a [u8],
        (from, to): (&'a Arc<Region>, &'a Arc<Region>),
        store: &'a Arc<Store>,
    ) -> Carried<'a> {
        Carried {
            overlay,
            old,
            new,
            path,
            from,
            to,
            store,
            aside: store.tmp_name(),
            shown: false,
            done: FxHashMap::default(),
            links: FxHashMap::default(),
            last: false,
        }
    }

    /// Copies what is shown now. With `last` nothing may be left out.
    ///
    /// # Errors
    /// Those of layers and stores; `EBUSY` for a file that changes all the time.
    pub fn run(&mut self, last: bool) -> Result<()> {
        self.last = last;
        self.links.clear();
        let store = Arc::clone(self.store);
        let (parent, name) = match self.path.iter().rposition(|b| *b == b'/') {
            Some(at) => (
                self.path.get(..at).unwrap_or_default(),
                self.path.get(at + 1..).unwrap_or_default(),
            ),
            None => (&b""[..], self.path),
        };
        let mut held = Vec::new();
        let found = self
            .walk(parent, &mut held)
            .and_then(|dir| self.overlay.enter(self.old, &dir, name));
        let result = match found {
            Ok(entry) => {
                held.push(entry.node.ino);
                self.shown = true;
                let (old, new) = (self.old.place(self.path), self.new.place(self.path));
                let aside = self.aside.clone();
                self.object(&Object {
                    node: &entry.node,
                    stat: &entry.stat,
                    places: (&old, &new),
                    to: store.work(),
                    name: &aside,
                    below: Vec::new(),
                })
                .map(drop)
            }
            Err(Errno::NOENT | Errno::NOTDIR) => {
                self.shown = false;
                match remove_tree(store.work(), &self.aside) {
                    Err(Errno::NOENT) => Ok(()),
                    other => other,
                }
            }
            Err(e) => Err(e),
        };
        for ino in held {
            self.overlay.nodes.release(ino, 1);
        }
        result
    }

    /// The directory at `path`; what was looked up on the way is in `held`.
    pub(super) fn walk(&self, path: &[u8], held: &mut Vec<u64>) -> Result<Arc<Node>> {
        let mut at = self.overlay.node(ident::ROOT)?;
        for name in path.split(|b| *b == b'/').filter(|name| !name.is_empty()) {
            at = self.overlay.enter(self.old, &at, name)?.node;
            held.push(at.ino);
        }
        Ok(at)
    }

    /// Copies anything. False if it is not to be in the copy.
    fn object(&mut self, object: &Object<'_>) -> Result<bool> {
        match object.stat.kind {
            FileType::Directory => self.directory(object).map(|()| true),
            // Its server is listening to the old one.
            FileType::Socket => Ok(false),
            _ => self.file(object).map(|()| true),
        }
    }

    fn directory(&mut self, object: &Object<'_>) -> Result<()> {
        let here = open_made(object.to, object.name)?;
        let listing = self.overlay.list(self.old, object.node)?;
        let mut copied: FxHashSet<&[u8]> = FxHashSet::default();
        for entry in listing.after(0) {
            let name = &*entry.name;
            let places = (
                self.old.step(object.places.0, name),
                self.new.step(object.places.1, name),
            );
            if !Arc::ptr_eq(&places.0.region, self.from) || !Arc::ptr_eq(&places.1.region, self.to)
            {
                continue;
            }
            let found = match self.overlay.enter(self.old, object.node, name) {
                Ok(found) => found,
                Err(Errno::NOENT) => continue,
                Err(Errno::STALE) if !self.last => continue,
                Err(e) => return Err(e),
            };
            let below = Object {
                node: &found.node,
                stat: &found.stat,
                places: (&places.0, &places.1),
                to: here.as_fd(),
                name,
                below: join(&object.below, name),
            };
            let result = self.object(&below);
            self.overlay.nodes.release(found.node.ino, 1);
            match result {
                Ok(true) => {
                    copied.insert(name);
                }
                Ok(false) => {}
                // Gone or changed meanwhile; the last run sees what it has become.
                Err(Errno::NOENT | Errno::STALE | Errno::BUSY) if !self.last => {}
                Err(e) => {
                    tracing::warn!("{}: {e}", String::from_utf8_lossy(&self.full(&below.below)));
                    return Err(e);
                }
            }
        }
        for entry in crate::sys::dir::read(&here)? {
            if !copied.contains(&*entry.name) {
                remove_tree(&here, &entry.name)?;
            }
        }
        let stat = self.overlay.stat(self.old, object.node)?;
        self.overlay
            .on_node(self.old, object.node, |dir, name| {
                drop_xattrs(dir, name, object.to, object.name)?;
                clone_attributes(&Source { dir, name }, object.to, object.name, &stat)
            })
            .or_else(|e| match e {
                // A directory that is in no layer has no attributes of its own.
                Errno::NODATA => super::super::copy::set_attributes(object.to, object.name, &stat),
                e => Err(e),
            })
    }

    fn full(&self, below: &[u8]) -> Vec<u8> {
        join(&join(b"/", self.path), below)
    }

    fn file(&mut self, object: &Object<'_>) -> Result<()> {
        let (to, name) = (object.to, object.name);
        if object.stat.nlink > 1 {
            if let Some(first) = self.links.get(&object.node.ino) {
                // A further name of what has been copied.
                let first = join(&self.aside, first);
                clear(to, name)?;
                return rustix::fs::linkat(
                    self.store.work(),
                    first.as_slice(),
                    to,
                    name,
                    AtFlags::empty(),
                );
            }
            self.links.insert(object.node.ino, object.below.clone());
        }
        let mut stat = *object.stat;
        for _ in 0..TRIES {
            let version = (object.node.identity, Version::of(&stat));
            if self.done.get(&object.below) == Some(&version) && stat_at(to, name).is_ok() {
                return Ok(());
            }
            clear(to, name)?;
            match self.copy(object, &stat) {
                Ok(()) => {
                    if self.is_old(&stat) {
                        self.done.insert(object.below.clone(), version);
                    } else {
                        self.done.remove(&object.below);
                    }
                    return Ok(());
                }
                // It was changed while it was copied, perhaps by somebody whom nothing holds: who has it open.
                Err(Errno::STALE) => stat = self.overlay.stat(self.old, object.node)?,
                Err(e) => return Err(e),
            }
        }
        Err(Errno::BUSY)
    }

    fn copy(&self, object: &Object<'_>, stat: &Stat) -> Result<()> {
        let (to, name) = (object.to, object.name);
        match object.node.body() {
            Body::Upper { .. } => {
                let from = self.from.store.as_ref().ok_or(Errno::STALE)?;
                self.overlay.at_upper(object.node, from, |dir, source| {
                    let source = Source { dir, name: source };
                    // The link count as it is shown is not that of the file.
                    let now = stat_at(source.dir, source.name)?;
                    copy_object(to, name, &source, &now, Amount::All, self.store)
                })?;
            }
            body => {
                self.overlay
                    .copy_file(self.store, (to, name), &body, stat, Amount::All)?;
                if let Body::Lower { dir, name: source } = &body {
                    self.overlay.copy_capability((dir, source), to, name)?;
                }
            }
        }
        if stat.is_whiteout() && self.to.copies_up() {
            // A device that somebody has made.
            xattr::set(to, name, store::XATTR_DEVICE, b"y", 0)?;
        }
        Ok(())
    }

    /// Whether a later change must show in the times.
    fn is_old(&self, stat: &Stat) -> bool {
        let remote = self.from.store.as_ref().is_some_and(|s| s.layer.remote)
            || self.from.sources.iter().any(|layer| layer.remote);
        let tick = if remote { TICK_REMOTE } else { TICK };
        let last = stat.mtime.max(stat.ctime);
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            return false;
        };
        let last = Duration::new(u64::try_from(last.sec).unwrap_or(0), last.nsec);
        now.saturating_sub(last) > tick
    }
}

/// Directory `name` of `dir`, made if need be; whatever else is there goes.
fn open_made(dir: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd> {
    if !stat_at(dir, name).is_ok_and(|st| st.is_dir()) {
        clear(dir, name)?;
        rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o700))?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

fn clear(dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
    match remove_tree(dir, name) {
        Err(Errno::NOENT) => Ok(()),
        other => other,
    }
}

/// Removes attributes of a copy that its original does not have any more.
fn drop_xattrs(
    from: BorrowedFd<'_>,
    from_name: &[u8],
    copy: BorrowedFd<'_>,
    copy_name: &[u8],
) -> Result<()> {
    let names = |dir: BorrowedFd<'_>, name: &[u8]| match xattr::list(dir, name) {
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NODATA) => Ok(Vec::new()),
        other => other,
    };
    let wanted = names(from, from_name)?;
    for key in names(copy, copy_name)?
        .split(|b| *b == 0)
        .filter(|key| !key.is_empty())
    {
        if !wanted.split(|b| *b == 0).any(|name| name == key) {
            match xattr::remove(copy, copy_name, key) {
                // Labels that the store gives by itself.
                Err(Errno::PERM | Errno::ACCESS | Errno::OPNOTSUPP | Errno::NODATA) | Ok(()) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(())
}
