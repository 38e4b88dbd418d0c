//! Translation between the kernel's requests and the overlay. No decisions are made here.

pub mod convert;
pub mod crew;
mod dirs;
mod files;
pub mod notify;
pub mod session;

use crate::overlay::Overlay;
use crate::overlay::change::Change;
use crate::overlay::create::{Make, Owner};
use crate::overlay::rename::Onto;
use convert::{NOTHING, attr, caller, decode_rdev, errno, set_time};
use crew::Crew;
use fuser::{
    BsdFileFlags, CopyFileRangeFlags, Errno, FileHandle, Filesystem, Generation, INodeNo,
    InitFlags, IoctlFlags, KernelConfig, LockOwner, OpenFlags, RenameFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyDirectory, ReplyDirectoryPlus, ReplyEmpty, ReplyEntry, ReplyIoctl, ReplyLseek,
    ReplyOpen, ReplyStatfs, ReplyWrite, ReplyXattr, Request, TimeOrNow, WriteFlags,
};
use session::{Agreed, MountSettings};
use std::cell::RefCell;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

/// Inode numbers are never given to another file while the kernel remembers the first.
const GENERATION: Generation = Generation(0);

thread_local! {
    /// Where a worker reads file data to; as large as the kernel has asked so far.
    static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The file system as fuser drives it.
#[derive(Debug)]
pub struct Fs {
    overlay: Arc<Overlay>,
    settings: MountSettings,
    agreed: Arc<Agreed>,
    crew: Arc<Crew>,
}

impl Fs {
    /// Serves `overlay`.
    pub fn new(
        overlay: Arc<Overlay>,
        settings: MountSettings,
        agreed: Arc<Agreed>,
        crew: Arc<Crew>,
    ) -> Fs {
        Fs {
            overlay,
            settings,
            agreed,
            crew,
        }
    }

    fn passthrough(&self) -> bool {
        self.agreed.passthrough.load(Ordering::Acquire)
    }
}

/// Answers with an entry, or an error; absence with the time it may be believed.
fn answer_entry(result: crate::sys::Result<crate::overlay::attr::Entry>, reply: ReplyEntry) {
    match result {
        Ok(entry) => reply.entry(&entry.ttl, &attr(&entry), GENERATION),
        Err(e) => reply.error(errno(e)),
    }
}

fn answer(result: crate::sys::Result<()>, reply: ReplyEmpty) {
    match result {
        Ok(()) => reply.ok(),
        Err(e) => reply.error(errno(e)),
    }
}

fn answer_xattr(result: crate::sys::Result<Vec<u8>>, size: u32, reply: ReplyXattr) {
    match result {
        Ok(data) if size == 0 => reply.size(u32::try_from(data.len()).unwrap_or(u32::MAX)),
        Ok(data) if data.len() > size as usize => reply.error(Errno::ERANGE),
        Ok(data) => reply.data(&data),
        Err(e) => reply.error(errno(e)),
    }
}

impl Filesystem for Fs {
    fn init(&mut self, _req: &Request, config: &mut KernelConfig) -> std::io::Result<()> {
        session::negotiate(&self.settings, &self.agreed, config);
        let may = config
            .capabilities()
            .contains(InitFlags::FUSE_NO_OPENDIR_SUPPORT);
        let no_opendir = may && self.overlay.lists_without_open();
        self.agreed.no_opendir.store(no_opendir, Ordering::Release);
        Ok(())
    }

    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let _at_work = self.crew.work();
        match self.overlay.lookup(parent.0, name.as_bytes()) {
            Ok(entry) => reply.entry(&entry.ttl, &attr(&entry), GENERATION),
            Err(rustix::io::Errno::NOENT) => {
                // Node id 0: the kernel remembers that there is nothing.
                let ttl = self.overlay.absent_ttl(parent.0, name.as_bytes());
                reply.entry(&ttl, &NOTHING, GENERATION);
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    // Not counted as work: fuser gives several at a time, and a thread that rests after the first would keep the others.
    fn forget(&self, _req: &Request, ino: INodeNo, nlookup: u64) {
        self.overlay.forget(ino.0, nlookup);
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        let _at_work = self.crew.work();
        match self.overlay.getattr(ino.0) {
            Ok(entry) => reply.attr(&entry.ttl, &attr(&entry)),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn setattr(
        &self,
        req: &Request,
        ino: INodeNo,
        mode: Option<u32>,
        uid: Option<u32>,
        gid: Option<u32>,
        size: Option<u64>,
        atime: Option<TimeOrNow>,
        mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        fh: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let _at_work = self.crew.work();
        let change = Change {
            mode,
            uid,
            gid,
            size,
            atime: atime.map(set_time),
            mtime: mtime.map(set_time),
        };
        let fh = fh.map(|fh| fh.0);
        match self.overlay.setattr(ino.0, fh, change, caller(req)) {
            Ok(entry) => reply.attr(&entry.ttl, &attr(&entry)),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let _at_work = self.crew.work();
        match self.overlay.readlink(ino.0) {
            Ok(target) => reply.data(&target),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn mknod(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        rdev: u32,
        reply: ReplyEntry,
    ) {
        let _at_work = self.crew.work();
        let kind = rustix::fs::FileType::from_raw_mode(mode);
        let what = match kind {
            rustix::fs::FileType::RegularFile => Make::File,
            kind => Make::Node(kind, decode_rdev(rdev)),
        };
        let owner = Owner {
            caller: caller(req),
            mode,
            umask,
        };
        answer_entry(
            self.overlay.make(parent.0, name.as_bytes(), what, owner),
            reply,
        );
    }

    fn mkdir(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        reply: ReplyEntry,
    ) {
        let _at_work = self.crew.work();
        let owner = Owner {
            caller: caller(req),
            mode,
            umask,
        };
        answer_entry(
            self.overlay
                .make(parent.0, name.as_bytes(), Make::Dir, owner),
            reply,
        );
    }

    fn unlink(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _at_work = self.crew.work();
        answer(self.overlay.unlink(parent.0, name.as_bytes()), reply);
    }

    fn rmdir(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _at_work = self.crew.work();
        answer(self.overlay.rmdir(parent.0, name.as_bytes()), reply);
    }

    fn symlink(
        &self,
        req: &Request,
        parent: INodeNo,
        link_name: &OsStr,
        target: &Path,
        reply: ReplyEntry,
    ) {
        let _at_work = self.crew.work();
        let owner = Owner {
            caller: caller(req),
            mode: 0o777,
            umask: 0,
        };
        let what = Make::Symlink(target.as_os_str().as_bytes());
        answer_entry(
            self.overlay
                .make(parent.0, link_name.as_bytes(), what, owner),
            reply,
        );
    }

    fn rename(
        &self,
        _req: &Request,
        parent: INodeNo,
        name: &OsStr,
        newparent: INodeNo,
        newname: &OsStr,
        flags: RenameFlags,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        let onto = if flags.is_empty() {
            Onto::Replace
        } else if flags == RenameFlags::RENAME_NOREPLACE {
            Onto::Refuse
        } else if flags == RenameFlags::RENAME_EXCHANGE {
            Onto::Exchange
        } else {
            return reply.error(Errno::EINVAL);
        };
        let from = (parent.0, name.as_bytes());
        let to = (newparent.0, newname.as_bytes());
        answer(self.overlay.rename(from, to, onto), reply);
    }

    fn link(
        &self,
        _req: &Request,
        ino: INodeNo,
        newparent: INodeNo,
        newname: &OsStr,
        reply: ReplyEntry,
    ) {
        let _at_work = self.crew.work();
        answer_entry(
            self.overlay.link(ino.0, newparent.0, newname.as_bytes()),
            reply,
        );
    }

    fn open(&self, req: &Request, ino: INodeNo, flags: OpenFlags, reply: ReplyOpen) {
        let _at_work = self.crew.work();
        self.answer_open(caller(req), ino, flags, reply);
    }

    fn create(
        &self,
        req: &Request,
        parent: INodeNo,
        name: &OsStr,
        mode: u32,
        umask: u32,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let _at_work = self.crew.work();
        let owner = Owner {
            caller: caller(req),
            mode,
            umask,
        };
        self.answer_create(parent, name, owner, flags, reply);
    }

    fn read(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let _at_work = self.crew.work();
        BUFFER.with_borrow_mut(|buf| {
            let size = size as usize;
            if buf.len() < size {
                buf.resize(size, 0);
            }
            let room = buf.get_mut(..size).unwrap_or_default();
            match self.overlay.read(fh.0, offset, room) {
                Ok(n) => reply.data(room.get(..n).unwrap_or_default()),
                Err(e) => reply.error(errno(e)),
            }
        });
    }

    fn write(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        data: &[u8],
        write_flags: WriteFlags,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let _at_work = self.crew.work();
        let kill = write_flags.contains(WriteFlags::FUSE_WRITE_KILL_SUIDGID);
        match self.overlay.write(fh.0, offset, data, kill) {
            Ok(n) => reply.written(u32::try_from(n).unwrap_or(u32::MAX)),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn flush(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _lock_owner: LockOwner,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        answer(self.overlay.flush(fh.0), reply);
    }

    fn release(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        _flush: bool,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        self.overlay.release(fh.0);
        reply.ok();
    }

    fn fsync(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        datasync: bool,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        answer(self.overlay.fsync(fh.0, datasync), reply);
    }

    fn opendir(&self, _req: &Request, ino: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let _at_work = self.crew.work();
        self.answer_opendir(ino, reply);
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectory,
    ) {
        let _at_work = self.crew.work();
        self.answer_readdir(ino, fh, offset, reply);
    }

    fn readdirplus(
        &self,
        _req: &Request,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        reply: ReplyDirectoryPlus,
    ) {
        let _at_work = self.crew.work();
        self.answer_readdirplus(ino, fh, offset, reply);
    }

    fn releasedir(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        _flags: OpenFlags,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        self.overlay.releasedir(fh.0);
        reply.ok();
    }

    fn fsyncdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        _datasync: bool,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        answer(self.overlay.fsyncdir(ino.0), reply);
    }

    fn statfs(&self, _req: &Request, ino: INodeNo, reply: ReplyStatfs) {
        let _at_work = self.crew.work();
        match self.overlay.statfs(ino.0) {
            Ok(st) => reply.statfs(
                st.f_blocks,
                st.f_bfree,
                st.f_bavail,
                st.f_files,
                st.f_ffree,
                u32::try_from(st.f_bsize).unwrap_or(4096),
                u32::try_from(st.f_namemax).unwrap_or(255),
                u32::try_from(st.f_frsize).unwrap_or(4096),
            ),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn setxattr(
        &self,
        req: &Request,
        ino: INodeNo,
        name: &OsStr,
        value: &[u8],
        flags: i32,
        _position: u32,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        let flags = u32::try_from(flags).unwrap_or(0);
        let done = self
            .overlay
            .setxattr(ino.0, name.as_bytes(), value, flags, caller(req));
        answer(done, reply);
    }

    fn getxattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, size: u32, reply: ReplyXattr) {
        let _at_work = self.crew.work();
        answer_xattr(self.overlay.getxattr(ino.0, name.as_bytes()), size, reply);
    }

    fn listxattr(&self, _req: &Request, ino: INodeNo, size: u32, reply: ReplyXattr) {
        let _at_work = self.crew.work();
        answer_xattr(self.overlay.listxattr(ino.0), size, reply);
    }

    fn removexattr(&self, _req: &Request, ino: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        let _at_work = self.crew.work();
        answer(self.overlay.removexattr(ino.0, name.as_bytes()), reply);
    }

    /// No file here is a device: "is this a terminal?" has a quick answer.
    fn ioctl(
        &self,
        _req: &Request,
        _ino: INodeNo,
        _fh: FileHandle,
        _flags: IoctlFlags,
        _cmd: u32,
        _in_data: &[u8],
        _out_size: u32,
        reply: ReplyIoctl,
    ) {
        reply.error(Errno::ENOTTY);
    }

    fn fallocate(
        &self,
        req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let _at_work = self.crew.work();
        let mode = u32::try_from(mode).unwrap_or(0);
        answer(
            self.overlay
                .fallocate(fh.0, offset, length, mode, caller(req)),
            reply,
        );
    }

    fn lseek(
        &self,
        _req: &Request,
        _ino: INodeNo,
        fh: FileHandle,
        offset: i64,
        whence: i32,
        reply: ReplyLseek,
    ) {
        let _at_work = self.crew.work();
        let Ok(offset) = u64::try_from(offset) else {
            return reply.error(Errno::EINVAL);
        };
        match self.overlay.seek(fh.0, offset, whence) {
            Ok(at) => reply.offset(i64::try_from(at).unwrap_or(i64::MAX)),
            Err(e) => reply.error(errno(e)),
        }
    }

    fn copy_file_range(
        &self,
        req: &Request,
        _ino_in: INodeNo,
        fh_in: FileHandle,
        offset_in: u64,
        _ino_out: INodeNo,
        fh_out: FileHandle,
        offset_out: u64,
        len: u64,
        _flags: CopyFileRangeFlags,
        reply: ReplyWrite,
    ) {
        let _at_work = self.crew.work();
        // The answer has 32 bits.
        let len = usize::try_from(len).unwrap_or(usize::MAX).min(1 << 30);
        let copied = self.overlay.copy_range(
            (fh_in.0, offset_in),
            (fh_out.0, offset_out),
            len,
            caller(req),
        );
        match copied {
            Ok(n) => reply.written(u32::try_from(n).unwrap_or(u32::MAX)),
            Err(e) => reply.error(errno(e)),
        }
    }
}
