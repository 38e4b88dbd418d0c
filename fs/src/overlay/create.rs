//! New names: files, directories, symlinks, devices, fifos and sockets.
//!
//! A name is made in the store of the region that answers for it. If the store has a whiteout
//! there, the new object is prepared in the work directory and renamed over it. New directories in
//! a union that hide something below are opaque.

use super::attr::Entry;
use super::find::{Found, NAME_MAX, continues};
use super::layer::join;
use super::node::{Body, DirBody, Inherits, Node, Presence};
use super::opens::{OpenMode, Opened, Passthrough};
use super::region::Region;
use super::store::{self, Store};
use super::view::{Place, View};
use super::{Overlay, ident, lower};
use crate::sys::caller::Caller;
use crate::sys::stat::{Stat, stat_at};
use crate::sys::{Result, change, lease, xattr};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use std::sync::Arc;

/// What is to be made.
#[derive(Clone, Copy, Debug)]
pub enum Make<'a> {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symlink to this target.
    Symlink(&'a [u8]),
    /// A device (with its number), fifo or socket.
    Node(FileType, u64),
}

/// How a new object is owned and protected.
#[derive(Clone, Copy, Debug)]
pub struct Owner {
    /// Who asks; the object becomes theirs.
    pub caller: Caller,
    /// Permission bits asked for.
    pub mode: u32,
    /// Bits the caller does not want, unless the directory has a default ACL.
    pub umask: u32,
}

impl Overlay {
    /// Makes a new object under `name` in directory `parent`.
    ///
    /// # Errors
    /// `EEXIST`; `EROFS` where no rule allows changes; those of the store.
    pub fn make(&self, parent: u64, name: &[u8], what: Make<'_>, owner: Owner) -> Result<Entry> {
        let view = self.view();
        let parent = self.node(parent)?;
        let (found, _) = self.make_object(&view, &parent, name, what, owner)?;
        let stat = found.stat;
        let node = self.intern(&parent, name, found);
        self.entry(node, &stat)
    }

    /// Makes and opens a regular file.
    ///
    /// # Errors
    /// As [`Overlay::make`]; without `O_EXCL` an existing file is opened instead.
    pub fn create(
        &self,
        parent: u64,
        name: &[u8],
        owner: Owner,
        mode: OpenMode,
        kernel: Option<&dyn Passthrough>,
    ) -> Result<(Entry, Opened)> {
        let view = self.view();
        let parent = self.node(parent)?;
        let (found, fd) = self.make_object(&view, &parent, name, Make::File, owner)?;
        let stat = found.stat;
        let region = Arc::clone(&found.place.region);
        let inherits_acl = parent.dir_body().inherits.is_none_or(|i| i.acl);
        let node = self.intern(&parent, name, found);
        node.state.write().plain = !inherits_acl;
        let fd = fd.ok_or(Errno::IO)?;
        let opened = self.open_created(&node, &region, mode, (fd, stat), kernel);
        Ok((self.entry(node, &stat)?, opened))
    }

    fn make_object(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
        what: Make<'_>,
        owner: Owner,
    ) -> Result<(Found, Option<OwnedFd>)> {
        if name.len() > NAME_MAX {
            return Err(Errno::NAMETOOLONG);
        }
        if super::upper::is_work_dir(parent, name) {
            return Err(Errno::PERM);
        }
        let place = self.child_place(view, parent, name)?;
        let region = Arc::clone(&place.region);
        let root = place.is_rule_root(view);
        let store = region.store.as_ref().ok_or(Errno::ROFS)?;
        if parent.is_dead() {
            return Err(Errno::NOENT);
        }
        let dir = self.make_store_dir(view, parent, store)?;
        let below = region.copies_up() && self.shows_below(parent, &region, name, root)?;
        let owner = self.effective(parent, &dir, owner)?;
        let _names = store.names.read_recursive();
        // What shows from below is in the way unless a whiteout hides it.
        let made = match below {
            true => Err(Errno::EXIST),
            false if looks_like_whiteout(what) && region.copies_up() => {
                self.make_marked_device(store, &dir, name, what, owner)
            }
            false => make_in(dir.as_fd(), name, what, owner),
        };
        let fd = match made {
            Err(Errno::EXIST) => match stat_at(&*dir, name) {
                Ok(st) if store.is_whiteout(&*dir, name, &st) => {
                    self.make_over_whiteout(store, &dir, name, what, owner)?
                }
                _ => return Err(Errno::EXIST),
            },
            other => other?,
        };
        let stat = stat_at(&*dir, name)?;
        let identity = store.layer.identity(&stat);
        let body = match what {
            Make::Dir => super::find::opaque_dir(),
            _ => Body::Upper { indexed: false },
        };
        Ok((
            Found {
                identity,
                stat,
                body,
                place,
            },
            fd,
        ))
    }

