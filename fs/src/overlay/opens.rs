//! How files are opened.
//!
//! A regular file is open in one of two ways, and all its openers at one time share the way (the
//! kernel refuses a mixture with `EIO`):
//!
//! - **cached**: reads and writes come to the daemon and the kernel keeps pages. Cheap to open,
//!   right for small files and for lower files that may yet be copied up.
//! - **passthrough**: the kernel is given the backing file and does reads, writes and mmap itself.
//!   One copy in memory and native speed, but dearer to open.
//!
//! Passthrough is chosen for every file opened for writing and for large files, unless the file is
//! already open cached, has set-id bits (the kernel would not clear them on a write), or is a lower
//! file of a region that copies up (its backing file may change under the same number; see
//! [`super::Settings::passthrough_lower`]).
//!
//! Counts here may lag behind the kernel's (a close is announced after the fact) but never run
//! ahead, so the way chosen is always one the kernel accepts.

use super::copyup::Amount;
use super::handles::{Content, FileHandle};
use super::layer::FOREVER;
use super::metrics::count;
use super::node::{Body, Node, Version};
use super::region::Region;
use super::{Overlay, concat};
use crate::sys::caller::Caller;
use crate::sys::stat::{Stat, stat_fd};
use crate::sys::{Result, lease, procfd};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::OFlags;
use rustix::io::Errno;
use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The kernel's registration of a backing file; dropping it ends the registration.
pub type Token = Arc<dyn Any + Send + Sync>;

/// Registers backing files with the kernel.
pub trait Passthrough {
    /// Registers `fd`; none if the kernel refuses (then the file is opened cached).
    fn register(&self, fd: BorrowedFd<'_>) -> Option<Token>;
}

/// What an opener asks for.
#[derive(Clone, Copy, Debug)]
pub struct OpenMode {
    /// Read access.
    pub read: bool,
    /// Write access.
    pub write: bool,
    /// Cut to zero length.
    pub truncate: bool,
    /// Opened to be executed.
    pub execute: bool,
}

impl OpenMode {
    /// Whether the daemon needs a descriptor it can write.
    fn changes(self) -> bool {
        self.write || self.truncate
    }
}

/// An open file, as the kernel is told of it.
#[derive(Clone, Debug)]
pub struct Opened {
    /// Handle number.
    pub fh: u64,
    /// The way it is open.
    pub how: How,
    /// Whether closing must be announced before it returns (for stores on a server).
    pub flush: bool,
}

/// The way a file is open.
#[derive(Clone)]
pub enum How {
    /// Through the page cache; `keep` if pages from earlier are still right.
    Cached {
        /// Pages from earlier are still right.
        keep: bool,
    },
    /// The kernel uses the backing file.
    Passthrough(Token),
}

impl std::fmt::Debug for How {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            How::Cached { keep } => write!(f, "Cached(keep: {keep})"),
            How::Passthrough(_) => write!(f, "Passthrough"),
        }
    }
}

/// Open handles of one node.
#[derive(Default)]
pub struct Opens {
    cached: u32,
    passthrough: u32,
    /// How many of them run as programs.
    executed: u32,
    token: Option<Token>,
    /// Backing file of passthrough openers.
    fd: Option<Arc<OwnedFd>>,
    /// Whether `fd` can be written.
    writable: bool,
}

impl std::fmt::Debug for Opens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "Opens(cached {}, passthrough {})",
            self.cached, self.passthrough
        )
    }
}

impl Opens {
    /// Whether the kernel works on the backing file itself.
    pub(super) fn is_passthrough(&self) -> bool {
        self.passthrough > 0
    }
}

impl Overlay {
    /// Opens regular file `ino`.
    ///
    /// # Errors
    /// `EROFS` for writing where no rule allows it; `ESTALE` when the file was replaced, or when a
    /// copy-up gives it a new number because somebody reads the old content by passthrough; else
    /// those of `open(2)` on the layer.
    pub fn open(
        &self,
        ino: u64,
        mode: OpenMode,
        caller: Caller,
        kernel: Option<&dyn Passthrough>,
    ) -> Result<Opened> {
        let view = self.view();
        let node = self.node(ino)?;
        let region = self.place(&view, &node)?.region;
        if mode.write || mode.truncate {
            if !mode.write && node.opens.lock().as_ref().is_some_and(|o| o.executed > 0) {
                // The kernel finds this only after the file has been cut.
                return Err(Errno::TXTBSY);
            }
            let amount = match mode.truncate {
                true => Amount::Nothing,
                false => Amount::All,
            };
            self.make_upper(&view, &node, amount)?;
        }
        let opened = self.open_node(&node, &region, mode, kernel)?;
        if mode.truncate
            && let Err(e) = self.truncate_open(opened.fh, caller)
        {
            self.release(opened.fh);
            return Err(e);
        }
        Ok(opened)
    }

    fn truncate_open(&self, fh: u64, caller: Caller) -> Result<()> {
        let handle = self.handles.file(fh)?;
        let fd = self.content_fd(&handle)?;
        self.kill_privileges(&fd, caller)?;
        handle.node.state.write().cut = Some(Instant::now());
        lease::kept(&*fd, || rustix::fs::ftruncate(&*fd, 0))
    }

