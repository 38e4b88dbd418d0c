//! A cpio archive in the form the kernel unpacks (`newc`).

use anyhow::{Context as _, bail};
use cpio::newc::Builder;
use std::collections::BTreeMap;
use std::io::Write;

/// Kind bits of a mode, as in `stat(2)`.
const DIRECTORY: u32 = 0o040_000;
const REGULAR: u32 = 0o100_000;
const SYMLINK: u32 = 0o120_000;
const CHARACTER: u32 = 0o020_000;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    mode: u32,
    /// Device number of a device node.
    device: (u32, u32),
    data: Vec<u8>,
}

/// Files by path (without leading slash). Parents are made as needed.
#[derive(Clone, Debug, Default)]
pub struct Archive {
    entries: BTreeMap<String, Entry>,
}

impl Archive {
    /// Adds a directory, mode 0755; one that is there stays.
    ///
    /// # Errors
    /// A path that leaves the archive, or has a file on its way.
    pub fn directory(&mut self, path: &str) -> anyhow::Result<()> {
        if self
            .entries
            .get(path)
            .is_some_and(|e| e.mode & 0o170_000 == DIRECTORY)
        {
            return Ok(());
        }
        self.add(path, DIRECTORY | 0o755, (0, 0), Vec::new())
    }

    /// Adds a file.
    ///
    /// # Errors
    /// As [`Archive::directory`]; a path that is there already.
    pub fn file(&mut self, path: &str, mode: u32, data: Vec<u8>) -> anyhow::Result<()> {
        self.add(path, REGULAR | mode, (0, 0), data)
    }

    /// Adds a symlink.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn symlink(&mut self, path: &str, target: &str) -> anyhow::Result<()> {
        self.add(path, SYMLINK | 0o777, (0, 0), target.into())
    }

    /// Adds a character device.
    ///
    /// # Errors
    /// As [`Archive::file`].
    pub fn device(&mut self, path: &str, mode: u32, major: u32, minor: u32) -> anyhow::Result<()> {
        self.add(path, CHARACTER | mode, (major, minor), Vec::new())
    }

    /// Whether there is something at `path`.
    pub fn has(&self, path: &str) -> bool {
        self.entries.contains_key(path)
    }

    fn add(
        &mut self,
        path: &str,
        mode: u32,
        device: (u32, u32),
        data: Vec<u8>,
    ) -> anyhow::Result<()> {
        if path.split('/').any(|name| matches!(name, "" | "." | "..")) {
            bail!("/{path}: not a plain path in the archive");
        }
        if u32::try_from(data.len()).is_err() {
            bail!("/{path}: larger than a cpio archive can hold");
        }
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.directory(parent)
                .with_context(|| format!("parent of /{path}"))?;
        }
        if self.entries.contains_key(path) {
            bail!("/{path} is added twice");
        }
        self.entries
            .insert(path.to_owned(), Entry { mode, device, data });
        Ok(())
    }

    /// Writes the archive. Equal content gives equal bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, mut to: impl Write) -> std::io::Result<()> {
        for (ino, (path, entry)) in (1..).zip(&self.entries) {
            let directory = entry.mode & 0o170_000 == DIRECTORY;
            let size = u32::try_from(entry.data.len()).map_err(std::io::Error::other)?;
            let mut writer = Builder::new(path)
                .ino(ino)
                .mode(entry.mode)
                .nlink(if directory { 2 } else { 1 })
                .rdev_major(entry.device.0)
                .rdev_minor(entry.device.1)
                .write(&mut to, size);
            writer.write_all(&entry.data)?;
            writer.finish()?;
        }
        cpio::newc::trailer(to).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;

    #[test]
    fn archives_read_back_with_parents_before_children() {
        let mut archive = Archive::default();
        archive.file("a/b/c", 0o640, b"text".to_vec()).unwrap();
        archive.symlink("bin/sh", "busybox").unwrap();
        archive.device("dev/console", 0o600, 5, 1).unwrap();
        archive.directory("a").unwrap();
        let mut bytes = Vec::new();
        archive.write(&mut bytes).unwrap();
        let mut rest = bytes.as_slice();
        let mut seen = Vec::new();
        loop {
            let mut reader = cpio::newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let mut data = Vec::new();
            reader.read_to_end(&mut data).unwrap();
            let entry = reader.entry();
            seen.push(format!(
                "{} {:o} {}:{} {}",
                entry.name(),
                entry.mode(),
                entry.rdev_major(),
                entry.rdev_minor(),
                String::from_utf8_lossy(&data)
            ));
            rest = reader.finish().unwrap();
        }
        assert_eq!(
            seen,
            [
                "a 40755 0:0 ",
                "a/b 40755 0:0 ",
                "a/b/c 100640 0:0 text",
                "bin 40755 0:0 ",
                "bin/sh 120777 0:0 busybox",
                "dev 40755 0:0 ",
                "dev/console 20600 5:1 ",
            ]
        );
    }

    #[test]
    fn odd_paths_and_doubles_are_refused() {
        let mut archive = Archive::default();
        for path in ["", "a//b", "../a", "a/./b", "/a"] {
            assert!(archive.file(path, 0o644, Vec::new()).is_err(), "{path:?}");
        }
        archive.file("a", 0o644, Vec::new()).unwrap();
        assert!(archive.file("a", 0o644, Vec::new()).is_err());
        assert!(archive.file("a/b", 0o644, Vec::new()).is_err());
    }
}
