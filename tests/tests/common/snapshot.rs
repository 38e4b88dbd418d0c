//! A whole tree as a value.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// Everything about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// `mode` with the file type.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Of anything but a directory.
    pub nlink: u64,
    pub rdev: u64,
    /// Content of a file, target of a link.
    pub content: Vec<u8>,
    pub mtime: (i64, i64),
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// All names below a directory, which itself is the empty path.
pub type Snapshot = BTreeMap<PathBuf, Entry>;

/// Reads a whole tree.
pub fn snapshot(root: &Path) -> Result<Snapshot> {
    let mut all = Snapshot::new();
    let mut todo = vec![PathBuf::new()];
    while let Some(path) = todo.pop() {
        let full = if path.as_os_str().is_empty() {
            root.to_path_buf()
        } else {
            root.join(&path)
        };
        let entry = entry(&full).with_context(|| format!("reading {}", full.display()))?;
        if entry.mode & 0o170_000 == 0o040_000 {
            let list =
                fs::read_dir(&full).with_context(|| format!("listing {}", full.display()))?;
            for name in list {
                todo.push(path.join(name?.file_name()));
            }
        }
        all.insert(path, entry);
    }
    Ok(all)
}

fn entry(path: &Path) -> Result<Entry> {
    let meta = fs::symlink_metadata(path)?;
    let kind = meta.mode() & 0o170_000;
    let content = match kind {
        0o100_000 => fs::read(path)?,
        0o120_000 => fs::read_link(path)?.as_os_str().as_bytes().to_vec(),
        _ => Vec::new(),
    };
    Ok(Entry {
        mode: meta.mode(),
        uid: meta.uid(),
        gid: meta.gid(),
        nlink: if kind == 0o040_000 { 0 } else { meta.nlink() },
        rdev: if kind == 0o020_000 || kind == 0o060_000 {
            meta.rdev()
        } else {
            0
        },
        content,
        mtime: (meta.mtime(), meta.mtime_nsec()),
        xattrs: xattrs(path)?,
    })
}

/// All extended attributes, not those of a link's target.
pub fn xattrs(path: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    let mut list = vec![0_u8; 65536];
    let length = rustix::fs::llistxattr(path, list.as_mut_slice())?;
    list.truncate(length);
    let mut all = BTreeMap::new();
    for name in list
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
    {
        let name = String::from_utf8_lossy(name).into_owned();
        let value = xattr(path, &name)?;
        all.insert(name, value);
    }
    Ok(all)
}

/// One extended attribute.
pub fn xattr(path: &Path, name: &str) -> rustix::io::Result<Vec<u8>> {
    let mut value = vec![0_u8; 65536];
    let length = rustix::fs::lgetxattr(path, name, value.as_mut_slice())?;
    value.truncate(length);
    Ok(value)
}

/// How two trees differ, one line each; empty if they do not.
pub fn differences(got: &Snapshot, wanted: &Snapshot) -> Vec<String> {
    let mut lines = Vec::new();
    for (path, entry) in wanted {
        match got.get(path) {
            None => lines.push(format!("{}: missing", path.display())),
            Some(other) if other != entry => {
                lines.push(format!(
                    "{}: got {other:?}, wanted {entry:?}",
                    path.display()
                ));
            }
            Some(_) => {}
        }
    }
    for path in got.keys().filter(|path| !wanted.contains_key(*path)) {
        lines.push(format!("{}: should not be there", path.display()));
    }
    lines
}
