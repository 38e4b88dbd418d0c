//! First content of persistent and local paths.
//!
//! At first use the whole subtree is copied from the trees and the image, once. The copy grows in
//! the store's work directory and is renamed to its place when it is complete and on disk, so a
//! power cut leaves nothing or the whole. An interrupted copy is continued: a file is taken as
//! copied when size and time agree, and the time is set last. A path that is already in the store
//! is left as it is, and one that was removed after it had been seeded stays removed.

use super::copy::{Source, clone_attributes, copy_object, set_attributes};
use super::copyup::Amount;
use super::layer::LayerDir;
use super::lower::{self, LowerHit};
use super::metrics::{add, count};
use super::region::{Region, Seed};
use super::store::{Store, remove_tree};
use super::{Overlay, ident};
use crate::sys::stat::{Stat, stat_at};
use crate::sys::{Result, change, lease};
use rustc_hash::FxHashMap;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Marks a store that has been seeded whole, for a rule for `/`.
const ROOT_SEEDED: &[u8] = b"root.seeded";

/// Seeds that take longer than this tell how far they are, and so often again.
const REPORT_EVERY: Duration = Duration::from_secs(2);

/// Progress of one seed.
#[derive(Debug)]
struct Progress<'a> {
    path: &'a [u8],
    files: u64,
    bytes: u64,
    reported: Instant,
    /// Where files with several names were copied to, by identity; paths below the seed directory.
    links: FxHashMap<u64, Vec<u8>>,
    /// Path of the directory being copied.
    at: Vec<u8>,
}

impl Progress<'_> {
    fn file(&mut self, stat: &Stat) {
        self.files += 1;
        self.bytes += if stat.is_file() { stat.size } else { 0 };
        if self.reported.elapsed() >= REPORT_EVERY {
            self.reported = Instant::now();
            tracing::info!(
                "seeding {}: {} files, {} MiB so far",
                String::from_utf8_lossy(self.path),
                self.files,
                self.bytes >> 20
            );
        }
    }
}

impl Overlay {
    /// Gives a persistent or local `/` its first content; all other paths get theirs when they are
    /// first looked up.
    ///
    /// # Errors
    /// Those of the layers and the store.
    pub fn prepare_root(&self) -> Result<()> {
        let region = self.view().root().region;
        if region.is_opaque() {
            self.seed(&region)?;
        }
        Ok(())
    }

    /// Gives a persistent or local region its first content, unless it has some.
    ///
    /// # Errors
    /// Those of the layers and the store; nothing half-made is shown, and the next use tries again.
    pub(super) fn seed(&self, region: &Arc<Region>) -> Result<()> {
        let mut state = region.seed.lock();
        if *state == Seed::Done {
            return Ok(());
        }
        let Some(store) = &region.store else {
            return Ok(());
        };
        let path = region.path.strip_prefix(b"/").unwrap_or(&region.path);
        if path.is_empty() {
            // The whole root: the store's own root is the place, and is never renamed.
            self.seed_root(region, store)?;
            *state = Seed::Done;
            return Ok(());
        }
        let parent = self.seed_parents(region, store, path)?;
        let name = path.rsplit(|b| *b == b'/').next().unwrap_or(path);
        // A marker tells what was removed from what was never there.
        let marker = aside_name(path);
        let seeded = open_work(store, c"seeded")?;
        match stat_at(&parent, name) {
            Ok(_) => {
                self.fill(region, store, path)?;
                make_empty(&seeded, &marker, false)?;
            }
            Err(Errno::NOENT) => {
                if !lower::is_there(&seeded, &marker)? {
                    self.seed_path(region, store, path, &parent, name)?;
                    make_empty(&seeded, &marker, false)?;
                }
            }
            Err(e) => return Err(e),
        }
        *state = Seed::Done;
        Ok(())
    }

