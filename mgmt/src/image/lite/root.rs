//! An image on disk, reached only through a descriptor of its root.
//!
//! What is in an image is not trusted: no link in it is ever followed by the kernel, and no mount in it is entered.
//! Paths lead through directories only; `openat2` refuses any other, whatever changes meanwhile.
//!
//! Everything that changes the image is one call here, and each asks [`Root::tick`] first, so that a test can break
//! a run off between any two of them.

use super::edit::Content;
use super::look::{Kind, Look, Meta, split};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{
    AtFlags, CWD, Dir, FileType, FlockOperation, Mode, OFlags, RenameFlags, ResolveFlags, Stat,
    Timespec, Timestamps, UTIME_OMIT, XattrFlags,
};
use rustix::io::Errno;
use std::cell::Cell;
use std::io;
use std::path::Path;

/// No link, no way out, no other mount.
pub(crate) const INSIDE: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);

/// Where the modification time of the root is noted: for the superuser, and for others.
const HELD: [&str; 2] = ["trusted.statelite.mtime", "user.statelite.mtime"];

/// The largest file that is changed, bytes: it is kept in the journal.
const CONTENT_MAX: u64 = 16 << 20;

/// What a broken-off run reports.
pub const ABORTED: &str = "broken off by a test";

/// An image.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    /// Whether to wait for the disk.
    durable: bool,
    /// Changes left until the run is broken off; none: never.
    left: Cell<Option<u64>>,
}

