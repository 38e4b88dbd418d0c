//! The demo's temporary directory: tables, two trees, the persistent store, the mount point.

use super::clean::{LOCK, PREFIX, base, clear};
use crate::cli::daemon;
use crate::config::args::{MountArgs, PolicyArgs};
use anyhow::Context as _;
use rustix::fs::FlockOperation;
use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;

/// Name of the node in the tables.
pub const NODE: &str = "demo";
/// The cookbook's table for RedHat.
const COOKBOOK: &str = include_str!("../../../demo/litefile.csv");
/// Three rows more: one file joined, one that follows the trees, one directory that is kept.
const ROWS: &str = include_str!("../../../demo/rows.csv");
/// Shown by `/etc/motd` and `/etc/issue`; the first tree is the more special one.
const TREES: [(&str, &str, &str); 2] = [
    ("rack", "etc/motd", "rack 7: the door is heavy\n"),
    ("site", "etc/motd", "site: maintenance on Friday\n"),
];
/// The file that only the second tree has.
pub const ISSUE: &str = "Cluster node; everything here comes from the server.\n";

/// The demo's directory, and the mount in it.
#[derive(Debug)]
pub struct Place {
    root: PathBuf,
    /// Closing it ends the lock.
    lock: File,
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.root.exists()
            && let Err(e) = clear(&self.root)
        {
            eprintln!("statelitefs: {e:#}");
        }
    }
}

impl Place {
    /// Makes the directory with everything in it; nothing is mounted yet.
    ///
    /// # Errors
    /// As creating files.
    pub fn make() -> anyhow::Result<Place> {
        let base = base();
        let root = base.join(format!("{PREFIX}{}", std::process::id()));
        DirBuilder::new()
            .mode(0o700)
            .create(&root)
            .with_context(|| root.display().to_string())?;
        let lock = File::create(root.join(LOCK)).with_context(|| root.display().to_string())?;
        let place = Place { root, lock };
        rustix::fs::flock(&place.lock, FlockOperation::NonBlockingLockExclusive)?;
        place.fill()?;
        Ok(place)
    }

    fn fill(&self) -> anyhow::Result<()> {
        let rows = format!("{COOKBOOK}{ROWS}");
        let (rack, site) = (self.tree("rack"), self.tree("site"));
        let litetree = format!(
            "#priority,image,directory,comments,disable\n\"1\",,\"{}\",,\n\"2\",,\"{}\",,\n",
            rack.display(),
            site.display()
        );
        let statelite = format!(
            "#node,image,statemnt,comments,disable\n\"{NODE}\",,\"{}\",,\n",
            self.root.join("state").display()
        );
        let mut files = vec![
            (self.tables().join("litefile.csv"), rows.as_str()),
            (self.tables().join("litetree.csv"), litetree.as_str()),
            (self.tables().join("statelite.csv"), statelite.as_str()),
            (site.join("etc/issue"), ISSUE),
        ];
        files.extend(TREES.map(|(tree, path, text)| (self.tree(tree).join(path), text)));
        for (path, text) in files {
            let parent = path.parent().unwrap_or(&self.root);
            std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            std::fs::write(&path, text).with_context(|| path.display().to_string())?;
        }
        let mnt = self.mnt();
        std::fs::create_dir(&mnt).with_context(|| mnt.display().to_string())
    }

    /// Where the merged root appears.
    pub fn mnt(&self) -> PathBuf {
        self.root.join("mnt")
    }

    /// The place in the mount of a path of the node.
    pub fn on_node(&self, path: &str) -> PathBuf {
        self.mnt().join(path.trim_start_matches('/'))
    }

    fn tables(&self) -> PathBuf {
        self.root.join("tables")
    }

    fn tree(&self, name: &str) -> PathBuf {
        self.root.join("trees").join(name)
    }

    /// What is where, a line each.
    pub fn describe(&self) -> Vec<String> {
        let rows = |text: &str| text.lines().filter(|line| !line.starts_with('#')).count();
        vec![
            "  image       /".to_owned(),
            format!(
                "  trees       {} before {}",
                self.tree("rack").display(),
                self.tree("site").display()
            ),
            "  volatile    a tmpfs that is mounted nowhere else".to_owned(),
            format!(
                "  persistent  {}",
                self.root.join("state").join(NODE).display()
            ),
            format!(
                "  table       the cookbook's for RedHat, {} rows, and {} more",
                rows(COOKBOOK),
                rows(ROWS)
            ),
            format!("  mounted at  {}", self.mnt().display()),
            "node# is a prompt in the merged root, host# one on this machine.".to_owned(),
        ]
    }

    /// The words of the command that [`Place::mount`] stands for.
    pub fn mount_command(&self) -> String {
        format!(
            "statelitefs mount --image / --tables {} --node {NODE} {}",
            self.tables().display(),
            self.mnt().display()
        )
    }

    /// Mounts, as the command `mount` does.
    ///
    /// # Errors
    /// Everything that keeps the mount from answering.
    pub fn mount(&self) -> anyhow::Result<()> {
        daemon::mount(MountArgs {
            mountpoint: Some(self.mnt()),
            image: Some("/".into()),
            log: Some(self.root.join("log")),
            policy: PolicyArgs {
                tables: Some(self.tables()),
                node: Some(NODE.to_owned()),
                ..PolicyArgs::default()
            },
            ..MountArgs::default()
        })
    }

    /// Unmounts, as the command `umount` does, and waits for the daemon.
    ///
    /// # Errors
    /// As `umount(2)`.
    pub fn umount(&self) -> anyhow::Result<()> {
        daemon::umount(&self.mnt(), false)
    }

    /// Unmounts what is mounted and removes the directory.
    ///
    /// # Errors
    /// If something of it has to stay.
    pub fn remove(self) -> anyhow::Result<()> {
        clear(&self.root)
    }
}
