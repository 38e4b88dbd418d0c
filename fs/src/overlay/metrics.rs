//! Counters that sit on what they count.

use std::sync::atomic::{AtomicU64, Ordering};

/// Operations and bytes of one layer or store.
#[derive(Debug, Default)]
pub struct Counters {
    /// Names looked up.
    pub lookups: AtomicU64,
    /// Directories read.
    pub listings: AtomicU64,
    /// Files opened.
    pub opens: AtomicU64,
    /// Bytes read through the daemon (passthrough reads do not come by).
    pub read_bytes: AtomicU64,
    /// Bytes written through the daemon (passthrough writes do not come by).
    pub written_bytes: AtomicU64,
    /// Files copied up into this store.
    pub copy_ups: AtomicU64,
    /// Bytes copied up or seeded into this store.
    pub copied_bytes: AtomicU64,
}

/// Adds one.
pub fn count(counter: &AtomicU64) {
    add(counter, 1);
}

/// Adds `n`.
pub fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// A copy of [`Counters`], for reports.
#[derive(Clone, Debug, Default, serde::Serialize, serde::Deserialize)]
pub struct CounterValues {
    /// See [`Counters::lookups`].
    pub lookups: u64,
    /// See [`Counters::listings`].
    pub listings: u64,
    /// See [`Counters::opens`].
    pub opens: u64,
    /// See [`Counters::read_bytes`].
    pub read_bytes: u64,
    /// See [`Counters::written_bytes`].
    pub written_bytes: u64,
    /// See [`Counters::copy_ups`].
    pub copy_ups: u64,
    /// See [`Counters::copied_bytes`].
    pub copied_bytes: u64,
}

impl Counters {
    /// The present values.
    pub fn values(&self) -> CounterValues {
        let get = |c: &AtomicU64| c.load(Ordering::Relaxed);
        CounterValues {
            lookups: get(&self.lookups),
            listings: get(&self.listings),
            opens: get(&self.opens),
            read_bytes: get(&self.read_bytes),
            written_bytes: get(&self.written_bytes),
            copy_ups: get(&self.copy_ups),
            copied_bytes: get(&self.copied_bytes),
        }
    }
}