impl Root {
    /// Opens an image and makes sure that no other run works on it. If it is not `durable`, nothing waits for the disk.
    ///
    /// # Errors
    /// As opening a directory; `EWOULDBLOCK` if another run is at it; the root of this machine.
    pub fn open(path: &Path, durable: bool, abort_after: Option<u64>) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(CWD, path, flags, Mode::empty())?;
        crate::image::root::not_of_this_machine(&fd)?;
        rustix::fs::flock(&fd, FlockOperation::NonBlockingLockExclusive)?;
        Ok(Self {
            fd,
            durable,
            left: Cell::new(abort_after),
        })
    }

    /// Counts one change.
    ///
    /// # Errors
    /// When the run is to be broken off here.
    pub fn tick(&self) -> io::Result<()> {
        match self.left.get() {
            Some(0) => Err(io::Error::other(ABORTED)),
            Some(left) => {
                self.left.set(Some(left - 1));
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Opens something below the root.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn open_at(&self, path: &str, flags: OFlags, mode: u32) -> io::Result<OwnedFd> {
        let path = if path.is_empty() { "." } else { path };
        let flags = flags | OFlags::CLOEXEC;
        let mode = Mode::from_raw_mode(mode);
        Ok(rustix::fs::openat2(&self.fd, path, flags, mode, INSIDE)?)
    }

    /// Opens a directory to act in.
    ///
    /// # Errors
    /// As `openat2(2)`.
    pub fn dir(&self, path: &str) -> io::Result<OwnedFd> {
        self.open_at(path, OFlags::PATH | OFlags::DIRECTORY, 0)
    }

    /// The status of a name; none if there is no such name.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    pub fn stat(&self, path: &str) -> io::Result<Option<Stat>> {
        let (dir, name) = split(path);
        let name = if path.is_empty() { "." } else { name };
        let stat = self
            .dir(dir)
            .and_then(|dir| Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?));
        match stat {
            Ok(stat) => Ok(Some(stat)),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Where a link leads.
    ///
    /// # Errors
    /// As `readlinkat(2)`.
    pub fn read_link(&self, path: &str) -> io::Result<Vec<u8>> {
        let (dir, name) = split(path);
        let text = rustix::fs::readlinkat(self.dir(dir)?, name, Vec::new())?;
        Ok(text.into_bytes())
    }

    /// Makes a directory.
    ///
    /// # Errors
    /// As `mkdirat(2)`.
    pub fn mkdir(&self, path: &str, mode: u32) -> io::Result<()> {
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        self.tick()?;
        Ok(rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(mode))?)
    }

    /// Sets owner and mode of a directory.
    ///
    /// # Errors
    /// As `fchown(2)` and `fchmod(2)`.
    pub fn own(&self, path: &str, mode: u32, uid: u32, gid: u32) -> io::Result<()> {
        let dir = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let stat = rustix::fs::fstat(&dir)?;
        if (stat.st_uid, stat.st_gid) != (uid, gid) {
            self.tick()?;
            super::tree::chown(&dir, c"", uid, gid)?;
        }
        self.tick()?;
        Ok(rustix::fs::fchmod(dir, Mode::from_raw_mode(mode))?)
    }

    /// Removes a name: an empty directory, or anything else.
    ///
    /// # Errors
    /// As `unlinkat(2)`.
    pub fn unlink(&self, path: &str, directory: bool) -> io::Result<()> {
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        let flags = if directory {
            AtFlags::REMOVEDIR
        } else {
            AtFlags::empty()
        };
        self.tick()?;
        Ok(rustix::fs::unlinkat(dir, name, flags)?)
    }

    /// Gives something another name; nothing may have it.
    ///
    /// # Errors
    /// As `renameat2(2)`, and `EEXIST`.
    pub fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let ((from_dir, from_name), (to_dir, to_name)) = (split(from), split(to));
        let (from_dir, target) = (self.dir(from_dir)?, self.dir(to_dir)?);
        let flags = RenameFlags::NOREPLACE;
        self.tick()?;
        match rustix::fs::renameat_with(&from_dir, from_name, &target, to_name, flags) {
            // File systems that cannot do it in one call; nobody else works here (see `open`).
            Err(Errno::INVAL) if self.stat(to)?.is_none() => {
                Ok(rustix::fs::renameat(&from_dir, from_name, target, to_name)?)
            }
            result => Ok(result?),
        }
    }

    /// Makes a link.
    ///
    /// # Errors
    /// As `symlinkat(2)`.
    pub fn symlink(&self, path: &str, text: &str) -> io::Result<()> {
        let (dir, name) = split(path);
        let dir = self.dir(dir)?;
        self.tick()?;
        Ok(rustix::fs::symlinkat(text, dir, name)?)
    }

    /// Writes a file of liteimg's own as a whole: a new one beside it, on disk, then renamed.
    ///
    /// # Errors
    /// As writing.
    pub fn write(&self, path: &str, text: &[u8]) -> io::Result<()> {
        let new = format!("{path}.new");
        if self.stat(&new)?.is_some() {
            self.unlink(&new, false)?;
        }
        self.tick()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        // The journal may hold a shadow file.
        let mode = if split(path).1 == "journal" {
            0o600
        } else {
            0o644
        };
        let file = self.open_at(&new, flags, mode)?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(mode))?;
        self.fill(&file, text)?;
        if self.durable {
            rustix::fs::fsync(&file)?;
        }
        let ((dir, name), (_, new)) = (split(path), split(&new));
        let dir = self.open_at(dir, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        self.tick()?;
        rustix::fs::renameat(&dir, new, &dir, name)?;
        if self.durable {
            rustix::fs::fsync(&dir)?;
        }
        Ok(())
    }

    /// Writes all of it, in two halves, so that a test can tear the write.
    fn fill(&self, file: &OwnedFd, bytes: &[u8]) -> io::Result<()> {
        let (one, two) = bytes.split_at(bytes.len() / 2);
        for half in [one, two] {
            self.tick()?;
            let mut rest = half;
            while !rest.is_empty() {
                let count = rustix::io::write(file, rest)?;
                rest = rest.get(count..).unwrap_or_default();
            }
        }
        Ok(())
    }

    /// Makes a file with this content, on disk; nothing has the name. `like` is a file whose further attributes it gets.
    ///
    /// # Errors
    /// As writing.
    pub fn create(&self, path: &str, content: &Content, like: Option<&str>) -> io::Result<()> {
        self.tick()?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
        let file = self.open_at(path, flags, 0o600)?;
        self.fill(&file, &content.bytes)?;
        let stat = rustix::fs::fstat(&file)?;
        if (stat.st_uid, stat.st_gid) != (content.uid, content.gid) {
            self.tick()?;
            super::tree::chown(&file, c"", content.uid, content.gid)?;
        }
        self.tick()?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(content.mode))?;
        if let Some(like) = like {
            let (dir, name) = split(like);
            for (key, value) in super::tree::xattrs(self.dir(dir)?.as_fd(), name.as_bytes())? {
                self.tick()?;
                rustix::fs::fsetxattr(&file, &*key, &value, XattrFlags::empty())?;
            }
        }
        if let Some((seconds, nanos)) = content.mtime {
            let time = |tv_sec, tv_nsec| Timespec { tv_sec, tv_nsec };
            let times = Timestamps {
                last_access: time(0, UTIME_OMIT),
                last_modification: time(seconds, nanos),
            };
            self.tick()?;
            rustix::fs::futimens(&file, &times)?;
        }
        if self.durable {
            rustix::fs::fsync(&file)?;
        }
        Ok(())
    }

    /// Reads a whole file of liteimg's own; none if there is none.
    ///
    /// # Errors
    /// As reading.
    pub fn read(&self, path: &str) -> io::Result<Option<String>> {
        match self.open_at(path, OFlags::RDONLY | OFlags::NOFOLLOW, 0) {
            Ok(fd) => io::read_to_string(std::fs::File::from(fd)).map(Some),
            Err(error) if absent(&error) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the modification time of a directory.
    ///
    /// # Errors
    /// As `utimensat(2)`.
    pub fn set_mtime(&self, path: &str, (seconds, nanos): (i64, i64)) -> io::Result<()> {
        let dir = self.open_at(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let omit = Timespec {
            tv_sec: 0,
            tv_nsec: UTIME_OMIT,
        };
        let times = Timestamps {
            last_access: omit,
            last_modification: Timespec {
                tv_sec: seconds,
                tv_nsec: nanos,
            },
        };
        self.tick()?;
        Ok(rustix::fs::futimens(dir, &times)?)
    }

    /// Notes the modification time of the root in an attribute of it, since names in it are about to change.
    ///
    /// # Errors
    /// As `fsetxattr(2)`; a file system without attributes is none, there a crash can cost this time.
    pub fn hold_mtime(&self) -> io::Result<()> {
        let stat = rustix::fs::fstat(&self.fd)?;
        let value = format!("{}.{}", stat.st_mtime, stat.st_mtime_nsec);
        self.tick()?;
        for key in HELD {
            match rustix::fs::fsetxattr(&self.fd, key, value.as_bytes(), XattrFlags::empty()) {
                Err(Errno::PERM | Errno::NOTSUP) => {}
                result => return Ok(result?),
            }
        }
        Ok(())
    }

    /// Gives the root the time back that was noted, if one was.
    ///
    /// # Errors
    /// As setting it.
    pub fn release_mtime(&self) -> io::Result<()> {
        let mut value = [0; 64];
        for key in HELD {
            let Ok(count) = rustix::fs::fgetxattr(&self.fd, key, &mut value[..]) else {
                continue;
            };
            let text = value.get(..count).unwrap_or_default();
            let text = String::from_utf8_lossy(text);
            if let Some((seconds, nanos)) = text.split_once('.')
                && let (Ok(seconds), Ok(nanos)) = (seconds.parse(), nanos.parse())
            {
                self.set_mtime("", (seconds, nanos))?;
            }
            self.tick()?;
            rustix::fs::fremovexattr(&self.fd, key)?;
        }
        Ok(())
    }

    /// Brings everything so far to the disk.
    ///
    /// # Errors
    /// As `syncfs(2)`.
    pub fn sync(&self) -> io::Result<()> {
        if self.durable {
            rustix::fs::syncfs(&self.fd)?;
        }
        Ok(())
    }
}

/// Whether an error says that there is no such name (or that something else is in the way to it).
pub(crate) fn absent(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::NOENT | Errno::NOTDIR | Errno::LOOP))
}

