//! Carrying out a plan, and what follows it: links, scripts, kernel, initrd.

use super::initrd::{self, Parts};
use super::spec::{Mode, Spec};
use super::steps::Step;
use super::{kernel, links};
use crate::image::command::CommandLine;
use crate::image::root::{Attributes, Root};
use anyhow::{Context as _, bail};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

/// A Debian package's script asks this program whether a service may start; 101 is no.
const POLICY: &str = "/usr/sbin/policy-rc.d";
const NO_SERVICES: &[u8] = b"#!/bin/sh\nexit 101\n";

/// Runs the arguments after the first with the root's `/proc`, `/sys` and `/dev`, the root being the first.
const WITHIN: &str = r#"
root=$1; shift
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
exec "$@"
"#;

/// Where the parts of the software are.
#[derive(Debug, Clone)]
pub struct Places {
    /// What came with it: lists and hooks.
    pub share: PathBuf,
    /// The program for initrds, when not found by itself.
    pub statelitefs: Option<PathBuf>,
    /// The certificate for initrds, if there is one.
    pub ca: Option<PathBuf>,
}

/// Builds an image: packages, unless `only_initrd`, then kernel and initrd. `say` hears what begins.
///
/// # Errors
/// The first thing that fails. A root that was there may have more packages than before; one that was not is not
/// there yet.
pub fn build(
    spec: &Spec,
    places: &Places,
    only_initrd: bool,
    say: &mut dyn FnMut(&str),
) -> anyhow::Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("genimage needs root: packages set owners, and their scripts run inside the image");
    }
    make_dir(&spec.dir)?;
    let _lock = lock(&spec.dir)?;
    // Known before an hour of work, not after it.
    let statelitefs = initrd::program(places.statelitefs.as_deref())?;
    let path = spec.root(false);
    let fresh = !path.is_dir();
    if only_initrd && fresh {
        bail!(
            "{} is not there yet: run genimage without --onlyinitrd first",
            path.display()
        );
    }
    if !fresh {
        // Refused before the first step, if it is no image's.
        Root::open(&path)?;
    }
    if !only_initrd {
        for step in super::plan(spec, fresh)? {
            carry_out(&step, spec.interactive, say)?;
        }
    }
    let root = Root::open(&path)?;
    if !only_initrd {
        if spec.mode == Mode::Links {
            say("link mode's mount points and placeholders");
            links::prepare(&root, &spec.profile, &spec.arch, spec.permission)?;
        }
        for script in &spec.postinstall {
            say(&format!("postinstall script {}", script.display()));
            postinstall(spec, script)?.run(spec.interactive)?;
        }
    }
    let version = kernel::install(spec, &root)?;
    say(&format!("kernel {version}"));
    let kind = match spec.initrd {
        Some(kind) => kind,
        None => initrd::choose(&root, &places.share),
    };
    say(&format!("initrd ({kind}) with {}", statelitefs.display()));
    make_dir(&spec.work())?;
    let parts = Parts {
        spec,
        version: &version,
        statelitefs: &statelitefs,
        share: &places.share,
        ca: places.ca.as_deref(),
    };
    let data = initrd::build(&parts, kind);
    remove_tree(&spec.work())?;
    let data = data?;
    let name = spec.dir.join("initrd-statelite.gz");
    kernel::publish(&name, &data)?;
    // The name of 2010.
    link(&name, &spec.dir.join("initrd.gz"))
}

/// One build of an image at a time.
fn lock(dir: &Path) -> anyhow::Result<fs::File> {
    let path = dir.join(".genimage.lock");
    let file = fs::File::create(&path).with_context(|| path.display().to_string())?;
    let operation = rustix::fs::FlockOperation::NonBlockingLockExclusive;
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(file),
        Err(_) => bail!("{} is being built by another genimage", dir.display()),
    }
}

fn link(from: &Path, to: &Path) -> anyhow::Result<()> {
    let new = PathBuf::from(format!("{}.new", to.display()));
    let linked = (|| {
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        fs::hard_link(from, &new)?;
        fs::rename(&new, to)?;
        // Renaming a link over another link to the same file does nothing and leaves both.
        match fs::remove_file(&new) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    })();
    linked.with_context(|| to.display().to_string())
}

