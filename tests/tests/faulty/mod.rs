//! A directory shown once more, where some things answer `EIO`: a server with a bad disk.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a panic here is a failed test"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use anyhow::Result;
use fuser::{
    Config, Errno, FileAttr, FileHandle, FileType, Filesystem, Generation, INodeNo, LockOwner,
    MountOption, OpenFlags, ReplyAttr, ReplyData, ReplyDirectory, ReplyEntry, Request, Session,
};

/// What is broken.
#[derive(Debug, Default)]
pub struct Broken {
    /// Names, below the top, that cannot be asked about.
    pub names: BTreeSet<&'static str>,
    /// Files that can be read up to [`GOOD`] only.
    pub ends: BTreeSet<&'static str>,
    /// Links whose target cannot be read.
    pub links: BTreeSet<&'static str>,
}

/// How much of a file with a broken end can be read.
pub const GOOD: usize = 64 * 1024;

/// The mount. It ends when this is dropped and nobody else holds it.
pub struct Faulty {
    at: PathBuf,
    broken: Arc<Mutex<Broken>>,
}

impl Faulty {
    /// Shows `from` at `at`, nothing of it broken yet.
    pub fn mount(from: &Path, at: &Path) -> Result<Self> {
        fs::create_dir_all(at)?;
        let broken = Arc::<Mutex<Broken>>::default();
        let mirror = Mirror {
            top: from.to_owned(),
            paths: Mutex::new(vec![PathBuf::new()]),
            broken: Arc::clone(&broken),
        };
        let mut config = Config::default();
        config.mount_options = vec![MountOption::RO, MountOption::FSName("faulty".into())];
        let session = Session::new(mirror, at, &config)?;
        std::thread::spawn(move || session.spawn().and_then(fuser::BackgroundSession::join));
        Ok(Self {
            at: at.to_owned(),
            broken,
        })
    }

    /// Breaks things, or mends them.
    pub fn set(&self, broken: Broken) {
        *self.broken.lock().unwrap() = broken;
    }
}

impl Drop for Faulty {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.at, rustix::mount::UnmountFlags::DETACH);
    }
}

struct Mirror {
    top: PathBuf,
    /// By inode number, from 1.
    paths: Mutex<Vec<PathBuf>>,
    broken: Arc<Mutex<Broken>>,
}

impl Mirror {
    fn path(&self, ino: INodeNo) -> PathBuf {
        let at = usize::try_from(ino.0 - 1).unwrap();
        self.paths.lock().unwrap()[at].clone()
    }

    fn number(&self, path: &Path) -> u64 {
        let mut paths = self.paths.lock().unwrap();
        let at = paths.iter().position(|known| known == path);
        let at = at.unwrap_or_else(|| {
            paths.push(path.to_owned());
            paths.len() - 1
        });
        at as u64 + 1
    }

    fn is_broken(&self, path: &Path, which: fn(&Broken) -> &BTreeSet<&'static str>) -> bool {
        path.to_str()
            .is_some_and(|path| which(&self.broken.lock().unwrap()).contains(path))
    }

    fn attr(&self, path: &Path) -> Result<FileAttr, Errno> {
        if self.is_broken(path, |broken| &broken.names) {
            return Err(Errno::EIO);
        }
        let found = fs::symlink_metadata(self.top.join(path)).map_err(errno)?;
        let time = UNIX_EPOCH + Duration::from_secs(found.mtime().unsigned_abs());
        Ok(FileAttr {
            ino: INodeNo(self.number(path)),
            size: found.len(),
            blocks: found.blocks(),
            atime: time,
            mtime: time,
            ctime: time,
            crtime: time,
            kind: kind(found.file_type()),
            perm: (found.permissions().mode() & 0o7777) as u16,
            nlink: 1,
            uid: found.uid(),
            gid: found.gid(),
            rdev: 0,
            blksize: 4096,
            flags: 0,
        })
    }
}

fn errno(error: io::Error) -> Errno {
    error.into()
}

fn kind(found: fs::FileType) -> FileType {
    FileType::from_std(found).unwrap_or(FileType::RegularFile)
}

impl Filesystem for Mirror {
    fn lookup(&self, _req: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.attr(&self.path(parent).join(name)) {
            Ok(attr) => reply.entry(&Duration::ZERO, &attr, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn getattr(&self, _req: &Request, ino: INodeNo, _fh: Option<FileHandle>, reply: ReplyAttr) {
        match self.attr(&self.path(ino)) {
            Ok(attr) => reply.attr(&Duration::ZERO, &attr),
            Err(error) => reply.error(error),
        }
    }

    fn readlink(&self, _req: &Request, ino: INodeNo, reply: ReplyData) {
        let path = self.path(ino);
        if self.is_broken(&path, |broken| &broken.links) {
            return reply.error(Errno::EIO);
        }
        match fs::read_link(self.top.join(path)) {
            Ok(target) => reply.data(target.as_os_str().as_encoded_bytes()),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn read(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let path = self.path(ino);
        let end = offset as usize + size as usize;
        if end > GOOD && self.is_broken(&path, |broken| &broken.ends) {
            return reply.error(Errno::EIO);
        }
        let mut data = vec![0; size as usize];
        let read = File::open(self.top.join(path)).and_then(|file| file.read_at(&mut data, offset));
        match read {
            Ok(length) => reply.data(&data[..length]),
            Err(error) => reply.error(errno(error)),
        }
    }

    fn readdir(
        &self,
        _req: &Request,
        ino: INodeNo,
        _fh: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let path = self.path(ino);
        let mut names: Vec<_> = fs::read_dir(self.top.join(&path))
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| (entry.file_name(), kind(entry.file_type().unwrap())))
            .collect();
        names.sort_by(|a, b| a.0.cmp(&b.0));
        for (at, (name, kind)) in (1..).zip(names).skip(offset as usize) {
            let number = self.number(&path.join(&name));
            if reply.add(INodeNo(number), at, kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
