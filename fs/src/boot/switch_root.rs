//! From the initramfs to the new root.

use anyhow::{Context as _, bail};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// Mounts that go along, and stay what they are.
const MOVED: [&str; 4] = ["dev", "proc", "sys", RUN];
/// The one that systems of before 2011 have no directory for.
const RUN: &str = "run";

/// Whether the new root has something to start.
///
/// # Errors
/// Says so if there is nothing at `init`. The link itself is looked at, since its target is
/// reached only from inside the new root.
pub fn check(newroot: &Path, init: &Path) -> anyhow::Result<()> {
    let inside = newroot.join(init.strip_prefix("/").unwrap_or(init));
    match inside.symlink_metadata() {
        Ok(_) => Ok(()),
        Err(e) => bail!(
            "the image has no {}: {e}; is it the right directory, and is it complete?",
            init.display()
        ),
    }
}

/// Those of [`MOVED`] that the image has a directory for.
///
/// # Errors
/// Names the directories that are missing and cannot be done without.
fn moved(newroot: &Path) -> anyhow::Result<Vec<&'static str>> {
    // A link counts for nothing: from here it leads into the initramfs.
    let there = |name: &&str| {
        let found = newroot.join(name).symlink_metadata();
        found.is_ok_and(|found| found.is_dir())
    };
    let (found, missing): (Vec<_>, Vec<_>) = MOVED.into_iter().partition(there);
    let needed: Vec<String> = missing
        .into_iter()
        .filter(|name| *name != RUN)
        .map(|name| format!("/{name}"))
        .collect();
    if !needed.is_empty() {
        bail!(
            "the image has no directory {}; is it the right directory, and is it complete?",
            needed.join(", ")
        );
    }
    Ok(found)
}

/// Makes `newroot` the root directory, empties the initramfs and becomes `init`.
///
/// # Errors
/// Before the point of no return: no `init` in the new root, or no directory for a mount; after it: mounts that cannot be
/// moved, or `init` cannot be started.
pub fn enter(newroot: &Path, init: &Path, args: Vec<String>) -> anyhow::Result<Infallible> {
    check(newroot, init)?;
    let moved = moved(newroot)?;
    if !moved.contains(&RUN) {
        tracing::warn!(
            "the image has no directory /run: what the initramfs has there is left behind"
        );
        super::mounts::undo(&Path::new("/").join(RUN));
    }
    for name in moved {
        let (from, to) = (Path::new("/").join(name), newroot.join(name));
        rustix::mount::mount_move(&from, &to).with_context(|| {
            format!(
                "{} cannot move to the image's directory of that name",
                from.display()
            )
        })?;
    }
    let old = open_dir("/")?;
    rustix::process::chdir(newroot).with_context(|| newroot.display().to_string())?;
    rustix::mount::mount_move(".", "/").context("the new root cannot take its place")?;
    rustix::process::chroot(".").context("chroot")?;
    rustix::process::chdir("/").context("chdir")?;
    if let Err(e) = empty(&old) {
        // Memory that stays in use, nothing worse.
        tracing::warn!("the initramfs is not freed: {e}");
    }
    drop(old);
    console();
    let mut program = Command::new(init);
    program.args(args);
    let error = program.exec();
    Err(error).with_context(|| format!("{} cannot be started", init.display()))
}

fn open_dir(path: &str) -> rustix::io::Result<rustix::fd::OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty())
}

/// The console of the new root in place of the one the kernel opened.
fn console() {
    let Ok(console) =
        rustix::fs::open("/dev/console", OFlags::RDWR | OFlags::NOCTTY, Mode::empty())
    else {
        return;
    };
    let _ = rustix::stdio::dup2_stdin(&console);
    let _ = rustix::stdio::dup2_stdout(&console);
    let _ = rustix::stdio::dup2_stderr(&console);
}

/// Removes everything below `dir` that is on its own file system.
fn empty(dir: impl AsFd) -> crate::sys::Result<()> {
    let device = crate::sys::stat::stat_fd(&dir)?.dev;
    empty_on(dir.as_fd(), device)
}

fn empty_on(dir: BorrowedFd<'_>, device: (u32, u32)) -> crate::sys::Result<()> {
    for entry in crate::sys::dir::read(dir)? {
        let name = &*entry.name;
        let Ok(stat) = crate::sys::stat::stat_at(dir, name) else {
            continue;
        };
        if stat.dev != device {
            continue;
        }
        if stat.kind != FileType::Directory {
            let _ = rustix::fs::unlinkat(dir, name, AtFlags::empty());
            continue;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if let Ok(sub) = rustix::fs::openat(dir, name, flags, Mode::empty()) {
            // What is mounted there is on another device.
            if crate::sys::stat::stat_fd(&sub)?.dev == device {
                empty_on(sub.as_fd(), device)?;
            }
        }
        let _ = rustix::fs::unlinkat(dir, name, AtFlags::REMOVEDIR);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_run_may_be_missing_in_an_image() {
        let dir = tempfile::tempdir().unwrap();
        let make = |name: &str| std::fs::create_dir(dir.path().join(name)).unwrap();
        make("sys");
        // A link would lead out of the image.
        std::os::unix::fs::symlink("/proc", dir.path().join("proc")).unwrap();
        let error = moved(dir.path()).unwrap_err().to_string();
        assert!(error.contains("no directory /dev, /proc;"), "{error}");
        std::fs::remove_file(dir.path().join("proc")).unwrap();
        make("proc");
        make("dev");
        assert_eq!(moved(dir.path()).unwrap(), ["dev", "proc", "sys"]);
        make("run");
        assert_eq!(moved(dir.path()).unwrap(), MOVED);
    }
}