/// The command line of a postinstall script, with the arguments and variables xCAT gives it.
///
/// # Errors
/// When it is no file, or not executable.
pub fn postinstall(spec: &Spec, script: &Path) -> anyhow::Result<CommandLine> {
    use std::os::unix::fs::PermissionsExt as _;
    let meta = fs::metadata(script).with_context(|| script.display().to_string())?;
    if !meta.is_file() || meta.permissions().mode() & 0o111 == 0 {
        bail!(
            "{} is not executable: chmod +x it, or remove it",
            script.display()
        );
    }
    let join = |paths: &[PathBuf]| {
        let names: Vec<String> = paths
            .iter()
            .map(|path| path.display().to_string())
            .collect();
        names.join(",")
    };
    let root = spec.root(false);
    let command = CommandLine::new(script)
        .arg(&root)
        .args([&spec.os, &spec.arch, &spec.profile]);
    let variables = [
        ("IMG_ARCH", spec.arch.clone()),
        ("IMG_NAME", spec.image.clone()),
        ("IMG_OSVER", spec.os.clone()),
        ("IMG_KERNELVERSION", spec.kernel.clone().unwrap_or_default()),
        ("IMG_PROFILE", spec.profile.clone()),
        ("IMG_PKGLIST", join(&spec.pkglist)),
        ("IMG_PKGDIR", spec.pkgdirs.join(",")),
        ("IMG_OTHERPKGLIST", join(&spec.otherpkglist)),
        ("IMG_OTHERPKGDIR", spec.otherdir.display().to_string()),
        ("IMG_ROOTIMGDIR", root.display().to_string()),
    ];
    Ok(variables
        .into_iter()
        .fold(command, |command, (name, value)| command.env(name, value)))
}

/// Carries out one step.
///
/// # Errors
/// As the step.
pub fn carry_out(step: &Step, interactive: bool, say: &mut dyn FnMut(&str)) -> anyhow::Result<()> {
    match step {
        Step::Title(title) => say(title),
        Step::MakeDir(dir) => make_dir(dir)?,
        Step::Write { path, text } => {
            fs::write(path, text).with_context(|| path.display().to_string())?;
        }
        Step::Run(command) => command.run(interactive)?,
        Step::Within { root, command } => within(root, command, interactive)?,
        Step::IndexDebs { from, into } => index(from, into)?,
        Step::RemoveTree(dir) => remove_tree(dir)?,
        Step::RemoveIn { root, path } => Root::open(root)?.remove(path)?,
        Step::Rename { from, to } => {
            fs::rename(from, to)
                .with_context(|| format!("{} to {}", from.display(), to.display()))?;
        }
    }
    Ok(())
}

fn make_dir(dir: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(dir).with_context(|| dir.display().to_string())
}

fn remove_tree(dir: &Path) -> anyhow::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| dir.display().to_string())
        }
        _ => Ok(()),
    }
}

fn within(path: &Path, command: &CommandLine, interactive: bool) -> anyhow::Result<()> {
    let root = Root::open(path)?;
    for dir in ["proc", "sys", "dev"] {
        root.make_dir(&format!("/{dir}"), 0o755)?;
        let real =
            fs::symlink_metadata(path.join(dir)).with_context(|| path.display().to_string())?;
        if !real.is_dir() {
            bail!("{}/{dir} is a link; it must be a directory", path.display());
        }
    }
    // A policy of the image's own stays; one of ours from a run that was cut off is ours.
    let own = root.read(POLICY)?.is_some_and(|text| text != NO_SERVICES);
    let ours = !own && root.is_dir("/usr/sbin");
    if ours {
        root.write(POLICY, NO_SERVICES, Some(Attributes::root(0o755)))?;
    }
    let shell = CommandLine::new("sh")
        .args(["-euc", WITHIN, "genimage"])
        .arg(path);
    let unshare = CommandLine::new("unshare").args(["--mount", "--propagation", "private", "--"]);
    let result = command.clone().under(shell.under(unshare)).run(interactive);
    if ours {
        root.remove(POLICY)?;
    }
    result.map_err(Into::into)
}

/// Makes a flat archive of the packages in a directory: links to them and their index.
fn index(from: &Path, into: &Path) -> anyhow::Result<()> {
    make_dir(into)?;
    let mut packages: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(from).with_context(|| from.display().to_string())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "deb") && path.is_file() {
            packages.push(path);
        }
    }
    packages.sort();
    let mut text = String::new();
    for package in packages {
        let control = CommandLine::new("dpkg-deb")
            .arg("--field")
            .arg(&package)
            .output()?;
        let data = fs::read(&package).with_context(|| package.display().to_string())?;
        let name = package.file_name().unwrap_or_default();
        let mut digest = String::new();
        for byte in Sha256::digest(&data) {
            let _ = write!(digest, "{byte:02x}");
        }
        let _ = write!(
            text,
            "{}\nFilename: ./{}\nSize: {}\nSHA256: {digest}\n\n",
            String::from_utf8_lossy(&control).trim_end(),
            name.to_string_lossy(),
            data.len(),
        );
        let link = into.join(name);
        std::os::unix::fs::symlink(&package, &link).with_context(|| link.display().to_string())?;
    }
    let path = into.join("Packages");
    fs::write(&path, text).with_context(|| path.display().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_over_itself_leaves_one() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a"), dir.path().join("b"));
        fs::write(&from, "1").unwrap();
        for _ in 0..2 {
            link(&from, &to).unwrap();
            assert_eq!(fs::read(&to).unwrap(), b"1");
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn one_build_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let first = lock(dir.path()).unwrap();
        assert!(
            lock(dir.path())
                .unwrap_err()
                .to_string()
                .contains("another genimage")
        );
        drop(first);
        lock(dir.path()).unwrap();
    }
}
