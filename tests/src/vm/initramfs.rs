//! The baseline's initramfs: busybox, kernel modules, a script that puts the kernel's overlayfs over the image.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::kernel::Files;
use crate::cmd::Cmd;

const INIT: &str = include_str!("initramfs/overlay-init");

/// What the script needs; what is built into a kernel is passed over.
const MODULES: [&str; 6] = [
    "virtio_pci",
    "virtio_net",
    "virtio_rng",
    "nfsv3",
    "nfsv4",
    "overlay",
];

/// Writes it to the file `to`, using `work` as a new directory.
///
/// # Errors
/// When the kernel has not these modules, or a program of this machine is missing.
pub fn overlay(kernel: &Files, work: &Path, to: &Path) -> Result<()> {
    for dir in ["bin", "modules"] {
        fs::create_dir_all(work.join(dir))?;
    }
    fs::copy("/bin/busybox", work.join("bin/busybox"))
        .context("busybox (package busybox-static)")?;
    fs::write(work.join("init"), INIT)?;
    fs::set_permissions(work.join("init"), fs::Permissions::from_mode(0o755))?;
    for (number, module) in modules(kernel)?.iter().enumerate() {
        let name = module.file_stem().context("a module without a name")?;
        let plain = work.join(format!(
            "modules/{number:02}-{}",
            name.to_string_lossy().trim_end_matches(".ko")
        ));
        fs::copy(module, plain.with_extension("xz"))?;
        if module
            .extension()
            .is_some_and(|extension| extension == "xz")
        {
            Cmd::new("xz")
                .arg("-d")
                .arg(plain.with_extension("xz"))
                .check()?;
        } else {
            fs::rename(plain.with_extension("xz"), &plain)?;
        }
    }
    let pack = "find . | LC_ALL=C sort | cpio --quiet -o -H newc -R 0:0 | gzip -1 >\"$0\"";
    Cmd::new("sh")
        .args(["-c", pack])
        .arg(to)
        .dir(work)
        .check()?;
    Ok(())
}

/// Module files in the order in which they have to be loaded.
fn modules(kernel: &Files) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in MODULES {
        let depends = Cmd::new("modprobe")
            .args(["-S", &kernel.release, "--show-depends", "-d"])
            .arg(&kernel.root)
            .arg(module)
            .check()?;
        for line in depends.stdout.lines() {
            let file = line.strip_prefix("insmod ").map(|file| file.trim().into());
            files.extend(file.filter(|file| !files.contains(file)));
        }
    }
    Ok(files)
}

/// Writes the initramfs of `statelitefs initramfs` to the file `to`.
///
/// # Errors
/// With the program's words.
pub fn statelitefs(kernel: &Files, to: &Path) -> Result<()> {
    let modules = kernel.root.join("lib/modules").join(&kernel.release);
    Cmd::new(crate::paths::statelitefs()?)
        .arg("initramfs")
        .arg("--modules")
        .arg(modules)
        .arg("--output")
        .arg(to)
        .check()?;
    Ok(())
}