    /// Whether [`Overlay::seed`] would copy something.
    ///
    /// # Errors
    /// Those of the store.
    pub(super) fn would_seed(&self, region: &Region) -> Result<bool> {
        let Some(store) = &region.store else {
            return Ok(false);
        };
        let path = region.path.strip_prefix(b"/").unwrap_or(&region.path);
        if path.is_empty() {
            return Ok(!lower::is_there(store.work(), ROOT_SEEDED)?);
        }
        let marker = aside_name(path);
        match store.layer.open_at(path, OFlags::PATH | OFlags::NOFOLLOW) {
            Ok(_) => lower::is_there(open_work(store, c"parents")?, &marker),
            Err(e) if lower::is_absent(e) => {
                Ok(!lower::is_there(open_work(store, c"seeded")?, &marker)?)
            }
            Err(e) => Err(e),
        }
    }

    fn seed_path(
        &self,
        region: &Region,
        store: &Arc<Store>,
        path: &[u8],
        parent: &OwnedFd,
        name: &[u8],
    ) -> Result<()> {
        let work = seed_dir(store)?;
        let aside = aside_name(path);
        let mut progress = Progress {
            path: &region.path,
            files: 0,
            bytes: 0,
            reported: Instant::now(),
            links: FxHashMap::default(),
            at: Vec::new(),
        };
        let (dir_path, _) = split(path);
        let dirs: Vec<_> = region
            .sources
            .iter()
            .map(|layer| LayerDir::transient(layer, dir_path))
            .collect();
        match lower::lookup(&self.fds, &dirs, name)? {
            LowerHit::None => {
                let directory = region.rule.as_ref().is_some_and(|rule| rule.directory);
                make_empty(&work, &aside, directory)?;
            }
            LowerHit::File { dir, stat } => {
                let _ = remove_tree(&work, &aside);
                self.seed_file(
                    store,
                    work.as_fd(),
                    &aside,
                    &dir,
                    name,
                    &stat,
                    &mut progress,
                )?;
            }
            LowerHit::Dirs { dirs, stat, .. } => {
                self.seed_tree(store, work.as_fd(), &aside, &dirs, &stat, &mut progress)?;
            }
        }
        store.sync()?;
        // Where it is asked for again, on NFS, there is no RENAME_NOREPLACE; nobody else writes here.
        let flags = RenameFlags::NOREPLACE;
        lease::kept(parent, || {
            rustix::fs::renameat_with(&work, aside.as_slice(), parent, name, flags)
        })
        .or_else(|e| match e {
            Errno::INVAL | Errno::NOSYS => change::rename(&work, &aside, parent, name),
            e => Err(e),
        })?;
        store.sync()?;
        count(&store.layer.counters.copy_ups);
        tracing::info!(
            "seeded {}: {} files, {} bytes",
            String::from_utf8_lossy(&region.path),
            progress.files,
            progress.bytes
        );
        Ok(())
    }

    /// Seeds a persistent or local `/`: its entries one by one, each whole or not at all.
    fn seed_root(&self, region: &Region, store: &Arc<Store>) -> Result<()> {
        let dirs: Vec<_> = region
            .sources
            .iter()
            .map(|layer| LayerDir::new(layer, b""))
            .collect();
        let root = store.layer.open_at(b"", OFlags::PATH | OFlags::DIRECTORY)?;
        let done = [store.work(), root.as_fd()];
        if lower::is_there(done[0], ROOT_SEEDED)? {
            return Ok(());
        }
        for name in self.names_below(&dirs)? {
            let shown = !matches!(lower::lookup(&self.fds, &dirs, &name)?, LowerHit::None);
            if shown && !lower::is_there(&root, &name)? {
                self.seed_path(region, store, &name, &root, &name)?;
            }
        }
        if let Some(first) = dirs.first() {
            let fd = lower::open_dir(&self.fds, first)?;
            let stat = stat_at(&*fd, b"")?;
            set_attributes(root.as_fd(), b".", &stat)?;
        }
        make_empty(done[0], ROOT_SEEDED, false)
    }

