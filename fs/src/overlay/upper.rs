//! What a store has under the directories and names of the view.

use super::lower;
use super::node::{Body, Node, Presence};
use super::store::{self, Store};
use super::{Overlay, ident};
use crate::sys::stat::Stat;
use crate::sys::{Result, xattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::sync::Arc;

/// How often a directory is looked for again that is being moved.
const RETRIES: usize = 8;

impl Overlay {
    /// Directory `dir` as mirrored in `store`; none if the store does not have it.
    pub(super) fn store_dir(&self, dir: &Node, store: &Store) -> Result<Option<Arc<OwnedFd>>> {
        let own = {
            let state = dir.state.read();
            let own = state
                .place
                .region
                .store
                .as_ref()
                .is_some_and(|s| s.id() == store.id());
            match &state.body {
                Body::Dir(body) if own && body.upper == Presence::Absent => return Ok(None),
                Body::Orphan(_) | Body::Gone(_) => return Err(Errno::NOENT),
                _ => own,
            }
        };
        let key = super::fds::FdKey::Store(store.id(), dir.ino);
        let age = match store.layer.remote {
            true => super::layer::LIVE_TTL,
            false => super::layer::FOREVER,
        };
        let opened = self.fds.get(key, age, || {
            // A rename above may come between path and open: then another directory is found.
            for _ in 0..RETRIES {
                let path = dir.path().ok_or(Errno::NOENT)?;
                let fd = store
                    .layer
                    .open_at(&path, OFlags::PATH | OFlags::DIRECTORY)?;
                let backing = dir.state.read().backing;
                if !own || backing == 0 || crate::sys::stat::stat_fd(&fd)?.ino == backing {
                    return Ok(fd);
                }
            }
            Err(Errno::STALE)
        });
        match opened {
            Ok(fd) => Ok(Some(fd)),
            Err(e) if lower::is_absent(e) => {
                if own {
                    dir.with_dir(|body| {
                        if body.upper == Presence::Unknown {
                            body.upper = Presence::Absent;
                        }
                    });
                }
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    /// Calls `f` with the directory and name under which the store has `node`'s file. Names do
    /// not change meanwhile.
    pub(super) fn at_upper<R>(
        &self,
        node: &Arc<Node>,
        store: &Store,
        f: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<R>,
    ) -> Result<R> {
        let _names = store.names.read_recursive();
        self.at_upper_locked(node, store, f)
    }

    /// [`Overlay::at_upper`] for callers that hold the names lock.
    pub(super) fn at_upper_locked<R>(
        &self,
        node: &Arc<Node>,
        store: &Store,
        f: impl Fn(BorrowedFd<'_>, &[u8]) -> Result<R>,
    ) -> Result<R> {
        let (body, links) = {
            let state = node.state.read();
            (state.body.clone(), state.links.clone())
        };
        match body {
            Body::Upper { indexed: true } => f(store.index(), &Store::index_name(node.identity)),
            Body::Upper { indexed: false } => {
                let mut result = Err(Errno::STALE);
                for link in &links {
                    let Some(dir) = self.store_dir(&link.parent, store)? else {
                        continue;
                    };
                    result = f((*dir).as_fd(), &link.name);
                    if !matches!(result, Err(Errno::NOENT)) {
                        break;
                    }
                }
                match result {
                    Err(Errno::NOENT) => Err(Errno::STALE),
                    other => other,
                }
            }
            Body::Orphan(fd) => f((*fd).as_fd(), b""),
            _ => Err(Errno::STALE),
        }
    }
}

/// Whether this is the work directory of a store that keeps it in its data directory.
pub(super) fn is_work_dir(parent: &Node, name: &[u8]) -> bool {
    parent.ino == ident::ROOT && name == store::WORK_NAME
}

/// Identity of an upper file: the one it was copied up from, else its own.
pub(super) fn upper_identity(store: &Store, dir: &OwnedFd, name: &[u8], stat: &Stat) -> u64 {
    read_origin(dir, name).unwrap_or_else(|| store.layer.identity(stat))
}

/// The identity recorded at copy-up.
pub(super) fn read_origin(dir: impl AsFd, name: &[u8]) -> Option<u64> {
    let value = xattr::get(dir, name, store::XATTR_ORIGIN).ok()?;
    Some(u64::from_le_bytes(value.try_into().ok()?))
}

/// Whether upper directory `name` hides what is below it.
pub(super) fn is_opaque(dir: impl AsFd, name: &[u8]) -> bool {
    xattr::get(dir, name, store::XATTR_OPAQUE).is_ok_and(|value| value == b"y")
}
