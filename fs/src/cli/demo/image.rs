//! Proof that the image was not touched: what was there before is there after, to the byte.

use std::hash::{DefaultHasher, Hasher as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// What the tour works on, as the image has it.
const WATCHED: [&str; 7] = [
    "/etc",
    "/etc/fstab",
    "/etc/issue",
    "/etc/motd",
    "/usr",
    "/var/lib",
    "/var/log",
];
/// Names the tour gives to new files.
const NEW: [&str; 3] = [
    "/usr/statelite-demo",
    "/var/log/statelite-demo.log",
    "/var/lib/statelite-demo",
];

/// State of the watched files.
#[derive(Debug, PartialEq, Eq)]
pub struct Snapshot(Vec<(&'static str, String)>);

impl Snapshot {
    /// How the files are now.
    pub fn take() -> Snapshot {
        let watched = WATCHED.iter().chain(&NEW);
        Snapshot(
            watched
                .map(|path| (*path, describe(Path::new(path))))
                .collect(),
        )
    }

    /// Paths that differ in `later`.
    pub fn changed_in(&self, later: &Snapshot) -> Vec<&'static str> {
        let pairs = self.0.iter().zip(&later.0);
        pairs.filter(|(a, b)| a != b).map(|(a, _)| a.0).collect()
    }

    /// How many files are compared.
    pub fn len(&self) -> usize {
        self.0.len()
    }
}

/// Inode, mode, owner, size, times and a hash of the content, of a directory of its names.
///
/// The times of a directory are left out: this machine goes on living beside the tour.
fn describe(path: &Path) -> String {
    let Ok(meta) = path.symlink_metadata() else {
        return "absent".to_owned();
    };
    let mut hash = DefaultHasher::new();
    let mut text = format!(
        "{} {:o} {} {}",
        meta.ino(),
        meta.mode(),
        meta.uid(),
        meta.gid()
    );
    if meta.is_dir() {
        for name in names(path) {
            hash.write(name.as_bytes());
            hash.write_u8(0);
        }
    } else {
        hash.write(&std::fs::read(path).unwrap_or_default());
        text.push_str(&format!(
            " {} {}.{} {}.{}",
            meta.size(),
            meta.mtime(),
            meta.mtime_nsec(),
            meta.ctime(),
            meta.ctime_nsec()
        ));
    }
    format!("{text} {:016x}", hash.finish())
}

fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}
