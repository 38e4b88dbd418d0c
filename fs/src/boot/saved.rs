//! The lines of a policy, and the last good ones in the node's persistent store.
//!
//! They lie in the store's work directory. The store shows at `/.statelite/persistent` of the node, so directory and file
//! are for root alone.

use crate::overlay::store::WORK_NAME;
use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

/// What the management server says about one node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// The node.
    pub node: String,
    /// `OPTION PATH` each.
    pub litefile: Vec<String>,
    /// `SERVER:DIR[ :OPTIONS]` each, first match first.
    pub litetree: Vec<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Saved {
    /// Over the lines as JSON.
    sha256: String,
    lines: Lines,
}

fn file(store: &Path) -> PathBuf {
    store.join(OsStr::from_bytes(WORK_NAME)).join("policy.json")
}

fn digest(lines: &Lines) -> anyhow::Result<String> {
    let hash = Sha256::digest(serde_json::to_vec(lines)?);
    Ok(hash.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Takes from others than root what an earlier release left open.
fn tighten(path: &Path, mode: u32) {
    let set = || {
        let found = path.symlink_metadata()?;
        if found.is_symlink() || found.permissions().mode() & 0o7777 == mode {
            return Ok(());
        }
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
    };
    // A server that takes root's rights away may refuse; the policy is worth more.
    if let Err(e) = set() {
        let path = path.display();
        tracing::warn!("{path} cannot be closed to others than root (mode {mode:04o}): {e}");
    }
}

/// Keeps `lines` in the store, for root alone; they are on the server when this returns.
///
/// # Errors
/// As writing files; what was kept before stays then.
pub fn keep(store: &Path, lines: &Lines) -> anyhow::Result<()> {
    let file = file(store);
    let dir = file.parent().context("no directory")?;
    if let Err(e) = std::fs::DirBuilder::new().mode(0o700).create(dir)
        && e.kind() != std::io::ErrorKind::AlreadyExists
    {
        return Err(e).with_context(|| dir.display().to_string());
    }
    tighten(dir, 0o700);
    if load(store, &lines.node).is_ok_and(|old| old == *lines) {
        tighten(&file, 0o600);
        return Ok(());
    }
    let saved = Saved {
        sha256: digest(lines)?,
        lines: lines.clone(),
    };
    let new = file.with_extension("new");
    let mut out = std::fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)
        .with_context(|| new.display().to_string())?;
    // One that was left half written may be an earlier release's.
    tighten(&new, 0o600);
    out.write_all(&serde_json::to_vec_pretty(&saved)?)?;
    out.sync_all()?;
    std::fs::rename(&new, &file).with_context(|| file.display().to_string())?;
    std::fs::File::open(dir)?.sync_all()?;
    Ok(())
}

/// What was kept for `node`.
///
/// # Errors
/// Nothing there, damaged, or of another node.
pub fn load(store: &Path, node: &str) -> anyhow::Result<Lines> {
    let file = file(store);
    let text = std::fs::read(&file).with_context(|| file.display().to_string())?;
    let saved: Saved = serde_json::from_slice(&text).context("the saved policy is damaged")?;
    if saved.sha256 != digest(&saved.lines)? {
        bail!("the saved policy is damaged: its checksum is wrong");
    }
    if saved.lines.node != node {
        bail!("the saved policy is that of {}", saved.lines.node);
    }
    Ok(saved.lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_for_root_alone() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path());
        let work = file.parent().unwrap();
        let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
        let set = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        let mut lines = Lines {
            node: "n01".into(),
            ..Lines::default()
        };
        std::fs::create_dir(work).unwrap();
        set(work, 0o755);
        for change in [false, true, false] {
            if change {
                lines.litefile.push("tmpfs /x".into());
            }
            keep(dir.path(), &lines).unwrap();
            assert_eq!((mode(work), mode(&file)), (0o700, 0o600));
            set(work, 0o755);
            set(&file, 0o644);
            std::fs::write(file.with_extension("new"), "").unwrap();
            set(&file.with_extension("new"), 0o644);
        }
        std::fs::remove_dir_all(work).unwrap();
        keep(dir.path(), &lines).unwrap();
        assert_eq!((mode(work), mode(&file)), (0o700, 0o600));
    }

    #[test]
    fn what_is_kept_comes_back_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let lines = Lines {
            node: "n01".into(),
            litefile: vec!["tmpfs         /etc/adjtime".into()],
            litetree: vec!["s:/a :soft".into()],
        };
        assert!(load(dir.path(), "n01").is_err());
        keep(dir.path(), &lines).unwrap();
        assert_eq!(load(dir.path(), "n01").unwrap(), lines);
        let other = load(dir.path(), "n02").unwrap_err().to_string();
        assert!(other.contains("that of n01"), "{other}");
        let file = file(dir.path());
        let text = std::fs::read_to_string(&file).unwrap();
        std::fs::write(&file, text.replace("adjtime", "shadow")).unwrap();
        let damaged = load(dir.path(), "n01").unwrap_err().to_string();
        assert!(damaged.contains("checksum"), "{damaged}");
        std::fs::write(&file, &text[..text.len() / 2]).unwrap();
        assert!(load(dir.path(), "n01").is_err());
        keep(dir.path(), &lines).unwrap();
        assert_eq!(load(dir.path(), "n01").unwrap(), lines);
    }
}
