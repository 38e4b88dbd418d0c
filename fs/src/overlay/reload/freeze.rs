//! Holding all operations for the moment in which a node's own files change their store.
//!
//! An operation begins by taking the view ([`Overlay::view`]), so that is where it is held. Operations that began before
//! are waited for; one that hangs on a dead server would hold the whole root, so the reload is given up instead.

use super::super::Overlay;
use super::super::view::View;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long operations under way are waited for.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// Holds operations, or does not.
#[derive(Debug, Default)]
pub(in super::super) struct Gate {
    closed: AtomicBool,
    lock: Mutex<()>,
    opened: Condvar,
}

impl Gate {
    /// Whether operations may begin. Asked while the view is locked, so none slips through as the gate closes.
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Waits until they may.
    pub fn wait(&self) {
        let mut lock = self.lock.lock();
        while !self.is_open() {
            self.opened.wait(&mut lock);
        }
    }

    fn open(&self) {
        let _lock = self.lock.lock();
        self.closed.store(false, Ordering::Release);
        self.opened.notify_all();
    }
}

/// While it lives no operation but its owner's is under way.
#[derive(Debug)]
pub(super) struct Frozen<'a> {
    overlay: &'a Overlay,
    since: Instant,
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.overlay.gate.open();
        tracing::debug!("all operations were held for {:?}", self.since.elapsed());
    }
}

impl Overlay {
    /// Holds all operations. `view` is the present one; besides the caller's there must be no use of it that goes on.
    /// None if an operation under way does not end: nothing is held then.
    pub(super) fn freeze(&self, view: &Arc<View>) -> Option<Frozen<'_>> {
        {
            let _view = self.view.write();
            self.gate.closed.store(true, Ordering::Release);
        }
        let frozen = Frozen {
            overlay: self,
            since: Instant::now(),
        };
        let deadline = frozen.since + LONGEST_WAIT;
        // One is the overlay's own, one the caller's.
        while Arc::strong_count(view) > 2 {
            if Instant::now() > deadline {
                return None;
            }
            std::thread::sleep(Duration::from_micros(50));
        }
        Some(frozen)
    }
}