    /// Completes a directory that was made only to hold something seeded earlier.
    fn fill(&self, region: &Region, store: &Arc<Store>, path: &[u8]) -> Result<()> {
        let parents = open_work(store, c"parents")?;
        let marker = aside_name(path);
        if !lower::is_there(&parents, &marker)? {
            return Ok(());
        }
        let dirs: Vec<_> = region
            .sources
            .iter()
            .map(|layer| LayerDir::new(layer, path))
            .collect();
        let here = store
            .layer
            .open_at(path, OFlags::PATH | OFlags::DIRECTORY)?;
        for name in self.names_below(&dirs)? {
            let below = super::layer::join(path, &name);
            if matches!(lower::lookup(&self.fds, &dirs, &name)?, LowerHit::None) {
                continue;
            }
            match stat_at(&here, &name) {
                Err(Errno::NOENT) => self.seed_path(region, store, &below, &here, &name)?,
                Ok(stat) if stat.is_dir() => self.fill(region, store, &below)?,
                Ok(_) => {}
                Err(e) => return Err(e),
            }
        }
        change::unlink(&parents, &marker, AtFlags::empty())
    }

    /// Copies a merged directory, continuing what an earlier run left.
    fn seed_tree(
        &self,
        store: &Arc<Store>,
        to: BorrowedFd<'_>,
        name: &[u8],
        dirs: &[Arc<LayerDir>],
        stat: &Stat,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        match change::mkdir(to, name, Mode::from_raw_mode(0o700)) {
            Ok(()) => {}
            Err(Errno::EXIST) if stat_at(to, name)?.is_dir() => {}
            Err(Errno::EXIST) => {
                remove_tree(to, name)?;
                change::mkdir(to, name, Mode::from_raw_mode(0o700))?;
            }
            Err(e) => return Err(e),
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let here = lease::openat(to, name, flags)?;
        let above = std::mem::take(&mut progress.at);
        progress.at = super::layer::join(&above, name);
        for entry in self.names_below(dirs)? {
            match lower::lookup(&self.fds, dirs, &entry)? {
                LowerHit::None => {}
                LowerHit::File { dir, stat } => {
                    self.seed_file(store, here.as_fd(), &entry, &dir, &entry, &stat, progress)?;
                }
                LowerHit::Dirs { dirs, stat, .. } => {
                    self.seed_tree(store, here.as_fd(), &entry, &dirs, &stat, progress)?;
                }
            }
        }
        progress.at = above;
        progress.file(stat);
        match dirs.first() {
            Some(first) => {
                let fd = lower::open_dir(&self.fds, first)?;
                let source = Source {
                    dir: fd.as_fd(),
                    name: b"",
                };
                clone_attributes(&source, to, name, stat)
            }
            None => set_attributes(to, name, stat),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn seed_file(
        &self,
        store: &Arc<Store>,
        to: BorrowedFd<'_>,
        name: &[u8],
        dir: &LayerDir,
        source: &[u8],
        stat: &Stat,
        progress: &mut Progress<'_>,
    ) -> Result<()> {
        let identity = (stat.nlink > 1).then(|| dir.layer.identity(stat));
        if let Some(first) = identity.and_then(|identity| progress.links.get(&identity)) {
            // A further name of a file that has been copied.
            let work = seed_dir(store)?;
            let _ = remove_tree(to, name);
            return change::link(&work, first, to, name);
        }
        if let Some(identity) = identity {
            progress
                .links
                .insert(identity, super::layer::join(&progress.at, name));
        }
        match stat_at(to, name) {
            Ok(there) if is_copied(&there, stat) => {
                progress.file(stat);
                return Ok(());
            }
            Ok(_) => remove_tree(to, name)?,
            Err(Errno::NOENT) => {}
            Err(e) => return Err(e),
        }
        let from = lower::open_dir(&self.fds, dir)?;
        let source = Source {
            dir: from.as_fd(),
            name: source,
        };
        if stat.kind == FileType::Socket {
            // A socket's server is not here; it makes its own.
            return Ok(());
        }
        copy_object(to, name, &source, stat, Amount::All, store)?;
        self.copy_capability((dir, source.name), to, name)?;
        add(
            &store.layer.counters.copied_bytes,
            if stat.is_file() { stat.size } else { 0 },
        );
        progress.file(stat);
        Ok(())
    }

    /// All names in merged read-only directories, sorted.
    fn names_below(&self, dirs: &[Arc<LayerDir>]) -> Result<BTreeSet<Box<[u8]>>> {
        let mut names = BTreeSet::new();
        for dir in dirs {
            let fd = match lower::open_dir(&self.fds, dir) {
                Ok(fd) => fd,
                Err(e) if lower::is_absent(e) => continue,
                Err(e) => return Err(e),
            };
            names.extend(
                crate::sys::dir::read(&*fd)?
                    .into_iter()
                    .map(|entry| entry.name),
            );
        }
        Ok(names)
    }

    /// Gives directory `name`, made in `at` (the store's directory `above`), the attributes of the one that is shown.
    fn set_parent(&self, region: &Region, above: &[u8], at: &OwnedFd, name: &[u8]) -> Result<()> {
        let dirs: Vec<_> = region
            .sources
            .iter()
            .map(|layer| LayerDir::transient(layer, above))
            .collect();
        match lower::lookup(&self.fds, &dirs, name)? {
            LowerHit::Dirs { stat, .. } => set_attributes(at.as_fd(), name, &stat),
            _ => Ok(()),
        }
    }

    /// Directories of the store above a seeded path, made like those shown.
    fn seed_parents(&self, region: &Region, store: &Store, path: &[u8]) -> Result<OwnedFd> {
        let (dir_path, _) = split(path);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
        let mut at = store.layer.open_at(b"", OFlags::PATH | OFlags::DIRECTORY)?;
        let mut done: Vec<u8> = Vec::new();
        for name in dir_path.split(|b| *b == b'/').filter(|n| !n.is_empty()) {
            let here = super::layer::join(&done, name);
            if !lower::is_there(&at, name)? {
                // First the mark: a crash in between leaves a mark without a directory.
                make_empty(open_work(store, c"parents")?, &aside_name(&here), false)?;
                match change::mkdir(&at, name, Mode::from_raw_mode(0o755)) {
                    Ok(()) => self.set_parent(region, &done, &at, name)?,
                    Err(Errno::EXIST) => {}
                    Err(e) => return Err(e),
                }
            }
            at = lease::openat(at.as_fd(), name, flags)?;
            done = super::layer::join(&done, name);
        }
        Ok(at)
    }
}

/// Whether `there` is a finished copy of what `stat` describes.
fn is_copied(there: &Stat, stat: &Stat) -> bool {
    there.kind == stat.kind
        && there.perm == stat.perm
        && there.mtime == stat.mtime
        && (there.size == stat.size || stat.kind != FileType::RegularFile)
}

fn seed_dir(store: &Store) -> Result<OwnedFd> {
    open_work(store, c"seed")
}

fn open_work(store: &Store, name: &std::ffi::CStr) -> Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    lease::openat(store.work(), name.to_bytes(), flags)
}

/// Name under which a path is copied aside: any path fits into one name.
fn aside_name(path: &[u8]) -> Vec<u8> {
    format!("{:016x}", ident::of_path(path)).into_bytes()
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(at) => (
            path.get(..at).unwrap_or_default(),
            path.get(at + 1..).unwrap_or_default(),
        ),
        None => (b"", path),
    }
}

fn make_empty(dir: impl AsFd, name: &[u8], directory: bool) -> Result<()> {
    let made = if directory {
        change::mkdir(dir, name, Mode::from_raw_mode(0o755))
    } else {
        change::create(dir, name, OFlags::WRONLY, Mode::from_raw_mode(0o644)).map(drop)
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}
