//! Directory listings.
//!
//! A listing is put together whole, from all sources and rules, and sorted by a cookie that
//! depends on the name alone. A reader that stops at a cookie and comes back, on another handle
//! or after the directory has changed, goes on with the next larger one: a name that stayed is
//! neither missed nor shown twice.

use super::handles::DirHandle;
use super::layer::{Freshness, LayerDir};
use super::lower;
use super::node::{Body, Node, Presence};
use super::store::Store;
use super::view::View;
use super::{Overlay, ident};
use crate::sys::Result;
use crate::sys::dir::{self, RawEntry};
use crate::sys::stat::stat_at;
use rustc_hash::FxHashMap;
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use rustix::io::Errno;
use std::sync::Arc;

/// One name of a merged directory.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Where to go on reading after this entry.
    pub cookie: u64,
    /// The name.
    pub name: Box<[u8]>,
    /// Its type.
    pub kind: FileType,
    /// Its `st_ino`.
    pub ino: u64,
}

/// All names of a merged directory, by cookie.
#[derive(Debug, Default)]
pub struct Listing {
    entries: Vec<Entry>,
}

/// Listings longer than this take more than one read, and are kept for the next.
const ONE_READ: usize = 8;
/// Listings kept for directories that are read without being opened.
pub(super) const KEPT_LISTINGS: usize = 32;

/// Cookies below are for `.` and `..`.
const FIRST_COOKIE: u64 = 16;

impl Listing {
    fn new(entries: Vec<Entry>) -> Listing {
        let mut entries = entries;
        entries.sort_unstable_by(|a, b| (a.cookie, &a.name).cmp(&(b.cookie, &b.name)));
        // Two names of one cookie: the later one moves up to the next free cookie.
        let mut last = 0;
        for entry in &mut entries {
            entry.cookie = entry.cookie.max(last + 1);
            last = entry.cookie;
        }
        Listing { entries }
    }

    /// Entries after `cookie`.
    pub fn after(&self, cookie: u64) -> &[Entry] {
        let start = self.entries.partition_point(|e| e.cookie <= cookie);
        self.entries.get(start..).unwrap_or_default()
    }
}

/// Cookie of a name: positive as `off_t`, the same in every listing.
fn cookie(name: &[u8]) -> u64 {
    use std::hash::Hasher as _;
    let mut hasher = rustc_hash::FxHasher::default();
    hasher.write(name);
    (ident::mix(hasher.finish()) >> 2).max(FIRST_COOKIE)
}

/// What the merge has gathered under a name.
#[derive(Debug)]
struct Gathered {
    kind: FileType,
    ino: u64,
    whiteout: bool,
    /// An upper directory without an origin of its own: takes the identity from below.
    open: bool,
}

impl Overlay {
    /// Opens directory `ino` for reading.
    ///
    /// # Errors
    /// `ENOTDIR` for anything else.
    pub fn opendir(&self, ino: u64) -> Result<u64> {
        let node = self.node(ino)?;
        if !node.is_dir() {
            return Err(Errno::NOTDIR);
        }
        Ok(self.handles.insert_dir(DirHandle {
            node,
            listing: parking_lot::Mutex::new(None),
        }))
    }

    /// Whether the kernel may keep the listing of `ino` until the directory's times change.
    pub fn may_cache_listing(&self, ino: u64) -> bool {
        let Ok(node) = self.node(ino) else {
            return false;
        };
        let state = node.state.read();
        if ino == ident::ROOT && state.place.region.lower_ttl() != super::layer::FOREVER {
            // The kernel is told to believe the root's times; new names must show all the same.
            return false;
        }
        match &state.body {
            // Several live sources: a change of one need not show in the time of the first.
            Body::Dir(dir) => {
                let sources = dir.lowers.len() + usize::from(dir.upper != Presence::Absent);
                sources <= 1 || state.place.region.lower_ttl() == super::layer::FOREVER
            }
            _ => false,
        }
    }

    /// Whether directories need not be opened: nothing changes behind the kernel's back, so it
    /// may keep every listing until it, or a reload, changes the directory.
    pub fn lists_without_open(&self) -> bool {
        let view = self.view();
        let layers = &view.layers;
        layers
            .trees
            .iter()
            .chain(&layers.image)
            .all(|layer| layer.freshness == Freshness::Published)
            && layers.stores().all(|store| !store.layer.remote)
    }

