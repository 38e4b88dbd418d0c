//! Free space: that of the store a path is written to, or of the layer it is read from.

use super::Overlay;
use super::node::Body;
use crate::sys::Result;
use rustix::fd::AsFd;

/// What `statvfs` says of a file system; fields as there.
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct Space {
    pub f_bsize: u64,
    pub f_frsize: u64,
    pub f_blocks: u64,
    pub f_bfree: u64,
    pub f_bavail: u64,
    pub f_files: u64,
    pub f_ffree: u64,
    pub f_namemax: u64,
}

impl Space {
    /// That of the file system `fd` is on.
    ///
    /// # Errors
    /// As `statvfs(2)`.
    pub fn of(fd: impl AsFd) -> Result<Space> {
        let st = crate::sys::lease::kept(&fd, || rustix::fs::fstatvfs(&fd))?;
        Ok(Space {
            f_bsize: st.f_bsize,
            f_frsize: st.f_frsize,
            f_blocks: st.f_blocks,
            f_bfree: st.f_bfree,
            f_bavail: st.f_bavail,
            f_files: st.f_files,
            f_ffree: st.f_ffree,
            f_namemax: st.f_namemax,
        })
    }
}

impl Overlay {
    /// `statvfs` for node `ino`.
    ///
    /// # Errors
    /// I/O errors of the layer.
    pub fn statfs(&self, ino: u64) -> Result<Space> {
        let view = self.view();
        let node = self.node(ino)?;
        let region = self.place(&view, &node)?.region;
        if let Some(store) = &region.store {
            return Space::of(store.layer.root());
        }
        let layer = match node.body() {
            Body::Lower { dir, .. } => Some(dir.layer.clone()),
            Body::Dir(body) => body.lowers.first().map(|dir| dir.layer.clone()),
            _ => None,
        };
        match layer.as_ref().or_else(|| region.sources.last()) {
            Some(layer) => layer.space(),
            None => Err(rustix::io::Errno::NOSYS),
        }
    }

    /// The kernel forgets `n` lookups of node `ino`.
    pub fn forget(&self, ino: u64, n: u64) {
        self.nodes.release(ino, n);
    }
}
