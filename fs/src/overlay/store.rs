//! Stores: the writable layers.
//!
//! A store mirrors the union: the file shown at `/a/b` is kept at `a/b` below the store's data
//! directory, so a volatile store is also a valid overlayfs upper directory and a persistent store
//! is what xCAT's link mode expects. Besides it lies a work directory on the same file system for
//! what is prepared aside and renamed into place:
//!
//! - `work/tmp.N`  half-made copies; removed at the next start
//! - `work/index/` hard links to copied-up files that have several names in a lower layer
//! - `work/seed/`  trees being seeded, continued at the next start
//! - `work/seeded/` which paths have been seeded, so that what is removed stays removed
//! - `work/parents/` which directories are there only to hold something that was seeded

use super::ident::LayerId;
use super::layer::{Freshness, Layer};
use crate::sys::mountfd::{self, Root};
use crate::sys::stat::{Stat, stat_fd};
use crate::sys::{Result, change, lease};
use parking_lot::{RwLock, RwLockWriteGuard};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Name of the work directory when it lies in the data directory.
pub const WORK_NAME: &[u8] = b".statelite.work";

/// Marks an upper directory that hides everything below it (value `y`, as in overlayfs).
pub const XATTR_OPAQUE: &[u8] = b"trusted.overlay.opaque";
/// Names the lower path a renamed directory still shows (as in overlayfs).
pub const XATTR_REDIRECT: &[u8] = b"trusted.overlay.redirect";
/// The identity a copied-up file had below, 8 bytes little endian: keeps `st_ino` stable.
pub const XATTR_ORIGIN: &[u8] = b"trusted.statelite.origin";
/// Names of an indexed file that still are only in a lower layer, 4 bytes little endian.
pub const XATTR_LOWER_NAMES: &[u8] = b"trusted.statelite.lower_names";

/// Marks what was made because it is listed, and is nobody's work.
pub const XATTR_LISTED: &[u8] = b"trusted.statelite.listed";

/// Marks a character device 0:0 that somebody made and that is not a whiteout.
pub const XATTR_DEVICE: &[u8] = b"trusted.statelite.device";

/// Whether an attribute is the union's own bookkeeping, invisible and untouchable from above.
pub fn is_private_xattr(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"trusted.statelite.")
}

/// tmpfs and ramfs: nothing survives, so nothing need be flushed.
const RAM_MAGIC: [u64; 2] = [0x0102_1994, 0x8584_58f6];

/// A writable layer.
#[derive(Debug)]
pub struct Store {
    /// The data directory as a layer.
    pub layer: Arc<Layer>,
    /// Held shared while a file is reached by its name, exclusive while names change, so that a
    /// name never means two things within one operation.
    pub names: RwLock<()>,
    /// Whether content is in RAM and flushing it is pointless.
    pub ram: bool,
    work: OwnedFd,
    index: OwnedFd,
    next_tmp: AtomicU64,
    epoch: AtomicU64,
}

impl Store {
    /// Opens the store with data in `data` and its work directory `work`, both created if missing.
    /// Without `work` it is [`WORK_NAME`] in `data`, which is then not shown.
    ///
    /// Half-made copies of an earlier run are removed.
    ///
    /// # Errors
    /// `EXDEV` if `work` is on another file system; else as creating directories.
    pub fn open(id: LayerId, label: &str, data: &Path, work: Option<&Path>) -> Result<Store> {
        let inner = data.join(OsStr::from_bytes(WORK_NAME));
        let work = work.unwrap_or(&inner);
        for dir in [data, work] {
            std::fs::create_dir_all(dir)
                .map_err(|e| Errno::from_io_error(&e).unwrap_or(Errno::IO))?;
        }
        let (root, work) = open_pair(data, work)?;
        let layer = Layer::from_root(id, label.to_owned(), data, Freshness::Published, root)?;
        let store = Store::assemble(layer, work)?;
        store.sweep()?;
        Ok(store)
    }

    /// The store with data in `data` as it is, for who only looks: nothing in it is made or removed. What is not there yet is
    /// stood in for by empty directories in the one that `spare` gives, which is nobody's.
    ///
    /// # Errors
    /// As opening directories; `ENOTDIR` if something else is there.
    pub fn look(
        id: LayerId,
        label: &str,
        data: &Path,
        spare: impl FnOnce() -> Result<OwnedFd>,
    ) -> Result<Store> {
        let work = data.join(OsStr::from_bytes(WORK_NAME));
        let there = is_dir(data)?;
        let mut whole = there;
        for name in WORK_DIRS {
            whole = whole && is_dir(&work.join(OsStr::from_bytes(name)))?;
        }
        let (root, work) = if whole {
            open_pair(data, &work)?
        } else {
            let spare = spare()?;
            let root = match there {
                true => mountfd::open_root(data, true)?,
                false => Root {
                    fd: make_dir(&spare, b"data")?,
                    detached: true,
                },
            };
            (root, make_dir(&spare, b"work")?)
        };
        let layer = Layer::from_root(id, label.to_owned(), data, Freshness::Published, root)?;
        Store::assemble(layer, work)
    }

