//! Extended attributes of directory entries, never following a symlink.

use super::{Result, change, lease, procfd};
use rustix::buffer::spare_capacity;
use rustix::fd::AsFd;
use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lremovexattr, lsetxattr};
use rustix::io::Errno;

/// Largest value and largest list the kernel hands out (`XATTR_SIZE_MAX`, `XATTR_LIST_MAX`).
const MAX: usize = 65536;

/// Path and follow flag for an entry: an `O_PATH` descriptor itself is reached by following its
/// magic link in `/proc/self/fd`.
fn path(dir: impl AsFd, name: &[u8]) -> (Vec<u8>, bool) {
    (procfd::entry(dir, name), name.is_empty())
}

/// Value of attribute `key`.
///
/// # Errors
/// `ENODATA` if absent, `EOPNOTSUPP` if the file system has no such attributes.
pub fn get(dir: impl AsFd, name: &[u8], key: &[u8]) -> Result<Vec<u8>> {
    let (p, follow) = path(&dir, name);
    let mut size = 256;
    loop {
        let mut buf = Vec::with_capacity(size);
        let got = lease::kept(&dir, || {
            if follow {
                rustix::fs::getxattr(p.as_slice(), key, spare_capacity(&mut buf))
            } else {
                lgetxattr(p.as_slice(), key, spare_capacity(&mut buf))
            }
        });
        match got {
            Ok(_) => return Ok(buf),
            Err(Errno::RANGE) if size < MAX => size = MAX,
            Err(e) => return Err(e),
        }
    }
}

/// Names of all attributes, NUL-terminated one after the other as the kernel gives them.
///
/// # Errors
/// `EOPNOTSUPP` if the file system has no attributes.
pub fn list(dir: impl AsFd, name: &[u8]) -> Result<Vec<u8>> {
    let (p, follow) = path(&dir, name);
    let mut size = 256;
    loop {
        let mut buf: Vec<u8> = Vec::with_capacity(size);
        let got = lease::kept(&dir, || {
            if follow {
                rustix::fs::listxattr(p.as_slice(), spare_capacity(&mut buf))
            } else {
                llistxattr(p.as_slice(), spare_capacity(&mut buf))
            }
        });
        match got {
            Ok(_) => return Ok(buf),
            Err(Errno::RANGE) if size < MAX => size = MAX,
            Err(e) => return Err(e),
        }
    }
}

/// Sets attribute `key`; `flags` are `XATTR_CREATE` and `XATTR_REPLACE`.
///
/// # Errors
/// As `lsetxattr(2)`.
pub fn set(dir: impl AsFd, name: &[u8], key: &[u8], value: &[u8], flags: u32) -> Result<()> {
    let (p, follow) = path(&dir, name);
    let flags = XattrFlags::from_bits_retain(flags);
    let set = || {
        if follow {
            rustix::fs::setxattr(p.as_slice(), key, value, flags)
        } else {
            lsetxattr(p.as_slice(), key, value, flags)
        }
    };
    // Only what depends on nothing that was there can be set twice.
    if flags.is_empty() {
        lease::kept(&dir, set)
    } else {
        set()
    }
}

/// Removes attribute `key`.
///
/// # Errors
/// `ENODATA` if absent.
pub fn remove(dir: impl AsFd, name: &[u8], key: &[u8]) -> Result<()> {
    let (p, follow) = path(&dir, name);
    change::once(&dir, Errno::NODATA, || {
        if follow {
            rustix::fs::removexattr(p.as_slice(), key)
        } else {
            lremovexattr(p.as_slice(), key)
        }
    })
}
