//! Layers: directories whose content the merged view shows.
//!
//! A layer is entered only through descriptors that start at its root, with `openat2` refusing
//! symlinks, magic links and `..`: nothing inside a layer can lead outside it. What is mounted
//! below a layer's root is not part of the layer.

use super::caps::FileCaps;
use super::ident::{self, LayerId};
use super::metrics::Counters;
use super::nfs::{self, Nfs};
use super::space::Space;
use crate::sys::stat::{self, Stat};
use crate::sys::{Result, mountfd};
use parking_lot::Mutex;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// How soon an edit of a read-only layer shows on the node.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Freshness {
    /// Within about a second, without any action (kernel time-outs of one second).
    #[default]
    Live,
    /// When a new generation is announced (`statelitefs reload`); until then caches are kept.
    Published,
}

impl Freshness {
    /// How long the kernel may believe what it was told of a file of such a layer.
    pub fn ttl(self) -> Duration {
        match self {
            Freshness::Live => LIVE_TTL,
            Freshness::Published => FOREVER,
        }
    }
}

/// Time-out for entries and attributes that may change behind our back.
pub const LIVE_TTL: Duration = Duration::from_secs(1);
/// Time-out for what only this daemon changes.
pub const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

const NFS_MAGIC: u64 = 0x6969;
/// File-system type numbers of network file systems (`statfs(2)`): NFS, SMB, CIFS, AFS, Ceph, GPFS, Lustre, 9p, FUSE.
const REMOTE_MAGIC: [u64; 9] = [
    NFS_MAGIC,
    0x517b,
    0xff53_4d42,
    0x5346_414f,
    0x00c3_6400,
    0x4750_4653,
    0x0bd0_0bd0,
    0x0102_1997,
    0x6573_5546,
];

/// A directory tree whose files show in the merged view.
#[derive(Debug)]
pub struct Layer {
    /// Part of the identity of each of its files.
    pub id: LayerId,
    /// What it is, for people: `image`, `tree 1`, `volatile`, ...
    pub label: String,
    /// Where it was when the daemon opened it.
    pub path: PathBuf,
    /// How soon edits show.
    pub freshness: Freshness,
    /// Device of its root.
    pub dev: (u32, u32),
    /// Whether it is on a network file system.
    pub remote: bool,
    /// How its mount talks to the server, if it is NFS.
    pub nfs: Option<Nfs>,
    /// An image on which liteimg has run: its links into `.statelite/tmpfs` are looked through.
    pub processed: bool,
    /// File capabilities that its server does not carry.
    pub caps: FileCaps,
    /// Operations and bytes served from it.
    pub counters: Counters,
    root: OwnedFd,
    detached: bool,
    /// Free space as last asked, and when.
    space: Mutex<Option<(Instant, Space)>>,
}

/// How long the free space of a read-only layer on a server is believed. A booting system asks many times a second
/// what file system this is; nobody waits for space where nothing can be written.
const SPACE_AGE: Duration = Duration::from_secs(30);

impl Layer {
    /// Opens `path` as a layer.
    ///
    /// # Errors
    /// As opening a directory: `ENOENT`, `ENOTDIR`, ...
    pub fn open(
        id: LayerId,
        label: String,
        path: &Path,
        freshness: Freshness,
        read_only: bool,
    ) -> Result<Layer> {
        let root = mountfd::open_root(path, read_only)?;
        Layer::from_root(id, label, path, freshness, root)
    }

    /// Opens the directory that has what shows at `/.statelite`, with the stores mounted in it.
    ///
    /// # Errors
    /// As [`Layer::open`].
    pub fn open_views(path: &Path) -> Result<Layer> {
        let root = mountfd::open_root_with_mounts(path)?;
        Layer::from_root(ident::VIEWS, "views".into(), path, Freshness::Live, root)
    }

    /// Makes a layer of an open root directory that was found at `path`.
    ///
    /// # Errors
    /// As `statx(2)` and `statfs(2)`.
    pub fn from_root(
        id: LayerId,
        label: String,
        path: &Path,
        freshness: Freshness,
        root: mountfd::Root,
    ) -> Result<Layer> {
        let st = stat::stat_fd(&root.fd)?;
        let magic = rustix::fs::fstatfs(&root.fd)?.f_type as u64;
        let nfs = match magic & 0xffff_ffff == NFS_MAGIC {
            true => std::fs::read_to_string("/proc/self/mountinfo")
                .ok()
                .and_then(|text| nfs::find(&text, st.dev)),
            false => None,
        };
        let has = |name: &[u8]| match stat::stat_at(&root.fd, name) {
            Ok(found) => Ok(found.is_dir()),
            Err(e) if super::lower::is_absent(e) => Ok(false),
            Err(e) => Err(e),
        };
        let processed = id == ident::IMAGE && has(b".default")? && has(b".statelite")?;
        Ok(Layer {
            id,
            label,
            path: path.to_owned(),
            freshness,
            dev: st.dev,
            remote: REMOTE_MAGIC.contains(&(magic & 0xffff_ffff)),
            nfs,
            processed,
            caps: FileCaps::default(),
            counters: Counters::default(),
            root: root.fd,
            detached: root.detached,
            space: Mutex::new(None),
        })
    }

