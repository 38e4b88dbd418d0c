//! Nodes: what the kernel holds a number for.
//!
//! A node remembers under which names the kernel knows it (its links), which region answers for
//! it, and where its content is (its body). It lives as long as the kernel may ask for it, or as
//! long as a node below it does.
//!
//! Locks, in the order they are taken:
//! 1. `busy`: a copy-up or a rename of this node is under way; held over I/O.
//! 2. the store's `names` lock.
//! 3. `state`: short, never over I/O.

use super::layer::{LayerDir, join};
use super::opens::Opens;
use super::view::Place;
use crate::sys::stat::{Stat, Time};
use parking_lot::{Mutex, RwLock};
use rustix::fd::OwnedFd;
use rustix::fs::FileType;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Instant;

/// A file, directory or other object of the merged view.
#[derive(Debug)]
pub struct Node {
    /// Node id and `st_ino`.
    pub ino: u64,
    /// Identity by layer and inode; differs from `ino` only for displaced nodes.
    pub identity: u64,
    /// File type, fixed for the life of the node.
    pub kind: FileType,
    /// Kernel lookups plus nodes that have a link in this directory.
    pub(super) refs: AtomicU64,
    /// Held while the node is copied up or renamed.
    pub(super) busy: Mutex<()>,
    pub(super) state: RwLock<State>,
    /// Open files, and how they are open.
    pub(super) opens: Mutex<Option<Box<Opens>>>,
    /// Number of open handles.
    pub(super) open_count: AtomicU32,
}

/// One name of a node.
#[derive(Clone, Debug)]
pub struct Link {
    /// The directory.
    pub parent: Arc<Node>,
    /// The name in it.
    pub name: Box<[u8]>,
}

/// The changing part of a node.
#[derive(Debug)]
pub(super) struct State {
    pub place: Place,
    /// Names the kernel may know; empty for the root and for deleted files.
    pub links: Vec<Link>,
    pub body: Body,
    /// No longer what its names show: numbers are not given to new lookups.
    pub dead: bool,
    /// What the lower file looked like when the kernel was last allowed to keep its pages.
    pub cached: Option<Version>,
    /// A descriptor of the file while it is open.
    pub open_fd: Option<Arc<OwnedFd>>,
    /// The file was made here without extended attributes and has been given none since.
    pub plain: bool,
    /// When the file was last cut by an open whose caller has not been heard of since.
    pub cut: Option<Instant>,
    /// Inode number of the store's file or directory, 0 if not known.
    pub backing: u64,
}

/// Directories deeper than this are not followed up to the root; the kernel's paths are shorter.
pub(super) const MAX_DEPTH: usize = 4096;

/// Where a node's content is.
#[derive(Clone, Debug)]
pub enum Body {
    /// A directory.
    Dir(DirBody),
    /// A file of the region's store, at the node's name there.
    Upper {
        /// Reached through the index instead: it has several names in a lower layer.
        indexed: bool,
    },
    /// A file of a read-only layer.
    Lower {
        /// Directory it is in.
        dir: Arc<LayerDir>,
        /// Its name there.
        name: Box<[u8]>,
    },
    /// The files of that path in several trees, one after the other.
    Concat {
        /// Directories the parts are in, in order.
        parts: Arc<[Arc<LayerDir>]>,
        /// Name of each part.
        name: Box<[u8]>,
    },
    /// A symlink that exists in no layer.
    Symlink(&'static str),
    /// A file without a name that is open.
    Orphan(Arc<OwnedFd>),
    /// A file without a name that is not open: only what `stat` says of it is left.
    Gone(Box<Stat>),
}

/// A directory's sources.
#[derive(Clone, Debug, Default)]
pub struct DirBody {
    /// Whether the region's store has this directory.
    pub upper: Presence,
    /// Whether the store's directory hides all below it.
    pub opaque: bool,
    /// Directories of read-only layers that show through, first match first.
    pub lowers: Vec<Arc<LayerDir>>,
    /// Modification and change time the kernel was told of a directory that is not supposed to
    /// change: it keeps its listing as long as they stay the same.
    pub told: Option<(Time, Time)>,
    /// What new names in the store's directory inherit, once it was asked for.
    pub inherits: Option<Inherits>,
}

/// What a directory hands on to what is made in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inherits {
    /// Group, if the directory is setgid.
    pub group: Option<u32>,
    /// It has a default ACL, which replaces the umask.
    pub acl: bool,
}

