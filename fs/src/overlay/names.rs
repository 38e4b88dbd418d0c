//! Names of directories on a server, so that what is absent need not be asked for.
//!
//! The NFS client asks the server for every name it has not seen, also in a directory whose names it has all read. After
//! [`ENOUGH`] questions about one directory its names are read whole. That is one call or a few, and brings attributes
//! of all files along, so the client asks for none of them singly; and names that are not among them are absent without
//! a call.
//!
//! What was read of a published layer holds until a new generation is announced. Of a live one it holds as long as the
//! directory's times, asked of the NFS client, are the same: new names show as soon as the client's own cache of
//! attributes lets them. It is read again after [`AGE`] all the same, since two changes within one tick of the server's
//! clock have the same time; the client then reads from its cache. Directories of more than [`MOST`] names are not read:
//! there a question is cheaper.

use super::layer::{Freshness, LayerDir, TRANSIENT};
use super::metrics::count;
use crate::sys::Result;
use crate::sys::dir;
use crate::sys::stat::{Time, stat_fd};
use lru::LruCache;
use parking_lot::Mutex;
use rustc_hash::FxHashSet;
use rustix::fd::AsFd;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Questions after which names are read. A boot with NFS 3 took 2322 calls without, 2140 with 3, 2113 with 2, 2097 with 1;
/// with 1 directories are read of which nothing more is asked.
const ENOUGH: u32 = 2;
/// Most names of a directory that is read.
const MOST: usize = 4096;
/// How long what was read of a live layer is believed.
const AGE: Duration = Duration::from_secs(30);
/// Directories of which something is known.
const DIRS: usize = 1024;

/// All names of a directory at one time.
#[derive(Debug)]
struct Names {
    names: FxHashSet<Box<[u8]>>,
    times: (Time, Time),
    since: Instant,
}

#[derive(Debug)]
enum Known {
    /// So many questions.
    Asked(u32),
    Whole(Arc<Names>),
    TooMany,
}

/// What is known, by the number of the [`LayerDir`].
#[derive(Debug)]
pub(super) struct KnownNames {
    dirs: Mutex<LruCache<u64, Known>>,
}

impl KnownNames {
    /// Knows nothing yet.
    pub fn new() -> KnownNames {
        let most = NonZeroUsize::new(DIRS).unwrap_or(NonZeroUsize::MIN);
        KnownNames {
            dirs: Mutex::new(LruCache::new(most)),
        }
    }

    /// Forgets all.
    pub fn clear(&self) {
        self.dirs.lock().clear();
    }

    /// Whether `dir`, open as `fd`, is known to have no `name`. Counts as a question.
    pub fn lacks(&self, dir: &LayerDir, fd: impl AsFd, name: &[u8]) -> bool {
        if !dir.layer.remote || dir.id == TRANSIENT {
            return false;
        }
        // Where reading fails, the question itself tells what is wrong.
        self.read(dir, fd, name).unwrap_or(false)
    }

    fn read(&self, dir: &LayerDir, fd: impl AsFd, name: &[u8]) -> Result<bool> {
        let known = {
            let mut dirs = self.dirs.lock();
            match dirs.get_or_insert_mut(dir.id, || Known::Asked(0)) {
                Known::TooMany => return Ok(false),
                Known::Asked(times) if *times < ENOUGH => {
                    *times += 1;
                    return Ok(false);
                }
                Known::Asked(_) => None,
                Known::Whole(names) => Some(Arc::clone(names)),
            }
        };
        if let Some(known) = &known
            && dir.layer.freshness == Freshness::Published
        {
            return Ok(!known.names.contains(name));
        }
        let st = stat_fd(&fd)?;
        let times = (st.mtime, st.ctime);
        if let Some(known) = known
            && known.times == times
            && known.since.elapsed() < AGE
        {
            return Ok(!known.names.contains(name));
        }
        let since = Instant::now();
        count(&dir.layer.counters.listings);
        let read = dir::read_up_to(&fd, MOST)?;
        let after = stat_fd(&fd)?;
        let Some(entries) = read else {
            self.dirs.lock().put(dir.id, Known::TooMany);
            return Ok(false);
        };
        let names: FxHashSet<_> = entries.into_iter().map(|entry| entry.name).collect();
        if (after.mtime, after.ctime) != times {
            // It changed meanwhile: the next question reads again.
            return Ok(false);
        }
        let lacks = !names.contains(name);
        let names = Names {
            names,
            times,
            since,
        };
        self.dirs.lock().put(dir.id, Known::Whole(Arc::new(names)));
        Ok(lacks)
    }
}