/// The names in a directory.
pub(crate) fn names(dir: impl AsFd) -> io::Result<Vec<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::openat(dir, c".", flags, Mode::empty())?;
    let mut names = Vec::new();
    for entry in Dir::new(fd)? {
        let name = entry?.file_name().to_bytes().to_vec();
        if name != b"." && name != b".." {
            names.push(name);
        }
    }
    Ok(names)
}

impl Drop for Root {
    fn drop(&mut self) {
        // Closing is not enough while a program that another thread starts has a copy of the descriptor. If this
        // fails, closing does it a moment later.
        let _ = rustix::fs::flock(&self.fd, FlockOperation::Unlock);
    }
}

impl AsFd for Root {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Look for Root {
    fn meta(&self, path: &str) -> io::Result<Option<Meta>> {
        let Some(stat) = self.stat(path)? else {
            return Ok(None);
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Dir,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Link,
            _ => Kind::Other,
        };
        let link = match kind {
            Kind::Link => Some(self.read_link(path)?),
            _ => None,
        };
        Ok(Some(Meta {
            kind,
            ino: stat.st_ino,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            mtime: (stat.st_mtime, stat.st_mtime_nsec.try_into().unwrap_or(0)),
            link,
        }))
    }

    fn names(&self, path: &str) -> io::Result<Vec<Vec<u8>>> {
        names(self.dir(path)?)
    }

    fn content(&self, path: &str) -> io::Result<Vec<u8>> {
        use std::io::Read as _;
        let file = self.open_at(path, OFlags::RDONLY | OFlags::NOFOLLOW, 0)?;
        let mut bytes = Vec::new();
        let mut part = std::fs::File::from(file).take(CONTENT_MAX + 1);
        part.read_to_end(&mut bytes)?;
        if bytes.len() as u64 > CONTENT_MAX {
            return Err(io::Error::other("it is larger than 16 MiB"));
        }
        Ok(bytes)
    }

    fn same(&self, one: &str, other: &str) -> io::Result<bool> {
        let ((one_dir, one), (other_dir, other)) = (split(one), split(other));
        let dirs = (self.dir(one_dir)?, self.dir(other_dir)?);
        super::tree::same(&dirs.0, one.as_bytes(), &dirs.1, other.as_bytes())
    }
}
