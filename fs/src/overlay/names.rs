//! Names of directories on an NFS server, so that what is absent need not be asked for.
//!
//! The NFS client asks the server for every name it has not seen, also in a directory whose names it has all read. After
//! [`ENOUGH`] questions about one directory its names are read whole. That is one call or a few, and brings attributes
//! of all files along, so the client asks for none of them singly; and names that are not among them are absent without
//! a call. Other network file systems are asked each time: some find names that no listing has.
//!
//! What was read of a published layer holds until a new generation is announced. Of a live one it holds as long as the
//! directory's times, asked of the NFS client, are the same: new names show as soon as the client's own cache of
//! attributes lets them. Two changes within one tick of the server's clock have the same time, so a directory is read
//! only when its last change is [`SETTLED`] ago; one that changes all the time is never read. Should this node's clock be
//! ahead of the server's by more, [`AGE`] bounds what a missed change costs, if the client sees it. Directories of more
//! than [`MOST`] names are not read: there a question is cheaper.

use super::layer::{Freshness, LayerDir, TRANSIENT};
use super::metrics::count;
use crate::sys::Result;
use crate::sys::dir;
use crate::sys::stat::{Stat, Time, stat_fd, stat_fresh};
use lru::LruCache;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use rustix::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Questions after which names are read. A boot with NFS 3 took 2322 calls without, 2140 with 3, 2113 with 2, 2097 with 1;
/// with 1 directories are read of which nothing more is asked.
const ENOUGH: u32 = 2;
/// Most names of a directory that is read.
const MOST: usize = 4096;
/// Most names of all directories: some megabytes.
const ALL: usize = 50_000;
/// How long what was read of a live layer is believed.
const AGE: Duration = Duration::from_secs(30);
/// How long ago a directory must have changed last.
const SETTLED: Duration = Duration::from_secs(10);
/// Directories of which something is known.
const DIRS: usize = 1024;

/// What tells one state of a directory from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Version {
    ino: u64,
    mtime: Time,
    ctime: Time,
}

impl Version {
    fn of(st: &Stat) -> Version {
        let (ino, mtime, ctime) = (st.ino, st.mtime, st.ctime);
        Version { ino, mtime, ctime }
    }

    fn is_settled(&self) -> bool {
        let last = self.mtime.max(self.ctime);
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now = now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX));
        now.saturating_sub(last.sec) > SETTLED.as_secs().cast_signed()
    }
}

/// All names of a directory at one time.
#[derive(Debug)]
struct Names {
    names: FxHashSet<Box<[u8]>>,
    version: Version,
    since: Instant,
}

#[derive(Debug)]
enum Known {
    /// So many questions.
    Asked(u32),
    Whole(Arc<Names>),
    TooMany,
}

impl Known {
    fn names(&self) -> usize {
        match self {
            Known::Whole(names) => names.names.len(),
            Known::Asked(_) | Known::TooMany => 0,
        }
    }
}

#[derive(Debug)]
struct Dirs {
    /// What is known, by the number of the [`LayerDir`].
    known: LruCache<u64, Known>,
    /// Names in it.
    names: usize,
    /// How often all was forgotten.
    epoch: u64,
}

/// What is known of directories.
#[derive(Debug)]
pub(super) struct KnownNames {
    dirs: Mutex<Dirs>,
}

impl KnownNames {
    /// Knows nothing yet.
    pub fn new() -> KnownNames {
        KnownNames {
            dirs: Mutex::new(Dirs {
                known: LruCache::unbounded(),
                names: 0,
                epoch: 0,
            }),
        }
    }

    /// Forgets all, and what is being read at this moment.
    pub fn clear(&self) {
        let mut dirs = self.dirs.lock();
        dirs.known.clear();
        dirs.names = 0;
        dirs.epoch += 1;
    }

    /// Whether `dir`, open as `fd`, is known to have no `name`. Counts as a question.
    pub fn lacks(&self, dir: &LayerDir, fd: impl AsFd, name: &[u8]) -> bool {
        if dir.layer.nfs.is_none() || dir.id == TRANSIENT {
            return false;
        }
        // Where reading fails, the question itself tells what is wrong.
        self.look(dir, fd, name).unwrap_or(false)
    }

    fn look(&self, dir: &LayerDir, fd: impl AsFd, name: &[u8]) -> Result<bool> {
        let published = dir.layer.freshness == Freshness::Published;
        let (known, epoch) = {
            let mut dirs = self.dirs.lock();
            let epoch = dirs.epoch;
            match dirs.known.get_mut(&dir.id) {
                Some(Known::TooMany) => return Ok(false),
                Some(Known::Asked(times)) if *times < ENOUGH => {
                    *times += 1;
                    return Ok(false);
                }
                Some(Known::Asked(_)) => (None, epoch),
                Some(Known::Whole(names)) => (Some(Arc::clone(names)), epoch),
                None => {
                    dirs.put(dir.id, Known::Asked(1));
                    return Ok(false);
                }
            }
        };
        if let Some(known) = &known
            && published
        {
            return Ok(!known.names.contains(name));
        }
        // What holds until the next generation must not come from what the client knew before this one.
        let stat = match published {
            true => stat_fresh(&fd)?,
            false => stat_fd(&fd)?,
        };
        let version = Version::of(&stat);
        if let Some(known) = known
            && known.version == version
            && known.since.elapsed() < AGE
        {
            return Ok(!known.names.contains(name));
        }
        if !version.is_settled() {
            return Ok(false);
        }
        let since = Instant::now();
        count(&dir.layer.counters.listings);
        let known = match dir::read_up_to(&fd, MOST)? {
            None => Known::TooMany,
            // It changed meanwhile.
            Some(_) if Version::of(&stat_fd(&fd)?) != version => return Ok(false),
            Some(entries) => Known::Whole(Arc::new(Names {
                names: entries.into_iter().map(|entry| entry.name).collect(),
                version,
                since,
            })),
        };
        let lacks = matches!(&known, Known::Whole(names) if !names.names.contains(name));
        let mut dirs = self.dirs.lock();
        if dirs.epoch == epoch {
            dirs.put(dir.id, known);
        }
        Ok(lacks)
    }
}

impl Dirs {
    /// Enters what is known of a directory; what was not used for longest goes when there is too much.
    fn put(&mut self, id: u64, known: Known) {
        self.names += known.names();
        let before = self.known.put(id, known);
        self.names -= before.map_or(0, |before| before.names());
        while (self.names > ALL || self.known.len() > DIRS)
            && let Some((_, oldest)) = self.known.pop_lru()
        {
            self.names -= oldest.names();
        }
    }
}

#[cfg(test)]
mod tests;