    /// Whether a lower layer shows `name` in `parent` (were it not for a whiteout).
    pub(super) fn shows_below(
        &self,
        parent: &Arc<Node>,
        region: &Region,
        name: &[u8],
        root: bool,
    ) -> Result<bool> {
        if !region.copies_up() {
            return Ok(false);
        }
        if root && !continues(parent, region) {
            let path = parent.path().ok_or(Errno::NOENT)?;
            let dirs: Vec<_> = region
                .lowers()
                .iter()
                .map(|layer| super::layer::LayerDir::transient(layer, &path))
                .collect();
            return lower::exists_below(&self.fds, &dirs, name);
        }
        lower::exists_below(&self.fds, &parent.dir_body().lowers, name)
    }

    fn make_over_whiteout(
        &self,
        store: &Store,
        dir: &OwnedFd,
        name: &[u8],
        what: Make<'_>,
        owner: Owner,
    ) -> Result<Option<OwnedFd>> {
        aside(store, dir, owner, |work| {
            let fd = make_in(work, ASIDE, what, owner)?;
            if looks_like_whiteout(what) {
                xattr::set(work, ASIDE, store::XATTR_DEVICE, b"y", 0)?;
            }
            if matches!(what, Make::Dir) {
                xattr::set(work, ASIDE, store::XATTR_OPAQUE, b"y", 0)?;
                // A directory cannot replace a whiteout in one step other than by exchange.
                exchange(work, ASIDE, dir.as_fd(), name)?;
            } else {
                rustix::fs::renameat(work, ASIDE, dir, name)?;
            }
            Ok(fd)
        })
    }

    /// A device with the number of a whiteout is marked before it is seen.
    fn make_marked_device(
        &self,
        store: &Store,
        dir: &OwnedFd,
        name: &[u8],
        what: Make<'_>,
        owner: Owner,
    ) -> Result<Option<OwnedFd>> {
        aside(store, dir, owner, |work| {
            make_in(work, ASIDE, what, owner)?;
            xattr::set(work, ASIDE, store::XATTR_DEVICE, b"y", 0)?;
            let flags = rustix::fs::RenameFlags::NOREPLACE;
            rustix::fs::renameat_with(work, ASIDE, dir, name, flags)?;
            Ok(None)
        })
    }

    /// Owner and mode as the directory makes them: setgid directories hand on their group, a
    /// default ACL replaces the umask.
    fn effective(&self, parent: &Arc<Node>, dir: &OwnedFd, owner: Owner) -> Result<Owner> {
        let mut owner = owner;
        let known = match &parent.state.read().body {
            Body::Dir(body) => body.inherits,
            _ => None,
        };
        let inherits = match known {
            Some(inherits) => inherits,
            None => {
                let st = stat_at(dir, b"")?;
                let inherits = Inherits {
                    group: (st.perm & 0o2000 != 0).then_some(st.gid),
                    acl: match xattr::get(dir, b"", b"system.posix_acl_default") {
                        Ok(_) => true,
                        Err(e @ Errno::IO) => return Err(e),
                        Err(_) => false,
                    },
                };
                parent.with_dir(|body| body.inherits = Some(inherits));
                inherits
            }
        };
        if let Some(group) = inherits.group {
            owner.caller.gid = group;
            // Directories made in it are setgid too.
            owner.mode |= INHERIT_SETGID;
        }
        if inherits.acl {
            owner.umask = 0;
            owner.mode |= INHERIT_ACL;
        }
        Ok(owner)
    }

