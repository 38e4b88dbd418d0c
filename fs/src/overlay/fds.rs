//! What is remembered of directories: descriptors, in a bounded cache, and names (see [`super::names`]).
//!
//! Files are addressed by directory and name, so the number of descriptors does not grow with the
//! number of files the kernel knows.

use super::names::KnownNames;
use crate::sys::Result;
use lru::LruCache;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a cached descriptor stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FdKey {
    /// A [`super::layer::LayerDir`], by its number.
    Lower(u64),
    /// The directory of store `.0` that mirrors node `.1`.
    Store(u8, u64),
}

/// The cache.
#[derive(Debug)]
pub struct DirFds {
    cache: Mutex<LruCache<FdKey, (Arc<OwnedFd>, Instant)>>,
    pub(super) names: KnownNames,
}

impl DirFds {
    /// A cache of at most `capacity` descriptors.
    pub fn new(capacity: usize) -> DirFds {
        let capacity = NonZeroUsize::new(capacity).unwrap_or(NonZeroUsize::MIN);
        DirFds {
            cache: Mutex::new(LruCache::new(capacity)),
            names: KnownNames::new(),
        }
    }

    /// The descriptor under `key` if it is younger than `max_age`, else what `open` gives.
    ///
    /// # Errors
    /// Those of `open`.
    pub fn get(
        &self,
        key: FdKey,
        max_age: Duration,
        open: impl FnOnce() -> Result<OwnedFd>,
    ) -> Result<Arc<OwnedFd>> {
        let live = max_age < super::layer::FOREVER;
        if let Some((fd, since)) = self.cache.lock().get(&key)
            && (!live || since.elapsed() < max_age)
        {
            return Ok(Arc::clone(fd));
        }
        let fd = Arc::new(open()?);
        // The evicted descriptor is closed after the lock is released.
        let evicted = self
            .cache
            .lock()
            .push(key, (Arc::clone(&fd), Instant::now()));
        drop(evicted);
        Ok(fd)
    }

    /// Forgets the descriptor under `key`.
    pub fn remove(&self, key: FdKey) {
        let removed = self.cache.lock().pop(&key);
        drop(removed);
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.cache.lock().clear();
        self.names.clear();
    }

    /// Number of cached descriptors.
    pub fn len(&self) -> usize {
        self.cache.lock().len()
    }

    /// Whether none is cached.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
