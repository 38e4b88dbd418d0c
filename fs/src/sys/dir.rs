//! Reading a directory whole.

use super::Result;
use rustix::fd::AsFd;
use rustix::fs::{FileType, Mode, OFlags, RawDir};

/// One name of a directory of one layer.
#[derive(Clone, Debug)]
pub struct RawEntry {
    /// The name.
    pub name: Box<[u8]>,
    /// Type as far as the file system told; `Unknown` otherwise.
    pub kind: FileType,
    /// Inode number in that file system.
    pub ino: u64,
}

/// All entries of `dir` (which may be `O_PATH`), without `.` and `..`.
///
/// # Errors
/// As `open(2)` and `getdents64(2)`.
pub fn read(dir: impl AsFd) -> Result<Vec<RawEntry>> {
    Ok(read_up_to(dir, usize::MAX)?.unwrap_or_default())
}

/// All entries of `dir` (which may be `O_PATH`), without `.` and `..`; none if there are more than `most`.
///
/// # Errors
/// As `open(2)` and `getdents64(2)`.
pub fn read_up_to(dir: impl AsFd, most: usize) -> Result<Option<Vec<RawEntry>>> {
    super::lease::kept(&dir, || read_once(&dir, most))
}

fn read_once(dir: impl AsFd, most: usize) -> Result<Option<Vec<RawEntry>>> {
    let fd = rustix::fs::openat(
        dir,
        c".",
        OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    let mut buf = Vec::with_capacity(32 * 1024);
    let mut raw = RawDir::new(&fd, buf.spare_capacity_mut());
    let mut entries = Vec::new();
    while let Some(entry) = raw.next() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            if entries.len() >= most {
                return Ok(None);
            }
            entries.push(RawEntry {
                name: name.into(),
                kind: entry.file_type(),
                ino: entry.ino(),
            });
        }
    }
    Ok(Some(entries))
}
