//! Access below an image's root. A symbolic link in the image, absolute or with `..`, is followed as a process with
//! this root would follow it: never out of the image.
//!
//! A file is written beside its place and renamed, so that a reader (the image may be mounted by nodes) sees the old
//! or the new content, and a power cut leaves one of them.

use rustix::fs::{self, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Links followed for one name, as many as Linux follows.
const MAX_LINKS: usize = 40;

/// The root of an image.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
    path: PathBuf,
}

/// Why something below a root failed: the path as on the management node, and the reason.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub struct RootError {
    /// The path, root included.
    pub path: PathBuf,
    /// The reason.
    pub why: io::Error,
}

/// Owner and mode of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// The owner.
    pub uid: u32,
    /// The group.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
}

impl Attributes {
    /// Root's, with these permission bits.
    #[must_use]
    pub const fn root(mode: u32) -> Self {
        Self {
            uid: 0,
            gid: 0,
            mode,
        }
    }
}

impl Root {
    /// Opens the root of an image, to read and change it.
    ///
    /// # Errors
    /// When it is not a directory that can be opened, or is the root of this machine.
    pub fn open(path: &Path) -> Result<Self, RootError> {
        let root = Self::open_source(path)?;
        not_of_this_machine(&root.fd).map_err(|why| root.failed("", why))?;
        Ok(root)
    }

