//! Putting a copy in its place in another store, with all operations held.
//!
//! | in the way | in a persistent or local store | in the volatile store |
//! |---|---|---|
//! | nothing | renamed to its place | the same, opaque |
//! | a directory that only holds what other rules have put there | filled | filled, and opaque |
//! | an earlier copy | moved to `work/replaced`, except what other rules have in it | – |
//! | parked changes | – | refused |
//!
//! A power cut in between leaves the earlier copy in `work/replaced`, and what was volatile is gone, as at any power cut.

use super::super::copy::{Source, clone_attributes, set_times};
use super::super::layer::join;
use super::super::remove::{kept, set_opaque};
use super::super::store::{self, Store};
use super::super::view::View;
use super::super::{Overlay, create, ident, seed, upper};
use super::copy::Carried;
use super::plan::{has_own_files, is_in};
use super::{Changed, text};
use crate::sys::stat::stat_at;
use crate::sys::{Result, xattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Why nothing can be carried to a path; none if it can.
pub(super) fn obstacle(change: &Changed, new: &View) -> Option<&'static str> {
    let (path, to) = (change.path.as_slice(), &change.to);
    let store = to.store.as_ref()?;
    if path.is_empty() {
        return Some("the root directory of a store is not replaced while the mount runs");
    }
    if to.is_opaque() {
        return None;
    }
    let nested = |below: &[u8]| !Arc::ptr_eq(&new.place(below).region, to);
    has_own_files(store, path, &nested).then_some(
        "parked changes of an earlier rule are in the way (statelitefs reload --discard)",
    )
}

impl Overlay {
    /// Gives the copy its place. Returns where an earlier one has been put.
    pub(super) fn place_carried(&self, carried: &Carried<'_>) -> Result<Option<String>> {
        let (dir, name) = seed::split(carried.path);
        let store = carried.store;
        store.sync()?;
        let mut replaced = None;
        if carried.to.is_opaque() {
            let parent = self.seed_parents(carried.to, store, carried.path)?;
            let names = store.change_names();
            let times = stat_at(&parent, b"")?;
            match stat_at(&parent, name) {
                Ok(st) => {
                    let others = others_below(carried);
                    if !(st.is_dir() && seed::is_scaffold(store, carried.path)) {
                        let (path, others) = (carried.path, others.as_slice());
                        replaced = Some(put_by(store, path, &parent, name, others)?);
                    }
                    match others.is_empty() {
                        true => put(carried, &parent, name)?,
                        false if carried.shown => {
                            fill(store.work(), &carried.aside, &parent, name)?
                        }
                        false => {}
                    }
                    seed::fill_done(store, carried.path)?;
                }
                Err(Errno::NOENT) => put(carried, &parent, name)?,
                Err(e) => return Err(e),
            }
            // The directory as shown does not change.
            set_times(&parent, b"", times.atime, times.mtime)?;
            seed::mark_seeded(store, carried.path)?;
            drop(names);
            if carried.to.path.strip_prefix(b"/") == Some(carried.path) {
                *carried.to.seed.lock() = super::super::region::Seed::Done;
            }
        } else {
            let mut held = Vec::new();
            let made = carried
                .walk(dir, &mut held)
                .and_then(|node| self.make_store_dir(carried.old, &node, store));
            for ino in held {
                self.nodes.release(ino, 1);
            }
            let parent = made?;
            let _names = store.change_names();
            let times = stat_at(&*parent, b"")?;
            put_in_union(carried, &parent, name)?;
            set_times(&*parent, b"", times.atime, times.mtime)?;
        }
        Ok(replaced)
    }

