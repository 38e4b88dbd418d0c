//! Calls to a server that was away for longer than the client's lease.
//!
//! With NFS 4 a client has a lease, which runs out while the server cannot be reached (Linux servers: 90 s, Ganesha: 60 s).
//! When it is back, the kernel's client gets another one. What waited for an answer meanwhile is sent again, as `hard` has
//! it; but some of it is given up with `EIO` (seen with Linux 6.12 and Ganesha, 4.1: looking up a name and asking for
//! attributes; which step of the recovery does it is not known). The server is there then. So:
//!
//! | answer of the kernel | here | costs |
//! |---|---|---|
//! | none, the server is away | waits, as the mount says | as long as it is away |
//! | `EIO`, not NFS | an error | one `fstatfs` |
//! | `EIO`, NFS, the lease is being renewed | tried again until it works | some [`PAUSE`]s |
//! | `EIO`, NFS, a fault of the server's disk | an error after [`LONGEST`] | its caller waits so long |
//!
//! Opening, looking up and asking are tried again. An open that makes a file is among them: had the server made it before
//! it was given up, the second try says `EEXIST`. What else changes names is not tried again, since the server may have
//! done it; the names it is about were looked up before it. Nothing is tried again once calls are refused on purpose, at
//! a shutdown ([`refuse`]). Reads and writes of open files are the kernel's: it sends them
//! again itself.

use super::Result;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a call that fails with `EIO` on a server is tried again. A lease is renewed in a few calls.
const LONGEST: Duration = Duration::from_secs(10);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// Whether `EIO` is what we want of a silent server.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// From now on `EIO` is taken as it is: calls to a silent server are being refused.
pub fn refuse() {
    REFUSED.store(true, Ordering::Release);
}

/// `openat(2)` of a file that may be on a server; close-on-exec.
///
/// # Errors
/// As `openat(2)`; `EIO` of an NFS server only after ten seconds.
pub fn openat(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags, mode: Mode) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    kept(dir, || rustix::fs::openat(dir, name, flags, mode))
}

/// Calls `call`, which is about what `fd` refers to or an entry of it, again while a lease is renewed. It must do no harm
/// to call it twice.
///
/// # Errors
/// Those of `call`; `EIO` of an NFS server only after ten seconds.
pub fn kept<T>(fd: impl AsFd, call: impl FnMut() -> Result<T>) -> Result<T> {
    let again = || !REFUSED.load(Ordering::Acquire) && is_nfs(fd.as_fd());
    patiently(again, LONGEST, call)
}

fn is_nfs(fd: BorrowedFd<'_>) -> bool {
    const NFS: u64 = 0x6969;
    match rustix::fs::fstatfs(fd) {
        Ok(found) => found.f_type as u64 & 0xffff_ffff == NFS,
        // It asks the server, and may meet with the same.
        Err(e) => e == Errno::IO,
    }
}

fn patiently<T>(
    again: impl Fn() -> bool,
    longest: Duration,
    mut call: impl FnMut() -> Result<T>,
) -> Result<T> {
    let first = call();
    if !matches!(first, Err(Errno::IO)) || !again() {
        return first;
    }
    let since = Instant::now();
    loop {
        std::thread::sleep(PAUSE);
        match call() {
            Err(Errno::IO) if since.elapsed() < longest && !REFUSED.load(Ordering::Acquire) => {}
            last => {
                let after = since.elapsed().as_secs_f64();
                match last {
                    Err(Errno::IO) => tracing::warn!("a server says I/O error, for {after:.1} s"),
                    _ => tracing::debug!("a server answers {after:.1} s after an I/O error"),
                }
                return last;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How often it was opened, and what came of it, if the first `refused` times fail with `error`.
    fn opened(
        on_server: bool,
        longest: Duration,
        refused: usize,
        error: Errno,
    ) -> (usize, Result<()>) {
        let mut tries = 0;
        let outcome = patiently(
            || on_server,
            longest,
            || {
                tries += 1;
                if tries <= refused { Err(error) } else { Ok(()) }
            },
        );
        (tries, outcome)
    }

    #[test]
    fn only_a_server_that_says_eio_is_asked_again() {
        let long = Duration::from_secs(60);
        assert_eq!(opened(true, long, 3, Errno::IO), (4, Ok(())));
        assert_eq!(opened(true, long, 0, Errno::IO), (1, Ok(())));
        assert_eq!(opened(false, long, 1, Errno::IO), (1, Err(Errno::IO)));
        assert_eq!(opened(true, long, 1, Errno::NOENT), (1, Err(Errno::NOENT)));
    }

    #[test]
    fn a_server_that_goes_on_saying_so_is_believed() {
        let outcome = opened(true, PAUSE, usize::MAX, Errno::IO);
        assert_eq!(outcome, (2, Err(Errno::IO)));
    }

    #[test]
    fn a_directory_here_is_on_no_server() {
        let dir = tempfile::tempdir().unwrap();
        let fd = std::fs::File::open(dir.path()).unwrap();
        assert!(!is_nfs(fd.as_fd()));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        openat(fd.as_fd(), b"file", flags, Mode::RUSR).unwrap();
        let again = openat(fd.as_fd(), b"file", flags, Mode::RUSR);
        assert_eq!(again.unwrap_err(), Errno::EXIST);
    }
}
