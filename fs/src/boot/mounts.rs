//! Mounting image, trees and stores, by system calls alone.

use super::net::resolve::Resolver;
use super::nfs::Options;
use super::probe;
use anyhow::{Context as _, bail};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MoveMountFlags, UnmountFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, mount_bind, move_mount,
};
use statelite_policy::Source;
use std::net::IpAddr;
use std::path::Path;

/// What mounting needs.
#[derive(Debug)]
pub struct Mounter {
    resolver: Resolver,
    /// `/sys/class/bdi`, for read-ahead.
    bdi: Option<OwnedFd>,
    /// The initramfs's root, in which sources without a server are.
    root: OwnedFd,
}

impl Mounter {
    /// For the process as it is now: later its root and `/sys` are others.
    ///
    /// # Errors
    /// As opening `/`.
    pub fn new(resolver: Resolver) -> anyhow::Result<Mounter> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let open = |path: &str| rustix::fs::open(path, flags, Mode::empty());
        Ok(Mounter {
            resolver,
            bdi: open("/sys/class/bdi").ok(),
            root: open("/").context("/")?,
        })
    }

    /// Addresses of a server.
    ///
    /// # Errors
    /// As [`Resolver::lookup`].
    pub fn lookup(&self, server: &str) -> anyhow::Result<Vec<IpAddr>> {
        self.resolver.lookup(server)
    }

    /// Mounts `source` at `target`, which is made.
    ///
    /// # Errors
    /// What the server or the kernel said, with what to do where that is known.
    pub fn mount(&self, source: &Source, options: &Options, target: &Path) -> anyhow::Result<()> {
        std::fs::create_dir_all(target).with_context(|| target.display().to_string())?;
        let Some(server) = &source.server else {
            return self.bind(&source.path, target);
        };
        let addresses = self.lookup(server)?;
        let mut errors: Vec<String> = Vec::new();
        let mut alive = addresses.clone();
        for version in options.versions() {
            for address in &addresses {
                if !alive.contains(address) {
                    continue;
                }
                let fs = match prepare(source, options, &version, *address) {
                    Ok(fs) => fs,
                    Err(e) if e.is::<Refused>() => return Err(e),
                    Err(e) => {
                        errors.push(format!("NFS {version} from {address}: {e:#}"));
                        continue;
                    }
                };
                // The kernel would wait for minutes.
                if let Err(e) = probe::answers(options, &version, *address) {
                    errors.push(format!("NFS {version} from {address}: {e}"));
                    // It would be so for every version.
                    alive.retain(|one| one != address || !e.of_host());
                    continue;
                }
                let result = create(&fs, options).and_then(|mount| {
                    move_mount(
                        &mount,
                        "",
                        CWD,
                        target,
                        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
                    )
                    .with_context(|| target.display().to_string())
                });
                match result {
                    Ok(()) => {
                        tracing::info!("{source} is mounted with NFS {version}");
                        self.read_ahead(options, target);
                        return Ok(());
                    }
                    Err(e) => errors.push(format!("NFS {version} from {address}: {e:#}")),
                }
            }
        }
        bail!("{source}: {}", errors.join("; "))
    }

    fn bind(&self, path: &str, target: &Path) -> anyhow::Result<()> {
        let from = rustix::fs::openat(
            &self.root,
            path.trim_start_matches('/'),
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .with_context(|| format!("{path} in the initramfs"))?;
        let link = format!("/proc/self/fd/{}", rustix::fd::AsRawFd::as_raw_fd(&from));
        mount_bind(&link, target).with_context(|| path.to_owned())
    }

    fn read_ahead(&self, options: &Options, target: &Path) {
        let (Some(kib), Some(bdi)) = (options.readahead, &self.bdi) else {
            return;
        };
        let set = || -> anyhow::Result<()> {
            let dir = rustix::fs::open(target, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
            let (major, minor) = crate::sys::stat::stat_fd(&dir)?.dev;
            let file = format!("{major}:{minor}/read_ahead_kb");
            let file =
                rustix::fs::openat(bdi, file, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
            rustix::io::write(&file, kib.to_string().as_bytes())?;
            Ok(())
        };
        if let Err(e) = set() {
            tracing::warn!("read-ahead of {} cannot be set: {e}", target.display());
        }
    }
}

/// All that the kernel has to know of an NFS mount; no server is asked yet.
fn prepare(
    source: &Source,
    options: &Options,
    version: &str,
    address: IpAddr,
) -> anyhow::Result<OwnedFd> {
    let kind = if version.starts_with('4') {
        "nfs4"
    } else {
        "nfs"
    };
    let fs = match fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC) {
        Err(Errno::NODEV) => bail!("the kernel has no {kind} (is the module in the initramfs?)"),
        other => other.context("fsopen")?,
    };
    let place = Source {
        mntopts: None,
        ..source.clone()
    };
    fsconfig_set_string(&fs, "source", place.to_string())?;
    set_options(&fs, options, version, address)?;
    Ok(fs)
}

/// The mount, which is mounted nowhere yet.
fn create(fs: &OwnedFd, options: &Options) -> anyhow::Result<OwnedFd> {
    fsconfig_create(fs).map_err(|e| said(fs, e))?;
    Ok(fsmount(
        fs,
        FsMountFlags::FSMOUNT_CLOEXEC,
        options.attributes(),
    )?)
}

/// Tells the kernel the options; it looks at each before it talks to the server.
fn set_options(
    fs: &OwnedFd,
    options: &Options,
    version: &str,
    address: IpAddr,
) -> anyhow::Result<()> {
    for (key, value) in options.for_kernel(version, address) {
        let set = match &value {
            Some(value) => fsconfig_set_string(fs, &key, value),
            None => fsconfig_set_flag(fs, &key),
        };
        set.map_err(|e| {
            let why = said(fs, e);
            let word = value.map_or(key.clone(), |value| format!("{key}={value}"));
            // Not what was asked for, but one of several that are tried.
            let ours = key == "addr" || key == "vers" && options.version.is_none();
            match e {
                Errno::INVAL | Errno::RANGE | Errno::OPNOTSUPP if !ours => {
                    Refused(format!("mount option {word}: {why:#}")).into()
                }
                _ => why.context(format!("mount option {word}")),
            }
        })?;
    }
    if options.read_only {
        fsconfig_set_flag(fs, "ro").map_err(|e| said(fs, e))?;
    }
    Ok(())
}

/// An option that this kernel does not take: no server can mend that.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Refused(String);

/// What the kernel says about a failure.
fn said(fs: impl AsFd, error: Errno) -> anyhow::Error {
    let mut text = String::new();
    let mut buffer = [0; 512];
    // One message at a time, until there is none.
    while let Ok(length @ 1..) = rustix::io::read(&fs, &mut buffer) {
        let line = String::from_utf8_lossy(buffer.get(..length).unwrap_or_default());
        // `e nfs: text`: a letter for its weight, and who says it.
        let line = line.trim().trim_start_matches(['e', 'w', 'i']).trim();
        if !line.is_empty() {
            text.push_str(": ");
            text.push_str(line);
        }
    }
    let hint = match error {
        Errno::NOENT => " (there is no such directory on the server: correct the path, or make it)",
        Errno::ACCESS | Errno::PERM => " (the server does not export it to this node)",
        Errno::CONNREFUSED => " (no NFS server answers there)",
        Errno::TIMEDOUT | Errno::HOSTUNREACH | Errno::NETUNREACH => {
            " (the server cannot be reached)"
        }
        Errno::PROTONOSUPPORT => " (the server does not speak this version)",
        Errno::NOTDIR => " (not a directory)",
        _ => "",
    };
    anyhow::anyhow!("{error}{text}{hint}")
}

/// A tmpfs at `target`, which is made.
///
/// # Errors
/// As `mount(2)`.
pub fn tmpfs(target: &Path, size: Option<&str>) -> anyhow::Result<()> {
    std::fs::create_dir_all(target).with_context(|| target.display().to_string())?;
    let mount = crate::sys::mountfd::tmpfs(size)
        .with_context(|| format!("tmpfs of size {}", size.unwrap_or("half of memory")))?;
    move_mount(
        &mount,
        "",
        CWD,
        target,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .with_context(|| target.display().to_string())
}

/// Undoes a mount.
pub fn undo(target: &Path) {
    if let Err(e) = rustix::mount::unmount(target, UnmountFlags::DETACH) {
        tracing::debug!("{}: {e}", target.display());
    }
}