    /// The listing of directory `ino`, open as handle `fh` (0 if it was not opened), made anew
    /// when read from the start.
    ///
    /// # Errors
    /// `EBADF`, or I/O errors of the layers.
    pub fn listing(&self, ino: u64, fh: u64, offset: u64) -> Result<(Arc<Node>, Arc<Listing>)> {
        let view = self.view();
        if fh == 0 {
            let node = self.node(ino)?;
            let known = match offset {
                0 => None,
                _ => self.listings.lock().get(&ino).cloned(),
            };
            let listing = match known {
                Some(listing) => listing,
                None => {
                    let made = Arc::new(self.list(&view, &node)?);
                    let mut kept = self.listings.lock();
                    if made.entries.len() > ONE_READ {
                        kept.put(ino, Arc::clone(&made));
                    } else {
                        kept.pop(&ino);
                    }
                    made
                }
            };
            return Ok((node, listing));
        }
        let handle = self.handles.dir(fh)?;
        let mut slot = handle.listing.lock();
        let listing = match &*slot {
            Some(listing) if offset != 0 => Arc::clone(listing),
            _ => {
                let made = Arc::new(self.list(&view, &handle.node)?);
                *slot = Some(Arc::clone(&made));
                made
            }
        };
        Ok((Arc::clone(&handle.node), listing))
    }

    /// Number of the parent directory of `node`, for `..`.
    pub fn parent_ino(&self, node: &Node) -> u64 {
        node.link().map_or(ident::ROOT, |link| link.parent.ino)
    }

    /// All names of directory `node`.
    pub(super) fn list(&self, view: &View, node: &Arc<Node>) -> Result<Listing> {
        let place = self.place(view, node)?;
        let body = node.dir_body();
        let region = &place.region;
        let mut names: FxHashMap<Box<[u8]>, Gathered> = FxHashMap::default();
        if let Some(store) = &region.store
            && let Some(dir) = self.store_dir(node, store)?
        {
            super::metrics::count(&store.layer.counters.listings);
            let union = region.copies_up();
            for entry in dir::read(&*dir)? {
                if super::upper::is_work_dir(node, &entry.name) {
                    continue;
                }
                let gathered = gather_upper(store, &dir, &entry, union);
                names.insert(entry.name, gathered);
            }
        }
        for lower in &body.lowers {
            let fd = match lower::open_dir(&self.fds, lower) {
                Ok(fd) => fd,
                Err(e) if lower::is_absent(e) => continue,
                Err(e) => return Err(e),
            };
            super::metrics::count(&lower.layer.counters.listings);
            for entry in dir::read(&*fd)? {
                self.gather_lower(&mut names, lower, &fd, entry);
            }
        }
        self.gather_rules(view, node, &mut names)?;
        let entries = names
            .into_iter()
            .filter(|(_, g)| !g.whiteout)
            .map(|(name, g)| Entry {
                cookie: cookie(&name),
                name,
                kind: g.kind,
                ino: self.nodes.number_of(g.ino),
            });
        Ok(Listing::new(entries.collect()))
    }

    fn gather_lower(
        &self,
        names: &mut FxHashMap<Box<[u8]>, Gathered>,
        dir: &LayerDir,
        fd: &OwnedFd,
        entry: RawEntry,
    ) {
        let identity = ident::of(dir.layer.id, entry.ino);
        match names.get_mut(&entry.name) {
            Some(above) => {
                let merges = !above.whiteout
                    && above.kind == FileType::Directory
                    && above.open
                    && kind_of(fd, &entry) == FileType::Directory;
                if merges {
                    above.ino = identity;
                } else {
                    above.open = false;
                }
            }
            None => {
                // Devices and links may be more than they seem; only they cost a stat.
                let odd = matches!(
                    entry.kind,
                    FileType::CharacterDevice | FileType::Symlink | FileType::Unknown
                ) || dir.layer.processed && dir.path.is_empty();
                let mut kind = entry.kind;
                let mut whiteout = false;
                if odd {
                    match lower::stat_in(&self.fds, dir, &entry.name) {
                        Ok(Some(st)) => {
                            kind = st.kind;
                            whiteout = st.is_whiteout();
                        }
                        // Hidden, or gone since: not shown by this layer.
                        Ok(None) => return,
                        // What cannot be looked at is there all the same, and a directory that has it is not empty.
                        Err(e) => tracing::debug!("{}: {e}", String::from_utf8_lossy(&entry.name)),
                    }
                }
                let gathered = Gathered {
                    kind,
                    ino: identity,
                    whiteout,
                    open: kind == FileType::Directory,
                };
                names.insert(entry.name, gathered);
            }
        }
    }

