//! The initrd of an image, with statelitefs in it.
//!
//! Three ways: dracut or initramfs-tools of the image, with the project's module or hook added, or a bare one that
//! statelitefs makes itself from the image's kernel modules. The first two run inside the image, but on an overlay in
//! memory: what they write, and the hook, never reach the image.

use super::spec::Spec;
use crate::image::command::CommandLine;
use crate::image::root::Root;
use anyhow::{Context as _, bail};
use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};

/// The way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Kind {
    /// dracut of the image.
    Dracut,
    /// initramfs-tools of the image.
    InitramfsTools,
    /// `statelitefs initramfs`: no tool of the image is needed.
    Bare,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Dracut => "dracut",
            Self::InitramfsTools => "initramfs-tools",
            Self::Bare => "bare",
        })
    }
}

impl Kind {
    /// The directory of the hook below the project's share directory, and where it goes in the image.
    const fn hook(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Dracut => Some(("dracut", "/usr/lib/dracut/modules.d")),
            Self::InitramfsTools => Some(("initramfs-tools", "/etc/initramfs-tools")),
            Self::Bare => None,
        }
    }
}

/// The tools an image has, best first. Without the hook for a tool there is no use for it.
#[must_use]
pub fn choose(root: &Root, share: &Path) -> Kind {
    let has = |paths: &[&str]| paths.iter().any(|path| root.exists(path));
    let hooked = |kind: Kind| kind.hook().is_some_and(|(dir, _)| share.join(dir).is_dir());
    if has(&["/usr/bin/dracut", "/usr/sbin/dracut", "/sbin/dracut"]) && hooked(Kind::Dracut) {
        Kind::Dracut
    } else if has(&["/usr/sbin/mkinitramfs"]) && hooked(Kind::InitramfsTools) {
        Kind::InitramfsTools
    } else {
        Kind::Bare
    }
}

/// What an initrd is made of.
#[derive(Debug)]
pub struct Parts<'a> {
    /// The image.
    pub spec: &'a Spec,
    /// The kernel's version.
    pub version: &'a str,
    /// The program that goes in.
    pub statelitefs: &'a Path,
    /// The directory of the hooks.
    pub share: &'a Path,
    /// Certificate of the authority that signed the management server's; the nodes verify it when there is one.
    pub ca: Option<&'a Path>,
}

/// Makes an initrd and returns it.
///
/// # Errors
/// When a tool is missing or fails.
pub fn build(parts: &Parts<'_>, kind: Kind) -> anyhow::Result<Vec<u8>> {
    let Some((dir, place)) = kind.hook() else {
        return bare(parts);
    };
    let hook = parts.share.join(dir);
    if !hook.is_dir() {
        bail!(
            "{} is missing: install the project's share directory, or say --initrd bare",
            hook.display()
        );
    }
    inside(parts, kind, &hook, place)
        .output()
        .with_context(|| format!("making the initrd with {kind} of the image"))
}

/// The bare one.
fn bare(parts: &Parts<'_>) -> anyhow::Result<Vec<u8>> {
    let out = parts.spec.work().join("initrd");
    bare_command(parts, &out)
        .output()
        .context("making a bare initrd")?;
    std::fs::read(&out).with_context(|| out.display().to_string())
}

fn bare_command(parts: &Parts<'_>, out: &Path) -> CommandLine {
    let spec = parts.spec;
    let modules = spec.root(false).join("lib/modules").join(parts.version);
    let command = CommandLine::new(parts.statelitefs).arg("initramfs");
    let command = command
        .arg("--modules-dir")
        .arg(modules)
        .arg("--image")
        .arg(spec.root(false))
        .arg("--output")
        .arg(out);
    let command = match parts.ca {
        Some(ca) => command.arg("--ca").arg(ca),
        None => command,
    };
    spec.drivers.iter().fold(command, |command, driver| {
        command.arg("--module").arg(driver)
    })
}

