//! What is in an image, seen without following a single link.
//!
//! Paths are relative to the root of the image, without a leading slash; the root is the empty string. Planning needs
//! no more than this, so it can be tested on trees that exist in memory only.

use std::io;

/// What something is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A directory.
    Dir,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a fifo or a socket.
    Other,
}

/// What is known about one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// What it is.
    pub kind: Kind,
    /// Its inode number: two names, or two moments, have the same thing if they have the same number.
    pub ino: u64,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Bytes.
    pub size: u64,
    /// Time of the last modification, seconds and nanoseconds.
    pub mtime: (i64, i64),
    /// Where a link leads.
    pub link: Option<Vec<u8>>,
}

/// An image to look at.
pub trait Look {
    /// What has this name; none if nothing has, or if something on the way is no directory.
    ///
    /// # Errors
    /// As `fstatat(2)`.
    fn meta(&self, path: &str) -> io::Result<Option<Meta>>;

    /// The names in a directory, unordered.
    ///
    /// # Errors
    /// As `getdents64(2)`.
    fn names(&self, path: &str) -> io::Result<Vec<Vec<u8>>>;

    /// What a file contains.
    ///
    /// # Errors
    /// As reading it; a file of more than 16 MiB is one.
    fn content(&self, path: &str) -> io::Result<Vec<u8>>;

    /// Whether two trees are the same, but for inode numbers: kinds, modes, owners, times, sizes, links, attributes.
    /// File content counts as the same when size and time are.
    ///
    /// # Errors
    /// As reading both.
    fn same(&self, one: &str, other: &str) -> io::Result<bool>;
}

/// A path without its last name, and that name.
#[must_use]
pub fn split(path: &str) -> (&str, &str) {
    path.rsplit_once('/').unwrap_or(("", path))
}

/// A name below a directory.
#[must_use]
pub fn join(dir: &str, name: &str) -> String {
    match dir {
        "" => name.to_owned(),
        _ => format!("{dir}/{name}"),
    }
}

/// What of `path` is below `dir`: empty if they are the same, none if it is elsewhere.
#[must_use]
pub fn below<'a>(path: &'a str, dir: &str) -> Option<&'a str> {
    if dir.is_empty() {
        return Some(path);
    }
    let rest = path.strip_prefix(dir)?;
    if rest.is_empty() {
        return Some(rest);
    }
    rest.strip_prefix('/')
}