    /// Takes out of the volatile store what is at or below `root` and no rule of `new` shows any more. Whoever has a file
    /// open keeps it.
    pub(super) fn drop_hidden(&self, store: &Arc<Store>, root: &[u8], new: &View) {
        let shown = |path: &[u8]| {
            let region = new.place(path).region;
            region.store.as_ref().is_some_and(|s| Arc::ptr_eq(s, store))
        };
        for node in self.nodes.all() {
            let own = node
                .state
                .read()
                .place
                .region
                .store
                .as_ref()
                .is_some_and(|s| Arc::ptr_eq(s, store));
            let hidden = |path: Vec<u8>| is_in(&path, root) && !shown(&path);
            if own
                && !node.is_dir()
                && node.path().is_some_and(hidden)
                && let Ok(stat) = self.stat_upper(&node, store)
            {
                self.bury(&node, Some(kept(&node, &stat)));
            }
        }
        let (dir, name) = seed::split(root);
        let dropped = store
            .layer
            .open_at(dir, OFlags::PATH | OFlags::DIRECTORY)
            .and_then(|dir| {
                let _names = store.change_names();
                if !root.is_empty() {
                    return remove_own(store, dir.as_fd(), name, root, &shown);
                }
                for entry in crate::sys::dir::read(&dir)? {
                    if !shown(&entry.name) && &*entry.name != store::WORK_NAME {
                        remove_own(store, dir.as_fd(), &entry.name, &entry.name, &shown)?;
                    }
                }
                Ok(())
            });
        match dropped {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => tracing::warn!("{}: what was volatile stays in memory: {e}", text(root)),
        }
    }
}

fn put(carried: &Carried<'_>, parent: &OwnedFd, name: &[u8]) -> Result<()> {
    if !carried.shown {
        return Ok(());
    }
    let (work, aside) = (carried.store.work(), carried.aside.as_slice());
    match rustix::fs::renameat_with(work, aside, parent, name, RenameFlags::NOREPLACE) {
        // A file system without RENAME_NOREPLACE (NFS); nobody else writes here.
        Err(Errno::INVAL | Errno::NOSYS) => rustix::fs::renameat(work, aside, parent, name),
        other => other,
    }
}

fn put_in_union(carried: &Carried<'_>, parent: &OwnedFd, name: &[u8]) -> Result<()> {
    let store = carried.store;
    let there = stat_at(parent, name).is_ok();
    if !carried.shown {
        return match there {
            // It holds what other rules have put there.
            true => set_opaque(parent, name),
            false => create::make_whiteout(parent, name),
        };
    }
    let is_dir = stat_at(store.work(), &carried.aside)?.is_dir();
    if is_dir && there {
        fill(store.work(), &carried.aside, parent, name)?;
        return set_opaque(parent, name);
    }
    if is_dir {
        set_opaque(store.work(), &carried.aside)?;
    }
    put(carried, parent, name)
}

/// Moves what is in directory `from_name` of `from` into directory `name` of `to`, where it is not yet.
fn fill(from: BorrowedFd<'_>, from_name: &[u8], to: &OwnedFd, name: &[u8]) -> Result<()> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let source = rustix::fs::openat(from, from_name, flags, Mode::empty())?;
    let target = rustix::fs::openat(to, name, flags, Mode::empty())?;
    let stat = stat_at(&source, b"")?;
    for entry in crate::sys::dir::read(&source)? {
        let name = &*entry.name;
        match stat_at(&target, name) {
            Err(Errno::NOENT) => rustix::fs::renameat(&source, name, &target, name)?,
            Ok(st) if st.is_dir() && stat_at(&source, name)?.is_dir() => {
                fill(source.as_fd(), name, &target, name)?;
            }
            Ok(_) => {}
            Err(e) => return Err(e),
        }
    }
    let source = Source {
        dir: source.as_fd(),
        name: b"",
    };
    clone_attributes(&source, to.as_fd(), name, &stat)?;
    store::remove_tree(from, from_name)
}

/// Paths below the one carried that other rules have in the same store.
fn others_below(carried: &Carried<'_>) -> Vec<Vec<u8>> {
    let in_store = |store: &Option<Arc<Store>>| {
        store
            .as_ref()
            .is_some_and(|s| Arc::ptr_eq(s, carried.store))
    };
    let regions = carried
        .new
        .regions()
        .filter(|region| in_store(&region.store));
    let paths = regions.map(|region| region.path.strip_prefix(b"/").unwrap_or(&region.path));
    let below = paths.filter(|path| *path != carried.path && is_in(path, carried.path));
    let stored = |path: &&[u8]| {
        carried
            .store
            .layer
            .open_at(path, OFlags::PATH | OFlags::NOFOLLOW)
            .is_ok()
    };
    below.filter(stored).map(<[u8]>::to_vec).collect()
}

