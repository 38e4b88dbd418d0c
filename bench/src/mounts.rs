//! Mounts that are certain to go away.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::exec::{Fault, Runner};
use crate::journal::Entry;

/// An unmount that takes longer hangs in its daemon.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the kernel lets one cut a FUSE connection.
const CONNECTIONS: &str = "/sys/fs/fuse/connections";

/// A mounted place; unmounts when dropped, politely, then lazily.
#[derive(Debug)]
pub struct Mounted {
    runner: Runner,
    point: PathBuf,
    /// The target's own way to unmount, if it has one.
    polite: Option<Command>,
    /// Device number of a FUSE mount, which names its connection.
    connection: Option<u32>,
}

impl Mounted {
    /// Runs `mount`, which has to leave something mounted at `point`.
    pub fn by(
        runner: &Runner,
        mount: Command,
        point: &Path,
        polite: Option<Command>,
    ) -> Result<Self, Fault> {
        runner.note(&Entry::Mounted(point));
        let mut mounted = Mounted {
            runner: runner.clone(),
            point: point.to_owned(),
            polite,
            connection: None,
        };
        runner.run_or(mount, LIMIT * 3, || abort(point))?;
        let found = find(point)
            .ok_or_else(|| Fault::Start(format!("nothing got mounted at {}", point.display())))?;
        mounted.connection = found.fuse.then_some(found.minor);
        Ok(mounted)
    }

    /// Cuts the FUSE connection, so that everything waiting for its daemon fails instead.
    pub fn abort(&self) {
        if let Some(minor) = self.connection {
            cut(minor);
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        if let Some(polite) = self.polite.take()
            && find(&self.point).is_some()
            && let Err(fault) = self.runner.run_or(polite, LIMIT, || self.abort())
        {
            eprintln!(
                "statelite-bench: {} did not unmount itself: {fault}",
                self.point.display()
            );
        }
        detach(&self.runner, &self.point);
        self.runner.note(&Entry::Unmounted(&self.point));
    }
}

/// Unmounts everything at `point`: in the ordinary way, else lazily after cutting a FUSE connection.
pub fn detach(runner: &Runner, point: &Path) {
    let umount = |lazily: bool| {
        let mut command = Command::new("umount");
        command.args(lazily.then_some("-l")).arg("--").arg(point);
        runner.run_or(command, LIMIT, || abort(point))
    };
    while let Some(before) = find(point) {
        if umount(false).is_ok() {
            continue;
        }
        if before.fuse {
            cut(before.minor);
        }
        if let Err(fault) = umount(true) {
            eprintln!(
                "statelite-bench: {} stays mounted: {fault}",
                point.display()
            );
            return;
        }
    }
}

/// Whether anything is mounted at `dir` or below it.
pub fn any_below(dir: &Path) -> bool {
    entries().iter().any(|entry| entry.point.starts_with(dir))
}

/// Removes a run directory once nothing is mounted below it. Only empty directories and its own files are removed:
/// whatever goes wrong, nothing is ever deleted through a mount.
pub fn remove_run_dir(run: &Path) {
    if any_below(run) {
        eprintln!(
            "statelite-bench: something is still mounted below {}",
            run.display()
        );
        return;
    }
    for dir in ["mnt", "store"] {
        let inside = fs::read_dir(run.join(dir)).into_iter().flatten().flatten();
        for entry in inside {
            let _stays = fs::remove_dir(entry.path());
        }
        let _stays = fs::remove_dir(run.join(dir));
    }
    let _stays = fs::remove_file(run.join("journal"));
    if let Err(error) = fs::remove_dir(run) {
        eprintln!("statelite-bench: {} stays: {error}", run.display());
    }
}

/// Cuts the FUSE connection mounted at `point`, if there is one.
fn abort(point: &Path) {
    if let Some(Found {
        fuse: true, minor, ..
    }) = find(point)
    {
        cut(minor);
    }
}

fn cut(minor: u32) {
    let file = Path::new(CONNECTIONS).join(minor.to_string()).join("abort");
    if !file.exists() {
        let mut mount = Command::new("mount");
        mount.args(["-t", "fusectl", "fusectl", CONNECTIONS]);
        if let Err(fault) = Runner::unnoted().run(mount, LIMIT) {
            eprintln!("statelite-bench: no fusectl: {fault}");
        }
    }
    if let Err(error) = fs::write(&file, "1") {
        eprintln!("statelite-bench: cannot abort FUSE connection {minor}: {error}");
    }
}

/// A line of `/proc/self/mountinfo`. Reading it asks no daemon anything.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    point: PathBuf,
    minor: u32,
    fuse: bool,
}

/// The topmost mount at `point`.
fn find(point: &Path) -> Option<Found> {
    entries().into_iter().rfind(|entry| entry.point == point)
}

fn entries() -> Vec<Found> {
    match fs::read_to_string("/proc/self/mountinfo") {
        Ok(text) => text.lines().filter_map(parse).collect(),
        Err(error) => {
            eprintln!("statelite-bench: cannot read the mount table: {error}");
            Vec::new()
        }
    }
}

fn parse(line: &str) -> Option<Found> {
    let (place, kind) = line.split_once(" - ")?;
    let mut fields = place.split(' ');
    let minor = fields.nth(2)?.split_once(':')?.1.parse().ok()?;
    let point = fields
        .nth(1)?
        .replace("\\040", " ")
        .replace("\\011", "\t")
        .replace("\\134", "\\");
    let kind = kind.split(' ').next()?;
    Some(Found {
        point: PathBuf::from(point),
        minor,
        fuse: kind == "fuse" || kind.starts_with("fuse."),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mount_lines_are_read() {
        let fuse = "41 30 0:52 / /run/my\\040mnt rw,relatime shared:9 - fuse.fuse-overlayfs fuse-overlayfs rw";
        let ctl = "42 30 0:53 / /sys/fs/fuse/connections rw - fusectl none rw";
        assert_eq!(
            parse(fuse),
            Some(Found {
                point: "/run/my mnt".into(),
                minor: 52,
                fuse: true
            })
        );
        assert_eq!(parse(ctl).map(|found| found.fuse), Some(false));
        assert_eq!(parse("nonsense"), None);
    }

    #[test]
    fn the_root_is_always_found() {
        assert!(find(Path::new("/")).is_some());
        assert_eq!(find(Path::new("/no/such/mount")), None);
    }
}