    /// Opens a root to take something from, which this machine's own may be. Nothing is to be written there.
    ///
    /// # Errors
    /// When it is not a directory that can be opened.
    pub fn open_source(path: &Path) -> Result<Self, RootError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fd = fs::open(path, flags, Mode::empty()).map_err(|errno| RootError {
            path: path.to_owned(),
            why: errno.into(),
        })?;
        let path = path.to_owned();
        Ok(Self { fd, path })
    }

    /// Where it is on the management node.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether there is something at this path, links followed.
    #[must_use]
    pub fn exists(&self, path: &str) -> bool {
        self.resolve(path, OFlags::PATH).is_ok()
    }

    /// Whether there is a directory at this path, links followed.
    #[must_use]
    pub fn is_dir(&self, path: &str) -> bool {
        self.resolve(path, OFlags::PATH | OFlags::DIRECTORY).is_ok()
    }

    /// The content of a file; `None` when there is none.
    ///
    /// # Errors
    /// As reading files.
    pub fn read(&self, path: &str) -> Result<Option<Vec<u8>>, RootError> {
        let fd = match self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(None),
            Err(errno) => return Err(self.error(path, errno)),
        };
        let mut data = Vec::new();
        let read = File::from(fd).read_to_end(&mut data);
        read.map_err(|why| self.failed(path, why))?;
        Ok(Some(data))
    }

    /// The same as text; bytes that are not UTF-8 are an error.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn text(&self, path: &str) -> Result<Option<String>, RootError> {
        let data = self.read(path)?;
        let text = data.map(String::from_utf8).transpose();
        text.map_err(|error| {
            let why = io::Error::new(io::ErrorKind::InvalidData, error);
            self.failed(path, why)
        })
    }

    /// The names in a directory, sorted; none when there is no such directory.
    ///
    /// # Errors
    /// As listing directories.
    pub fn names(&self, path: &str) -> Result<Vec<String>, RootError> {
        let fd = match self.resolve(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(fd) => fd,
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(Vec::new()),
            Err(errno) => return Err(self.error(path, errno)),
        };
        let mut names = Vec::new();
        let entries = fs::Dir::read_from(fd).map_err(|errno| self.error(path, errno))?;
        for entry in entries {
            let entry = entry.map_err(|errno| self.error(path, errno))?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        names.sort();
        Ok(names)
    }

    /// Owner and mode of what is at this path, links followed.
    ///
    /// # Errors
    /// As `stat`.
    pub fn attributes(&self, path: &str) -> Result<Attributes, RootError> {
        let fd = self.resolve(path, OFlags::PATH);
        let stat = fd
            .and_then(fs::fstat)
            .map_err(|errno| self.error(path, errno))?;
        Ok(Attributes {
            uid: stat.st_uid,
            gid: stat.st_gid,
            mode: stat.st_mode & 0o7777,
        })
    }

    /// Makes a directory and its parents; those already there keep what they are.
    ///
    /// # Errors
    /// As `mkdir`.
    pub fn make_dir(&self, path: &str, mode: u32) -> Result<(), RootError> {
        let mut made = String::new();
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        for (index, part) in parts.iter().enumerate() {
            made.push('/');
            made.push_str(part);
            if self.is_dir(&made) {
                continue;
            }
            let mode = if index + 1 == parts.len() {
                mode
            } else {
                0o755
            };
            let (parent, name) = self.locate(&made)?;
            let done = fs::mkdirat(&parent, &name, Mode::from_raw_mode(mode));
            done.map_err(|errno| self.error(&made, errno))?;
            // The umask took bits away.
            let chmod = fs::chmodat(&parent, &name, Mode::from_raw_mode(mode), AtFlags::empty());
            chmod.map_err(|errno| self.error(&made, errno))?;
        }
        Ok(())
    }

    /// Writes a file. `attributes` of `None` keeps those of the file that was there, or gives root's with mode 644.
    ///
    /// # Errors
    /// As writing files; the old content is there then.
    pub fn write(
        &self,
        path: &str,
        data: &[u8],
        attributes: Option<Attributes>,
    ) -> Result<(), RootError> {
        let attributes = attributes
            .or_else(|| self.attributes(path).ok())
            .unwrap_or(Attributes::root(0o644));
        let (parent, name) = self.locate(path)?;
        let temporary = format!(
            ".statelite-{}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        );
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let written = (|| {
            // Readable by nobody else until owner and mode are right.
            let fd = fs::openat(&parent, &temporary, flags, Mode::from_raw_mode(0o600))?;
            let mut file = File::from(fd);
            file.write_all(data)?;
            let owner = Some(fs::Uid::from_raw(attributes.uid));
            fs::fchown(&file, owner, Some(fs::Gid::from_raw(attributes.gid)))?;
            fs::fchmod(&file, Mode::from_raw_mode(attributes.mode))?;
            file.sync_all()?;
            fs::renameat(&parent, &temporary, &parent, &name)?;
            Ok(())
        })();
        written.map_err(|why: io::Error| {
            // The error says why; a left-over would only be in the way.
            let _ = fs::unlinkat(&parent, &temporary, AtFlags::empty());
            self.failed(path, why)
        })
    }

    /// Removes a file; one that is not there is no error.
    ///
    /// # Errors
    /// As `unlink`.
    pub fn remove(&self, path: &str) -> Result<(), RootError> {
        let (parent, name) = self.locate(path)?;
        match fs::unlinkat(&parent, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(self.error(path, errno)),
        }
    }

    /// The directory and the name that a path stands for once its last link is followed.
    fn locate(&self, path: &str) -> Result<(OwnedFd, String), RootError> {
        let mut at = path.trim_matches('/').to_owned();
        for _ in 0..MAX_LINKS {
            let (parent, name) = at.rsplit_once('/').unwrap_or(("", &at));
            if name.is_empty() || name == ".." || name == "." {
                return Err(self.error(path, Errno::INVAL));
            }
            let fd = self.resolve(parent, OFlags::PATH | OFlags::DIRECTORY);
            let fd = fd.map_err(|errno| self.error(path, errno))?;
            let Ok(link) = fs::readlinkat(&fd, name, Vec::new()) else {
                return Ok((fd, name.to_owned()));
            };
            let link = link.to_string_lossy();
            at = match link.strip_prefix('/') {
                Some(rest) => rest.trim_matches('/').to_owned(),
                None => format!("{parent}/{link}").trim_matches('/').to_owned(),
            };
        }
        Err(self.error(path, Errno::LOOP))
    }

    fn resolve(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let path = match path.trim_matches('/') {
            "" => ".",
            path => path,
        };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        fs::openat2(
            &self.fd,
            path,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            resolve,
        )
    }

    fn error(&self, path: &str, errno: Errno) -> RootError {
        self.failed(path, errno.into())
    }

    fn failed(&self, path: &str, why: io::Error) -> RootError {
        RootError {
            path: self.path.join(path.trim_start_matches('/')),
            why,
        }
    }
}

/// Refuses the root of this machine, by whatever path it was reached: what belongs into an image would change the
/// management node.
///
/// # Errors
/// When it is, or when that cannot be told.
pub fn not_of_this_machine(dir: impl AsFd) -> io::Result<()> {
    let same =
        |one: fs::Stat, other: fs::Stat| (one.st_dev, one.st_ino) == (other.st_dev, other.st_ino);
    match same(fs::fstat(dir)?, fs::stat("/")?) {
        true => Err(io::Error::other(
            "this is the root of this machine, not of an image; nothing was changed",
        )),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    fn root() -> (tempfile::TempDir, Root) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("R/etc")).unwrap();
        std::fs::write(dir.path().join("outside"), "mine").unwrap();
        let root = Root::open(&dir.path().join("R")).unwrap();
        (dir, root)
    }

    fn mine() -> Option<Attributes> {
        Some(Attributes {
            uid: rustix::process::getuid().as_raw(),
            gid: rustix::process::getgid().as_raw(),
            mode: 0o640,
        })
    }

    #[test]
    fn links_stay_inside() {
        let (dir, root) = root();
        for (name, target) in [("up", "../../outside"), ("abs", "/outside")] {
            symlink(target, root.path().join("etc").join(name)).unwrap();
            let path = format!("/etc/{name}");
            assert_eq!(root.read(&path).unwrap(), None, "{name}");
            root.write(&path, b"new", mine()).unwrap();
            assert_eq!(root.read(&path).unwrap().unwrap(), b"new");
            assert_eq!(std::fs::read(root.path().join("outside")).unwrap(), b"new");
            root.remove("/outside").unwrap();
        }
        assert_eq!(std::fs::read(dir.path().join("outside")).unwrap(), b"mine");
    }

    #[test]
    fn a_file_is_written_through_its_link_and_keeps_its_mode() {
        let (_dir, root) = root();
        root.make_dir("/.default/etc", 0o755).unwrap();
        root.write("/.default/etc/shadow", b"old", mine()).unwrap();
        symlink("../.default/etc/shadow", root.path().join("etc/shadow")).unwrap();
        root.write("/etc/shadow", b"new", None).unwrap();
        assert!(root.path().join("etc/shadow").is_symlink());
        let file = root.path().join(".default/etc/shadow");
        assert_eq!(std::fs::read(&file).unwrap(), b"new");
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o640);
        assert_eq!(root.names("/.default/etc").unwrap(), ["shadow"]);
    }

    #[test]
    fn the_root_of_this_machine_is_no_image() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("rootimg");
        symlink("/", &link).unwrap();
        for path in [Path::new("/"), Path::new("/usr/.."), &link] {
            // Opened only, which changes nothing.
            let error = Root::open(path).unwrap_err().to_string();
            assert!(error.contains("root of this machine"), "{error}");
            Root::open_source(path).unwrap();
        }
        Root::open(dir.path()).unwrap();
    }

    #[test]
    fn loops_and_missing_parents_are_errors() {
        let (_dir, root) = root();
        symlink("loop", root.path().join("etc/loop")).unwrap();
        assert!(root.write("/etc/loop", b"", mine()).is_err());
        let error = root.write("/no/such/file", b"", mine()).unwrap_err();
        assert!(error.to_string().contains("R/no/such/file"), "{error}");
        assert!(root.write("/", b"", mine()).is_err());
    }
}
