//! Scratch stores: a tmpfs and an ext4 in a loop-mounted file, gone on drop.

use std::fs::{File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::cmd::Cmd;
use crate::mount::detach;
use crate::paths;

/// Size of the ext4 file (sparse) and of the tmpfs: room for two stress-ng workers of a gigabyte each.
const SIZE: u64 = 6 << 30;

/// A scratch directory that every user may search, as suites that switch users need. Its name is short, because
/// addresses of sockets in it have to fit into 107 bytes.
pub fn directory() -> Result<TempDir> {
    let base = paths::scratch();
    let dir = tempfile::Builder::new().prefix("slt-").tempdir_in(&base);
    let dir = dir.with_context(|| format!("a scratch directory in {}", base.display()))?;
    std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755))?;
    Ok(dir)
}

/// A mounted store.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// A tmpfs at this (new) directory.
    pub fn tmpfs(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let options = format!("size={SIZE},mode=755");
        Cmd::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "tmpfs"])
            .arg(root)
            .check()?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// A ramfs at this (new) directory: a file system without extended attributes.
    pub fn ramfs(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        Cmd::new("mount")
            .args(["-t", "ramfs", "-o", "mode=755", "ramfs"])
            .arg(root)
            .check()?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// An ext4 at this (new) directory, in a file beside it.
    pub fn ext4(root: &Path) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let file = root.with_extension("img");
        File::create(&file)?.set_len(SIZE)?;
        Cmd::new("mkfs.ext4")
            .args(["-q", "-F", "-m", "0"])
            .arg(&file)
            .limit(Duration::from_secs(120))
            .check()?;
        Cmd::new("mount")
            .args(["-o", "loop"])
            .arg(&file)
            .arg(root)
            .check()?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// Kernel overlayfs at this (new) directory: a lower directory under a store's `upper` and `work`.
    pub fn overlay(root: &Path, lower: &Path, store: &Self, name: &str) -> Result<Self> {
        std::fs::create_dir_all(root)?;
        let upper = store.dir(&format!("{name}.upper"))?;
        let work = store.dir(&format!("{name}.work"))?;
        let options = format!(
            "lowerdir={},upperdir={},workdir={}",
            lower.display(),
            upper.display(),
            work.display()
        );
        Cmd::new("mount")
            .args(["-t", "overlay", "-o", &options, "overlay"])
            .arg(root)
            .check()?;
        Ok(Self {
            root: root.to_path_buf(),
        })
    }

    /// Its root.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A directory in it, created when absent.
    pub fn dir(&self, name: &str) -> Result<PathBuf> {
        let dir = self.root.join(name);
        std::fs::create_dir_all(&dir)?;
        Ok(dir)
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        let quiet = Cmd::new("umount")
            .arg(&self.root)
            .run()
            .is_ok_and(|outcome| outcome.success());
        if !quiet {
            detach(&self.root);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mountinfo;

    #[test]
    fn stores_come_and_go() {
        if !crate::root_or_skip("stores_come_and_go") {
            return;
        }
        let dir = directory().unwrap();
        let tmpfs = Store::tmpfs(&dir.path().join("t")).unwrap();
        let ext4 = Store::ext4(&dir.path().join("e")).unwrap();
        let lower = tmpfs.dir("lower").unwrap();
        std::fs::write(lower.join("file"), "lower").unwrap();
        let overlay = Store::overlay(&dir.path().join("o"), &lower, &ext4, "o").unwrap();
        std::fs::write(overlay.root().join("file"), "upper").unwrap();
        assert_eq!(
            std::fs::read_to_string(lower.join("file")).unwrap(),
            "lower"
        );
        let types: Vec<String> = [&tmpfs, &ext4, &overlay]
            .iter()
            .map(|store| mountinfo::at(store.root()).unwrap().unwrap().fstype)
            .collect();
        assert_eq!(types, ["tmpfs", "ext4", "overlay"]);
        drop((overlay, ext4, tmpfs));
        assert!(mountinfo::below(dir.path()).unwrap().is_empty());
    }
}
