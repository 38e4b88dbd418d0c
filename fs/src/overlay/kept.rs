//! Files of layers on a server, kept open for a while.
//!
//! With NFS 4 each open and each close is a call to the server, whatever the mount options, and a booting system opens
//! the same libraries hundreds of times. So the daemon keeps the descriptor it opened and gives it to later openers of
//! the same file; reads carry their own offset, so one descriptor serves all.
//!
//! What it costs: a descriptor here and an open state on the server per file, until [`AGE`] after its last use, of [`MOST`]
//! files. Space of a file that is removed on the server is free there when the descriptor is closed.
//!
//! Where an open asks the server whether the file has changed (NFS without `nocto`), or costs no call (NFS 3), nothing is
//! kept unless asked for. Elsewhere it makes nothing staler. A kept descriptor is given out only while its name, looked up again, is this very file with
//! the same times: a server that gives the number of a removed file to the next one under its name has two files of one
//! number, and the old one would answer with `ESTALE`. Attributes are the NFS client's, as after an open with `nocto`.

use super::lower;
use super::node::{Node, Version};
use super::{
    Overlay,
    layer::{Layer, LayerDir},
};
use crate::sys::Result;
use crate::sys::stat::{Stat, stat_at, stat_fd};
use lru::LruCache;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Descriptors kept at the most.
pub(super) const MOST: usize = 512;
/// How long a descriptor is kept after its last use. A boot takes about as long.
const AGE: Duration = Duration::from_secs(30);

type Entry = (Arc<OwnedFd>, Instant);

/// The descriptors, by the identity of their file.
#[derive(Debug)]
pub(crate) struct KeptFiles {
    cache: Mutex<LruCache<u64, Entry>>,
}

impl KeptFiles {
    /// Keeps up to `capacity` descriptors.
    pub fn new(capacity: usize) -> KeptFiles {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        KeptFiles {
            cache: Mutex::new(LruCache::new(capacity)),
        }
    }

    /// The descriptor of the file with this identity.
    fn get(&self, identity: u64) -> Option<Arc<OwnedFd>> {
        let mut cache = self.cache.lock();
        let (fd, since) = cache.get_mut(&identity)?;
        *since = Instant::now();
        Some(Arc::clone(fd))
    }

    fn put(&self, identity: u64, fd: Arc<OwnedFd>) {
        let evicted = self.cache.lock().push(identity, (fd, Instant::now()));
        // Closed after the lock is released: with NFS that is a call.
        drop(evicted);
    }

    /// Closes that of a file, if there is one.
    pub(super) fn remove(&self, identity: u64) {
        let removed = self.cache.lock().pop(&identity);
        drop(removed);
    }

    /// Closes what has not been used for [`AGE`].
    pub fn close_old(&self, now: Instant) {
        let mut old: Vec<Entry> = Vec::new();
        {
            let mut cache = self.cache.lock();
            while let Some((_, (_, since))) = cache.peek_lru()
                && now.saturating_duration_since(*since) >= AGE
            {
                old.extend(cache.pop_lru().map(|(_, entry)| entry));
            }
        }
        drop(old);
    }

    /// Closes all.
    pub fn clear(&self) {
        let mut cache = self.cache.lock();
        let all: Vec<Entry> = std::iter::from_fn(|| cache.pop_lru())
            .map(|(_, entry)| entry)
            .collect();
        drop(cache);
        drop(all);
    }

    /// Number of kept descriptors.
    pub fn len(&self) -> usize {
        self.cache.lock().len()
    }
}

impl Overlay {
    /// Whether files of `layer` are kept open.
    fn keeps(&self, layer: &Layer) -> bool {
        match self.settings.kept_files {
            Some(most) => most > 0 && layer.remote,
            None => layer.nfs.is_some_and(|nfs| nfs.calls_at_open),
        }
    }

    /// Opens regular file `name` of `dir`, which must still be `node`, for reading.
    ///
    /// # Errors
    /// `ESTALE` if something else has taken the name; else as `open(2)`.
    pub(super) fn open_lower(
        &self,
        node: &Node,
        dir: &LayerDir,
        name: &[u8],
    ) -> Result<Arc<OwnedFd>> {
        let is_node = |st: &Stat| st.is_file() && dir.layer.identity(st) == node.identity;
        let keep = self.keeps(&dir.layer);
        if keep && let Some(fd) = self.kept.get(node.identity) {
            let at = lower::open_dir(&self.fds, dir)?;
            if let (Ok(kept), Ok(named)) = (stat_fd(&*fd), stat_at(&*at, name))
                && is_node(&kept)
                && is_node(&named)
                && Version::of(&kept) == Version::of(&named)
            {
                return Ok(fd);
            }
            self.kept.remove(node.identity);
        }
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY;
        let fd = lower::open_file(&self.fds, dir, name, flags)?;
        if !is_node(&stat_fd(&fd)?) {
            return Err(Errno::STALE);
        }
        let fd = Arc::new(fd);
        if keep {
            self.kept.put(node.identity, Arc::clone(&fd));
        }
        Ok(fd)
    }
}
