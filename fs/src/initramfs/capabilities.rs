//! The list of file capabilities of an image, for nodes whose NFS server carries none; see [`crate::overlay::caps`].

use crate::overlay::caps::{self, FileCap};
use anyhow::Context as _;
use rustix::buffer::spare_capacity;
use rustix::fs::lgetxattr;
use rustix::io::Errno;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

/// Lists the files below `root` that have capabilities, by path; what is mounted below it is left out.
///
/// # Errors
/// A directory that cannot be read.
pub fn list(root: &Path) -> anyhow::Result<Vec<u8>> {
    let device = root
        .metadata()
        .with_context(|| root.display().to_string())?
        .dev();
    let mut lines = Vec::new();
    walk(root, root, device, &mut lines)?;
    lines.sort();
    Ok(lines.concat())
}

fn walk(root: &Path, dir: &Path, device: u64, lines: &mut Vec<Vec<u8>>) -> anyhow::Result<()> {
    let told = || dir.display().to_string();
    for entry in std::fs::read_dir(dir).with_context(told)? {
        let entry = entry.with_context(told)?;
        let Ok(metadata) = entry.metadata() else {
            // Gone since.
            continue;
        };
        let path = entry.path();
        if metadata.is_dir() {
            // Files are not asked for theirs: in an overlay it is that of their layer.
            if metadata.dev() == device {
                walk(root, &path, device, lines)?;
            }
        } else if metadata.is_file() {
            // The kernel's own form has 24 bytes at the most.
            let mut value = Vec::with_capacity(64);
            match lgetxattr(&path, caps::KEY, spare_capacity(&mut value)) {
                Ok(_) => {}
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::NOENT) => continue,
                Err(e) => return Err(e).with_context(|| path.display().to_string()),
            }
            let cap = FileCap {
                size: metadata.len(),
                mtime: metadata.mtime(),
                value,
            };
            let inside = path.strip_prefix(root).unwrap_or(&path);
            match caps::line(inside.as_os_str().as_bytes(), &cap) {
                Some(line) => lines.push(line),
                None => tracing::warn!("{}: a name with a newline is left out", path.display()),
            }
        }
    }
    Ok(())
}