/// Lays an overlay in memory over the image, puts program and hook into it, and runs the tool there. Its arguments:
/// work directory, image, program, hook, the hook's place, certificate or nothing, modules for initramfs-tools or
/// nothing, the kernel's version, and the tool's command line, which writes `/initrd`.
///
/// initramfs-tools asks the kernel's configuration whether the kernel can unpack its work. A kernel that was copied by
/// hand often comes without; every kernel that diskless nodes use knows gzip.
const SCRIPT: &str = r#"
work=$1 image=$2 program=$3 hook=$4 place=$5 ca=$6 modules=$7 version=$8; shift 8
mount -t tmpfs -o mode=700 statelite "$work"
mkdir "$work/changes" "$work/overlay" "$work/root"
cd "$image"
mount -t overlay -o "lowerdir=.,upperdir=$work/changes,workdir=$work/overlay" statelite "$work/root"
cd "$work/root"
mkdir -p proc sys dev "./$place"
mount -t proc proc proc
mount --rbind /sys sys
mount --rbind /dev dev
mount -t tmpfs statelite tmp
cp "$program" usr/sbin/statelitefs
cp -R "$hook/." "./$place/"
if [ -n "$ca" ]; then mkdir -p etc/statelite; cp "$ca" etc/statelite/ca.pem; fi
if [ -n "$modules" ]; then echo "$modules" >>etc/initramfs-tools/modules; fi
if [ -d etc/initramfs-tools ] && [ ! -e "boot/config-$version" ]; then
    mkdir -p boot etc/initramfs-tools/conf.d
    echo CONFIG_RD_GZIP=y >"boot/config-$version"
    echo COMPRESS=gzip >etc/initramfs-tools/conf.d/unknown-kernel
fi
chroot . "$@" >&2 </dev/null
cat initrd
"#;

fn inside(parts: &Parts<'_>, kind: Kind, hook: &Path, place: &str) -> CommandLine {
    let spec = parts.spec;
    let tool = match kind {
        Kind::Dracut => {
            let tool = CommandLine::new("dracut")
                .args([
                    "--force",
                    "--no-hostonly",
                    "--no-hostonly-cmdline",
                    "--add",
                    "statelitefs",
                    "--kver",
                ])
                .arg(parts.version);
            let tool = match spec.drivers.as_slice() {
                [] => tool,
                drivers => tool.arg("--add-drivers").arg(drivers.join(" ")),
            };
            tool.arg("/initrd")
        }
        _ => CommandLine::new("mkinitramfs")
            .arg("-o")
            .arg("/initrd")
            .arg(parts.version),
    };
    let shell = CommandLine::new("sh")
        .args(["-euc", SCRIPT, "genimage"])
        .arg(spec.work());
    let shell = shell
        .arg(spec.root(false))
        .arg(parts.statelitefs)
        .arg(hook)
        .arg(place)
        .arg(parts.ca.map_or(OsStr::new(""), Path::as_os_str))
        .arg(match kind {
            Kind::InitramfsTools => spec.drivers.join("\n"),
            _ => String::new(),
        })
        .arg(parts.version);
    let unshare = CommandLine::new("unshare").args(["--mount", "--propagation", "private", "--"]);
    tool.under(shell.under(unshare))
}

/// The program that goes into an initrd: the one asked for, the one beside this program, or the one in PATH.
///
/// # Errors
/// When there is none.
pub fn program(asked: Option<&Path>) -> anyhow::Result<PathBuf> {
    if let Some(path) = asked {
        let path = path
            .canonicalize()
            .with_context(|| path.display().to_string())?;
        return Ok(path);
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|path| Some(path.parent()?.join("statelitefs")));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|dir| dir.join("statelitefs"));
    let found = beside
        .into_iter()
        .chain(in_path)
        .find(|path| path.is_file());
    found.context("no statelitefs beside this program or in PATH: install it, or say where it is with --statelitefs PATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tool_the_image_has_and_we_have_a_hook_for() {
        let dir = tempfile::tempdir().unwrap();
        let (image, share) = (dir.path().join("R"), dir.path().join("share"));
        for path in [
            image.join("usr/sbin"),
            image.join("usr/bin"),
            share.join("initramfs-tools"),
        ] {
            std::fs::create_dir_all(path).unwrap();
        }
        let root = Root::open(&image).unwrap();
        assert_eq!(choose(&root, &share), Kind::Bare);
        std::fs::write(image.join("usr/sbin/mkinitramfs"), "").unwrap();
        assert_eq!(choose(&root, &share), Kind::InitramfsTools);
        std::fs::write(image.join("usr/bin/dracut"), "").unwrap();
        assert_eq!(
            choose(&root, &share),
            Kind::InitramfsTools,
            "no hook for dracut"
        );
        std::fs::create_dir(share.join("dracut")).unwrap();
        assert_eq!(choose(&root, &share), Kind::Dracut);
        assert_eq!(choose(&root, dir.path()), Kind::Bare);
    }
}
