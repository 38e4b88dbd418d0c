//! Free space: that of the store a path is written to, or of the layer it is read from.

use super::Overlay;
use super::node::Body;
use crate::sys::Result;
use rustix::fs::StatVfs;

impl Overlay {
    /// `statvfs` for node `ino`.
    ///
    /// # Errors
    /// I/O errors of the layer.
    pub fn statfs(&self, ino: u64) -> Result<StatVfs> {
        let view = self.view();
        let node = self.node(ino)?;
        let region = self.place(&view, &node)?.region;
        if let Some(store) = &region.store {
            return rustix::fs::fstatvfs(store.layer.root());
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