    /// A listed path that is nowhere is made, empty, in its store.
    pub(super) fn create_listed(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
        place: &Place,
    ) -> Result<Option<Found>> {
        let region = &place.region;
        let Some(rule) = &region.rule else {
            return Ok(None);
        };
        if rule.path == "/etc/mtab" {
            let mut stat = self.synthetic(FileType::Symlink, 0o777);
            stat.size = MTAB.len() as u64;
            return Ok(Some(Found {
                identity: ident::of_path(&region.path),
                stat,
                body: Body::Symlink(MTAB),
                place: place.clone(),
            }));
        }
        let what = if rule.directory {
            Make::Dir
        } else {
            Make::File
        };
        let Some(store) = &region.store else {
            return Ok(Some(self.synthetic_entry(what, &region.path, place)));
        };
        let dir = self.make_store_dir(view, parent, store)?;
        make_listed(region, dir.as_fd(), name, what)?;
        let stat = stat_at(&*dir, name)?;
        let body = match what {
            Make::Dir => Body::Dir(DirBody {
                upper: Presence::Present,
                ..DirBody::default()
            }),
            _ => Body::Upper { indexed: false },
        };
        Ok(Some(Found {
            identity: store.layer.identity(&stat),
            stat,
            body,
            place: place.clone(),
        }))
    }

    /// A directory that exists only because a listed path lies below it.
    pub(super) fn show_parent(
        &self,
        view: &View,
        parent: &Arc<Node>,
        name: &[u8],
        place: &Place,
    ) -> Result<Option<Found>> {
        let region = &place.region;
        if let Some(store) = &region.store {
            let dir = self.make_store_dir(view, parent, store)?;
            make_listed(region, dir.as_fd(), name, Make::Dir)?;
            return self.find_at(view, parent, name, place.clone());
        }
        let path = join(&parent.path().ok_or(Errno::NOENT)?, name);
        Ok(Some(self.synthetic_entry(Make::Dir, &path, place)))
    }

    fn synthetic_entry(&self, what: Make<'_>, path: &[u8], place: &Place) -> Found {
        let (stat, body) = match what {
            Make::Dir => (
                self.synthetic(FileType::Directory, 0o755),
                Body::Dir(DirBody {
                    upper: Presence::Absent,
                    ..DirBody::default()
                }),
            ),
            _ => (
                self.synthetic(FileType::RegularFile, 0o644),
                Body::Concat {
                    parts: Arc::new([]),
                    name: Box::default(),
                },
            ),
        };
        let path = path.strip_prefix(b"/").unwrap_or(path);
        Found {
            identity: ident::of_path(path),
            stat,
            body,
            place: place.clone(),
        }
    }
}

/// Where `/etc/mtab` points when the image has none.
pub const MTAB: &str = "/proc/self/mounts";

fn looks_like_whiteout(what: Make<'_>) -> bool {
    matches!(what, Make::Node(FileType::CharacterDevice, 0))
}

/// Internal mode bit: a directory made here is setgid.
const INHERIT_SETGID: u32 = 1 << 20;

/// Internal mode bit: the directory has a default ACL.
const INHERIT_ACL: u32 = 1 << 21;

/// Name of an object being prepared aside.
const ASIDE: &[u8] = b"object";

