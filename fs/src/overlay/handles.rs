//! Open files and directories by handle number.

use super::listing::Listing;
use super::node::Node;
use crate::sys::Result;
use parking_lot::{Mutex, RwLock};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use std::sync::Arc;

/// An open file.
#[derive(Debug)]
pub struct FileHandle {
    /// What is open.
    pub node: Arc<Node>,
    /// Opened for writing.
    pub write: bool,
    /// Opened for reading.
    pub read: bool,
    /// Opened to be executed.
    pub execute: bool,
    /// The open cut the file.
    pub truncate: bool,
    /// The kernel reads and writes the backing file itself.
    pub passthrough: bool,
    /// The lower or upper file; reopened when a copy-up moves the content.
    pub(super) file: RwLock<Content>,
}

/// What a handle reads from.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// Not opened: the kernel is expected to have every page.
    Lazy,
    /// A file of a read-only layer.
    Lower(Arc<OwnedFd>),
    /// A file of a store.
    Upper(Arc<OwnedFd>),
    /// Joined parts, as they were when the file was opened.
    Joined(Arc<[u8]>),
}

/// An open directory.
#[derive(Debug)]
pub struct DirHandle {
    /// What is open.
    pub node: Arc<Node>,
    /// The listing being read, made at the first read and after a rewind.
    pub(super) listing: Mutex<Option<Arc<Listing>>>,
}

/// Either kind.
#[derive(Clone, Debug)]
enum Handle {
    File(Arc<FileHandle>),
    Dir(Arc<DirHandle>),
}

/// Handles by number; numbers are reused.
#[derive(Debug, Default)]
pub struct Handles {
    slots: RwLock<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    used: Vec<Option<Handle>>,
    free: Vec<usize>,
}

impl Handles {
    fn insert(&self, handle: Handle) -> u64 {
        let mut slots = self.slots.write();
        let index = match slots.free.pop() {
            Some(index) => index,
            None => {
                slots.used.push(None);
                slots.used.len() - 1
            }
        };
        if let Some(slot) = slots.used.get_mut(index) {
            *slot = Some(handle);
        }
        // 0 is what the kernel sends when it has no handle.
        index as u64 + 1
    }

    fn get(&self, number: u64) -> Result<Handle> {
        let index = number.checked_sub(1).ok_or(Errno::BADF)? as usize;
        let slots = self.slots.read();
        slots.used.get(index).cloned().flatten().ok_or(Errno::BADF)
    }

    /// Enters an open file.
    pub fn insert_file(&self, handle: FileHandle) -> u64 {
        self.insert(Handle::File(Arc::new(handle)))
    }

    /// Enters an open directory.
    pub fn insert_dir(&self, handle: DirHandle) -> u64 {
        self.insert(Handle::Dir(Arc::new(handle)))
    }

    /// The open file with that number.
    ///
    /// # Errors
    /// `EBADF` if there is none.
    pub fn file(&self, number: u64) -> Result<Arc<FileHandle>> {
        match self.get(number)? {
            Handle::File(file) => Ok(file),
            Handle::Dir(_) => Err(Errno::BADF),
        }
    }

    /// The open directory with that number.
    ///
    /// # Errors
    /// `EBADF` if there is none.
    pub fn dir(&self, number: u64) -> Result<Arc<DirHandle>> {
        match self.get(number)? {
            Handle::Dir(dir) => Ok(dir),
            Handle::File(_) => Err(Errno::BADF),
        }
    }

    /// Closes a handle and returns the file if it was one.
    pub fn remove(&self, number: u64) -> Option<Arc<FileHandle>> {
        let index = number.checked_sub(1)? as usize;
        let mut slots = self.slots.write();
        let handle = slots.used.get_mut(index)?.take()?;
        slots.free.push(index);
        match handle {
            Handle::File(file) => Some(file),
            Handle::Dir(_) => None,
        }
    }

    /// Number of open handles.
    pub fn len(&self) -> usize {
        let slots = self.slots.read();
        slots.used.len() - slots.free.len()
    }

    /// Whether nothing is open.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
