//! Images to mount: a tiny one made here, and a Debian root made by mmdebstrap.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::fs::{FlockOperation, flock};

use crate::cmd::Cmd;
use crate::hash::TreeHash;
use crate::target::PLACES;
use crate::{paths, tools};

/// A root with the usual top level and, under each place of the conformance run, something to merge with.
pub fn synthetic(root: &Path) -> Result<()> {
    for dir in ["etc", "usr/bin", "var/log", "tmp"] {
        fs::create_dir_all(root.join(dir))?;
    }
    fs::set_permissions(root.join("tmp"), Permissions::from_mode(0o1777))?;
    fs::write(root.join("etc/hostname"), "image\n")?;
    for place in PLACES {
        let dir = root.join(place.dir());
        fs::create_dir_all(dir.join("sub/deeper"))?;
        fs::write(dir.join("file"), "from the image\n")?;
        fs::write(dir.join("sub/file"), vec![b'x'; 300_000])?;
        fs::hard_link(dir.join("sub/file"), dir.join("sub/same"))?;
        symlink("sub/file", dir.join("link"))?;
    }
    Ok(())
}

/// A minimal Debian root with these packages, built once and kept in the cache directory.
///
/// A kept image that no longer has the hash it was built with (a test damaged it) is built anew. The lock makes other
/// test processes wait for the build.
pub fn debian(suite: &str, packages: &[&str]) -> Result<PathBuf> {
    let cache = paths::cache()?;
    fs::create_dir_all(&cache)?;
    let name = std::iter::once(&suite)
        .chain(packages)
        .copied()
        .collect::<Vec<_>>()
        .join("+");
    let (image, digest) = (cache.join(&name), cache.join(format!("{name}.digest")));
    let lock = File::create(cache.join("lock"))?;
    flock(&lock, FlockOperation::LockExclusive)?;
    if image.exists() {
        let kept = fs::read_to_string(&digest).unwrap_or_default();
        if kept == format!("{:032x}", TreeHash::of(&image)?.digest()) {
            return Ok(image);
        }
        eprintln!(
            "{} has changed since it was built: building it anew",
            image.display()
        );
        fs::remove_dir_all(&image).with_context(|| image.display().to_string())?;
    }
    build(suite, packages, &image)?;
    fs::write(&digest, format!("{:032x}", TreeHash::of(&image)?.digest()))?;
    Ok(image)
}

fn build(suite: &str, packages: &[&str], image: &Path) -> Result<()> {
    tools::debian("mmdebstrap", "/usr/bin/mmdebstrap")?;
    let mut command = Cmd::new("mmdebstrap")
        .arg("--variant=minbase")
        .limit(Duration::from_secs(900));
    if !packages.is_empty() {
        command = command.arg(format!("--include={}", packages.join(",")));
    }
    // mmdebstrap needs a new or empty directory; only a finished image gets the final name.
    let unfinished = image.with_extension("unfinished");
    if unfinished.exists() {
        fs::remove_dir_all(&unfinished)?;
    }
    command
        .arg(suite)
        .arg(&unfinished)
        .args(host_sources()?)
        .check()?;
    fs::rename(&unfinished, image)?;
    Ok(())
}

/// The package sources of this machine, in either format, as mmdebstrap takes them.
fn host_sources() -> Result<Vec<PathBuf>> {
    let mut sources = Vec::new();
    let single = PathBuf::from("/etc/apt/sources.list");
    if single.exists() {
        sources.push(single);
    }
    if let Ok(dir) = fs::read_dir("/etc/apt/sources.list.d") {
        for entry in dir {
            let path = entry?.path();
            if path
                .extension()
                .is_some_and(|extension| extension == "sources" || extension == "list")
            {
                sources.push(path);
            }
        }
    }
    sources.sort();
    Ok(sources)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_synthetic_image_has_something_under_each_place() {
        let dir = tempfile::tempdir().unwrap();
        synthetic(dir.path()).unwrap();
        for place in PLACES {
            assert_eq!(
                fs::metadata(dir.path().join(place.dir()).join("link"))
                    .unwrap()
                    .len(),
                300_000
            );
        }
    }
}
