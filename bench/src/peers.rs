//! The targets. Each is defined once: what it is, where it comes from, how it is mounted.
//!
//! Every target shows the same lower directory at a mountpoint of its own and makes at least `bench/work` in it
//! writable, on the same tmpfs. Options are the ones a careful user would take from the manual; nothing is tuned for
//! one row. Where a peer can do better with other options, that belongs into a target of its own.

mod mounting;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Serialize;

use self::mounting::{bare, fuse_overlayfs, mergerfs, ours, overlay, unionfs_fuse};
use crate::exec::{Fault, Runner};
use crate::install;
use crate::mounts::Mounted;
use crate::tree::layout::WORK_DIR;

/// The target that all ratios refer to.
pub const BARE: &str = "bare";

/// The peer that we want to be ahead of on every row.
pub const RIVAL: &str = "fuse-overlayfs";

/// One visit's directories.
#[derive(Debug, Clone)]
pub struct Site {
    /// The target's program; empty for what the kernel does.
    pub program: PathBuf,
    /// The tree, never written to.
    pub lower: PathBuf,
    /// An empty directory on the tmpfs, for changes.
    pub upper: PathBuf,
    /// Another one beside it.
    pub work: PathBuf,
    /// Where to mount.
    pub mnt: PathBuf,
}

/// Where a target comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The kernel.
    Kernel,
    /// A Debian package and a program in it, both called like the target.
    Debian,
    /// This project.
    Ours,
}

/// One target.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// Its name on the command line and in every report.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Where it comes from.
    pub source: Source,
    /// A directory that has to exist in the upper layer beforehand; empty for none.
    in_upper: &'static str,
    mounts: Mounting,
}

/// The mounts to make, in order: command and mountpoint.
type Mounting = fn(&Site) -> Vec<(Command, PathBuf)>;

/// Every target.
pub const PEERS: &[Peer] = &[
    kernel(BARE, "the directory itself, bind-mounted", bare),
    kernel("overlay", "kernel overlayfs", overlay),
    debian(RIVAL, "Debian's fuse-overlayfs", fuse_overlayfs),
    debian("unionfs-fuse", "Debian's unionfs-fuse, cow", unionfs_fuse),
    // Creates files only where the directory exists in a writable branch, so it gets one there.
    Peer {
        in_upper: WORK_DIR,
        ..debian(
            "mergerfs",
            "Debian's mergerfs, default options, no copy-up",
            mergerfs,
        )
    },
    mine(
        "statelitefs",
        "ours: image, one volatile directory",
        |site| ours(site, "/bench/work/=tmpfs", "published"),
    ),
    mine(
        "statelitefs-root",
        "ours: the whole root volatile",
        |site| ours(site, "/=tmpfs", "published"),
    ),
    mine(
        "statelitefs-live",
        "ours: as statelitefs, server edits show at once",
        |site| ours(site, "/bench/work/=tmpfs", "live"),
    ),
];

const fn kernel(name: &'static str, about: &'static str, mounts: Mounting) -> Peer {
    Peer {
        name,
        about,
        source: Source::Kernel,
        in_upper: "",
        mounts,
    }
}

/// Program and package bear the target's name.
const fn debian(name: &'static str, about: &'static str, mounts: Mounting) -> Peer {
    Peer {
        name,
        about,
        source: Source::Debian,
        in_upper: "",
        mounts,
    }
}

const fn mine(name: &'static str, about: &'static str, mounts: Mounting) -> Peer {
    Peer {
        name,
        about,
        source: Source::Ours,
        in_upper: "",
        mounts,
    }
}

/// The names of all targets, for the command line.
pub fn names() -> Vec<&'static str> {
    PEERS.iter().map(|peer| peer.name).collect()
}

/// A target that can be mounted.
#[derive(Debug, Clone)]
pub struct Ready {
    /// Which one.
    pub peer: Peer,
    /// Its program; empty for what the kernel does.
    pub program: PathBuf,
    /// Its version, as far as it tells.
    pub version: String,
}

/// A target that cannot, and why.
#[derive(Debug, Clone, Serialize)]
pub struct Missing {
    /// Its name.
    pub target: &'static str,
    /// The reason.
    pub why: String,
}

impl Peer {
    /// Finds the target's program, installs it if need be.
    pub fn find(
        self,
        runner: &Runner,
        statelitefs: &Path,
        install: bool,
    ) -> Result<Ready, Missing> {
        let missing = |why| Missing {
            target: self.name,
            why,
        };
        let (program, version) = match self.source {
            Source::Kernel => (PathBuf::new(), Some(crate::machine::describe().kernel)),
            Source::Debian => {
                let found =
                    install::ensure(runner, self.name, self.name, install).map_err(missing)?;
                (found, install::version(runner, self.name))
            }
            Source::Ours if statelitefs.is_file() => (
                statelitefs.to_owned(),
                install::version_line(runner, statelitefs),
            ),
            Source::Ours => {
                let advice = "build it with `cargo build --release -p statelitefs` or name it with --statelitefs";
                return Err(missing(format!("no {}: {advice}", statelitefs.display())));
            }
        };
        Ok(Ready {
            peer: self,
            program,
            version: version.unwrap_or_else(|| "unknown".to_owned()),
        })
    }
}

impl Ready {
    /// Mounts the target, with the machine's `/dev` in it if wanted.
    pub fn mount(&self, runner: &Runner, site: &Site, dev: bool) -> Result<Mounts, Fault> {
        for dir in [&site.upper.join(self.peer.in_upper), &site.work, &site.mnt] {
            fs::create_dir_all(dir)
                .map_err(|error| Fault::Start(format!("{}: {error}", dir.display())))?;
        }
        let mut mounts = Mounts(Vec::new());
        for (command, point) in (self.peer.mounts)(site) {
            let polite = self.polite(&point);
            mounts.0.push(Mounted::by(runner, command, &point, polite)?);
        }
        if dev {
            let (command, point) = mounting::dev(site);
            mounts.0.push(Mounted::by(runner, command, &point, None)?);
        }
        Ok(mounts)
    }

    fn polite(&self, point: &Path) -> Option<Command> {
        let ours = self.peer.source == Source::Ours;
        ours.then(|| {
            mounting::command(
                &self.program,
                ["umount".into(), point.as_os_str().to_owned()],
            )
        })
    }
}

/// The mounts of one target; unmounted when dropped, last one first.
#[derive(Debug)]
pub struct Mounts(Vec<Mounted>);

impl Mounts {
    /// Cuts the FUSE connections, so that everything waiting for a daemon fails instead.
    pub fn abort(&self) {
        self.0.iter().for_each(Mounted::abort);
    }
}

impl Drop for Mounts {
    fn drop(&mut self) {
        while let Some(last) = self.0.pop() {
            drop(last);
        }
    }
}

#[cfg(test)]
mod tests;