/// What is known about a name in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Presence {
    /// Not looked at.
    #[default]
    Unknown,
    /// Not there.
    Absent,
    /// There.
    Present,
}

/// What tells one content of a lower file from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Version {
    ino: u64,
    size: u64,
    mtime: Time,
    ctime: Time,
}

impl Version {
    /// Version of the file that `st` describes.
    pub fn of(st: &Stat) -> Version {
        Version {
            ino: st.ino,
            size: st.size,
            mtime: st.mtime,
            ctime: st.ctime,
        }
    }
}

impl Node {
    /// A node the kernel has not been told of yet.
    pub(super) fn new(
        ino: u64,
        identity: u64,
        stat: &Stat,
        place: &Place,
        body: &Body,
        link: &Link,
    ) -> Node {
        let upper = match body {
            Body::Upper { .. } => true,
            Body::Dir(dir) => dir.upper == Presence::Present,
            _ => false,
        };
        Node {
            ino,
            identity,
            kind: stat.kind,
            refs: AtomicU64::new(0),
            busy: Mutex::new(()),
            state: RwLock::new(State {
                place: place.clone(),
                links: vec![link.clone()],
                body: body.clone(),
                dead: false,
                cached: None,
                open_fd: None,
                plain: false,
                cut: None,
                backing: if upper { stat.ino } else { 0 },
            }),
            opens: Mutex::new(None),
            open_count: AtomicU32::new(0),
        }
    }

    /// Whether somebody has the file open.
    pub fn is_open(&self) -> bool {
        self.open_count.load(Ordering::Acquire) > 0
    }

    /// Whether this is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind == FileType::Directory
    }

    /// A name of this node; none for the root and for deleted files.
    pub fn link(&self) -> Option<Link> {
        self.state.read().links.first().cloned()
    }

    /// Where the content is.
    pub fn body(&self) -> Body {
        self.state.read().body.clone()
    }

    /// Whether the node has no name any more or stands for something that was replaced.
    pub fn is_dead(&self) -> bool {
        self.state.read().dead
    }

    /// Absolute path in the merged view by the first name, without leading slash; the root is
    /// empty. A deleted file has none.
    pub fn path(&self) -> Option<Vec<u8>> {
        if self.ino == super::ident::ROOT {
            return Some(Vec::new());
        }
        let link = self.link()?;
        let mut names = vec![link.name];
        let mut at = link.parent;
        while at.ino != super::ident::ROOT {
            if names.len() > MAX_DEPTH {
                return None;
            }
            let link = at.link()?;
            names.push(link.name);
            at = link.parent;
        }
        let mut path = Vec::with_capacity(names.iter().map(|n| n.len() + 1).sum());
        for name in names.iter().rev() {
            path = join_onto(path, name);
        }
        Some(path)
    }

    /// The directory's sources; an empty set for anything else.
    pub(super) fn dir_body(&self) -> DirBody {
        match &self.state.read().body {
            Body::Dir(body) => body.clone(),
            _ => DirBody::default(),
        }
    }

    /// Changes the directory's sources in place.
    pub(super) fn with_dir<R>(&self, f: impl FnOnce(&mut DirBody) -> R) -> Option<R> {
        match &mut self.state.write().body {
            Body::Dir(body) => Some(f(body)),
            _ => None,
        }
    }
}

fn join_onto(mut path: Vec<u8>, name: &[u8]) -> Vec<u8> {
    if path.is_empty() {
        path.extend_from_slice(name);
        path
    } else {
        join(&path, name)
    }
}