/// Moves an earlier copy out of the way, except what is at the paths `others`. Returns its place in the work directory.
fn put_by(
    store: &Store,
    path: &[u8],
    parent: &OwnedFd,
    name: &[u8],
    others: &[Vec<u8>],
) -> Result<String> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let plain = String::from_utf8_lossy(path).replace('/', "+");
    // A name may have 255 bytes.
    let short: String = plain.chars().take(48).collect();
    let hash = ident::of_path(path) & 0xffff_ffff;
    let dir = seed::open_work(store, c"replaced")?;
    let free = (0..1000)
        .map(|number| format!("{short}.{hash:08x}.{now}.{number}"))
        .find(|place| matches!(stat_at(&dir, place.as_bytes()), Err(Errno::NOENT)));
    let place = free.ok_or(Errno::EXIST)?;
    if !others.is_empty() {
        // After a power cut it is completed from the image, like any other that only holds something.
        seed::mark_scaffold(store, path)?;
    }
    part(
        parent.as_fd(),
        name,
        (dir.as_fd(), place.as_bytes()),
        path,
        others,
    )?;
    Ok(format!("replaced/{place}"))
}

/// Moves entry `name` of `from`, which is `path`, to another place, leaving what is at the paths `others`.
fn part(
    from: BorrowedFd<'_>,
    name: &[u8],
    (to, to_name): (BorrowedFd<'_>, &[u8]),
    path: &[u8],
    others: &[Vec<u8>],
) -> Result<()> {
    if others.iter().any(|other| other == path) {
        return Ok(());
    }
    if !others.iter().any(|other| is_in(other, path)) {
        return rustix::fs::renameat(from, name, to, to_name);
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let here = rustix::fs::openat(from, name, flags, Mode::empty())?;
    rustix::fs::mkdirat(to, to_name, Mode::from_raw_mode(0o700))?;
    let there = rustix::fs::openat(to, to_name, flags, Mode::empty())?;
    let stat = stat_at(&here, b"")?;
    for entry in crate::sys::dir::read(&here)? {
        let name = &*entry.name;
        part(
            here.as_fd(),
            name,
            (there.as_fd(), name),
            &join(path, name),
            others,
        )?;
    }
    let source = Source {
        dir: here.as_fd(),
        name: b"",
    };
    clone_attributes(&source, to, to_name, &stat)
}

/// Removes entry `name` of `dir`, which is `path`, leaving what other rules have in it.
pub(super) fn remove_own(
    store: &Store,
    dir: BorrowedFd<'_>,
    name: &[u8],
    path: &[u8],
    keep: &dyn Fn(&[u8]) -> bool,
) -> Result<()> {
    if !stat_at(dir, name)?.is_dir() {
        let identity = upper::read_origin(dir, name);
        rustix::fs::unlinkat(dir, name, AtFlags::empty())?;
        if let Some(identity) = identity {
            forget_index(store, identity);
        }
        return Ok(());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let here = rustix::fs::openat(dir, name, flags, Mode::empty())?;
    for entry in crate::sys::dir::read(&here)? {
        let below = join(path, &entry.name);
        if !keep(&below) {
            remove_own(store, here.as_fd(), &entry.name, &below, keep)?;
        }
    }
    match rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => {
            // It goes on as a holder of what other rules have in it.
            for key in [
                store::XATTR_OPAQUE,
                store::XATTR_REDIRECT,
                store::XATTR_ORIGIN,
            ] {
                let _ = xattr::remove(dir, name, key);
            }
            Ok(())
        }
        other => other,
    }
}

/// Forgets a file with several lower names, when none of them is in the store any more.
fn forget_index(store: &Store, identity: u64) {
    let name = Store::index_name(identity);
    if stat_at(store.index(), &name).is_ok_and(|st| st.nlink <= 1) {
        for name in [name, Store::gone_name(identity)] {
            let _ = rustix::fs::unlinkat(store.index(), name.as_slice(), AtFlags::empty());
        }
    }
}
