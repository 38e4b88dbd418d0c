//! The merged view: what is shown at each path, and what a change does.
//!
//! The overlay knows files, layers and rules, but nothing of FUSE: it is given numbers of nodes
//! and names, and answers with attributes, handles and errno values. Where to look for what:
//!
//! | module | question |
//! |---|---|
//! | [`view`], [`region`] | which rule answers at a path, and from which layers |
//! | [`layer`], [`lower`], [`store`], [`upper`] | how layers are read, how stores are written |
//! | [`fds`], [`names`], [`nfs`] | what is remembered of directories of layers, and known of their servers |
//! | [`ident`], [`node`], [`table`] | what number a file has, and how long it is remembered |
//! | [`find`] | what a name in a directory is |
//! | [`attr`], [`listing`], [`xattrs`], [`caps`] | what is shown of it |
//! | [`opens`], [`kept`], [`io`] | how files are opened, kept open, read and written |
//! | [`copyup`], [`create`], [`remove`], [`rename`], [`link`], [`change`] | what a change does |
//! | [`concat`], [`seed`] | joined files, first content of opaque stores |
//! | [`reload`], [`explain`] | another policy, and why a path looks as it does |
//!
//! # Errors
//! Every operation fails with the `errno` its caller gets to see: that of the layer concerned, or
//! `EROFS` for a change where the rule allows none, `EXDEV` for a rename or link between stores,
//! `EBUSY` for moving a directory that other rules lie in, `ESTALE` when the kernel's knowledge of
//! a file is out of date (the kernel then looks the path up again by itself).

pub mod attr;
pub mod caps;
pub mod change;
pub mod concat;
pub mod copy;
pub mod copyup;
pub mod create;
pub mod explain;
pub mod fds;
pub mod find;
pub mod handles;
pub mod ident;
pub mod io;
mod kept;
pub mod layer;
pub mod link;
pub mod listing;
pub mod lower;
pub mod metrics;
mod names;
pub mod nfs;
pub mod node;
pub mod opens;
mod own;
pub mod plan;
pub mod region;
pub mod reload;
pub mod remove;
pub mod rename;
pub mod seed;
pub mod space;
pub mod store;
pub mod table;
pub mod upper;
pub mod view;
pub mod xattrs;

use crate::sys::Result;
use crate::sys::stat::Time;
use fds::DirFds;
use handles::Handles;
use kept::KeptFiles;
use layer::LayerDir;
use listing::Listing;
use lru::LruCache;
use node::{Body, DirBody, Node, Presence, State};
use parking_lot::{Mutex, RwLock};
use rustix::fs::FileType;
use rustix::io::Errno;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64};
use table::NodeTable;
use view::View;

/// Settings of the view that no rule carries.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Files of at least this many bytes are handed to the kernel (passthrough) even when only
    /// read; smaller ones go through the page cache, which is quicker to open.
    pub passthrough_min: u64,
    /// Also hand over lower files that may yet be copied up. Whoever has such a file open then
    /// keeps the old content after a copy-up, and the file gets another number, as in overlayfs.
    pub passthrough_lower: bool,
    /// Directory descriptors kept open.
    pub dir_fds: usize,
    /// Descriptors of files kept open, of all layers on a server; none keeps [`kept::MOST`] of those layers alone where an open
    /// is a call.
    pub kept_files: Option<usize>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            passthrough_min: 128 * 1024,
            passthrough_lower: false,
            dir_fds: 1024,
            kept_files: None,
        }
    }
}

/// The merged view of one mount.
#[derive(Debug)]
pub struct Overlay {
    view: RwLock<Arc<View>>,
    /// Nodes the kernel knows.
    pub nodes: NodeTable,
    pub(crate) fds: DirFds,
    pub(crate) kept: KeptFiles,
    pub(crate) handles: Handles,
    pub(crate) settings: Settings,
    /// Recent listings of directories that are read without being opened.
    listings: Mutex<LruCache<u64, Arc<Listing>>>,
    started: Time,
}

impl Overlay {
    /// The merged view of `view`. The process must have called [`crate::sys::procfd::enter`].
    pub fn new(view: View, settings: Settings) -> Overlay {
        let place = view.root();
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        let root = Node {
            ino: ident::ROOT,
            identity: ident::ROOT,
            kind: FileType::Directory,
            refs: AtomicU64::new(1),
            busy: Mutex::new(()),
            state: RwLock::new(State {
                body: Body::Dir(root_body(&place.region)),
                place,
                links: Vec::new(),
                dead: false,
                cached: None,
                open_fd: None,
                plain: false,
                cut: None,
                backing: 0,
            }),
            opens: Mutex::new(None),
            open_count: AtomicU32::new(0),
        };
        Overlay {
            view: RwLock::new(Arc::new(view)),
            nodes: NodeTable::new(Arc::new(root)),
            fds: DirFds::new(settings.dir_fds),
            kept: KeptFiles::new(settings.kept_files.unwrap_or(kept::MOST)),
            handles: Handles::default(),
            settings,
            listings: Mutex::new(LruCache::new(
                NonZeroUsize::new(listing::KEPT_LISTINGS).unwrap_or(NonZeroUsize::MIN),
            )),
            started: Time {
                sec: now.as_secs() as i64,
                nsec: now.subsec_nanos(),
            },
        }
    }

    /// The present view. An operation uses one view from beginning to end; a reload waits for
    /// those that began with the old one.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read())
    }

    /// The node with number `ino`.
    ///
    /// # Errors
    /// `ESTALE` if the kernel was never told of it, or has forgotten it.
    pub fn node(&self, ino: u64) -> Result<Arc<Node>> {
        self.nodes.get(ino).ok_or(Errno::STALE)
    }
}

/// Sources of the root directory.
fn root_body(region: &region::Region) -> DirBody {
    DirBody {
        upper: if region.store.is_some() {
            Presence::Present
        } else {
            Presence::Absent
        },
        opaque: region.is_opaque(),
        lowers: region
            .lowers()
            .iter()
            .map(|layer| LayerDir::new(layer, b""))
            .collect(),
        ..DirBody::default()
    }
}
