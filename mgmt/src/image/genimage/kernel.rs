//! The kernel of an image: which one, and its copy in the image directory.

use super::spec::Spec;
use crate::image::command::CommandLine;
use crate::image::root::{Attributes, Root};
use anyhow::{Context as _, bail};
use std::cmp::Ordering;
use std::fs;
use std::path::{Path, PathBuf};

/// Where a distribution puts the kernel of a version, `{}` standing for it.
const PLACES: &[&str] = &[
    "/boot/vmlinuz-{}",
    "/lib/modules/{}/vmlinuz",
    "/boot/vmlinux-{}",
    "/boot/Image-{}",
    "/boot/image-{}",
];

/// Brings the wanted kernel's modules into the root, if it lacks them, and the kernel into the image directory as
/// `kernel`. Returns the version.
///
/// # Errors
/// When there is no such kernel, or none at all.
pub fn install(spec: &Spec, root: &Root) -> anyhow::Result<String> {
    let versions = versions(root)?;
    let version = match &spec.kernel {
        Some(wanted) => wanted.clone(),
        None => newest(&versions).with_context(|| {
            format!(
                "{} has no kernel: add one to the package list (linux-image-amd64, kernel, kernel-default), or say -k \
                 VERSION for one of {}",
                root.path().display(),
                spec.kerneldir.join("lib/modules").display()
            )
        })?,
    };
    if version.contains('/') || version.starts_with('.') {
        bail!("\"{version}\" is no kernel version");
    }
    if !versions.contains(&version) {
        modules(&spec.kerneldir, &version, root)?;
    }
    let image = read(root, &spec.kerneldir, &version)?;
    publish(&spec.dir.join("kernel"), &image)?;
    Ok(version)
}

/// The versions whose modules a root has.
///
/// # Errors
/// As listing directories.
pub fn versions(root: &Root) -> anyhow::Result<Vec<String>> {
    let mut found = root.names("/lib/modules")?;
    found.retain(|version| {
        let has = |name: &str| root.exists(&format!("/lib/modules/{version}/{name}"));
        has("modules.builtin") || has("modules.dep") || has("kernel")
    });
    Ok(found)
}

/// The newest of some versions.
#[must_use]
pub fn newest(versions: &[String]) -> Option<String> {
    versions.iter().max_by(|a, b| compare(a, b)).cloned()
}

/// Compares versions: numbers as numbers, the rest as text.
#[must_use]
pub fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (parts(a), parts(b));
    a.cmp(&b)
}

/// The parts of a version. A number sorts after text, so that `6.1.0` is newer than `6.1-rc1`.
fn parts(version: &str) -> Vec<(bool, u64, &str)> {
    let mut parts = Vec::new();
    let mut rest = version;
    while let Some(first) = rest.chars().next() {
        if !first.is_ascii_alphanumeric() {
            rest = rest.get(first.len_utf8()..).unwrap_or_default();
            continue;
        }
        let digit = first.is_ascii_digit();
        let same = |c: char| c.is_ascii_alphanumeric() && c.is_ascii_digit() == digit;
        let end = rest.find(|c| !same(c)).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push((
            digit,
            part.parse().unwrap_or(0),
            if digit { "" } else { part },
        ));
        rest = after;
    }
    parts
}

/// The kernel itself: from the root, else from the directory of kernels.
fn read(root: &Root, kerneldir: &Path, version: &str) -> anyhow::Result<Vec<u8>> {
    let places: Vec<String> = PLACES
        .iter()
        .map(|place| place.replace("{}", version))
        .collect();
    for place in &places {
        if let Some(data) = root.read(place)? {
            return Ok(data);
        }
    }
    for place in &places {
        let path = kerneldir.join(place.trim_start_matches('/'));
        match fs::read(&path) {
            Ok(data) => return Ok(data),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        }
    }
    bail!(
        "no kernel {version}: neither {} nor {} has {}",
        root.path().display(),
        kerneldir.display(),
        places.join(" or ")
    )
}