    /// The root directory's descriptor.
    pub fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Size and free space of a layer that is only read.
    ///
    /// # Errors
    /// As `statvfs(2)`.
    pub fn space(&self) -> Result<Space> {
        let mut known = self.space.lock();
        if let Some((since, space)) = &*known
            && self.remote
            && since.elapsed() < SPACE_AGE
        {
            return Ok(*space);
        }
        let space = Space::of(self.root())?;
        *known = Some((Instant::now(), space));
        Ok(space)
    }

    /// Opens `path` (relative to the root, empty for the root itself) with `flags`.
    ///
    /// # Errors
    /// `ELOOP` if a component is a symlink, `EXDEV` if it leads out; else as `openat2(2)`.
    pub fn open_at(&self, path: &[u8], flags: OFlags) -> Result<OwnedFd> {
        open_beneath(self.root(), path, flags, !self.detached)
    }

    /// Opens entry `name` of `dir`, a directory of this layer.
    ///
    /// # Errors
    /// As [`Layer::open_at`].
    pub fn open_entry(&self, dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> Result<OwnedFd> {
        crate::sys::lease::openat(dir, name, flags | OFlags::NOFOLLOW)
    }

    /// Identity of a file found in this layer.
    pub fn identity(&self, st: &Stat) -> u64 {
        ident::of_stat(self.id, self.dev, st)
    }

    /// Whether the link at `name` of `dir` is one of liteimg's, standing for a file it moved.
    ///
    /// # Errors
    /// As `readlinkat(2)`.
    pub fn is_liteimg_link(&self, dir: BorrowedFd<'_>, name: &[u8], st: &Stat) -> Result<bool> {
        if !self.processed || st.kind != rustix::fs::FileType::Symlink {
            return Ok(false);
        }
        let target = crate::sys::lease::readlinkat(dir, name)?;
        let mut parts = target.windows(LITEIMG_TARGET.len());
        Ok(parts.any(|part| part == LITEIMG_TARGET))
    }

    /// Whether `name` in the root directory is liteimg's own and not shown.
    pub fn hides(&self, dir_path: &[u8], name: &[u8]) -> bool {
        self.processed
            && dir_path.is_empty()
            && [&b".default"[..], b".statelite", b".statebackup"].contains(&name)
    }
}

const LITEIMG_TARGET: &[u8] = b".statelite/tmpfs/";

/// Opens `path` below `root`, following no link and leaving it by no way.
fn open_beneath(
    root: BorrowedFd<'_>,
    path: &[u8],
    flags: OFlags,
    one_dev: bool,
) -> Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let mut resolve =
        ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    if one_dev {
        resolve |= ResolveFlags::NO_XDEV;
    }
    loop {
        let flags = flags | OFlags::CLOEXEC;
        let open = || rustix::fs::openat2(root, path, flags, Mode::empty(), resolve);
        match crate::sys::lease::kept(root, open) {
            // A rename somewhere on the way; the kernel asks to try again.
            Err(Errno::AGAIN | Errno::INTR) => {}
            other => return other,
        }
    }
}

/// Number of directories whose descriptors are not cached.
pub(super) const TRANSIENT: u64 = 0;
static NEXT_DIR: AtomicU64 = AtomicU64::new(1);

/// A directory of a layer, by its path there.
#[derive(Debug)]
pub struct LayerDir {
    /// The layer.
    pub layer: Arc<Layer>,
    /// Path relative to the layer's root, without leading slash; empty for the root.
    pub path: Box<[u8]>,
    /// Names this object in the descriptor cache.
    pub(super) id: u64,
}

impl LayerDir {
    /// The directory at `path` (absolute or relative to the layer's root).
    pub fn new(layer: &Arc<Layer>, path: &[u8]) -> Arc<LayerDir> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        Arc::new(LayerDir {
            layer: Arc::clone(layer),
            path: path.into(),
            id: NEXT_DIR.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Like [`LayerDir::new`], for a single use: its descriptor is not cached.
    pub fn transient(layer: &Arc<Layer>, path: &[u8]) -> Arc<LayerDir> {
        let path = path.strip_prefix(b"/").unwrap_or(path);
        Arc::new(LayerDir {
            layer: Arc::clone(layer),
            path: path.into(),
            id: TRANSIENT,
        })
    }

    /// Subdirectory `name`.
    pub fn child(&self, name: &[u8]) -> Arc<LayerDir> {
        LayerDir::new(&self.layer, &join(&self.path, name))
    }
}

/// `dir/name`, with an empty `dir` standing for the root.
pub fn join(dir: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(dir.len() + name.len() + 1);
    path.extend_from_slice(dir);
    if !dir.is_empty() && !dir.ends_with(b"/") {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}
