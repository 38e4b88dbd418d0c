//! Mounting, and what is negotiated with the kernel.

use super::Fs;
use super::crew::Crew;
use crate::overlay::Overlay;
use fuser::{Config, InitFlags, KernelConfig, Session, SessionACL};
use rustix::fd::AsRawFd as _;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountFlags, UnmountFlags};
use serde::{Deserialize, Serialize};
use std::ffi::CString;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Settings of the mount itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MountSettings {
    /// Threads that serve requests.
    pub threads: usize,
    /// Threads that stand in for them while they wait for a server.
    pub spare: usize,
    /// Whether backing files may be handed to the kernel.
    pub passthrough: bool,
    /// How deep passthrough stacks: 1 lets kernel overlayfs use the mount as a lower layer, 2
    /// lets layers themselves be overlayfs.
    pub stack_depth: u32,
    /// Name in the mount table.
    pub source: String,
    /// Mount read-only.
    pub read_only: bool,
    /// Do not honour device nodes.
    pub nodev: bool,
    /// Do not honour set-id bits.
    pub nosuid: bool,
    /// Do not allow execution.
    pub noexec: bool,
}

impl Default for MountSettings {
    fn default() -> MountSettings {
        MountSettings {
            threads: 2,
            spare: 0,
            passthrough: true,
            stack_depth: 1,
            source: "statelitefs".into(),
            read_only: false,
            nodev: false,
            nosuid: false,
            noexec: false,
        }
    }
}

/// What the kernel and we agreed on; known once the mount answers.
#[derive(Debug, Default)]
pub struct Agreed {
    /// Backing files may be handed to the kernel.
    pub passthrough: AtomicBool,
    /// Directories are listed without being opened.
    pub no_opendir: AtomicBool,
    /// The kernel leaves clearing of set-id bits to us.
    pub killpriv: AtomicBool,
}

/// Type in the mount table.
const TYPE: &str = "fuse.statelitefs";

/// Wanted where the kernel has it.
const WANTED: [InitFlags; 10] = [
    // Without it a reader that meets the cut gets zeroes that nobody wrote.
    InitFlags::FUSE_ATOMIC_O_TRUNC,
    InitFlags::FUSE_DONT_MASK,
    InitFlags::FUSE_POSIX_ACL,
    InitFlags::FUSE_AUTO_INVAL_DATA,
    InitFlags::FUSE_DO_READDIRPLUS,
    InitFlags::FUSE_READDIRPLUS_AUTO,
    InitFlags::FUSE_PARALLEL_DIROPS,
    InitFlags::FUSE_CACHE_SYMLINKS,
    InitFlags::FUSE_ASYNC_DIO,
    // Without it every small write asks for security.capability first. fuser 0.18 does not hand
    // on the kernel's request to clear set-id bits at truncate and fallocate; the overlay asks
    // /proc about the caller's capabilities there instead.
    InitFlags::FUSE_HANDLE_KILLPRIV_V2,
];

const MAX_WRITE: u32 = 1 << 20;
const MAX_BACKGROUND: u16 = 64;

/// Negotiates with the kernel.
pub fn negotiate(settings: &MountSettings, agreed: &Agreed, config: &mut KernelConfig) {
    for flag in WANTED {
        if let Err(missing) = config.add_capabilities(flag) {
            tracing::debug!("the kernel lacks {missing:?}");
        } else if flag == InitFlags::FUSE_HANDLE_KILLPRIV_V2 {
            agreed.killpriv.store(true, Ordering::Release);
        }
    }
    let _ = config.set_max_write(MAX_WRITE);
    let _ = config.set_max_background(MAX_BACKGROUND);
    if settings.passthrough
        && rustix::process::geteuid().is_root()
        && config.add_capabilities(InitFlags::FUSE_PASSTHROUGH).is_ok()
        && config.set_max_stack_depth(settings.stack_depth).is_ok()
    {
        agreed.passthrough.store(true, Ordering::Release);
    }
}

/// A mounted view, not serving yet.
#[derive(Debug)]
pub struct Mounted {
    /// Runs the mount.
    pub session: Session<Fs>,
    /// What was agreed on.
    pub agreed: Arc<Agreed>,
}

/// Mounts `overlay` at `mountpoint`.
///
/// # Errors
/// As `mount(2)`: `ENOENT`, `EPERM`, `ENODEV` without `/dev/fuse`, ...
pub fn mount(
    overlay: Arc<Overlay>,
    settings: &MountSettings,
    mountpoint: &Path,
) -> std::io::Result<Mounted> {
    let agreed = Arc::new(Agreed::default());
    let device = rustix::fs::open("/dev/fuse", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    let mut flags = MountFlags::empty();
    for (set, flag) in [
        (settings.read_only, MountFlags::RDONLY),
        (settings.nodev, MountFlags::NODEV),
        (settings.nosuid, MountFlags::NOSUID),
        (settings.noexec, MountFlags::NOEXEC),
    ] {
        flags.set(flag, set);
    }
    // fuser's own mount does not name the subtype, by which tools tell our mounts.
    let data = format!(
        "fd={},rootmode=40000,user_id=0,group_id=0,default_permissions,allow_other",
        device.as_raw_fd()
    );
    let data = CString::new(data)?;
    rustix::mount::mount(
        settings.source.as_str(),
        mountpoint,
        TYPE,
        flags,
        data.as_c_str(),
    )?;
    let mut config = Config::default();
    config.acl = SessionACL::All;
    let threads = settings.threads.max(1);
    config.n_threads = Some(threads + settings.spare);
    config.clone_fd = threads + settings.spare > 1;
    let crew = Crew::new(threads, settings.spare);
    let fs = Fs::new(overlay, settings.clone(), Arc::clone(&agreed), crew);
    match Session::from_fd(fs, device, SessionACL::All, config) {
        Ok(session) => Ok(Mounted { session, agreed }),
        Err(e) => {
            let _ = rustix::mount::unmount(mountpoint, UnmountFlags::DETACH);
            Err(e)
        }
    }
}
