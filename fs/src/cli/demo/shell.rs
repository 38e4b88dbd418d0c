//! `demo --shell`: a shell whose root is the merged root.

use super::console::Console;
use super::place::Place;
use anyhow::{Context as _, bail};
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_bind, mount_change};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Mounts, and runs a shell in the mount until it ends.
///
/// # Errors
/// If the mount or the shell cannot be had. How the shell ended does not matter.
pub fn run(place: &Place, console: &mut Console) -> anyhow::Result<()> {
    place.mount()?;
    let mnt = place.mnt();
    match furnish(&mnt) {
        Ok(()) => {}
        Err(e) => console.note(&format!(
            "note: /proc and /dev are not complete in there: {e}"
        )),
    }
    let shell = shell_in(&mnt)?;
    console.note(&format!(
        "\nThis is {} with the merged root as /. From outside, `statelitefs explain --mount {} PATH` tells more.\n\
         Leave with `exit`; then all of it is removed.\n",
        shell.display(),
        mnt.display()
    ));
    let ended = Command::new("chroot")
        .arg(&mnt)
        .arg(&shell)
        .current_dir("/")
        .env("PS1", "node# ")
        .status()
        .context("chroot")?;
    // chroot's own failure; any other status is that of the last command in the shell.
    if ended.code() == Some(125) {
        bail!("chroot failed");
    }
    Ok(())
}

/// The user's shell if the node has it, else the one every node has.
fn shell_in(mnt: &Path) -> anyhow::Result<PathBuf> {
    let users = std::env::var_os("SHELL")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute());
    let has = |path: &PathBuf| {
        let inside = path.strip_prefix("/").map(|rest| mnt.join(rest));
        inside.is_ok_and(|path| path.symlink_metadata().is_ok())
    };
    let candidates = users
        .into_iter()
        .chain(["/bin/bash", "/bin/sh"].map(PathBuf::from));
    candidates
        .into_iter()
        .find(has)
        .context("no shell in this root")
}

/// Gives the root what programs expect: `/proc`, `/dev`, terminals. All private, so that removing
/// them here removes them nowhere else.
fn furnish(mnt: &Path) -> rustix::io::Result<()> {
    let nothing = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("proc", mnt.join("proc"), "proc", nothing, None)?;
    for dir in ["dev", "dev/pts"] {
        let target = mnt.join(dir);
        mount_bind(Path::new("/").join(dir), &target)?;
        mount_change(&target, MountPropagationFlags::PRIVATE)?;
    }
    Ok(())
}
