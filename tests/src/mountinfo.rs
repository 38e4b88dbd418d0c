//! `/proc/self/mountinfo`: what is mounted, told without touching any mount.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Minor number of the device: for FUSE, the name of its connection.
    pub minor: u32,
    /// Where it is mounted.
    pub mountpoint: PathBuf,
    /// Its type, such as `fuse.statelitefs`.
    pub fstype: String,
}

/// What is mounted at exactly this (absolute, resolved) path: the topmost.
pub fn at(mountpoint: &Path) -> Result<Option<Entry>> {
    let text = std::fs::read("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    Ok(parse(&text)
        .into_iter()
        .rfind(|entry| entry.mountpoint == mountpoint))
}

/// Mountpoints at or below a directory, in the order in which they were mounted.
pub fn below(dir: &Path) -> Result<Vec<PathBuf>> {
    let text = std::fs::read("/proc/self/mountinfo").context("/proc/self/mountinfo")?;
    Ok(parse(&text)
        .into_iter()
        .map(|entry| entry.mountpoint)
        .filter(|path| path.starts_with(dir))
        .collect())
}

fn parse(text: &[u8]) -> Vec<Entry> {
    text.split(|&byte| byte == b'\n')
        .filter_map(parse_line)
        .collect()
}

/// `36 35 0:98 /root /mount/point options [tags] - type source superoptions`
fn parse_line(line: &[u8]) -> Option<Entry> {
    let fields: Vec<&[u8]> = line.split(|&byte| byte == b' ').collect();
    let device = std::str::from_utf8(fields.get(2)?).ok()?;
    let (_, minor) = device.split_once(':')?;
    let separator = fields.iter().position(|field| *field == b"-")?;
    Some(Entry {
        minor: minor.parse().ok()?,
        mountpoint: PathBuf::from(unescape(fields.get(4)?)),
        fstype: String::from_utf8_lossy(fields.get(separator + 1)?).into_owned(),
    })
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(field: &[u8]) -> OsString {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field;
    while let Some((&first, tail)) = rest.split_first() {
        let code = (first == b'\\')
            .then(|| tail.get(..3))
            .flatten()
            .and_then(octal);
        match code {
            Some(code) => {
                bytes.push(code);
                rest = tail.get(3..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = tail;
            }
        }
    }
    OsString::from_vec(bytes)
}

fn octal(digits: &[u8]) -> Option<u8> {
    let digits = std::ffi::OsStr::from_bytes(digits).to_str()?;
    u8::from_str_radix(digits, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_line_with_tags_and_escapes() {
        let line =
            b"36 35 0:98 / /mnt/a\\040b rw,nosuid shared:1 master:2 - fuse.statelitefs none rw";
        let expected = Entry {
            minor: 98,
            mountpoint: PathBuf::from("/mnt/a b"),
            fstype: "fuse.statelitefs".to_owned(),
        };
        assert_eq!(parse_line(line), Some(expected));
    }

    #[test]
    fn skips_what_it_does_not_understand() {
        assert!(parse(b"\nnonsense\n36 35 0:x / /a rw - t s o\n").is_empty());
    }

    #[test]
    fn the_topmost_mount_wins_and_proc_is_one() {
        assert_eq!(at(Path::new("/proc")).unwrap().unwrap().fstype, "proc");
        assert_eq!(at(Path::new("/proc/self")).unwrap(), None);
    }
}
