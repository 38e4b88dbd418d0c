//! The Debian root that nodes boot: systemd, sshd, cron, syslog, python.
//!
//! [`base`] makes it once. Each site takes a copy ([`copy`]), which differs from what Debian made in these things, and
//! no unit of Debian's is changed:
//!
//! - root has a key for ssh and a password, and there is an ordinary user;
//! - there is no host name, no fstab line, no resolver, and an empty machine-id: one image serves many nodes;
//! - systemd's marks that /etc and /var are up to date, which it could not set on a read-only image;
//! - a shell on the second serial port, started early, for [`super::shell`];
//! - a program that is nothing but that shell, for nodes that start it as process 1 ([`SHELL_INIT`]);
//! - a program in systemd's shutdown directory that tells on the console that `/` still works;
//! - a cron job that leaves a line in `/var/log`.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};

use super::{lock, packages, state_dir};
use crate::cmd::Cmd;

/// What is in it besides a minimal Debian.
const PACKAGES: [&str; 13] = [
    "cron",
    "dbus",
    "iproute2",
    "iputils-ping",
    "kmod",
    "libcap2-bin",
    "libpam-systemd",
    "openssh-server",
    "procps",
    "python3",
    "rsyslog",
    "systemd-sysv",
    "udev",
];

/// Root's password in the image.
pub const PASSWORD: &str = "statelite";
/// What can be process 1 in place of systemd: a shell on the second serial port. A node is there in seconds with it.
pub const SHELL_INIT: &str = "/usr/lib/statelite-tests/shell-init";
/// An ordinary user of the image.
pub const USER: &str = "somebody";

/// The unit of the shell on the second serial port, [`super::shell`].
pub const SHELL_UNIT: &str = include_str!("image/statelite-test-shell.service");
/// The program in systemd's shutdown directory that tells that `/` still works.
pub const PROBE: &str = include_str!("image/shutdown-probe");
const INIT: &str = include_str!("image/shell-init");
const CRON: &str = "* * * * * root echo ran >>/var/log/cron-probe\n";

/// The untouched image, made the first time; takes about a minute.
///
/// # Errors
/// When mmdebstrap fails.
pub fn base() -> Result<PathBuf> {
    let _alone = lock("image")?;
    let image = state_dir().join("image");
    if image.exists() {
        return Ok(image);
    }
    let apt = packages::apt()?;
    let sources = state_dir().join("image.sources.list");
    fs::write(&sources, apt.release_lines()?)?;
    let unfinished = image.with_extension("unfinished");
    let _ = fs::remove_dir_all(&unfinished);
    eprintln!("making the Debian image {}", image.display());
    Cmd::new("mmdebstrap")
        .args(["--variant=minbase", "--mode=root"])
        .arg(format!("--include={}", PACKAGES.join(",")))
        .arg(apt.codename())
        .args([&unfinished, &sources])
        .limit(Duration::from_secs(900))
        .check()?;
    let users = format!("echo root:{PASSWORD} | chpasswd && useradd -m -s /bin/bash {USER}");
    Cmd::new("chroot")
        .arg(&unfinished)
        .args(["/bin/sh", "-c", &users])
        .check()?;
    fs::rename(&unfinished, &image)?;
    Ok(image)
}

/// A copy of the image in a new directory, made ready for the tests.
///
/// # Errors
/// When the copy cannot be made.
pub fn copy(to: &Path) -> Result<()> {
    Cmd::new("cp")
        .args(["-aT", "--reflink=auto"])
        .arg(base()?)
        .arg(to)
        .limit(Duration::from_secs(300))
        .check()?;
    for (file, text, mode) in [
        ("etc/machine-id", "", 0o444),
        ("etc/fstab", "# the root is already there\n", 0o644),
        ("etc/resolv.conf", "# no name server\n", 0o644),
        // Newer than /usr: systemd has nothing to update in a read-only /etc and /var.
        ("etc/.updated", "", 0o644),
        ("var/.updated", "", 0o644),
        ("etc/cron.d/probe", CRON, 0o644),
        (
            "usr/lib/systemd/system/statelite-test-shell.service",
            SHELL_UNIT,
            0o644,
        ),
        (
            "usr/lib/systemd/system-shutdown/statelite-probe",
            PROBE,
            0o755,
        ),
        (SHELL_INIT.trim_start_matches('/'), INIT, 0o755),
    ] {
        write(&to.join(file), text, mode)?;
    }
    let _ = fs::remove_file(to.join("etc/hostname"));
    let wants = to.join("usr/lib/systemd/system/sysinit.target.wants");
    symlink(
        "../statelite-test-shell.service",
        wants.join("statelite-test-shell.service"),
    )?;
    let public = fs::read_to_string(ssh_key()?.with_extension("pub"))?;
    write(&to.join("root/.ssh/authorized_keys"), &public, 0o600)?;
    fs::set_permissions(to.join("root/.ssh"), Permissions::from_mode(0o700))?;
    Ok(())
}

/// The private key that root of the image trusts; made the first time.
///
/// # Errors
/// When it cannot be made.
pub fn ssh_key() -> Result<PathBuf> {
    let key = state_dir().join("ssh-key");
    let _alone = lock("ssh-key")?;
    if !key.exists() {
        Cmd::new("ssh-keygen")
            .args(["-q", "-t", "ed25519", "-N", "", "-C", "tests", "-f"])
            .arg(&key)
            .check()?;
    }
    Ok(key)
}

/// Replaces a file by a new one, with its parents.
fn write(path: &Path, text: &str, mode: u32) -> Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    // It may be a link that leads out of the image.
    let _ = fs::remove_file(path);
    fs::write(path, text).with_context(|| path.display().to_string())?;
    fs::set_permissions(path, Permissions::from_mode(mode))?;
    Ok(())
}
