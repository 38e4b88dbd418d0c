//! Reading and writing what is open without passthrough, and the calls the kernel never hands
//! through.

use super::Overlay;
use super::copyup::Amount;
use super::handles::{Content, FileHandle};
use super::metrics::add;
use super::node::{Body, Node};
use super::view::View;
use crate::sys::caller::Caller;
use crate::sys::stat::{stat_at, stat_fd};
use crate::sys::{Result, procfd};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{FallocateFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;
use std::sync::Arc;
use std::time::Duration;

impl Overlay {
    /// Reads at `offset` into `buf`, as much as there is.
    ///
    /// # Errors
    /// As `pread(2)` on the layer; `ESTALE` if a file that need not be open was replaced.
    pub fn read(&self, fh: u64, offset: u64, buf: &mut [u8]) -> Result<usize> {
        let _view = self.view();
        let handle = self.handles.file(fh)?;
        if let Content::Joined(data) = &*handle.file.read()
            && !matches!(handle.node.state.read().body, Body::Upper { .. })
        {
            let start = usize::try_from(offset)
                .unwrap_or(usize::MAX)
                .min(data.len());
            let rest = data.get(start..).unwrap_or_default();
            let n = rest.len().min(buf.len());
            if let (Some(to), Some(from)) = (buf.get_mut(..n), rest.get(..n)) {
                to.copy_from_slice(from);
            }
            return Ok(n);
        }
        let fd = self.content_fd(&handle)?;
        let read = read_full(&fd, offset, buf);
        if read.is_err() {
            // The file may have gone on its server, or the server forgotten that it is open: the next opener opens anew.
            self.kept.remove(handle.node.identity);
        }
        let mut done = read?;
        if done < buf.len() && wait_for_cut(&handle.node) {
            done = read_full(&fd, offset, buf)?;
        }
        self.count_bytes(&handle.node, done as u64, false);
        Ok(done)
    }

    /// Writes `data` at `offset`. With `kill`, set-id bits are cleared as for an unprivileged
    /// writer.
    ///
    /// # Errors
    /// As `pwrite(2)` on the store: `ENOSPC`, `EDQUOT`, `EFBIG`, ...
    pub fn write(&self, fh: u64, offset: u64, data: &[u8], kill: bool) -> Result<usize> {
        let view = self.view();
        let handle = self.handles.file(fh)?;
        self.cut_is_known(&handle);
        let fd = self.changed_fd(&view, &handle)?;
        if kill {
            clear_setid(&fd)?;
        }
        let mut done = 0;
        while let Some(rest) = data.get(done..).filter(|rest| !rest.is_empty()) {
            match rustix::io::pwrite(&*fd, rest, offset + done as u64) {
                Ok(n) => done += n,
                Err(Errno::INTR) => {}
                Err(e) if done == 0 => return Err(e),
                Err(_) => break,
            }
        }
        self.count_bytes(&handle.node, done as u64, true);
        Ok(done)
    }

    /// Announces the close of `fh`: what was written to a persistent store on a server is there
    /// when this returns.
    ///
    /// # Errors
    /// As `fsync(2)`: the late errors of writes.
    pub fn flush(&self, fh: u64) -> Result<()> {
        let handle = self.handles.file(fh)?;
        if !handle.write {
            return Ok(());
        }
        rustix::fs::fsync(&*self.content_fd(&handle)?)
    }

    /// Makes `fh` safe against power loss.
    ///
    /// # Errors
    /// As `fsync(2)`.
    pub fn fsync(&self, fh: u64, data_only: bool) -> Result<()> {
        let _view = self.view();
        let handle = self.handles.file(fh)?;
        let fd = self.content_fd(&handle)?;
        if data_only {
            rustix::fs::fdatasync(&*fd)
        } else {
            rustix::fs::fsync(&*fd)
        }
    }

    /// Makes the names in directory `ino` safe against power loss.
    ///
    /// # Errors
    /// As `fsync(2)`.
    pub fn fsyncdir(&self, ino: u64) -> Result<()> {
        let view = self.view();
        let node = self.node(ino)?;
        let region = self.place(&view, &node)?.region;
        match &region.store {
            Some(store) if !store.ram => match self.store_dir(&node, store)? {
                Some(dir) => rustix::fs::fsync(procfd::reopen(&*dir, OFlags::RDONLY)?),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// Allocates, punches or zeroes a range; `mode` as in `fallocate(2)`.
    ///
    /// # Errors
    /// As `fallocate(2)`.
    pub fn fallocate(
        &self,
        fh: u64,
        offset: u64,
        len: u64,
        mode: u32,
        caller: Caller,
    ) -> Result<()> {
        let view = self.view();
        let handle = self.handles.file(fh)?;
        let fd = self.changed_fd(&view, &handle)?;
        self.kill_privileges(&fd, caller)?;
        rustix::fs::fallocate(&*fd, FallocateFlags::from_bits_retain(mode), offset, len)
    }

    /// Finds data or a hole at or after `offset`.
    ///
    /// # Errors
    /// `ENXIO` past the end; `EINVAL` for another `whence`.
    pub fn seek(&self, fh: u64, offset: u64, whence: i32) -> Result<u64> {
        let _view = self.view();
        let handle = self.handles.file(fh)?;
        if let Content::Joined(data) = &*handle.file.read() {
            let size = data.len() as u64;
            return match whence {
                _ if offset >= size => Err(Errno::NXIO),
                libc::SEEK_DATA => Ok(offset),
                libc::SEEK_HOLE => Ok(size),
                _ => Err(Errno::INVAL),
            };
        }
        let fd = self.content_fd(&handle)?;
        let from = match whence {
            libc::SEEK_DATA => SeekFrom::Data(offset),
            libc::SEEK_HOLE => SeekFrom::Hole(offset),
            _ => return Err(Errno::INVAL),
        };
        rustix::fs::seek(&*fd, from)
    }

    /// Copies up to `len` bytes from one open file to another within the store.
    ///
    /// # Errors
    /// As `copy_file_range(2)`; `EXDEV` and `EOPNOTSUPP` make the kernel copy by itself.
    pub fn copy_range(
        &self,
        from: (u64, u64),
        to: (u64, u64),
        len: usize,
        caller: Caller,
    ) -> Result<usize> {
        let view = self.view();
        let (source, target) = (self.handles.file(from.0)?, self.handles.file(to.0)?);
        if matches!(&*source.file.read(), Content::Joined(_)) {
            return Err(Errno::XDEV);
        }
        let fd = self.changed_fd(&view, &target)?;
        let source_fd = self.content_fd(&source)?;
        self.kill_privileges(&fd, caller)?;
        let (mut at, mut to_at) = (from.1, to.1);
        let result =
            rustix::fs::copy_file_range(&*source_fd, Some(&mut at), &*fd, Some(&mut to_at), len);
        // Pages the kernel keeps of the target are dropped by it; ours to forget is the version.
        target.node.state.write().cached = None;
        result
    }

    /// The descriptor for a change through `handle`: a file still in a lower layer is copied up.
    fn changed_fd(&self, view: &View, handle: &FileHandle) -> Result<Arc<OwnedFd>> {
        if !handle.write {
            return Err(Errno::BADF);
        }
        if !matches!(&*handle.file.read(), Content::Upper(_)) {
            self.make_upper(view, &handle.node, Amount::All)?;
        }
        self.content_fd(handle)
    }

    /// The descriptor a handle works on now: opened if it was not, moved if the file was copied up.
    pub(super) fn content_fd(&self, handle: &FileHandle) -> Result<Arc<OwnedFd>> {
        let body = match &*handle.file.read() {
            Content::Upper(fd) => return Ok(Arc::clone(fd)),
            Content::Lower(fd) => {
                let state = handle.node.state.read();
                match &state.body {
                    Body::Upper { .. } if !state.dead => {}
                    Body::Orphan(_) => {}
                    _ => return Ok(Arc::clone(fd)),
                }
                state.body.clone()
            }
            Content::Lazy | Content::Joined(_) => handle.node.body(),
        };
        let content = match body {
            Body::Lower { dir, name } => {
                Content::Lower(self.open_lower(&handle.node, &dir, &name)?)
            }
            Body::Upper { .. } => {
                let region = handle.node.state.read().place.region.clone();
                let store = region.store.as_ref().ok_or(Errno::STALE)?;
                let access = if handle.write {
                    OFlags::RDWR
                } else {
                    OFlags::RDONLY
                };
                let fd = self.at_upper(&handle.node, store, |dir, name| {
                    store.layer.open_entry(dir, name, access | OFlags::NONBLOCK)
                })?;
                Content::Upper(Arc::new(fd))
            }
            Body::Orphan(fd) => Content::Upper(Arc::new(procfd::reopen(&*fd, OFlags::RDONLY)?)),
            _ => return Err(Errno::BADF),
        };
        let fd = match &content {
            Content::Lower(fd) | Content::Upper(fd) => Arc::clone(fd),
            Content::Lazy | Content::Joined(_) => return Err(Errno::BADF),
        };
        *handle.file.write() = content;
        Ok(fd)
    }

    /// Clears set-id bits before a change of content by `caller`, unless it may keep them.
    pub(super) fn kill_privileges(&self, fd: impl AsFd, caller: Caller) -> Result<()> {
        let st = stat_fd(&fd)?;
        if setid_to_clear(st.perm) != 0 && !caller.has_fsetid() {
            clear_setid(fd)?;
        }
        Ok(())
    }

    fn count_bytes(&self, node: &Node, n: u64, written: bool) {
        let state = node.state.read();
        let layer = match (&state.body, &state.place.region.store) {
            (Body::Lower { dir, .. }, _) => &dir.layer,
            (_, Some(store)) => &store.layer,
            _ => return,
        };
        let counters = &layer.counters;
        add(
            if written {
                &counters.written_bytes
            } else {
                &counters.read_bytes
            },
            n,
        );
    }
}

/// Reads as much as there is.
fn read_full(fd: &OwnedFd, offset: u64, buf: &mut [u8]) -> Result<usize> {
    let mut done = 0;
    while let Some(rest) = buf.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let at = offset + done as u64;
        match crate::sys::lease::kept(fd, || rustix::io::pread(fd, &mut *rest, at)) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(Errno::INTR) => {}
            // Told of the part that could be read, the kernel would take the file to end there.
            Err(e) => return Err(e),
        }
    }
    Ok(done)
}

/// How long the kernel may take to learn from an answered open that the file was cut.
const CUT_TAKES: Duration = Duration::from_millis(2);

/// Waits until the kernel knows that the file was cut, if that was just now. Told of a short read
/// before, it would fill up to the old size with zeroes that nobody wrote.
fn wait_for_cut(node: &Node) -> bool {
    let cut = node.state.read().cut;
    match cut.and_then(|at| CUT_TAKES.checked_sub(at.elapsed())) {
        Some(left) => {
            std::thread::sleep(left);
            true
        }
        None => false,
    }
}

/// The set-id bits a change of content clears: suid always, sgid if it is one (group-executable)
/// and not a mark for mandatory locking.
pub(super) fn setid_to_clear(perm: u16) -> u16 {
    let sgid = if perm & 0o010 != 0 { 0o2000 } else { 0 };
    perm & (0o4000 | sgid)
}

/// Clears set-id bits of an open file.
pub(super) fn clear_setid(fd: impl AsFd) -> Result<()> {
    let perm = stat_at(&fd, b"")?.perm;
    let clear = setid_to_clear(perm);
    if clear != 0 {
        let mode = Mode::from_raw_mode(u32::from(perm & !clear));
        crate::sys::lease::kept(&fd, || rustix::fs::fchmod(&fd, mode))?;
    }
    Ok(())
}