    /// A store on a file system of its own, with root directory `root`.
    ///
    /// # Errors
    /// As creating directories.
    pub fn open_private(id: LayerId, label: &str, root: &OwnedFd) -> Result<Store> {
        let (fd, work) = (make_dir(root, b"data")?, make_dir(root, b"work")?);
        rustix::fs::chmodat(root, c"data", Mode::from_raw_mode(0o755), AtFlags::empty())?;
        let root = Root { fd, detached: true };
        let path = Path::new("(private tmpfs)");
        let layer = Layer::from_root(id, label.to_owned(), path, Freshness::Published, root)?;
        Store::assemble(layer, work)
    }

    fn assemble(layer: Layer, work: OwnedFd) -> Result<Store> {
        for name in WORK_DIRS {
            make_dir(&work, name)?;
        }
        let index = make_dir(&work, INDEX)?;
        let magic = rustix::fs::fstatfs(layer.root())?.f_type as u64;
        Ok(Store {
            layer: Arc::new(layer),
            names: RwLock::new(()),
            ram: RAM_MAGIC.contains(&magic),
            work,
            index,
            next_tmp: AtomicU64::new(0),
            epoch: AtomicU64::new(0),
        })
    }

    /// Whether the store can hold what a union needs: whiteouts and trusted attributes.
    ///
    /// # Errors
    /// `EPERM` or `EOPNOTSUPP` if it cannot.
    pub fn check_union(&self) -> Result<()> {
        let tmp = self.tmp_name();
        super::create::make_whiteout(self.work(), &tmp)?;
        self.discard(&tmp);
        rustix::fs::mkdirat(self.work(), tmp.as_slice(), Mode::from_raw_mode(0o700))?;
        let set = crate::sys::xattr::set(self.work(), &tmp, XATTR_OPAQUE, b"y", 0);
        self.discard(&tmp);
        set
    }

    /// The layer's number.
    pub fn id(&self) -> LayerId {
        self.layer.id
    }

    /// The work directory.
    pub fn work(&self) -> BorrowedFd<'_> {
        self.work.as_fd()
    }

    /// The directory of hard links to files with several lower names.
    pub fn index(&self) -> BorrowedFd<'_> {
        self.index.as_fd()
    }

    /// Whether entry `name` of directory `dir` of this store, which `stat` describes, stands for
    /// a deleted name. Only a volatile store has such entries.
    pub fn is_whiteout(&self, dir: impl AsFd, name: &[u8], stat: &Stat) -> bool {
        self.id() == super::ident::VOLATILE
            && stat.is_whiteout()
            && crate::sys::xattr::get(dir, name, XATTR_DEVICE).is_err()
    }

    /// A name in the work directory that nobody else uses.
    pub fn tmp_name(&self) -> Vec<u8> {
        let n = self.next_tmp.fetch_add(1, Ordering::Relaxed);
        format!("tmp.{n}").into_bytes()
    }

    /// Name of the index entry for the file with `identity`.
    pub fn index_name(identity: u64) -> Vec<u8> {
        format!("{identity:016x}").into_bytes()
    }

    /// Name, beside the index, of the file whose size counts the removed names of a lower file that
    /// was not copied up.
    pub fn gone_name(identity: u64) -> Vec<u8> {
        format!("{identity:016x}.gone").into_bytes()
    }

    /// Counts one more removed name of a lower file.
    ///
    /// # Errors
    /// As `open(2)` and `write(2)`.
    pub fn count_gone(&self, identity: u64) -> Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND;
        let name = Store::gone_name(identity);
        let mode = Mode::from_raw_mode(0o600);
        let file = rustix::fs::openat(self.index(), &name, flags | OFlags::CLOEXEC, mode)?;
        rustix::io::write(file, b"-").map(drop)
    }

    /// Makes the store's content safe against power loss.
    ///
    /// # Errors
    /// As `syncfs(2)`.
    pub fn sync(&self) -> Result<()> {
        if self.ram {
            return Ok(());
        }
        let fd = self
            .layer
            .open_at(b"", OFlags::RDONLY | OFlags::DIRECTORY)?;
        rustix::fs::syncfs(fd)
    }

    /// Counts changes of names. A search that began and ended at the same count saw no name move.
    /// Waits for a change that is under way.
    pub fn epoch(&self) -> u64 {
        let _names = self.names.read_recursive();
        self.epoch.load(Ordering::Acquire)
    }

    /// Excludes others from names that are about to change.
    pub fn change_names(&self) -> RwLockWriteGuard<'_, ()> {
        let guard = self.names.write();
        self.epoch.fetch_add(1, Ordering::AcqRel);
        guard
    }

    /// Removes whatever an interrupted run left half-made.
    fn sweep(&self) -> Result<()> {
        for entry in crate::sys::dir::read(&self.work)? {
            if entry.name.starts_with(b"tmp.") {
                remove_tree(self.work(), &entry.name)?;
            }
        }
        Ok(())
    }

    /// Removes `name` of the work directory with everything in it, logging what fails: what is
    /// left is removed at the next start.
    pub fn discard(&self, name: &[u8]) {
        match remove_tree(self.work(), name) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(e) => tracing::warn!(
                "cannot remove {} from the work directory: {e}",
                String::from_utf8_lossy(name)
            ),
        }
    }
}

