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
//! | `EIO`, NFS, a fault of the server's disk | an error after [`LONGEST`]; about the same file or directory at once for [`BELIEVED`] | its callers wait so long once a while |
//! | `EIO`, NFS mounted `soft`, the server is away | the same, after one more time-out or two | the same |
//!
//! So it goes with what asks, opens, reads at a given place, or sets to a given value. Changes of names go through
//! [`super::change`]. Writes, `fsync` and locks are not repeated: a second `fsync` would hide that the first has failed.
//! Nothing is tried again while calls are refused on purpose, at a shutdown ([`refuse`]).

use super::Result;
use parking_lot::Mutex;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, StatxFlags};
use rustix::io::Errno;
use std::cell::Cell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How long a call that fails with `EIO` on a server is tried again. A lease is renewed in a few calls.
const LONGEST: Duration = Duration::from_secs(5);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a server is believed that has said `EIO` of a file or directory for [`LONGEST`]: a process that reads a bad disk is
/// not held up at each of its calls, nor are those that wait for the same lock.
const BELIEVED: Duration = Duration::from_secs(60);

/// Whether `EIO` is what we want of a silent server.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// What a descriptor refers to: `st_dev` and `st_ino`.
type Identity = (u32, u32, u64);

/// Of what an `EIO` is believed, and since when.
static BROKEN: Mutex<Vec<(Identity, Instant)>> = Mutex::new(Vec::new());

/// Whether `EIO` is to be taken as it is from now on: calls to a silent server are being refused.
pub fn refuse(yes: bool) {
    REFUSED.store(yes, Ordering::Release);
    if !yes {
        BROKEN.lock().clear();
    }
}

/// `openat(2)` of what is there, on a server or not; close-on-exec.
///
/// # Errors
/// As `openat(2)`.
pub fn openat(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC;
    kept(dir, || rustix::fs::openat(dir, name, flags, Mode::empty()))
}

/// Target of symlink `name` of `dir`, or of the one that `dir` refers to if `name` is empty.
///
/// # Errors
/// As `readlinkat(2)`.
pub fn readlinkat(dir: impl AsFd, name: &[u8]) -> Result<Vec<u8>> {
    kept(&dir, || rustix::fs::readlinkat(&dir, name, Vec::new())).map(std::ffi::CString::into_bytes)
}

/// Calls `call`, which is about what `fd` refers to or an entry of it, again while a lease is renewed. It must do no harm
/// to call it twice.
///
/// # Errors
/// Those of `call`.
pub fn kept<T>(fd: impl AsFd, call: impl FnMut() -> Result<T>) -> Result<T> {
    let asked = Cell::new(None);
    let again = || {
        asked.set(to_be_asked_again(fd.as_fd()));
        asked.get().is_some()
    };
    let outcome = patiently(again, LONGEST, call);
    if let (Err(Errno::IO), Some((about, since))) = (&outcome, asked.get())
        && since.elapsed() >= LONGEST
        && !REFUSED.load(Ordering::Acquire)
    {
        believe(about);
    }
    outcome
}

/// What `fd` refers to, and the time; if it is a server's, and its `EIO` is not to be believed.
fn to_be_asked_again(fd: BorrowedFd<'_>) -> Option<(Identity, Instant)> {
    if REFUSED.load(Ordering::Acquire) {
        return None;
    }
    let about = identity(fd)?;
    if is_believed(about) || !is_nfs(fd) {
        return None;
    }
    Some((about, Instant::now()))
}

fn is_believed(about: Identity) -> bool {
    let mut broken = BROKEN.lock();
    broken.retain(|(_, since)| since.elapsed() < BELIEVED);
    broken.iter().any(|(one, _)| *one == about)
}

fn believe(about: Identity) {
    let mut broken = BROKEN.lock();
    broken.retain(|(one, _)| *one != about);
    broken.push((about, Instant::now()));
}

/// What the client knows without asking the server.
fn identity(fd: BorrowedFd<'_>) -> Option<Identity> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::STATX_DONT_SYNC;
    let stat = rustix::fs::statx(fd, c"", flags, StatxFlags::INO).ok()?;
    Some((stat.stx_dev_major, stat.stx_dev_minor, stat.stx_ino))
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
        let mut tries = 0;
        let refused = kept(&fd, || {
            tries += 1;
            Err::<(), _>(Errno::IO)
        });
        assert_eq!((tries, refused), (1, Err(Errno::IO)));
        let (major, minor, ino) = identity(fd.as_fd()).unwrap();
        let stat = crate::sys::stat::stat_fd(&fd).unwrap();
        assert_eq!(((major, minor), ino), (stat.dev, stat.ino));
    }

    #[test]
    fn who_said_so_for_long_is_believed_for_a_while() {
        let about = (4242, 1, 7);
        assert!(!is_believed(about));
        believe(about);
        believe(about);
        assert!(is_believed(about) && !is_believed((4242, 1, 8)));
        refuse(false);
        assert!(!is_believed(about));
    }
}
