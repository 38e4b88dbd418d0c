//! Keeping the daemon alive: without it the node has no root.

use rustix::fd::BorrowedFd;
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, Rlimit, setrlimit};

/// Spares the process from the out-of-memory killer, keeps its pages in memory, and lets no core
/// be written (to a file system that it would have to serve itself). What is not permitted is
/// logged and left.
pub fn all() {
    if let Err(e) = std::fs::write("/proc/self/oom_score_adj", "-1000") {
        tracing::warn!("not spared when memory runs out: {e}");
    }
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    if let Err(e) = setrlimit(Resource::Core, none) {
        tracing::warn!("core files are not prevented: {e}");
    }
    // What is there is locked at once; what comes later when it is first used, since the large
    // buffers of the serving threads are mostly never touched.
    let locked = mlockall(MlockAllFlags::CURRENT)
        .and_then(|()| mlockall(MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT));
    if let Err(e) = locked {
        tracing::warn!("pages are not locked in memory: {e}");
    }
}

/// Signals that an administrator may send to all processes do not end this one.
pub fn ignore_signals() {
    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    for signal in [SIGHUP, SIGINT, SIGTERM, SIGQUIT] {
        let heard = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
        if let Err(e) = signal_hook::flag::register(signal, heard) {
            tracing::warn!("signal {signal} is not ignored: {e}");
        }
    }
}

/// A request to the file system ends a stop. At shutdown systemd stops every process, also one it is told to spare, and
/// then looks at its own root directory: it would wait for ever for the one it has stopped.
pub fn go_on_when_asked(device: BorrowedFd<'_>) {
    if let Err(e) = crate::sys::wake::continue_on(device) {
        tracing::warn!("a stop would be for good, and shutdown may hang: {e}");
    }
}
