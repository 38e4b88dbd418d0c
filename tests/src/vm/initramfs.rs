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
    fs::create_dir_all(work)?;
    fs::write(work.join("init"), INIT)?;
    fs::set_permissions(work.join("init"), fs::Permissions::from_mode(0o755))?;
    pack(kernel, &MODULES, work, to)
}

/// Adds busybox and these modules, in `modules` in their order, to the tree `work` with its `init`, and packs it.
///
/// # Errors
/// When the kernel has not these modules, or a program of this machine is missing.
pub fn pack(kernel: &Files, wanted: &[&str], work: &Path, to: &Path) -> Result<()> {
    for dir in ["bin", "modules"] {
        fs::create_dir_all(work.join(dir))?;
    }
    fs::copy("/bin/busybox", work.join("bin/busybox"))
        .context("busybox (package busybox-static)")?;
    for (number, module) in modules(kernel, wanted)?.iter().enumerate() {
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
fn modules(kernel: &Files, wanted: &[&str]) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for module in wanted {
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

/// Writes the initramfs of `statelitefs initramfs` for this image to the file `to`; with a certificate, nodes verify the management
/// server.
///
/// # Errors
/// With the program's words.
pub fn statelitefs(kernel: &Files, image: &Path, ca: Option<&Path>, to: &Path) -> Result<()> {
    let modules = kernel.root.join("lib/modules").join(&kernel.release);
    let mut cmd = Cmd::new(static_binary()?)
        .arg("initramfs")
        .arg("--modules-dir")
        .arg(modules)
        .arg("--image")
        .arg(image)
        .args(["--busybox", "/bin/busybox", "--output"])
        .arg(to);
    if let Some(ca) = ca {
        cmd = cmd.arg("--ca").arg(ca);
    }
    cmd.check()?;
    Ok(())
}

/// The program, linked statically: what `STATELITEFS_STATIC` names, or built here.
///
/// # Errors
/// When it cannot be built.
pub fn static_binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("STATELITEFS_STATIC") {
        return Ok(path.into());
    }
    let target = crate::paths::target_dir()?;
    Cmd::new("cargo")
        .args([
            "build",
            "--release",
            "--locked",
            "-p",
            "statelitefs",
            "--bin",
            "statelitefs",
        ])
        // With a target named, build scripts and macros are left as they are.
        .args(["--target", TARGET, "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml"))
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .env("CARGO_TARGET_DIR", &target)
        .limit(std::time::Duration::from_secs(1200))
        .check()
        .context("the static statelitefs")?;
    Ok(target.join(TARGET).join("release/statelitefs"))
}

/// What this machine is.
const TARGET: &str = "x86_64-unknown-linux-gnu";
