//! Opening files.

use super::convert::{attr, errno};
use super::{Fs, GENERATION};
use crate::overlay::create::Owner;
use crate::overlay::opens::{How, OpenMode, Passthrough, Token};
use crate::sys::caller::Caller;
use fuser::{
    BackingId, Errno, FileHandle, FopenFlags, INodeNo, OpenAccMode, OpenFlags, ReplyCreate,
    ReplyOpen,
};
use rustix::fd::BorrowedFd;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::Arc;

/// Registers backing files through the reply at hand.
struct Register<'a, R>(&'a R);

impl Passthrough for Register<'_, ReplyOpen> {
    fn register(&self, fd: BorrowedFd<'_>) -> Option<Token> {
        token(self.0.open_backing(fd))
    }
}

impl Passthrough for Register<'_, ReplyCreate> {
    fn register(&self, fd: BorrowedFd<'_>) -> Option<Token> {
        token(self.0.open_backing(fd))
    }
}

fn token(opened: std::io::Result<BackingId>) -> Option<Token> {
    match opened {
        Ok(id) => Some(Arc::new(id)),
        Err(e) => {
            tracing::debug!("no passthrough: {e}");
            None
        }
    }
}

fn open_flags(keep: bool, flush: bool) -> FopenFlags {
    let mut flags = FopenFlags::empty();
    if keep {
        flags |= FopenFlags::FOPEN_KEEP_CACHE;
    }
    if !flush {
        flags |= FopenFlags::FOPEN_NOFLUSH;
    }
    flags
}

/// The kernel's mark of an open for `execve(2)`.
const FMODE_EXEC: i32 = 0x20;

fn mode_of(flags: i32) -> OpenMode {
    let access = OpenFlags(flags).acc_mode();
    OpenMode {
        read: access != OpenAccMode::O_WRONLY,
        write: access != OpenAccMode::O_RDONLY,
        truncate: flags & libc::O_TRUNC != 0,
        execute: flags & FMODE_EXEC != 0,
    }
}

impl Fs {
    /// Opens a file.
    pub(super) fn answer_open(
        &self,
        caller: Caller,
        ino: INodeNo,
        flags: OpenFlags,
        reply: ReplyOpen,
    ) {
        let register = Register(&reply);
        let kernel = self.passthrough().then_some(&register as &dyn Passthrough);
        match self.overlay.open(ino.0, mode_of(flags.0), caller, kernel) {
            Ok(opened) => {
                let fh = FileHandle(opened.fh);
                match &opened.how {
                    How::Cached { keep } => reply.opened(fh, open_flags(*keep, opened.flush)),
                    How::Passthrough(token) => match token.downcast_ref::<BackingId>() {
                        Some(id) => {
                            reply.opened_passthrough(fh, open_flags(false, opened.flush), id);
                        }
                        None => reply.error(Errno::EIO),
                    },
                }
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    /// Makes and opens a file.
    pub(super) fn answer_create(
        &self,
        parent: INodeNo,
        name: &OsStr,
        owner: Owner,
        flags: i32,
        reply: ReplyCreate,
    ) {
        let register = Register(&reply);
        let kernel = self.passthrough().then_some(&register as &dyn Passthrough);
        let created = self
            .overlay
            .create(parent.0, name.as_bytes(), owner, mode_of(flags), kernel);
        match created {
            Ok((entry, opened)) => {
                let fh = FileHandle(opened.fh);
                let attr = attr(&entry);
                match &opened.how {
                    How::Cached { keep } => {
                        let flags = open_flags(*keep, opened.flush);
                        reply.created(&entry.ttl, &attr, GENERATION, fh, flags);
                    }
                    How::Passthrough(token) => match token.downcast_ref::<BackingId>() {
                        Some(id) => {
                            let flags = open_flags(false, opened.flush);
                            reply.created_passthrough(&entry.ttl, &attr, GENERATION, fh, flags, id);
                        }
                        None => reply.error(Errno::EIO),
                    },
                }
            }
            // It has appeared behind a name cached as absent: the kernel looks again and opens it.
            Err(rustix::io::Errno::EXIST) if flags & libc::O_EXCL == 0 => {
                reply.error(Errno::ESTALE);
            }
            Err(e) => reply.error(errno(e)),
        }
    }
}
