//! The daemon's own mount table and root: a tmpfs that nobody else sees.
//!
//! What is mounted there shows in no other table, so there is nothing for the node's init to
//! unmount; and the daemon never resolves a path through the tree that it serves. It does not
//! lie on a directory of the initramfs either: what is mounted on such a directory, in whatever
//! table, is unmounted when `switch_root` removes it.

use crate::sys::{mountfd, namespace};
use anyhow::Context as _;
use rustix::fd::OwnedFd;
use rustix::fs::{CWD, FileType, Mode};
use rustix::mount::{MountFlags, MoveMountFlags, UnmountFlags};

/// Memory that the small files in the private root may take.
const SIZE: &str = "16m";

/// The directories of the private root.
pub mod at {
    /// The image.
    pub const IMAGE: &str = "/image";
    /// The volatile store's file system.
    pub const VOLATILE: &str = "/volatile";
    /// What shows at `/.statelite`, below its name.
    pub const VIEWS: &str = "/views";
    /// Tables, lines, log, and where stores and trees are mounted.
    pub const STATELITE: &str = "/views/.statelite";
    /// Where trees are mounted.
    pub const MNT: &str = "/views/.statelite/mnt";
    /// Where the persistent store is mounted.
    pub const PERSISTENT: &str = "/views/.statelite/persistent";
    /// File capabilities of the image.
    pub const CAPABILITIES: &str = "/capabilities";
    /// Tables of a node that asks no server.
    pub const TABLES: &str = "/tables";
}

/// Takes a mount table of its own; gives back the one left behind.
///
/// # Errors
/// Without `CAP_SYS_ADMIN` or `/proc`.
pub fn separate() -> anyhow::Result<OwnedFd> {
    let outside = namespace::current().context("/proc must be mounted")?;
    namespace::own().context("no mount table of its own")?;
    Ok(outside)
}

/// Enters the private root. `keep` leaves the initramfs's mounts in reach of what has them open.
///
/// # Errors
/// As mounting a tmpfs.
pub fn enter(keep: bool) -> anyhow::Result<()> {
    let table = std::fs::read_to_string("/proc/self/mountinfo").context("mountinfo")?;
    let root = mountfd::tmpfs(Some(SIZE)).context("private tmpfs")?;
    if !keep {
        for place in places(&table).into_iter().rev().filter(|p| p != "/") {
            // Only this table's copy.
            let _ = rustix::mount::unmount(&place, UnmountFlags::DETACH);
        }
    }
    rustix::mount::move_mount(&root, "", CWD, "/", MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
        .context("private root")?;
    rustix::process::fchdir(&root)?;
    rustix::process::chroot(".")?;
    rustix::process::chdir("/")?;
    for dir in [at::IMAGE, at::VOLATILE, at::MNT, "/proc", "/dev"] {
        std::fs::create_dir_all(dir).with_context(|| dir.to_owned())?;
    }
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    rustix::mount::mount("proc", "/proc", "proc", flags, c"").context("/proc")?;
    // Each serving thread opens it for a channel of its own.
    let (kind, mode) = (FileType::CharacterDevice, Mode::from_raw_mode(0o600));
    rustix::fs::mknodat(CWD, "/dev/fuse", kind, mode, rustix::fs::makedev(10, 229))
        .context("/dev/fuse")
}

/// Mount points in the text of mountinfo.
fn places(table: &str) -> Vec<String> {
    table
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(crate::control::client::unescape)
        .collect()
}
