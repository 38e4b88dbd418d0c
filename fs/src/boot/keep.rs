//! The node's own network service, and the address that the root is reached over.
//!
//! systemd-networkd takes addresses away that it has not given, when it starts and when it stops, unless `/` is on a network
//! file system; of ours it cannot tell. So each of its network files is given a drop-in in `/run` with what networkd would take
//! as the default then. A file that says something itself about keeping is left alone.

use std::ffi::OsStr;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Where systemd says that networkd is started.
const ENABLED: &str = "etc/systemd/system/multi-user.target.wants/systemd-networkd.service";
/// Where network files are, strongest first.
const FILES: [&str; 4] = [
    "etc/systemd/network",
    "run/systemd/network",
    "usr/local/lib/systemd/network",
    "usr/lib/systemd/network",
];
const DROP_IN: &str =
    "# statelitefs: / is reached over this network.\n[Network]\nKeepConfiguration=yes\n";

/// Writes drop-ins below `run` for the network files of the image at `root`.
///
/// # Errors
/// As writing files.
pub fn network(root: &Path, run: &Path) -> std::io::Result<()> {
    if root.join(ENABLED).symlink_metadata().is_err() {
        return Ok(());
    }
    for file in network_files(root, run) {
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let Some(name) = file.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        if says(&text) {
            continue;
        }
        let dir = run.join(format!("systemd/network/{name}.d"));
        make_dirs(&dir)?;
        write(&dir.join("50-statelitefs.conf"), DROP_IN)?;
        tracing::info!("{name}: networkd keeps the address that / is reached over");
    }
    Ok(())
}

/// Makes a directory that systemd reads, with those above it.
pub(super) fn make_dirs(dir: &Path) -> std::io::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(dir)
}

/// Writes a file that systemd reads: nobody else may change it, whatever the umask is.
pub(super) fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::File::options();
    options.write(true).create(true).truncate(true).mode(0o644);
    options.open(path)?.write_all(text.as_bytes())
}

/// Whether a network file has a word on keeping what is there.
fn says(text: &str) -> bool {
    text.lines()
        .filter_map(|line| line.split_once('='))
        .any(|(key, _)| ["KeepConfiguration", "CriticalConnection"].contains(&key.trim()))
}

/// All network files; of equal names the strongest.
fn network_files(root: &Path, run: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = Vec::new();
    for dir in FILES {
        let dir = match dir.strip_prefix("run/") {
            Some(below) => run.join(below),
            None => root.join(dir),
        };
        for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
            let path = entry.path();
            let wanted = path.extension() == Some(OsStr::new("network"));
            if wanted && !files.iter().any(|f| f.file_name() == path.file_name()) {
                files.push(path);
            }
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn network_files_get_the_word_unless_they_have_one() {
        let dir = tempfile::tempdir().unwrap();
        let (root, run) = (dir.path().join("root"), dir.path().join("run"));
        let etc = root.join("etc/systemd/network");
        let usr = root.join("usr/lib/systemd/network");
        for dir in [&etc, &usr, &run] {
            fs::create_dir_all(dir).unwrap();
        }
        fs::write(etc.join("20-boot.network"), "[Network]\nDHCP=yes\n").unwrap();
        fs::write(
            etc.join("30-own.network"),
            "[Network]\nKeepConfiguration = no\n",
        )
        .unwrap();
        fs::write(usr.join("30-own.network"), "[Network]\nDHCP=yes\n").unwrap();
        fs::write(usr.join("80-other.network"), "").unwrap();
        fs::write(usr.join("99-default.link"), "").unwrap();
        network(&root, &run).unwrap();
        assert!(!run.join("systemd").exists(), "networkd is not started");

        let enabled = root.join(ENABLED);
        fs::create_dir_all(enabled.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink("/usr/lib/systemd/system/gone", enabled).unwrap();
        network(&root, &run).unwrap();
        let given = |name: &str| {
            fs::read_to_string(run.join(format!("systemd/network/{name}.d/50-statelitefs.conf")))
        };
        assert_eq!(given("20-boot.network").unwrap(), DROP_IN);
        assert_eq!(given("80-other.network").unwrap(), DROP_IN);
        assert!(given("30-own.network").is_err() && given("99-default.link").is_err());
    }
}
