//! Keeping caller and daemon on one CPU.
//!
//! The measuring process sets its own affinity; daemons and workloads are its children and inherit it.

use anyhow::{Context, Result};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Undoes the pinning when dropped.
#[derive(Debug)]
pub struct Pinned {
    before: CpuSet,
}

/// Pins this process to the first CPU it may use.
pub fn to_one_cpu() -> Result<Pinned> {
    let before = sched_getaffinity(None).context("reading the CPU affinity")?;
    let first = (0..CpuSet::MAX_CPU)
        .find(|cpu| before.is_set(*cpu))
        .context("no CPU allowed")?;
    let mut one = CpuSet::new();
    one.set(first);
    sched_setaffinity(None, &one).with_context(|| format!("pinning to CPU {first}"))?;
    Ok(Pinned { before })
}

impl Drop for Pinned {
    fn drop(&mut self) {
        if let Err(error) = sched_setaffinity(None, &self.before) {
            eprintln!("statelite-bench: cannot undo the pinning: {error}");
        }
    }
}
