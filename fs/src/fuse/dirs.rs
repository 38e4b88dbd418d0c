//! Listing directories.

use super::convert::{attr, errno, kind};
use super::{Fs, GENERATION, NOTHING};
use crate::overlay::ident;
use crate::overlay::listing::Entry as Name;
use crate::overlay::lower::is_absent;
use fuser::{
    Errno, FileHandle, FileType, FopenFlags, INodeNo, ReplyDirectory, ReplyDirectoryPlus, ReplyOpen,
};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

const DOT: u64 = 1;
const DOTDOT: u64 = 2;

impl Fs {
    /// Opens a directory, unless the kernel can do without.
    pub(super) fn answer_opendir(&self, ino: INodeNo, reply: ReplyOpen) {
        if self.agreed.no_opendir.load(Ordering::Acquire) {
            // From now on the kernel lists directories without opening them.
            return reply.error(Errno::ENOSYS);
        }
        match self.overlay.opendir(ino.0) {
            Ok(fh) => {
                let mut flags = FopenFlags::empty();
                if self.overlay.may_cache_listing(ino.0) {
                    flags |= FopenFlags::FOPEN_CACHE_DIR | FopenFlags::FOPEN_KEEP_CACHE;
                }
                reply.opened(FileHandle(fh), flags);
            }
            Err(e) => reply.error(errno(e)),
        }
    }

    /// Names only.
    pub(super) fn answer_readdir(
        &self,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let (node, listing) = match self.overlay.listing(ino.0, fh.0, offset) {
            Ok(found) => found,
            Err(e) => return reply.error(errno(e)),
        };
        let parent = self.overlay.parent_ino(&node);
        if offset < DOT && reply.add(ino, DOT, FileType::Directory, ".")
            || offset < DOTDOT && reply.add(INodeNo(parent), DOTDOT, FileType::Directory, "..")
        {
            return reply.ok();
        }
        for Name {
            cookie,
            name,
            kind: k,
            ino,
        } in listing.after(offset)
        {
            if reply.add(INodeNo(*ino), *cookie, kind(*k), OsStr::from_bytes(name)) {
                break;
            }
        }
        reply.ok();
    }

    /// Names with what a lookup of each would say.
    pub(super) fn answer_readdirplus(
        &self,
        ino: INodeNo,
        fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectoryPlus,
    ) {
        let (node, listing) = match self.overlay.listing(ino.0, fh.0, offset) {
            Ok(found) => found,
            Err(e) => return reply.error(errno(e)),
        };
        // The kernel takes nothing but number and type from these two.
        let mut dots = NOTHING;
        dots.kind = FileType::Directory;
        for (cookie, name, number) in [
            (DOT, ".", ino.0),
            (DOTDOT, "..", self.overlay.parent_ino(&node)),
        ] {
            dots.ino = INodeNo(number);
            if offset < cookie
                && reply.add(dots.ino, cookie, name, &Duration::ZERO, &dots, GENERATION)
            {
                return reply.ok();
            }
        }
        for Name {
            cookie,
            name,
            kind: k,
            ..
        } in listing.after(offset)
        {
            let text = OsStr::from_bytes(name);
            match self.overlay.lookup_listed(&node, name) {
                // Gone since the listing was made.
                Err(e) if is_absent(e) => tracing::debug!("{text:?} is left out of a listing"),
                // A name that has to do, or one that is out of reach: a listing without it would be believed.
                Ok(None) | Err(_) => {
                    // The kernel makes no node for a name with the root's number; and so does not wait for one who is
                    // looking this name up. It forgets that number once, which the root does not mind.
                    let mut alone = NOTHING;
                    (alone.ino, alone.kind) = (INodeNo(ident::ROOT), kind(*k));
                    if reply.add(
                        alone.ino,
                        *cookie,
                        text,
                        &Duration::ZERO,
                        &alone,
                        GENERATION,
                    ) {
                        break;
                    }
                }
                Ok(Some(entry)) => {
                    let full = reply.add(
                        INodeNo(entry.node.ino),
                        *cookie,
                        text,
                        &entry.ttl,
                        &attr(&entry),
                        GENERATION,
                    );
                    if full {
                        self.overlay.forget(entry.node.ino, 1);
                        break;
                    }
                }
            }
        }
        reply.ok();
    }
}
