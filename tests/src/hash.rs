//! A fingerprint of a directory tree, entry by entry, so that a difference can be named.
//!
//! Covered: names, types, modes, owners, device numbers, modification times, sizes, content, link targets and extended
//! attributes. Not covered: access and change times, inode numbers.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::fs::{lgetxattr, llistxattr};
use rustix::io::Errno;

/// The fingerprint of a tree: one hash for each path below its root, and one for the root itself under "".
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeHash {
    entries: BTreeMap<PathBuf, u128>,
}

impl TreeHash {
    /// Reads the whole tree, without following links and without crossing into other file systems.
    pub fn of(root: &Path) -> Result<Self> {
        let device = std::fs::symlink_metadata(root)
            .with_context(|| root.display().to_string())?
            .dev();
        let mut entries = BTreeMap::new();
        let mut todo = vec![PathBuf::new()];
        while let Some(path) = todo.pop() {
            let full = root.join(&path);
            let meta =
                std::fs::symlink_metadata(&full).with_context(|| full.display().to_string())?;
            let hash = entry(&full, &meta).with_context(|| full.display().to_string())?;
            if meta.is_dir() && meta.dev() == device {
                for child in std::fs::read_dir(&full).with_context(|| full.display().to_string())? {
                    todo.push(path.join(child?.file_name()));
                }
            }
            entries.insert(path, hash);
        }
        Ok(Self { entries })
    }

    /// One number for the whole.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let mut hasher = Fnv::new();
        for (path, hash) in &self.entries {
            hasher.field(path.as_os_str().as_bytes());
            hasher.word(*hash);
        }
        hasher.0
    }

    /// How many entries there are, the root included.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.len()
    }

    /// What is gone (`-`), new (`+`) or changed (`!`) in a later fingerprint.
    #[must_use]
    pub fn changes(&self, later: &Self) -> Vec<String> {
        let gone_or_changed =
            self.entries
                .iter()
                .filter_map(|(path, hash)| match later.entries.get(path) {
                    None => Some(format!("- /{}", path.display())),
                    Some(other) if other != hash => Some(format!("! /{}", path.display())),
                    Some(_) => None,
                });
        let new = later
            .entries
            .keys()
            .filter(|path| !self.entries.contains_key(*path));
        gone_or_changed
            .chain(new.map(|path| format!("+ /{}", path.display())))
            .collect()
    }
}

fn entry(path: &Path, meta: &Metadata) -> Result<u128> {
    let mut hasher = Fnv::new();
    for number in [meta.mode(), meta.uid(), meta.gid()] {
        hasher.word(number.into());
    }
    hasher.word(meta.rdev().into());
    hasher.field(&meta.mtime().to_le_bytes());
    hasher.field(&meta.mtime_nsec().to_le_bytes());
    if meta.is_symlink() {
        hasher.field(std::fs::read_link(path)?.as_os_str().as_bytes());
    } else if meta.is_file() {
        hasher.word(meta.len().into());
        content(path, &mut hasher)?;
    }
    attributes(path, &mut hasher)?;
    Ok(hasher.0)
}

fn content(path: &Path, hasher: &mut Fnv) -> Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; 1 << 17];
    loop {
        let count = file.read(&mut buffer)?;
        match buffer.get(..count) {
            Some(bytes) if count > 0 => hasher.bytes(bytes),
            _ => return Ok(()),
        }
    }
}

fn attributes(path: &Path, hasher: &mut Fnv) -> Result<()> {
    let mut names = vec![0; 1 << 16];
    let count = match llistxattr(path, &mut names) {
        Err(Errno::OPNOTSUPP) => return Ok(()),
        result => result?,
    };
    names.truncate(count);
    let mut names: Vec<&[u8]> = names
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
        .collect();
    names.sort_unstable();
    let mut value = vec![0; 1 << 16];
    for name in names {
        let count = lgetxattr(path, OsStr::from_bytes(name), &mut value)?;
        hasher.field(name);
        hasher.field(value.get(..count).unwrap_or_default());
    }
    Ok(())
}

/// FNV-1a on 128 bits, fed eight bytes at a time: quick without optimisation, good enough against accidents.
#[derive(Debug)]
struct Fnv(u128);

impl Fnv {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn word(&mut self, word: u128) {
        self.0 = (self.0 ^ word).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let word = chunk
                .iter()
                .rev()
                .fold(0u64, |word, &byte| word << 8 | u64::from(byte));
            self.word(word.into());
        }
    }

    /// Bytes with their length, so that neighbours cannot be confused.
    fn field(&mut self, bytes: &[u8]) {
        self.word(bytes.len() as u128);
        self.bytes(bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::time::{Duration, SystemTime};

    use super::*;

    /// A tree, and what one change to it is reported as.
    fn change(change: impl FnOnce(&Path)) -> Vec<String> {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "0123456789").unwrap();
        symlink("f", root.join("d/l")).unwrap();
        let before = TreeHash::of(root).unwrap();
        let times: Vec<_> = ["", "d"]
            .map(|path| {
                (
                    root.join(path),
                    fs::metadata(root.join(path)).unwrap().modified().unwrap(),
                )
            })
            .into();
        change(root);
        for (path, time) in times {
            File::open(path).unwrap().set_modified(time).unwrap();
        }
        let after = TreeHash::of(root).unwrap();
        assert_eq!(
            before.changes(&after).is_empty(),
            before.digest() == after.digest()
        );
        before.changes(&after)
    }

    #[test]
    fn the_same_tree_has_the_same_hash() {
        assert!(change(|_| ()).is_empty());
    }

    #[test]
    fn content_counts_even_with_its_time_put_back() {
        let changed = change(|root| {
            let file = root.join("d/f");
            let time = fs::metadata(&file).unwrap().modified().unwrap();
            fs::write(&file, "0123456780").unwrap();
            File::open(&file).unwrap().set_modified(time).unwrap();
        });
        assert_eq!(changed, ["! /d/f"]);
    }

    #[test]
    fn modes_times_targets_and_attributes_count() {
        let mode = |root: &Path| {
            fs::set_permissions(root.join("d/f"), fs::Permissions::from_mode(0o600)).unwrap()
        };
        assert_eq!(change(mode), ["! /d/f"]);
        let time = |root: &Path| {
            let later = SystemTime::now() + Duration::from_secs(5);
            File::open(root.join("d/f"))
                .unwrap()
                .set_modified(later)
                .unwrap();
        };
        assert_eq!(change(time), ["! /d/f"]);
        let target = |root: &Path| {
            fs::remove_file(root.join("d/l")).unwrap();
            symlink("g", root.join("d/l")).unwrap();
        };
        assert_eq!(change(target), ["! /d/l"]);
        let attribute = |root: &Path| {
            rustix::fs::lsetxattr(
                root.join("d/f"),
                "user.a",
                b"1",
                rustix::fs::XattrFlags::empty(),
            )
            .unwrap();
        };
        assert_eq!(change(attribute), ["! /d/f"]);
    }

    #[test]
    fn names_what_came_and_went() {
        let moved = |root: &Path| fs::rename(root.join("d/f"), root.join("d/g")).unwrap();
        assert_eq!(change(moved), ["- /d/f", "+ /d/g"]);
    }
}