/// Calls `f` with a fresh directory beside the data, which hands on the default ACL of `dir` as
/// `dir` itself would. The directory is removed with what is left in it.
fn aside<R>(
    store: &Store,
    dir: &OwnedFd,
    owner: Owner,
    f: impl FnOnce(BorrowedFd<'_>) -> Result<R>,
) -> Result<R> {
    const ACL: &[u8] = b"system.posix_acl_default";
    let tmp = store.tmp_name();
    rustix::fs::mkdirat(store.work(), tmp.as_slice(), Mode::from_raw_mode(0o700))?;
    let made = (|| {
        if owner.mode & INHERIT_ACL != 0 {
            xattr::set(store.work(), &tmp, ACL, &xattr::get(dir, b"", ACL)?, 0)?;
        }
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let work = rustix::fs::openat(store.work(), tmp.as_slice(), flags, Mode::empty())?;
        f(work.as_fd())
    })();
    store.discard(&tmp);
    made
}

/// Makes a listed path, or what leads to it. In a union's store it is marked: it is not the node's own.
fn make_listed(region: &Region, dir: BorrowedFd<'_>, name: &[u8], what: Make<'_>) -> Result<()> {
    let made = match what {
        Make::Dir => change::mkdir(dir, name, Mode::from_raw_mode(0o755)),
        _ => change::create(dir, name, OFlags::WRONLY, Mode::from_raw_mode(0o644)).map(drop),
    };
    match made {
        Ok(()) if region.copies_up() => xattr::set(dir, name, store::XATTR_LISTED, b"y", 0),
        Err(Errno::EXIST) => Ok(()),
        other => other,
    }
}

/// Makes `what` in a store directory. A half-made object is removed.
fn make_in(
    dir: BorrowedFd<'_>,
    name: &[u8],
    what: Make<'_>,
    owner: Owner,
) -> Result<Option<OwnedFd>> {
    let bits = owner.mode & 0o7777 & !owner.umask;
    let plain = Mode::from_raw_mode(bits & 0o777);
    let fd = match what {
        Make::File => Some(change::create(dir, name, OFlags::RDWR, plain)?),
        Make::Dir => {
            change::mkdir(dir, name, plain)?;
            None
        }
        Make::Symlink(target) => {
            change::symlink(target, dir, name)?;
            None
        }
        Make::Node(kind, rdev) => {
            change::mknod(dir, name, kind, plain, rdev)?;
            None
        }
    };
    if let Err(e) = finish(dir, name, what, owner, bits) {
        let flags = match what {
            Make::Dir => AtFlags::REMOVEDIR,
            _ => AtFlags::empty(),
        };
        let _ = change::unlink(dir, name, flags);
        return Err(e);
    }
    Ok(fd)
}

/// Sets owner and special bits. The mode as the store made it (with a default ACL applied) stays.
fn finish(dir: BorrowedFd<'_>, name: &[u8], what: Make<'_>, owner: Owner, bits: u32) -> Result<()> {
    let (uid, gid) = (owner.caller.uid, owner.caller.gid);
    let inherited = owner.mode & INHERIT_SETGID != 0;
    if uid != 0 || gid != 0 || inherited {
        let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
        lease::kept(dir, || {
            rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        })?;
    }
    let mut special = bits & 0o7000;
    if matches!(what, Make::Dir) && inherited {
        special |= 0o2000;
    }
    if !matches!(what, Make::Symlink(_)) && (special != 0 || inherited && matches!(what, Make::Dir))
    {
        let now: Stat = stat_at(dir, name)?;
        let mode = (u32::from(now.perm) & 0o777) | special;
        let mode = Mode::from_raw_mode(mode);
        lease::kept(dir, || {
            rustix::fs::chmodat(dir, name, mode, AtFlags::empty())
        })?;
    }
    Ok(())
}

/// Exchanges two names of one file system.
pub(super) fn exchange(a: impl AsFd, a_name: &[u8], b: impl AsFd, b_name: &[u8]) -> Result<()> {
    rustix::fs::renameat_with(a, a_name, b, b_name, rustix::fs::RenameFlags::EXCHANGE)
}

/// Puts a whiteout at a free name of a store directory.
pub(super) fn make_whiteout(dir: impl AsFd, name: &[u8]) -> Result<()> {
    rustix::fs::mknodat(dir, name, FileType::CharacterDevice, Mode::empty(), 0)
}

/// Whether the error is the absence of the thing.
pub(super) fn absent(e: Errno) -> bool {
    lower::is_absent(e)
}