const INDEX: &[u8] = b"index";

/// What a work directory has.
const WORK_DIRS: [&[u8]; 4] = [INDEX, b"seed", b"seeded", b"parents"];

/// Whether there is a directory. Something else, or what cannot be asked about, is an error.
fn is_dir(path: &Path) -> Result<bool> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => Ok(true),
        Ok(_) => Err(Errno::NOTDIR),
        // A link that leads nowhere is no free place.
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => match path.is_symlink() {
            true => Err(Errno::NOENT),
            false => Ok(false),
        },
        Err(e) => Err(Errno::from_io_error(&e).unwrap_or(Errno::IO)),
    }
}

/// Opens data and work directory so that files can be renamed between them: through one clone of
/// the mount both are on, or as they are.
fn open_pair(data: &Path, work: &Path) -> Result<(Root, OwnedFd)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let plain = |path: &Path| rustix::fs::open(path, flags, Mode::empty());
    let (data_fd, work_fd) = (plain(data)?, plain(work)?);
    let device = stat_fd(&data_fd)?.dev;
    if stat_fd(&work_fd)?.dev != device {
        return Err(Errno::XDEV);
    }
    if let (Ok(data), Ok(work)) = (data.canonicalize(), work.canonicalize()) {
        let parent: PathBuf = data
            .components()
            .zip(work.components())
            .take_while(|(a, b)| a == b)
            .map(|(a, _)| a)
            .collect();
        let below = |path: &Path| -> Option<PathBuf> {
            let rest = path.strip_prefix(&parent).ok()?;
            Some(Path::new(".").join(rest))
        };
        let root = mountfd::open_root(&parent, false)?;
        if let (true, Some(data), Some(work)) = (root.detached, below(&data), below(&work)) {
            let open = |path: &Path| rustix::fs::openat(&root.fd, path, flags, Mode::empty());
            if let (Ok(data), Ok(work)) = (open(&data), open(&work))
                && stat_fd(&data)?.dev == device
                && stat_fd(&work)?.dev == device
            {
                let detached = true;
                return Ok((Root { fd: data, detached }, work));
            }
        }
    }
    let detached = false;
    Ok((
        Root {
            fd: data_fd,
            detached,
        },
        work_fd,
    ))
}

/// Makes directory `name` in `dir` unless it is there, and opens it.
fn make_dir(dir: impl AsFd, name: &[u8]) -> Result<OwnedFd> {
    match change::mkdir(&dir, name, Mode::from_raw_mode(0o700)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    lease::openat(dir.as_fd(), name, flags)
}

/// Removes entry `name` of `dir` with everything below it.
///
/// # Errors
/// `ENOENT` if there is none; else as `unlinkat(2)`.
pub fn remove_tree(dir: impl AsFd, name: &[u8]) -> Result<()> {
    match change::unlink(&dir, name, AtFlags::empty()) {
        Err(Errno::ISDIR | Errno::PERM) => {}
        other => return other,
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
    let sub = lease::openat(dir.as_fd(), name, flags)?;
    for entry in crate::sys::dir::read(&sub)? {
        remove_tree(&sub, &entry.name)?;
    }
    change::unlink(dir, name, AtFlags::REMOVEDIR)
}

#[cfg(test)]
mod tests {
    use super::super::ident;
    use super::*;

    fn names(dir: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(dir).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn who_only_looks_makes_and_removes_nothing() {
        let (top, spare) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let look = |name: &str| {
            let data = top.path().join(name);
            Store::look(ident::PERSISTENT, "persistent", &data, || {
                Ok(std::fs::File::open(spare.path()).unwrap().into())
            })
        };
        look("none").unwrap();
        std::fs::create_dir_all(top.path().join("plain/etc")).unwrap();
        let plain = look("plain").unwrap();
        assert!(plain.layer.open_at(b"etc", OFlags::PATH).is_ok());
        assert_eq!(names(&top.path().join("plain")), ["etc"]);
        let used = top.path().join("used");
        drop(Store::open(ident::PERSISTENT, "persistent", &used, None).unwrap());
        let half = used.join(".statelite.work/tmp.1");
        std::fs::write(&half, "another daemon's").unwrap();
        look("used").unwrap();
        assert!(half.exists());
        std::fs::remove_dir(used.join(".statelite.work/seed")).unwrap();
        look("used").unwrap();
        assert!(!used.join(".statelite.work/seed").exists());
        std::fs::write(top.path().join("file"), "").unwrap();
        assert_eq!(look("file").unwrap_err(), Errno::NOTDIR);
        std::fs::remove_file(top.path().join("file")).unwrap();
        assert_eq!(names(top.path()), ["plain", "used"]);
        drop(Store::open(ident::PERSISTENT, "persistent", &used, None).unwrap());
        assert!(!half.exists(), "who uses a store removes what is half made");
    }
}
