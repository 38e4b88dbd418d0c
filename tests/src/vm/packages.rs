//! The programs that virtual machines and their servers need on this machine.

use anyhow::{Result, bail};

use super::apt::Apt;
use super::{lock, state_dir};
use crate::cmd::Cmd;

/// From the backports suite: see [`super::apt`].
const QEMU: [&str; 2] = ["qemu-system-x86", "ipxe-qemu"];

/// From the release.
const OTHERS: [&str; 15] = [
    "busybox-static",
    "cpio",
    "iproute2",
    "kmod",
    "mmdebstrap",
    "mount",
    "nfs-ganesha",
    "nfs-ganesha-vfs",
    "openssh-client",
    "procps",
    "pxelinux",
    "rpcbind",
    "syslinux-common",
    "util-linux",
    "xz-utils",
];

/// Installs what is missing.
///
/// # Errors
/// When this is not root, or apt refuses.
pub fn install() -> Result<()> {
    // Several tests begin at once.
    let _alone = lock("packages")?;
    let (qemu, others) = (missing(&QEMU)?, missing(&OTHERS)?);
    if qemu.is_empty() && others.is_empty() {
        return Ok(());
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "not installed, and only root can install them: {} {}",
            qemu.join(" "),
            others.join(" ")
        );
    }
    eprintln!(
        "installing Debian packages: {} {}",
        qemu.join(" "),
        others.join(" ")
    );
    let apt = apt()?;
    apt.install(&others, None)?;
    apt.install(&qemu, Some(&apt.backports()))
}

/// The package archive with backports; the lists are in the state directory.
///
/// # Errors
/// See [`Apt::open`].
pub fn apt() -> Result<Apt> {
    let _alone = lock("apt")?;
    Apt::open(&state_dir().join("apt"))
}

/// Those of these packages that are not installed.
fn missing<'a>(packages: &[&'a str]) -> Result<Vec<&'a str>> {
    let installed = Cmd::new("dpkg-query")
        .args(["-W", "-f=${Package} ${db:Status-Status}\n"])
        .args(packages)
        .run()?
        .stdout;
    let there = |package: &str| {
        let line = format!("{package} installed");
        installed.lines().any(|one| one == line)
    };
    Ok(packages
        .iter()
        .copied()
        .filter(|package| !there(package))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_what_is_missing() {
        let found = missing(&["dpkg", "no-such-package-of-ours"]).unwrap();
        assert_eq!(found, ["no-such-package-of-ours"]);
    }
}
