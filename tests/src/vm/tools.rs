//! The tools that make initrds, dracut and initramfs-tools, in a Debian root of their own with both kernels.
//!
//! The root is what genimage has in front of it: an image whose packages include such a tool. Genimage then makes the
//! initrd with it, which is how initrds of these kinds come about here.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::initramfs::static_binary;
use super::kernel::{Files, Kernel};
use super::manage::Management;
use super::{image, lock, packages, state_dir};
use crate::cmd::Cmd;

/// What is installed over the image. The NFS programs are there because dracut then takes its own NFS root along, which
/// must not be in our way. `dracut-core` is dracut without the scripts that replace initramfs-tools.
const PACKAGES: [&str; 6] = [
    "busybox",
    "dracut-core",
    "dracut-network",
    "initramfs-tools",
    "nfs-common",
    "zstd",
];

/// A tool that makes an initramfs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Tool {
    /// `statelitefs initramfs`.
    Bare,
    /// dracut of the image.
    Dracut,
    /// initramfs-tools of the image.
    InitramfsTools,
}

impl Tool {
    /// As genimage's option `--initrd` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Dracut => "dracut",
            Self::InitramfsTools => "initramfs-tools",
        }
    }
}

/// The root, made the first time.
///
/// # Errors
/// When a package cannot be installed.
pub fn root() -> Result<PathBuf> {
    let base = image::base()?;
    let kernels: Vec<Files> = Kernel::ALL
        .into_iter()
        .map(Kernel::files)
        .collect::<Result<_>>()?;
    let _alone = lock("tools")?;
    let root = state_dir().join("tools");
    if root.exists() {
        return Ok(root);
    }
    let unfinished = root.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    eprintln!(
        "making the root with dracut and initramfs-tools {}",
        root.display()
    );
    copy(&base, &unfinished)?;
    install(&unfinished)?;
    for kernel in &kernels {
        let name = &kernel.release;
        add_modules(kernel, &unfinished)?;
        for file in ["vmlinuz", "config"] {
            let file = format!("boot/{file}-{name}");
            fs::copy(kernel.root.join(&file), unfinished.join(&file)).context(file)?;
        }
    }
    fs::rename(&unfinished, &root)?;
    Ok(root)
}

/// Gives a root the modules of a kernel, as the kernel's package does.
///
/// # Errors
/// When they cannot be copied.
pub fn add_modules(kernel: &Files, root: &Path) -> Result<()> {
    let modules = root.join("usr/lib/modules");
    fs::create_dir_all(&modules)?;
    let from = kernel.root.join("lib/modules").join(&kernel.release);
    copy(&from, &modules.join(&kernel.release))
}

/// Downloads with this machine's view of the archive, which has its proxies and keys, and installs inside.
fn install(root: &Path) -> Result<()> {
    let archives = "var/cache/apt/archives";
    fs::create_dir_all(root.join(archives).join("partial"))?;
    let at = |option: &str, path: &str| format!("{option}={}", root.join(path).display());
    packages::apt()?
        .cmd("apt-get")
        .args(["-o", &at("Dir::Cache::archives", archives)])
        .args(["-o", &at("Dir::State::status", "var/lib/dpkg/status")])
        .args(["-q", "install", "--download-only", "-y"])
        .arg("--no-install-recommends")
        .args(PACKAGES)
        .check()?;
    let unpack = format!("dpkg --install /{archives}/*.deb && rm /{archives}/*.deb");
    Cmd::new("chroot")
        .arg(root)
        .args(["/bin/sh", "-c", &unpack])
        .env("DEBIAN_FRONTEND", "noninteractive")
        .limit(Duration::from_secs(300))
        .check()?;
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    Cmd::new("cp")
        .args(["-aT", "--reflink=auto"])
        .args([from, to])
        .limit(Duration::from_secs(300))
        .check()?;
    Ok(())
}

/// Has genimage make the initramfs with this tool for this kernel, in the new directory `work`; with a certificate,
/// nodes verify the management server.
///
/// # Errors
/// With genimage's words.
pub fn initrd(tool: Tool, kernel: &Files, ca: Option<&Path>, work: &Path) -> Result<PathBuf> {
    let image = genimage(&Management::new(work)?, tool, kernel, ca)?;
    Ok(image.join("initrd-statelite.gz"))
}

/// Has genimage make `kernel` and `initrd-statelite.gz` with this tool and the hooks of the source tree; returns the
/// image's directory, which they are in. The root that they were made from is gone then.
///
/// # Errors
/// With genimage's words.
pub fn genimage(
    management: &Management,
    tool: Tool,
    kernel: &Files,
    ca: Option<&Path>,
) -> Result<PathBuf> {
    let image = management
        .dir()
        .join("install/netboot/debian12/x86_64/compute");
    fs::create_dir_all(&image)?;
    copy(&root()?, &image.join("rootimg"))?;
    let mut genimage = management
        .cmd("genimage")
        .args(["-o", "debian12", "-a", "x86_64", "-p", "compute"])
        .args(["--onlyinitrd", "--initrd", tool.name()])
        .args(["-k", &kernel.release, "--share"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../fs"))
        .arg("--statelitefs")
        .arg(static_binary()?)
        .limit(Duration::from_secs(300));
    if let Some(ca) = ca {
        genimage = genimage.arg("--ca").arg(ca);
    }
    genimage.check()?;
    fs::remove_dir_all(image.join("rootimg"))?;
    Ok(image)
}
