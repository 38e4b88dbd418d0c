//! Joined files (`con`): the file of one path from every tree, one after the other.

use super::Overlay;
use super::fds::DirFds;
use super::find::Found;
use super::ident;
use super::layer::LayerDir;
use super::lower;
use super::node::Body;
use super::view::{Place, View};
use crate::sys::Result;
use crate::sys::stat::{Stat, stat_fd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

impl Overlay {
    /// The joined file at `name`, if any tree has a regular file there. The image's file does not
    /// count: it shows only when no tree has one.
    pub(super) fn find_concat(
        &self,
        view: &View,
        dirs: &[Arc<LayerDir>],
        name: &[u8],
        place: &Place,
    ) -> Result<Option<Found>> {
        let trees = view.layers.trees.len();
        let mut parts = Vec::new();
        for dir in dirs.iter().take(trees) {
            match lower::stat_in(&self.fds, dir, name)? {
                Some(st) if st.is_file() => parts.push(LayerDir::new(&dir.layer, &dir.path)),
                _ => {}
            }
        }
        if parts.is_empty() {
            return Ok(None);
        }
        let identity = ident::of_path(&place.region.path);
        let stat = stat(&self.fds, &parts, name, identity)?;
        Ok(Some(Found {
            identity,
            stat,
            body: Body::Concat {
                parts: parts.into(),
                name: name.into(),
            },
            place: place.clone(),
        }))
    }
}

/// Attributes of the joined file: owner and mode of the first part, the sum of the sizes, the
/// newest of the times.
///
/// # Errors
/// `ESTALE` if no part is left.
pub(super) fn stat(
    fds: &DirFds,
    parts: &[Arc<LayerDir>],
    name: &[u8],
    identity: u64,
) -> Result<Stat> {
    let mut whole: Option<Stat> = None;
    for dir in parts {
        let Some(part) = lower::stat_in(fds, dir, name)?.filter(Stat::is_file) else {
            continue;
        };
        match &mut whole {
            None => whole = Some(part),
            Some(whole) => {
                whole.size += part.size;
                whole.blocks += part.blocks;
                whole.mtime = whole.mtime.max(part.mtime);
                whole.ctime = whole.ctime.max(part.ctime);
            }
        }
    }
    let mut whole = whole.ok_or(Errno::STALE)?;
    whole.ino = identity;
    whole.nlink = 1;
    Ok(whole)
}

/// The joined content. Each part is read through one descriptor, so none is half old, half new.
///
/// # Errors
/// I/O errors of the layers.
pub(super) fn read(fds: &DirFds, parts: &[Arc<LayerDir>], name: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    for dir in parts {
        let fd = match lower::open_file(fds, dir, name, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(fd) => fd,
            Err(e) if lower::is_absent(e) => continue,
            Err(e) => return Err(e),
        };
        if !stat_fd(&fd)?.is_file() {
            continue;
        }
        let mut chunk = vec![0; 64 * 1024];
        let mut at = 0;
        loop {
            match crate::sys::lease::kept(&fd, || rustix::io::pread(&fd, &mut *chunk, at)) {
                Ok(0) => break,
                Ok(n) => {
                    data.extend_from_slice(chunk.get(..n).unwrap_or_default());
                    at += n as u64;
                }
                Err(Errno::INTR) => {}
                Err(e) => return Err(e),
            }
        }
    }
    Ok(data)
}
