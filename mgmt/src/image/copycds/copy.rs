//! Copying a medium. Files that are there with the same size and time stay, so that a copy that was cut off goes on,
//! and the second disc of a set adds to the first.

use anyhow::{Context as _, bail};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

/// What was copied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Copied {
    /// Files copied now.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there.
    pub kept: u64,
}

/// The number of bytes below a directory, for showing progress.
#[must_use]
pub fn size(dir: &Path) -> u64 {
    let entries = walkdir::WalkDir::new(dir).into_iter().flatten();
    let files = entries.filter(|entry| entry.file_type().is_file());
    files
        .filter_map(|entry| entry.metadata().ok())
        .map(|meta| meta.len())
        .sum()
}

/// Copies what is below a directory. `progress` hears the bytes of each file. Everybody may read the result, since
/// nodes install from it; only links that stay inside are copied as links.
///
/// # Errors
/// A link that leads out, before anything is copied; the first file that cannot be copied: what is copied by then
/// stays, and the next run goes on.
pub fn copy(from: &Path, into: &Path, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Copied> {
    no_link_leads_out(from)?;
    let mut copied = Copied::default();
    for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
        let entry = entry.with_context(|| from.display().to_string())?;
        let name = entry.path().strip_prefix(from).unwrap_or(Path::new(""));
        let target = into.join(name);
        let at = || target.display().to_string();
        if entry.file_type().is_dir() {
            fs::create_dir_all(&target).with_context(at)?;
            fs::set_permissions(&target, fs::Permissions::from_mode(0o755)).with_context(at)?;
        } else if entry.file_type().is_symlink() {
            let link = fs::read_link(entry.path()).with_context(at)?;
            match fs::read_link(&target) {
                Ok(old) if old == link => {}
                _ => {
                    let _ = fs::remove_file(&target);
                    symlink(&link, &target).with_context(at)?;
                }
            }
        } else if entry.file_type().is_file() {
            let meta = entry.metadata()?;
            if same(&meta, &target) {
                copied.kept += 1;
            } else {
                file(entry.path(), &meta, &target).with_context(at)?;
                copied.files += 1;
                copied.bytes += meta.len();
            }
            progress(meta.len());
        }
    }
    Ok(copied)
}

fn no_link_leads_out(from: &Path) -> anyhow::Result<()> {
    for entry in walkdir::WalkDir::new(from).sort_by_file_name() {
        let entry = entry.with_context(|| from.display().to_string())?;
        if entry.file_type().is_symlink() {
            let path = entry.path();
            let link = fs::read_link(path).with_context(|| path.display().to_string())?;
            if !stays_inside(path.strip_prefix(from).unwrap_or(path), &link) {
                bail!(
                    "{}: a link out of the medium, to {}: nothing was copied",
                    path.display(),
                    link.display()
                );
            }
        }
    }
    Ok(())
}

fn same(meta: &fs::Metadata, target: &Path) -> bool {
    let Ok(there) = fs::symlink_metadata(target) else {
        return false;
    };
    there.is_file() && there.len() == meta.len() && there.modified().ok() == meta.modified().ok()
}

/// Copies one file beside its place and renames it: a file with its final name is whole.
fn file(from: &Path, meta: &fs::Metadata, target: &Path) -> std::io::Result<()> {
    let mut new = target.as_os_str().to_owned();
    new.push(".copycds");
    let new = PathBuf::from(new);
    fs::copy(from, &new)?;
    let mode = if meta.permissions().mode() & 0o111 == 0 {
        0o644
    } else {
        0o755
    };
    fs::set_permissions(&new, fs::Permissions::from_mode(mode))?;
    let file = fs::File::options().write(true).open(&new)?;
    file.set_modified(meta.modified()?)?;
    drop(file);
    fs::rename(&new, target)
}

/// Whether a link at this place below the medium's root leads to a place below it, as far as names tell.
fn stays_inside(name: &Path, link: &Path) -> bool {
    let mut depth = name.components().count().saturating_sub(1);
    for part in link.components() {
        match part {
            std::path::Component::Normal(_) => depth += 1,
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir if depth > 0 => depth -= 1,
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copied_once_and_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let (from, into) = (dir.path().join("from"), dir.path().join("into"));
        fs::create_dir_all(from.join("pool/a")).unwrap();
        fs::write(from.join("pool/a/x.deb"), "package").unwrap();
        fs::write(from.join("run.sh"), "#!").unwrap();
        fs::set_permissions(from.join("run.sh"), fs::Permissions::from_mode(0o500)).unwrap();
        symlink("pool/a", from.join("link")).unwrap();
        let mut seen = 0;
        let first = copy(&from, &into, &mut |bytes| seen += bytes).unwrap();
        assert_eq!(
            first,
            Copied {
                files: 2,
                bytes: 9,
                kept: 0
            }
        );
        assert_eq!((seen, size(&from)), (9, 9));
        let mode = |name: &str| fs::metadata(into.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(
            (mode("run.sh"), mode("pool/a/x.deb"), mode("pool")),
            (0o755, 0o644, 0o755)
        );
        assert_eq!(fs::read(into.join("link/x.deb")).unwrap(), b"package");
        fs::write(into.join("pool/a/x.deb"), "pack").unwrap();
        let second = copy(&from, &into, &mut |_| {}).unwrap();
        assert_eq!(
            second,
            Copied {
                files: 1,
                bytes: 7,
                kept: 1
            }
        );
        assert_eq!(fs::read(into.join("pool/a/x.deb")).unwrap(), b"package");
    }

    #[test]
    fn links_out_of_the_medium_are_refused() {
        for (name, link, wanted) in [
            ("a", "b", true),
            ("dists/stable", "bookworm", true),
            ("a/b", "../c", true),
            ("a", "../c", false),
            ("a/b", "../../c", false),
            ("a", "/etc/passwd", false),
            ("debian", ".", true),
        ] {
            assert_eq!(
                stays_inside(Path::new(name), Path::new(link)),
                wanted,
                "{name} {link}"
            );
        }
        let dir = tempfile::tempdir().unwrap();
        let from = dir.path().join("from");
        fs::create_dir(&from).unwrap();
        fs::write(from.join("a"), "before it").unwrap();
        symlink("/etc", from.join("etc")).unwrap();
        let into = dir.path().join("into");
        let error = copy(&from, &into, &mut |_| {}).unwrap_err();
        assert!(!into.exists(), "a half was copied");
        assert!(
            error.to_string().contains("a link out of the medium"),
            "{error}"
        );
    }
}