    /// The kernel has learnt that a file was cut: its opener has come back with the handle.
    pub(super) fn cut_is_known(&self, handle: &FileHandle) {
        if handle.truncate {
            handle.node.state.write().cut = None;
        }
    }

    fn open_node(
        &self,
        node: &Arc<Node>,
        region: &Arc<Region>,
        mode: OpenMode,
        kernel: Option<&dyn Passthrough>,
    ) -> Result<Opened> {
        let mut slot = node.opens.lock();
        let opens = slot.get_or_insert_with(Box::default);
        opens.executed += u32::from(mode.execute);
        let flush = mode.write
            && region.is_opaque()
            && region.store.as_ref().is_some_and(|s| s.layer.remote);
        if opens.passthrough > 0
            && let Some(token) = opens.token.clone()
        {
            let fd = match shared_fd(opens, mode.changes()) {
                Ok(fd) => fd,
                Err(e) => {
                    opens.executed -= u32::from(mode.execute);
                    return Err(e);
                }
            };
            opens.passthrough += 1;
            let fh = self.enter_handle(node, mode, true, Content::Upper(fd));
            let how = How::Passthrough(token);
            return Ok(Opened { fh, how, flush });
        }
        if let Some(fh) = self.open_lazily(node, region, mode, opens) {
            let how = How::Cached { keep: true };
            return Ok(Opened {
                fh,
                how,
                flush: false,
            });
        }
        let result = self
            .open_content(node, region, mode)
            .map(|content| match content {
                Content::Lower(fd) | Content::Upper(fd) => {
                    let content = content_like(node, fd);
                    self.choose(node, region, mode, kernel, opens, content, None)
                }
                other => self.open_cached(node, mode, opens, other, false),
            });
        match result {
            Ok((fh, how)) => Ok(Opened { fh, how, flush }),
            Err(e) => {
                opens.executed -= u32::from(mode.execute);
                if opens.cached == 0 && opens.passthrough == 0 {
                    *slot = None;
                }
                Err(e)
            }
        }
    }

    /// A small file of an unchanging layer that was read before is not opened again: the kernel
    /// has its pages, and asks should it have dropped them.
    fn open_lazily(
        &self,
        node: &Arc<Node>,
        region: &Region,
        mode: OpenMode,
        opens: &mut Opens,
    ) -> Option<u64> {
        if mode.changes() || region.lower_ttl() != FOREVER {
            return None;
        }
        {
            let state = node.state.read();
            if state.cached.is_none() || !matches!(state.body, Body::Lower { .. }) {
                return None;
            }
        }
        opens.cached += 1;
        Some(self.enter_handle(node, mode, false, Content::Lazy))
    }

    /// Opens the file behind `node`.
    fn open_content(&self, node: &Arc<Node>, region: &Region, mode: OpenMode) -> Result<Content> {
        let write = if mode.changes() {
            OFlags::RDWR
        } else {
            OFlags::RDONLY
        };
        match node.body() {
            Body::Lower { dir, name } => Ok(Content::Lower(self.open_lower(node, &dir, &name)?)),
            Body::Upper { .. } => {
                let store = region.store.as_ref().ok_or(Errno::STALE)?;
                count(&store.layer.counters.opens);
                let fd = self.at_upper(node, store, |dir, name| {
                    open_regular(|flags| store.layer.open_entry(dir, name, flags), write)
                })?;
                Ok(Content::Upper(Arc::new(fd)))
            }
            Body::Concat { parts, name } => Ok(Content::Joined(
                concat::read(&self.fds, &parts, &name)?.into(),
            )),
            Body::Orphan(fd) => Ok(Content::Upper(Arc::new(procfd::reopen(&*fd, write)?))),
            Body::Gone(_) => Err(Errno::STALE),
            Body::Dir(_) => Err(Errno::ISDIR),
            Body::Symlink(_) => Err(Errno::LOOP),
        }
    }

    /// Decides on the way: a file that is open cached stays so, and keeps its pages while they are right. `known` are
    /// its attributes if at hand.
    #[allow(clippy::too_many_arguments)]
    fn choose(
        &self,
        node: &Arc<Node>,
        region: &Region,
        mode: OpenMode,
        kernel: Option<&dyn Passthrough>,
        opens: &mut Opens,
        content: Content,
        known: Option<Stat>,
    ) -> (u64, How) {
        let fd = match &content {
            Content::Lower(fd) | Content::Upper(fd) => Arc::clone(fd),
            _ => return self.open_cached(node, mode, opens, content, false),
        };
        let stat = known.or_else(|| stat_fd(&*fd).ok());
        let upper = matches!(content, Content::Upper(_));
        if let (Some(kernel), Some(stat)) = (kernel, stat)
            && opens.cached == 0
            && (upper || !region.copies_up() || self.settings.passthrough_lower)
            && self.pays(&stat, mode)
            && let Some(token) = kernel.register(rustix::fd::AsFd::as_fd(&*fd))
        {
            opens.passthrough = 1;
            opens.token = Some(Arc::clone(&token));
            opens.fd = Some(fd);
            opens.writable = mode.changes();
            if mode.write {
                node.state.write().cached = None;
            }
            let fh = self.enter_handle(node, mode, true, content);
            return (fh, How::Passthrough(token));
        }
        let keep = stat.is_some_and(|stat| keep_pages(node, region, upper, &stat));
        self.open_cached(node, mode, opens, content, keep)
    }

