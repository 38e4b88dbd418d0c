//! What link mode expects in an image's root; FUSE mode needs none of it, and leaves the root as its packages made it.

use crate::image::root::{Attributes, Root, RootError};

/// Mount points of the boot part (facts §6, §8).
const DIRS: &[&str] = &["/.statelite", "/.sllocal/localmnt", "/.sllocal/log"];

/// A placeholder that the boot part replaces by what the network gave (facts §6).
const RESOLV_CONF: &str = "#Dummy resolv.conf to make boot cleaner\n";

/// Puts it there; `permission` is the mode of `/.statelite`. What is there already stays, so that a root that liteimg
/// prepared is not undone. Returns what was added.
///
/// # Errors
/// As making directories and writing files.
pub fn prepare(
    root: &Root,
    profile: &str,
    arch: &str,
    permission: u32,
) -> Result<Vec<String>, RootError> {
    let mut added = Vec::new();
    for dir in DIRS {
        if !root.is_dir(dir) {
            let mode = if *dir == "/.statelite" {
                permission
            } else {
                0o755
            };
            root.make_dir(dir, mode)?;
            added.push((*dir).to_owned());
        }
    }
    root.make_dir("/etc", 0o755)?;
    let old = root.text("/etc/fstab")?.unwrap_or_default();
    let new = fstab(&old, profile, arch);
    if new != old {
        root.write("/etc/fstab", new.as_bytes(), None)?;
        added.push("/etc/fstab".to_owned());
    }
    let empty = root
        .text("/etc/resolv.conf")?
        .is_none_or(|text| text.trim().is_empty());
    if empty {
        let attributes = Some(Attributes::root(0o644));
        root.write("/etc/resolv.conf", RESOLV_CONF.as_bytes(), attributes)?;
        added.push("/etc/resolv.conf".to_owned());
    }
    Ok(added)
}

/// The table of mounts with the root in it.
///
/// The root is read-only at once, as liteimg makes it: a `rw` there lets the node mount the image, which all share,
/// writable.
fn fstab(old: &str, profile: &str, arch: &str) -> String {
    let first = format!("{profile}_{arch}");
    let has_root = |line: &str| {
        let mut words = line.split_whitespace();
        let source = words.next().unwrap_or_default();
        !source.starts_with('#') && words.next() == Some("/")
    };
    if old.lines().any(has_root) {
        return old.to_owned();
    }
    let end = if old.is_empty() || old.ends_with('\n') {
        ""
    } else {
        "\n"
    };
    format!("{old}{end}{first} / tmpfs ro 0 1\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_is_listed_once_and_read_only() {
        let line = "compute_x86_64 / tmpfs ro 0 1\n";
        assert_eq!(fstab("", "compute", "x86_64"), line);
        assert_eq!(fstab(line, "compute", "x86_64"), line);
        let comment = "# UNCONFIGURED FSTAB";
        assert_eq!(
            fstab(comment, "compute", "x86_64"),
            format!("{comment}\n{line}")
        );
        let own = "LABEL=x / ext4 ro 0 0\n";
        assert_eq!(fstab(own, "compute", "x86_64"), own);
    }

    #[test]
    fn prepared_once() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: preparing an image: it needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let added = prepare(&root, "compute", "x86_64", 0o777).unwrap();
        assert_eq!(added.len(), 5, "{added:?}");
        assert_eq!(root.attributes("/.statelite").unwrap().mode, 0o777);
        assert_eq!(root.attributes("/.sllocal").unwrap().mode, 0o755);
        let text = root.text("/etc/resolv.conf").unwrap().unwrap();
        assert!(text.contains("Dummy resolv.conf"));
        assert_eq!(prepare(&root, "compute", "x86_64", 0o777).unwrap(), [""; 0]);
    }
}
