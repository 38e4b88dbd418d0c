//! A directory used as a root: absolute links inside it lead inside it, as in a chroot, without leaving this process.

use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Mode, OFlags, ResolveFlags, chmodat, mkdirat, openat, openat2, readlinkat,
    unlinkat,
};

/// The root of a tree. Paths given to its methods start at it, with or without a leading slash.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Opens it.
    pub fn open(dir: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self {
            fd: openat(CWD, dir, flags, Mode::empty())?,
        })
    }

    /// Whether a name is there, be it a dangling link.
    pub fn has(&self, path: &str) -> io::Result<bool> {
        match self.symlink_metadata(path) {
            Ok(_) => Ok(true),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// Attributes of what the path leads to.
    pub fn metadata(&self, path: &str) -> io::Result<Metadata> {
        self.file(path, OFlags::PATH, 0)?.metadata()
    }

    /// Attributes of the name itself. A trailing slash is not minded.
    pub fn symlink_metadata(&self, path: &str) -> io::Result<Metadata> {
        self.file(
            path.trim_end_matches('/'),
            OFlags::PATH | OFlags::NOFOLLOW,
            0,
        )?
        .metadata()
    }

    /// Where a link points.
    pub fn read_link(&self, path: &str) -> io::Result<PathBuf> {
        let link = self.file(path, OFlags::PATH | OFlags::NOFOLLOW, 0)?;
        let target = readlinkat(&link, "", Vec::new())?;
        Ok(PathBuf::from(target.to_string_lossy().into_owned()))
    }

    /// The content of a file.
    pub fn read(&self, path: &str) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.file(path, OFlags::RDONLY, 0)?
            .read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Creates a file or replaces its content.
    pub fn write(&self, path: &str, content: &str) -> io::Result<()> {
        self.file(path, OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC, 0o644)?
            .write_all(content.as_bytes())
    }

    /// Adds to a file.
    pub fn append(&self, path: &str, content: &str) -> io::Result<()> {
        self.file(path, OFlags::WRONLY | OFlags::APPEND, 0)?
            .write_all(content.as_bytes())
    }

    /// The names in a directory, sorted.
    pub fn list(&self, path: &str) -> io::Result<Vec<OsString>> {
        let dir = self.file(path, OFlags::RDONLY | OFlags::DIRECTORY, 0)?;
        let names = std::fs::read_dir(format!("/proc/self/fd/{}", dir.as_raw_fd()))?;
        let mut names = names
            .map(|entry| Ok(entry?.file_name()))
            .collect::<io::Result<Vec<_>>>()?;
        names.sort();
        Ok(names)
    }

    /// Creates a directory.
    pub fn mkdir(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(mkdirat(parent, name, Mode::from_raw_mode(0o755))?)
    }

    /// Removes a file.
    pub fn unlink(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(unlinkat(parent, name, AtFlags::empty())?)
    }

    /// Removes an empty directory.
    pub fn rmdir(&self, path: &str) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
    }

    /// Changes the mode of what the path leads to.
    pub fn chmod(&self, path: &str, mode: u32) -> io::Result<()> {
        let (parent, name) = self.parent(path)?;
        Ok(chmodat(
            parent,
            name,
            Mode::from_raw_mode(mode),
            AtFlags::empty(),
        )?)
    }

    fn file(&self, path: &str, flags: OFlags, mode: u32) -> io::Result<File> {
        let flags = flags | OFlags::CLOEXEC;
        let path = if path.is_empty() { "/" } else { path };
        Ok(openat2(
            &self.fd,
            path,
            flags,
            Mode::from_raw_mode(mode),
            ResolveFlags::IN_ROOT,
        )?
        .into())
    }

    fn parent<'a>(&self, path: &'a str) -> io::Result<(File, &'a OsStr)> {
        let path = path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let name = if name.is_empty() { "." } else { name };
        Ok((
            self.file(parent, OFlags::PATH | OFlags::DIRECTORY, 0)?,
            OsStr::new(name),
        ))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn absolute_links_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.mkdir("/run/").unwrap();
        root.mkdir("/var").unwrap();
        symlink("/run", dir.path().join("var/run")).unwrap();
        root.write("/var/run/pid", "1").unwrap();
        assert_eq!(
            std::fs::read_to_string(dir.path().join("run/pid")).unwrap(),
            "1"
        );
        assert_eq!(root.read_link("/var/run").unwrap(), Path::new("/run"));
        assert!(root.symlink_metadata("/var/run/").unwrap().is_symlink());
        assert!(root.metadata("/var/run").unwrap().is_dir());
        assert_eq!(root.list("/var/run").unwrap(), ["pid"]);
    }

    #[test]
    fn has_tells_absence_from_trouble() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.write("file", "a").unwrap();
        root.append("file", "b").unwrap();
        assert_eq!(root.read("/file").unwrap(), b"ab");
        assert!(root.has("/file").unwrap());
        assert!(!root.has("/file/below").unwrap() && !root.has("/nothing/at/all").unwrap());
        root.chmod("/file", 0o600).unwrap();
        root.chmod("/", 0o750).unwrap();
        root.unlink("/file").unwrap();
        root.mkdir("/d").unwrap();
        root.rmdir("/d").unwrap();
        assert!(root.list("/").unwrap().is_empty());
    }
}