    fn pays(&self, stat: &Stat, mode: OpenMode) -> bool {
        stat.perm & 0o6000 == 0 && (mode.write || stat.size >= self.settings.passthrough_min)
    }

    fn open_cached(
        &self,
        node: &Arc<Node>,
        mode: OpenMode,
        opens: &mut Opens,
        content: Content,
        keep: bool,
    ) -> (u64, How) {
        opens.cached += 1;
        let fh = self.enter_handle(node, mode, false, content);
        (fh, How::Cached { keep })
    }

    /// Opens a file that was just created as `fd`.
    pub(super) fn open_created(
        &self,
        node: &Arc<Node>,
        region: &Region,
        mode: OpenMode,
        (fd, stat): (OwnedFd, Stat),
        kernel: Option<&dyn Passthrough>,
    ) -> Opened {
        let mut slot = node.opens.lock();
        let opens = slot.get_or_insert_with(Box::default);
        let content = Content::Upper(Arc::new(fd));
        let (fh, how) = self.choose(node, region, mode, kernel, opens, content, Some(stat));
        let flush = mode.write
            && region.is_opaque()
            && region.store.as_ref().is_some_and(|s| s.layer.remote);
        Opened { fh, how, flush }
    }

    fn enter_handle(
        &self,
        node: &Arc<Node>,
        mode: OpenMode,
        passthrough: bool,
        content: Content,
    ) -> u64 {
        node.open_count.fetch_add(1, Ordering::AcqRel);
        if let Content::Lower(fd) | Content::Upper(fd) = &content {
            node.state.write().open_fd = Some(Arc::clone(fd));
        }
        self.handles.insert_file(FileHandle {
            node: Arc::clone(node),
            write: mode.write,
            read: mode.read,
            execute: mode.execute,
            truncate: mode.truncate,
            passthrough,
            file: parking_lot::RwLock::new(content),
        })
    }

    /// Closes handle `fh`.
    pub fn release(&self, fh: u64) {
        let Some(handle) = self.handles.remove(fh) else {
            return;
        };
        self.cut_is_known(&handle);
        let node = &handle.node;
        let mut slot = node.opens.lock();
        if let Some(opens) = slot.as_mut() {
            opens.executed = opens.executed.saturating_sub(u32::from(handle.execute));
            if handle.passthrough {
                opens.passthrough = opens.passthrough.saturating_sub(1);
                if opens.passthrough == 0 {
                    opens.token = None;
                    opens.fd = None;
                }
            } else {
                opens.cached = opens.cached.saturating_sub(1);
            }
            if opens.cached == 0 && opens.passthrough == 0 {
                *slot = None;
                node.state.write().open_fd = None;
            }
        }
        node.open_count.fetch_sub(1, Ordering::AcqRel);
    }

    /// Closes directory handle `fh`.
    pub fn releasedir(&self, fh: u64) {
        self.handles.remove(fh);
    }
}

/// The shared descriptor of passthrough openers, made writable if needed.
fn shared_fd(opens: &mut Opens, write: bool) -> Result<Arc<OwnedFd>> {
    let fd = opens.fd.clone().ok_or(Errno::BADF)?;
    if !write || opens.writable {
        return Ok(fd);
    }
    let fd = Arc::new(procfd::reopen(&*fd, OFlags::RDWR)?);
    opens.fd = Some(Arc::clone(&fd));
    opens.writable = true;
    Ok(fd)
}

/// Whether pages the kernel may have are those of the file as it is now; they are from here on.
fn keep_pages(node: &Node, region: &Region, upper: bool, stat: &Stat) -> bool {
    let version = Version::of(stat);
    let mut state = node.state.write();
    let same = state.cached == Some(version);
    // A store is changed by us alone, and page by page; see `choose` for what forgets this.
    let ours = upper && region.store_ttl() == FOREVER && state.cached.is_some();
    state.cached = Some(version);
    same || ours
}

/// Tells a lower file from one of the store by where the node's content is.
fn content_like(node: &Node, fd: Arc<OwnedFd>) -> Content {
    match &node.state.read().body {
        Body::Lower { .. } => Content::Lower(fd),
        _ => Content::Upper(fd),
    }
}

/// Opens what must be a regular file: never blocks on a fifo, never touches a device.
fn open_regular(open: impl Fn(OFlags) -> Result<OwnedFd>, access: OFlags) -> Result<OwnedFd> {
    let fd = open(access | OFlags::NONBLOCK | OFlags::NOCTTY)?;
    if stat_fd(&fd)?.is_file() {
        Ok(fd)
    } else {
        Err(Errno::STALE)
    }
}
