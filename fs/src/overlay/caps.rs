//! File capabilities of an image whose server carries none.
//!
//! NFS carries no `security.*` attributes (before version 4.2, and capabilities not even there), so on a diskless node
//! `ping` of an ordinary user has no `CAP_NET_RAW`. Whoever builds the initramfs has the image on a disk and can list
//! them; the daemon answers from the list.
//!
//! The list is asked only where the layer has no such attributes at all (`EOPNOTSUPP`): a layer that says that a file has
//! no capability is believed. An entry counts while the file has the size and time of modification that it had when it was listed. Another file
//! under the same name, put there by an update, gets no capabilities from the list.

use super::layer::{LayerDir, join};
use super::lower;
use super::node::Body;
use super::{Overlay, node::Node};
use crate::sys::stat::Stat;
use crate::sys::{Result, xattr};
use rustc_hash::FxHashMap;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use std::fmt::Write as _;

/// The attribute.
pub const KEY: &[u8] = b"security.capability";

/// What is listed of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileCap {
    /// Bytes of the file.
    pub size: u64,
    /// Its time of modification, in whole seconds since the epoch.
    pub mtime: i64,
    /// The attribute's value.
    pub value: Vec<u8>,
}

/// The list: path in the image, without leading slash, to what was found there.
#[derive(Debug, Default)]
pub struct FileCaps {
    files: FxHashMap<Box<[u8]>, FileCap>,
}

/// A line that is none.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: expected VALUE SIZE MTIME /PATH, the value in hexadecimal")]
pub struct BadLine {
    /// Its number, from 1.
    pub line: usize,
}

impl FileCaps {
    /// Reads lines as [`line`] writes them.
    ///
    /// # Errors
    /// The first line that is not of that form.
    pub fn parse(text: &[u8]) -> std::result::Result<FileCaps, BadLine> {
        let mut caps = FileCaps::default();
        for (at, line) in text.split(|b| *b == b'\n').enumerate() {
            if line.is_empty() {
                continue;
            }
            let (path, cap) = parse_line(line).ok_or(BadLine { line: at + 1 })?;
            caps.files.insert(path.into(), cap);
        }
        Ok(caps)
    }

    /// The value for the file at `path`, if it is still the file that was listed.
    pub fn get(&self, path: &[u8], stat: &Stat) -> Option<&[u8]> {
        let cap = self.files.get(path)?;
        let same = stat.is_file() && (cap.size, cap.mtime) == (stat.size, stat.mtime.sec);
        same.then_some(cap.value.as_slice())
    }
}

/// One line, ended by a newline; none for a path with a newline in it.
pub fn line(path: &[u8], cap: &FileCap) -> Option<Vec<u8>> {
    if path.contains(&b'\n') {
        return None;
    }
    let mut text = String::new();
    for byte in &cap.value {
        let _ = write!(text, "{byte:02x}");
    }
    let _ = write!(text, " {} {} /", cap.size, cap.mtime);
    Some([text.as_bytes(), path, b"\n"].concat())
}

fn parse_line(line: &[u8]) -> Option<(&[u8], FileCap)> {
    let mut fields = line.splitn(4, |b| *b == b' ');
    let mut word = || std::str::from_utf8(fields.next()?).ok();
    let value = hex(word()?)?;
    let size = word()?.parse().ok()?;
    let mtime = word()?.parse().ok()?;
    let path = fields.next()?.strip_prefix(b"/")?;
    Some((path, FileCap { size, mtime, value })).filter(|_| !path.is_empty())
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let bytes: Option<Vec<u8>> = pairs
        .map(|pair| {
            let digits = std::str::from_utf8(pair).ok().filter(|d| d.len() == 2)?;
            u8::from_str_radix(digits, 16).ok()
        })
        .collect();
    bytes.filter(|bytes| !bytes.is_empty())
}

impl Overlay {
    /// The listed capability of a lower file whose layer carries none.
    pub(super) fn listed_capability(&self, node: &Node) -> Result<Option<Vec<u8>>> {
        match node.body() {
            Body::Lower { dir, name } => self.listed(&dir, &name),
            _ => Ok(None),
        }
    }

    fn listed(&self, dir: &LayerDir, name: &[u8]) -> Result<Option<Vec<u8>>> {
        let caps = &dir.layer.caps;
        if caps.files.is_empty() {
            return Ok(None);
        }
        let path = join(&dir.path, name);
        if !caps.files.contains_key(path.as_slice()) {
            return Ok(None);
        }
        // A layer that carries such attributes knows better.
        let own = xattr::get(&*lower::open_dir(&self.fds, dir)?, name, KEY);
        if own != Err(Errno::OPNOTSUPP) {
            return Ok(None);
        }
        let stat = lower::stat_in(&self.fds, dir, name)?;
        Ok(stat.and_then(|stat| caps.get(&path, &stat).map(<[u8]>::to_vec)))
    }

    /// Gives a copy in a store, entry `copy` of `to`, the listed capability of file `name` of `dir`.
    pub(super) fn copy_capability(
        &self,
        (dir, name): (&LayerDir, &[u8]),
        to: BorrowedFd<'_>,
        copy: &[u8],
    ) -> Result<()> {
        let Some(value) = self.listed(dir, name)? else {
            return Ok(());
        };
        match xattr::set(to, copy, KEY, &value, 0) {
            // A store that carries none either.
            Err(Errno::OPNOTSUPP) => Ok(()),
            other => other,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_they_are_written() {
        let cap = FileCap {
            size: 90568,
            mtime: -3,
            value: vec![1, 0, 0, 2, 0xff],
        };
        let text = line(b"usr/bin/a name", &cap).unwrap();
        assert_eq!(text, b"01000002ff 90568 -3 /usr/bin/a name\n");
        let caps = FileCaps::parse(&text).unwrap();
        assert_eq!(caps.files.get(&b"usr/bin/a name"[..]), Some(&cap));
        assert_eq!(line(b"a\nb", &cap), None);
    }

    #[test]
    fn bad_lines_are_named() {
        for bad in [
            "01 2 /p",
            "0 1 2 /p",
            "xx 1 2 /p",
            " 1 2 /p",
            "01 1 2 p",
            "01 1 2 /",
        ] {
            let text = format!("01 1 2 /p\n{bad}\n");
            let refused = FileCaps::parse(text.as_bytes()).unwrap_err();
            assert_eq!(refused, BadLine { line: 2 }, "{bad}");
        }
    }
}