    /// Names that are there because of rules.
    fn gather_rules(
        &self,
        view: &View,
        node: &Arc<Node>,
        names: &mut FxHashMap<Box<[u8]>, Gathered>,
    ) -> Result<()> {
        let Some(pos) = self.place(view, node)?.pos else {
            return Ok(());
        };
        let listed: Vec<(Box<[u8]>, bool)> = view
            .policy
            .children(pos)
            .map(|(name, pos)| (name.into(), view.region_at(pos).is_some()))
            .collect();
        for (name, root) in listed {
            if !root && names.get(&name).is_some_and(|g| !g.whiteout) {
                continue;
            }
            match self.find_listed(view, node, &name) {
                // A store out of reach does not take the directory along.
                Err(e) => {
                    tracing::debug!("{}: {e}", String::from_utf8_lossy(&name));
                    names.entry(name).or_insert(Gathered {
                        kind: FileType::Unknown,
                        ino: ident::of_path(&node.path().unwrap_or_default()),
                        whiteout: false,
                        open: false,
                    });
                }
                Ok(Some(found)) => {
                    let gathered = Gathered {
                        kind: found.stat.kind,
                        ino: found.identity,
                        whiteout: false,
                        open: false,
                    };
                    names.insert(name, gathered);
                }
                Ok(None) => {
                    names.remove(&name);
                }
            }
        }
        Ok(())
    }

    /// Whether directory `node` shows no names.
    pub(super) fn is_empty_dir(&self, view: &View, node: &Arc<Node>) -> Result<bool> {
        Ok(self.list(view, node)?.entries.is_empty())
    }
}

fn kind_of(fd: &OwnedFd, entry: &RawEntry) -> FileType {
    if entry.kind == FileType::Unknown {
        stat_at(fd, &entry.name).map_or(FileType::Unknown, |st| st.kind)
    } else {
        entry.kind
    }
}

fn gather_upper(store: &Store, dir: &OwnedFd, entry: &RawEntry, union: bool) -> Gathered {
    let mut kind = entry.kind;
    let mut whiteout = false;
    if matches!(kind, FileType::CharacterDevice | FileType::Unknown)
        && let Ok(st) = stat_at(dir, &entry.name)
    {
        kind = st.kind;
        whiteout = union && store.is_whiteout(dir, &entry.name, &st);
    }
    let origin = if union && !whiteout {
        super::upper::read_origin(dir, &entry.name)
    } else {
        None
    };
    Gathered {
        kind,
        ino: origin.unwrap_or_else(|| ident::of(store.id(), entry.ino)),
        whiteout,
        open: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(names: &[&str]) -> Listing {
        let entry = |name: &&str| Entry {
            cookie: cookie(name.as_bytes()),
            name: name.as_bytes().into(),
            kind: FileType::RegularFile,
            ino: 1,
        };
        Listing::new(names.iter().map(entry).collect())
    }

    #[test]
    fn a_reader_that_stops_goes_on_after_a_change() {
        let before = listing(&["a", "b", "c", "d", "e"]);
        let stop = before.entries[2].cookie;
        let seen: Vec<_> = before.entries[..=2]
            .iter()
            .map(|e| e.name.clone())
            .collect();
        let gone = seen[0].clone();
        let left: Vec<String> = ["a", "b", "c", "d", "e", "f"]
            .iter()
            .filter(|n| n.as_bytes() != &*gone)
            .map(|n| n.to_string())
            .collect();
        let left: Vec<&str> = left.iter().map(String::as_str).collect();
        let after = listing(&left);
        let mut rest: Vec<_> = after.after(stop).iter().map(|e| e.name.clone()).collect();
        rest.retain(|n| &**n != b"f");
        assert_eq!(rest.len(), 2);
        assert!(rest.iter().all(|n| !seen.contains(n)));
    }

    #[test]
    fn equal_cookies_are_told_apart() {
        let entry = |name: &[u8]| Entry {
            cookie: 100,
            name: name.into(),
            kind: FileType::RegularFile,
            ino: 1,
        };
        let l = Listing::new(vec![entry(b"x"), entry(b"y"), entry(b"z")]);
        assert_eq!(l.after(100).len(), 2);
        assert_eq!(l.after(102).len(), 0);
    }
}