/// Copies a module tree into the root.
fn modules(kerneldir: &Path, version: &str, root: &Root) -> anyhow::Result<()> {
    let from = kerneldir.join("lib/modules").join(version);
    if !from.is_dir() {
        bail!(
            "neither {} nor {} has kernel {version}; install it in one of them, or leave -k out",
            root.path().display(),
            kerneldir.display()
        );
    }
    let into = format!("/lib/modules/{version}");
    root.make_dir(&into, 0o755)?;
    let mut has_index = false;
    for entry in walkdir::WalkDir::new(&from)
        .min_depth(1)
        .sort_by_file_name()
    {
        let entry = entry?;
        let name = entry.path().strip_prefix(&from).unwrap_or(entry.path());
        let name = name
            .to_str()
            .with_context(|| format!("{}: not UTF-8", entry.path().display()))?;
        let path = format!("{into}/{name}");
        // The links build and source lead to what a node does not have.
        if entry.file_type().is_dir() {
            root.make_dir(&path, 0o755)?;
        } else if entry.file_type().is_file() {
            let data =
                fs::read(entry.path()).with_context(|| entry.path().display().to_string())?;
            root.write(&path, &data, Some(Attributes::root(0o644)))?;
            has_index |= name == "modules.dep";
        }
    }
    if !has_index {
        CommandLine::new("depmod")
            .arg("-b")
            .arg(root.path())
            .arg(version)
            .run(false)?;
    }
    Ok(())
}

/// Writes a file beside its place and renames it: a node that boots meanwhile gets the old one or the new one.
///
/// # Errors
/// As writing files.
pub fn publish(path: &Path, data: &[u8]) -> anyhow::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::PermissionsExt as _;
    let new = PathBuf::from(format!("{}.new", path.display()));
    let written = (|| {
        let mut file = fs::File::create(&new)?;
        file.write_all(data)?;
        // Boot loaders fetch it through servers that run as nobody.
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    written.with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_in_order() {
        let sorted = [
            "2.6.32.9-0.5-ppc64",
            "2.6.32.10-0.4-ppc64",
            "2.6.32.10-0.5-ppc64",
            "6.1-rc1",
            "6.1.0-9-amd64",
            "6.1.0-56-amd64",
            "6.12.95+deb12-cloud-amd64",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        let all: Vec<String> = sorted.iter().rev().map(|v| (*v).to_owned()).collect();
        assert_eq!(newest(&all).as_deref(), sorted.last().copied());
        assert_eq!(newest(&[]), None);
    }

    #[test]
    fn only_trees_with_modules_count() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["usr/lib/modules/6.1.0/kernel", "usr/lib/modules/left-over"] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink("usr/lib", dir.path().join("lib")).unwrap();
        let root = Root::open(dir.path()).unwrap();
        assert_eq!(versions(&root).unwrap(), ["6.1.0"]);
    }

    #[test]
    fn a_kernel_of_the_management_node_comes_with_its_modules() {
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: copying a kernel into an image: it needs root");
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("host");
        let tree = host.join("lib/modules/6.9");
        fs::create_dir_all(tree.join("kernel/net")).unwrap();
        fs::write(tree.join("kernel/net/x.ko"), "module").unwrap();
        fs::write(tree.join("modules.dep"), "kernel/net/x.ko:").unwrap();
        std::os::unix::fs::symlink("/usr/src", tree.join("build")).unwrap();
        fs::create_dir_all(host.join("boot")).unwrap();
        fs::write(host.join("boot/vmlinuz-6.9"), "kernel").unwrap();
        fs::create_dir_all(dir.path().join("R/usr/lib")).unwrap();
        std::os::unix::fs::symlink("usr/lib", dir.path().join("R/lib")).unwrap();
        let root = Root::open(&dir.path().join("R")).unwrap();
        assert!(modules(&host, "7.0", &root).is_err());
        modules(&host, "6.9", &root).unwrap();
        assert_eq!(versions(&root).unwrap(), ["6.9"]);
        let copied = dir.path().join("R/usr/lib/modules/6.9");
        assert_eq!(fs::read(copied.join("kernel/net/x.ko")).unwrap(), b"module");
        assert!(fs::symlink_metadata(copied.join("build")).is_err());
        assert_eq!(read(&root, &host, "6.9").unwrap(), b"kernel");
        assert!(
            read(&root, &host, "7.0")
                .unwrap_err()
                .to_string()
                .contains("no kernel 7.0")
        );
    }
}
